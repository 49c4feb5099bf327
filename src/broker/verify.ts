// Whether signatures that came from outside the process are what was asked for, by the key that the log names.
// A custody may return garbage, or a signature by another key or another version: nothing of that is released.
//
// A verification costs three signatures. In message form the thread pool makes it; in digest form no pooled function
// does, so it runs here, one for each turn of the event loop.

import { createPublicKey, type KeyObject, publicDecrypt, verify as verifyMessage } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { p256, p384 } from "@noble/curves/nist.js";
import { hashOf, isPss, type KeyAlgorithm, type KeyVersion } from "../model/key.ts";
import type { ToBeSigned } from "../ports/custody.ts";
import { equalBytes } from "../std/bytes.ts";
import { digestInfo } from "../std/digest-info.ts";
import { pss } from "../std/rsa-pss.ts";

/** All of them, or false. Throws where the version's own public key cannot be read. */
export async function verifies(
  version: KeyVersion,
  items: readonly ToBeSigned[],
  signatures: readonly Uint8Array[],
): Promise<boolean> {
  if (signatures.length !== items.length) return false;
  const key = publicKeyOf(version);
  const pooled: Promise<boolean>[] = [];
  for (const [index, item] of items.entries()) {
    const signature = signatures[index] ?? new Uint8Array();
    if (item.form === "message") pooled.push(overMessage(version.algorithm, key, item.bytes, signature));
    else {
      if (!overDigest(version.algorithm, key, item, signature)) return false;
      await nextTurn();
    }
  }
  return (await Promise.all(pooled)).every(Boolean);
}

/** Reading a PEM text costs as much as a signature; versions are few and live long. */
const read = new WeakMap<KeyVersion, KeyObject>();

function publicKeyOf(version: KeyVersion): KeyObject {
  const known = read.get(version);
  if (known !== undefined) return known;
  const key = createPublicKey(version.publicKey);
  read.set(version, key);
  return key;
}

/** Malformed is wrong; why does not matter to anyone. */
const overMessage = (
  algorithm: KeyAlgorithm,
  key: KeyObject,
  bytes: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> =>
  new Promise((resolve) => {
    const done = (error: Error | null, is: boolean): void => {
      resolve(error === null && is);
    };
    verifyMessage(hashOf(algorithm), bytes, isPss(algorithm) ? pss(key) : key, signature, done);
  });

function overDigest(...asked: Parameters<typeof digestVerifies>): boolean {
  try {
    return digestVerifies(...asked);
  } catch {
    return false; // as above
  }
}

/** node:crypto would hash the digest once more, hence the two ways round it. */
function digestVerifies(
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
