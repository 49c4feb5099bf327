// What stands around every custody outside this process, so that one that hangs, fails or drowns costs nobody else:
// so many calls at once and so many that wait, a deadline that is kept even where the custody ignores it, and a breaker
// that answers at once while the backend is away. The custody inside knows nothing of it.
//
// What does not begin is Fault OVERLOADED or CUSTODY_DOWN with `nothingHappened`; what does not end is CUSTODY_TIMEOUT,
// and nobody knows what it did. Every Fault leaves with the custody's name.

import type { Logger } from "pino";

import { Fault, type FaultCode } from "../model/errors.ts";
import type { Custody, CustodyCall, CustodyHealth, CustodyLoad } from "../ports/custody.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Clock } from "../std/clock.ts";
import { type BreakerLimits, breaker, type Ending, type Entered } from "./breaker.ts";

export interface BulkheadLimits {
  /** Calls at once, and calls that wait for one of these to end. */
  readonly width: number;
  readonly queue: number;
  /** Milliseconds that a call waits for its turn. */
  readonly patience: number;
  /** Milliseconds that a call gets once it has its turn. What calls the custody waits longer than both together. */
  readonly deadlines: Readonly<Record<CustodyCall, number>>;
  /** Milliseconds after its deadline that a call may still say itself how it ended. */
  readonly grace: number;
  readonly breaker?: BreakerLimits | undefined;
}

const usualLimits: BulkheadLimits = {
  width: 128,
  queue: 128,
  patience: 5_000,
  deadlines: { sign: 20_000, describe: 20_000, create: 50_000, destroy: 20_000, uses: 20_000, unlock: 20_000 },
  grace: 250,
};

export interface BulkheadParts {
  /** As configured. */
  readonly name: string;
  /** Milliseconds, never stepped. */
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "custodyCalled">;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly limits?: Partial<BulkheadLimits> | undefined;
}

export interface Bulkhead extends Custody {
  load(): CustodyLoad;
  turnsAway(): Fault | undefined;
  health(): CustodyHealth;
  /** The daemon stops: what is not done in so many milliseconds ends then, so that its outcome can still be recorded. */
  hurry(milliseconds: number): void;
}

/** A call that waits for its turn. */
interface Waiting {
  readonly begin: () => void;
  readonly refuse: (fault: Fault) => void;
}

type Work<T> = (signal: AbortSignal) => Promise<T>;

export function bulkhead(inside: Custody, { name, clock, metrics, log, limits: given }: BulkheadParts): Bulkhead {
  const limits = { ...usualLimits, ...given };
  const gate = breaker(clock, limits.breaker);
  const waiting = new Set<Waiting>();
  const running = new Set<AbortController>();
  let taken = 0; // of the width
  let last: Fault | undefined;
  let endBy = Number.POSITIVE_INFINITY;

  async function counted<T>(what: CustodyCall, run: () => Promise<T>): Promise<T> {
    const began = clock();
    const ended = (result: "ok" | FaultCode): void => {
      metrics.custodyCalled({ custody: name, call: what, result }, (clock() - began) / 1000);
    };
    try {
      const given = await run();
      ended("ok");
      return given;
    } catch (error) {
      const fault = named(error, name);
      ended(fault.code);
      throw fault;
    }
  }

  const call = <T>(what: CustodyCall, signal: AbortSignal, work: Work<T>): Promise<T> =>
    counted(what, async () => {
      const entered = gate.enter();
      if ("retryAfter" in entered) throw away(entered.retryAfter);
      await turn(entered, signal);
      try {
        const given = await within(what, signal, work);
        leave(entered, "well");
        return given;
      } catch (error) {
        const ending = endingOf(error, signal.aborted || clock() >= endBy);
        if (ending === "away") last = named(error, name);
        leave(entered, ending);
        throw error;
      }
    });

  /** Resolves once the call may begin. A probe does not wait: what it would wait for may be what hangs. */
  async function turn({ probe }: Entered, signal: AbortSignal): Promise<void> {
    if (taken < limits.width || probe) taken += 1;
    else if (waiting.size >= limits.queue) throw overloaded(`${String(waiting.size)} calls wait already`);
    else await handedOn(signal); // the place of one that ended
  }

  function handedOn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leaveQueue = (): void => {
        waiting.delete(one);
        clearTimeout(timer);
        signal.removeEventListener("abort", tired);
      };
      const one: Waiting = {
        begin: () => {
          leaveQueue();
          resolve();
        },
        refuse: (fault) => {
          leaveQueue();
          reject(fault);
        },
      };
      const tired = (): void => {
        one.refuse(overloaded("it waited too long for its turn"));
      };
      const timer = setTimeout(tired, Math.min(limits.patience, endBy - clock()));
      signal.addEventListener("abort", tired, { once: true });
      waiting.add(one);
    });
  }

  function leave(entered: Entered, ending: Ending): void {
    const before = gate.state().breaker;
    gate.settled(entered, ending);
    const after = gate.state().breaker;
    if (before === "closed" && after !== "closed")
      log.warn(
        { custody: name, err: last },
        "the custody is away: it is asked now and then, others are not kept waiting",
      );
    if (before !== "closed" && after === "closed") log.info({ custody: name }, "the custody is back");
    taken -= 1;
    if (after !== "closed") for (const one of waiting) one.refuse(away(1));
    if (taken < limits.width) handOn();
  }

  function handOn(): void {
    const [first] = waiting;
    if (first === undefined) return;
    taken += 1;
    first.begin();
  }

  /** Settles in time whatever `work` does; late answers are nobody's. */
  function within<T>(what: CustodyCall, signal: AbortSignal, work: Work<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const own = new AbortController();
      let grace: NodeJS.Timeout | undefined;
      const stop = (): void => {
        own.abort();
      };
      const timer = setTimeout(stop, Math.min(limits.deadlines[what], endBy - clock()));
      const done = (): void => {
        running.delete(own);
        clearTimeout(timer);
        clearTimeout(grace);
        signal.removeEventListener("abort", stop);
      };
      own.signal.addEventListener("abort", () => {
        grace = setTimeout(() => {
          done();
          reject(timeout(what));
        }, limits.grace);
      });
      running.add(own);
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
      (async () => work(own.signal))().then(
        (given) => {
          done();
          resolve(given);
        },
        (error: unknown) => {
          done();
          reject(named(error, name));
        },
      );
    });
  }

  const away = (retryAfter: number): Fault =>
    new Fault("CUSTODY_DOWN", `custody ${name} is away: ${last?.message ?? "it did not answer"}`, {
      nothingHappened: true,
      retryAfter,
      custody: name,
      cause: last,
    });
  const overloaded = (why: string): Fault =>
    new Fault("OVERLOADED", `custody ${name}: ${why}`, { nothingHappened: true, retryAfter: 1, custody: name });
  const timeout = (what: CustodyCall): Fault =>
    new Fault("CUSTODY_TIMEOUT", `custody ${name} did not end its ${what} in time`, { custody: name, retryAfter: 5 });

  const { create, destroy, uses, unlock } = optional(inside);
  return {
    kind: inside.kind,
    outside: inside.outside,
    get algorithms() {
      return inside.algorithms; // of a token: known once it was there
    },
    longest: inside.longest,
    sign: (key, items, signal) => call("sign", signal, (own) => inside.sign(key, items, own)),
    describe: (uri, signal, known) => call("describe", signal, (own) => inside.describe(uri, own, known)),
    ...(create && { create: (version, signal) => call("create", signal, (own) => create(version, own)) }),
    ...(destroy && { destroy: (version, signal) => call("destroy", signal, (own) => destroy(version, own)) }),
    ...(uses && { uses: (version, days, signal) => call("uses", signal, (own) => uses(version, days, own)) }),
    ...(unlock && {
      // Neither queue nor breaker: it is what a token waits for that takes nothing else.
      unlock: (pin, signal) =>
        counted("unlock", async () => {
          const answer = await within("unlock", signal, (own) => unlock(pin, own));
          if ("ready" in answer) gate.close();
          return answer;
        }),
    }),
    load: () => ({ running: taken, waiting: waiting.size, breaker: gate.state().breaker }),
    turnsAway() {
      const seconds = gate.refuses();
      if (seconds !== undefined) return away(seconds);
      const own = inside.turnsAway?.();
      if (own !== undefined) return own;
      return gate.state().breaker === "closed" && taken >= limits.width && waiting.size >= limits.queue
        ? overloaded(`${String(waiting.size)} calls wait already`)
        : undefined;
    },
    health() {
      const own = inside.health?.() ?? { status: "ok", message: inside.kind };
      const state = gate.state();
      if (state.breaker !== "closed") {
        const seconds = Math.round((clock() - state.since) / 1000);
        const message = `away for ${String(seconds)} s, ${String(state.faults)} faults in a row, the last ${last?.code ?? "CUSTODY_DOWN"}`;
        return {
          status: "fail",
          message: own.status === "ok" ? message : `${message}; ${own.message}`,
          hint: own.hint ?? "mend the backend or the way to it; Signet notices by itself, nothing to restart",
        };
      }
      if (waiting.size <= limits.queue / 2 || own.status !== "ok") return own;
      return {
        status: "warn",
        message: `${String(waiting.size)} calls wait for their turn, ${String(taken)} are under way; ${own.message}`,
      };
    },
    hurry(milliseconds) {
      endBy = clock() + milliseconds;
      setTimeout(() => {
        for (const one of waiting) one.refuse(overloaded("the daemon stops"));
        for (const one of running) one.abort();
      }, milliseconds).unref();
    },
    [Symbol.asyncDispose]: () => inside[Symbol.asyncDispose](),
  };
}

/** Methods that can be called alone, where the custody has them. */
const optional = (inside: Custody): Pick<Custody, "create" | "destroy" | "uses" | "unlock"> =>
  Object.fromEntries(
    (["create", "destroy", "uses", "unlock"] as const).map((method) => [method, inside[method]?.bind(inside)]),
  );

function named(error: unknown, custody: string): Fault {
  if (!(error instanceof Fault))
    return new Fault("CUSTODY_DOWN", `custody ${custody} broke`, { custody, cause: error });
  if (error.custody === custody) return error;
  const { code, message, nothingHappened, retryAfter, hint } = error;
  return new Fault(code, message, { nothingHappened, retryAfter, hint, custody, cause: error });
}

/**
 * A Fault without `retryAfter` that did nothing is about this key or this request: the backend answered, and it would
 * answer the same again. `cut`: we ended it ourselves, so it tells nothing.
 */
function endingOf(error: unknown, cut: boolean): Ending {
  if (!(error instanceof Fault)) return "away";
  if (error.code === "OVERLOADED") return "neither";
  if (error.code === "CUSTODY_TIMEOUT") return cut ? "neither" : "away";
  if (error.code !== "CUSTODY_DOWN") return "neither";
  return error.nothingHappened && error.retryAfter === undefined ? "well" : "away";
}
