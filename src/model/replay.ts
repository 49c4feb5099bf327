// State, told again from the leaves alone: what the log says must be what the tables say, or the daemon does not start.

import { rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson, type Json } from "../std/json.ts";
import { actionHash, type PendingAction } from "./approval.ts";
import type { Entry, EntryBody, KeyEvidence, LeafRef, OperatorRecord } from "./entry.ts";
import { limitsHash } from "./grant.ts";
import { type Ended, type Key, type KeyState, type KeyVersion, type Rotation, versionId } from "./key.ts";
import { type Person, principalKey } from "./principal.ts";
import {
  begunRotation,
  cancelledRotation,
  cancelledVersion,
  type LivingVersion,
  made,
  published,
  retiredVersion,
  switchedRotation,
  switchedVersion,
} from "./rotation.ts";
import type { SigningSession } from "./session.ts";

export interface ReplayedSession {
  readonly usesLeft: number;
  readonly state: "OPEN" | "CLOSED" | "REVOKED";
  /** Hash over who may sign, with which keys, proved how, how often, until when: fixed when the session opened. */
  readonly terms: string;
  /** Hash of the limits; undefined where an older version opened the session. */
  readonly limits: string | undefined;
  /** Hashes of policy sets that may permit it now: one, where the log tells of each reload which sessions it kept. */
  readonly policies: readonly string[];
}

export interface ReplayedKey {
  readonly state: KeyState;
  /** What never changes of it. */
  readonly made: Made;
  /** How its signing ended, where a rotation or a report of compromise ended it. */
  readonly ended: Ended | undefined;
  /** Index of the newest leaf that changed it. */
  readonly at: number;
}

/** As it was told when it came in. */
interface Made
  extends Pick<
    KeyVersion,
    "key" | "number" | "purpose" | "algorithm" | "custody" | "uri" | "publicKey" | "protection" | "guards"
  > {
  /** RFC 3339; undefined in entries of older versions. */
  readonly createdAt: string | undefined;
  /** RFC 3339: time of that entry. */
  readonly recordedAt: string;
}

interface ReplayedRotation {
  readonly rotation: Rotation;
  /** Index of the newest leaf that changed it. */
  readonly at: number;
}

interface ReplayedPending {
  readonly state: PendingAction["state"];
  /** Hash over what was asked, by whom, until when. */
  readonly terms: string;
}

export interface Replayed {
  /** Per key version. */
  readonly keys: ReadonlyMap<string, ReplayedKey>;
  /** The newest one, per key. */
  readonly rotations: ReadonlyMap<string, ReplayedRotation>;
  readonly people: ReadonlyMap<string, OperatorRecord>;
  readonly pending: ReadonlyMap<string, ReplayedPending>;
  /** Without those that expired by `since`. */
  readonly sessions: ReadonlyMap<string, ReplayedSession>;
  /** Milliseconds since the epoch. */
  readonly since: number;
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

/** Sessions that expired by `since` (milliseconds since the epoch) can lend nothing any more and are not kept. */
export function replay(since = 0): Replay {
  const keys = new Map<string, ReplayedKey>();
  const rotations = new Map<string, ReplayedRotation>();
  const people = new Map<string, OperatorRecord>();
  const pending = new Map<string, ReplayedPending>();
  const sessions = new Map<string, ReplayedSession>();
  const unfinished = new Map<number, { intent: LeafRef; session: string | undefined; reported: boolean }>();
  let policy: string | undefined;
  let epoch = 0;

  function begin(index: number, hash: string, session: string | undefined): void {
    unfinished.set(index, { intent: { index, hash }, session, reported: false });
  }

  function change(id: string, to: (session: ReplayedSession) => Partial<ReplayedSession>): void {
    const session = sessions.get(id);
    if (session) sessions.set(id, { ...session, ...to(session) });
  }

  /** Sessions that a reload did not keep stay with the policy that they had, and sign no more. */
  function reload(to: string, kept: Extract<EntryBody, { type: "policy.change" }>["sessions"]): void {
    if (kept && !("blob" in kept)) for (const id of kept) change(id, () => ({ policies: [to] }));
    else for (const id of sessions.keys()) change(id, ({ policies }) => ({ policies: [...policies, to] }));
  }

  function rotate(name: string, index: number, to: (rotation: Rotation) => Rotation): void {
    const told = rotations.get(name);
    if (told) rotations.set(name, { rotation: to(told.rotation), at: index });
  }

  function cameIn(
    index: number,
    { key, purpose, algorithm, custody, uri = "", publicKey = "", protection, guards, createdAt, at }: Coming,
    number: number,
    life: Pick<ReplayedKey, "state" | "ended"> = { state: "PRE_ACTIVATION", ended: undefined },
  ): void {
    const place = { key, number, purpose, algorithm, custody, uri, publicKey };
    const made: Made = { ...place, protection, guards, createdAt, recordedAt: at };
    keys.set(versionId(made), { ...life, made, at: index });
  }

  function live(name: string, number: number, index: number, to: (version: LivingVersion) => LivingVersion): void {
    const key = keys.get(`${name}/${String(number)}`);
    if (!key) return;
    const { state, ended } = to({ number, state: key.state, ended: key.ended });
    keys.set(`${name}/${String(number)}`, { ...key, state, ended, at: index });
  }

  function entry(index: number, hash: string, one: Entry): void {
    switch (one.type) {
      case "daemon.start":
        epoch = Math.max(epoch, one.epoch);
        return;
      case "session.open":
        if (one.again || Date.parse(one.expiresAt) <= since) return;
        sessions.set(one.session, {
          usesLeft: one.uses.left,
          state: "OPEN",
          terms: openedTerms(one),
          limits: one.limits,
          policies: [one.decision.policy],
        });
        return;
      case "session.close":
      case "session.revoke":
        change(one.session, () => ({ state: one.type === "session.close" ? "CLOSED" : "REVOKED" }));
        return;
      case "sign.intent":
        change(one.session, ({ usesLeft }) => ({ usesLeft: usesLeft - one.uses.spent }));
        begin(index, hash, one.session);
        return;
      case "key.create.intent":
      case "key.enroll.intent":
      case "key.destroy.intent":
      case "custody.unlock.intent":
        begin(index, hash, undefined);
        return;
      case "key.create.outcome":
      case "key.enroll.outcome":
        unfinished.delete(one.intent.index);
        if (one.result === "done") cameIn(index, one, one.version ?? 1);
        return;
      case "sign.outcome":
      case "key.destroy.outcome":
      case "custody.unlock.outcome":
        unfinished.delete(one.intent.index);
        return;
      case "incident.unfinished": {
        const open = unfinished.get(one.intent.index);
        if (open) open.reported = true;
        return;
      }
      case "key.state": {
        const key = keys.get(`${one.key}/${String(one.version)}`);
        if (!key) return;
        keys.set(`${one.key}/${String(one.version)}`, { ...key, state: one.to, ended: endedBy(one, key), at: index });
        return;
      }
      case "key.rotate.begin":
        rotations.set(one.key, { rotation: begunRotation(one), at: index });
        return;
      case "key.rotate.intent":
        begin(index, hash, undefined);
        return;
      case "key.rotate.outcome":
        unfinished.delete(one.intent.index);
        if (one.result !== "done") return;
        cameIn(index, one, one.to);
        rotate(one.key, index, made);
        return;
      case "key.rotate.publish":
        rotate(one.key, index, (rotation) => published(rotation, one));
        return;
      case "key.rotate.switch":
        rotate(one.key, index, (rotation) => switchedRotation(rotation, one.endedAt));
        for (const number of [one.from, one.to])
          live(one.key, number, index, (version) => switchedVersion(version, one, one.endedAt, one.trustedUntil));
        return;
      case "key.rotate.cancel":
        rotate(one.key, index, (rotation) => cancelledRotation(rotation, one.endedAt));
        live(one.key, one.to, index, (version) => cancelledVersion(version, one, one.endedAt));
        return;
      case "key.rotate.retire":
        live(one.key, one.version, index, (version) => retiredVersion(version, one.version));
        return;
      case "key.adopt":
        cameIn(index, one, one.version, { state: one.to, ended: one.ended });
        return;
      case "approval.request":
        pending.set(one.pending, { state: "PENDING", terms: askedTerms(one) });
        return;
      case "approval.decide": {
        const waiting = pending.get(one.pending);
        if (waiting) pending.set(one.pending, { ...waiting, state: decided[one.verdict] });
        return;
      }
      case "operator.change":
        if (one.change === "removed") people.delete(one.operator.id);
        else people.set(one.operator.id, one.operator);
        return;
      case "policy.change":
        policy = one.policy;
        reload(one.policy, one.sessions);
        return;
      case "refusal":
      case "key.drift":
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

  return { entry, result: () => ({ keys, rotations, people, pending, sessions, since, policy, epoch, unfinished }) };
}

function endedBy(one: Extract<Entry, { type: "key.state" }>, { ended }: ReplayedKey): Ended | undefined {
  if (one.to === "COMPROMISED") return { why: "compromised", at: one.at };
  return "endedAt" in one && one.endedAt !== undefined ? { why: "deactivated", at: one.endedAt } : ended;
}

const decided = { approved: "APPROVED", denied: "DENIED", withdrawn: "WITHDRAWN" } as const;

/** Facts of ours are plain JSON by their types; interfaces lack the index signature that the compiler asks for. */
const canonical = (facts: unknown): string => canonicalJson(facts as Json);

const openedTerms = (one: Extract<EntryBody, { type: "session.open" }>): string =>
  sha256Hex(
    canonical({
      principal: one.by,
      cnf: one.cnf,
      keys: one.keys,
      grant: one.decision.grant,
      usesGranted: one.uses.granted,
      expiresAt: one.expiresAt,
      identityToken: one.evidence?.identityToken,
      reason: one.reason,
    }),
  );

const sessionTerms = (session: SigningSession): string => {
  const { principal, cnf, keys, grant, usesGranted, identityToken, reason } = session;
  const expiresAt = rfc3339(session.expiresAt);
  return sha256Hex(canonical({ principal, cnf, keys, grant, usesGranted, expiresAt, identityToken, reason }));
};

const askedTerms = (one: Extract<EntryBody, { type: "approval.request" }>): string =>
  sha256Hex(
    canonical({
      action: one.action,
      hash: one.hash,
      requester: principalKey(one.by),
      requesterName: one.by.kind === "person" ? one.by.name : "",
      expiresAt: one.expiresAt,
    }),
  );

const pendingTerms = (waiting: PendingAction): string => {
  const { action, hash, requester, requesterName } = waiting;
  return sha256Hex(canonical({ action, hash, requester, requesterName, expiresAt: rfc3339(waiting.expiresAt) }));
};

/** Entries with which a key version comes in. */
type Coming = Extract<
  Entry,
  { type: "key.create.outcome" | "key.enroll.outcome" | "key.rotate.outcome" | "key.adopt" }
>;

const keyEvidence = ({ protection, guards }: KeyEvidence): string => canonical({ protection, guards });

/** What the tables say, as far as the leaves tell it too. */
export interface Told {
  /** `revision`: one more than the index of the leaf that changed it. */
  readonly keys: readonly { readonly value: Key; readonly revision: number }[];
  readonly people: readonly Person[];
  readonly pending: readonly PendingAction[];
  /** All that are open by the tables and had not expired by `Replayed.since`. */
  readonly sessions: readonly SigningSession[];
  readonly policy: string | undefined;
}

/** Differences in words, empty where tables and leaves agree. */
export function differences(replayed: Replayed, told: Told): readonly string[] {
  const out: string[] = [];
  for (const one of told.keys) out.push(...keyDifferences(one, replayed));
  out.push(...countDifference("key versions", told.keys.flatMap(({ value }) => value.versions).length, replayed.keys));
  for (const person of told.people)
    if (!personHolds(person, replayed)) out.push(`operator ${person.name} is not as the log says`);
  out.push(...countDifference("operators", told.people.length, replayed.people));
  for (const waiting of told.pending)
    if (!pendingHolds(waiting, replayed)) out.push(`pending action ${waiting.id} is not as the log says`);
  out.push(...countDifference("pending actions", told.pending.length, replayed.pending));
  out.push(...sessionDifferences(replayed.sessions, told.sessions));
  if (told.policy !== replayed.policy)
    out.push(`the policy in force is ${told.policy ?? "none"}, by the log ${replayed.policy ?? "none"}`);
  return out;
}

const countDifference = (what: string, found: number, { size }: { readonly size: number }): readonly string[] =>
  found === size ? [] : [`the tables hold ${String(found)} ${what}, the log ${String(size)}`];

function pendingHolds(waiting: PendingAction, { pending }: Replayed): boolean {
  const said = pending.get(waiting.id);
  return (
    said?.state === waiting.state && said.terms === pendingTerms(waiting) && actionHash(waiting.action) === waiting.hash
  );
}

/** A session that ended in both lends nothing, whatever else is said of it. */
function sessionDifferences(replayed: Replayed["sessions"], open: readonly SigningSession[]): readonly string[] {
  const out: string[] = [];
  for (const session of open) {
    const wrong = sessionDifference(session, replayed.get(session.id));
    if (wrong !== undefined) out.push(`session ${session.id} ${wrong}`);
  }
  const found = new Set(open.map(({ id }) => id));
  for (const [id, { state }] of replayed)
    if (state === "OPEN" && !found.has(id)) out.push(`session ${id} is OPEN by the log, in the tables it is not`);
  return out;
}

function sessionDifference(session: SigningSession, said: ReplayedSession | undefined): string | undefined {
  const { state, usesLeft, policy, limits, openedAt, expiresAt } = session;
  if (!said) return "is not in the log, or had expired long ago by the log";
  if (said.state !== state) return `is ${state}, by the log ${said.state}`;
  if (said.usesLeft !== usesLeft) return `has ${String(usesLeft)} uses left, by the log ${String(said.usesLeft)}`;
  if (said.terms !== sessionTerms(session))
    return "has other terms (holder, keys, grant, uses or expiry) than the log says";
  if ((said.limits ?? limitsHash(limits)) !== limitsHash(limits) || openedAt + limits.ttl !== expiresAt)
    return "has other limits than the log says";
  if (!said.policies.includes(policy)) return `goes on under the policy ${policy}, by the log it does not`;
  return undefined;
}

function keyDifferences({ value, revision }: Told["keys"][number], { keys, rotations }: Replayed): readonly string[] {
  const out: string[] = [];
  const rotation = rotations.get(value.name);
  let newest = rotation?.at ?? -1;
  if (canonical(value.rotation ?? null) !== canonical(rotation?.rotation ?? null))
    out.push(`key ${value.name} has another rotation than the log says`);
  for (const [i, version] of value.versions.entries()) {
    const name = versionId(version);
    const said = keys.get(name);
    newest = Math.max(newest, said?.at ?? -1);
    if (version.key !== value.name || value.versions.findIndex(({ number }) => number === version.number) !== i)
      out.push(`key ${name} is not of the key that it stands under, or there twice`);
    else if (version.purpose !== value.purpose) out.push(`key ${name} has another purpose than its key`);
    else if (!said) out.push(`key ${name} is not in the log`);
    else if (said.state !== version.state) out.push(`key ${name} is ${version.state}, by the log ${said.state}`);
    else if (endedText(version) !== endedText(said)) out.push(`key ${name} ended otherwise than the log says`);
    else {
      const wrong = identityDifference(version, said);
      if (wrong !== undefined) out.push(`key ${name} ${wrong}`);
    }
  }
  if (out.length === 0 && revision !== newest + 1)
    out.push(`key ${value.name} was changed by leaf ${String(revision - 1)}, by the log it was leaf ${String(newest)}`);
  return out;
}

/** Compromise is told without a time of its own; records of older versions have only the state. */
const endedText = ({ state, ended }: Pick<KeyVersion, "state" | "ended">): string =>
  state === "COMPROMISED" || ended?.why === "compromised" ? "compromised" : canonical(ended ?? null);

/** In words, where what never changes of a key version is not what the log said when it was made. */
export function identityDifference(version: KeyVersion, { made }: ReplayedKey): string | undefined {
  if (made.publicKey !== version.publicKey) return "has another public key than the log says";
  if (version.fingerprint !== fingerprintOf(version.publicKey)) return "has another fingerprint than its public key";
  if ((["purpose", "algorithm", "custody", "uri"] as const).some((fact) => made[fact] !== version[fact]))
    return "has another purpose, algorithm or place than the log says";
  if (keyEvidence(made) !== keyEvidence(version)) return "has another protection than the log says";
  if (made.createdAt !== undefined && made.createdAt !== version.createdAt)
    return "was made at another time than the log says";
  return undefined;
}

/** A key version from the leaves alone. Where they are of an older version, the time at which it was made is that of its entry. */
export function toldVersion({ made, state, ended }: ReplayedKey): KeyVersion {
  const { recordedAt, createdAt = recordedAt, ...facts } = made;
  return { ...facts, state, fingerprint: fingerprintOf(made.publicKey), createdAt, ended };
}

/** SHA-256 (hex) of what the armour of a PEM text holds: here the SPKI's DER. */
const fingerprintOf = (pem: string): string =>
  sha256Hex(Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ""), "base64"));

/** Whether this person is who the log says, with the roles that it says. */
export function personHolds(person: Person, { people }: Pick<Replayed, "people">): boolean {
  const said = people.get(person.id);
  return (
    said !== undefined && canonical({ ...person, kind: undefined, roles: [...person.roles].sort() }) === recorded(said)
  );
}

const recorded = ({ id, name, issuer, subject, roles }: OperatorRecord): string =>
  canonical({ id, name, issuer, subject, roles: [...roles].sort() });
