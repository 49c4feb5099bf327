// Group commit: whatever waits shares the next transaction, and nobody hears of it before it is durable.
//
// One turn of the event loop collects jobs; its end runs them in one transaction. A job whose condition does not hold,
// or that throws before it has written, leaves no trace in it. After any error of the database the transaction's jobs
// are all rejected, the ground (connection, head, caches) is thrown away, and a new one is read before the next job:
// what the failed COMMIT left behind is whatever the head on disk says then. Retried on each new job and each second.

import { Fault } from "../model/errors.ts";
import type { Clock } from "../std/clock.ts";
import type { Step } from "../std/steps.ts";
import { isSqliteError } from "./connection.ts";
import { type Ground, HeadMoved } from "./ground.ts";

/** One thing that waits for the next commit. Exactly one of `done` and `failed` is called, once. */
export interface Job {
  /** Decides inside the transaction and changes nothing. What it returns writes; `undefined`: nothing to write. */
  readonly prepare: (ground: Ground) => (() => void) | undefined;
  /** Durable; also for jobs that wrote nothing, because others of their transaction may be why. */
  readonly done: (ground: Ground) => void;
  readonly failed: (error: unknown) => void;
}

export interface WriterHealth {
  /** Since when, in milliseconds since the epoch, and why nothing can be written. */
  readonly failing?: { readonly since: number; readonly message: string };
  readonly waiting: number;
  readonly commits: number;
  /** Of the last transaction, milliseconds. */
  readonly lastCommit: number;
}

export interface Writer extends AsyncDisposable {
  /** Fault OVERLOADED (by `failed`) where too many wait, SHUTTING_DOWN after disposal. */
  submit(job: Job): void;
  /** For reading. Throws Fault LOG_NOT_DURABLE where there is none and none can be had now. */
  ground(): Ground;
  /** Told after the ground was read again: what was in doubt is decided. */
  onReopened(listener: () => void): void;
  /** Told after each commit that was durable. */
  onCommitted(listener: (ground: Ground) => void): void;
  health(): WriterHealth;
}

export interface WriterParts {
  readonly first: Ground;
  /** Another one after an error. Throws where the database cannot be opened, read and written. */
  readonly open: () => Ground;
  readonly step: Step;
  readonly clock: Clock;
}

const maxWaiting = 4096;
/** Jobs of one transaction: about 20 ms of work, so that nobody waits long behind a crowd. */
const maxTogether = 512;
const retryMilliseconds = 1000;

export function openWriter({ first, open, step, clock }: WriterParts): Writer {
  let ground: Ground | undefined = first;
  let failing: { since: number; message: string } | undefined;
  let waiting: Job[] = [];
  let scheduled = false;
  let closed = false;
  let [commits, lastCommit] = [0, 0];
  const reopened: (() => void)[] = [];
  const committed: ((ground: Ground) => void)[] = [];
  let retry: NodeJS.Timeout | undefined;

  return {
    submit(job) {
      if (closed) job.failed(new Fault("SHUTTING_DOWN", "the log is closed", { nothingHappened: true }));
      else if (waiting.length >= maxWaiting) job.failed(overloaded());
      else {
        waiting.push(job);
        schedule();
      }
    },
    ground: usable,
    onReopened: (listener) => {
      reopened.push(listener);
    },
    onCommitted: (listener) => {
      committed.push(listener);
    },
    health: () => ({ ...(failing && { failing }), waiting: waiting.length, commits, lastCommit }),
    [Symbol.asyncDispose]: () => {
      while (waiting.length > 0) commitWaiting();
      closed = true;
      clearTimeout(retry);
      ground?.[Symbol.dispose]();
      ground = undefined;
      return Promise.resolve();
    },
  };

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      commitWaiting();
      if (waiting.length > 0) schedule();
    });
  }

  function commitWaiting(): void {
    const jobs = waiting.slice(0, maxTogether);
    waiting = waiting.slice(maxTogether);
    if (jobs.length > 0) commit(jobs, true);
  }

  function commit(jobs: readonly Job[], again: boolean): void {
    let asked = false;
    const refused = new Map<Job, unknown>();
    try {
      const at = usable();
      const started = performance.now();
      at.db.exec("BEGIN IMMEDIATE");
      at.checkHead();
      const wrote = jobs.map((job) => run(job, at, refused)).some(Boolean);
      if (wrote) {
        at.moveHead();
        step("log.before-commit");
        asked = true;
        at.db.exec("COMMIT");
        step("log.after-commit");
        at.committed();
      } else at.db.exec("ROLLBACK");
      [commits, lastCommit] = [commits + 1, performance.now() - started];
      answer(jobs, refused, at);
    } catch (error) {
      if (error instanceof HeadMoved && again) {
        abandon(error);
        commit(jobs, false);
        return;
      }
      const fault = notDurable(error, !asked);
      if (ground !== undefined) abandon(error);
      for (const job of jobs) job.failed(refused.get(job) ?? fault);
    }
  }

  /** Whether it wrote. An error of the database is everybody's, any other is the job's own. */
  function run(job: Job, at: Ground, refused: Map<Job, unknown>): boolean {
    let write: (() => void) | undefined;
    try {
      write = job.prepare(at);
    } catch (error) {
      if (isSqliteError(error)) throw error;
      refused.set(job, error);
    }
    write?.();
    return write !== undefined;
  }

  function answer(jobs: readonly Job[], refused: ReadonlyMap<Job, unknown>, at: Ground): void {
    for (const job of jobs) {
      if (refused.has(job)) job.failed(refused.get(job));
      else job.done(at);
    }
    for (const listener of committed) listener(at);
  }

  function usable(): Ground {
    if (ground !== undefined) return ground;
    if (closed) throw new Fault("SHUTTING_DOWN", "the log is closed", { nothingHappened: true });
    try {
      ground = open();
    } catch (error) {
      failing = { since: failing?.since ?? clock(), message: messageOf(error) };
      retrySoon();
      throw notDurable(error, true);
    }
    failing = undefined;
    clearTimeout(retry);
    retry = undefined;
    for (const listener of reopened) queueMicrotask(listener);
    return ground;
  }

  function abandon(error: unknown): void {
    ground?.[Symbol.dispose]();
    ground = undefined;
    failing = { since: failing?.since ?? clock(), message: messageOf(error) };
    retrySoon();
  }

  function retrySoon(): void {
    retry ??= setTimeout(() => {
      retry = undefined;
      try {
        usable();
      } catch {
        // `usable` has noted why and comes back in a second.
      }
    }, retryMilliseconds);
    retry.unref();
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const overloaded = (): Fault =>
  new Fault("OVERLOADED", `${String(maxWaiting)} writes wait for the disk`, { nothingHappened: true, retryAfter: 1 });

/** `nothingHappened` is true where COMMIT was never asked for: then no trace of the transaction can become visible. */
const notDurable = (error: unknown, nothingHappened: boolean): Fault =>
  error instanceof Fault && error.code !== "INTERNAL"
    ? error
    : new Fault("LOG_NOT_DURABLE", `the log cannot be written: ${messageOf(error)}`, {
        nothingHappened,
        retryAfter: 1,
        cause: error,
      });
