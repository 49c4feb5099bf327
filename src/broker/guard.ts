// The guard: the one door before every effect. It admits a request or says why not; it changes nothing.
//
// What a session may do was fixed when it opened; here each item of each request is held against it, together with
// the window, the rate and the state of key and session as they are now. The log checks the parts that may change
// again, inside the intent's transaction.

import { type Prepared, prepare, type SignItem } from "../formats/index.ts";
import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Decision } from "../model/grant.ts";
import { purposeOf } from "../model/item.ts";
import { current, type KeyVersion } from "../model/key.ts";
import { type Person, principalKey, type Role } from "../model/principal.ts";
import { type SigningSession, stateAt } from "../model/session.ts";
import { decideItems } from "../policy/index.ts";
import type { Custody } from "../ports/custody.ts";
import type { State } from "../ports/log.ts";
import { rfc3339 } from "../std/clock.ts";
import type { Call, Presented } from "./call.ts";
import type { Rate } from "./rate.ts";

export interface SignRequest {
  readonly idempotencyKey: string;
  readonly key: string;
  readonly items: readonly SignItem[];
}

/** What a request comes to: the key version that would sign, and per item exactly what it would be applied to. */
export interface Parsed {
  readonly version: KeyVersion;
  readonly prepared: readonly Prepared[];
}

const maxItems = 100;

/**
 * Step one: what would be signed, computed from the request alone and the session's verified claims. `before` is the
 * version of an earlier attempt of this request: a repetition is parsed as the first one was, whatever became of the
 * key since. Whether that version may sign now is for the intent's transaction.
 */
export function parse(
  request: SignRequest,
  session: SigningSession,
  state: Pick<State, "record">,
  before?: KeyVersion,
): Parsed | Refusal {
  if (request.items.length < 1 || request.items.length > maxItems) {
    return refuse(
      "INPUT_INVALID",
      `asked for ${String(request.items.length)} items; a request has 1 to ${String(maxItems)}`,
      "split the work into several requests",
    );
  }
  if (!/^[\x21-\x7e]{1,128}$/.test(request.idempotencyKey)) {
    return refuse("INPUT_INVALID", "idempotencyKey must be 1 to 128 printable ASCII characters without spaces");
  }
  if (!session.keys.includes(request.key)) {
    return refuse(
      "KEY_NOT_IN_SESSION",
      `asked for key "${shown(request.key)}"; this session covers ${session.keys.join(", ")}`,
      "open a session that names the key",
    );
  }
  const key = state.record("key", request.key)?.value;
  const version = before ?? (key && current(key));
  if (!version) {
    const found = key?.versions.at(-1);
    return refuse(
      "KEY_NOT_ACTIVE",
      `key "${request.key}" is ${found ? found.state : "unknown"}`,
      `ask an operator: signet key show ${request.key}`,
    );
  }
  const prepared: Prepared[] = [];
  for (const [index, item] of request.items.entries()) {
    if (purposeOf[item.kind] !== version.purpose) {
      return refuse(
        "PURPOSE_UNFIT",
        `item ${String(index)} is a ${item.kind}, which needs a key of purpose ${purposeOf[item.kind]}; "${request.key}" has purpose ${version.purpose}`,
        "name a key of that purpose; signet key list shows them",
      );
    }
    const one = prepare(item, session.principal, version);
    if (isRefusal(one)) return { ...one, message: `item ${String(index)}: ${one.message}` };
    prepared.push(one);
  }
  return { version, prepared };
}

/** Step two: whether this session may have it, now. */
export function admit(
  session: SigningSession,
  prepared: readonly Prepared[],
  at: number,
  policy: string,
  rate: Rate,
): Decision | Refusal {
  const ended = endedSession(session, at);
  if (ended) return ended;
  if (session.policy !== policy) {
    return refuse(
      "POLICY_CHANGED",
      `policy is now ${policy.slice(0, 15)}…; this session was permitted by ${session.policy.slice(0, 15)}…`,
      "open a new session",
    );
  }
  if (session.usesLeft < prepared.length) return spent(session, prepared.length, session.usesLeft);
  const denied = decideItems(
    session.limits,
    prepared.map((one) => one.record),
    at,
  );
  if (denied) return denied;
  const wait = rate.take(`${principalKey(session.principal)} ${session.grant}`, session.limits.ratePerMinute, at);
  if (wait > 0) {
    return {
      ...refuse(
        "RATE_LIMITED",
        `grant "${session.grant}" allows ${String(session.limits.ratePerMinute)} requests a minute`,
        "put many files into one request",
      ),
      retryAfter: wait,
    };
  }
  return { effect: "permit", grant: session.grant, policy, reasons: [] };
}

export function endedSession(session: SigningSession, at: number): Refusal | undefined {
  const state = stateAt(session, at);
  if (state === "OPEN") return undefined;
  const when = state === "EXPIRED" ? `expired at ${rfc3339(session.expiresAt)}` : `was ${state.toLowerCase()}`;
  return refuse("SESSION_ENDED", `session ${session.id} ${when}`, "open a new session with a fresh identity token");
}

export const spent = (session: Pick<SigningSession, "id" | "usesGranted">, asked: number, left: number): Refusal =>
  refuse(
    "SESSION_SPENT",
    `asked for ${String(asked)} signature${asked === 1 ? "" : "s"}; session ${session.id} has ${String(left)} of ${String(session.usesGranted)} uses left`,
    "open another session, or ask for more uses within the grant",
  );

/** A person with one of these roles, or why not. */
export function personWith(
  call: Call,
  allowed: readonly Role[],
): { readonly person: Person; readonly presented: Presented } | Refusal {
  const { caller } = call;
  if (caller.kind === "person") {
    if (caller.person.roles.some((role) => allowed.includes(role))) return caller;
    return refuse(
      "ROLE_MISSING",
      `this needs the role ${allowed.join(" or ")}; ${caller.person.name} has ${caller.person.roles.join(", ")}`,
      "ask an operator to give you the role",
    );
  }
  if (caller.kind === "socket")
    return refuse(
      "UNAUTHENTICATED",
      "the local socket gives no privilege beyond enrolling the first operator",
      "signet login",
    );
  if (caller.kind === "session")
    return refuse(
      "ROLE_MISSING",
      "this is for people; a CI job opens, uses and closes its own session",
      "signet login",
    );
  return refuse("UNAUTHENTICATED", "no session token came with the request", "signet login");
}

/** Attacker's text in our message: bounded, and without control characters. */
export const shown = (text: string): string => JSON.stringify(text.slice(0, 64)).slice(1, -1);

export const proofUsed: Refusal = refuse(
  "PROOF_INVALID",
  "this proof was used before",
  "make a fresh proof for each request",
);

/** Some backends take short messages only; known before an intent is written, it costs no use. */
export function tooLong(
  { version, prepared }: Parsed,
  custody: Pick<Custody, "longest"> | undefined,
): Refusal | undefined {
  const most = custody?.longest?.[version.algorithm];
  if (most === undefined) return undefined;
  const at = prepared.findIndex(({ tbs }) => tbs.form === "message" && tbs.bytes.length > most);
  if (at < 0) return undefined;
  return refuse(
    "ALGORITHM_UNFIT",
    `item ${String(at)}: ${String(prepared[at]?.tbs.bytes.length)} bytes are to be signed, and custody "${version.custody}" takes at most ${String(most)} with ${version.algorithm}`,
    "make it shorter, or use a key of another algorithm, of which only a digest goes there",
  );
}
