// A rotation goes on by itself once it has begun: made at the custody, published, and switched when its propagation time
// is over; later the old public key is retired. Publish before sign: at every moment one version signs, and whatever
// signs has stood in the trust documents for the propagation time.
//
// Each step is one entry, and true together with it. Die at any step and the next start goes on from there: a version
// that may have been made is asked for again (a custody makes one version once), under an intent of its own, because it
// proves again that it signs; the one before ends as unknown. Directly before the switch the custody is asked whether it
// still has the new version as it came in. What a custody refuses is recorded and tried again, ever more seldom, until
// somebody cancels.

import type { EntryBody, LeafRef } from "../model/entry.ts";
import { type Code, Fault } from "../model/errors.ts";
import { type Key, type KeyVersion, type Rotation, versionId } from "../model/key.ts";
import {
  made,
  obstacle,
  type PublishedRotation,
  published,
  type RotationUnderWay,
  retiredVersion,
  switchedRotation,
  switchedVersion,
  switchIsDue,
  toRetire,
  trustedUntil,
  underWay,
} from "../model/rotation.ts";
import type { Put, Stored } from "../ports/log.ts";
import { hex } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { parseDuration } from "../std/duration.ts";
import { leafHash } from "../tlog/merkle.ts";
import { saying, verdictOn } from "./drift.ts";
import { askCustody, comesInOnce, evidenceOf, holderOf } from "./incoming-key.ts";
import type { HealthCheck } from "./index.ts";
import { nextVersion } from "./next-version.ts";
import type { Parts } from "./parts.ts";

export interface Rotations {
  /**
   * Takes every step of a key's rotation that can be taken now. What the custody does wrong is recorded and does not
   * reject; Fault LOG_NOT_DURABLE does.
   */
  advance(key: string): Promise<void>;
  /** For the clock: whatever is due of all keys. */
  round(): Promise<void>;
  /** Runs while no step of this key's rotation is under way. */
  alone<T>(key: string, work: () => Promise<T>): Promise<T>;
  /** Why a rotation does not go on, in words; undefined where it does. */
  trouble(key: string): string | undefined;
  checks(): readonly HealthCheck[];
}

interface Trouble {
  /** `ro_…`: the next rotation of the same key has none of it. */
  readonly rotation: string;
  readonly message: string;
  readonly times: number;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
}
/** Milliseconds: after the first failure, and at most. */
const [firstPause, longestPause] = [15_000, 600_000];

export function rotations(parts: Parts): Rotations {
  const queues = new Map<string, Promise<unknown>>();
  const troubles = new Map<string, Trouble>();

  function alone<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = queues.get(key) ?? Promise.resolve();
    const after = before.then(work, work);
    queues.set(key, after);
    const done = (): void => {
      if (queues.get(key) === after) queues.delete(key);
    };
    after.then(done, done);
    return after;
  }

  async function steps(key: string): Promise<void> {
    for (let went = true; went; ) went = await step(key, parts, report);
  }

  function report(key: string, { id: rotation }: Rotation, message: string | undefined): void {
    if (message === undefined) {
      troubles.delete(key);
      return;
    }
    const times = (troubleOf(key, rotation)?.times ?? 0) + 1;
    const pause = Math.min(firstPause * 2 ** (times - 1), longestPause);
    troubles.set(key, { rotation, message, times, notBefore: parts.clock() + pause });
  }

  function troubleOf(key: string, rotation: string | undefined): Trouble | undefined {
    const found = troubles.get(key);
    return found?.rotation === rotation ? found : undefined;
  }

  const advance = (key: string): Promise<void> => alone(key, () => steps(key));

  async function round(): Promise<void> {
    if (parts.stopped() !== undefined) return;
    const due = parts.state
      .records("key")
      .filter(({ value }) => isDue(value, troubleOf(value.name, value.rotation?.id), parts.clock()));
    const going = due.map(({ value }) => advance(value.name));
    await Promise.allSettled(going);
    await Promise.all(going); // the first that failed is the round's own
  }

  function trouble(name: string): string | undefined {
    const key = parts.state.record("key", name)?.value;
    const rotation = key && underWay(key);
    if (!rotation) return undefined;
    const held = rotation.step === "PUBLISHED" ? obstacle(key, rotation) : undefined;
    return held ?? troubleOf(name, rotation.id)?.message;
  }

  const checks = (): readonly HealthCheck[] =>
    parts.state.records("key").flatMap(({ value: { name } }) => {
      const message = trouble(name);
      if (message === undefined) return [];
      return [{ name: `rotation of ${name}`, status: "warn", message, hint: `signet key show ${name}` } as const];
    });

  return { advance, round, alone, trouble, checks };
}

function isDue(key: Key, trouble: Trouble | undefined, at: number): boolean {
  if (toRetire(key, at).length > 0) return true;
  const rotation = underWay(key);
  if (!rotation) return false;
  return (trouble?.notBefore ?? 0) <= at && (rotation.step !== "PUBLISHED" || switchIsDue(key, rotation, at));
}

type Report = (key: string, rotation: Rotation, message: string | undefined) => void;

/** True where something has changed, so that there may be more to do. */
async function step(name: string, parts: Parts, report: Report): Promise<boolean> {
  const stored = parts.state.record("key", name);
  if (!stored) return false;
  const [leaving] = toRetire(stored.value, parts.clock());
  if (leaving) return retire(stored, leaving, parts);
  const rotation = underWay(stored.value);
  switch (rotation?.step) {
    case undefined:
      return false;
    case "BEGUN":
      return make(stored, rotation, parts, report);
    case "MADE":
      return publish(stored, rotation, parts);
    case "PUBLISHED":
      return switchIsDue(stored.value, rotation, parts.clock()) && turn(stored, rotation, parts, report);
  }
}

/** What every entry of a rotation names. */
export const rotating = (key: string, { id, from, to }: Pick<Rotation, "id" | "from" | "to">) => ({
  key,
  rotation: id,
  from,
  to,
});

const put = ({ revision }: Stored<Key>, value: Key): Put => ({ kind: "key", id: value.name, value, expects: revision });

async function make(stored: Stored<Key>, rotation: RotationUnderWay, parts: Parts, report: Report): Promise<boolean> {
  const key = stored.value;
  const old = key.versions.find(({ number }) => number === rotation.from);
  if (!old) throw new Fault("LOG_DAMAGED", `the rotation of ${key.name} has no version to rotate from`);
  const subject = {
    ...rotating(key.name, rotation),
    purpose: key.purpose,
    algorithm: old.algorithm,
    custody: rotation.custody,
    existing: rotation.existing,
  };
  const intent = await intentOf(subject, parts);
  if (!intent) return true;
  parts.step("rotate.after-intent");

  const incoming = await nextVersion(key, old, rotation, parts);
  parts.step("rotate.after-make");
  const ending = { type: "key.rotate.outcome" as const, ...subject, intent };
  if ("fault" in incoming) {
    const { fault, result } = incoming;
    await parts.journal.append(undefined, () => ({ ...ending, result, code: fault.code }));
    report(key.name, rotation, fault.message);
    return false;
  }
  const { version, possession, description } = incoming;
  const withheld = async (code: Code): Promise<void> => {
    const result = "withheld";
    await parts.journal.append(undefined, () => ({ ...ending, result, code, publicKey: version.publicKey }));
  };
  const known = holderOf(version, parts.state);
  if (known) {
    await withheld("ALREADY_EXISTS");
    report(key.name, rotation, `${rotation.custody} gave the public key of ${versionId(known)}, which is no new key`);
    return false;
  }
  const { evidence, blobs } = evidenceOf(description);
  const { publicKey, uri, createdAt } = version;
  const done = { ...ending, ...evidence, publicKey, uri, createdAt, possession: possession.named };
  const value: Key = { ...key, versions: [...key.versions, version], rotation: made(rotation) };
  const outcome = await parts.journal.append(undefined, () => ({ ...done, result: "done" }), {
    blobs: [...blobs, ...possession.blobs],
    marks: [comesInOnce(version, parts.clock)],
    puts: [put(stored, value)],
  });
  if (!("conflict" in outcome)) {
    parts.step("rotate.after-outcome");
    report(key.name, rotation, undefined);
  } else if (outcome.conflict !== "mark") {
    await withheld("KEY_STATE"); // the key changed meanwhile: made and proved once more, on what it is now
  } else {
    await withheld("ALREADY_EXISTS");
    report(key.name, rotation, "its new public key came in elsewhere at the same moment");
    return false;
  }
  return true;
}

type Subject = Omit<Extract<EntryBody, { type: "key.rotate.intent" }>, "type">;

/** A new one; an attempt before it that has no outcome may have signed. Undefined where the key changed meanwhile. */
async function intentOf(subject: Subject, parts: Parts): Promise<LeafRef | undefined> {
  const last = await lastAttempt(subject.key, subject.rotation, parts);
  const open: EntryBody[] =
    last && last.result === undefined
      ? [{ type: "key.rotate.outcome", ...subject, intent: last.intent, result: "unknown" }]
      : [];
  const begin = { type: "key.rotate.intent", ...subject } as const;
  const intent = await parts.journal.append(undefined, () => begin, { alongside: open });
  return "conflict" in intent ? undefined : { index: intent.index, hash: hex(intent.hash) };
}

interface LastAttempt {
  readonly intent: LeafRef;
  /** Undefined where it has no outcome. */
  readonly result: string | undefined;
}

/** The newest attempt of a rotation to have its version made; undefined where there was none. */
export async function lastAttempt(
  key: string,
  rotation: string,
  { log }: Pick<Parts, "log">,
): Promise<LastAttempt | undefined> {
  const types = ["key.rotate.intent", "key.rotate.outcome"];
  const { entries } = await log.entries({ keys: [key], types }, { limit: 1, backward: true });
  const [newest] = entries;
  if (newest === undefined) return undefined;
  const { entry, index, leaf } = newest;
  if (entry.type === "key.rotate.outcome" && entry.rotation === rotation)
    return { intent: entry.intent, result: entry.result };
  if (entry.type === "key.rotate.intent" && entry.rotation === rotation)
    return { intent: { index, hash: hex(leafHash(leaf)) }, result: undefined };
  return undefined;
}

async function publish(stored: Stored<Key>, rotation: RotationUnderWay, parts: Parts): Promise<boolean> {
  const key = stored.value;
  const at = parts.clock();
  const times = { publishedAt: rfc3339(at), switchAt: rfc3339(at + parseDuration(rotation.propagation)) };
  const version = key.versions.find(({ number }) => number === rotation.to);
  if (!version) throw new Fault("LOG_DAMAGED", `the rotation of ${key.name} has no version to publish`);
  const body = { type: "key.rotate.publish" as const, ...rotating(key.name, rotation), publicKey: version.fingerprint };
  await parts.journal.append(undefined, () => ({ ...body, ...times }), {
    puts: [put(stored, { ...key, rotation: published(rotation, times) })],
  });
  parts.step("rotate.after-publish");
  return true;
}

/** From one transaction to the next, the new version signs and the old one verifies only. */
async function turn(stored: Stored<Key>, rotation: PublishedRotation, parts: Parts, report: Report): Promise<boolean> {
  const key = stored.value;
  const wrong = await otherwiseNow(key, rotation, parts);
  report(key.name, rotation, wrong);
  if (wrong !== undefined) return false;
  const endedAt = rfc3339(parts.clock());
  const until = trustedUntil(key, rotation, endedAt);
  const value: Key = {
    ...key,
    versions: key.versions.map((version) => switchedVersion(version, rotation, endedAt, until)),
    rotation: switchedRotation(rotation, endedAt),
  };
  const body = { type: "key.rotate.switch" as const, ...rotating(key.name, rotation), endedAt, trustedUntil: until };
  await parts.journal.append(undefined, () => body, { puts: [put(stored, value)] });
  parts.step("rotate.after-switch");
  return true;
}

/**
 * How the new version differs from how it came in, in words: a propagation time has gone by since. A custody that cannot
 * be asked is no place to switch to. What people have activated meanwhile signs already, and drift.ts looks after it.
 */
async function otherwiseNow(key: Key, { to }: PublishedRotation, parts: Parts): Promise<string | undefined> {
  const version = key.versions.find(({ number }) => number === to);
  if (version?.state !== "PRE_ACTIVATION") return undefined;
  const custody = parts.custodies.get(version.custody);
  if (!custody) return `no custody "${version.custody}" is configured`;
  const found = await askCustody(version.custody, (signal) => custody.describe(version.uri, signal, version));
  if (found instanceof Fault) return found.message;
  for (const [finding, difference] of verdictOn(version, found))
    if (difference) return `v${String(to)} at ${version.custody}: ${saying[finding]} (${difference.found})`;
  return undefined;
}

async function retire(stored: Stored<Key>, { number, ended }: KeyVersion, parts: Parts): Promise<boolean> {
  const key = stored.value;
  const versions = key.versions.map((version) => retiredVersion(version, number));
  const body = {
    type: "key.rotate.retire" as const,
    key: key.name,
    version: number,
    trustedUntil: ended?.trustedUntil ?? "",
  };
  await parts.journal.append(undefined, () => body, { puts: [put(stored, { ...key, versions })] });
  return true;
}
