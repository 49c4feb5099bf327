// A new key, in pre-activation: an outside effect like any other, so it stands between an intent and an outcome.
//
// Die between them and a private key may exist that nothing names: asking again finds it (a custody makes one version
// once), the old intent stays visible as unfinished.

import { createPublicKey } from "node:crypto";
import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { isKeyName, type Key, type KeyAlgorithm, type KeyVersion, type Purpose } from "../model/key.ts";
import type { Custody, NewKey } from "../ports/custody.ts";
import type { Appended } from "../ports/log.ts";
import { hex } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields } from "./call.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import type { Receipt } from "./index.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";

export interface CreateKeyRequest {
  readonly name: string;
  readonly purpose: Purpose;
  readonly algorithm: KeyAlgorithm;
  readonly custody: string;
}

const custodyDeadline = 60_000;

export async function createKey(
  call: Call,
  request: CreateKeyRequest,
  parts: Parts,
): Promise<{ readonly key: Key; readonly receipt: Receipt } | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "key.create",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
    keys: [shown(request.name)],
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const custody = suitable(request, parts);
  if (isRefusal(custody)) return parts.journal.refused(custody, { ...about, presented: asker.presented });

  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const subject = {
    ...fields,
    key: request.name,
    purpose: request.purpose,
    algorithm: request.algorithm,
    custody: request.custody,
  };
  const intent = await parts.journal.append(call.request, () => ({ type: "key.create.intent", ...subject }), {
    blobs,
    ...byPerson(asker, parts.state),
  });
  if ("conflict" in intent) return parts.journal.refused(proofUsed, about);
  parts.step("key.after-create-intent");

  const made = await make(custody, request);
  parts.step("key.after-create");
  const ref = { index: intent.index, hash: hex(intent.hash) };
  if (made instanceof Fault) {
    const failed = {
      type: "key.create.outcome" as const,
      ...subject,
      intent: ref,
      result: made.nothingHappened ? ("failed" as const) : ("unknown" as const),
      code: made.code,
    };
    await orLater(parts, failed, () => parts.journal.append(call.request, () => failed));
    throw made;
  }
  const key = firstVersion(request, made, rfc3339(parts.clock()));
  const done = {
    type: "key.create.outcome" as const,
    ...subject,
    intent: ref,
    result: "done" as const,
    version: 1,
    publicKey: key.version.publicKey,
    uri: made.uri,
  };
  const dropped = { ...done, result: "unknown" as const, code: "LOG_NOT_DURABLE" as const };
  const outcome = await orLater(parts, dropped, () =>
    parts.journal.append(call.request, () => done, {
      puts: [{ kind: "key", id: request.name, value: key.role, expects: 0 }],
    }),
  );
  if ("conflict" in outcome) {
    const late = { type: "key.create.outcome" as const, ...subject, intent: ref, result: "failed" as const }; // the custody found the key that was made first
    await orLater(parts, late, () => parts.journal.append(call.request, () => late));
    return parts.journal.refused(taken(request.name), about);
  }
  return { key: key.role, receipt: receiptOf(outcome) };
}

function suitable(request: CreateKeyRequest, parts: Parts): (Custody & Required<Pick<Custody, "create">>) | Refusal {
  if (!isKeyName(request.name))
    return refuse(
      "INPUT_INVALID",
      `"${shown(request.name)}" is not a key name`,
      "use 1 to 63 lower-case letters, digits and inner hyphens",
    );
  if (parts.state.record("key", request.name)) return taken(request.name);
  const custody = parts.custodies.get(request.custody);
  if (!custody)
    return refuse(
      "NOT_FOUND",
      `no custody "${shown(request.custody)}" is configured; there is ${[...parts.custodies.keys()].join(", ")}`,
      "name one of them, or add it to the configuration",
    );
  if (!creates(custody))
    return refuse("INPUT_INVALID", `custody "${request.custody}" cannot make keys`, "make the key there and enroll it");
  if (!custody.algorithms.includes(request.algorithm))
    return refuse(
      "ALGORITHM_UNFIT",
      `custody "${request.custody}" holds ${custody.algorithms.join(", ")}, not ${request.algorithm}`,
    );
  if (request.algorithm === "ED25519" && (request.purpose === "BLOB" || request.purpose === "RAW_DIGEST")) {
    return refuse(
      "ALGORITHM_UNFIT",
      `purpose ${request.purpose} signs digests, and Ed25519 signs messages only`,
      "choose EC_P256 or RSA_3072, or purpose ATTESTATION",
    );
  }
  return custody;
}

const creates = (custody: Custody): custody is Custody & Required<Pick<Custody, "create">> =>
  custody.create !== undefined;
const taken = (name: string): Refusal =>
  refuse("ALREADY_EXISTS", `there is a key "${name}" already`, "choose another name");

async function make(custody: Required<Pick<Custody, "create">>, request: CreateKeyRequest): Promise<NewKey | Fault> {
  try {
    return await custody.create(
      { key: request.name, number: 1, purpose: request.purpose, algorithm: request.algorithm },
      AbortSignal.timeout(custodyDeadline),
    );
  } catch (error) {
    return error instanceof Fault
      ? error
      : new Fault("CUSTODY_DOWN", "the custody failed while it made a key", { cause: error });
  }
}

/** An outcome that cannot be written is remembered and written later; the caller gets the fault. */
async function orLater<T>(
  parts: Parts,
  instead: Parameters<Parts["unfinished"]["later"]>[0],
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write();
  } catch (error) {
    parts.unfinished.later(instead, []);
    throw error;
  }
}

function firstVersion(
  request: CreateKeyRequest,
  made: NewKey,
  at: string,
): { readonly role: Key; readonly version: KeyVersion } {
  const version: KeyVersion = {
    key: request.name,
    number: 1,
    purpose: request.purpose,
    algorithm: request.algorithm,
    state: "PRE_ACTIVATION",
    custody: request.custody,
    uri: made.uri,
    publicKey: made.publicKey,
    fingerprint: sha256Hex(createPublicKey(made.publicKey).export({ type: "spki", format: "der" })),
    createdAt: at,
  };
  return { role: { name: request.name, purpose: request.purpose, versions: [version] }, version };
}

export interface KeyChanged {
  readonly key: Key;
  readonly receipt: Receipt;
}
export const changed = (key: Key, appended: Appended): KeyChanged => ({ key, receipt: receiptOf(appended) });
