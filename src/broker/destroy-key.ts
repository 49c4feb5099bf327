// The end of a key version: two people, and never silently at the backend.
//
// With `backend` the custody destroys the private key, between an intent and an outcome; without, it is only forgotten
// here, and the entry says that the custody keeps it. Die between intent and outcome and the private key may be gone
// while the version stands as it was: asking again gets the custody's same answer. Where only the log failed, outcome and
// state are written together as soon as it can be written again.

import type { Action } from "../model/approval.ts";
import type { EntryBody } from "../model/entry.ts";
import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { type Key, type KeyVersion, mayBecome, versionId } from "../model/key.ts";
import type { Person } from "../model/principal.ts";
import { awaitsSwitch } from "../model/rotation.ts";
import type { Custody } from "../ports/custody.ts";
import type { Appended, Conflict, Put, Stored, Write } from "../ports/log.ts";
import { hex } from "../std/bytes.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { withState } from "./change-key-state.ts";
import { changed, type KeyChanged } from "./create-key.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import { askCustody, orLater } from "./incoming-key.ts";
import type { Parts } from "./parts.ts";
import { requestApproval } from "./request-approval.ts";

export interface DestroyKeyRequest {
  readonly key: string;
  /** The newest version that can be destroyed, where absent. */
  readonly number?: number | undefined;
  readonly backend: boolean;
  readonly reason: string;
}

type DestroyAction = Extract<Action, { kind: "key.destroy" }>;
type DestroyIntent = Extract<EntryBody, { type: "key.destroy.intent" }>;
interface Asker {
  readonly person: Person;
  readonly presented: Presented;
}

export async function destroyKey(call: Call, request: DestroyKeyRequest, parts: Parts): Promise<KeyChanged | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "key.destroy",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
    keys: [shown(request.key)],
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const found = destroyable(request, parts);
  if (isRefusal(found)) return parts.journal.refused(found, { ...about, presented: asker.presented });
  const { key, backend, reason } = request;
  const { number } = found.version;
  const action: DestroyAction = { kind: "key.destroy", key, number, backend, reason, asOf: found.stored.revision };
  if (parts.twoPersons) return requestApproval(call, action, asker, parts);

  const effect = destruction(action, asker, undefined, parts);
  if (isRefusal(effect)) return parts.journal.refused(effect, about);
  const { marks, unchanged = [] } = byPerson(asker, parts.state);
  const appended = await parts.journal.append(call.request, () => effect.body, {
    blobs: callerFields(asker.person, asker.presented).blobs,
    puts: effect.put && [effect.put],
    marks,
    unchanged: [...unchanged, ...(effect.unchanged ?? [])],
  });
  if ("conflict" in appended)
    return parts.journal.refused(appended.conflict === "mark" ? proofUsed : voided(key), about);
  const last = (await effect.after?.(call, appended)) ?? appended;
  return changed(parts.state.record("key", key)?.value ?? found.stored.value, last);
}

interface Destroyable {
  readonly stored: Stored<Key>;
  readonly version: KeyVersion;
}

function destroyable(request: DestroyKeyRequest, parts: Parts): Destroyable | Refusal {
  const { key, number, backend, reason } = request;
  if (reason.length < 1 || reason.length > 256)
    return refuse("INPUT_INVALID", "a reason of 1 to 256 characters is needed", "say why: auditors will read it");
  const stored = parts.state.record("key", key);
  if (!stored) return refuse("NOT_FOUND", `there is no key "${shown(key)}"`, "signet key list");
  const { versions } = stored.value;
  const version =
    number === undefined
      ? (versions.findLast((one) => mayBecome(one.state, "DESTROYED") && !awaitsSwitch(stored.value, one.number)) ??
        versions.at(-1))
      : versions.find((one) => one.number === number);
  if (!version) return refuse("NOT_FOUND", `key "${key}" has no version ${String(number)}`, `signet key show ${key}`);
  if (!mayBecome(version.state, "DESTROYED"))
    return refuse(
      "KEY_STATE",
      `${versionId(version)} is ${version.state} and cannot become DESTROYED`,
      version.state === "DESTROYED" ? `signet key show ${key}` : `deactivate it first: signet key deactivate ${key}`,
    );
  if (awaitsSwitch(stored.value, version.number))
    return refuse(
      "KEY_STATE",
      `${versionId(version)} is what the rotation under way switches to`,
      `roll it back first: signet key rotate ${key} --cancel`,
    );
  const custody = parts.custodies.get(version.custody);
  if (backend && !custody?.destroy)
    return refuse(
      "INPUT_INVALID",
      custody
        ? `custody "${version.custody}" destroys no private keys by itself`
        : `no custody "${version.custody}" is configured, so its private key cannot be destroyed from here`,
      "destroy it there, then here without --backend",
    );
  return { stored, version };
}

/** What a destruction writes, for whoever commits it: the asker alone, or the approver with the decision. */
export interface Destruction {
  readonly body: EntryBody;
  /** Absent where the custody is asked first: then the record follows with the outcome. */
  readonly put?: Put | undefined;
  /** What `body` relies on without changing it. */
  readonly unchanged?: Write["unchanged"];
  /** Follows the durable `body`. Throws the custody's Fault, after its outcome is recorded. */
  readonly after?: ((call: Call, intent: Appended) => Promise<Appended>) | undefined;
}

export function destruction(
  action: DestroyAction,
  asker: Asker,
  pending: string | undefined,
  parts: Parts,
): Destruction | Refusal {
  const found = destroyable(action, parts);
  if (isRefusal(found)) return found;
  const { stored, version } = found;
  if (stored.revision !== action.asOf) return voided(action.key);
  const { fields } = callerFields(asker.person, asker.presented);
  const onePerson = pending === undefined ? true : undefined;
  if (!action.backend) {
    return {
      put: destroyedRecord(stored, version),
      body: stateEntry({ ...fields, reason: action.reason, pending, onePerson }, version, "kept"),
    };
  }
  const { key, number, custody, uri } = version;
  const subject = { ...fields, key, version: number, custody, uri, reason: action.reason, pending, onePerson };
  return {
    body: { type: "key.destroy.intent", ...subject },
    unchanged: [{ kind: "key", id: key, expects: stored.revision }],
    after: (call, intent) => whileEnding(version, parts, () => atCustody(call, subject, intent, version, parts)),
  };
}

type Subject = Omit<DestroyIntent, "type">;

const stateEntry = (
  subject: Pick<Subject, "by" | "cnf" | "evidence" | "reason" | "pending" | "onePerson">,
  { key, number, state }: KeyVersion,
  backend: "destroyed" | "kept",
): EntryBody => {
  const { by, cnf, evidence, reason, pending, onePerson } = subject;
  const change = { key, version: number, from: state, to: "DESTROYED" as const, reason, pending, onePerson, backend };
  return { type: "key.state", by, cnf, evidence, ...change };
};

const destroyedRecord = ({ value, revision }: Stored<Key>, { key, number }: KeyVersion): Put => ({
  kind: "key",
  id: key,
  value: withState(value, number, "DESTROYED"),
  expects: revision,
});

/** Gone there and not yet recorded is no drift. */
async function whileEnding<T>(version: KeyVersion, { ending }: Parts, work: () => Promise<T>): Promise<T> {
  ending.add(versionId(version));
  try {
    return await work();
  } finally {
    ending.delete(versionId(version));
  }
}

async function atCustody(
  call: Call,
  subject: Subject,
  intent: Appended,
  version: KeyVersion,
  parts: Parts,
): Promise<Appended> {
  parts.step("key.after-destroy-intent");
  const custody = parts.custodies.get(version.custody);
  const gone = await askCustody(version.custody, (signal) => destroyAt(custody, version, signal));
  parts.step("key.after-destroy");
  const ending = {
    type: "key.destroy.outcome" as const,
    ...subject,
    intent: { index: intent.index, hash: hex(intent.hash) },
  };
  if (gone instanceof Fault) {
    const failed = {
      ...ending,
      result: gone.nothingHappened ? ("failed" as const) : ("unknown" as const),
      code: gone.code,
    };
    await orLater(parts, failed, () => parts.journal.append(call.request, () => failed));
    throw gone;
  }
  const done = { ...ending, result: "done" as const, until: gone.until };
  try {
    return await recordGone(call, done, version, parts);
  } catch (error) {
    parts.unfinished.later(done, [], () => recordGone(call, done, version, parts));
    throw error;
  }
}

async function destroyAt(
  custody: Custody | undefined,
  version: KeyVersion,
  signal: AbortSignal,
): Promise<{ readonly until?: string | undefined }> {
  if (custody?.destroy) return custody.destroy(version, signal);
  throw new Fault("CUSTODY_DOWN", `custody ${version.custody} went away`, { nothingHappened: true });
}

/** The private key is gone, whatever became of the version meanwhile: its state follows the fact. */
async function recordGone(
  call: Call,
  done: Extract<EntryBody, { type: "key.destroy.outcome" }>,
  version: KeyVersion,
  parts: Parts,
): Promise<Appended> {
  for (;;) {
    const stored = parts.state.record("key", version.key);
    const now = stored?.value.versions.find(({ number }) => number === version.number);
    if (!stored || !now) throw new Error(`${versionId(version)} is not recorded any more`);
    if (now.state === "DESTROYED") return alone(await parts.journal.append(call.request, () => done));
    const appended: Appended | Conflict = await parts.journal.append(
      call.request,
      () => stateEntry(done, now, "destroyed"),
      { alongside: [done], puts: [destroyedRecord(stored, now)] },
    );
    if (!("conflict" in appended)) return appended;
  }
}

/** Somebody else ended it meanwhile, and the entry about its state is written. */
function alone(appended: Appended | Conflict): Appended {
  if ("conflict" in appended) throw new Error(`an outcome has no conditions, yet: ${appended.conflict}`);
  return appended;
}

const voided = (key: string): Refusal =>
  refuse("KEY_STATE", `key "${key}" has changed since this was asked`, `look again: signet key show ${key}`);
