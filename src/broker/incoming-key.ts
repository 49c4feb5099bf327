// What every key has to stand before it comes in, whether it was made for us or is enrolled: its public key is one of
// the algorithm named, and no key version ever had it (one key, one purpose, under one name). What is recorded of it is
// what the custody gave evidence for, and what it only claimed, kept apart.

import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import type { BlobRef, KeyEvidence } from "../model/entry.ts";
import { Fault, type Refusal, refuse } from "../model/errors.ts";
import { isPss, type KeyAlgorithm, type KeyVersion, type Purpose, signsDigests, versionId } from "../model/key.ts";
import type { Custody, KeyDescription } from "../ports/custody.ts";
import type { Appended, Mark, Put, State } from "../ports/log.ts";
import { fromHex } from "../std/bytes.ts";
import type { Clock } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import type { Call } from "./call.ts";
import type { Parts } from "./parts.ts";
import type { Outcome } from "./unfinished.ts";

/** A custody that has not answered a question about keys by then is not there. Milliseconds. */
export const custodyDeadline = 60_000;

/** A public key in the one form in which we record and compare it. */
export interface PublicKey {
  /** SPKI, PEM; points uncompressed. */
  readonly publicKey: string;
  /** Lower-case hex SHA-256 of the SPKI's DER. */
  readonly fingerprint: string;
}

/**
 * Undefined where the PEM is no public key of this algorithm: another curve, another size, another kind. Through JWK,
 * so that two spellings of one key (a compressed point, other parameters) have one fingerprint.
 */
export function publicKeyOf(algorithm: KeyAlgorithm, pem: string): PublicKey | undefined {
  try {
    const jwk = createPublicKey(pem).export({ format: "jwk" });
    if (!isOf(algorithm, jwk)) return undefined;
    const key = createPublicKey({ key: jwk, format: "jwk" });
    return { publicKey: key.export({ format: "pem", type: "spki" }).toString(), fingerprint: fingerprintOf(key) };
  } catch {
    return undefined; // what cannot be read, or has no JWK, is none of ours
  }
}

const fingerprintOf = (key: KeyObject): string => sha256Hex(key.export({ type: "spki", format: "der" }));

function isOf(algorithm: KeyAlgorithm, { kty, crv, n, e }: JsonWebKey): boolean {
  switch (algorithm) {
    case "EC_P256":
      return kty === "EC" && crv === "P-256";
    case "EC_P384":
      return kty === "EC" && crv === "P-384";
    case "ED25519":
      return kty === "OKP" && crv === "Ed25519";
    case "RSA_3072":
    case "RSA_3072_PSS":
      return kty === "RSA" && bitsOf(n) === 3072 && usual(e);
    case "RSA_4096":
    case "RSA_4096_PSS":
      return kty === "RSA" && bitsOf(n) === 4096 && usual(e);
  }
}

/** The modulus has no leading zeros in a JWK (RFC 7518, 6.3.1.1). */
function bitsOf(modulus: string | undefined): number {
  const bytes = Buffer.from(modulus ?? "", "base64url");
  return bytes.length === 0 ? 0 : bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24;
}

/** 65537 or larger and odd, as FIPS 186-5, 5.4 asks: 3 has let forgeries through in verifiers before. */
function usual(exponent: string | undefined): boolean {
  const bytes = Buffer.from(exponent ?? "", "base64url");
  return bytes.length >= 3 && bytes.length <= 8 && ((bytes.at(-1) ?? 0) & 1) === 1;
}

/** Whether keys of this algorithm can do what keys of this purpose are for. */
export function unfit(purpose: Purpose, algorithm: KeyAlgorithm): Refusal | undefined {
  if (signsDigests(algorithm) || (purpose !== "BLOB" && purpose !== "RAW_DIGEST")) return undefined;
  return refuse(
    "ALGORITHM_UNFIT",
    `purpose ${purpose} signs digests, and ${algorithm} signs messages only`,
    isPss(algorithm)
      ? "choose a key without PSS, or purpose ATTESTATION"
      : "choose EC_P256 or RSA_3072, or purpose ATTESTATION",
  );
}

/** The key version, of any key and in any state, that has or had this public key. */
export const holderOf = (
  { fingerprint }: Pick<PublicKey, "fingerprint">,
  state: Pick<State, "records">,
): KeyVersion | undefined =>
  state
    .records("key")
    .flatMap(({ value }) => value.versions)
    .find((version) => version.fingerprint === fingerprint);

export const held = (holder: KeyVersion): Refusal =>
  refuse(
    "ALREADY_EXISTS",
    `this public key is that of ${versionId(holder)} (${holder.state}): one key has one name and one purpose`,
    `signet key show ${holder.key}`,
  );

/** Two that come in at the same moment: `holderOf` sees neither, the second one's transaction sees the first's mark. */
export const comesInOnce = ({ fingerprint }: Pick<PublicKey, "fingerprint">, clock: Clock): Mark => ({
  kind: "key",
  id: fromHex(fingerprint),
  expiresAt: clock() + moment,
});
/** From then on the record itself is seen. Milliseconds. */
const moment = 3_600_000;

/** What is recorded of a description, and the side blobs that it names. */
export function evidenceOf({ protection, guards, attestation = [] }: KeyDescription): {
  readonly evidence: KeyEvidence;
  readonly blobs: readonly Uint8Array[];
} {
  const named = attestation.length > 0 ? attestation.map(blobRef) : undefined;
  return { evidence: { protection, guards, attestation: named }, blobs: attestation };
}

export const blobRef = (bytes: Uint8Array): BlobRef => ({ blob: `sha256:${sha256Hex(bytes)}` });

/** Never throws: what fails at a custody is a Fault, and whoever asked decides what it means. */
export async function askCustody<T>(name: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T | Fault> {
  try {
    return await ask(AbortSignal.timeout(custodyDeadline));
  } catch (cause) {
    if (cause instanceof Fault) return cause;
    return new Fault("CUSTODY_DOWN", `the custody ${name} failed`, { custody: name, cause });
  }
}

/** The key that a custody has just made, described: what it is must be what it was asked for. */
export async function describeMade(custody: Custody, draft: KeyVersion): Promise<KeyDescription | Fault> {
  const found = await askCustody(draft.custody, (signal) => custody.describe(draft.uri, signal, draft));
  if (found instanceof Fault) return found;
  const wrong = (what: string): Fault =>
    new Fault("CUSTODY_DOWN", `${draft.custody} made ${versionId(draft)} and ${what}`, { custody: draft.custody });
  if (found === undefined) return wrong("does not know it");
  return publicKeyOf(draft.algorithm, found.publicKey)?.fingerprint === draft.fingerprint
    ? found
    : wrong("describes another public key");
}

/** An outcome that cannot be written is remembered and written later; the caller gets the fault. */
export async function orLater<T>(
  parts: Pick<Parts, "unfinished">,
  instead: Outcome,
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write();
  } catch (error) {
    parts.unfinished.later(instead, []);
    throw error;
  }
}

/** The three ways in which the outcome of an incoming key may be written. */
export interface Endings {
  readonly done: Outcome;
  /** The key is somebody's already. */
  readonly refused: Outcome;
  /** Where `done` could not be written, and the daemon lives to say so. */
  readonly unknown: Outcome;
}

/** Outcome and record of a key version in one transaction; refused, with an outcome of its own, where it is somebody's already. */
export async function comeIn(
  call: Call,
  incoming: { readonly version: KeyVersion; readonly blobs: readonly Uint8Array[]; readonly put: Put },
  endings: Endings,
  parts: Parts,
): Promise<Appended | Refusal> {
  const { version, blobs, put } = incoming;
  const late = async (refusal: Refusal): Promise<Refusal> => {
    await orLater(parts, endings.refused, () => parts.journal.append(call.request, () => endings.refused));
    return refusal;
  };
  const holder = holderOf(version, parts.state);
  if (holder) return late(held(holder));
  const outcome = await orLater(parts, endings.unknown, () =>
    parts.journal.append(call.request, () => endings.done, {
      blobs,
      marks: [comesInOnce(version, parts.clock)],
      puts: [put],
    }),
  );
  if (!("conflict" in outcome)) return outcome;
  const first = holderOf(version, parts.state);
  return late(first ? held(first) : moved(version.key));
}

const moved = (key: string): Refusal =>
  refuse("ALREADY_EXISTS", `there is a key "${key}" already, or it has changed a moment ago`, `signet key show ${key}`);
