// Two-person actions: one person asks, another one decides, and both are in the log.
//
// What is approved is the hash of exactly that action. The approval and the action's own entry become true in one
// transaction: there is no moment in which an action is approved and not done. What a custody does for it stands between
// that entry, an intent, and an outcome.

import { actionHash, type PendingAction, type PendingState } from "../model/approval.ts";
import type { EntryBody } from "../model/entry.ts";
import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { type Person, principalKey } from "../model/principal.ts";
import type { Appended, Put, Write } from "../ports/log.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { keyStateChange } from "./change-key-state.ts";
import { destruction } from "./destroy-key.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import type { Receipt } from "./index.ts";
import { operatorAddition } from "./operators.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";
import { rotationBegun } from "./rotate-key.ts";

export const pendingStateAt = (pending: PendingAction, at: number): PendingState =>
  pending.state === "PENDING" && pending.expiresAt <= at ? "EXPIRED" : pending.state;

export async function decide(
  call: Call,
  request: { readonly pending: string; readonly hash: string; readonly verdict: "approved" | "denied" },
  parts: Parts,
): Promise<{ readonly pending: PendingAction; readonly receipt: Receipt } | Refusal> {
  const asker = personWith(call, ["operator", "approver"]);
  const about = {
    request: call.request,
    action: "approval.decide",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const stored = parts.state.record("pending", request.pending);
  const unfit = stored
    ? (invalid(stored.value, request.hash, request.verdict, asker.person, parts.clock()) ??
      orphaned(stored.value, request.verdict, parts))
    : refuse("NOT_FOUND", `nothing waits under "${shown(request.pending)}"`, "signet approval list");
  if (stored && actionHash(stored.value.action) !== stored.value.hash)
    throw new Fault("LOG_DAMAGED", `the action under ${stored.value.id} is not the one that was asked for`);
  if (!stored || unfit) return parts.journal.refused(unfit ?? proofUsed, { ...about, presented: asker.presented });

  const effect = request.verdict === "approved" ? effectOf(stored.value, asker, parts) : undefined;
  if (effect && isRefusal(effect)) return parts.journal.refused(effect, { ...about, presented: asker.presented });
  const verdict =
    request.verdict === "denied" && stored.value.requester === principalKey(asker.person)
      ? "withdrawn"
      : request.verdict;
  const pending: PendingAction = { ...stored.value, state: stateAfter[verdict] };
  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const decision: EntryBody = { type: "approval.decide", ...fields, pending: pending.id, hash: pending.hash, verdict };
  const put: Put = { kind: "pending", id: pending.id, value: pending, expects: stored.revision };
  const { marks, unchanged = [] } = byPerson(asker, parts.state);
  const appended = await parts.journal.append(call.request, () => effect?.body ?? decision, {
    alongside: effect && [decision],
    blobs,
    puts: effect?.put ? [put, effect.put] : [put],
    marks,
    unchanged: [...unchanged, ...(effect?.unchanged ?? [])],
  });
  if ("conflict" in appended)
    return parts.journal.refused(
      appended.conflict === "mark"
        ? proofUsed
        : refuse(
            "APPROVAL_INVALID",
            "somebody decided this, or changed what it is about, at the same moment",
            "signet approval list",
          ),
      about,
    );
  return { pending, receipt: receiptOf((await effect?.after?.(call, appended)) ?? appended) };
}

/** Who denies what they asked for themselves withdraws it. */
const stateAfter = { approved: "APPROVED", denied: "DENIED", withdrawn: "WITHDRAWN" } as const;

function invalid(
  pending: PendingAction,
  hash: string,
  verdict: "approved" | "denied",
  by: Person,
  at: number,
): Refusal | undefined {
  const state = pendingStateAt(pending, at);
  if (state !== "PENDING")
    return refuse("APPROVAL_INVALID", `${pending.id} is ${state.toLowerCase()}`, "ask for it again");
  if (pending.hash !== hash)
    return refuse(
      "APPROVAL_INVALID",
      "the hash is not that of the action that waits",
      `look at it again: signet approval list`,
    );
  if (verdict === "approved" && pending.requester === principalKey(by))
    return refuse(
      "APPROVAL_INVALID",
      `${by.name} asked for this and cannot approve it`,
      "another operator or approver has to",
    );
  return undefined;
}

/** What somebody asked for who was removed since: it may be denied, never approved. */
function orphaned(
  pending: PendingAction,
  verdict: "approved" | "denied",
  { state }: Pick<Parts, "state">,
): Refusal | undefined {
  const isEnrolled = state.records("person").some(({ value }) => principalKey(value) === pending.requester);
  if (verdict === "denied" || isEnrolled) return undefined;
  return refuse(
    "APPROVAL_INVALID",
    `${pending.requesterName} asked for this and is no longer enrolled`,
    "deny it; whoever still wants it asks anew",
  );
}

/** What an approval does: an entry and perhaps a record with it, and what follows where the entry is an intent. */
interface Effect {
  readonly body: EntryBody;
  readonly put?: Put | undefined;
  readonly unchanged?: Write["unchanged"];
  readonly after?: ((call: Call, intent: Appended) => Promise<Appended>) | undefined;
}

function effectOf(
  pending: PendingAction,
  asker: { readonly person: Person; readonly presented: Presented },
  parts: Parts,
): Effect | Refusal {
  const { action } = pending;
  switch (action.kind) {
    case "key.state":
      return keyStateChange(action, asker.person, asker.presented, pending.id, parts);
    case "key.destroy":
      return destruction(action, asker, pending.id, parts);
    case "key.rotate":
      return rotationBegun(action, asker.person, asker.presented, pending.id, parts);
    case "operator.add":
      return operatorAddition(action, asker.person, asker.presented, pending.id, parts);
  }
}
