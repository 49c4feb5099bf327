// The end of a session: its holder closes it, or an operator revokes it. Either is final and takes effect at once.

import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Principal } from "../model/principal.ts";
import type { SigningSession } from "../model/session.ts";
import type { Appended, Conflict } from "../ports/log.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { endedSession, personWith, shown } from "./guard.ts";
import type { Receipt } from "./index.ts";
import { proofMarks } from "./open-session.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";

interface Ended {
  readonly session: SigningSession;
  readonly receipt: Receipt;
}

export async function closeSession(
  call: Call,
  request: { readonly session?: string | undefined },
  parts: Parts,
): Promise<Ended | Refusal> {
  const { caller } = call;
  const about = { request: call.request, action: "session.close" };
  if (caller.kind !== "session")
    return parts.journal.refused(
      refuse("UNAUTHENTICATED", "only its holder closes a session", "operators revoke: signet session revoke"),
      { ...about, by: undefined },
    );
  const { session, presented } = caller;
  if (request.session !== undefined && request.session !== session.id) {
    return parts.journal.refused(
      refuse("NOT_FOUND", "this is not your session", "leave the id out: a token closes its own session"),
      { ...about, by: session.principal, presented, session: session.id },
    );
  }
  const appended = await end(call, session.id, session.principal, presented, "CLOSED", undefined, parts);
  return (
    ended(appended, session, parts) ??
    parts.journal.refused(endedSession(session, parts.clock()) ?? already(session), {
      ...about,
      by: session.principal,
      presented,
      session: session.id,
    })
  );
}

export async function revokeSession(
  call: Call,
  request: { readonly session: string; readonly reason: string },
  parts: Parts,
): Promise<Ended | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "session.revoke",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  if (request.reason.length < 1 || request.reason.length > 256)
    return parts.journal.refused(
      refuse("INPUT_INVALID", "a reason of 1 to 256 characters is needed", "say why: auditors will read it"),
      about,
    );
  const session = await parts.state.session(request.session);
  if (!session)
    return parts.journal.refused(
      refuse("NOT_FOUND", `there is no session "${shown(request.session)}"`, "signet session list"),
      about,
    );
  const appended = await end(call, session.id, asker.person, asker.presented, "REVOKED", request.reason, parts);
  return ended(appended, session, parts) ?? parts.journal.refused(already(session), { ...about, session: session.id });
}

function end(
  call: Call,
  session: string,
  by: Principal,
  presented: Presented,
  state: "CLOSED" | "REVOKED",
  reason: string | undefined,
  parts: Parts,
): Promise<Appended | Conflict> {
  const { fields, blobs } = callerFields(by, presented);
  return parts.journal.append(
    call.request,
    ({ uses }) => {
      const counted = {
        granted: uses?.granted ?? 0,
        spent: (uses?.granted ?? 0) - (uses?.left ?? 0),
        left: uses?.left ?? 0,
      };
      return state === "CLOSED"
        ? { type: "session.close", ...fields, session, uses: counted }
        : { type: "session.revoke", ...fields, session, uses: counted, reason };
    },
    { blobs, close: { session, state, at: parts.clock() }, marks: proofMarks(presented) },
  );
}

function ended(appended: Appended | Conflict, session: SigningSession, parts: Parts): Promise<Ended> | undefined {
  if ("conflict" in appended) return undefined;
  return parts.state.session(session.id).then((now) => ({ session: now ?? session, receipt: receiptOf(appended) }));
}

const already = (session: SigningSession): Refusal =>
  refuse("SESSION_ENDED", `session ${session.id} had ended already`);
