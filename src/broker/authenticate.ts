// Who calls: a token names a session, and the caller's key shows that the token is in the right hands (RFC 9449, 8705).
//
// A bad proof for a session that exists is recorded under the session's principal: somebody holds its token without
// its key. Everything else that fails here is a stranger.

import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Confirmation, Principal } from "../model/principal.ts";
import { stateAt } from "../model/session.ts";
import { sha256 } from "../std/digest.ts";
import type { Caller, Presented } from "./call.ts";
import { endedSession } from "./guard.ts";
import type { Credentials } from "./index.ts";
import type { Parts } from "./parts.ts";

export async function authenticate(credentials: Credentials, request: string, parts: Parts): Promise<Caller | Refusal> {
  const token = tokenOf(credentials.authorization);
  if (isRefusal(token)) return parts.journal.refused(token, { request, action: "authenticate", by: undefined });
  if (!token) return withoutToken(credentials, request, parts);

  const found = await holder(token.text, parts);
  if (!found) {
    const unknown = refuse(
      "UNAUTHENTICATED",
      "the session token is not known here",
      "open a session: signet session open, or signet login",
    );
    return parts.journal.refused(unknown, { request, action: "authenticate", by: undefined });
  }
  const presented = await present(credentials, token, found.cnf, parts);
  if (isRefusal(presented))
    return parts.journal.refused(presented, { request, action: "authenticate", by: found.by, session: found.session });
  const caller = found.caller(presented);
  const ended =
    caller.kind === "session" &&
    stateAt(caller.session, parts.clock()) !== "EXPIRED" &&
    endedSession(caller.session, parts.clock());
  return ended
    ? parts.journal.refused(ended, { request, action: "authenticate", by: found.by, presented, session: found.session })
    : caller;
}

interface Token {
  readonly scheme: "dpop" | "bearer";
  readonly text: string;
}

function tokenOf(authorization: string | undefined): Token | Refusal | undefined {
  if (authorization === undefined) return undefined;
  const match = /^(dpop|bearer) (sg[so]_[\w-]{1,200})$/i.exec(authorization);
  if (!match?.[1] || !match[2])
    return refuse(
      "UNAUTHENTICATED",
      "the Authorization header is not `DPoP sgs_…`",
      "open a session: signet session open, or signet login",
    );
  return { scheme: match[1].toLowerCase() === "dpop" ? "dpop" : "bearer", text: match[2] };
}

interface Holder {
  readonly by: Principal;
  readonly cnf: Confirmation;
  readonly session: string | undefined;
  readonly caller: (presented: Presented) => Caller;
}

async function holder(token: string, parts: Parts): Promise<Holder | undefined> {
  if (token.startsWith("sgo_")) {
    const login = parts.operatorSessions.find(token, parts.clock());
    const person = login && parts.state.record("person", login.person)?.value;
    return (
      person && {
        by: person,
        cnf: login.cnf,
        session: undefined,
        caller: (presented) => ({ kind: "person", person: { ...person, methods: login.methods }, presented }),
      }
    );
  }
  const session = await parts.state.sessionByToken(sha256(token));
  return (
    session && {
      by: session.principal,
      cnf: session.cnf,
      session: session.id,
      caller: (presented) => ({ kind: "session", session, presented }),
    }
  );
}

/** Holds what came with the request against what the session is bound to: one binding per session, nothing else counts. */
async function present(
  credentials: Credentials,
  token: Token,
  cnf: Confirmation,
  parts: Parts,
): Promise<Presented | Refusal> {
  if ("bearer" in cnf) {
    if (credentials.bearer && token.scheme === "bearer") return { cnf };
    return refuse(
      "PROOF_INVALID",
      "this session is a bearer session, which this listener does not take",
      "use the listener that it was opened on",
    );
  }
  if ("x5t#S256" in cnf) {
    if (credentials.certificate === cnf["x5t#S256"]) return { cnf };
    return refuse(
      "PROOF_INVALID",
      "the request did not come over the client certificate that the session is bound to",
      "connect with the certificate that opened the session",
    );
  }
  if (token.scheme !== "dpop")
    return refuse(
      "PROOF_INVALID",
      "the session is bound to a key; its token alone is worth nothing",
      "send `Authorization: DPoP …` and a DPoP proof",
    );
  const proof = await parts.proofs.verify({ ...credentials, token: token.text });
  if (isRefusal(proof)) return proof;
  if (proof.jkt !== cnf.jkt)
    return refuse(
      "PROOF_INVALID",
      "the proof was made with another key than the session is bound to",
      "use the key that opened the session",
    );
  return { cnf, proof };
}

/** Opening a session, logging in: the key presented now is the one that the session will be bound to. */
async function withoutToken(credentials: Credentials, request: string, parts: Parts): Promise<Caller | Refusal> {
  const kind = credentials.socket ? "socket" : "anonymous";
  if (credentials.proofs.length > 0) {
    const proof = await parts.proofs.verify({ ...credentials, token: undefined });
    if (isRefusal(proof)) return parts.journal.refused(proof, { request, action: "authenticate", by: undefined });
    return { kind, presented: { cnf: { jkt: proof.jkt }, proof } };
  }
  if (credentials.certificate !== undefined)
    return { kind, presented: { cnf: { "x5t#S256": credentials.certificate } } };
  return { kind, presented: credentials.bearer ? { cnf: { bearer: true } } : undefined };
}
