// The views' own thread: follows the leaves through a reading connection, indexes them, and answers queries.
// It also moves the write-ahead log into the database file in the background, so that commits seldom have to.

import { setPriority } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { EntryFilter, Page } from "../ports/log.ts";
import { equalBytes, fromHex } from "../std/bytes.ts";
import { sha256 } from "../std/digest.ts";
import { bytesOf } from "./nodes.ts";
import { deleteViews, type Found, openViewStore, type ViewStore } from "./views-store.ts";

export interface WorkerFiles {
  readonly truth: string;
  readonly views: string;
}

export type ToWorker =
  | { readonly ask: "follow"; readonly size: number }
  | {
      readonly ask: "find";
      readonly id: number;
      readonly filter: EntryFilter;
      readonly page: Page;
      readonly size: number;
    }
  | { readonly ask: "count"; readonly id: number; readonly filter: EntryFilter; readonly size: number }
  /** Which leaf a side blob came with. */
  | { readonly ask: "where"; readonly id: number; readonly sha256: Uint8Array; readonly size: number }
  | { readonly ask: "rebuild"; readonly id: number; readonly size: number }
  /** Ends all use of the truth's file. */
  | { readonly ask: "stop" };

export type FromWorker =
  | { readonly tell: "indexed"; readonly size: number }
  | { readonly tell: "found"; readonly id: number; readonly found: Found }
  | { readonly tell: "count"; readonly id: number; readonly count: number }
  | { readonly tell: "where"; readonly id: number; readonly index: number | undefined }
  | { readonly tell: "rebuilt"; readonly id: number }
  | { readonly tell: "failed"; readonly id: number | undefined; readonly message: string };

/** Leaves indexed in one transaction: about 50 ms, the longest that a query waits behind indexing. */
const chunk = 1000;
/** Leaves after which the write-ahead log is worth moving. */
const checkpointEvery = 4000;

// Both sides of this channel are ours; what comes is what views.ts sends.
const { truth: truthFile, views: viewsFile } = workerData as WorkerFiles;
const truth = new DatabaseSync(truthFile, { timeout: 2000 });
truth.exec("PRAGMA wal_autocheckpoint = 0");
const leaves = truth.prepare("SELECT bytes FROM leaf WHERE idx >= ? AND idx < ? ORDER BY idx");
const blobsBetween = truth.prepare("SELECT idx, sha256 FROM blob WHERE idx >= ? AND idx < ?");
const blobAt = truth.prepare("SELECT bytes FROM blob WHERE idx = ? AND sha256 = ?");
const checkpoint = truth.prepare("PRAGMA wal_checkpoint(PASSIVE)");

let store: ViewStore | undefined;
let target = 0;
let sinceCheckpoint = 0;
let asked: Exclude<ToWorker, { ask: "follow" | "stop" }>[] = [];
let working = false;
let stopped = false;

yieldToSigning();
parentPort?.on("message", (message: ToWorker) => {
  if (message.ask === "stop") {
    stop();
    return;
  }
  target = Math.max(target, message.size);
  if (message.ask === "rebuild") drop();
  if (message.ask !== "follow") asked.push(message);
  if (!working) {
    working = true;
    setImmediate(work);
  }
});

/** On Linux a priority belongs to a thread: indexing takes what signing leaves over. */
function yieldToSigning(): void {
  try {
    setPriority(0, 5);
  } catch {
    // A matter of speed alone.
  }
}

/** One chunk, then whoever waits for what is indexed by now. */
function work(): void {
  if (stopped) return;
  try {
    store ??= agreeing(openViewStore(viewsFile));
    const size = index(store);
    const ready = asked.filter((one) => one.size <= size);
    asked = asked.filter((one) => one.size > size);
    for (const one of ready) serve(one, store);
    working = size < target || asked.length > 0;
    tell({ tell: "indexed", size });
  } catch (error) {
    giveUp(error);
    return;
  }
  if (working) setImmediate(work);
}

function index(store: ViewStore): number {
  const first = store.size();
  const next = leaves.all(first, Math.min(first + chunk, target)).map((row) => bytesOf(row["bytes"]));
  const blobs = blobsBetween
    .all(first, first + next.length)
    .map((row) => ({ index: Number(row["idx"]), sha256: bytesOf(row["sha256"]) }));
  store.add(next, blobs, (name) => {
    const sha256 = fromHex(name.replace(/^sha256:/, ""));
    const row = blobAt.get(store.whereBlob(sha256) ?? -1, sha256);
    return row && bytesOf(row["bytes"]);
  });
  sinceCheckpoint += next.length;
  if (sinceCheckpoint >= checkpointEvery) {
    sinceCheckpoint = 0;
    checkpoint.get();
  }
  return first + next.length;
}

/** Views of another history (a restored truth, a crash that lost leaves of which we had seen) are begun anew. */
function agreeing(opened: ViewStore): ViewStore {
  const size = opened.size();
  const last = opened.last();
  if (size === 0 || last === undefined) return opened;
  const leaf = leaves.all(size - 1, size)[0];
  if (leaf !== undefined && equalBytes(sha256(bytesOf(leaf["bytes"])), last)) return opened;
  opened[Symbol.dispose]();
  deleteViews(viewsFile);
  return openViewStore(viewsFile);
}

function serve(one: (typeof asked)[number], store: ViewStore): void {
  switch (one.ask) {
    case "find":
      tell({ tell: "found", id: one.id, found: store.find(one.filter, one.page) });
      return;
    case "count":
      tell({ tell: "count", id: one.id, count: store.count(one.filter) });
      return;
    case "where":
      tell({ tell: "where", id: one.id, index: store.whereBlob(one.sha256) });
      return;
    case "rebuild":
      tell({ tell: "rebuilt", id: one.id });
  }
}

function drop(): void {
  store?.[Symbol.dispose]();
  store = undefined;
  deleteViews(viewsFile);
}

/** Everybody who waits hears of it; the next message tries again from the start. */
function giveUp(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  try {
    store?.[Symbol.dispose]();
  } catch {
    // It is opened anew.
  }
  store = undefined;
  working = false;
  for (const one of asked) tell({ tell: "failed", id: one.id, message });
  asked = [];
  tell({ tell: "failed", id: undefined, message });
}

function stop(): void {
  stopped = true;
  store?.[Symbol.dispose]();
  truth.close();
  parentPort?.close();
}

function tell(message: FromWorker): void {
  parentPort?.postMessage(message);
}
