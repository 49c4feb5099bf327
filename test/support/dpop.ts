// DPoP proofs, right ones and wrong ones: whatever a claim or header should not be can be said here.

import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { jwkThumbprint } from "../../src/identity/thumbprint.ts";
import { base64url } from "../../src/std/base64.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { sha256 } from "../../src/std/digest.ts";

export interface ProofKey {
  readonly alg: "ES256" | "EdDSA";
  readonly privateKey: KeyObject;
  /** Public members. */
  readonly jwk: Readonly<Record<string, string>>;
  readonly jkt: string;
}

export function newProofKey(alg: ProofKey["alg"] = "ES256"): ProofKey {
  const { privateKey } =
    alg === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("ed25519");
  const jwk = createPublicKey(privateKey).export({ format: "jwk" }) as Record<string, string>;
  return { alg, privateKey, jwk, jkt: jwkThumbprint(jwk) };
}

export interface ProofWanted {
  readonly url: string;
  /** POST unless given. */
  readonly method?: string;
  /** Empty unless given. */
  readonly body?: Uint8Array | string;
  readonly nonce?: string;
  readonly token?: string;
  /** Milliseconds since the epoch; now unless given. */
  readonly at?: number;
  readonly jti?: string;
  /** Over the right ones; a member of undefined is left out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  /** Signs instead of the key that the header shows. */
  readonly signedBy?: ProofKey;
}

/** The compact JWS for the DPoP header. */
export function makeProof(key: ProofKey, wanted: ProofWanted): string {
  const header = { typ: "dpop+jwt", alg: key.alg, jwk: key.jwk, ...wanted.header };
  const claims = {
    jti: wanted.jti ?? base64url(randomBytes(16)),
    htm: wanted.method ?? "POST",
    htu: wanted.url,
    iat: Math.floor((wanted.at ?? Date.now()) / 1000),
    bsh: base64url(sha256(wanted.body ?? "")),
    ...(wanted.nonce === undefined ? {} : { nonce: wanted.nonce }),
    ...(wanted.token === undefined ? {} : { ath: base64url(sha256(wanted.token)) }),
    ...wanted.claims,
  };
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${base64url(signature(wanted.signedBy ?? key, utf8(input)))}`;
}

const encode = (value: object): string => base64url(utf8(JSON.stringify(value)));

const signature = ({ alg, privateKey }: ProofKey, input: Uint8Array): Uint8Array =>
  alg === "ES256"
    ? sign("sha256", input, { key: privateKey, dsaEncoding: "ieee-p1363" })
    : sign(null, input, privateKey);
