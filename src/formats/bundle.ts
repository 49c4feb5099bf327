// Sigstore bundle v0.3 for a signature by a plain public key: the smallest JSON that cosign 2.5 and 3 both accept.
// Their parsers are strict, so it holds no field more. Written out here and not by the builders of @sigstore/bundle:
// those know SHA-256 alone and put the key's hint where Go's verifiers then skip the signature.

import { BUNDLE_V03_MEDIA_TYPE } from "@sigstore/bundle";

import type { KeyVersion } from "../model/key.ts";
import { base64 } from "../std/base64.ts";
import { fromHex } from "../std/bytes.ts";
import type { JsonObject } from "../std/json.ts";

type BundleKey = Pick<KeyVersion, "fingerprint">;

export interface Digest {
  readonly hash: "sha256" | "sha384";
  readonly bytes: Uint8Array;
}

export const messageBundle = (digest: Digest, signature: Uint8Array, key: BundleKey): JsonObject => ({
  ...head(key),
  messageSignature: {
    messageDigest: { algorithm: hashAlgorithms[digest.hash], digest: base64(digest.bytes) },
    signature: base64(signature),
  },
});

/** Without `keyid`: Go's verifiers compare it with hints of their own kind and skip what differs. */
export const dsseBundle = (type: string, payload: Uint8Array, signature: Uint8Array, key: BundleKey): JsonObject => ({
  ...head(key),
  dsseEnvelope: { payload: base64(payload), payloadType: type, signatures: [{ sig: base64(signature) }] },
});

/** HashAlgorithm of sigstore_common.proto. */
const hashAlgorithms = { sha256: "SHA2_256", sha384: "SHA2_384" } as const;

/** The hint is cosign's: base64 of the SHA-256 of the key's SPKI. */
const head = (key: BundleKey): JsonObject => ({
  mediaType: BUNDLE_V03_MEDIA_TYPE,
  verificationMaterial: { publicKey: { hint: base64(fromHex(key.fingerprint)) } },
});
