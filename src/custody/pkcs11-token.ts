// A token and the life of the process that holds it: starting, ready, locked (its PIN is missing or was refused), away
// (no token, no process, looked for again by and by). Work waits in one fair queue per token.
//
// A PIN is given once. Refused, it is never given again, by nobody and after no restart of the process: a person has to
// give another one. Where a token says that its tries are running out, a PIN is not even given the first time by itself.

import { Fault } from "../model/errors.ts";
import type { KeyAlgorithm } from "../model/key.ts";
import type { Unlocking } from "../ports/custody.ts";
import { equalBytes } from "../std/bytes.ts";
import { Secret } from "../std/secret.ts";
import type { CustodyMeans } from "./kind.ts";
import { type Child, ModuleFailure, ProcessLost, startChild } from "./pkcs11-child.ts";
import { ailmentOf, codeName, codes } from "./pkcs11-codes.ts";
import type { Use } from "./pkcs11-key.ts";
import { noPinNow, pinProblem, unfitPin } from "./pkcs11-pin.ts";
import { fairQueue, type Slice } from "./pkcs11-queue.ts";
import type { TokenAttributes } from "./pkcs11-uri.ts";
import {
  jsonBody,
  type Mechanism,
  parsedBody,
  parseSignedBody,
  type Question,
  signBody,
  type TokenInfo,
  tokenInfo,
} from "./pkcs11-wire.ts";

export interface TokenParts {
  /** Of the custody, for Faults. */
  readonly name: string;
  readonly module: string;
  readonly initialize: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly wanted: TokenAttributes;
  /** Reads the sealed PIN; absent where a person gives it. */
  readonly pin: (() => Secret) | undefined;
  /** Milliseconds that the module may take for one thing. */
  readonly deadline: number;
  /** Items that may wait. */
  readonly queue: number;
  readonly log: CustodyMeans["log"];
}

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

export type TokenState =
  | { readonly is: "starting"; readonly waiting: number }
  | { readonly is: "ready"; readonly info: TokenInfo; readonly waiting: number }
  | { readonly is: "locked"; readonly why: string; readonly info: TokenInfo | undefined }
  | { readonly is: "away"; readonly why: string }
  | { readonly is: "closed" };

interface Ready {
  readonly is: "ready";
  readonly child: Child;
  readonly info: TokenInfo;
  readonly held: Map<string, Held>;
  /** Sent and not answered: slices, and milliseconds of work in them. */
  frames: number;
  load: number;
}
type State =
  | { readonly is: "starting"; readonly child: Child; readonly settled: Promise<void> }
  | Ready
  | { readonly is: "locked"; readonly why: string; readonly info: TokenInfo }
  | { readonly is: "away"; readonly why: string; readonly timer: NodeJS.Timeout; readonly seconds: number }
  | { readonly is: "closed" };

interface Call extends SignCall {
  readonly results: Uint8Array[];
  left: number;
  /** Something of it has been given to the module; slices of it that are there now. */
  sent: boolean;
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
/** Milliseconds. A token that waits for a touch nobody gives answers only after its 15 s. */
const openingPatience = 45_000;
/** Milliseconds between two looks for a token that is not there: doubled from the first to the second. */
const [firstPause, longestPause] = [250, 10_000];

const CKF_LOGIN_REQUIRED = 0x4;

export class Token implements AsyncDisposable {
  readonly #parts: TokenParts;
  readonly #queue = fairQueue<Call>();
  /** Milliseconds for one signature, by lane: an average that forgets. */
  readonly #cost = new Map<string, number>();
  #state: State;
  #pin: (() => Secret) | undefined;
  /** Why the PIN is not given by itself; undefined where it is. */
  #locked: string | undefined;
  /** PINs that the token refused: none of them is given again. */
  readonly #refused: Secret[] = [];
  /** The last one that the token took. */
  #proven: Secret | undefined;
  #info: TokenInfo | undefined;
  #losses = 0;
  #told: string | undefined;

  constructor(parts: TokenParts) {
    this.#parts = parts;
    this.#pin = parts.pin;
    if (parts.pin === undefined) this.#locked = "waits for its PIN";
    this.#state = this.#start();
  }

  /** As it told of itself when it was there last. */
  get info(): TokenInfo | undefined {
    return this.#info;
  }

  state(): TokenState {
    const state = this.#state;
    const waiting = this.#queue.size;
    switch (state.is) {
      case "starting":
        return { is: "starting", waiting };
      case "ready":
        return { is: "ready", info: state.info, waiting };
      case "locked":
      case "away":
      case "closed":
        return state;
    }
  }

  /** Why nothing would be tried now. */
  turnsAway(): Fault | undefined {
    return this.#state.is === "starting" || this.#state.is === "ready" ? undefined : this.#unavailable();
  }

  /** Everything but signatures. Rejects with a Fault. `patience`: milliseconds. */
  async ask(kind: Question, body: unknown, signal: AbortSignal, patience = this.#parts.deadline): Promise<unknown> {
    const ready = await unlessAborted(this.#ready(), signal, () => this.#late(true));
    const changes = kind === "generate" || kind === "destroy";
    try {
      const work = ready.child.ask(kind, jsonBody(body), patience);
      return parsedBody(await unlessAborted(work, signal, () => this.#late(!changes)));
    } catch (error) {
      const told = error instanceof ModuleFailure && error.failure.nothingHappened;
      throw this.#fault(error, ready, told || !changes);
    }
  }

  /** Keys of the process that runs now, by URI; undefined where it is not ready. */
  held(key: string): Held | undefined {
    return this.#state.is === "ready" ? this.#state.held.get(key) : undefined;
  }

  hold(key: string, held: Held): void {
    if (this.#state.is === "ready") this.#state.held.set(key, held);
  }

  /** In the order asked. Rejects with a Fault. */
  async sign(call: SignCall, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    if (this.held(call.key) === undefined) await call.find(signal);
    if (signal.aborted) throw this.#late(true);
    this.#refuseIfFull(call.items);
    return new Promise((resolve, reject) => {
      const waiting: Call = {
        ...call,
        results: [],
        left: call.items,
        sent: false,
        flying: 0,
        over: false,
        retried: false,
        done,
      };
      const late = (): void => {
        done(this.#late(!waiting.sent));
      };
      const queue = this.#queue;
      function done(fault: Fault | undefined): void {
        signal.removeEventListener("abort", late);
        waiting.over = true;
        if (fault === undefined) resolve(waiting.results);
        else {
          queue.drop(waiting);
          reject(fault);
        }
      }
      signal.addEventListener("abort", late, { once: true });
      queue.push(call.key, { call: waiting, from: 0, until: call.items });
      this.#pump();
    });
  }

  /** Starts a fresh process, which sees the token as it is now, and gives it this PIN once. */
  async unlock(pin: Secret, signal: AbortSignal): Promise<Unlocking> {
    const problem = unfitPin(pin);
    if (problem !== undefined) return { refused: problem };
    if (this.#refused.some((one) => equalBytes(one.reveal(), pin.reveal())))
      return { refused: "the token refused this PIN before; it was not given again" };
    if (this.#state.is === "starting") await unlessAborted(this.#state.settled, signal, () => this.#late(true));
    if (this.#state.is === "ready") return { refused: "the token is unlocked already; the PIN was not looked at" };
    if (this.#state.is === "closed") throw this.#away("the custody is closed");
    if (this.#state.is === "away") clearTimeout(this.#state.timer);
    const copy = new Secret(Uint8Array.from(pin.reveal()));
    const before = { locked: this.#locked, pin: this.#pin };
    this.#pin = () => copy;
    this.#locked = undefined;
    const starting = this.#start(true);
    this.#state = starting;
    const unlocked = starting.settled.then(() => this.#unlocked(before)); // also where nobody waits for it any more
    return unlessAborted(unlocked, signal, () => this.#late(false));
  }

  /** After the process with the given PIN has started, or has not. */
  #unlocked(before: { readonly locked: string | undefined; readonly pin: (() => Secret) | undefined }): Unlocking {
    const state = this.#state;
    if (state.is === "ready") return { ready: true };
    if (state.is === "locked") return { refused: state.why };
    this.#pin = before.pin;
    this.#locked ??= before.locked;
    throw this.#away(state.is === "away" ? state.why : "the token is not ready");
  }

  [Symbol.asyncDispose](): Promise<void> {
    const state = this.#state;
    this.#state = { is: "closed" };
    if (state.is === "away") clearTimeout(state.timer);
    this.#rejectAll("the custody is closed");
    if (state.is !== "starting" && state.is !== "ready") return Promise.resolve();
    state.child.end("closed", "the custody is closed");
    return state.child.gone.then(() => undefined);
  }

  // The process

  #start(byPerson = false): Extract<State, { is: "starting" }> {
    const child = startChild(this.#parts.environment);
    const settled = this.#open(child, byPerson).then(
      (state) => {
        this.#enter(child, state);
      },
      (error: unknown) => {
        this.#lost(child, error instanceof Error ? error : new Error(String(error)));
      },
    );
    void child.gone.then((lost) => {
      this.#lost(child, lost);
    });
    return { is: "starting", child, settled };
  }

  async #open(child: Child, byPerson: boolean): Promise<Extract<State, { is: "ready" | "locked" }>> {
    const { module, initialize, wanted } = this.#parts;
    const body = jsonBody({ module, token: wanted, ...(initialize !== undefined && { initialize }) });
    const info = tokenInfo.parse(parsedBody(await child.ask("open", body, openingPatience)));
    this.#info = info;
    const ready: Ready = { is: "ready", child, info, held: new Map(), frames: 0, load: 0 };
    if ((info.flags & CKF_LOGIN_REQUIRED) === 0) return ready;
    const why = this.#locked ?? noPinNow(info, byPerson) ?? (await this.#login(child));
    if (why === undefined) return ready;
    this.#locked ??= why;
    return { is: "locked", why, info };
  }

  /** Gives the PIN, once. Why it was not taken, undefined where it was. One that was right before is given again. */
  async #login(child: Child): Promise<string | undefined> {
    if (this.#pin === undefined) return "waits for its PIN";
    const pin = this.#pin();
    const unfit = unfitPin(pin);
    if (unfit !== undefined) return unfit;
    try {
      await child.ask("login", pin.reveal(), openingPatience);
      this.#refused.length = 0;
      this.#proven = pin;
      return undefined;
    } catch (error) {
      const wrong = error instanceof ModuleFailure && ailmentOf(error.failure.code) === "pin";
      const proven = this.#proven !== undefined && equalBytes(this.#proven.reveal(), pin.reveal());
      if (!wrong && proven) throw error;
      if (wrong) this.#refused.push(pin);
      this.#locked = wrong ? pinProblem(error.failure.code) : doubtfulPin(error);
      return this.#locked;
    }
  }

  #enter(child: Child, state: Extract<State, { is: "ready" | "locked" }>): void {
    if (!this.#isOf(child)) return;
    const { name, log } = this.#parts;
    this.#state = state;
    if (state.is === "ready") {
      log.info({ custody: name, token: state.info.token, serial: state.info.serial }, "the token is ready");
      this.#pump();
    } else {
      child.end("closed", "the token is locked"); // nothing can be done with it until it gets a PIN
      log.warn({ custody: name, problem: state.why }, `the token is locked: signet custody unlock ${name}`);
      this.#rejectAll(state.why);
    }
  }

  /** The process ended, or is of no use any more: another one looks for the token, at once the first time. */
  #lost(child: Child, error: Error): void {
    if (!this.#isOf(child)) return;
    const why = wordsOf(error);
    child.end("ended", why);
    const started = this.#state.is === "ready";
    this.#losses += 1;
    this.#tell(why);
    if (started && this.#losses === 1) {
      this.#state = this.#start();
      return;
    }
    const pause = Math.min(longestPause, firstPause * 2 ** Math.min(10, this.#losses - 1));
    const timer = setTimeout(() => {
      this.#state = this.#start();
    }, pause).unref();
    this.#state = { is: "away", why, timer, seconds: Math.ceil(pause / 1000) };
    this.#rejectAll(why);
  }

  /** Once for each trouble: a token that is away is looked for again and again. */
  #tell(why: string): void {
    if (why === this.#told) return;
    this.#told = why;
    this.#parts.log.warn({ custody: this.#parts.name, problem: why }, "the token's process is lost");
  }

  #isOf(child: Child): boolean {
    return (this.#state.is === "starting" || this.#state.is === "ready") && this.#state.child === child;
  }

  async #ready(): Promise<Ready> {
    while (this.#state.is === "starting") await this.#state.settled;
    if (this.#state.is === "ready") return this.#state;
    throw this.#unavailable();
  }

  // The queue

  #refuseIfFull(items: number): void {
    const { name, queue } = this.#parts;
    if (this.#queue.size === 0) return;
    const wait = this.#waitingMilliseconds() / 1000;
    if (this.#queue.size + items <= queue && wait <= longestWait) return;
    throw new Fault(
      "OVERLOADED",
      `custody ${name}: ${String(this.#queue.size)} signatures wait for its token already, about ${wait.toFixed(1)} s of work`,
      { nothingHappened: true, custody: name, retryAfter: Math.max(1, Math.ceil(wait)) },
    );
  }

  #waitingMilliseconds(): number {
    let sum = 0;
    for (const [lane, items] of this.#queue.waiting()) sum += items * (this.#cost.get(lane) ?? 0);
    return sum;
  }

  #pump(): void {
    for (let state = this.#state; state.is === "ready"; state = this.#state) {
      if (state.frames >= 2 && state.load >= ahead) return;
      const slice = this.#queue.take((lane) => {
        const cost = this.#cost.get(lane);
        return cost === undefined ? 1 : Math.floor(sliceOf / cost); // the first one is measured alone
      });
      if (slice === undefined) return;
      void this.#send(state, slice);
    }
  }

  async #send(state: Ready, slice: Slice<Call>): Promise<void> {
    const { call, from, until } = slice;
    const load = (until - from) * (this.#cost.get(call.key) ?? ahead);
    state.frames += 1;
    state.load += load;
    let tried: Use | undefined;
    try {
      const held = state.held.get(call.key) ?? (await call.find(AbortSignal.timeout(this.#parts.deadline)));
      if (this.#state !== state && !call.over) {
        this.#queue.push(call.key, slice); // another process has taken over meanwhile
        return;
      }
      const use = held.uses.find(({ over }) => over !== "message" || !call.digests);
      if (use === undefined) throw this.#useless(call);
      if (call.over) return; // it gave up while its key was looked for
      tried = use;
      const items = Array.from({ length: until - from }, (_, at) => call.input(use, from + at));
      const body = signBody({ key: held.number, mechanism: use.mechanism, items });
      this.#take(slice, parseSignedBody(await this.#flying(call, state.child, body)), use.mechanism);
    } catch (error) {
      this.#sendFailed(state, slice, error, tried);
    } finally {
      state.frames -= 1;
      state.load -= load;
      this.#pump();
    }
  }

  async #flying(call: Call, child: Child, body: Uint8Array): Promise<Uint8Array> {
    call.sent = true;
    call.flying += 1;
    try {
      return await child.ask("sign", body, this.#parts.deadline);
    } finally {
      call.flying -= 1;
    }
  }

  #take(
    { call, from, until }: Slice<Call>,
    { microseconds, signatures }: ReturnType<typeof parseSignedBody>,
    mechanism: Mechanism,
  ): void {
    if (signatures.length !== until - from)
      throw this.#garbage(`${String(signatures.length)} signatures for ${String(until - from)} items`);
    try {
      for (const [at, bytes] of signatures.entries()) call.results[from + at] = call.output(bytes);
    } catch (cause) {
      throw this.#garbage(`what ${mechanism} gave is no signature`, cause);
    }
    const each = microseconds / 1000 / (until - from);
    const before = this.#cost.get(call.key);
    this.#cost.set(call.key, Math.max(0.01, before === undefined ? each : before * 0.8 + each * 0.2));
    this.#losses = 0;
    this.#told = undefined;
    call.left -= until - from;
    if (call.left === 0) call.done(undefined);
  }

  /** What provably signed nothing, and may be healed by now, is sent once more. */
  #sendFailed(state: Ready, slice: Slice<Call>, error: unknown, tried: Use | undefined): void {
    const { call } = slice;
    const told = error instanceof ModuleFailure ? error.failure : undefined;
    if (told?.code === codes.mechanismInvalid && told.nothingHappened) {
      const uses = state.held.get(call.key)?.uses ?? [];
      const at = tried === undefined ? -1 : uses.indexOf(tried);
      if (at >= 0) uses.splice(at, 1); // no mechanism of this module after all; others may be
      this.#queue.push(call.key, slice);
      return;
    }
    const nothingHappened = call.left === call.items && call.flying === 0 && told?.nothingHappened === true;
    const fault = this.#fault(error, state, nothingHappened);
    const healable = told !== undefined && ["session", "device"].includes(ailmentOf(told.code));
    if (
      healable &&
      told.nothingHappened &&
      !call.over &&
      !call.retried &&
      (this.#state.is === "ready" || this.#state.is === "starting")
    ) {
      call.retried = true;
      this.#queue.push(call.key, slice);
    } else call.done(fault);
  }

  #rejectAll(why: string): void {
    for (const call of this.#queue.clear()) call.done(this.#unavailable(why, !call.sent));
  }

  // Faults

  /** Also draws the consequence: a token that is gone is looked for by a new process, a refused PIN locks. */
  #fault(error: unknown, ready: Ready, nothingHappened: boolean): Fault {
    if (error instanceof Fault) return error;
    const { name } = this.#parts;
    const custody = name;
    if (error instanceof ProcessLost) {
      const code = error.why === "late" ? "CUSTODY_TIMEOUT" : "CUSTODY_DOWN";
      return new Fault(code, `custody ${name}: ${error.message}`, {
        custody,
        nothingHappened,
        retryAfter: 1,
        cause: error,
      });
    }
    if (!(error instanceof ModuleFailure)) {
      this.#lost(ready.child, error instanceof Error ? error : new Error(String(error)));
      return new Fault("CUSTODY_DOWN", `custody ${name}: its process answered garbage`, {
        custody,
        nothingHappened,
        cause: error,
      });
    }
    const { code } = error.failure;
    const ailment = code === 0 ? "request" : ailmentOf(code);
    const message = `custody ${name}: ${wordsOf(error)}`;
    if (ailment === "device") this.#lost(ready.child, error);
    if (ailment === "pin") this.#lock(ready, code);
    const retryAfter = ailment === "device" || ailment === "session" ? 1 : undefined;
    return new Fault(ailment === "pin" ? "CUSTODY_LOCKED" : "CUSTODY_DOWN", message, {
      custody,
      nothingHappened,
      retryAfter,
      cause: error,
    });
  }

  #lock(ready: Ready, code: number): void {
    if (!this.#isOf(ready.child)) return;
    const why = pinProblem(code);
    this.#locked = why;
    if (this.#pin !== undefined) this.#refused.push(this.#pin());
    this.#enter(ready.child, { is: "locked", why, info: ready.info });
  }

  #unavailable(why?: string, nothingHappened = true): Fault {
    const state = this.#state;
    const { name } = this.#parts;
    if (state.is === "locked")
      return new Fault("CUSTODY_LOCKED", `custody ${name}: ${state.why}`, {
        custody: name,
        nothingHappened,
        hint: `an operator gives the PIN: signet custody unlock ${name}`,
      });
    return this.#away(why ?? (state.is === "away" ? state.why : "the token is not ready"), nothingHappened);
  }

  #away(why: string, nothingHappened = true): Fault {
    const retryAfter = this.#state.is === "away" ? this.#state.seconds : this.#state.is === "closed" ? undefined : 1;
    return new Fault("CUSTODY_DOWN", `custody ${this.#parts.name}: ${why}`, {
      custody: this.#parts.name,
      nothingHappened,
      retryAfter,
    });
  }

  #late(nothingHappened: boolean): Fault {
    const { name } = this.#parts;
    return new Fault("CUSTODY_TIMEOUT", `custody ${name}: its token was not done in time`, {
      custody: name,
      nothingHappened,
      retryAfter: Math.max(1, Math.ceil(this.#waitingMilliseconds() / 1000)),
    });
  }

  #garbage(what: string, cause?: unknown): Fault {
    const { name } = this.#parts;
    return new Fault("SIGNATURE_WRONG", `custody ${name}: ${what}`, { custody: name, cause });
  }

  #useless({ algorithm, digests, sent }: Call): Fault {
    const { name } = this.#parts;
    const what = `${algorithm}${digests ? ", digest form" : ""}`;
    return new Fault("CUSTODY_DOWN", `custody ${name}: its module has no mechanism for ${what}`, {
      custody: name,
      nothingHappened: !sent,
    });
  }
}

/** The token may have counted it: given by itself once more, a PIN that is wrong would lock the token. */
const doubtfulPin = (error: unknown): string =>
  `whether the PIN is right the token did not say (${error instanceof Error ? wordsOf(error) : "no answer"}); it is not tried again, a person has to give it`;

const wordsOf = (error: Error): string =>
  error instanceof ModuleFailure && error.failure.code !== 0
    ? `${codeName(error.failure.code)} from the module`
    : error.message;

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, late: () => Fault): Promise<T> {
  if (signal.aborted) {
    work.catch(() => undefined);
    return Promise.reject(late());
  }
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(late());
    };
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", onAbort);
    });
  });
}
