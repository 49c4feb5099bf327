// One process with one module in it, as the daemon sees it: questions go in, answers come out in the same order, and a
// question that is not answered in its time ends the process. What it was asked and did not answer nobody knows then.

import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";

import {
  type Answer,
  answers,
  type Failure,
  failure,
  frame,
  frameReader,
  parsedBody,
  type Question,
  questions,
} from "./pkcs11-wire.ts";

/** The module answered that it cannot, or the process said so itself. */
export class ModuleFailure extends Error {
  readonly failure: Failure;
  constructor(told: Failure) {
    super(told.at);
    this.failure = told;
  }
}

/** The process ended, or was ended, before it answered. */
export class ProcessLost extends Error {
  readonly why: "late" | "ended" | "closed";
  constructor(why: ProcessLost["why"], message: string) {
    super(message);
    this.why = why;
  }
}

export interface Child {
  readonly pid: number | undefined;
  /** Rejects with ModuleFailure or ProcessLost. `patience`: milliseconds, from when the question before is answered. */
  ask(kind: Question, body: Uint8Array, patience: number): Promise<Uint8Array>;
  /** Ends the process; every open question is lost. */
  end(why: ProcessLost["why"], message: string): void;
  /** When the process is gone: one that the kernel cannot end, as a driver holds it, stays. */
  readonly gone: Promise<ProcessLost>;
}

interface Waiting {
  readonly number: number;
  readonly patience: number;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Beside the compiled code the host is compiled too. */
const hostFile = new URL(import.meta.url.endsWith(".ts") ? "./pkcs11-host.ts" : "./pkcs11-host.js", import.meta.url);
/** Milliseconds between two looks at whether the first in line is late. */
const look = 50;
/**
 * Of what the process says on stderr, the end is kept for the log and the Faults: until it gets a PIN. What a module
 * prints from then on may show the PIN, as pkcs11-spy does, and is thrown away.
 */
const keptWords = 500;

/** `environment` is all that the process sees: nothing of the daemon's own, which holds references to secrets. */
export function startChild(environment: Readonly<Record<string, string>>): Child {
  const started = spawned(environment);
  return "pid" in started ? running(started) : stillborn(started.why);
}

/** A system that is short of descriptors, processes or memory starts none: Node tells by an event, or throws. */
function spawned(
  environment: Readonly<Record<string, string>>,
): (ChildProcess & { readonly pid: number }) | { readonly why: Promise<Error> } {
  try {
    const started = spawn(process.execPath, [fileURLToPath(hostFile)], {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
      env: environment,
      cwd: "/",
    });
    if (isStarted(started)) return started;
    return { why: new Promise((resolve) => started.once("error", resolve)) };
  } catch (error) {
    return { why: Promise.resolve(error instanceof Error ? error : new Error(String(error))) };
  }
}

const isStarted = (child: ChildProcess): child is ChildProcess & { readonly pid: number } => child.pid !== undefined;

function stillborn(why: Promise<Error>): Child {
  const gone = why.then(({ message }) => new ProcessLost("ended", `the process could not be started: ${message}`));
  return { pid: undefined, ask: async () => Promise.reject(await gone), end: () => undefined, gone };
}

function running(started: ChildProcess): Child {
  const channel = streamOf(started, 3);
  const lifeline = streamOf(started, 4);
  const waiting: Waiting[] = [];
  let [next, waited, words] = [1, 0, ""];
  let hasPin = false;
  let lost: ProcessLost | undefined;
  let first: Waiting | undefined;
  const watch = setInterval(lookAtFirst, look).unref();

  const gone = new Promise<ProcessLost>((resolve) => {
    started.on("error", () => undefined); // of a signal that came too late
    started.on("exit", (code, signal) => {
      resolve(losing("ended", `the process ended by ${signal ?? `status ${String(code)}`}${words && `: ${words}`}`));
    });
  });

  const read = frameReader<Answer>(answers);
  channel.on("data", (chunk: Buffer) => {
    try {
      for (const { number, kind, body } of read(chunk)) settle(number, kind, body);
    } catch (error) {
      end("ended", `the process answered garbage: ${error instanceof Error ? error.message : "unreadable"}`);
    }
  });
  channel.on("error", () => undefined); // "exit" tells
  lifeline.on("error", () => undefined);
  started.stderr?.on("data", (chunk: Buffer) => {
    if (!hasPin) words = (words + chunk.toString()).replaceAll(/\s+/g, " ").slice(-keptWords);
  });

  return { pid: started.pid, ask, end, gone };

  function ask(kind: Question, body: Uint8Array, patience: number): Promise<Uint8Array> {
    if (lost !== undefined) return Promise.reject(lost);
    const number = next;
    next = (next + 1) % 0x1_0000_0000;
    hasPin ||= kind === "login";
    channel.write(frame(number, questions.indexOf(kind), body));
    return new Promise((resolve, reject) => {
      waiting.push({ number, patience, resolve, reject });
    });
  }

  function settle(number: number, kind: Answer, body: Uint8Array): void {
    const [one] = waiting;
    if (one?.number !== number) throw new SyntaxError("an answer to another question");
    const told = kind === "failed" ? new ModuleFailure(failure.parse(parsedBody(body))) : undefined;
    waiting.shift();
    if (told === undefined) one.resolve(body);
    else one.reject(told);
  }

  /** Counts looks, not the clock: a daemon that stood still itself blames nobody for it. */
  function lookAtFirst(): void {
    const now = waiting[0];
    waited = now === first ? waited + look : 0;
    first = now;
    if (now !== undefined && waited >= now.patience)
      end("late", `the module did not answer within ${String(now.patience / 1000)} s; its process was ended`);
  }

  function end(why: ProcessLost["why"], message: string): void {
    losing(why, message);
    started.kill("SIGKILL");
  }

  function losing(why: ProcessLost["why"], message: string): ProcessLost {
    if (lost !== undefined) return lost;
    lost = new ProcessLost(why, message.trim());
    clearInterval(watch);
    channel.destroy();
    lifeline.destroy();
    for (const one of waiting.splice(0)) one.reject(lost);
    return lost;
  }
}

function streamOf(child: ChildProcess, descriptor: number): Duplex {
  const stream = child.stdio[descriptor];
  if (!(stream instanceof Duplex)) throw new Error(`the process has no stream ${String(descriptor)}`);
  return stream;
}
