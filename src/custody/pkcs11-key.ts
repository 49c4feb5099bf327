// What do a module's attributes say of a key: which public key, which algorithm, what does it claim?
//
// Attributes prove nothing: softokn wraps keys that it calls not extractable, tpm2-pkcs11 lets a caller change the word.
// What speaks against a key is believed, what speaks for it is shown as claimed.

import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";

import { isPss, type KeyAlgorithm, type KeyVersion, type Protection } from "../model/key.ts";
import { base64url } from "../std/base64.ts";
import { fromHex, utf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson } from "../std/json.ts";
import type { Claims, Mechanism, PublicPart, TokenInfo } from "./pkcs11-wire.ts";

/** The public key that CKA_EC_PARAMS and CKA_EC_POINT or modulus and exponent make; undefined where we hold no such keys. */
export function publicKeyOf(part: PublicPart): KeyObject | undefined {
  const jwk = "modulus" in part ? rsaJwk(part) : curveJwk(part);
  if (jwk === undefined) return undefined;
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return undefined; // not a point of the curve
  }
}

const rsaJwk = ({ modulus, exponent }: { readonly modulus: string; readonly exponent: string }): JsonWebKey => ({
  kty: "RSA",
  n: base64url(significant(fromHex(modulus))),
  e: base64url(significant(fromHex(exponent))),
});

/** CKA_EC_PARAMS as DER: an OID, or for Edwards curves also the name of PKCS#11 3.0 as a PrintableString. */
const curves: Readonly<Record<string, { readonly crv: "P-256" | "P-384" | "Ed25519"; readonly width: number }>> = {
  "06082a8648ce3d030107": { crv: "P-256", width: 32 },
  "06052b81040022": { crv: "P-384", width: 48 },
  "06032b6570": { crv: "Ed25519", width: 32 },
  "130c656477617264733235353139": { crv: "Ed25519", width: 32 },
};

function curveJwk({
  ecParams,
  ecPoint,
}: {
  readonly ecParams: string;
  readonly ecPoint: string;
}): JsonWebKey | undefined {
  const curve = curves[ecParams];
  if (curve === undefined) return undefined;
  const { crv, width } = curve;
  const point = unwrapped(fromHex(ecPoint), crv === "Ed25519" ? width : 1 + 2 * width);
  if (point === undefined) return undefined;
  if (crv === "Ed25519") return { kty: "OKP", crv, x: base64url(point) };
  if (point[0] !== 4) return undefined; // X9.62, 4.3.6: only the uncompressed form has both numbers
  return { kty: "EC", crv, x: base64url(point.subarray(1, 1 + width)), y: base64url(point.subarray(1 + width)) };
}

/** A point is a DER OCTET STRING by the standard; some modules give its contents. All of ours are shorter than 128 bytes. */
function unwrapped(bytes: Uint8Array, length: number): Uint8Array | undefined {
  if (bytes.length === length) return bytes;
  return bytes.length === length + 2 && bytes[0] === 4 && bytes[1] === length ? bytes.subarray(2) : undefined;
}

function significant(number: Uint8Array): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0);
  return number.subarray(Math.max(0, first));
}

/** `known`: what the key was recorded as, since an RSA key does not tell its padding. */
export function algorithmOf(key: KeyObject, known: KeyAlgorithm | undefined): KeyAlgorithm | undefined {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ed25519") return "ED25519";
  if (namedCurve === "prime256v1") return "EC_P256";
  if (namedCurve === "secp384r1") return "EC_P384";
  if (modulusLength !== 3072 && modulusLength !== 4096) return undefined;
  const bits = modulusLength === 3072 ? "RSA_3072" : "RSA_4096";
  return known === `${bits}_PSS` ? known : bits;
}

/** The level is that of a key in this process: no module has proved more, wherever it keeps the key. */
export function protectionOf(claims: Claims, token: TokenInfo): Protection {
  const says = (holds: boolean | null, words: string): readonly string[] => (holds === true ? [words] : []);
  return {
    level: "PROCESS",
    exportable: claims.extractable === true || claims.sensitive === false ? "YES" : "UNKNOWN",
    proved: [],
    claimed: [
      `token ${[token.manufacturer, token.model].filter((text) => text !== "").join(" ")}`,
      ...says(token.hardware, "in hardware (CKF_HW_SLOT)"),
      ...says(claims.sensitive, "sensitive (CKA_SENSITIVE)"),
      ...says(claims.extractable === null ? null : !claims.extractable, "not extractable (CKA_EXTRACTABLE)"),
      ...says(claims.neverExtractable, "never was extractable (CKA_NEVER_EXTRACTABLE)"),
      ...says(claims.local, "made in the token (CKA_LOCAL)"),
      ...says(claims.alwaysAuthenticate, "asks for the PIN at each use (CKA_ALWAYS_AUTHENTICATE)"),
    ],
  };
}

export const guardsOf = (claims: Claims): string => sha256Hex(utf8(canonicalJson(claims)));

/** How the key is used: which mechanism, over what of the message. */
export interface Use {
  readonly mechanism: Mechanism;
  readonly over: "digest" | "digest-info" | "message";
}

/** CKM_* numbers of what we sign with; the raw ones come first, since then the message needs not travel. */
const uses = {
  ec256: [
    [0x1041, { mechanism: "ECDSA", over: "digest" }],
    [0x1044, { mechanism: "ECDSA_SHA256", over: "message" }],
  ],
  ec384: [
    [0x1041, { mechanism: "ECDSA", over: "digest" }],
    [0x1045, { mechanism: "ECDSA_SHA384", over: "message" }],
  ],
  rsa: [
    [0x1, { mechanism: "RSA_PKCS", over: "digest-info" }],
    [0x40, { mechanism: "SHA256_RSA_PKCS", over: "message" }],
  ],
  pss: [
    [0xd, { mechanism: "RSA_PSS_SHA256", over: "digest" }],
    [0x43, { mechanism: "SHA256_RSA_PSS", over: "message" }],
  ],
} as const satisfies Record<string, readonly (readonly [number, Use])[]>;

/** Best first; never empty: lists of mechanisms are known to be incomplete, so the usual one is tried where none is listed. */
export function usesOf(algorithm: KeyAlgorithm, listed: readonly number[]): readonly [Use, ...Use[]] {
  if (algorithm === "ED25519") return [{ mechanism: "EDDSA", over: "message" }];
  const table = isPss(algorithm)
    ? uses.pss
    : algorithm === "EC_P256"
      ? uses.ec256
      : algorithm === "EC_P384"
        ? uses.ec384
        : uses.rsa;
  const [first, second] = table.filter(([number]) => listed.includes(number)).map(([, use]): Use => use);
  if (first === undefined) return [table[0][1], table[1][1]];
  return second === undefined ? [first] : [first, second];
}

/** What the token can make, by what it lists. */
export function algorithmsOf(token: TokenInfo, all: readonly KeyAlgorithm[]): readonly KeyAlgorithm[] {
  const makes = (number: number): boolean => token.mechanisms.includes(number);
  const signs = (algorithm: KeyAlgorithm, ...numbers: readonly number[]): readonly KeyAlgorithm[] =>
    numbers.some(makes) ? [algorithm] : [];
  const can = new Set<KeyAlgorithm>([
    ...(makes(0x1040) ? [...signs("EC_P256", 0x1041, 0x1044), ...signs("EC_P384", 0x1041, 0x1045)] : []),
    ...(makes(0x1055) ? signs("ED25519", 0x1057) : []),
    ...(makes(0) && token.rsaBits >= 3072 ? [...signs("RSA_3072", 1, 0x40), ...signs("RSA_3072_PSS", 0xd, 0x43)] : []),
    ...(makes(0) && token.rsaBits >= 4096 ? [...signs("RSA_4096", 1, 0x40), ...signs("RSA_4096_PSS", 0xd, 0x43)] : []),
  ]);
  return all.filter((algorithm) => can.has(algorithm));
}

/** CKA_ID of a key that we make: the same for the same version, on every token. */
export const idOf = ({ key, number }: Pick<KeyVersion, "key" | "number">): string =>
  sha256Hex(utf8(`signet key ${key}/${String(number)}`)).slice(0, 40);

/** CKA_LABEL. */
export const labelOf = ({ key, number }: Pick<KeyVersion, "key" | "number">): string => `${key}-${String(number)}`;
