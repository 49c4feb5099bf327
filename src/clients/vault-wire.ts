// How does a request of node-vault travel? Over connections of ours, in place of the library's own HTTP client, which
// follows redirects with the token, honours proxy variables, waits for ever and puts tokens into its errors.
//
// One address, no redirects, no proxies, no decompression; a limit on the answer; every wait ends with the signal.

import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";

import { refusalOf, VaultError } from "./vault-error.ts";

export interface WireOptions {
  /** `https://host:port`, or http where the host is loopback. */
  readonly address: string;
  /** PEM. Replaces the system's roots. */
  readonly ca?: string | undefined;
  /** PEM of the client: chain and private key. */
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
  /** Connections at once; what is over that waits for one. */
  readonly connections: number;
}

/** What node-vault hands to its transport, and what we add: it passes unknown fields on. */
export interface WireRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly signal: AbortSignal;
}

/** In the shape that node-vault expects of its transport. */
export interface WireAnswer {
  readonly statusCode: 200 | 204;
  /** Parsed JSON; undefined with 204. */
  readonly body: unknown;
  readonly request: { readonly path: string };
}

export interface Wire {
  /** Throws VaultError for everything but an answer of success. */
  readonly exchange: (request: WireRequest) => Promise<WireAnswer>;
  readonly close: () => void;
}

/** Bytes. A hundred signatures with their frame take 100 kB. */
const largestAnswer = 8 * 1024 * 1024;
/** Milliseconds that an idle connection is kept; Vault's own limit is five minutes. */
const idle = 60_000;

export function wire(options: WireOptions): Wire {
  const { address, ca, certificate, key, connections } = options;
  const secure = new URL(address).protocol === "https:";
  const pool = { keepAlive: true, maxSockets: connections, timeout: idle } as const;
  const agent = secure
    ? new https.Agent({
        ...pool,
        minVersion: "TLSv1.2",
        ...(ca !== undefined && { ca }),
        ...(certificate !== undefined && { cert: certificate }),
        ...(key !== undefined && { key }),
      })
    : new http.Agent(pool);

  return {
    async exchange(request) {
      const { path, asked } = named(request, address);
      const { status, text, retryAfter } = await roundTrip(request, asked, agent, secure);
      const body = text === "" ? undefined : parsed(text);
      if (status < 200 || status >= 300) throw refusalOf(asked, status, errorsIn(body), retryAfter);
      if (text === "") return { statusCode: 204, body: undefined, request: { path } };
      if (typeof body !== "object" || body === null)
        throw new VaultError("garbled", `${asked} was answered with something that is not Vault's JSON`);
      return { statusCode: 200, body, request: { path } };
    },
    close: () => {
      agent.destroy();
    },
  };
}

/** What people read: `POST transit/sign/release`. */
function named({ method, uri }: WireRequest, address: string): { readonly path: string; readonly asked: string } {
  const { origin, pathname } = new URL(uri);
  if (origin !== new URL(address).origin) throw new TypeError(`${origin} is not the configured address`);
  return { path: pathname, asked: `${method} ${pathname.replace(/^\/v1\//, "")}` };
}

interface Answered {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

function roundTrip(request: WireRequest, asked: string, agent: http.Agent, secure: boolean): Promise<Answered> {
  const { method, uri, headers, json, signal } = request;
  if (signal.aborted) throw new VaultError("late", `${asked} was over before it was sent`, { nothingHappened: true });
  const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
  const framed = {
    accept: "application/json",
    "accept-encoding": "identity",
    ...(body && { "content-type": "application/json", "content-length": String(body.length) }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const sending = (secure ? https : http).request(uri, { method, headers: framed, agent, signal });
    const isSent = watchSent(sending, secure);
    const failed = (cause: unknown): void => {
      reject(cause instanceof VaultError ? cause : trouble(cause, asked, signal, isSent(), secure));
    };
    sending.on("error", failed);
    sending.on("response", (response) => {
      whole(response, asked).then((text) => {
        resolve({ status: response.statusCode ?? 0, text, retryAfter: response.headers["retry-after"] });
      }, failed);
    });
    sending.end(body);
  });
}

/** Whether a byte of the request can have reached the other side: only a connection that stands carries any. */
function watchSent(sending: ClientRequest, secure: boolean): () => boolean {
  let sent = false;
  sending.once("socket", (socket) => {
    const handshaking = "secureConnecting" in socket && socket.secureConnecting === true; // TLSSocket; not in its types
    if (!socket.connecting && !handshaking) sent = true;
    else
      socket.once(secure ? "secureConnect" : "connect", () => {
        sent = true;
      });
  });
  return () => sent;
}

async function whole(response: IncomingMessage, asked: string): Promise<string> {
  const encoding = response.headers["content-encoding"] ?? "identity";
  const parts: Buffer[] = [];
  let size = 0;
  try {
    if (encoding !== "identity") throw new VaultError("garbled", `${asked} was answered in ${encoding}`);
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > largestAnswer)
        throw new VaultError("garbled", `${asked} was answered with more than ${String(largestAnswer)} bytes`);
      parts.push(part);
    }
  } catch (error) {
    response.destroy();
    throw error;
  }
  return Buffer.concat(parts).toString("utf8");
}

function trouble(cause: unknown, asked: string, signal: AbortSignal, sent: boolean, secure: boolean): VaultError {
  const options = { nothingHappened: !sent, cause };
  if (signal.aborted) return new VaultError("late", `${asked} was not answered in time`, options);
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why = cause instanceof Error ? cause.message : String(cause);
  if (sent) return new VaultError("cut", `${asked} was sent, then the connection ended: ${why}`, options);
  if (secure && !network.test(code))
    return new VaultError("untrusted", `${asked} was not sent, TLS failed: ${why}`, options);
  return new VaultError("unreachable", `${asked} was not sent: ${why}`, options);
}

/** Codes of system calls and of name resolution; OpenSSL's and those of certificates look otherwise. */
const network = /^E(?!RR_|PROTO)[A-Z]+$|^EAI_/;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `{"errors":[…]}`, as Vault writes it; undefined where the body is something else. */
function errorsIn(body: unknown): readonly string[] | undefined {
  if (typeof body !== "object" || body === null || !("errors" in body) || !Array.isArray(body.errors)) return undefined;
  return body.errors.filter((one): one is string => typeof one === "string");
}
