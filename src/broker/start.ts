// Before the first request: the log is proved against itself, against what was remembered of it outside the database,
// and against the tables; then daemon.start opens a new epoch, and what an earlier one left unfinished becomes visible.

import type { Entry } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import { differences, type Replayed, replay } from "../model/replay.ts";
import type { SigningSession } from "../model/session.ts";
import type { Log, State } from "../ports/log.ts";
import { equalBytes, fromUtf8, hex } from "../std/bytes.ts";
import { leafHash } from "../tlog/merkle.ts";
import { heading } from "./audit.ts";
import type { Journal } from "./journal.ts";

/** All leaves, told again. Throws Fault LOG_DAMAGED where a leaf is not an entry. */
export async function readWholeLog(
  log: Pick<Log, "leaves" | "head">,
  progress: (done: number, of: number) => void,
): Promise<Replayed> {
  const telling = replay();
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
  const found = differences(replayed, {
    keys: state.records("key").map(({ value }) => value),
    people: state.records("person").map(({ value }) => value),
    pending: state.records("pending").map(({ value }) => value),
    sessions: await openSessions(state),
    policy: state.record("policy", "current")?.value.hash,
  });
  if (found.length > 0) {
    throw new Fault(
      "LOG_DAMAGED",
      `the tables say otherwise than the log: ${found.slice(0, 5).join("; ")}. Somebody edited the database, or it was restored in part. Restore the newest whole backup.`,
    );
  }
}

/** Sessions that the tables would let sign, or did until they expired; ended ones lend nothing. */
async function openSessions(state: State): Promise<readonly SigningSession[]> {
  const out: SigningSession[] = [];
  for (let after: number | undefined; ; ) {
    const page = await state.sessions({ open: true, at: 0 }, { limit: pageSize, backward: false, after });
    out.push(...page);
    if (page.length < pageSize) return out;
    after = page.at(-1)?.entry;
  }
}

const pageSize = 1000;

/** Throws Fault LOG_DAMAGED where the checkpoint remembered outside the database is not one of this log's past. */
export async function rememberedHolds(
  remembered: string | undefined,
  log: Pick<Log, "head"> & { rootAt(size: number): Promise<Uint8Array> },
): Promise<void> {
  if (remembered === undefined) return;
  const { origin, size, root } = heading(remembered);
  const head = log.head();
  if (origin !== head.origin)
    throw new Fault("LOG_DAMAGED", `the remembered checkpoint is of the log ${origin}, the database of ${head.origin}`);
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
