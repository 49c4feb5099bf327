// From an OIDC token to the right to sign for minutes.
//
// The token is bound to the first key that presents it: asked again with that key, the same session answers with a
// fresh session token, uses and expiry unchanged; another key is refused, and that is an incident. Die before the
// commit and nothing happened; die after it and the job asks again.

import type { Uses } from "../model/entry.ts";
import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { limitsHash } from "../model/grant.ts";
import { current, type Purpose } from "../model/key.ts";
import { type Confirmation, principalKey, type Workload } from "../model/principal.ts";
import { type SigningSession, stateAt } from "../model/session.ts";
import { decideOpen, namesTenant, type OpenDecision } from "../policy/index.ts";
import type { WorkloadIdentity } from "../ports/identity.ts";
import type { Mark, Write } from "../ports/log.ts";
import { base64url } from "../std/base64.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256 } from "../std/digest.ts";
import { newId } from "../std/id.ts";
import { canonicalJson } from "../std/json.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { endedSession, proofUsed, shown } from "./guard.ts";
import type { Receipt } from "./index.ts";
import type { About } from "./journal.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";

export interface OpenRequest {
  readonly identityToken: string;
  readonly keys: readonly string[];
  readonly uses?: number | undefined;
  /** Milliseconds. */
  readonly ttl?: number | undefined;
  readonly reason?: string | undefined;
}
type Permitted = Extract<OpenDecision, { effect: "permit" }>;

export interface Opened {
  readonly session: SigningSession;
  readonly token: string;
  readonly receipt: Receipt;
}

export async function openSession(call: Call, request: OpenRequest, parts: Parts): Promise<Opened | Refusal> {
  const { caller } = call;
  const stranger: About = { request: call.request, action: "session.open", by: undefined };
  if (caller.kind !== "anonymous" && caller.kind !== "socket") {
    return parts.journal.refused(
      refuse("INPUT_INVALID", "a session is opened without a session token", "leave the Authorization header out"),
      stranger,
    );
  }
  const { presented } = caller;
  if (!presented)
    return parts.journal.refused(
      refuse(
        "PROOF_INVALID",
        "no DPoP proof and no client certificate came with the request",
        "send a DPoP proof made with a key of your own",
      ),
      stranger,
    );

  const identity = await parts.tokens.verify(request.identityToken);
  if (isRefusal(identity)) return parts.journal.refused(identity, stranger);
  if (identity.kind === "person")
    return parts.journal.refused(
      refuse("TOKEN_INVALID", "this is a person's token; signing sessions are for CI jobs", "signet login"),
      stranger,
    );

  const about: About = {
    ...stranger,
    by: identity.principal,
    presented,
    identityToken: identity.tokenId,
    keys: request.keys.slice(0, maxKeys).map(shown),
  };
  const malformed = wellFormed(request);
  if (malformed) return parts.journal.refused(malformed, about);

  const earlier = await parts.state.sessionByIdentityToken(identity.tokenId);
  if (earlier) return again(call, earlier, identity, presented, about, parts);
  return anew(call, request, identity, presented, about, parts);
}

const maxKeys = 16;

function wellFormed(request: OpenRequest): Refusal | undefined {
  if (request.keys.length < 1 || request.keys.length > maxKeys || new Set(request.keys).size !== request.keys.length) {
    return refuse(
      "INPUT_INVALID",
      `keys must name 1 to ${String(maxKeys)} different keys`,
      "name the keys that the job will sign with",
    );
  }
  if (request.uses !== undefined && (!Number.isSafeInteger(request.uses) || request.uses < 1))
    return refuse("INPUT_INVALID", `uses must be a positive whole number; found ${String(request.uses)}`);
  if (request.ttl !== undefined && request.ttl < 1000) return refuse("INPUT_INVALID", "ttl must be at least PT1S");
  if (request.reason !== undefined && request.reason.length > 256)
    return refuse("INPUT_INVALID", "reason has at most 256 characters");
  return undefined;
}

async function anew(
  call: Call,
  request: OpenRequest,
  identity: WorkloadIdentity,
  presented: Presented,
  about: About,
  parts: Parts,
): Promise<Opened | Refusal> {
  const at = parts.clock();
  const decided = decideOpen(parts.policy(), {
    principal: identity.principal,
    keys: request.keys,
    purposes: purposes(request.keys, parts),
    ...(request.uses !== undefined && { uses: request.uses }),
    ...(request.ttl !== undefined && { ttl: request.ttl }),
    at,
  });
  if (decided.effect === "deny")
    return parts.journal.refused(decided.refusal, { ...about, decision: decided.decision });
  const unfit = inactive(request.keys, parts);
  if (unfit) return parts.journal.refused(unfit, { ...about, decision: decided.decision });

  const session = newSession(request, identity, presented.cnf, decided, at, parts);
  const token = newToken("sgs", parts);
  const { fields, blobs } = callerFields(session.principal, presented, identity.tokenId);
  const appended = await parts.journal.append(
    call.request,
    () => ({
      type: "session.open",
      ...fields,
      session: session.id,
      keys: session.keys,
      decision: decided.decision,
      uses: { granted: session.usesGranted, spent: 0, left: session.usesLeft },
      expiresAt: rfc3339(session.expiresAt),
      limits: limitsHash(session.limits),
      reason: session.reason,
    }),
    {
      blobs,
      open: { session, token: sha256(token), most: decided.limits.sessions },
      unchanged: asTheyAre(request.keys, parts),
      marks: [
        ...proofMarks(presented),
        { kind: "token", id: sha256(identity.tokenId), expiresAt: identity.expiresAt + tokenMemory },
      ],
    },
  );
  parts.step("open.after-commit");
  if (!("conflict" in appended)) return { session, token, receipt: receiptOf(appended) };
  if (appended.conflict === "mark" && appended.mark === "token") {
    const first = await parts.state.sessionByIdentityToken(identity.tokenId);
    if (first) return again(call, first, identity, presented, about, parts);
  }
  if (appended.conflict === "revision") return anew(call, request, identity, presented, about, parts); // a key changed this moment
  const refusal = appended.conflict === "session-limit" ? crowded(decided, identity.principal) : proofUsed;
  return parts.journal.refused(refusal, { ...about, decision: decided.decision });
}

/** A key that is stopped ends its sessions in one transaction: none may come in behind it. */
const asTheyAre = (keys: readonly string[], { state }: Parts): Write["unchanged"] =>
  keys.map((id) => ({ kind: "key", id, expects: state.record("key", id)?.revision ?? 0 }));

/** An identity token is remembered past its expiry for as long as clocks may disagree, and more. Milliseconds. */
export const tokenMemory = 3_600_000;

/** How often one project may ask again for sessions that it has. */
const openingsPerMinute = 60;

async function again(
  call: Call,
  session: SigningSession,
  identity: WorkloadIdentity,
  presented: Presented,
  about: About,
  parts: Parts,
): Promise<Opened | Refusal> {
  if (canonicalJson(session.cnf) !== canonicalJson(presented.cnf))
    return stolen(call, session, identity, presented, about, parts);
  const ended = stateAt(session, parts.clock()) === "OPEN" ? undefined : endedSession(session, parts.clock());
  if (ended) return parts.journal.refused(ended, { ...about, session: session.id });
  const wait = parts.rate.take(`open ${principalKey(session.principal)}`, openingsPerMinute, parts.clock());
  if (wait > 0) {
    const often = refuse(
      "RATE_LIMITED",
      "this identity token was asked for its session too often",
      "keep the session token",
    );
    return parts.journal.refused({ ...often, retryAfter: wait }, { ...about, session: session.id });
  }
  const token = newToken("sgs", parts);
  const { fields, blobs } = callerFields(identity.principal, presented, identity.tokenId);
  const appended = await parts.journal.append(
    call.request,
    ({ uses }) => ({
      type: "session.open",
      ...fields,
      session: session.id,
      keys: session.keys,
      decision: {
        effect: "permit",
        grant: session.grant,
        policy: session.policy,
        reasons: ["the same identity token and key"],
      },
      uses: spentUses(session, uses?.left ?? session.usesLeft),
      expiresAt: rfc3339(session.expiresAt),
      again: true,
    }),
    { blobs, token: { session: session.id, token: sha256(token) }, marks: proofMarks(presented) },
  );
  if ("conflict" in appended) return parts.journal.refused(proofUsed, about);
  return { session, token, receipt: receiptOf(appended) };
}

/** As the transaction found them: signatures may be under way while a job asks again. */
const spentUses = ({ usesGranted: granted }: SigningSession, left: number): Uses => ({
  granted,
  spent: granted - left,
  left,
});

async function stolen(
  call: Call,
  session: SigningSession,
  identity: WorkloadIdentity,
  presented: Presented,
  about: About,
  parts: Parts,
): Promise<Refusal> {
  const refused = await parts.journal.refused(
    refuse(
      "TOKEN_REPLAYED",
      `this identity token already opened session ${session.id} with another key`,
      "ask the CI provider for a fresh token; if this was not you, tell an operator",
    ),
    { ...about, session: session.id },
  );
  if (!namesTenant(parts.policy(), identity.principal)) return refused;
  // One alarm for each session, also where the refusal itself was folded: filling the minute must not silence it.
  const { fields, blobs } = callerFields(identity.principal, presented, identity.tokenId);
  await parts.journal.append(
    call.request,
    () => ({ type: "incident.token-replayed", ...fields, session: session.id }),
    {
      blobs,
      marks: [{ kind: "token", id: sha256(`replayed\0${session.id}`), expiresAt: identity.expiresAt + tokenMemory }],
    },
  );
  return refused;
}

function newSession(
  request: OpenRequest,
  identity: WorkloadIdentity,
  cnf: Confirmation,
  decided: Permitted,
  at: number,
  parts: Parts,
): SigningSession {
  return {
    id: newId("ss", parts.clock, parts.random),
    principal: identity.principal,
    cnf,
    keys: request.keys,
    limits: decided.limits,
    grant: decided.grant,
    policy: decided.decision.policy,
    reason: request.reason,
    openedAt: at,
    expiresAt: at + decided.limits.ttl,
    usesGranted: decided.limits.uses,
    usesLeft: decided.limits.uses,
    state: "OPEN",
    identityToken: identity.tokenId,
  };
}

const purposes = (keys: readonly string[], parts: Parts): Record<string, Purpose> =>
  Object.fromEntries(
    keys.flatMap((name) => parts.state.record("key", name)?.value ?? []).map((key) => [key.name, key.purpose]),
  );

function inactive(keys: readonly string[], parts: Parts): Refusal | undefined {
  for (const name of keys) {
    const key = parts.state.record("key", name)?.value;
    if (!key) return refuse("NOT_FOUND", `there is no key "${shown(name)}"`, "ask an operator: signet key list");
    if (!current(key))
      return refuse(
        "KEY_NOT_ACTIVE",
        `key "${name}" is ${key.versions.at(-1)?.state ?? "empty"}`,
        `ask an operator: signet key show ${name}`,
      );
  }
  return undefined;
}

const crowded = (decided: Permitted, principal: Workload): Refusal =>
  refuse(
    "SESSION_LIMIT",
    `grant "${decided.grant}" allows ${String(decided.limits.sessions)} open sessions of ${principal.project}, and they are open`,
    "close sessions when a job ends: signet session close",
  );

export const proofMarks = (presented: Presented | undefined): readonly Mark[] =>
  presented?.proof ? [{ kind: "proof", id: presented.proof.mark, expiresAt: presented.proof.expiresAt }] : [];

/** 256 random bits and six characters of checksum, so that secret scanners know one when they see it. */
export function newToken(prefix: "sgs" | "sgo", parts: Pick<Parts, "random">): string {
  const bits = base64url(parts.random(32));
  return `${prefix}_${bits}${base64url(sha256(`${prefix}_${bits}`)).slice(0, 6)}`;
}
