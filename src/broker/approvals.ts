// Two-person actions: one person asks, another one decides, and both are in the log.
//
// What is approved is the hash of exactly that action. The approval and the action's own entry become true in one
// transaction: there is no moment in which an action is approved and not done.

import type { Action, PendingAction, PendingState } from "../model/approval.ts";
import { isRefusal, refuse, type Refusal } from "../model/errors.ts";
import type { EntryBody } from "../model/entry.ts";
import { type Person, principalKey } from "../model/principal.ts";
import type { Put } from "../ports/log.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { newId } from "../std/id.ts";
import { canonicalJson } from "../std/json.ts";
import { proofUsed } from "./attempt.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { keyStateChange } from "./change-key-state.ts";
import { personWith, shown } from "./guard.ts";
import type { Receipt } from "./index.ts";
import { proofMarks } from "./open-session.ts";
import { operatorAddition } from "./operators.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./sign.ts";

/** A pending action waits for a day. Milliseconds. */
const patience = 24 * 3_600_000;

export const pendingStateAt = (pending: PendingAction, at: number): PendingState => (pending.state === "PENDING" && pending.expiresAt <= at ? "EXPIRED" : pending.state);

/** Always APPROVAL_PENDING (or why not): the answer to the one who asked. */
export async function requestApproval(call: Call, action: Action, asker: { readonly person: Person; readonly presented: Presented }, parts: Parts): Promise<Refusal> {
  const at = parts.clock();
  const pending: PendingAction = {
    id: newId("pa", parts.clock, parts.random),
    action,
    hash: sha256Hex(canonicalJson({ ...action })),
    requester: principalKey(asker.person),
    requesterName: asker.person.name,
    requestedAt: at,
    expiresAt: at + patience,
    state: "PENDING",
  };
  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const appended = await parts.journal.append(
    call.request,
    () => ({ type: "approval.request", ...fields, pending: pending.id, action, hash: pending.hash, expiresAt: rfc3339(pending.expiresAt) }),
    { blobs, puts: [{ kind: "pending", id: pending.id, value: pending, expects: 0 }], marks: proofMarks(asker.presented) },
  );
  if ("conflict" in appended) return parts.journal.refused(proofUsed, { request: call.request, action: "approval.request", by: asker.person });
  const waits = refuse("APPROVAL_PENDING", `${describe(action)} waits for a second person, until ${rfc3339(pending.expiresAt)}`, `another operator or approver runs: signet approval approve ${pending.id}`);
  return { ...waits, pending: pending.id, entry: appended.index };
}

export async function decide(
  call: Call,
  request: { readonly pending: string; readonly hash: string; readonly verdict: "approved" | "denied" },
  parts: Parts,
): Promise<{ readonly pending: PendingAction; readonly receipt: Receipt } | Refusal> {
  const asker = personWith(call, ["operator", "approver"]);
  const about = { request: call.request, action: "approval.decide", by: call.caller.kind === "person" ? call.caller.person : undefined };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const stored = parts.state.record("pending", request.pending);
  const unfit = stored ? invalid(stored.value, request.hash, request.verdict, asker.person, parts.clock()) : refuse("NOT_FOUND", `nothing waits under "${shown(request.pending)}"`, "signet approval list");
  if (!stored || unfit) return parts.journal.refused(unfit ?? proofUsed, { ...about, presented: asker.presented });

  const effect = request.verdict === "approved" ? effectOf(stored.value, asker, parts) : undefined;
  if (effect && isRefusal(effect)) return parts.journal.refused(effect, { ...about, presented: asker.presented });
  const pending: PendingAction = { ...stored.value, state: request.verdict === "approved" ? "APPROVED" : "DENIED" };
  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const decision: EntryBody = { type: "approval.decide", ...fields, pending: pending.id, hash: pending.hash, verdict: request.verdict };
  const put: Put = { kind: "pending", id: pending.id, value: pending, expects: stored.revision };
  const appended = await parts.journal.append(call.request, () => effect?.body ?? decision, {
    alongside: effect && [decision],
    blobs,
    puts: effect ? [put, effect.put] : [put],
    marks: proofMarks(asker.presented),
  });
  if ("conflict" in appended) return parts.journal.refused(appended.conflict === "mark" ? proofUsed : refuse("APPROVAL_INVALID", "somebody decided this, or changed what it is about, at the same moment", "signet approval list"), about);
  return { pending, receipt: receiptOf(appended) };
}

function invalid(pending: PendingAction, hash: string, verdict: "approved" | "denied", by: Person, at: number): Refusal | undefined {
  const state = pendingStateAt(pending, at);
  if (state !== "PENDING") return refuse("APPROVAL_INVALID", `${pending.id} is ${state.toLowerCase()}`, "ask for it again");
  if (pending.hash !== hash) return refuse("APPROVAL_INVALID", "the hash is not that of the action that waits", `look at it again: signet approval list`);
  if (verdict === "approved" && pending.requester === principalKey(by)) return refuse("APPROVAL_INVALID", `${by.name} asked for this and cannot approve it`, "another operator or approver has to");
  return undefined;
}

function effectOf(pending: PendingAction, asker: { readonly person: Person; readonly presented: Presented }, parts: Parts): { readonly body: EntryBody; readonly put: Put } | Refusal {
  const { action } = pending;
  switch (action.kind) {
    case "key.state":
      return keyStateChange(action, asker.person, asker.presented, pending.id, parts);
    case "operator.add":
      return operatorAddition(action, asker.person, asker.presented, pending.id, parts);
  }
}

function describe(action: Action): string {
  switch (action.kind) {
    case "key.state":
      return `${action.key}/${String(action.number)} to ${action.to}`;
    case "operator.add":
      return `adding ${action.name} as ${action.roles.join(", ")}`;
  }
}
