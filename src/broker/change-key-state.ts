// The life of a key (SP 800-57): activate, suspend, resume, deactivate, compromised.
//
// To activate is from pre-activation, to resume from suspension; neither does the other's work, or a version that nobody
// meant could sign. What makes a key sign takes two people (or the one-person mode, which the entry shows); what stops it
// takes one and works at once: the next intent's transaction finds the key not active, and an outcome under way is
// withheld. With a compromised key end all sessions that cover it, in the same transaction.

import type { Action } from "../model/approval.ts";
import type { EntryBody } from "../model/entry.ts";
import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { type Key, type KeyState, type KeyVersion, mayBecome, versionId } from "../model/key.ts";
import type { Person } from "../model/principal.ts";
import { awaitsSwitch, underWay } from "../model/rotation.ts";
import type { Put, Stored } from "../ports/log.ts";
import { rfc3339 } from "../std/clock.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { changed, type KeyChanged } from "./create-key.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import type { Along } from "./journal.ts";
import type { Parts } from "./parts.ts";
import { requestApproval } from "./request-approval.ts";

export interface KeyStateRequest {
  readonly key: string;
  /** Where absent, the newest version that can change so; to COMPROMISED the one that signs, or the only one that can. */
  readonly number?: number | undefined;
  /** Only from this state, where one is named: to ACTIVE there are two ways. */
  readonly from?: KeyState | undefined;
  readonly to: KeyState;
  readonly reason: string;
}

type KeyAction = Extract<Action, { kind: "key.state" }>;

export async function changeKeyState(
  call: Call,
  request: KeyStateRequest,
  parts: Parts,
): Promise<KeyChanged | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "key.state",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
    keys: [shown(request.key)],
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const found = changeable(request, parts);
  if (isRefusal(found)) return parts.journal.refused(found, { ...about, presented: asker.presented });
  const action: KeyAction = {
    kind: "key.state",
    key: request.key,
    number: found.version.number,
    to: request.to,
    reason: request.reason,
    asOf: found.stored.revision,
  };

  if (request.to === "ACTIVE" && parts.twoPersons) return requestApproval(call, action, asker, parts);
  const change = keyStateChange(action, asker.person, asker.presented, undefined, parts);
  if (isRefusal(change)) return parts.journal.refused(change, about);
  const appended = await parts.journal.append(call.request, () => change.body, {
    blobs: change.blobs,
    puts: [change.put],
    closeAll: request.to === "COMPROMISED" ? endOfSessions(request.key, asker, parts) : undefined,
    ...byPerson(asker, parts.state),
  });
  if ("conflict" in appended)
    return parts.journal.refused(appended.conflict === "mark" ? proofUsed : moved(request.key), about);
  return changed(change.key, appended);
}

function changeable(
  request: KeyStateRequest,
  parts: Parts,
): { readonly stored: Stored<Key>; readonly version: KeyVersion } | Refusal {
  if (request.reason.length < 1 || request.reason.length > 256)
    return refuse("INPUT_INVALID", "a reason of 1 to 256 characters is needed", "say why: auditors will read it");
  const stored = parts.state.record("key", request.key);
  if (!stored) return refuse("NOT_FOUND", `there is no key "${shown(request.key)}"`, "signet key list");
  const { versions } = stored.value;
  const version =
    request.number === undefined
      ? meant(stored.value, request)
      : versions.find(({ number }) => number === request.number);
  if (version && isRefusal(version)) return version;
  const newest = version ?? versions.at(-1);
  if (newest && request.to === "ACTIVE" && awaitsSwitch(stored.value, newest.number))
    return refuse(
      "KEY_STATE",
      `${versionId(newest)} becomes ACTIVE by its rotation, when its public key has had time to spread`,
      `wait, or roll it back: signet key rotate ${request.key} --cancel`,
    );
  if (version && mayChange(version, request)) return { stored, version };
  if (!newest || (request.number !== undefined && !version))
    return refuse(
      "NOT_FOUND",
      `key "${request.key}" has no version ${String(request.number)}`,
      `signet key show ${request.key}`,
    );
  return unchangeable(newest, request);
}

const mayChange = ({ state }: KeyVersion, { from = state, to }: KeyStateRequest): boolean =>
  state === from && mayBecome(state, to);

/** Without a number. A report of compromise is never guessed: it stops what signs, or says that it needs to know. */
function meant(key: Key, request: KeyStateRequest): KeyVersion | Refusal | undefined {
  const coming = underWay(key)?.to;
  const able = key.versions.filter((one) => one.number !== coming && mayChange(one, request));
  if (request.to !== "COMPROMISED") return able.at(-1);
  const signing = able.filter(({ state }) => state === "ACTIVE");
  const [only, another] = signing.length > 0 ? signing : able;
  if (!another) return only;
  const found = able.map(({ number, state }) => `v${String(number)} is ${state}`).join(", ");
  return refuse(
    "KEY_STATE",
    `more than one version of "${key.name}" can be meant: ${found}`,
    `say which: signet key compromised ${key.name} --number NUMBER`,
  );
}

function unchangeable(version: KeyVersion, { key, from = version.state, to }: KeyStateRequest): Refusal {
  const found = `${versionId(version)} is ${version.state}`;
  if (!mayBecome(version.state, to))
    return refuse("KEY_STATE", `${found} and cannot become ${to}`, `signet key show ${key}`);
  if (version.state !== from)
    return refuse(
      "KEY_STATE",
      `${found}, and this takes a version from ${from}`,
      `signet key ${version.state === "SUSPENDED" ? "resume" : "activate"} ${key}`,
    );
  return refuse(
    "KEY_STATE",
    `${versionId(version)} is what the rotation under way made`,
    `where you mean it, say so: --number ${String(version.number)}`,
  );
}

/** The entry and the record of one change, for whoever commits it: the asker alone, or the approver. */
export function keyStateChange(
  action: KeyAction,
  by: Person,
  presented: Presented,
  pending: string | undefined,
  parts: Parts,
): { readonly key: Key; readonly body: EntryBody; readonly put: Put; readonly blobs: readonly Uint8Array[] } | Refusal {
  const found = changeable(action, parts);
  if (isRefusal(found)) return found;
  const { stored, version } = found;
  if (stored.revision !== action.asOf) return moved(action.key);
  const at = rfc3339(parts.clock());
  const key = withState(stored.value, version.number, changeTo(action.to, at));
  const { fields, blobs } = callerFields(by, presented);
  const body: EntryBody = {
    type: "key.state",
    ...fields,
    key: action.key,
    version: version.number,
    from: version.state,
    to: action.to,
    reason: action.reason,
    pending,
    onePerson: action.to === "ACTIVE" && pending === undefined ? true : undefined,
    endedAt: action.to === "DEACTIVATED" ? at : undefined,
  };
  return { key, body, put: { kind: "key", id: action.key, value: key, expects: stored.revision }, blobs };
}

const moved = (key: string): Refusal =>
  refuse("KEY_STATE", `key "${key}" has changed since this was asked`, `look again: signet key show ${key}`);

/** In the transaction that stops the key: whoever opens a session a moment before loses it, a moment after gets none. */
function endOfSessions(
  key: string,
  { person, presented }: { readonly person: Person; readonly presented: Presented },
  { clock }: Pick<Parts, "clock">,
): Along["closeAll"] {
  const { fields } = callerFields(person, { cnf: presented.cnf });
  const reason = `key ${key} is compromised`;
  return {
    key,
    state: "REVOKED",
    at: clock(),
    body: (session, { granted, left }) => ({
      type: "session.revoke",
      ...fields,
      session,
      uses: { granted, spent: granted - left, left },
      reason,
    }),
  };
}

type Change =
  | Exclude<KeyState, "COMPROMISED" | "DEACTIVATED">
  | { readonly compromisedAt: string }
  | { readonly deactivatedAt: string };

/**
 * With RFC 3339 time: a compromised version is out of every trust document, also after it is destroyed; the public key
 * of a deactivated one stays there, then as well.
 */
export const withState = (key: Key, number: number, to: Change): Key => ({
  ...key,
  versions: key.versions.map((one) => (one.number === number ? { ...one, ...changedTo(to) } : one)),
});

function changedTo(to: Change): Partial<Pick<KeyVersion, "state" | "ended">> {
  if (typeof to === "string") return { state: to };
  return "compromisedAt" in to
    ? { state: "COMPROMISED", ended: { why: "compromised", at: to.compromisedAt } }
    : { state: "DEACTIVATED", ended: { why: "deactivated", at: to.deactivatedAt } };
}

/** `at`: RFC 3339. */
function changeTo(to: KeyState, at: string): Change {
  if (to === "COMPROMISED") return { compromisedAt: at };
  return to === "DEACTIVATED" ? { deactivatedAt: at } : to;
}
