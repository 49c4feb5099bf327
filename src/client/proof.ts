// Proof of possession: each request is signed with the caller's own key (DPoP, RFC 9449), so that a stolen token is
// worth nothing without it. Beside the standard claims `bsh` holds the hash of the body, which the server checks.

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

import { base64url, fromBase64url } from "../std/base64.ts";
import { utf8 } from "../std/bytes.ts";
import type { Clock, Random } from "../std/clock.ts";
import { sha256 } from "../std/digest.ts";

/** A P-256 key that the caller holds. Of a job: made in memory, gone with the job. */
export interface ProofKey {
  readonly privateKey: KeyObject;
  /** RFC 7517, the public members that RFC 7638 hashes, in its order. */
  readonly jwk: { readonly crv: "P-256"; readonly kty: "EC"; readonly x: string; readonly y: string };
  /** RFC 7638 thumbprint, SHA-256, base64url: `jkt`. */
  readonly thumbprint: string;
}

export const newProofKey = (): ProofKey => proofKeyOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);

/** PKCS#8 PEM. Throws TypeError for anything but a P-256 private key. */
export function parseProofKey(pem: string): ProofKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new TypeError("it is not a private key in PEM");
  }
  return proofKeyOf(key);
}

export const formatProofKey = ({ privateKey }: ProofKey): string =>
  privateKey.export({ type: "pkcs8", format: "pem" }).toString();

function proofKeyOf(privateKey: KeyObject): ProofKey {
  const { crv, x, y } = createPublicKey(privateKey).export({ format: "jwk" });
  if (crv !== "P-256" || x === undefined || y === undefined) throw new TypeError("it is not a P-256 key");
  const jwk = { crv, kty: "EC", x, y } as const;
  return { privateKey, jwk, thumbprint: base64url(sha256(JSON.stringify(jwk))) };
}

/** What one proof is made for. */
export interface ProofClaims {
  readonly method: string;
  /** Scheme, authority and path; without query (RFC 9449, 4.2). */
  readonly url: string;
  readonly body: Uint8Array;
  /** The access token of the request, if it carries one. */
  readonly token: string | undefined;
  /** As the server gave it last. */
  readonly nonce: string | undefined;
}

/** The value of the DPoP header: good for one request. */
export function proofFor(key: ProofKey, claims: ProofClaims, clock: Clock, random: Random): string {
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: key.jwk };
  const payload = {
    htm: claims.method,
    htu: claims.url,
    iat: Math.floor(clock() / 1000),
    jti: base64url(random(16)),
    bsh: base64url(sha256(claims.body)),
    ...(claims.token === undefined ? {} : { ath: base64url(sha256(claims.token)) }),
    ...(claims.nonce === undefined ? {} : { nonce: claims.nonce }),
  };
  const input = `${encode(header)}.${encode(payload)}`;
  const signature = sign("sha256", utf8(input), { key: key.privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${base64url(signature)}`;
}

const encode = (value: object): string => base64url(utf8(JSON.stringify(value)));

/** Claims of a token, unverified: for showing to the person who holds it, never for deciding. */
export function unverifiedClaims(token: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(fromBase64url(token.split(".")[1] ?? "")).toString("utf8"));
    return typeof claims === "object" && claims !== null ? { ...claims } : {};
  } catch {
    return {};
  }
}
