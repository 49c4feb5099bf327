// The daemon's own front on node:http: which path answers to which method, within which bounds, and how it stops.
// Everything that reaches the broker passes `authenticate` first; what is accepted is finished, also while stopping.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import type { Call, Caller } from "../broker/call.ts";
import type { Broker } from "../broker/index.ts";
import { errorTable, isFaultCode, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Clock, Random } from "../std/clock.ts";
import { newId } from "../std/id.ts";
import { type Room, readBody, shareOf } from "./body.ts";
import type { RequestContext } from "./context.ts";
import { credentialsOf, unauthenticated } from "./credentials.ts";
import { docsOf, present, refusalError } from "./errors.ts";
import { type Answer, type Exchange, json, problem, send, text } from "./exchange.ts";
import { createGraphql, type Graphql, type Params, type Result } from "./graphql.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { isLocal, type Listener, type Listening, open } from "./listener.ts";
import { isOpen, logFile, logPrefix, treePath } from "./log-routes.ts";
import type { Outcome, ServerMetrics } from "./metrics.ts";
import { paramsOf } from "./params.ts";
import { resultText } from "./result-text.ts";
import { trustDocument, trustFile, trustPrefix } from "./trust-routes.ts";

export interface ServerParts {
  readonly broker: Broker;
  readonly listeners: readonly Listener[];
  readonly metrics: ServerMetrics;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: Partial<Limits> | undefined;
  /** Introspection, for `signet dev`. */
  readonly dev?: boolean | undefined;
  /** See GraphqlOptions. */
  readonly shortLane?: boolean | undefined;
}

/** Closing it stops accepting, finishes what was accepted, and after `limits.drain` cuts what is left. */
export interface Server extends AsyncDisposable {
  /** How each listener is published, in the order given. */
  readonly urls: readonly string[];
}

/** What the routes share. */
interface Front {
  readonly parts: ServerParts;
  readonly limits: Limits;
  readonly graphql: Graphql;
  /** Exchanges that have not had their answer, whoever is slow. */
  answering: number;
  /** Of these the GraphQL requests that have arrived completely. */
  busy: number;
  /** For bodies, of all listeners together. */
  readonly room: Room;
  /** What the log was told last of why we are not ready. */
  unready: string | undefined;
  draining: boolean;
  /** Called whenever `answering` falls to zero. */
  idle: () => void;
}

/** Resolves once every listener accepts. Throws, with all of them closed, where one cannot. */
export async function listen(parts: ServerParts): Promise<Server> {
  const limits = { ...defaultLimits, ...parts.limits };
  const graphql = createGraphql({ limits, dev: parts.dev ?? false, shortLane: parts.shortLane });
  const front: Front = {
    parts,
    limits,
    graphql,
    answering: 0,
    busy: 0,
    room: { left: limits.bodies },
    unready: undefined,
    draining: false,
    idle: () => undefined,
  };
  const opened: Listening[] = [];
  const close = () => drain(front, opened);
  try {
    for (const listener of parts.listeners) opened.push(await start(listener, front));
  } catch (error) {
    await close();
    throw error;
  }
  return { urls: opened.map(({ publicUrl }) => publicUrl), [Symbol.asyncDispose]: close };
}

async function start(listener: Listener, front: Front): Promise<Listening> {
  // The first request can only come after `open` has resolved: the answer is given in a later turn of the event loop.
  const started: { listening?: Listening } = {};
  const listening = await open(listener, front.limits, (request, response) => {
    if (started.listening) void serve(request, response, started.listening, front);
    else response.writeHead(503).end();
  });
  started.listening = listening;
  listening.server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const status = unreadable[error.code ?? ""] ?? "400 Bad Request";
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    else socket.destroy();
  });
  return listening;
}

/** What node's parser gave up on, by its code. */
const unreadable: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

/** Never rejects. */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  listening: Listening,
  front: Front,
): Promise<void> {
  const { broker, clock, random, log, metrics } = front.parts;
  const exchange: Exchange = {
    id: newId("rq", clock, random),
    listening,
    path: request.url?.split("?", 1)[0] ?? "",
    request,
    response,
    nonce: () => broker.nonce(),
    last: () => front.draining,
  };
  front.answering += 1;
  try {
    send(exchange, await answerTo(exchange, front));
  } catch (error) {
    send(exchange, problem(500, present(error, { request: exchange.id, log, metrics })));
  } finally {
    front.answering -= 1;
    if (front.answering === 0) front.idle();
  }
  if (log.isLevelEnabled("debug")) log.debug(accessLine(exchange), "answered");
}

/** Attacker-controlled texts are cut here and escaped by JSON. */
const accessLine = ({ id, request, response, path }: Exchange) => ({
  request: id,
  method: request.method,
  path: path.slice(0, 200),
  status: response.statusCode,
  from: request.socket.remoteAddress,
  agent: request.headers["user-agent"]?.slice(0, 200),
});

type Route = (exchange: Exchange, front: Front) => Answer | Promise<Answer>;

const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
  "/graphql": { POST: graphqlRoute },
  "/livez": { GET: () => text(200, "ok\n") },
  "/readyz": { GET: readiness },
  "/metrics": { GET: metricsRoute },
};

function answerTo(exchange: Exchange, front: Front): Answer | Promise<Answer> {
  const { path, request, id } = exchange;
  const methods = Object.hasOwn(routes, path) ? routes[path] : below(path);
  if (methods === undefined)
    return problem(404, refusalError(refuse("NOT_FOUND", "there is nothing at this path"), id));
  const route = methods[request.method === "HEAD" ? "GET" : (request.method ?? "")];
  if (route !== undefined) return route(exchange, front);
  const allowed = Object.keys(methods).join(", ");
  return problem(405, refusalError(refuse("INPUT_INVALID", `this path answers to ${allowed} only`), id), {
    Allow: allowed,
  });
}

function below(path: string): Readonly<Record<string, Route>> | undefined {
  if (path.startsWith(logPrefix)) return { GET: logRoute };
  return path.startsWith(trustPrefix) ? { GET: trustRoute } : undefined;
}

/** Strangers hear whether; why is for whoever is on this machine, for our log (once) and for `signet doctor`. */
function readiness({ listening }: Exchange, front: Front): Answer {
  if (front.draining) return json(503, { ready: false, reason: "stopping" });
  const { ready, reason } = front.parts.broker.ready();
  const unready = ready ? undefined : reason;
  if (unready !== undefined && unready !== front.unready) front.parts.log.warn({ reason }, "not ready");
  front.unready = unready;
  return json(ready ? 200 : 503, { ready, reason: ready || isLocal(listening.listener) ? reason : "not ready" });
}

async function metricsRoute({ listening, id }: Exchange, { parts }: Front): Promise<Answer> {
  if (!listening.listener.metrics)
    return problem(404, refusalError(refuse("NOT_FOUND", "there is nothing at this path"), id));
  const { type, text: body } = await parts.metrics.expose();
  return { status: 200, type, body };
}

const nobody: Caller = { kind: "anonymous", presented: undefined };
const noBody = new Uint8Array();

async function logRoute(exchange: Exchange, front: Front): Promise<Answer> {
  const { broker } = front.parts;
  const path = treePath(exchange.path);
  if (path === undefined)
    return problem(404, refusalError(refuse("NOT_FOUND", "this is no path of the log's tree"), exchange.id));
  const free = isOpen(path, exchange.listening.listener.openLog);
  const caller = free ? nobody : await broker.authenticate(credentialsOf(exchange, noBody), exchange.id);
  if (isRefusal(caller)) return unauthenticated(caller, exchange.id);
  return during(exchange, front, caller, (call) => logFile(broker, call, path, free));
}

async function trustRoute(exchange: Exchange, front: Front): Promise<Answer> {
  const { broker } = front.parts;
  const document = trustDocument(exchange.path);
  if (document === undefined)
    return problem(404, refusalError(refuse("NOT_FOUND", "there is no such trust document"), exchange.id));
  const open = exchange.listening.listener.openTrust;
  const caller = open ? nobody : await broker.authenticate(credentialsOf(exchange, noBody), exchange.id);
  if (isRefusal(caller)) return unauthenticated(caller, exchange.id);
  return during(exchange, front, caller, (call) => trustFile(broker, call, document, open, exchange.request));
}

async function graphqlRoute(exchange: Exchange, front: Front): Promise<Answer> {
  const { request, id } = exchange;
  const { limits } = front;
  if (!isJson(request))
    return problem(
      415,
      refusalError(refuse("INPUT_INVALID", "the body must be application/json, in UTF-8, without an encoding"), id),
    );
  const media = mediaType(request.headers.accept);
  if (media === undefined)
    return problem(
      406,
      refusalError(refuse("INPUT_INVALID", "answers are application/json or application/graphql-response+json"), id),
    );
  using share = shareOf(front.room);
  const body = await readBody(request, limits.body, share);
  if (body.read === "too-large")
    return problem(413, refusalError(refuse("TOO_LARGE", `the body is over ${String(limits.body)} bytes`), id));
  if (body.read === "no-room") return turnedAway(front, id);
  if (body.read === "gone")
    return problem(400, refusalError(refuse("INPUT_INVALID", "the request ended before its body did"), id));
  if (front.draining) return unavailable("SHUTTING_DOWN", id);
  if (front.busy >= limits.concurrent) return turnedAway(front, id);
  front.busy += 1;
  try {
    return await counted(exchange, front, body.bytes, media);
  } finally {
    front.busy -= 1;
  }
}

async function counted(exchange: Exchange, front: Front, body: Uint8Array, media: MediaType): Promise<Answer> {
  const { clock, metrics } = front.parts;
  const began = clock();
  const params = paramsOf(body);
  const operation = isRefusal(params) ? "other" : front.graphql.operation(params.query);
  const { answer, outcome } = await graphqlAnswer(exchange, front, params, body, media);
  metrics.answered(operation, outcome, (clock() - began) / 1000);
  return answer;
}

interface Answered {
  readonly answer: Answer;
  readonly outcome: Outcome;
}

async function graphqlAnswer(
  exchange: Exchange,
  front: Front,
  params: Params | Refusal,
  body: Uint8Array,
  media: MediaType,
): Promise<Answered> {
  const { broker, metrics } = front.parts;
  const { id } = exchange;
  if (isRefusal(params)) {
    metrics.refused(params.refusal);
    return { answer: problem(400, refusalError(params, id)), outcome: "invalid" };
  }
  const caller = await broker.authenticate(credentialsOf(exchange, body), id);
  if (isRefusal(caller)) return { answer: unauthenticated(caller, id), outcome: "unauthenticated" };
  return during(exchange, front, caller, async (call) => {
    const context = contextOf(call, front);
    const result = await front.graphql.run(params, context, { ...front.parts, request: id });
    return { answer: resultAnswer(result, media), outcome: outcomeOf(result, context) };
  });
}

const contextOf = (call: Call, { parts: { broker, clock, metrics }, limits }: Front): RequestContext => ({
  broker,
  clock,
  call,
  metrics,
  budget: { left: limits.cost },
  list: limits.list,
  keys: new Map(),
  refused: undefined,
});

/** Runs with a call whose signal fires when the caller has gone or the deadline has passed. */
async function during<T>(
  { id, response }: Exchange,
  { limits }: Front,
  caller: Caller,
  run: (call: Call) => Promise<T>,
): Promise<T> {
  const signals = signalOf(response, limits.deadline);
  try {
    return await run({
      request: id,
      caller,
      get signal() {
        return signals.signal();
      },
    });
  } finally {
    signals.end();
  }
}

/** Made when somebody asks for it: most calls end without, and a controller with its timer costs as much as a hash tree. */
function signalOf(
  response: ServerResponse,
  deadline: number,
): { readonly signal: () => AbortSignal; readonly end: () => void } {
  const began = performance.now();
  let abort: AbortController | undefined;
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    abort?.abort();
  };
  return {
    signal() {
      if (abort === undefined) {
        abort = new AbortController();
        timer = setTimeout(stop, Math.max(0, deadline - (performance.now() - began)));
        if (response.destroyed) stop();
        else response.once("close", stop);
      }
      return abort.signal;
    },
    end() {
      clearTimeout(timer);
      response.off("close", stop);
    },
  };
}

type MediaType = "application/json" | "application/graphql-response+json";

/** Undefined where the caller reads neither. Without quality values: nobody who asks for both minds which. */
function mediaType(accept = "*/*"): MediaType | undefined {
  if (accept.includes("application/graphql-response+json")) return "application/graphql-response+json";
  return /(?:application|\*)\/(?:json|\*)/.test(accept) ? "application/json" : undefined;
}

function isJson({ headers }: IncomingMessage): boolean {
  const encoding = headers["content-encoding"] ?? "identity";
  return (
    encoding === "identity" &&
    /^application\/json(?:\s*;\s*charset="?utf-8"?)?\s*$/i.test(headers["content-type"] ?? "")
  );
}

/** GraphQL over HTTP: a request that never ran is 400 under the newer media type and 200 under the older. */
const resultAnswer = (result: Result, media: MediaType): Answer => ({
  status: media === "application/graphql-response+json" && result.data === undefined ? 400 : 200,
  type: `${media}; charset=utf-8`,
  body: resultText(result),
});

function outcomeOf({ errors = [] }: Result, { refused }: RequestContext): Outcome {
  const codes = errors.map(({ extensions }) => String(extensions?.["code"]));
  if (codes.some(isFaultCode)) return "fault";
  if (codes.some((code) => code === "INPUT_INVALID" || code === "TOO_LARGE")) return "invalid";
  return refused !== undefined || codes.length > 0 ? "refused" : "ok";
}

function turnedAway({ parts }: Front, id: string): Answer {
  parts.metrics.faulted("OVERLOADED");
  parts.metrics.answered("other", "overloaded", 0);
  return unavailable("OVERLOADED", id);
}

function unavailable(code: "OVERLOADED" | "SHUTTING_DOWN", requestId: string): Answer {
  const { number, title } = errorTable[code];
  const error = {
    message: title,
    extensions: { code, number, retryable: true, retryAfter: 1, docs: docsOf(code), requestId },
  };
  return problem(503, error, { "Retry-After": "1" });
}

async function drain(front: Front, opened: readonly Listening[]): Promise<void> {
  front.draining = true;
  const closed = opened.map(({ server }) => closing(server));
  const deadline = setTimeout(() => {
    for (const { server } of opened) server.closeAllConnections();
    front.idle();
  }, front.limits.drain);
  await finished(front);
  for (const { server } of opened) server.closeIdleConnections();
  await Promise.all(closed);
  clearTimeout(deadline);
}

function closing(server: Listening["server"]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  server.close(() => {
    resolve(undefined);
  });
  return promise;
}

function finished(front: Front): Promise<void> {
  if (front.answering === 0) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  front.idle = () => {
    resolve(undefined);
  };
  return promise;
}
