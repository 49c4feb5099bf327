// A new key, in pre-activation: an outside effect like any other, so it stands between an intent and an outcome.
//
// Die between them and a private key may exist that nothing names: asking again finds it (a custody makes one version
// once), the old intent stays visible as unfinished. What was found of it when it came in is recorded with it.

import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { isKeyName, type Key, type KeyAlgorithm, type KeyVersion, type Purpose } from "../model/key.ts";
import type { Custody } from "../ports/custody.ts";
import type { Appended } from "../ports/log.ts";
import { hex } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields } from "./call.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import { askCustody, comeIn, describeMade, evidenceOf, orLater, publicKeyOf, unfit } from "./incoming-key.ts";
import type { Receipt } from "./index.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";

export interface CreateKeyRequest {
  readonly name: string;
  readonly purpose: Purpose;
  readonly algorithm: KeyAlgorithm;
  readonly custody: string;
}

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
  const half = await halfMade(request, parts);
  if (half) return parts.journal.refused(half, { ...about, presented: asker.presented });

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

  const made = await make(custody, request, parts);
  parts.step("key.after-create");
  const ref = { index: intent.index, hash: hex(intent.hash) };
  const ending = { type: "key.create.outcome" as const, ...subject, intent: ref };
  if ("fault" in made) {
    const { fault, result } = made;
    const failed = { ...ending, result, code: fault.code };
    await orLater(parts, failed, () => parts.journal.append(call.request, () => failed));
    throw fault;
  }
  const { version, evidence, blobs: certificates } = made;
  const key: Key = { name: request.name, purpose: request.purpose, versions: [version] };
  const { number, publicKey, uri, createdAt } = version;
  const outcome = await comeIn(
    call,
    { version, blobs: certificates, put: { kind: "key", id: request.name, value: key, expects: 0 } },
    {
      done: { ...ending, ...evidence, result: "done", version: number, publicKey, uri, createdAt },
      refused: { ...ending, result: "withheld", code: "ALREADY_EXISTS" },
      unknown: { ...ending, result: "unknown", code: "LOG_NOT_DURABLE" },
    },
    parts,
  );
  return isRefusal(outcome) ? parts.journal.refused(outcome, about) : { key, receipt: receiptOf(outcome) };
}

/** The custody of a new key, where name and custody are what they must be. */
export function newName(request: Pick<CreateKeyRequest, "name" | "custody">, parts: Parts): Custody | Refusal {
  if (!isKeyName(request.name))
    return refuse(
      "INPUT_INVALID",
      `"${shown(request.name)}" is not a key name`,
      "use 1 to 63 lower-case letters, digits and inner hyphens",
    );
  if (parts.state.record("key", request.name)) return taken(request.name);
  return (
    parts.custodies.get(request.custody) ??
    refuse(
      "NOT_FOUND",
      `no custody "${shown(request.custody)}" is configured; there is ${[...parts.custodies.keys()].join(", ")}`,
      "name one of them, or add it to the configuration",
    )
  );
}

function suitable(request: CreateKeyRequest, parts: Parts): (Custody & Required<Pick<Custody, "create">>) | Refusal {
  const custody = newName(request, parts);
  if (isRefusal(custody)) return custody;
  if (!creates(custody))
    return refuse("INPUT_INVALID", `custody "${request.custody}" cannot make keys`, "make the key there and enroll it");
  if (!custody.algorithms.includes(request.algorithm))
    return refuse(
      "ALGORITHM_UNFIT",
      `custody "${request.custody}" holds ${custody.algorithms.join(", ")}, not ${request.algorithm}`,
    );
  return unfit(request.purpose, request.algorithm) ?? custody;
}

const creates = (custody: Custody): custody is Custody & Required<Pick<Custody, "create">> =>
  custody.create !== undefined;
const taken = (name: string): Refusal =>
  refuse("ALREADY_EXISTS", `there is a key "${name}" already`, "choose another name");

/** Names are used once, also for attempts: what one of another sort left at the custody would be taken for this key. */
async function halfMade(request: CreateKeyRequest, { log }: Pick<Parts, "log">): Promise<Refusal | undefined> {
  const filter = { keys: [request.name], types: ["key.create.intent", "key.create.outcome"] };
  const { entries } = await log.entries(filter, { limit: 1000, backward: true });
  const nothingMade = new Set<number>();
  for (const { entry } of entries)
    if (entry.type === "key.create.outcome" && entry.result === "failed" && entry.code)
      nothingMade.add(entry.intent.index);
  for (const { index, entry } of entries) {
    if (entry.type !== "key.create.intent" || nothingMade.has(index) || entry.custody !== request.custody) continue;
    if (entry.purpose !== request.purpose || entry.algorithm !== request.algorithm)
      return refuse(
        "ALREADY_EXISTS",
        `entry ${String(index)} began to make "${request.name}" in ${entry.custody} with purpose ${entry.purpose} and ${entry.algorithm}, and its private key may be there`,
        "ask again with that purpose and algorithm, or choose another name",
      );
  }
  return undefined;
}

type Made =
  | {
      readonly version: KeyVersion;
      readonly evidence: ReturnType<typeof evidenceOf>["evidence"];
      readonly blobs: readonly Uint8Array[];
    }
  | { readonly fault: Fault; readonly result: "failed" | "unknown" };

/** Made, and described as any key that comes in. */
async function make(
  custody: Custody & Required<Pick<Custody, "create">>,
  request: CreateKeyRequest,
  parts: Parts,
): Promise<Made> {
  const wanted = { key: request.name, number: 1, purpose: request.purpose, algorithm: request.algorithm };
  const made = await askCustody(request.custody, (signal) => custody.create(wanted, signal));
  if (made instanceof Fault) return { fault: made, result: made.nothingHappened ? "failed" : "unknown" };
  const publicKey = publicKeyOf(request.algorithm, made.publicKey);
  if (!publicKey) {
    const other = `${request.custody} made a key that is not ${request.algorithm}`;
    return { fault: new Fault("CUSTODY_DOWN", other, { custody: request.custody }), result: "unknown" };
  }
  const draft: KeyVersion = {
    ...wanted,
    ...publicKey,
    state: "PRE_ACTIVATION",
    custody: request.custody,
    uri: made.uri,
    createdAt: rfc3339(parts.clock()),
  };
  const description = await describeMade(custody, draft);
  if (description instanceof Fault) return { fault: description, result: "unknown" };
  const { evidence, blobs } = evidenceOf(description);
  return { version: { ...draft, protection: evidence.protection, guards: evidence.guards }, evidence, blobs };
}

export interface KeyChanged {
  readonly key: Key;
  readonly receipt: Receipt;
}
export const changed = (key: Key, appended: Appended): KeyChanged => ({ key, receipt: receiptOf(appended) });
