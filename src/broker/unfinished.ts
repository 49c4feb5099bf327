// Intents without an outcome. Where the log failed between the two, this process knows what happened and writes it as
// soon as the log can be written again; what it could not is found at the next daemon.start (start.ts) and shown.
//
// A write that failed may have happened all the same: before an outcome is written again, the leaves since the intent
// are searched for it, so that each intent gets exactly one.

import type { Entry, EntryBody } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import type { Log } from "../ports/log.ts";
import { fromUtf8 } from "../std/bytes.ts";
import type { Journal } from "./journal.ts";

type Outcome = Extract<EntryBody, { type: `${string}.outcome` }>;

export interface Unfinished {
  /** Remembers an outcome that could not be written. */
  later(outcome: Outcome, blobs: readonly Uint8Array[]): void;
  /** Writes what waits. Called by the clock; quiet while the log still fails. */
  settle(): Promise<void>;
  readonly waiting: () => number;
}

export function unfinished(journal: Pick<Journal, "append">, log: Pick<Log, "leaves">): Unfinished {
  const queue: { readonly outcome: Outcome; readonly blobs: readonly Uint8Array[] }[] = [];
  let settling = false;

  async function settle(): Promise<void> {
    if (settling) return;
    settling = true;
    try {
      for (let next = queue[0]; next; next = queue[0]) {
        if (!(await isWritten(log, next.outcome.intent.index)))
          await journal.append(undefined, () => next.outcome, { blobs: next.blobs });
        queue.shift();
      }
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    } finally {
      settling = false;
    }
  }

  return { later: (outcome, blobs) => queue.push({ outcome, blobs }), settle, waiting: () => queue.length };
}

/** To the end that is on disk now: what the failed write left there may be newer than the last head we knew. */
async function isWritten(log: Pick<Log, "leaves">, intent: number): Promise<boolean> {
  for await (const { leaf } of log.leaves(intent + 1, Infinity)) {
    const entry = JSON.parse(fromUtf8(leaf)) as Entry; // our own leaf, read back from the log
    if ("intent" in entry && entry.type !== "incident.unfinished" && entry.intent.index === intent) return true;
  }
  return false;
}
