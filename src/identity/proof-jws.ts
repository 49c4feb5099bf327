// Is this text a proof, signed by the key that it shows? RFC 9449, section 4.2 and the first half of 4.3: the form of
// the JWS, its header, its signature. What it proves, and for which request, is dpop.ts's question.
//
// It runs on every request. A header says the same thing each time, so its key is imported once and kept by the
// header's text; only keys that have verified a signature are kept, so strangers cannot fill the memory with names.

import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { LRUCache } from "lru-cache";
import { fromBase64url } from "../std/base64.ts";
import { fromUtf8, utf8 } from "../std/bytes.ts";
import { ecdsaDer } from "../std/ecdsa-der.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import { jwkThumbprint } from "./thumbprint.ts";

export interface ProofJws {
  readonly claims: JsonObject;
  /** RFC 7638 thumbprint of the key in the header. */
  readonly jkt: string;
  /** Costs 70 µs of a thread of the pool: asked last. */
  readonly isSigned: () => Promise<boolean>;
}

interface ProofKey {
  readonly alg: "ES256" | "EdDSA";
  readonly key: KeyObject;
  readonly jkt: string;
}

/** Characters. */
const maxLength = 4096;
const maxHeaderLength = 1536;

export type ReadProof = (jws: string) => ProofJws | { readonly wrong: string };

/** `wrong` completes "the proof …". Never throws. */
export function proofReader(remembered = 10_000): ReadProof {
  const keys = new LRUCache<string, ProofKey>({ max: remembered });
  return (jws) => {
    const [, header, payload, signature] = jws.length > maxLength ? [] : (compactJws.exec(jws) ?? []);
    if (header === undefined || payload === undefined || signature === undefined || header.length > maxHeaderLength) {
      return { wrong: "is not one compact JWS of at most 4,096 characters" };
    }
    const claims = jsonObject(payload);
    if (!claims) return { wrong: "has no JSON object for its claims" };
    const key = keys.get(header) ?? readHeader(header);
    if ("wrong" in key) return key;
    return {
      claims,
      jkt: key.jkt,
      isSigned: async () => {
        const signed = await isSignedBy(key, utf8(`${header}.${payload}`), signature);
        if (signed) keys.set(header, key);
        return signed;
      },
    };
  };
}

const compactJws = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})$/;

function jsonObject(part: string): JsonObject | undefined {
  const value = attempt((): unknown => JSON.parse(fromUtf8(fromBase64url(part))));
  return isJsonObject(value) ? value : undefined;
}

function readHeader(part: string): ProofKey | { readonly wrong: string } {
  const header = jsonObject(part);
  if (!header) return { wrong: "has no JSON object for its header" };
  const { typ, alg, jwk, crit } = header;
  if (typ !== "dpop+jwt") return { wrong: 'is not of typ "dpop+jwt"' };
  if (crit !== undefined) return { wrong: "demands an extension (crit) that is not understood here" };
  if (!isJsonObject(jwk)) return { wrong: "shows no public key (jwk)" };
  if (privateMembers.some((name) => Object.hasOwn(jwk, name)))
    return { wrong: "shows a private key: that key is spoilt" };
  // "EdDSA" of RFC 8037 is "Ed25519" in RFC 9864.
  if (alg === "ES256") return proofKey("ES256", jwk, isP256) ?? { wrong: "shows no P-256 key for ES256" };
  if (alg === "EdDSA" || alg === "Ed25519")
    return proofKey("EdDSA", jwk, isEd25519) ?? { wrong: "shows no Ed25519 key for EdDSA" };
  return { wrong: "is not signed with ES256 or EdDSA" };
}

/** RFC 7518, 6.2.2, 6.3.2, 6.4. */
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] as const;

const isP256 = ({ kty, crv, x, y }: JsonObject): boolean =>
  kty === "EC" && crv === "P-256" && is32Bytes(x) && is32Bytes(y);
const isEd25519 = ({ kty, crv, x }: JsonObject): boolean => kty === "OKP" && crv === "Ed25519" && is32Bytes(x);

/** Strict base64url: a lax reader would give one key many thumbprints. */
const is32Bytes = (value: unknown): boolean =>
  typeof value === "string" && attempt(() => fromBase64url(value))?.length === 32;

function proofKey(alg: ProofKey["alg"], jwk: JsonObject, fits: (jwk: JsonObject) => boolean): ProofKey | undefined {
  if (!fits(jwk)) return undefined;
  const { kty, crv, x, y } = jwk;
  // Only what the thumbprint covers reaches the importer. OpenSSL refuses a point that is not on the curve.
  const key = attempt(() => createPublicKey({ key: { kty, crv, x, y } as Record<string, string>, format: "jwk" }));
  return key && { alg, key, jkt: jwkThumbprint(jwk) };
}

async function isSignedBy({ alg, key }: ProofKey, signingInput: Uint8Array, signature: string): Promise<boolean> {
  const bytes = attempt(() => fromBase64url(signature));
  if (bytes?.length !== 64) return false;
  // r‖s to DER by hand: `dsaEncoding: "ieee-p1363"` costs 30 µs more.
  return alg === "ES256"
    ? verifyInPool("sha256", signingInput, key, ecdsaDer(bytes))
    : verifyInPool(null, signingInput, key, bytes);
}

const verifyInPool = (
  hash: "sha256" | null,
  signed: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): Promise<boolean> =>
  new Promise((resolve, reject) => {
    verify(hash, signed, key, signature, (error, is) => {
      if (error === null) resolve(is);
      else reject(error);
    });
  });

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
