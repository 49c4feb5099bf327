// The life of a key (SP 800-57): activate, suspend, resume, deactivate, compromised.
//
// What makes a key sign takes two people (or the one-person mode, which the entry shows); what stops it takes one and
// works at once: the next intent's transaction finds the key not active, and an outcome under way is withheld.

import type { Action } from "../model/approval.ts";
import type { EntryBody } from "../model/entry.ts";
import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { type Key, type KeyState, type KeyVersion, mayBecome, versionId } from "../model/key.ts";
import type { Person } from "../model/principal.ts";
import type { Put, Stored } from "../ports/log.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { changed, type KeyChanged } from "./create-key.ts";
import { end } from "./end-session.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
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
    ...byPerson(asker, parts.state),
  });
  if ("conflict" in appended)
    return parts.journal.refused(appended.conflict === "mark" ? proofUsed : moved(request.key), about);
  if (request.to === "COMPROMISED") await endSessionsOf(call, request.key, asker.person, asker.presented, parts);
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
      ? versions.findLast((one) => mayBecome(one.state, request.to))
      : versions.find((one) => one.number === request.number);
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
  const versions = stored.value.versions.map((one) =>
    one.number === version.number ? { ...one, state: action.to } : one,
  );
  const key = { ...stored.value, versions };
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

async function endSessionsOf(call: Call, key: string, by: Person, presented: Presented, parts: Parts): Promise<void> {
  for (;;) {
    const open = await parts.state.sessions({ open: true, key, at: parts.clock() }, { limit: 100, backward: true });
    if (open.length === 0) return;
    for (const session of open)
      await end(call, session.id, by, { cnf: presented.cnf }, "REVOKED", `key ${key} is compromised`, parts);
  }
}
