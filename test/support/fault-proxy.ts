// What goes wrong between Signet and a server that is well: a reverse proxy on loopback that fails on command.
//
// Without a rule a request passes as it came (headers with `host` unchanged, so that what was signed stays signed).
// A rule says where and what; of several that fit, the one made last wins. Everything is counted.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer as createTlsServer, request as tlsRequest } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import type { Certificate } from "./certificate.ts";

/** A request as it came, whole. `path` with its query. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Not compressed. */
  readonly body: Buffer;
}

/** Which requests: all parts that are given must fit. `header` as `name: value`, the value anywhere in it. */
export type Where =
  | { readonly method?: string; readonly path?: string | RegExp; readonly header?: string }
  | ((asked: Asked) => boolean);

/** `done`: whether the server did the work before it went wrong. Milliseconds. */
export type Trouble =
  /** Later than asked, else as it is. */
  | { readonly trouble: "delay"; readonly by: number }
  /** The answer, byte by byte (slow loris). */
  | { readonly trouble: "drip"; readonly every: number }
  /** Half of the answer's body, then the connection ends. */
  | { readonly trouble: "cut-mid-answer" }
  /** The connection ends before the first byte of an answer. */
  | { readonly trouble: "cut"; readonly done: boolean }
  /** Never an answer; the connection stays open. */
  | { readonly trouble: "swallow"; readonly done: boolean }
  /** Another answer than the server's: throttling, a 500 after the work, a page of some other proxy. */
  | {
      readonly trouble: "answer";
      readonly done: boolean;
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | object;
    }
  /** The server's answer, changed. What comes back replaces its body; JSON where it is an object. */
  | { readonly trouble: "rewrite"; readonly body: (answer: Answer, asked: Asked) => string | Uint8Array | object };

export interface Rule {
  /** How many requests it has spoiled. */
  readonly met: number;
  /** From now on it spoils none. */
  lift(): void;
}

export interface FaultProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port`, or https where it was given a certificate; the same for as long as it lives. */
  readonly url: string;
  /** Every request since the start or the last `forget`, in order, spoiled or not. */
  readonly asked: readonly Asked[];
  /** `times`: then it is spent; for ever where absent. */
  spoil(where: Where, what: Trouble, times?: number): Rule;
  count(where?: Where): number;
  /** Lifts every rule and forgets what was asked. Requests that were swallowed stay so. */
  forget(): void;
  /** Ends every connection and refuses new ones. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** Presents this certificate on new connections; ends those that are open. Only where it was started with one. */
  present(certificate: Certificate): void;
}

export interface ProxyOptions {
  /** Speaks TLS, and presents this. */
  readonly tls?: Certificate;
  /** PEM: whom to trust for an https upstream. */
  readonly upstreamCa?: string;
}

interface Ruled {
  readonly where: Where;
  readonly what: Trouble;
  left: number;
  met: number;
}

export async function faultProxy(upstream: string, options: ProxyOptions = {}): Promise<FaultProxy> {
  const asked: Asked[] = [];
  const rules: Ruled[] = [];
  const sockets = new Set<Socket>();
  const ending = new AbortController();

  const answer = (incoming: IncomingMessage, out: ServerResponse): void => {
    out.on("error", () => undefined); // who asked has gone
    spoiled(incoming, out).catch(() => incoming.socket.destroy()); // the server is away, or who asked is
  };
  const server = options.tls ? createTlsServer(options.tls, answer) : createServer(answer);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket.on("close", () => sockets.delete(socket)).on("error", () => undefined));
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject).listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        resolve();
      });
    });
  const cutAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    cutAll();
    await closed;
  };

  async function spoiled(incoming: IncomingMessage, out: ServerResponse): Promise<void> {
    const heard: Asked = {
      method: incoming.method ?? "GET",
      path: incoming.url ?? "/",
      headers: incoming.headers,
      body: await whole(incoming),
    };
    asked.push(heard);
    const rule = rules.findLast((one) => one.left > 0 && fits(one.where, heard));
    if (rule) {
      rule.left -= 1;
      rule.met += 1;
    }
    const forward = (): Promise<Answer> => passOn(heard, upstream, options.upstreamCa, ending.signal);
    await act(rule?.what, heard, out, forward, ending.signal);
  }

  await listen(0);
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return {
    url: `${options.tls ? "https" : "http"}://127.0.0.1:${String(port)}`,
    asked,
    spoil(where, what, times = Number.POSITIVE_INFINITY) {
      const rule: Ruled = { where, what, left: times, met: 0 };
      rules.push(rule);
      return {
        get met() {
          return rule.met;
        },
        lift: () => {
          rule.left = 0;
        },
      };
    },
    count: (where = {}) => asked.filter((one) => fits(where, one)).length,
    forget() {
      rules.length = 0;
      asked.length = 0;
    },
    down: close,
    up: () => listen(port),
    present(certificate) {
      if (!("setSecureContext" in server)) throw new Error("this proxy speaks no TLS");
      server.setSecureContext(certificate);
      cutAll();
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      if (server.listening) await close();
    },
  };
}

/** One request, in the way that the rule tells. Rejects where the connection shall end. */
async function act(
  what: Trouble | undefined,
  asked: Asked,
  out: ServerResponse,
  forward: () => Promise<Answer>,
  ending: AbortSignal,
): Promise<void> {
  switch (what?.trouble) {
    case undefined:
      send(out, await forward());
      return;
    case "delay":
      await sleep(what.by, undefined, { signal: ending });
      send(out, await forward());
      return;
    case "drip": {
      const { status, headers, body } = await forward();
      out.writeHead(status, headersFor(headers, body.length)).flushHeaders();
      for (const byte of body) {
        await sleep(what.every, undefined, { signal: ending });
        if (out.destroyed) return;
        out.write(Buffer.of(byte));
      }
      out.end();
      return;
    }
    case "cut-mid-answer": {
      const { status, headers, body } = await forward();
      out.writeHead(status, headersFor(headers, body.length));
      out.write(body.subarray(0, body.length >> 1), () => out.destroy());
      return;
    }
    case "cut":
      if (what.done) await forward();
      out.destroy();
      return;
    case "swallow":
      if (what.done) await forward();
      return;
    case "answer": {
      if (what.done) await forward();
      const json = typeof what.body === "object";
      const body = bytesOf(what.body ?? "");
      send(out, {
        status: what.status,
        headers: { "content-type": json ? "application/json" : "text/plain", ...what.headers },
        body,
      });
      return;
    }
    case "rewrite": {
      const given = await forward();
      send(out, { ...given, body: bytesOf(what.body(given, asked)) });
    }
  }
}

const bytesOf = (body: string | Uint8Array | object): Buffer => {
  if (typeof body === "string") return Buffer.from(body);
  return body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
};

function fits(where: Where, asked: Asked): boolean {
  if (typeof where === "function") return where(asked);
  const { method, path, header } = where;
  if (method !== undefined && method !== asked.method) return false;
  if (typeof path === "string" && !asked.path.includes(path)) return false;
  if (path instanceof RegExp && !path.test(asked.path)) return false;
  if (header === undefined) return true;
  const [name = "", value = ""] = header.split(/:\s*/, 2);
  return String(asked.headers[name.toLowerCase()] ?? "").includes(value) && name.toLowerCase() in asked.headers;
}

/** The server's answer, whole and not compressed. Rejects where it gives none. */
function passOn(asked: Asked, upstream: string, ca: string | undefined, signal: AbortSignal): Promise<Answer> {
  const { protocol, hostname, port } = new URL(upstream);
  const ask = protocol === "https:" ? tlsRequest : request;
  return new Promise((resolve, reject) => {
    const { method, path, headers, body } = asked;
    ask({ hostname, port, method, path, headers, signal, agent: false, ...(ca === undefined ? {} : { ca }) })
      .on("response", (answer) => {
        whole(answer).then((given) => {
          const packed = answer.headers["content-encoding"] === "gzip";
          resolve({
            status: answer.statusCode ?? 502,
            headers: answer.headers,
            body: packed ? gunzipSync(given) : given,
          });
        }, reject);
      })
      .on("error", reject)
      .end(body);
  });
}

async function whole(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer); // no encoding was set on it
  return Buffer.concat(parts);
}

function send(out: ServerResponse, { status, headers, body }: Answer): void {
  out.writeHead(status, headersFor(headers, body.length)).end(body);
}

const perHop = ["connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"];
const headersFor = (headers: IncomingHttpHeaders, length: number): Record<string, string | string[]> =>
  Object.fromEntries([
    ...Object.entries(headers).flatMap(([name, value]): [string, string | string[]][] =>
      value === undefined || perHop.includes(name) ? [] : [[name, value]],
    ),
    ["content-length", String(length)],
  ]);
