// Whether signatures that came from outside the process are what was asked for, by the key that the log names.
// A custody may return garbage, or a signature by another key or another version: nothing of that is released.

import { createPublicKey, type KeyObject, publicDecrypt, verify as verifyMessage } from "node:crypto";
import { p256, p384 } from "@noble/curves/nist.js";
import { hashOf, isPss, type KeyAlgorithm, type KeyVersion } from "../model/key.ts";
import type { ToBeSigned } from "../ports/custody.ts";
import { equalBytes } from "../std/bytes.ts";
import { digestInfo } from "../std/digest-info.ts";
import { pss } from "../std/rsa-pss.ts";

export function verifies(
  version: KeyVersion,
  items: readonly ToBeSigned[],
  signatures: readonly Uint8Array[],
): boolean {
  const key = createPublicKey(version.publicKey);
  return (
    signatures.length === items.length &&
    items.every((item, index) => one(version.algorithm, key, item, signatures[index] ?? new Uint8Array()))
  );
}

function one(algorithm: KeyAlgorithm, key: KeyObject, item: ToBeSigned, signature: Uint8Array): boolean {
  try {
    return item.form === "message"
      ? verifyMessage(hashOf(algorithm), item.bytes, isPss(algorithm) ? pss(key) : key, signature)
      : overDigest(algorithm, key, item, signature);
  } catch {
    return false; // malformed is wrong; why does not matter to anyone
  }
}

/** node:crypto would hash the digest once more, hence the two ways round it. */
function overDigest(
  algorithm: KeyAlgorithm,
  key: KeyObject,
  item: Extract<ToBeSigned, { form: "digest" }>,
  signature: Uint8Array,
): boolean {
  switch (algorithm) {
    case "EC_P256":
      return p256.verify(signature, item.bytes, point(key), { prehash: false, format: "der", lowS: false });
    case "EC_P384":
      return p384.verify(signature, item.bytes, point(key), { prehash: false, format: "der", lowS: false });
    case "RSA_3072":
    case "RSA_4096":
      return equalBytes(publicDecrypt(key, signature), digestInfo(item.hash, item.bytes));
    case "ED25519":
    case "RSA_3072_PSS":
    case "RSA_4096_PSS":
      return false; // messages only
  }
}

/** Uncompressed point (SEC 1, 2.3.3). */
function point(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: "jwk" });
  return Buffer.concat([Buffer.of(4), Buffer.from(x ?? "", "base64url"), Buffer.from(y ?? "", "base64url")]);
}
