// A custody is outside: what it calls a public key of some algorithm is looked at, and every spelling of one key is one.

import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { expect, test } from "vitest";
import { publicKeyOf } from "../../src/broker/incoming-key.ts";
import { type KeyAlgorithm, keyAlgorithms } from "../../src/model/key.ts";
import { sha256Hex } from "../../src/std/digest.ts";

const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();
const ec = (namedCurve: string): string => pem(generateKeyPairSync("ec", { namedCurve }).publicKey);
const rsa = (modulusLength: number, publicExponent = 65_537): string =>
  pem(generateKeyPairSync("rsa", { modulusLength, publicExponent }).publicKey);

const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa3072 = rsa(3072);
const genuine: readonly (readonly [KeyAlgorithm, string])[] = [
  ["EC_P256", pem(p256.publicKey)],
  ["EC_P384", ec("P-384")],
  ["ED25519", pem(generateKeyPairSync("ed25519").publicKey)],
  ["RSA_3072", rsa3072],
  ["RSA_3072_PSS", rsa3072],
];

test.each(genuine)("a genuine %s key is taken as it is, with the fingerprint of its DER", (algorithm, text) => {
  const der = createPublicKey(text).export({ type: "spki", format: "der" });
  expect(publicKeyOf(algorithm, text)).toEqual({ publicKey: text, fingerprint: sha256Hex(der) });
});

test("each of them is a key of no other algorithm, but for the two paddings of RSA", () => {
  for (const [algorithm, text] of genuine)
    for (const other of keyAlgorithms)
      if (other.replace("_PSS", "") !== algorithm.replace("_PSS", ""))
        expect(publicKeyOf(other, text), `${algorithm} as ${other}`).toBeUndefined();
});

test.each<readonly [string, KeyAlgorithm, string]>([
  ["secp256k1, of the same length as P-256", "EC_P256", ec("secp256k1")],
  ["P-521", "EC_P384", ec("P-521")],
  ["Ed448", "ED25519", pem(generateKeyPairSync("ed448").publicKey)],
  ["X25519, which signs nothing", "ED25519", pem(generateKeyPairSync("x25519").publicKey)],
  ["RSA with 2048 bits", "RSA_3072", rsa(2048)],
  ["RSA with 3071 bits", "RSA_3072", rsa(3071)],
  ["RSA with the exponent 3", "RSA_3072", rsa(3072, 3)],
  [
    "an RSA key that is bound to PSS by its identifier",
    "RSA_3072",
    pem(generateKeyPairSync("rsa-pss", { modulusLength: 3072 }).publicKey),
  ],
  ["no PEM", "EC_P256", "ssh-ed25519 AAAA"],
  ["nothing", "EC_P256", ""],
])("%s is refused", (_, algorithm, text) => {
  expect(publicKeyOf(algorithm, text)).toBeUndefined();
});

test("of a private key that a careless backend hands out, only the public half is kept", () => {
  const text = p256.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  expect(publicKeyOf("EC_P256", text)?.publicKey).toBe(pem(p256.publicKey));
});
