// A broker that is a plain object, behind a server that really listens: what the tests of this folder talk to.

import { generateKeyPairSync } from "node:crypto";
import { request as httpRequest, type OutgoingHttpHeaders } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import pino from "pino";
import type { Caller } from "../../src/broker/call.ts";
import type { Broker } from "../../src/broker/index.ts";
import { Fault } from "../../src/model/errors.ts";
import type { Key, KeyVersion } from "../../src/model/key.ts";
import type { SigningSession } from "../../src/model/session.ts";
import { listen, type Server, type ServerParts } from "../../src/server/http.ts";
import type { TcpListener } from "../../src/server/listener.ts";
import { prometheus } from "../../src/server/metrics.ts";
import { systemRandom } from "../../src/std/clock.ts";
import type { JsonObject } from "../../src/std/json.ts";

export const at = Date.UTC(2026, 0, 31, 12);

export const version: KeyVersion = {
  key: "release",
  number: 3,
  purpose: "ATTESTATION",
  algorithm: "EC_P256",
  state: "ACTIVE",
  custody: "software",
  uri: "software:release/3",
  publicKey: generateKeyPairSync("ec", { namedCurve: "P-256" })
    .publicKey.export({ type: "spki", format: "pem" })
    .toString(),
  fingerprint: "5f".repeat(32),
  createdAt: "2026-01-01T00:00:00.000Z",
};
export const release: Key = { name: "release", purpose: "ATTESTATION", versions: [version] };

export const session: SigningSession = {
  id: "ss_01KABCDEFGHJKMNPQRSTVWXYZ0",
  principal: {
    kind: "workload",
    provider: "github",
    issuer: "https://token.actions.example",
    subject: "repo:acme/app:ref:refs/tags/v1",
    tenantId: "77",
    tenant: "acme",
    projectId: "123456",
    project: "acme/app",
    ref: "refs/tags/v1",
    run: "987",
  },
  cnf: { jkt: "thumb" },
  keys: ["release"],
  limits: { uses: 5, ttl: 600_000, windows: [], items: { digest: {} } },
  grant: "release-tags",
  policy: `sha256:${"0".repeat(64)}`,
  openedAt: at,
  expiresAt: at + 600_000,
  usesGranted: 5,
  usesLeft: 5,
  state: "OPEN",
  identityToken: "ab".repeat(32),
};

export const receipt = { entry: 7, leaf: Buffer.from("leaf"), tlogProof: () => "c2sp.org/tlog-proof@v1\n" };

const holder: Caller = { kind: "session", session, presented: { cnf: session.cnf } };
const unexpected = (name: string) => () => Promise.reject(new Error(`the stub has no ${name}`));

/** Every use case that a test does not give fails loudly. */
export function stubBroker(over: Partial<Broker> = {}): Broker {
  const base: Partial<Broker> = {
    authenticate: () => Promise.resolve(holder),
    nonce: () => "nonce-1",
    key: () => Promise.resolve(release),
    turnedAway: (_call, _action, refusal) => Promise.resolve(refusal),
    vkey: () => "signet.example+00000000+key",
    viewer: () => Promise.resolve(session.principal),
    ready: () => ({ ready: true, reason: "" }),
    ...over,
  };
  return new Proxy(base, {
    get: (target, name): unknown => Reflect.get(target, name) ?? unexpected(String(name)),
  }) as Broker;
}

export interface Serving extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
  /** What our own log was told, line by line. */
  readonly lines: readonly string[];
}

export const tcp: TcpListener = {
  kind: "tcp",
  host: "127.0.0.1",
  port: 0,
  openLog: true,
  openTrust: true,
  metrics: true,
  dangerouslyAllowBearer: false,
};

export async function serving(over: Partial<Broker> = {}, parts: Partial<ServerParts> = {}): Promise<Serving> {
  const lines: string[] = [];
  const server = await listen({
    broker: stubBroker(over),
    listeners: [tcp],
    metrics: prometheus({ logSize: () => 42, openSessions: () => 1 }),
    log: pino({ level: "debug" }, { write: (line: string) => lines.push(line) }),
    clock: () => at,
    random: systemRandom,
    ...parts,
  });
  return { url: server.urls[0] ?? "", server, lines, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One request over node's own client, which sends exactly what it is told. */
export function ask(
  url: string,
  options: RequestOptions & { readonly headers?: OutgoingHttpHeaders } = {},
  body?: string | Uint8Array,
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const send = url.startsWith("https:") ? httpsRequest : httpRequest;
  const request = send(url, { agent: false, ...options }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("end", () => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() });
    });
    response.on("error", reject);
  });
  request.on("error", reject);
  request.end(body);
  return promise;
}

export const post = (
  url: string,
  body: string | Uint8Array,
  headers: OutgoingHttpHeaders = {},
  options: RequestOptions = {},
): Promise<Reply> =>
  ask(
    `${url}/graphql`,
    { method: "POST", ...options, headers: { "content-type": "application/json", ...headers } },
    body,
  );

export const graphql = async (
  url: string,
  query: string,
  variables?: unknown,
  headers: OutgoingHttpHeaders = {},
): Promise<{
  data?: JsonObject | null;
  errors?: readonly { message: string; extensions: JsonObject; path?: unknown }[];
}> => JSON.parse((await post(url, JSON.stringify({ query, variables }), headers)).body) as never; // our own server's answer

/** Keeps what a use case was called with. */
export function recorder<T>(answer: T) {
  const calls: unknown[][] = [];
  const fn = (...args: unknown[]): Promise<T> => {
    calls.push(args);
    return Promise.resolve(answer);
  };
  return { calls, fn };
}

export const canaryFault = (): Fault =>
  new Fault("CUSTODY_DOWN", "connect to vault with token hvs.CANARY failed", { cause: new Error("CANARY in a path") });
