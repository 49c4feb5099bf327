// Does this signature, by one of these keys, speak of this file? Pure of network: public keys, bundle, file.

import { createPublicKey, createVerify, type KeyObject, verify } from "node:crypto";
import { createReadStream } from "node:fs";

import { bundleFromJSON } from "@sigstore/bundle";

import { base64 } from "../std/base64.ts";
import { fromHex, fromUtf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import { type PssKey, pss } from "../std/rsa-pss.ts";
import { pae } from "./signature-bytes.ts";

export interface PublicKey {
  /** Where it came from, for people. */
  readonly name: string;
  readonly key: KeyObject;
  /** SHA-256 (hex) of the SPKI's DER. */
  readonly fingerprint: string;
}

/** Throws TypeError for what is no public key in PEM. */
export function parsePublicKey(name: string, pem: string): PublicKey {
  if (pem.includes("PRIVATE KEY")) throw new TypeError("it is a private key: take the public one");
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new TypeError("it is not a public key in PEM");
  }
  return { name, key, fingerprint: sha256Hex(key.export({ type: "spki", format: "der" })) };
}

/** A signature as it was found, not verified. */
export type Evidence =
  | {
      readonly kind: "blob";
      readonly signature: Uint8Array;
      /** Of the file, as the bundle says; hex with its kind before it. */
      readonly digest: string | undefined;
      readonly hint: string | undefined;
    }
  | {
      readonly kind: "statement";
      readonly signature: Uint8Array;
      /** DSSE pre-authentication encoding: what was signed. */
      readonly signed: Uint8Array;
      readonly statement: JsonObject;
      readonly hint: string | undefined;
    };

/** A Sigstore bundle v0.3 by a public key. Throws with words for anything else. */
export function parseBundle(text: string): Evidence {
  const { content, verificationMaterial: material } = bundleFromJSON(JSON.parse(text));
  const hint = material.content.$case === "publicKey" ? material.content.publicKey.hint : undefined;
  if (content.$case === "messageSignature") {
    const { messageDigest, signature } = content.messageSignature;
    const kind = messageDigest.digest.length === 48 ? "sha384" : "sha256";
    return { kind: "blob", signature, hint, digest: `${kind}:${messageDigest.digest.toString("hex")}` };
  }
  const { payload, payloadType, signatures } = content.dsseEnvelope;
  const statement: unknown = JSON.parse(fromUtf8(payload));
  if (!isJsonObject(statement)) throw new TypeError("its payload is not a statement");
  const [first] = signatures;
  if (first === undefined) throw new TypeError("it holds no signature");
  return { kind: "statement", signature: first.sig, signed: pae(payloadType, payload), statement, hint };
}

/** The key that made the signature, of those given. */
export async function signerOf(
  evidence: Evidence,
  file: string,
  keys: readonly PublicKey[],
): Promise<PublicKey | undefined> {
  for (const key of keys) if (await accepts(key.key, evidence, file)) return key;
  return undefined;
}

async function accepts(key: KeyObject, evidence: Evidence, file: string): Promise<boolean> {
  const hash = hashOf(key);
  if (evidence.kind === "statement") {
    const by = (one: KeyObject | PssKey): boolean => verify(hash ?? null, evidence.signed, one, evidence.signature);
    return by(key) || (key.asymmetricKeyType === "rsa" && by(pss(key))); // a public key does not tell its padding
  }
  if (hash === undefined) return false; // Ed25519 signs no digest
  const verifier = createVerify(hash);
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>)
    verifier.update(chunk);
  return verifier.verify(key, evidence.signature);
}

/** Undefined for Ed25519, which hashes by itself. */
function hashOf(key: KeyObject): "sha256" | "sha384" | undefined {
  if (key.asymmetricKeyType === "ed25519") return undefined;
  return key.asymmetricKeyDetails?.namedCurve === "secp384r1" ? "sha384" : "sha256";
}

/** cosign's convention: base64 of the SHA-256 of the key's SPKI. */
export const hintOf = (fingerprint: string): string => base64(fromHex(fingerprint));

/** Digests of all subjects, `sha256:<hex>`. */
export function subjectsOf(statement: JsonObject): readonly string[] {
  const subjects = statement["subject"];
  if (!Array.isArray(subjects)) return [];
  return subjects.flatMap((one) => {
    const digest = isJsonObject(one) ? one["digest"] : undefined;
    return isJsonObject(digest) && typeof digest["sha256"] === "string" ? [`sha256:${digest["sha256"]}`] : [];
  });
}
