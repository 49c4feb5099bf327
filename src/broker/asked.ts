// A sign request after parsing: what every later step of the cycle is about.

import type { Finished } from "../formats/index.ts";
import { Fault } from "../model/errors.ts";
import type { ItemRecord } from "../model/item.ts";
import type { SigningSession } from "../model/session.ts";
import { sha256, sha256Hex } from "../std/digest.ts";
import { canonicalJson } from "../std/json.ts";
import type { Call, Presented } from "./call.ts";
import type { Parsed, SignRequest } from "./guard.ts";
import type { About } from "./journal.ts";

/** A parsed request of a session, on its way. */
export interface Asked extends Parsed {
  readonly call: Call;
  readonly session: SigningSession;
  readonly presented: Presented;
  readonly request: SignRequest;
  readonly records: readonly ItemRecord[];
  readonly attempt: Attempted;
  readonly about: About;
}

export interface Attempted {
  /** SHA-256 over session and idempotency key. */
  readonly id: Uint8Array;
  /** SHA-256 (hex) of what was asked: key, and per item its kind and the hash of what is signed. */
  readonly request: string;
}

export const attemptId = ({ id }: Pick<SigningSession, "id">, { idempotencyKey }: SignRequest): Uint8Array =>
  sha256(`${id}\0${idempotencyKey}`);

export const attemptOf = (
  session: SigningSession,
  request: SignRequest,
  records: readonly ItemRecord[],
): Attempted => ({
  id: attemptId(session, request),
  request: sha256Hex(canonicalJson([request.key, ...records.map((one) => `${one.kind} ${one.signed}`)])),
});

export const finish = (what: Parsed, signatures: readonly Uint8Array[]): readonly Finished[] =>
  signaturesOf(what.prepared.length, signatures).map((signature, index) => {
    const one = what.prepared[index];
    if (!one) throw new Error("more signatures than items");
    return one.finish(signature, what.version);
  });

/** As many signatures as items, or it is not an answer. */
function signaturesOf(items: number, signatures: readonly Uint8Array[]): readonly Uint8Array[] {
  if (signatures.length !== items)
    throw new Fault("SIGNATURE_WRONG", `${String(items)} items, ${String(signatures.length)} signatures`);
  return signatures;
}
