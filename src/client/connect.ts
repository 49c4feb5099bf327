// Our client of the GraphQL API: every request proved (DPoP), every answer either data, a Refused or a thrown
// RemoteFault. Retried is only what cannot happen twice: reads, and mutations that carry their own idempotency.

import { type Code, errorTable, isFaultCode, isRefusalCode } from "../model/errors.ts";
import { fromUtf8, utf8 } from "../std/bytes.ts";
import { type Clock, type Random, systemClock, systemRandom } from "../std/clock.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import type { OperationName, Operations } from "./answers.ts";
import { documentOf } from "./documents.ts";
import { type ProofKey, proofFor } from "./proof.ts";
import { type TlsFiles, type Wire, type WireAnswer, type WireRequest, wireTo } from "./wire.ts";

/** The server's no, as data. `refusal` is a code of the error table, or one that a newer server knows. */
export interface Refused {
  readonly refusal: string;
  /** `SGN-…` */
  readonly number: string;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  /** Leaf index of the refusal in the log. */
  readonly entry?: number | undefined;
  /** Id of the pending action that waits for a second person. */
  readonly pending?: string | undefined;
}

export const isRefused = (value: unknown): value is Refused =>
  typeof value === "object" && value !== null && "refusal" in value;

/** The server, or the way to it, failed. Whether something happened is unknown unless the code says otherwise. */
export class RemoteFault extends Error {
  override readonly name = "RemoteFault";
  /** A FaultCode, or UNREACHABLE, TIMED_OUT, UNREADABLE where no daemon of ours gave the answer. */
  readonly code: string;
  readonly requestId: string | undefined;
  /** True where sending the same again is safe and may help. */
  readonly retryable: boolean;
  /** Seconds until it may help. */
  readonly retryAfter: number | undefined;
  /** Name of the custody that failed, where one did. */
  readonly custody: string | undefined;
  /** What to do next, in the server's words. */
  readonly hint: string | undefined;
  constructor(code: string, message: string, options: RemoteFaultOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.requestId = options.requestId;
    this.retryable = options.retryable ?? false;
    this.retryAfter = options.retryAfter;
    this.custody = options.custody;
    this.hint = options.hint;
  }
}

interface RemoteFaultOptions {
  readonly requestId?: string | undefined;
  readonly retryable?: boolean;
  readonly retryAfter?: number | undefined;
  readonly custody?: string | undefined;
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

export interface ConnectOptions {
  /** `https://host`, `http://127.0.0.1:port` or `unix:/path`. */
  readonly address: string;
  readonly key: ProofKey;
  /** `sgs_…` or `sgo_…`; none before a session is open. */
  readonly token?: string | undefined;
  readonly tls?: TlsFiles | undefined;
  /** Milliseconds for one operation, retries included. */
  readonly timeout?: number | undefined;
  /** Stops whatever is under way. */
  readonly signal?: AbortSignal | undefined;
  readonly wire?: Wire | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

export interface Client {
  readonly address: string;
  /** Throws RemoteFault. */
  readonly ask: <K extends OperationName>(
    name: K,
    variables: Operations[K]["variables"],
  ) => Promise<Operations[K]["answer"] | Refused>;
  /** A file of the log below `/log/`; undefined where there is none. Throws RemoteFault. */
  readonly logFile: (path: string) => Promise<Uint8Array | Refused | undefined>;
  /** A document of the trust set below `/trust/`; undefined where there is none. Throws RemoteFault. */
  readonly trustFile: (path: string) => Promise<Uint8Array | Refused | undefined>;
  /** The same connection and key, with another token. */
  readonly withToken: (token: string | undefined) => Client;
  /** The same, but not stopped by the signal: for closing what was opened. */
  readonly unstoppable: () => Client;
  readonly close: () => void;
}

const attempts = 4;
const pauses = [200, 1000, 3000]; // milliseconds between attempts
const patience = 10; // seconds: whoever says to come back later than that is told to the caller
const idempotent: ReadonlySet<OperationName> = new Set(["Sign", "RotateKey", "OpenSession"]); // by idempotencyKey; by token and key

/** Connects lazily: nothing is sent before the first question. Throws BadAddress. */
export function connect(options: ConnectOptions): Client {
  const wire = options.wire ?? wireTo(options.address, options.tls);
  return clientOver(wire, options, { nonce: undefined });
}

/** The newest nonce of the server, shared by all views of one connection. */
interface Nonce {
  nonce: string | undefined;
}

function clientOver(wire: Wire, options: ConnectOptions, state: Nonce): Client {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const timeout = options.timeout ?? 30_000;
  const deadline = (): AbortSignal => {
    const limit = AbortSignal.timeout(timeout);
    return options.signal ? AbortSignal.any([limit, options.signal]) : limit;
  };

  /** Proves and sends; once more with the server's nonce where it asks for one (RFC 9449, section 8). */
  async function exchange(
    request: Omit<WireRequest, "headers">,
    headers: Readonly<Record<string, string>>,
  ): Promise<WireAnswer> {
    for (let again = false; ; again = true) {
      const claims = {
        method: request.method,
        url: `${wire.base}${request.path}`,
        body: request.body,
        token: options.token,
        nonce: state.nonce,
      };
      const answer = await wire.send({
        ...request,
        headers: {
          ...headers,
          dpop: proofFor(options.key, claims, clock, random),
          ...(options.token === undefined ? {} : { authorization: `DPoP ${options.token}` }),
        },
      });
      const nonce = answer.headers["dpop-nonce"];
      if (typeof nonce === "string") state.nonce = nonce;
      if (again || state.nonce === claims.nonce || !wantsNonce(answer)) return answer;
    }
  }

  async function ask<K extends OperationName>(
    name: K,
    variables: Operations[K]["variables"],
  ): Promise<Operations[K]["answer"] | Refused> {
    const document = documentOf(name);
    const body = utf8(JSON.stringify({ query: document, operationName: name, variables }));
    const mayRepeat = idempotent.has(name) || document.includes("\nquery ");
    const signal = deadline();
    return retrying(mayRepeat, signal, async () => {
      const answer = await exchange({ method: "POST", path: "/graphql", body, signal }, graphqlHeaders);
      // The server validates its answers against the schema that answers.ts speaks of.
      return readAnswer(answer) as Operations[K]["answer"] | Refused;
    });
  }

  async function fileAt(path: string): Promise<Uint8Array | Refused | undefined> {
    const signal = deadline();
    return retrying(true, signal, async () => {
      const answer = await exchange({ method: "GET", path, body: new Uint8Array(), signal }, {});
      if (answer.status === 200) return answer.body;
      if (answer.status === 404) return undefined;
      const said = readAnswer(answer);
      if (isRefused(said)) return said;
      throw unreadable(answer);
    });
  }

  return {
    address: options.address,
    ask,
    logFile: (path) => fileAt(`/log/${path}`),
    trustFile: (path) => fileAt(`/trust/${path}`),
    withToken: (token) => clientOver(wire, { ...options, token }, state),
    unstoppable: () => clientOver(wire, { ...options, signal: undefined, timeout: 5_000 }, state),
    close: wire.close,
  };
}

const graphqlHeaders = { "content-type": "application/json", accept: "application/graphql-response+json" };

async function retrying<T>(mayRepeat: boolean, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      const fault = faultOf(error, signal);
      const { retryAfter = 0 } = fault;
      if (!mayRepeat || !fault.retryable || number >= attempts || retryAfter > patience) throw fault;
      await pause(Math.max(pauses[number - 1] ?? 3000, 1000 * retryAfter), signal, fault);
    }
  }
}

function faultOf(error: unknown, signal: AbortSignal): RemoteFault {
  if (error instanceof RemoteFault) return error;
  if (signal.aborted) return new RemoteFault("TIMED_OUT", "the server did not answer in time", { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  // An answer that never came leaves unknown what happened; only idempotent operations get this far again.
  return new RemoteFault("UNREACHABLE", message || "the server cannot be reached", { retryable: true, cause: error });
}

function pause(milliseconds: number, signal: AbortSignal, fault: RemoteFault): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
    function done(): void {
      signal.removeEventListener("abort", stop);
      resolve();
    }
    function stop(): void {
      clearTimeout(timer);
      reject(fault);
    }
  });
}

function wantsNonce(answer: WireAnswer): boolean {
  if (answer.headers["www-authenticate"]?.includes("use_dpop_nonce")) return true;
  const said = read(answer);
  if (isRefused(said)) return said.refusal === "PROOF_NONCE";
  return false;
}

/** Data of the one root field, or the refusal. Throws RemoteFault. */
function readAnswer(answer: WireAnswer): unknown {
  const said = read(answer);
  if (said instanceof RemoteFault) throw said;
  return said;
}

function read(answer: WireAnswer): unknown {
  const body = parse(answer.body);
  if (!isJsonObject(body)) return unreadable(answer);
  const errors = body["errors"];
  if (Array.isArray(errors) && errors.length > 0) return readError(errors[0], answer);
  const data = body["data"];
  if (!isJsonObject(data)) return unreadable(answer);
  const field = Object.values(data)[0] ?? null;
  return isJsonObject(field) && field["__typename"] === "Refusal" ? refusedFrom(field) : field;
}

const unreadable = (answer: WireAnswer): RemoteFault =>
  new RemoteFault(
    "UNREADABLE",
    `the server answered ${String(answer.status)} without GraphQL: is this Signet's address?`,
  );

function readError(error: unknown, answer: WireAnswer): Refused | RemoteFault {
  if (!isJsonObject(error)) return unreadable(answer);
  const extensions = isJsonObject(error["extensions"]) ? error["extensions"] : {};
  const code = text(extensions["code"]) ?? "INTERNAL";
  const message = text(error["message"]) ?? code;
  if (isRefusalCode(code)) return refusedFrom({ ...extensions, code, message });
  const said = text(extensions["requestId"]) ?? text(extensions["request"]);
  const retryable = extensions["retryable"] === true || code === "OVERLOADED" || code === "SHUTTING_DOWN";
  if (isFaultCode(code))
    return new RemoteFault(code, message, {
      requestId: said,
      retryable,
      retryAfter: number(extensions["retryAfter"]),
      custody: text(extensions["custody"]),
      hint: text(extensions["hint"]),
    });
  if (answer.status >= 400 && answer.status < 500) return { refusal: code, number: "SGN-3002", message };
  return new RemoteFault(code, message, { requestId: said, retryable });
}

function refusedFrom(refusal: JsonObject): Refused {
  const code = text(refusal["code"]) ?? "INPUT_INVALID";
  return {
    refusal: code,
    number: text(refusal["number"]) ?? numberOf(code),
    message: text(refusal["message"]) ?? code,
    hint: text(refusal["hint"]),
    retryAfter: number(refusal["retryAfter"]),
    entry: number(refusal["entry"]),
    pending: text(refusal["pending"]),
  };
}

const isCode = (code: string): code is Code => isRefusalCode(code) || isFaultCode(code);
const numberOf = (code: string): string => (isCode(code) ? errorTable[code].number : code);
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(body));
  } catch {
    return undefined;
  }
}
