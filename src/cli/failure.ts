// How a command fails: an exit code that never changes its meaning, and words that say what was asked, what was found
// and what to do next. The same under `-o json`, as one object on stderr.

import { NoIdentity } from "../client/ambient.ts";
import { isRefused, type Refused, RemoteFault } from "../client/connect.ts";
import { BadFile, isSystemError } from "../client/files.ts";
import { BadAddress } from "../client/wire.ts";
import { type Code, errorTable, isFaultCode, isRefusalCode } from "../model/errors.ts";
import { Malformed } from "../tlog/text.ts";
import { count } from "./words.ts";

/** Exit codes of the client's own; those of the error table stand beside them. Documented, tested, never renumbered. */
export const exits = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  cancelled: 3,
  loginNeeded: 4,
  denied: 5,
  notFound: 6,
  pending: 8,
  unavailable: 9,
  noSignature: 10,
  noMatch: 11,
  untrusted: 12,
  proofBad: 13,
  notCompared: 15,
  doctorWarn: 20,
  doctorFail: 21,
  interrupted: 130,
} as const;
type Exit = (typeof exits)[keyof typeof exits] | 7 | 14;

export interface FailureText {
  readonly exit: Exit;
  /** `SGN-…` where the code is of the error table. */
  readonly number?: string | undefined;
  /** The word behind the number, or one of the client's own. */
  readonly code: string;
  /** The first line. */
  readonly message: string;
  readonly asked?: string | undefined;
  readonly found?: string | undefined;
  readonly next?: string | undefined;
  /** Leaf index, where the log holds this. */
  readonly entry?: number | undefined;
  readonly requestId?: string | undefined;
  readonly retryable?: boolean | undefined;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  /** Name of the custody that failed, where one did. */
  readonly custody?: string | undefined;
  readonly pending?: string | undefined;
}

/** Leaves a command; `run` turns it into words and an exit code. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly text: FailureText;
  constructor(text: FailureText, cause?: unknown) {
    super(text.message, { cause });
    this.text = text;
  }
}

export const usage = (message: string, next?: string): Failure =>
  new Failure({ exit: exits.usage, code: "USAGE", message, next });

export const notFound = (message: string, next?: string): Failure =>
  new Failure({ exit: exits.notFound, code: "NOT_FOUND", number: errorTable.NOT_FOUND.number, message, next });

export const proofBad = (message: string, found: string, next?: string): Failure =>
  new Failure({ exit: exits.proofBad, code: "LOG_PROOF_BAD", message, found, next });

/** What the caller wanted: `done` as a participle ("signed"), `asked` in a line. */
export interface Wish {
  readonly done: string;
  readonly asked?: string | undefined;
}

/** The answer, or the refusal thrown as a Failure. */
export function granted<T>(answer: T | Refused, wish: Wish): T {
  if (isRefused(answer)) throw new Failure(refusalText(answer, wish));
  return answer;
}

function refusalText(refused: Refused, { done, asked }: Wish): FailureText {
  const row = isRefusalCode(refused.refusal) ? errorTable[refused.refusal] : undefined;
  const title = row?.title ?? refused.message;
  const wait = refused.retryAfter === undefined ? undefined : `try again in ${String(Math.ceil(refused.retryAfter))} s`;
  return {
    exit: row?.exit ?? exits.unexpected,
    number: refused.number,
    code: refused.refusal,
    message: `not ${done}: ${title}`,
    asked,
    found: title === refused.message ? undefined : refused.message,
    next: nextOf(refused) ?? wait,
    entry: refused.entry,
    pending: refused.pending,
    retryable: refused.retryAfter !== undefined,
    retryAfter: refused.retryAfter,
  };
}

const nextOf = ({ refusal, hint, pending }: Refused): string | undefined =>
  refusal === "APPROVAL_PENDING" && pending !== undefined
    ? `another operator or approver runs: signet approval approve ${pending}`
    : hint;

/** Any error, as words. Undefined for what nobody foresaw: that is shown with its stack under SIGNET_DEBUG only. */
export function textOf(error: unknown): FailureText {
  if (error instanceof Failure) return error.text;
  if (error instanceof RemoteFault) return faultText(error);
  if (error instanceof BadAddress) return { exit: exits.usage, code: "USAGE", message: error.message };
  if (error instanceof NoIdentity) return { exit: exits.loginNeeded, code: "NO_IDENTITY", message: error.message };
  if (error instanceof BadFile) return { exit: exits.usage, code: "FILE_UNFIT", message: error.message };
  if (error instanceof Malformed) return { exit: exits.proofBad, code: "MALFORMED", message: error.message };
  if (isSystemError(error)) return systemText(error);
  return {
    exit: exits.unexpected,
    code: "UNEXPECTED",
    message: error instanceof Error ? error.message : String(error),
  };
}

function faultText(fault: RemoteFault): FailureText {
  const row = isFaultCode(fault.code) ? errorTable[fault.code] : undefined;
  const own =
    row === undefined
      ? wireText(fault)
      : { message: row.title, found: fault.message === row.title ? undefined : foundIn(fault) };
  return {
    exit: row?.exit ?? (fault.code === "UNREADABLE" ? exits.unexpected : exits.unavailable),
    number: row?.number,
    code: fault.code,
    ...own,
    next: fault.hint ?? (row === undefined ? "signet doctor says what is reachable" : `signet explain ${row.number}`),
    requestId: fault.requestId,
    retryable: fault.retryable,
    retryAfter: fault.retryAfter,
    custody: fault.custody,
  };
}

const foundIn = ({ custody, message }: RemoteFault): string => (custody === undefined ? message : `custody ${custody}`);

function wireText(fault: RemoteFault): Pick<FailureText, "message" | "found"> {
  if (fault.code === "UNREACHABLE") return { message: "the server cannot be reached", found: fault.message };
  return { message: fault.message };
}

const systemWords: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

function systemText(error: Error & { readonly code: string; readonly path?: unknown }): FailureText {
  const words = systemWords[error.code] ?? error.message;
  const path = typeof error.path === "string" ? `${error.path}: ` : "";
  const exit = error.code === "ENOENT" ? exits.notFound : exits.unexpected;
  return { exit, code: error.code, message: `${path}${words}` };
}

/** Lines for people; `bold` marks the first word. */
export function failureLines(text: FailureText, bold: (text: string) => string): readonly string[] {
  const line = (label: string, value: string | undefined): string[] =>
    value === undefined ? [] : [`  ${label.padEnd(6)}  ${value.replaceAll("\n", `\n${" ".repeat(10)}`)}`];
  const logged = [
    text.entry === undefined ? undefined : `this refusal is entry ${count(text.entry)}`,
    text.number === undefined ? undefined : `docs: signet explain ${text.number}`,
    text.requestId === undefined ? undefined : `request ${text.requestId}`,
  ].filter((part) => part !== undefined);
  return [
    `${bold(text.number === undefined ? "error:" : `error[${text.number}]`)} ${text.message}`,
    ...line("asked", text.asked),
    ...line("found", text.found),
    ...line("next", text.next),
    ...line("log", logged.length > 0 ? logged.join(" · ") : undefined),
  ];
}

/** One object for programs. */
export const failureJson = (text: FailureText): string => {
  const { exit, number, code, message, asked, found, next, entry, requestId, pending } = text;
  const { retryable, retryAfter, custody } = text;
  const docs = number === undefined ? undefined : `signet explain ${number}`;
  return JSON.stringify({
    code,
    number,
    message,
    asked,
    found,
    hint: next,
    docs,
    custody,
    retryable: retryable ?? false,
    retryAfter,
    requestId,
    entry,
    pending,
    exit,
  });
};

/** Finds a row by `SGN-2101`, `2101` or `POLICY_DENIED`. */
export function codeNamed(name: string): Code | undefined {
  const wanted = name.toUpperCase();
  if (isRefusalCode(wanted) || isFaultCode(wanted)) return wanted;
  const number = wanted.startsWith("SGN-") ? wanted : `SGN-${wanted}`;
  // Keys of the table are its codes.
  return (Object.keys(errorTable) as Code[]).find((code) => errorTable[code].number === number);
}
