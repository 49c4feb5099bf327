// Intents without an outcome. Where the log failed between the two, this process knows what happened and writes it as
// soon as the log can be written again; what it could not is found at the next daemon.start (start.ts) and shown.
//
// A write that failed may have happened all the same: before an outcome is written again, the leaves since the intent
// are searched for it, so that each intent gets exactly one. Likewise an intent whose commit was in doubt: if it is
// there after all, nothing followed it, and its outcome says so.

import type { Entry, EntryBody, LeafRef } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import type { Log } from "../ports/log.ts";
import { fromUtf8, hex } from "../std/bytes.ts";
import { leafHash } from "../tlog/merkle.ts";
import type { Journal } from "./journal.ts";

export type Outcome = Extract<EntryBody, { type: `${string}.outcome` }>;

export interface Unfinished {
  /** Remembers an outcome that could not be written; `write` where more than the entry becomes true with it. */
  later(outcome: Outcome, blobs: readonly Uint8Array[], write?: () => Promise<unknown>): void;
  /** Remembers an intent that may or may not have been written, of this request and at or after `from`; nothing followed it. */
  doubtful(request: string, from: number, outcome: (intent: LeafRef) => Outcome): void;
  /** Writes what waits. Called by the clock and before the daemon stops; quiet while the log still fails. */
  settle(): Promise<void>;
  readonly waiting: () => number;
}

interface Waiting {
  readonly from: number;
  /** What is still to be written, given the leaves since `from`; undefined where nothing is. */
  readonly missing: (since: readonly Found[]) => Outcome | undefined;
  readonly blobs: readonly Uint8Array[];
  /** Instead of appending the outcome alone. */
  readonly write?: (() => Promise<unknown>) | undefined;
}

interface Found {
  readonly ref: LeafRef;
  readonly entry: Entry;
}

export function unfinished(
  journal: Pick<Journal, "append">,
  log: Pick<Log, "leaves">,
  report: (error: unknown) => void,
): Unfinished {
  let queue: readonly Waiting[] = [];
  let settling = false;

  async function settle(): Promise<void> {
    if (settling) return;
    settling = true;
    try {
      for (const one of queue) if (await written(one)) queue = queue.filter((other) => other !== one);
    } finally {
      settling = false;
    }
  }

  /** False where the log cannot be written yet. What can never be written is reported once and let go: it shows at the next start. */
  async function written({ from, missing, blobs, write }: Waiting): Promise<boolean> {
    try {
      const outcome = missing(await since(log, from));
      if (outcome) await (write?.() ?? journal.append(undefined, () => outcome, { blobs }));
      return true;
    } catch (error) {
      if (error instanceof Fault && (error.code === "LOG_NOT_DURABLE" || error.code === "OVERLOADED")) return false;
      report(error);
      return true;
    }
  }

  return {
    later: (outcome, blobs, write) => {
      const missing: Waiting["missing"] = (found) =>
        found.some(({ entry }) => ends(entry, outcome.intent.index)) ? undefined : outcome;
      queue = [...queue, { from: outcome.intent.index + 1, missing, blobs, write }];
    },
    doubtful: (request, from, outcome) => {
      const missing: Waiting["missing"] = (found) => {
        const intent = found.find(({ entry }) => entry.request === request && entry.type.endsWith(".intent"));
        return intent && !found.some(({ entry }) => ends(entry, intent.ref.index)) ? outcome(intent.ref) : undefined;
      };
      queue = [...queue, { from, missing, blobs: [] }];
    },
    settle,
    waiting: () => queue.length,
  };
}

const ends = (entry: Entry, intent: number): boolean =>
  "intent" in entry && entry.type !== "incident.unfinished" && entry.intent.index === intent;

/** To the end that is on disk now: what the failed write left there may be newer than the last head we knew. */
async function since(log: Pick<Log, "leaves">, from: number): Promise<readonly Found[]> {
  const found: Found[] = [];
  for await (const { index, leaf } of log.leaves(from, Infinity)) {
    const entry = JSON.parse(fromUtf8(leaf)) as Entry; // our own leaf, read back from the log
    if (entry.type.endsWith(".intent") || "intent" in entry)
      found.push({ ref: { index, hash: hex(leafHash(leaf)) }, entry });
  }
  return found;
}
