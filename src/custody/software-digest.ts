// Digest form in this process: a signature over a digest that is used as it is. node:crypto cannot do that (its `sign`
// always hashes once more), so elliptic curves go through @noble/curves and RSA through its own padding by hand.
// docs/adr/0004-digest-form-by-noble.md says what this costs.

import { constants, type KeyObject, privateEncrypt } from "node:crypto";

import { p256, p384 } from "@noble/curves/nist.js";

import type { KeyAlgorithm, MessageAlgorithm } from "../model/key.ts";
import { fromHex } from "../std/bytes.ts";
import { digestInfo } from "../std/digest-info.ts";

/** `digest` has the length of the algorithm's hash. ECDSA as DER, RSA as PKCS#1 v1.5. Blocks for 0.5 to 2 ms. */
export function signDigest(
  algorithm: Exclude<KeyAlgorithm, MessageAlgorithm>,
  digest: Uint8Array,
  key: KeyObject,
): Uint8Array {
  switch (algorithm) {
    case "EC_P256":
      return withScalar(key, 32, (scalar) => p256.sign(digest, scalar, asGiven));
    case "EC_P384":
      return withScalar(key, 48, (scalar) => p384.sign(digest, scalar, asGiven));
    case "RSA_3072":
    case "RSA_4096":
      return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, digestInfo("sha256", digest));
  }
}

const asGiven = { prehash: false, format: "der" } as const;

/** Lends the private number for one signature and wipes it. @noble/curves makes a bigint of it, which nobody can wipe. */
function withScalar<T>(key: KeyObject, width: number, use: (scalar: Uint8Array) => T): T {
  const der = key.export({ format: "der", type: "sec1" });
  try {
    const start = sec1Head(width).length;
    if (!der.subarray(0, start).equals(sec1Head(width))) throw new TypeError("not a private key of this curve");
    return use(der.subarray(start, start + width));
  } finally {
    der.fill(0);
  }
}

/** ECPrivateKey (RFC 5915) up to the private number, as node:crypto writes it for these two curves. */
const sec1Head = (width: number): Uint8Array => (width === 32 ? sec1P256 : sec1P384);
const sec1P256 = fromHex("30770201010420");
const sec1P384 = fromHex("3081a40201010430");
