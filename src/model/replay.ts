// State, told again from the leaves alone: what the log says must be what the tables say, or the daemon does not start.

import { rfc3339 } from "../std/clock.ts";
import { canonicalJson } from "../std/json.ts";
import type { Action, PendingAction } from "./approval.ts";
import type { Entry, LeafRef } from "./entry.ts";
import type { Key, KeyAlgorithm, KeyState, KeyVersion, Purpose } from "./key.ts";
import { type Confirmation, type Person, type Principal, principalKey } from "./principal.ts";
import type { SigningSession } from "./session.ts";

export interface ReplayedSession {
  readonly usesLeft: number;
  readonly usesGranted: number;
  readonly state: "OPEN" | "CLOSED" | "REVOKED";
  /** Who may sign, with which keys, proved how, until when: fixed when the session opened. */
  readonly terms: string;
}

export interface ReplayedKey {
  readonly state: KeyState;
  readonly publicKey: string;
  /** What it is for, and where it lives: fixed when it was made. */
  readonly terms: string;
}

export interface Replayed {
  /** Per key version. */
  readonly keys: ReadonlyMap<string, ReplayedKey>;
  readonly people: ReadonlyMap<string, Pick<Person, "name" | "issuer" | "subject" | "roles">>;
  readonly pending: ReadonlyMap<
    string,
    {
      readonly hash: string;
      readonly state: PendingAction["state"];
      readonly action: Action;
      readonly requester: string;
    }
  >;
  readonly sessions: ReadonlyMap<string, ReplayedSession>;
  readonly policy: string | undefined;
  /** Of the newest daemon.start. */
  readonly epoch: number;
  /** Intents without an outcome, oldest first, with the session of a signature. */
  readonly unfinished: ReadonlyMap<
    number,
    { readonly intent: LeafRef; readonly session: string | undefined; readonly reported: boolean }
  >;
}

export interface Replay {
  /** In order of the leaves. `hash` is the RFC 6962 leaf hash, hex. */
  entry(index: number, hash: string, entry: Entry): void;
  result(): Replayed;
}

export function replay(): Replay {
  const keys = new Map<string, ReplayedKey>();
  const people = new Map<string, Pick<Person, "name" | "issuer" | "subject" | "roles">>();
  const pending = new Map<string, { hash: string; state: PendingAction["state"]; action: Action; requester: string }>();
  const sessions = new Map<
    string,
    { usesLeft: number; usesGranted: number; state: ReplayedSession["state"]; terms: string }
  >();
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
        sessions.set(one.session, {
          usesLeft: one.uses.left,
          usesGranted: one.uses.granted,
          state: "OPEN",
          terms: sessionTerms(one.by, one.cnf, one.keys, one.expiresAt),
        });
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
        if (one.result === "done")
          keys.set(`${one.key}/${String(one.version ?? 1)}`, {
            state: "PRE_ACTIVATION",
            publicKey: one.publicKey ?? "",
            terms: keyTerms(one.purpose, one.algorithm, one.custody, one.uri ?? ""),
          });
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
        if (key) keys.set(`${one.key}/${String(one.version)}`, { ...key, state: one.to });
        return;
      }
      case "key.adopt":
        keys.set(`${one.key}/${String(one.version)}`, {
          state: one.to,
          publicKey: one.publicKey,
          terms: keyTerms(one.purpose, one.algorithm, one.custody, one.uri),
        });
        return;
      case "approval.request":
        pending.set(one.pending, {
          hash: one.hash,
          state: "PENDING",
          action: one.action,
          requester: principalKey(one.by),
        });
        return;
      case "approval.decide": {
        const waiting = pending.get(one.pending);
        if (waiting)
          waiting.state = one.verdict === "approved" ? "APPROVED" : one.verdict === "denied" ? "DENIED" : "WITHDRAWN";
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

const sessionTerms = (
  by: Principal,
  cnf: Confirmation | undefined,
  keys: readonly string[],
  expiresAt: string,
): string => [principalKey(by), canonicalJson(cnf ?? null), keys.join(), expiresAt].join(" ");

const keyTerms = (
  ...terms: readonly [purpose: Purpose, algorithm: KeyAlgorithm, custody: string, uri: string]
): string => terms.join(" ");

/** What the tables say, as far as the leaves tell it too. */
export interface Told {
  readonly keys: readonly Key[];
  readonly people: readonly Person[];
  readonly pending: readonly PendingAction[];
  /** All that are open by the tables, expired ones too. */
  readonly sessions: readonly SigningSession[];
  readonly policy: string | undefined;
}

/** Differences in words, empty where tables and leaves agree. */
export function differences(replayed: Replayed, told: Told): readonly string[] {
  const out: string[] = [];
  const versions = told.keys.flatMap((key) => key.versions);
  for (const version of versions) out.push(...keyDifference(version, replayed));
  for (const key of told.keys)
    if (key.versions.some(({ purpose }) => purpose !== key.purpose))
      out.push(`key ${key.name} has another purpose than its versions`);
  if (versions.length !== replayed.keys.size)
    out.push(`the tables hold ${String(versions.length)} key versions, the log ${String(replayed.keys.size)}`);
  for (const person of told.people) {
    if (!personHolds(person, replayed)) out.push(`operator ${person.name} is not as the log says`);
  }
  if (told.people.length !== replayed.people.size)
    out.push(`the tables hold ${String(told.people.length)} operators, the log ${String(replayed.people.size)}`);
  for (const waiting of told.pending) {
    const said = replayed.pending.get(waiting.id);
    if (said?.state !== waiting.state || said.hash !== waiting.hash)
      out.push(`pending action ${waiting.id} is not as the log says`);
  }
  out.push(...sessionDifferences(replayed.sessions, told.sessions));
  if (told.policy !== replayed.policy)
    out.push(`the policy in force is ${told.policy ?? "none"}, by the log ${replayed.policy ?? "none"}`);
  return out;
}

/** A session that ended in both lends nothing, whatever else is said of it. */
function sessionDifferences(replayed: Replayed["sessions"], open: readonly SigningSession[]): readonly string[] {
  const out: string[] = [];
  for (const { id, state, usesLeft, principal, cnf, keys, expiresAt } of open) {
    const said = replayed.get(id);
    if (!said) out.push(`session ${id} is not in the log`);
    else if (said.state !== state) out.push(`session ${id} is ${state}, by the log ${said.state}`);
    else if (said.usesLeft !== usesLeft)
      out.push(`session ${id} has ${String(usesLeft)} uses left, by the log ${String(said.usesLeft)}`);
    else if (said.terms !== sessionTerms(principal, cnf, keys, rfc3339(expiresAt)))
      out.push(`session ${id} has other terms (holder, keys, expiry) than the log says`);
  }
  const found = new Set(open.map(({ id }) => id));
  for (const [id, { state }] of replayed)
    if (state === "OPEN" && !found.has(id)) out.push(`session ${id} is OPEN by the log, in the tables it is not`);
  return out;
}

function keyDifference(version: KeyVersion, replayed: Replayed): readonly string[] {
  const name = `${version.key}/${String(version.number)}`;
  const said = replayed.keys.get(name);
  if (!said) return [`key ${name} is not in the log`];
  if (said.state !== version.state) return [`key ${name} is ${version.state}, by the log ${said.state}`];
  const wrong = identityDifference(version, said);
  return wrong === undefined ? [] : [`key ${name} ${wrong}`];
}

/** In words, where what never changes of a key version is not what the log said when it was made. */
export function identityDifference(version: KeyVersion, said: ReplayedKey): string | undefined {
  if (said.publicKey !== version.publicKey) return "has another public key than the log says";
  if (said.terms !== keyTerms(version.purpose, version.algorithm, version.custody, version.uri))
    return "has another purpose, algorithm or place than the log says";
  return undefined;
}

/** Whether this person is who the log says, with the roles that it says. */
export function personHolds(person: Person, { people }: Pick<Replayed, "people">): boolean {
  const said = people.get(person.id);
  return (
    said?.issuer === person.issuer &&
    said.subject === person.subject &&
    [...said.roles].sort().join() === [...person.roles].sort().join()
  );
}
