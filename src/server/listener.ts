// Where the daemon listens: a Unix socket that only its owner opens, or TCP, with TLS and client certificates if asked.

import { chmodSync, lstatSync, readFileSync, unlinkSync } from "node:fs";
import { createServer, type Server as HttpServer, type RequestListener, type ServerOptions } from "node:http";
import { createServer as createTlsServer, type Server as HttpsServer } from "node:https";
import { connect, isIP, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { base64url } from "../std/base64.ts";
import { sha256 } from "../std/digest.ts";
import type { Limits } from "./limits.ts";

interface Common {
  /** Scheme and authority under which clients know this listener, without a slash at the end. From the address where absent. */
  readonly publicUrl?: string | undefined;
  /** Checkpoint and hash tiles for everybody; entries always need an auditor. */
  readonly openLog: boolean;
  /** The documents below /trust/ for everybody: public keys, and the names of keys. */
  readonly openTrust: boolean;
  /** Whether GET /metrics answers here. */
  readonly metrics: boolean;
}

export interface SocketListener extends Common {
  readonly kind: "socket";
  /** Created with mode 0600. */
  readonly path: string;
}

export interface TcpListener extends Common {
  readonly kind: "tcp";
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
  /** Session tokens without a proof of possession. Loopback only. */
  readonly dangerouslyAllowBearer: boolean;
}

/** Paths of PEM files. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Where present, clients may show a certificate of this authority (RFC 8705). */
  readonly clientCa?: string | undefined;
}

export type Listener = SocketListener | TcpListener;

export interface Listening {
  readonly listener: Listener;
  readonly server: HttpServer | HttpsServer;
  /** Without a slash at the end. */
  readonly publicUrl: string;
}

const loopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

/** Whether only this machine reaches it. What a proxy publishes, strangers reach, also on loopback. */
export const isLocal = (listener: SocketListener | Pick<TcpListener, "host" | "publicUrl">): boolean =>
  !("host" in listener) || (loopback(listener.host) && listener.publicUrl === undefined);

/** Throws where the address is taken, a file cannot be read, or a bearer token would travel beyond this machine. */
export async function open(listener: Listener, limits: Limits, answer: RequestListener): Promise<Listening> {
  if (listener.kind === "tcp" && listener.dangerouslyAllowBearer && !loopback(listener.host)) {
    throw new Error(`dangerouslyAllowBearer needs a loopback address, and ${listener.host} is none`);
  }
  const server = serverOf(listener, limits, answer);
  server.maxConnections = limits.connections;
  await bind(server, listener);
  return { listener, server, publicUrl: listener.publicUrl ?? addressOf(listener, server) };
}

function serverOf(listener: Listener, limits: Limits, answer: RequestListener): HttpServer | HttpsServer {
  const options: ServerOptions = {
    headersTimeout: limits.headersTimeout,
    requestTimeout: limits.requestTimeout,
    connectionsCheckingInterval: 1000,
    keepAliveTimeout: 65_000, // longer than the 60 s after which common load balancers drop theirs
    keepAlive: true,
    noDelay: true,
  };
  if (listener.kind === "socket" || listener.tls === undefined) return createServer(options, answer);
  const { cert, key, clientCa } = listener.tls;
  return createTlsServer(
    {
      ...options,
      cert: readFileSync(cert),
      key: readFileSync(key),
      minVersion: "TLSv1.2",
      ...(clientCa === undefined ? {} : { ca: readFileSync(clientCa), requestCert: true, rejectUnauthorized: false }),
    },
    answer,
  );
}

async function bind(server: HttpServer, listener: Listener): Promise<void> {
  if (listener.kind === "socket") await removeStale(listener.path);
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once("error", reject).once("listening", () => {
    resolve(undefined);
  });
  if (listener.kind === "socket") {
    const before = process.umask(0o177); // closes the moment between bind and chmod
    try {
      server.listen(listener.path);
    } finally {
      process.umask(before);
    }
  } else {
    server.listen(listener.port, listener.host);
  }
  await promise;
  server.off("error", reject);
  if (listener.kind === "socket") chmodSync(listener.path, 0o600);
}

/** A socket that a killed daemon left behind. Throws where somebody still listens, or where it is another kind of file. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} is there already and is no socket`);
  if (await answers(path)) throw new Error(`another process listens on ${path}`);
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(path);
  probe.once("connect", () => {
    resolve(true);
  });
  probe.once("error", () => {
    resolve(false);
  });
  return promise.finally(() => probe.destroy());
}

function addressOf(listener: Listener, server: HttpServer): string {
  const address = server.address();
  if (listener.kind === "socket" || address === null || typeof address === "string") return "http://localhost";
  const host = isIP(listener.host) === 6 ? `[${listener.host}]` : listener.host;
  return `${listener.tls === undefined ? "http" : "https"}://${host}:${String(address.port)}`;
}

const thumbprints = new WeakMap<TLSSocket, string>();

/** RFC 8705 section 3.1: SHA-256 of the certificate's DER, in base64url. */
export const certificateThumbprint = (der: Uint8Array): string => base64url(sha256(der));

/** The thumbprint of a client certificate that our authority signed; undefined where there is none. */
export function certificateOf(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const known = thumbprints.get(socket);
  if (known !== undefined) return known;
  const raw = socket.getPeerX509Certificate()?.raw;
  if (raw === undefined) return undefined;
  const thumbprint = certificateThumbprint(raw);
  thumbprints.set(socket, thumbprint);
  return thumbprint;
}
