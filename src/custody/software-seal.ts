// A private key at rest: PKCS#8 under AES-256-GCM, bound to the one key version it belongs to. Version 1:
//
//   "signet-sealed-key/v1\n" ‖ nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)
//
// Associated data: that first line, then the canonical JSON of key name, number, purpose and algorithm. A sealed key that
// was changed, or put in the place of another, does not open.

import { createCipheriv, createDecipheriv, createPrivateKey, type KeyObject } from "node:crypto";

import { Fault } from "../model/errors.ts";
import { type KeyVersion, versionId } from "../model/key.ts";
import { concat, equalBytes, utf8 } from "../std/bytes.ts";
import type { Random } from "../std/clock.ts";
import { canonicalJson } from "../std/json.ts";
import type { Secret } from "../std/secret.ts";

export type SealedVersion = Pick<KeyVersion, "key" | "number" | "purpose" | "algorithm">;

export const masterKeyLength = 32;

const head = utf8("signet-sealed-key/v1\n");
const nonceLength = 12;
const tagLength = 16;

/** Nonces are drawn by chance: fine for the some thousand keys that an installation ever makes (SP 800-38D: 2^32). */
export function seal(privateKey: KeyObject, version: SealedVersion, masterKey: Secret, random: Random): Uint8Array {
  const nonce = random(nonceLength);
  const plain = privateKey.export({ format: "der", type: "pkcs8" });
  try {
    const cipher = createCipheriv("aes-256-gcm", masterKey.reveal(), nonce).setAAD(associated(version));
    return concat(head, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag());
  } finally {
    plain.fill(0);
  }
}

/** Fault CUSTODY_DOWN where the bytes are not this version's key under this master key; it never says more. */
export function unseal(sealed: Uint8Array, version: SealedVersion, masterKey: Secret): KeyObject {
  const body = sealed.subarray(head.length + nonceLength, -tagLength);
  if (!equalBytes(sealed.subarray(0, head.length), head) || body.length === 0) throw doesNotOpen(version);
  const nonce = sealed.subarray(head.length, head.length + nonceLength);
  const decipher = createDecipheriv("aes-256-gcm", masterKey.reveal(), nonce, { authTagLength: tagLength })
    .setAAD(associated(version))
    .setAuthTag(sealed.subarray(-tagLength));
  const plain = decipher.update(body); // unauthenticated until final() has returned
  try {
    decipher.final();
    return createPrivateKey({ key: plain, format: "der", type: "pkcs8" });
  } catch {
    throw doesNotOpen(version);
  } finally {
    plain.fill(0);
  }
}

const associated = ({ key, number, purpose, algorithm }: SealedVersion): Uint8Array =>
  concat(head, utf8(canonicalJson({ key, number, purpose, algorithm })));

const doesNotOpen = (version: SealedVersion): Fault =>
  new Fault(
    "CUSTODY_DOWN",
    `the sealed private key of ${versionId(version)} does not open: it is damaged, belongs to another key version, or was sealed under another master key`,
    { nothingHappened: true },
  );
