// What verifiers are given: the trust set as PEM, as JWK set, as Sigstore key list and as Sigstore trusted root.
//
// PEM is all public keys of one key, the one that signs first: tools that read one key alone read that. A JWK's `kid` is
// the SPKI fingerprint, as in the header of every JWS that Signet signs. The key list has the members of the npm
// registry's (`keys[].publicKey` is PublicKey of sigstore_common.proto) and ours beside them. The trusted root
// (sigstore_trustroot.proto, v0.1) names our log and nothing else: it has no place for keys without certificates, and
// its readers refuse members that they do not know.

import { createPublicKey, type JsonWebKey } from "node:crypto";
import type { KeyAlgorithm, KeyVersion } from "../model/key.ts";
import type { TrustedKey, TrustedVersion, TrustSet } from "../model/trust.ts";
import { base64 } from "../std/base64.ts";
import { concat, fromHex } from "../std/bytes.ts";
import { sha256 } from "../std/digest.ts";
import type { JsonObject } from "../std/json.ts";
import { parseVkey } from "../tlog/vkey.ts";
import { jwsAlgorithms } from "./jws.ts";

export const trustPem = ({ versions }: TrustedKey): string =>
  versions.map(({ version }) => `${version.publicKey.trimEnd()}\n`).join("");

/** RFC 7517, section 5. */
export const trustJwks = (keys: readonly TrustedKey[]): JsonObject => ({
  keys: keys.flatMap(({ versions }) => versions.map(jwk)),
});

/** Strangers ask for these documents: a public key is parsed once, and not for each of them. */
const parsed = new WeakMap<KeyVersion, { readonly der: Uint8Array; readonly jwk: JsonWebKey }>();

function parse(version: KeyVersion): { readonly der: Uint8Array; readonly jwk: JsonWebKey } {
  const known = parsed.get(version);
  if (known) return known;
  const key = createPublicKey(version.publicKey);
  const forms = { der: key.export({ type: "spki", format: "der" }), jwk: key.export({ format: "jwk" }) };
  parsed.set(version, forms);
  return forms;
}

function jwk({ version }: TrustedVersion): JsonObject {
  const { fingerprint, algorithm } = version;
  const { kty, crv, x, y, n, e } = parse(version).jwk;
  const key = { kty, crv, x, y, n, e, kid: fingerprint, alg: jwsAlgorithms[algorithm], use: "sig" };
  return Object.fromEntries(
    Object.entries(key).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

export const trustKeys = ({ keys, log }: TrustSet): JsonObject => ({
  keys: keys.flatMap(({ key, versions }) =>
    versions.map((one) => ({
      ...sigstoreKey(one),
      keyUsage: `signet:${key.purpose.toLowerCase().replaceAll("_", "-")}`,
      name: key.name,
      version: one.version.number,
      role: one.role,
      state: one.version.state,
      ...(one.version.ended?.trustedUntil !== undefined && { trustedUntil: one.version.ended.trustedUntil }),
    })),
  ),
  log: { origin: log.origin, vkey: log.vkey },
});

/** `keyId` is the hint of our bundles. It signed nothing before it was made, and nothing after its rotation. */
function sigstoreKey({ version }: TrustedVersion): JsonObject {
  const { fingerprint, algorithm, createdAt, ended } = version;
  return {
    keyId: base64(fromHex(fingerprint)),
    publicKey: {
      rawBytes: base64(parse(version).der),
      keyDetails: keyDetails[algorithm],
      validFor: { start: createdAt, ...(ended && { end: ended.at }) },
    },
  };
}

/** PublicKeyDetails of sigstore_common.proto. */
const keyDetails = {
  EC_P256: "PKIX_ECDSA_P256_SHA_256",
  EC_P384: "PKIX_ECDSA_P384_SHA_384",
  ED25519: "PKIX_ED25519",
  RSA_3072: "PKIX_RSA_PKCS1V15_3072_SHA256",
  RSA_4096: "PKIX_RSA_PKCS1V15_4096_SHA256",
  RSA_3072_PSS: "PKIX_RSA_PSS_3072_SHA256",
  RSA_4096_PSS: "PKIX_RSA_PSS_4096_SHA256",
} as const satisfies Record<KeyAlgorithm, string>;

/** RFC 8410: SubjectPublicKeyInfo of an Ed25519 key, up to its 32 bytes. */
const ed25519Spki = fromHex("302a300506032b6570032100");

export function trustedRoot({ log }: TrustSet): JsonObject {
  const spki = concat(ed25519Spki, parseVkey(log.vkey).publicKey);
  return {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [
      {
        baseUrl: `https://${log.origin}`,
        hashAlgorithm: "SHA2_256",
        publicKey: { rawBytes: base64(spki), keyDetails: "PKIX_ED25519", validFor: { start: log.since } },
        logId: { keyId: base64(sha256(spki)) },
      },
    ],
    certificateAuthorities: [],
    ctlogs: [],
    timestampAuthorities: [],
  };
}
