// One request over HTTP(S) or a Unix socket, one answer, both bounded. Nothing here knows GraphQL.

import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

export interface WireRequest {
  readonly method: "GET" | "POST";
  /** Absolute, below the server's address. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** The way to one server. Rejects with the system's own error where nothing or nobody answers. */
export interface Wire {
  /** Scheme and authority as the server knows itself, for proofs: no slash at the end. */
  readonly base: string;
  readonly send: (request: WireRequest) => Promise<WireAnswer>;
  readonly close: () => void;
}

/** PEM texts. */
export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** The address cannot be used. `message` says what is wrong with it. */
export class BadAddress extends Error {
  override readonly name = "BadAddress";
}

const maxAnswerBytes = 64 * 1024 * 1024; // 100 signatures of 1 MiB statements would not fit; of real size they do
/** What the server calls itself on its socket: there is no host to name. */
const socketBase = "http://localhost";

/** `https://host[:port]`, `http://` on loopback only (tokens travel), or `unix:/path`. Throws BadAddress. */
export function wireTo(address: string, tls: TlsFiles = {}): Wire {
  if (address.startsWith("unix:")) return socketWire(address.slice("unix:".length));
  const url = parseAddress(address);
  const https = url.protocol === "https:";
  const agent = https ? new HttpsAgent({ keepAlive: true, ...defined(tls) }) : new HttpAgent({ keepAlive: true });
  const base = url.origin;
  return {
    base,
    send: (request) => {
      const target = new URL(`${base}${request.path}`);
      return exchange(
        request,
        https
          ? httpsRequest(target, { ...optionsOf(request), agent })
          : httpRequest(target, { ...optionsOf(request), agent }),
      );
    },
    close: () => {
      agent.destroy();
    },
  };
}

function socketWire(socketPath: string): Wire {
  if (!socketPath.startsWith("/")) throw new BadAddress("unix: takes the absolute path of a socket");
  const agent = new HttpAgent({ keepAlive: true });
  return {
    base: socketBase,
    send: (request) =>
      exchange(
        request,
        httpRequest({ ...optionsOf(request), agent, socketPath, path: request.path, host: "localhost" }),
      ),
    close: () => {
      agent.destroy();
    },
  };
}

function parseAddress(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol !== "https:" && url?.protocol !== "http:") {
    throw new BadAddress(
      `${JSON.stringify(address.slice(0, 100))} is not https://HOST, http://127.0.0.1:PORT or unix:/PATH`,
    );
  }
  if (url.protocol === "http:" && !/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname)) {
    throw new BadAddress(`${url.origin} is not encrypted: http is for loopback only, use https`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.pathname !== "/") {
    throw new BadAddress(`${JSON.stringify(address.slice(0, 100))}: give scheme, host and port only`);
  }
  return url;
}

const optionsOf = (request: WireRequest) => ({
  method: request.method,
  headers: { ...request.headers, "content-length": String(request.body.length) },
  signal: request.signal,
});

function exchange(request: WireRequest, out: ReturnType<typeof httpRequest>): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    out.on("error", reject);
    out.on("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > maxAnswerBytes) response.destroy(new Error("the answer is longer than 64 MiB"));
      });
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
      });
    });
    out.end(request.body);
  });
}

const defined = (tls: TlsFiles): TlsFiles =>
  Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
