// Before the first request: the log is proved against itself, against what was remembered of it outside the database,
// and against the tables; then daemon.start opens a new epoch, and what an earlier one left unfinished becomes visible.

import type { Entry } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import { differences, type Replayed, replay } from "../model/replay.ts";
import type { SigningSession } from "../model/session.ts";
import type { Log, State } from "../ports/log.ts";
import { equalBytes, fromUtf8, hex } from "../std/bytes.ts";
import { verifyCheckpoint } from "../tlog/checkpoint.ts";
import { leafHash } from "../tlog/merkle.ts";
import type { Vkey } from "../tlog/vkey.ts";
import { heading } from "./audit.ts";
import type { Journal } from "./journal.ts";

/** Sessions are told and compared until this long after their expiry: clocks may be set back. Milliseconds. */
const sessionMemory = 24 * 3_600_000;

/** All leaves, told again; `now` in milliseconds since the epoch. Throws Fault LOG_DAMAGED where a leaf is not an entry. */
export async function readWholeLog(
  log: Pick<Log, "leaves" | "head">,
  now: number,
  progress: (done: number, of: number) => void,
): Promise<Replayed> {
  const telling = replay(Math.max(0, now - sessionMemory));
  const { size } = log.head();
  for await (const { index, leaf } of log.leaves(0, size)) {
    telling.entry(index, hex(leafHash(leaf)), entryOf(leaf, index));
    if (index % 50_000 === 0) progress(index, size);
  }
  return telling.result();
}

function entryOf(leaf: Uint8Array, index: number): Entry {
  try {
    return JSON.parse(fromUtf8(leaf)) as Entry; // authenticated by the head's root before
  } catch (error) {
    throw new Fault("LOG_DAMAGED", `leaf ${String(index)} is not an entry`, { cause: error });
  }
}

/** Throws Fault LOG_DAMAGED where the tables say otherwise than the leaves. */
export async function compareTables(replayed: Replayed, state: State): Promise<void> {
  const differing = differences(replayed, {
    keys: state.records("key"),
    people: state.records("person").map(({ value }) => value),
    pending: state.records("pending").map(({ value }) => value),
    sessions: await openSessions(state, replayed.since),
    policy: state.record("policy", "current")?.value.hash,
  });
  const found = [...misplaced(state), ...differing];
  if (found.length > 0) {
    throw new Fault(
      "LOG_DAMAGED",
      `the tables say otherwise than the log: ${found.slice(0, 5).join("; ")}. Somebody edited the database, or it was restored in part. Restore the newest whole backup.`,
    );
  }
}

/** Records are found by name and id: each must stand under its own. */
function misplaced(state: State): readonly string[] {
  const [keys, people, pending] = [state.records("key"), state.records("person"), state.records("pending")];
  return [
    ...keys.filter(({ value }) => state.record("key", value.name)?.value !== value).map(({ value }) => value.name),
    ...people.filter(({ value }) => state.record("person", value.id)?.value !== value).map(({ value }) => value.id),
    ...pending.filter(({ value }) => state.record("pending", value.id)?.value !== value).map(({ value }) => value.id),
  ].map((name) => `${name} stands in another one's place`);
}

/** Sessions that the tables would let sign, or did until they expired after `since`; ended ones lend nothing. */
async function openSessions(state: State, since: number): Promise<readonly SigningSession[]> {
  const out: SigningSession[] = [];
  for (let after: number | undefined; ; ) {
    const page = await state.sessions({ open: true, at: since }, { limit: pageSize, backward: false, after });
    out.push(...page);
    if (page.length < pageSize) return out;
    after = page.at(-1)?.entry;
  }
}

const pageSize = 1000;

/** What stands outside the database, where restoring or editing it leaves them alone. */
export interface Outside {
  /** The last checkpoint that was published, in a file of its own. */
  readonly remembered: string | undefined;
  /** The checkpoint of the published tree. */
  readonly published: string | undefined;
}

/**
 * Throws Fault LOG_DAMAGED where a checkpoint outside the database is not signed with this log's key, or not one of
 * this log's past. Returns, in words, what could not be compared although there is something to compare it with.
 */
export async function rememberedHolds(
  { remembered, published }: Outside,
  log: Pick<Log, "head"> & { rootAt(size: number): Promise<Uint8Array> },
  vkey: Vkey,
): Promise<string | undefined> {
  if (remembered !== undefined) await isOfThePast(remembered, "remembered", log, vkey);
  if (published !== undefined) await isOfThePast(published, "published", log, vkey);
  const nothing = remembered === undefined && published === undefined;
  return nothing && log.head().size > 0 ? "no remembered checkpoint to compare with" : undefined;
}

async function isOfThePast(
  note: string,
  which: keyof Outside,
  log: Pick<Log, "head"> & { rootAt(size: number): Promise<Uint8Array> },
  vkey: Vkey,
): Promise<void> {
  const { origin } = heading(note);
  const head = log.head();
  const verdict = verifyCheckpoint(note, { logs: [vkey] });
  if (verdict.verdict === "rejected") {
    throw new Fault(
      "LOG_DAMAGED",
      origin === head.origin
        ? `the ${which} checkpoint is not one that this log's key signed: ${verdict.message}. Restore the newest backup.`
        : `the ${which} checkpoint is of the log ${origin}, the database of ${head.origin}`,
    );
  }
  const { size, root } = verdict.checkpoint;
  if (size > head.size) {
    throw new Fault(
      "LOG_DAMAGED",
      `the log was rolled back: a checkpoint of ${String(size)} entries was published, the database holds ${String(head.size)}. The first entry that is missing is ${String(head.size)}. Restore the newest backup.`,
    );
  }
  if (!equalBytes(root, await log.rootAt(size))) {
    throw new Fault(
      "LOG_DAMAGED",
      `the first ${String(size)} entries are not those of the checkpoint that was published. Restore the newest backup.`,
    );
  }
}

/** Intents of earlier epochs without an outcome: each becomes one incident, and stays open until somebody resolves it. */
export async function reportUnfinished(replayed: Replayed, journal: Pick<Journal, "append">): Promise<void> {
  for (const { intent, session, reported } of replayed.unfinished.values()) {
    if (!reported) await journal.append(undefined, () => ({ type: "incident.unfinished", intent, session }));
  }
}
