// The front itself: limits in bytes and time, sockets, certificates, stopping, the log's files and the metrics.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Credentials } from "../../src/broker/index.ts";
import { refuse } from "../../src/model/errors.ts";
import { sha256 } from "../../src/std/digest.ts";
import { ask, post, type Serving, serving, tcp } from "./stub.ts";

const query = JSON.stringify({ query: "{ vkey }" });
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "signet-server-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Keeps what authenticate was given for each request. */
async function watching(
  parts: Parameters<typeof serving>[1] = {},
): Promise<Serving & { readonly tried: readonly Credentials[] }> {
  const tried: Credentials[] = [];
  const server = await serving(
    {
      authenticate(credentials) {
        tried.push(credentials);
        return Promise.resolve({ kind: "anonymous", presented: undefined });
      },
    },
    parts,
  );
  return Object.assign(server, { tried });
}

describe("a body", () => {
  const padded = (length: number) => query + " ".repeat(length - query.length);
  test("at the limit is read, one byte over it is not, counted or in chunks", async () => {
    await using server = await serving({}, { limits: { body: 100 } });
    expect((await post(server.url, padded(100))).status).toBe(200);
    const reply = await post(server.url, padded(101));
    expect([reply.status, reply.headers["connection"], reply.body]).toEqual([
      413,
      "close",
      expect.stringContaining("TOO_LARGE"),
    ]);
    expect((await post(server.url, padded(101), { "transfer-encoding": "chunked" })).status).toBe(413);
  });
  test("is hashed as it came, and the proof's URL is the published one, without the query", async () => {
    await using server = await watching();
    await ask(
      `${server.url}/graphql?x=1`,
      { method: "POST", headers: { "content-type": "application/json" } },
      ` ${query}`,
    );
    expect(server.tried).toMatchObject([
      { method: "POST", url: `${server.url}/graphql`, socket: false, bearer: false },
    ]);
    expect(server.tried[0]?.body()).toEqual(sha256(` ${query}`));
  });
});

test("a socket is for its owner alone, replaces a dead daemon's and never a living one's", async () => {
  const path = join(folder, "signet.sock");
  const socket = { kind: "socket", path, openLog: true, openTrust: true, metrics: true } as const;
  spawnSync(process.execPath, [
    "-e",
    `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
  ]);
  expect(statSync(path).isSocket()).toBe(true);

  await using server = await watching({ listeners: [socket] });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await post("http://localhost", query, {}, { socketPath: path });
  expect(server.tried).toMatchObject([
    { socket: true, bearer: false, url: "http://localhost/graphql", certificate: undefined },
  ]);
  await expect(serving({}, { listeners: [socket] })).rejects.toThrow(/another process listens/);
});

test("a file that is no socket is left alone", async () => {
  const path = join(folder, "precious");
  writeFileSync(path, "precious");
  await expect(
    serving({}, { listeners: [{ kind: "socket", path, openLog: false, openTrust: true, metrics: false }] }),
  ).rejects.toThrow(/is no socket/);
  expect(readFileSync(path, "utf8")).toBe("precious");
});

test("a bearer listener binds to loopback alone", async () => {
  await expect(serving({}, { listeners: [{ ...tcp, host: "0.0.0.0", dangerouslyAllowBearer: true }] })).rejects.toThrow(
    /loopback/,
  );
  await using server = await watching({ listeners: [{ ...tcp, dangerouslyAllowBearer: true }] });
  await post(server.url, query);
  expect(server.tried[0]?.bearer).toBe(true);
});

test("over TLS a certificate of the configured authority is passed on by its thumbprint, any other is not", async () => {
  const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const selfSigned = (name: string, ...more: readonly string[]) =>
    openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
      ...more,
    );
  selfSigned("server", "-addext", "subjectAltName=IP:127.0.0.1");
  selfSigned("authority");
  selfSigned("stranger");
  selfSigned("job", "-CA", "authority.pem", "-CAkey", "authority.key");
  const file = (name: string) => readFileSync(join(folder, name));
  await using server = await watching({
    listeners: [
      {
        ...tcp,
        tls: {
          cert: join(folder, "server.pem"),
          key: join(folder, "server.key"),
          clientCa: join(folder, "authority.pem"),
        },
      },
    ],
  });
  const as = (name?: string) =>
    post(
      server.url,
      query,
      {},
      {
        ca: file("server.pem"),
        ...(name === undefined ? {} : { cert: file(`${name}.pem`), key: file(`${name}.key`) }),
      },
    );
  for (const name of ["job", "stranger", undefined]) expect((await as(name)).status).toBe(200);
  const der = openssl("x509", "-in", "job.pem", "-outform", "DER");
  expect(server.tried.map(({ certificate }) => certificate)).toEqual([
    sha256(der).toString("base64url"),
    undefined,
    undefined,
  ]);
  expect(server.url).toMatch(/^https:/);
});

describe("stopping", () => {
  test("finishes what was accepted and takes nothing new", async () => {
    const started = Promise.withResolvers<undefined>();
    const release = Promise.withResolvers<undefined>();
    const server = await serving({
      viewer: async () => {
        started.resolve(undefined);
        await release.promise;
        return { kind: "socket" };
      },
    });
    const inFlight = post(server.url, JSON.stringify({ query: "{ viewer { label } }" }));
    await started.promise;
    const stopped = server[Symbol.asyncDispose]();
    await expect(post(server.url, query)).rejects.toThrow(/ECONNREFUSED/);
    release.resolve(undefined);
    const reply = await inFlight;
    expect([reply.status, reply.headers["connection"], JSON.parse(reply.body)]).toEqual([
      200,
      "close",
      { data: { viewer: { label: "local socket" } } },
    ]);
    await stopped;
  });
  test("cuts what is not done by the deadline, and tells the use case", async () => {
    const told = Promise.withResolvers<undefined>();
    const started = Promise.withResolvers<undefined>();
    const server = await serving(
      {
        viewer: (call) => {
          call.signal.addEventListener("abort", () => {
            told.resolve(undefined);
          });
          started.resolve(undefined);
          return new Promise(() => undefined);
        },
      },
      { limits: { drain: 50 } },
    );
    const cut = expect(post(server.url, JSON.stringify({ query: "{ viewer { label } }" }))).rejects.toThrow(
      /hang up|ECONNRESET/,
    );
    await started.promise;
    await server[Symbol.asyncDispose]();
    await cut;
    await told.promise;
  });
});

test("more requests at once than the limit are turned away and told when to come again", async () => {
  const release = Promise.withResolvers<undefined>();
  const started = Promise.withResolvers<undefined>();
  await using server = await serving(
    {
      viewer: async () => {
        started.resolve(undefined);
        await release.promise;
        return { kind: "socket" };
      },
    },
    { limits: { concurrent: 1 } },
  );
  const first = post(server.url, JSON.stringify({ query: "{ viewer { label } }" }));
  await started.promise;
  const second = await post(server.url, query);
  expect([second.status, second.headers["retry-after"], second.body]).toEqual([
    503,
    "1",
    expect.stringContaining("SGN-5004"),
  ]);
  release.resolve(undefined);
  expect((await first).status).toBe(200);
});

test("bodies share one room: who finds it full comes again later, small requests get through", async () => {
  await using server = await serving({}, { limits: { bodies: 10_000 } });
  const { port } = new URL(server.url);
  const large = query + " ".repeat(20_000 - query.length);
  const begin = (sent: number) => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => undefined);
    const head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 26384\r\n\r\n";
    socket.write(head + " ".repeat(sent));
    return socket;
  };
  const becomes = (status: number) =>
    expect.poll(async () => (await post(server.url, large)).status, { timeout: 5000 }).toBe(status);

  const announcing = Array.from({ length: 20 }, () => begin(0));
  for (let time = 0; time < 10; time++) expect((await post(server.url, large)).status).toBe(200);

  const stranger = begin(26_383);
  await becomes(503);
  const turned = await post(server.url, large, { "transfer-encoding": "chunked" });
  expect([turned.status, turned.headers["retry-after"], turned.headers["connection"], turned.body]).toEqual([
    503,
    "1",
    "close",
    expect.stringContaining("OVERLOADED"),
  ]);
  expect((await post(server.url, query)).status).toBe(200);

  stranger.destroy();
  await becomes(200);
  for (const socket of announcing) socket.destroy();
});

test("a request that never ends is cut", async () => {
  await using server = await serving({}, { limits: { headersTimeout: 300, requestTimeout: 500 } });
  const { port } = new URL(server.url);
  for (const begun of [
    "POST /graphql HTTP/1.1\r\nHost: x\r\n",
    "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
  ]) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(begun);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    socket
      .on("error", () => undefined)
      .on("close", () => {
        resolve(undefined);
      });
    socket.resume();
    await promise;
  }
  expect((await post(server.url, query)).status).toBe(200);
});

describe("the log's files", () => {
  const files: Record<string, string> = {
    checkpoint: "signed note",
    "tile/0/000": "hashes",
    "tile/entries/000.p/3": "leaves",
  };
  const read = async (openLog: boolean, path: string, may = true) => {
    const authenticated: string[] = [];
    await using server = await serving(
      {
        authenticate(credentials) {
          authenticated.push(credentials.url);
          return Promise.resolve({ kind: "anonymous", presented: undefined });
        },
        tile: (_, asked, open) =>
          Promise.resolve(
            open || may
              ? files[asked] === undefined
                ? undefined
                : Buffer.from(files[asked])
              : refuse("ROLE_MISSING", "for auditors"),
          ),
      },
      { listeners: [{ ...tcp, openLog }] },
    );
    const { status, body } = await ask(server.url, { path: `/log/${path}` });
    return { status, body, asked: authenticated.length };
  };
  test.each([
    ["checkpoint", true, { status: 200, body: "signed note", asked: 0 }],
    ["tile/0/000", true, { status: 200, body: "hashes", asked: 0 }],
    ["tile/0/000", false, { status: 200, body: "hashes", asked: 1 }],
    ["tile/entries/000.p/3", true, { status: 200, body: "leaves", asked: 1 }],
  ])("%s, open: %s", async (path, open, expected) => {
    expect(await read(open, path)).toEqual(expected);
  });
  test.each([
    "tile/0/001",
    "tile/0/00",
    "tile/0/../entries/000",
    "tile/%65ntries/000",
    "../graphql",
    "tile/00/000",
    "checkpoint/",
    "tile//000",
  ])("%s is not there", async (path) => {
    expect(await read(true, path)).toMatchObject({ status: 404 });
  });
  test("entries are refused to whoever is no auditor", async () => {
    expect(await read(true, "tile/entries/000.p/3", false)).toMatchObject({ status: 403, asked: 1 });
  });
});

test("metrics are in Prometheus's format, and no request can name a label", async () => {
  await using server = await serving();
  for (let at = 0; at < 20; at++)
    await post(server.url, JSON.stringify({ query: `query Q${String(at)} { vkey }`, operationName: `Q${String(at)}` }));
  await post(
    server.url,
    JSON.stringify({ query: readFileSync(new URL("../../schema/operations/Vkey.graphql", import.meta.url), "utf8") }),
  );
  await post(server.url, JSON.stringify({ query: "{ nothing }" }));
  const { body, headers } = await ask(`${server.url}/metrics`);
  expect(headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
  const lines = body.split("\n");
  expect(lines.filter((line) => line.startsWith("signet_requests_total"))).toEqual([
    'signet_requests_total{operation="other",outcome="ok"} 20',
    'signet_requests_total{operation="Vkey",outcome="ok"} 1',
    'signet_requests_total{operation="other",outcome="invalid"} 1',
  ]);
  expect(lines).toEqual(
    expect.arrayContaining([
      "signet_log_size 42",
      "signet_sessions_open 1",
      'signet_refusals_total{code="INPUT_INVALID"} 1',
    ]),
  );
  for (const line of lines.filter((one) => one !== "" && !one.startsWith("#")))
    expect(line).toMatch(/^[a-z0-9_]+(\{[^}]*\})? (?:[-+0-9.eE]+|NaN)$/);
  expect(body).not.toMatch(/Q1\b|nothing/);
});

test("metrics stay inside where the listener says so", async () => {
  await using server = await serving({}, { listeners: [{ ...tcp, metrics: false }] });
  expect((await ask(`${server.url}/metrics`)).status).toBe(404);
});
