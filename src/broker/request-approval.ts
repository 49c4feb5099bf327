// One person asks for what takes two: a pending action, bound to the hash of exactly that action.

import { type Action, actionHash, type PendingAction } from "../model/approval.ts";
import { type Refusal, refuse } from "../model/errors.ts";
import { type Person, principalKey } from "../model/principal.ts";
import { rfc3339 } from "../std/clock.ts";
import { newId } from "../std/id.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { proofUsed } from "./guard.ts";
import type { Parts } from "./parts.ts";

/** A pending action waits for a day. Milliseconds. */
const patience = 24 * 3_600_000;

/** Pending actions of one person that wait at the same time: nobody fills the list that the second person reads. */
const mostWaiting = 100;

/** Always APPROVAL_PENDING (or why not): the answer to the one who asked. */
export async function requestApproval(
  call: Call,
  action: Action,
  asker: { readonly person: Person; readonly presented: Presented },
  parts: Parts,
): Promise<Refusal> {
  const at = parts.clock();
  const full = tooMany(asker.person, at, parts);
  if (full)
    return parts.journal.refused(full, {
      request: call.request,
      action: "approval.request",
      by: asker.person,
      presented: asker.presented,
    });
  const pending: PendingAction = {
    id: newId("pa", parts.clock, parts.random),
    action,
    hash: actionHash(action),
    requester: principalKey(asker.person),
    requesterName: asker.person.name,
    requestedAt: at,
    expiresAt: at + patience,
    state: "PENDING",
  };
  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const appended = await parts.journal.append(
    call.request,
    () => ({
      type: "approval.request",
      ...fields,
      pending: pending.id,
      action,
      hash: pending.hash,
      expiresAt: rfc3339(pending.expiresAt),
    }),
    {
      blobs,
      puts: [{ kind: "pending", id: pending.id, value: pending, expects: 0 }],
      ...byPerson(asker, parts.state),
    },
  );
  if ("conflict" in appended)
    return parts.journal.refused(proofUsed, { request: call.request, action: "approval.request", by: asker.person });
  const waits = refuse(
    "APPROVAL_PENDING",
    `${describe(action)} waits for a second person, until ${rfc3339(pending.expiresAt)}`,
    `another operator or approver runs: signet approval approve ${pending.id}`,
  );
  return { ...waits, pending: pending.id, entry: appended.index };
}

/** Requests at the same moment may pass it by a few: it is a bound, not a promise. */
function tooMany(person: Person, at: number, { state }: Pick<Parts, "state">): Refusal | undefined {
  const waiting = state
    .records("pending")
    .map(({ value }) => value)
    .filter((one) => one.requester === principalKey(person) && one.state === "PENDING" && one.expiresAt > at);
  if (waiting.length < mostWaiting) return undefined;
  return {
    ...refuse(
      "RATE_LIMITED",
      `${String(waiting.length)} actions that ${person.name} asked for wait for a second person`,
      "have them approved, or withdraw some: signet approval list, signet approval deny ID",
    ),
    retryAfter: Math.ceil((Math.min(...waiting.map(({ expiresAt }) => expiresAt)) - at) / 1000),
  };
}

function describe(action: Action): string {
  switch (action.kind) {
    case "key.state":
      return `${action.key}/${String(action.number)} to ${action.to}`;
    case "key.destroy":
      return `destroying ${action.key}/${String(action.number)}${action.backend ? " at its custody" : ""}`;
    case "key.rotate":
      return `rotating ${action.key} from v${String(action.from)} to v${String(action.to)}`;
    case "operator.add":
      return `adding ${action.name} as ${action.roles.join(", ")}`;
  }
}
