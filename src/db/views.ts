// Views as the rest of the room sees them: tell them that the log grew, ask them for rows. The work is the worker's.

import { Worker } from "node:worker_threads";

import { Fault } from "../model/errors.ts";
import type { EntryFilter, Page } from "../ports/log.ts";
import type { Found } from "./views-store.ts";
import type { FromWorker, ToWorker, WorkerFiles } from "./views-worker.ts";

export interface ViewsHealth {
  /** Leaves indexed so far. */
  readonly indexed: number;
  /** Why indexing does not go on, where it does not. */
  readonly failing?: string;
}

export interface Views extends AsyncDisposable {
  /** Cheap: called after every commit. */
  grown(size: number): void;
  /** Rows among the first `size` leaves and perhaps newer ones, once those are indexed. Fault INTERNAL where they cannot be. */
  find(filter: EntryFilter, page: Page, size: number): Promise<Found>;
  /** How many rows there are among the first `size` leaves and perhaps newer ones. Fault INTERNAL as above. */
  count(filter: EntryFilter, size: number): Promise<number>;
  /** The first leaf that a side blob came with, among the first `size` and perhaps newer ones. Fault INTERNAL as above. */
  where(sha256: Uint8Array, size: number): Promise<number | undefined>;
  /** Drops all and makes it again from the first `size` leaves. */
  rebuild(size: number): Promise<void>;
  health(): ViewsHealth;
}

interface Waiting {
  readonly resolve: (answer: FromWorker) => void;
  readonly reject: (error: unknown) => void;
}

/** Beside the compiled code the worker is compiled too. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "./views-worker.ts" : "./views-worker.js",
  import.meta.url,
);
/** Of its heap, MiB: it holds a batch of leaves and a page of rows; without a bound V8 lets garbage lie for as long as the machine has room. */
const resourceLimits = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 96 };
const followMilliseconds = 100;
const restartMilliseconds = 1000;
const nothing: Found = { rows: [], more: false };

export function openViews(files: WorkerFiles): Views {
  let worker: Worker | undefined;
  let closing = false;
  let [size, indexed, nextId] = [0, 0, 0];
  let failing: string | undefined;
  let follow: NodeJS.Timeout | undefined;
  const waiting = new Map<number, Waiting>();

  start();
  return {
    grown(now) {
      size = now;
      followSoon(followMilliseconds);
    },
    find: async (filter, page, at) => {
      const answer = await ask((id) => ({ ask: "find", id, filter, page, size: at }));
      return answer.tell === "found" ? answer.found : nothing;
    },
    count: async (filter, at) => {
      const answer = await ask((id) => ({ ask: "count", id, filter, size: at }));
      return answer.tell === "count" ? answer.count : 0;
    },
    where: async (sha256, at) => {
      const answer = await ask((id) => ({ ask: "where", id, sha256, size: at }));
      return answer.tell === "where" ? answer.index : undefined;
    },
    rebuild: async (at) => {
      await ask((id) => ({ ask: "rebuild", id, size: at }));
    },
    health: () => ({ indexed, ...(failing !== undefined && { failing }) }),
    [Symbol.asyncDispose]: async () => {
      closing = true;
      clearTimeout(follow);
      const last = worker;
      if (last === undefined) return;
      const gone = new Promise<void>((resolve) =>
        last.once("exit", () => {
          resolve();
        }),
      );
      last.ref();
      tell({ ask: "stop" });
      await gone;
    },
  };

  function start(): void {
    const started = new Worker(workerFile, { workerData: files, execArgv: [], resourceLimits });
    worker = started;
    started.unref();
    started.on("message", heard);
    started.on("error", (error) => {
      failing = error instanceof Error ? error.message : String(error);
    });
    started.on("exit", () => {
      worker = undefined;
      failAll(failing ?? "the views are closed");
      if (!closing) followSoon(restartMilliseconds);
    });
  }

  function followSoon(milliseconds: number): void {
    follow ??= setTimeout(() => {
      follow = undefined;
      if (worker === undefined) start();
      tell({ ask: "follow", size });
    }, milliseconds);
    follow.unref();
  }

  function ask(make: (id: number) => ToWorker): Promise<FromWorker> {
    return new Promise((resolve, reject) => {
      if (worker === undefined) {
        reject(new Fault("INTERNAL", `the views cannot be asked: ${failing ?? "closed"}`));
        return;
      }
      const id = nextId++;
      waiting.set(id, { resolve, reject });
      worker.ref(); // somebody waits: the process must not end before the answer
      tell(make(id));
    });
  }

  function tell(message: ToWorker): void {
    worker?.postMessage(message);
  }

  function heard(message: FromWorker): void {
    switch (message.tell) {
      case "indexed":
        [indexed, failing] = [message.size, undefined];
        return;
      case "found":
      case "count":
      case "where":
      case "rebuilt":
        settle(message.id, (one) => {
          one.resolve(message);
        });
        return;
      case "failed":
        if (message.id === undefined) {
          failing = message.message;
          if (!closing) followSoon(restartMilliseconds);
        } else
          settle(message.id, (one) => {
            one.reject(new Fault("INTERNAL", `the views cannot be asked: ${message.message}`));
          });
        return;
    }
  }

  function settle(id: number, how: (one: Waiting) => void): void {
    const one = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) worker?.unref();
    if (one !== undefined) how(one);
  }

  function failAll(message: string): void {
    for (const one of waiting.values()) one.reject(new Fault("INTERNAL", `the views cannot be asked: ${message}`));
    waiting.clear();
  }
}
