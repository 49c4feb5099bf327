// The life of a key (SP 800-57): activate, suspend, resume, deactivate, compromised.
//
// What makes a key sign takes two people (or the one-person mode, which the entry shows); what stops it takes one and
// works at once: the next intent's transaction finds the key not active, and an outcome under way is withheld. With a
// compromised key end all sessions that cover it, in the same transaction.

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
  /** The newest version that can change so, where absent. */
  readonly number?: number | undefined;
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
  const coming = underWay(stored.value)?.to;
  const version =
    request.number === undefined
      ? versions.findLast((one) => one.number !== coming && mayBecome(one.state, request.to))
      : versions.find((one) => one.number === request.number);
  if (version && request.to === "ACTIVE" && awaitsSwitch(stored.value, version.number))
    return refuse(
      "KEY_STATE",
      `${versionId(version)} becomes ACTIVE by its rotation, when its public key has had time to spread`,
      `wait, or roll it back: signet key rotate ${request.key} --cancel`,
    );
  if (version && mayBecome(version.state, request.to)) return { stored, version };
  const newest = version ?? versions.at(-1);
  if (!newest || (request.number !== undefined && !version))
    return refuse(
      "NOT_FOUND",
      `key "${request.key}" has no version ${String(request.number)}`,
      `signet key show ${request.key}`,
    );
  return refuse(
    "KEY_STATE",
    `${versionId(newest)} is ${newest.state} and cannot become ${request.to}`,
    `signet key show ${request.key}`,
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
  const key = withState(
    stored.value,
    version.number,
    action.to === "COMPROMISED" ? { compromisedAt: rfc3339(parts.clock()) } : action.to,
  );
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

type Change = Exclude<KeyState, "COMPROMISED"> | { readonly compromisedAt: string };

/** A compromised version, with RFC 3339 time, is out of every trust document, also after it is destroyed. */
export const withState = (key: Key, number: number, to: Change): Key => ({
  ...key,
  versions: key.versions.map((one) => (one.number === number ? { ...one, ...changedTo(to) } : one)),
});

const changedTo = (to: Change): Pick<KeyVersion, "state" | "ended"> =>
  typeof to === "string"
    ? { state: to }
    : { state: "COMPROMISED", ended: { why: "compromised", at: to.compromisedAt } };
