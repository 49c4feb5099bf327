// Which signatures does a token make next, and what becomes of those that fail? Calls wait in one fair queue and go to the
// process a few milliseconds of work at a time. Only what provably signed nothing is sent a second time.

import { Fault } from "../model/errors.ts";
import type { KeyAlgorithm } from "../model/key.ts";
import { type Child, ModuleFailure } from "./pkcs11-child.ts";
import { ailmentOf, codes } from "./pkcs11-codes.ts";
import type { Use } from "./pkcs11-key.ts";
import { fairQueue, type Slice } from "./pkcs11-queue.ts";
import { type Mechanism, parseSignedBody, signBody } from "./pkcs11-wire.ts";

/** A key as it was found in the process that runs now. */
export interface Held {
  /** What the process calls it. */
  readonly number: number;
  /** Best first. One that the module does not know after all is taken out. */
  readonly uses: Use[];
}

/** A call for signatures. */
export interface SignCall {
  /** Lane in the queue: the key's URI. */
  readonly key: string;
  readonly algorithm: KeyAlgorithm;
  readonly items: number;
  /** Some of the items are digests: a mechanism that hashes by itself would hash them once more. */
  readonly digests: boolean;
  readonly find: (signal: AbortSignal) => Promise<Held>;
  readonly input: (use: Use, index: number) => Uint8Array;
  readonly output: (bytes: Uint8Array) => Uint8Array;
}

/** What waits for the token: signatures, and the milliseconds of work in them as far as the time of one is known. */
export interface Waiting {
  readonly signatures: number;
  readonly milliseconds: number;
}

/** A process that signs, as the work sees it. */
export interface Bench {
  readonly child: Child;
  /** Keys that were found in it, by lane. */
  readonly held: Map<string, Held>;
  /** Sent and not answered: slices, and milliseconds of work in them. */
  frames: number;
  load: number;
}

export interface WorkParts {
  /** Of the custody, for Faults. */
  readonly name: string;
  /** Milliseconds that the module may take for one thing. */
  readonly deadline: number;
  /** Items that may wait. */
  readonly queue: number;
  /** Where to sign now; undefined while there is no place. */
  readonly bench: () => Bench | undefined;
  /** Whether there is a place, or will be in a moment. */
  readonly expected: () => boolean;
  /** The Fault for what came of a question to this process. Draws the consequences for the process, too. */
  readonly fault: (error: unknown, bench: Bench, nothingHappened: boolean) => Fault;
  /** The process has signed. */
  readonly worked: () => void;
}

export interface Work {
  waiting(): Waiting;
  /** In the order asked. Rejects with a Fault. */
  sign(call: SignCall, signal: AbortSignal): Promise<readonly Uint8Array[]>;
  /** To be told when there is a place to sign. */
  go(): void;
  /** Turns away all that waits. */
  rejectAll(fault: (nothingHappened: boolean) => Fault): void;
  /** That a call was not done in time. */
  late(nothingHappened: boolean): Fault;
}

interface Call extends SignCall {
  readonly results: Uint8Array[];
  left: number;
  /** Slices of it that the module has now. */
  flying: number;
  over: boolean;
  retried: boolean;
  readonly done: (fault: Fault | undefined) => void;
}

/** Milliseconds of work that are in the process at a time, so that the next in turn soon has its turn. */
const ahead = 20;
/** Milliseconds of work in one slice. */
const sliceOf = 10;
/** Nobody waits so long: seconds. The broker gives a custody thirty. */
const longestWait = 20;
export function work(parts: WorkParts): Work {
  const { name, deadline } = parts;
  const queue = fairQueue<Call>();
  /** Milliseconds for one signature, by lane: an average that forgets. */
  const costs = new Map<string, number>();

  return {
    waiting: () => ({ signatures: queue.size, milliseconds: waitingMilliseconds() }),
    sign,
    go,
    rejectAll(fault) {
      for (const call of queue.clear()) call.done(fault(isUntouched(call)));
    },
    late,
  };

  async function sign(call: SignCall, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    if (parts.bench()?.held.get(call.key) === undefined) await call.find(signal);
    if (signal.aborted) throw late(true);
    refuseIfFull(call);
    return new Promise((resolve, reject) => {
      const waiting: Call = {
        ...call,
        results: [],
        left: call.items,
        flying: 0,
        over: false,
        retried: false,
        done,
      };
      const tired = (): void => {
        done(isUntouched(waiting) ? lateInQueue(waiting) : late(false));
      };
      function done(fault: Fault | undefined): void {
        signal.removeEventListener("abort", tired);
        waiting.over = true;
        if (fault === undefined) resolve(waiting.results);
        else {
          queue.drop(waiting);
          reject(fault);
        }
      }
      signal.addEventListener("abort", tired, { once: true });
      queue.push(call.key, { call: waiting, from: 0, until: call.items });
      go();
    });
  }

  function refuseIfFull({ key, items }: SignCall): void {
    const { size } = queue;
    if (size === 0) return;
    const wait = waitingMilliseconds() / 1000;
    if (size + items <= parts.queue && wait <= longestWait) return;
    const waiting = `${String(size)} signatures wait for its token already, about ${wait.toFixed(1)} s of work`;
    const before = queue.before(key, most);
    throw new Fault("OVERLOADED", `custody ${name}: ${waiting}`, {
      nothingHappened: true,
      custody: name,
      retryAfter: Math.max(1, Math.ceil(wait)),
      hint: `${waiting}; ${String(before)} of them would have had their turn before yours`,
    });
  }

  /** Items of a lane in one slice: the first one of a lane is measured alone. */
  function most(lane: string): number {
    const cost = costs.get(lane);
    return cost === undefined ? 1 : Math.max(1, Math.floor(sliceOf / cost));
  }

  function waitingMilliseconds(): number {
    let sum = 0;
    for (const [lane, items] of queue.waiting()) sum += items * (costs.get(lane) ?? 0);
    return sum;
  }

  function go(): void {
    for (let bench = parts.bench(); bench !== undefined; bench = parts.bench()) {
      if (bench.frames >= 2 && bench.load >= ahead) return;
      const slice = queue.take(most);
      if (slice === undefined) return;
      void send(bench, slice);
    }
  }

  async function send(bench: Bench, slice: Slice<Call>): Promise<void> {
    const { call, from, until } = slice;
    const load = (until - from) * (costs.get(call.key) ?? ahead);
    bench.frames += 1;
    bench.load += load;
    let tried: Use | undefined;
    try {
      const held = bench.held.get(call.key) ?? (await call.find(AbortSignal.timeout(deadline)));
      if (parts.bench() !== bench && !call.over) {
        queue.push(call.key, slice); // another process has taken over meanwhile
        return;
      }
      const use = held.uses.find(({ over }) => over !== "message" || !call.digests);
      if (use === undefined) throw useless(call);
      if (call.over) return; // it gave up while its key was looked for
      tried = use;
      const items = Array.from({ length: until - from }, (_, at) => call.input(use, from + at));
      const body = signBody({ key: held.number, mechanism: use.mechanism, items });
      take(slice, parseSignedBody(await flying(call, bench.child, body)), use.mechanism);
    } catch (error) {
      sendFailed(bench, slice, error, tried);
    } finally {
      bench.frames -= 1;
      bench.load -= load;
      go();
    }
  }

  async function flying(call: Call, child: Child, body: Uint8Array): Promise<Uint8Array> {
    call.flying += 1;
    try {
      return await child.ask("sign", body, deadline);
    } finally {
      call.flying -= 1;
    }
  }

  function take(
    { call, from, until }: Slice<Call>,
    { microseconds, signatures }: ReturnType<typeof parseSignedBody>,
    mechanism: Mechanism,
  ): void {
    if (signatures.length !== until - from)
      throw garbage(`${String(signatures.length)} signatures for ${String(until - from)} items`);
    try {
      for (const [at, bytes] of signatures.entries()) call.results[from + at] = call.output(bytes);
    } catch (cause) {
      throw garbage(`what ${mechanism} gave is no signature`, cause);
    }
    const each = microseconds / 1000 / (until - from);
    const before = costs.get(call.key);
    costs.set(call.key, Math.max(0.01, before === undefined ? each : before * 0.8 + each * 0.2));
    parts.worked();
    call.left -= until - from;
    if (call.left === 0) call.done(undefined);
  }

  /** What provably signed nothing, and may be healed by now, is sent once more. */
  function sendFailed(bench: Bench, slice: Slice<Call>, error: unknown, tried: Use | undefined): void {
    const { call } = slice;
    const told = error instanceof ModuleFailure ? error.failure : undefined;
    if (told?.code === codes.mechanismInvalid && told.nothingHappened) {
      const uses = bench.held.get(call.key)?.uses ?? [];
      const at = tried === undefined ? -1 : uses.indexOf(tried);
      if (at >= 0) uses.splice(at, 1); // no mechanism of this module after all; others may be
      queue.push(call.key, slice);
      return;
    }
    if (told?.code === 0) bench.held.delete(call.key); // whatever it is, the key is looked for before it is used again
    const fault = parts.fault(error, bench, isUntouched(call) && told?.nothingHappened === true);
    const healable = told !== undefined && ["session", "device"].includes(ailmentOf(told.code));
    if (healable && told.nothingHappened && !call.over && !call.retried && parts.expected()) {
      call.retried = true;
      queue.push(call.key, slice);
    } else call.done(isUntouched(call) ? fault : begun(fault));
  }

  function late(nothingHappened: boolean): Fault {
    return new Fault("CUSTODY_TIMEOUT", `custody ${name}: its token was not done in time`, {
      custody: name,
      nothingHappened,
      retryAfter: Math.max(1, Math.ceil(waitingMilliseconds() / 1000)),
    });
  }

  /** Says how far it came. */
  function lateInQueue(call: Call): Fault {
    const { code, message, nothingHappened, retryAfter, custody } = late(true);
    const before = queue.before(call.key, most, call);
    const hint = `its turn did not come in time: ${String(before)} signatures were still before it`;
    return new Fault(code, `${message}; ${hint}`, { nothingHappened, retryAfter, custody, hint });
  }

  function garbage(what: string, cause?: unknown): Fault {
    return new Fault("SIGNATURE_WRONG", `custody ${name}: ${what}`, { custody: name, cause });
  }

  function useless(call: Call): Fault {
    const { algorithm, digests } = call;
    const what = `${algorithm}${digests ? ", digest form" : ""}`;
    return new Fault("CUSTODY_DOWN", `custody ${name}: its module has no mechanism for ${what}`, {
      custody: name,
      nothingHappened: isUntouched(call),
    });
  }
}

/** What was given back by the module without an answer ended the call, or provably signed nothing. */
const isUntouched = ({ left, items, flying }: Call): boolean => left === items && flying === 0;

/** Of a call of which something else was signed, or may be being signed now. */
function begun(fault: Fault): Fault {
  if (!fault.nothingHappened) return fault;
  const { code, message, retryAfter, custody, hint } = fault;
  return new Fault(code, message, { retryAfter, custody, hint, cause: fault });
}
