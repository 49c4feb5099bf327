// State, told again from the leaves alone: what the log says must be what the tables say, or the daemon does not start.

import type { Action, PendingAction } from "./approval.ts";
import type { Entry, LeafRef } from "./entry.ts";
import type { Key, KeyState, KeyVersion } from "./key.ts";
import { type Person, principalKey } from "./principal.ts";

export interface ReplayedSession {
  readonly usesLeft: number;
  readonly usesGranted: number;
  readonly state: "OPEN" | "CLOSED" | "REVOKED";
  /** RFC 3339. */
  readonly expiresAt: string;
}

export interface Replayed {
  /** Per key version: its state and the fingerprint-making public key. */
  readonly keys: ReadonlyMap<string, { readonly state: KeyState; readonly publicKey: string }>;
  readonly people: ReadonlyMap<string, Pick<Person, "name" | "issuer" | "subject" | "roles">>;
  readonly pending: ReadonlyMap<string, { readonly hash: string; readonly state: PendingAction["state"]; readonly action: Action; readonly requester: string }>;
  readonly sessions: ReadonlyMap<string, ReplayedSession>;
  readonly policy: string | undefined;
  /** Of the newest daemon.start. */
  readonly epoch: number;
  /** Intents without an outcome, oldest first, with the session of a signature. */
  readonly unfinished: ReadonlyMap<number, { readonly intent: LeafRef; readonly session: string | undefined; readonly reported: boolean }>;
}

export interface Replay {
  /** In order of the leaves. `hash` is the RFC 6962 leaf hash, hex. */
  entry(index: number, hash: string, entry: Entry): void;
  result(): Replayed;
}

export function replay(): Replay {
  const keys = new Map<string, { state: KeyState; publicKey: string }>();
  const people = new Map<string, Pick<Person, "name" | "issuer" | "subject" | "roles">>();
  const pending = new Map<string, { hash: string; state: PendingAction["state"]; action: Action; requester: string }>();
  const sessions = new Map<string, { usesLeft: number; usesGranted: number; state: ReplayedSession["state"]; expiresAt: string }>();
  const unfinished = new Map<number, { intent: LeafRef; session: string | undefined; reported: boolean }>();
  let policy: string | undefined;
  let epoch = 0;

  function begin(index: number, hash: string, session: string | undefined): void {
    unfinished.set(index, { intent: { index, hash }, session, reported: false });
  }

  function entry(index: number, hash: string, one: Entry): void {
    switch (one.type) {
      case "daemon.start":
        epoch = Math.max(epoch, one.epoch);
        return;
      case "session.open":
        sessions.set(one.session, { usesLeft: one.uses.left, usesGranted: one.uses.granted, state: "OPEN", expiresAt: one.expiresAt });
        return;
      case "session.close":
      case "session.revoke": {
        const session = sessions.get(one.session);
        if (session) session.state = one.type === "session.close" ? "CLOSED" : "REVOKED";
        return;
      }
      case "sign.intent": {
        const session = sessions.get(one.session);
        if (session) session.usesLeft -= one.uses.spent;
        begin(index, hash, one.session);
        return;
      }
      case "key.create.intent":
        begin(index, hash, undefined);
        return;
      case "key.create.outcome":
        unfinished.delete(one.intent.index);
        if (one.result === "done") keys.set(`${one.key}/${String(one.version ?? 1)}`, { state: "PRE_ACTIVATION", publicKey: one.publicKey ?? "" });
        return;
      case "sign.outcome":
        unfinished.delete(one.intent.index);
        return;
      case "incident.unfinished": {
        const open = unfinished.get(one.intent.index);
        if (open) open.reported = true;
        return;
      }
      case "key.state": {
        const key = keys.get(`${one.key}/${String(one.version)}`);
        if (key) key.state = one.to;
        return;
      }
      case "approval.request":
        pending.set(one.pending, { hash: one.hash, state: "PENDING", action: one.action, requester: principalKey(one.by) });
        return;
      case "approval.decide": {
        const waiting = pending.get(one.pending);
        if (waiting) waiting.state = one.verdict === "approved" ? "APPROVED" : one.verdict === "denied" ? "DENIED" : "WITHDRAWN";
        return;
      }
      case "operator.change":
        if (one.change === "removed") people.delete(one.operator.id);
        else people.set(one.operator.id, one.operator);
        return;
      case "policy.change":
        policy = one.policy;
        return;
      case "refusal":
      case "operator.login":
      case "audit.read":
      case "audit.export":
      case "daemon.stop":
      case "incident.token-replayed":
      case "incident.clock":
      case "incident.witness":
        return;
    }
  }

  return { entry, result: () => ({ keys, people, pending, sessions, policy, epoch, unfinished }) };
}

/** What the tables say, as far as the leaves tell it too. */
export interface Told {
  readonly keys: readonly Key[];
  readonly people: readonly Person[];
  readonly pending: readonly PendingAction[];
  readonly sessions: readonly { readonly id: string; readonly usesLeft: number; readonly state: ReplayedSession["state"] }[];
  readonly policy: string | undefined;
}

/** Differences in words, empty where tables and leaves agree. `told.sessions` holds the open ones at least. */
export function differences(replayed: Replayed, told: Told): readonly string[] {
  const out: string[] = [];
  const versions = told.keys.flatMap((key) => key.versions);
  for (const version of versions) out.push(...keyDifference(version, replayed));
  if (versions.length !== replayed.keys.size) out.push(`the tables hold ${String(versions.length)} key versions, the log ${String(replayed.keys.size)}`);
  for (const person of told.people) {
    const said = replayed.people.get(person.id);
    if (!said || said.issuer !== person.issuer || said.subject !== person.subject || [...said.roles].sort().join() !== [...person.roles].sort().join()) {
      out.push(`operator ${person.name} is not as the log says`);
    }
  }
  if (told.people.length !== replayed.people.size) out.push(`the tables hold ${String(told.people.length)} operators, the log ${String(replayed.people.size)}`);
  for (const waiting of told.pending) {
    const said = replayed.pending.get(waiting.id);
    if (said?.state !== waiting.state || said.hash !== waiting.hash) out.push(`pending action ${waiting.id} is not as the log says`);
  }
  for (const session of told.sessions) {
    const said = replayed.sessions.get(session.id);
    if (!said) out.push(`session ${session.id} is not in the log`);
    else if (said.state !== session.state) out.push(`session ${session.id} is ${session.state}, by the log ${said.state}`);
    else if (said.usesLeft !== session.usesLeft) out.push(`session ${session.id} has ${String(session.usesLeft)} uses left, by the log ${String(said.usesLeft)}`);
  }
  if (told.policy !== replayed.policy) out.push(`the policy in force is ${told.policy ?? "none"}, by the log ${replayed.policy ?? "none"}`);
  return out;
}

function keyDifference(version: KeyVersion, replayed: Replayed): readonly string[] {
  const name = `${version.key}/${String(version.number)}`;
  const said = replayed.keys.get(name);
  if (!said) return [`key ${name} is not in the log`];
  if (said.state !== version.state) return [`key ${name} is ${version.state}, by the log ${said.state}`];
  if (said.publicKey !== version.publicKey) return [`key ${name} has another public key than the log says`];
  return [];
}
