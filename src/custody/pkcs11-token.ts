// A token and the life of the process that holds it: starting, ready, locked (its PIN is missing or was refused), away
// (no token, no process, looked for again by and by). What it signs, and when: pkcs11-work.ts.
//
// A PIN is given once. Refused, it is never given again, by nobody and after no restart of the process: a person has to
// give another one (the same one only where the token had locked it, which tells nothing of the PIN). Where a token says that its tries are running out, a PIN is not even given the first time by itself.

import { setTimeout as pause } from "node:timers/promises";

import { Fault } from "../model/errors.ts";
import type { Unlocking } from "../ports/custody.ts";
import { equalBytes } from "../std/bytes.ts";
import { Secret } from "../std/secret.ts";
import { unlessAborted } from "../std/unless-aborted.ts";
import type { CustodyMeans } from "./kind.ts";
import { type Child, ModuleFailure, ProcessLost, startChild } from "./pkcs11-child.ts";
import { ailmentOf, codeName, codes } from "./pkcs11-codes.ts";
import { noPinNow, pinProblem, unfitPin } from "./pkcs11-pin.ts";
import type { TokenAttributes } from "./pkcs11-uri.ts";
import { jsonBody, parsedBody, type Question, type TokenInfo, tokenInfo } from "./pkcs11-wire.ts";
import { type Bench, type Held, type SignCall, type Waiting, type Work, work } from "./pkcs11-work.ts";
import { inTurns } from "./turns.ts";

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

export type TokenState =
  | { readonly is: "starting"; readonly waiting: Waiting }
  | { readonly is: "ready"; readonly info: TokenInfo; readonly waiting: Waiting }
  | { readonly is: "locked"; readonly why: string; readonly info: TokenInfo | undefined }
  | { readonly is: "away"; readonly why: string }
  | { readonly is: "closed" };

interface Ready extends Bench {
  readonly is: "ready";
  readonly info: TokenInfo;
}
type State =
  | { readonly is: "starting"; readonly child: Child; readonly settled: Promise<void> }
  | Ready
  | { readonly is: "locked"; readonly why: string; readonly info: TokenInfo }
  | { readonly is: "away"; readonly why: string; readonly timer: NodeJS.Timeout; readonly seconds: number }
  | { readonly is: "closed" };

/** Milliseconds. A token that waits for a touch nobody gives answers only after its 15 s. */
const openingPatience = 45_000;
/** Milliseconds that the end of a process is waited for: one that a driver holds in the kernel may not end at all. */
const endingPatience = 2_000;
/** Milliseconds between two looks for a token that is not there: doubled from the first to the second. */
const [firstPause, longestPause] = [250, 10_000];

const CKF_LOGIN_REQUIRED = 0x4;

export class Token implements AsyncDisposable {
  readonly #parts: TokenParts;
  readonly #work: Work;
  #state: State;
  #pin: (() => Secret) | undefined;
  /** Why the PIN is not given by itself; undefined where it is. */
  #locked: string | undefined;
  /** PINs that the token refused: none of them is given again. */
  readonly #refused: Secret[] = [];
  /** The last one that the token took, as long as it has not refused it since: that which the process has. */
  #proven: Secret | undefined;
  /** One PIN at a time: what the token says of it decides whether the next is given at all. */
  readonly #unlocking = inTurns(1);
  #info: TokenInfo | undefined;
  #losses = 0;
  #told: string | undefined;

  constructor(parts: TokenParts) {
    this.#parts = parts;
    this.#work = work({
      ...parts,
      bench: () => (this.#state.is === "ready" ? this.#state : undefined),
      expected: () => this.turnsAway() === undefined,
      fault: (error, { child }, nothingHappened) => this.#fault(error, child, nothingHappened),
      worked: () => {
        this.#losses = 0;
        this.#told = undefined;
      },
    });
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
    const waiting = this.#work.waiting();
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
    const ready = await unlessAborted(this.#ready(), signal, () => this.#work.late(true));
    const changes = kind === "generate" || kind === "destroy";
    try {
      const work = ready.child.ask(kind, jsonBody(body), patience);
      return parsedBody(await unlessAborted(work, signal, () => this.#work.late(!changes)));
    } catch (error) {
      const told = error instanceof ModuleFailure && error.failure.nothingHappened;
      throw this.#fault(error, ready.child, told || !changes);
    }
  }

  /** Keeps what was found for as long as the process lives. */
  hold(key: string, held: Held): void {
    if (this.#state.is === "ready") this.#state.held.set(key, held);
  }

  /** In the order asked. Rejects with a Fault. */
  sign(call: SignCall, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    return this.#work.sign(call, signal);
  }

  /** Starts a fresh process, which sees the token as it is now, and gives it this PIN once. */
  async unlock(pin: Secret, signal: AbortSignal): Promise<Unlocking> {
    const problem = unfitPin(pin);
    if (problem !== undefined) return { refused: problem };
    const copy = new Secret(Uint8Array.from(pin.reveal()));
    let given = false;
    const unlocked = this.#unlocking(async () => {
      while (this.#state.is === "starting") await this.#state.settled;
      if (signal.aborted) throw this.#work.late(true);
      const refused = this.#notNow(copy);
      if (refused !== undefined) return { refused };
      given = true;
      return this.#unlockWith(copy); // to its end also where nobody waits for it any more
    });
    return unlessAborted(unlocked, signal, () => this.#work.late(!given));
  }

  /** Why this PIN is not given to the token as it is now. */
  #notNow(pin: Secret): string | undefined {
    if (this.#refused.some((one) => equalBytes(one.reveal(), pin.reveal())))
      return "the token refused this PIN before; it was not given again";
    if (this.#state.is === "closed") throw this.#away("the custody is closed");
    return this.#state.is === "ready" ? "the token is unlocked already; the PIN was not looked at" : undefined;
  }

  async #unlockWith(pin: Secret): Promise<Unlocking> {
    if (this.#state.is === "away") clearTimeout(this.#state.timer);
    const before = { locked: this.#locked, pin: this.#pin };
    this.#pin = () => pin;
    this.#locked = undefined;
    const starting = this.#start(true);
    this.#state = starting;
    await starting.settled;
    return this.#unlocked(before);
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
    return Promise.race([state.child.gone, pause(endingPatience, undefined, { ref: false })]).then(() => undefined);
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
      if (wrong) this.#refuse(pin, error.failure.code);
      this.#locked = wrong ? pinProblem(error.failure.code) : doubtfulPin(error);
      return this.#locked;
    }
  }

  /** A token that is locked refuses the right PIN too: after it is unblocked that one may be given again. */
  #refuse(pin: Secret, code: number): void {
    this.#proven = undefined;
    if (code !== codes.pinLocked) this.#refused.push(pin);
  }

  #enter(child: Child, state: Extract<State, { is: "ready" | "locked" }>): void {
    if (!this.#isOf(child)) return;
    const { name, log } = this.#parts;
    this.#state = state;
    if (state.is === "ready") {
      log.info({ custody: name, token: state.info.token, serial: state.info.serial }, "the token is ready");
      this.#work.go();
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
    const milliseconds = Math.min(longestPause, firstPause * 2 ** Math.min(10, this.#losses - 1));
    const timer = setTimeout(() => {
      if (this.#state.is === "away") this.#state = this.#start();
    }, milliseconds).unref();
    this.#state = { is: "away", why, timer, seconds: Math.ceil(milliseconds / 1000) };
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

  // Faults

  /** Also draws the consequence: a token that is gone is looked for by a new process, a refused PIN locks. */
  #fault(error: unknown, child: Child, nothingHappened: boolean): Fault {
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
      this.#lost(child, error instanceof Error ? error : new Error(String(error)));
      return new Fault("CUSTODY_DOWN", `custody ${name}: its process answered garbage`, {
        custody,
        nothingHappened,
        cause: error,
      });
    }
    const { code } = error.failure;
    const ailment = ailmentOf(code);
    const message = `custody ${name}: ${wordsOf(error)}`;
    if (ailment === "device") this.#lost(child, error);
    if (ailment === "pin") this.#lock(child, code);
    const retryAfter = ailment === "device" || ailment === "session" ? 1 : undefined;
    return new Fault(ailment === "pin" ? "CUSTODY_LOCKED" : "CUSTODY_DOWN", message, {
      custody,
      nothingHappened,
      retryAfter,
      cause: error,
    });
  }

  #lock(child: Child, code: number): void {
    if (!this.#isOf(child) || this.#state.is !== "ready") return;
    const why = pinProblem(code);
    this.#locked = why;
    if (this.#proven !== undefined) this.#refuse(this.#proven, code);
    this.#enter(child, { is: "locked", why, info: this.#state.info });
  }

  #rejectAll(why: string): void {
    this.#work.rejectAll((nothingHappened) => this.#unavailable(why, nothingHappened));
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
}

/** The token may have counted it: given by itself once more, a PIN that is wrong would lock the token. */
const doubtfulPin = (error: unknown): string =>
  `whether the PIN is right the token did not say (${error instanceof Error ? wordsOf(error) : "no answer"}); it is not tried again, a person has to give it`;

const wordsOf = (error: Error): string =>
  error instanceof ModuleFailure && error.failure.code !== 0
    ? `${codeName(error.failure.code)} from the module`
    : error.message;
