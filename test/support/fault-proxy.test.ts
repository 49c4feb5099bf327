// Does the fault proxy do what its rules say? Other suites believe it.

import { createServer } from "node:http";
import { createServer as createTlsServer, get } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { selfSigned } from "./certificate.ts";
import { type FaultProxy, faultProxy } from "./fault-proxy.ts";

let done: string[] = [];
const server = createServer((request, answer) => {
  let body = "";
  request.on("data", (part: Buffer) => {
    body += part.toString();
  });
  request.on("end", () => {
    done.push(`${request.method ?? ""} ${request.url ?? ""}`);
    answer.writeHead(200, { "content-type": "application/json", "x-host": request.headers.host });
    answer.end(JSON.stringify({ body }));
  });
});
let proxy: FaultProxy;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy = await faultProxy(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  proxy.forget();
  done = [];
});

const post = (path: string, limit = 2_000): Promise<Response> =>
  fetch(`${proxy.url}${path}`, {
    method: "POST",
    body: "hello",
    headers: { "x-target": "Kms.Sign" },
    signal: AbortSignal.timeout(limit),
  });

test("without a rule a request and its answer pass unchanged", async () => {
  const answer = await post("/v1/sign?a=b");
  expect([answer.status, await answer.json()]).toEqual([200, { body: "hello" }]);
  expect(answer.headers.get("x-host")).toBe(new URL(proxy.url).host);
  expect(done).toEqual(["POST /v1/sign?a=b"]);
  expect(proxy.asked.map(({ path, body }) => [path, body.toString()])).toEqual([["/v1/sign?a=b", "hello"]]);
});

test("a rule spoils what it names, as often as it says, and the newest wins", async () => {
  const busy = proxy.spoil({ path: "/sign" }, { trouble: "answer", done: false, status: 503, body: "busy" }, 1);
  proxy.spoil({ header: "x-target: Sign", path: /only/ }, { trouble: "answer", done: false, status: 418 });
  proxy.spoil(({ body }) => body.includes("nobody"), { trouble: "cut", done: false });
  expect((await post("/list")).status).toBe(200);
  expect([(await post("/sign")).status, (await post("/sign")).status]).toEqual([503, 200]);
  expect((await post("/sign/only")).status).toBe(418);
  expect([busy.met, proxy.count({ path: "/sign" }), proxy.count(), done.length]).toEqual([1, 3, 4, 2]);
});

test.each([
  [true, 1],
  [false, 0],
])("an answer in the server's place, a cut, a silence: with the work done (%s) or not", async (work, calls) => {
  const throttled = { trouble: "answer", done: work, status: 429, headers: { "retry-after": "7" }, body: { no: 1 } };
  const rule = proxy.spoil({}, throttled as Extract<Parameters<FaultProxy["spoil"]>[1], { trouble: "answer" }>);
  const answer = await post("/sign");
  expect([answer.status, answer.headers.get("retry-after"), await answer.json()]).toEqual([429, "7", { no: 1 }]);
  rule.lift();
  proxy.spoil({}, { trouble: "cut", done: work }, 1);
  await expect(post("/sign")).rejects.toThrow("fetch failed");
  proxy.spoil({}, { trouble: "swallow", done: work }, 1);
  await expect(post("/sign", 150)).rejects.toThrow("timeout");
  expect(done).toHaveLength(3 * calls);
});

test("an answer late, in drops, cut in the middle, or with other words", async () => {
  proxy.spoil({}, { trouble: "delay", by: 100 }, 1);
  let begun = performance.now();
  await (await post("/sign")).text();
  expect(performance.now() - begun).toBeGreaterThan(95);

  proxy.spoil({}, { trouble: "drip", every: 10 }, 1);
  begun = performance.now();
  const slow = await post("/sign");
  const headersAfter = performance.now() - begun;
  expect(await slow.json()).toEqual({ body: "hello" });
  expect(performance.now() - begun - headersAfter).toBeGreaterThan(100);

  proxy.spoil({}, { trouble: "cut-mid-answer" }, 1);
  const cut = await post("/sign");
  expect(cut.status).toBe(200);
  await expect(cut.text()).rejects.toThrow("terminated");

  proxy.spoil({}, { trouble: "rewrite", body: ({ body }, { path }) => ({ was: body.toString(), path }) }, 1);
  expect(await (await post("/sign")).json()).toEqual({ was: '{"body":"hello"}', path: "/sign" });
});

test("the whole server goes away and comes back at the same address", async () => {
  await proxy.down();
  await expect(post("/sign")).rejects.toThrow("fetch failed");
  await proxy.up();
  expect((await post("/sign")).status).toBe(200);
});

test("over TLS it presents the certificate it is given, the wrong one too", async () => {
  const [right, wrong] = [selfSigned(), selfSigned("DNS:other.example")];
  const upstream = createTlsServer(right, (_, answer) => answer.end("ok"));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  await using tls = await faultProxy(`https://127.0.0.1:${String(port)}`, { tls: right, upstreamCa: right.cert });
  const ask = (ca: string) =>
    new Promise((resolve, reject) => {
      get(tls.url, { ca, agent: false }, (answer) => {
        answer.resume().on("end", () => {
          resolve(answer.statusCode);
        });
      }).on("error", reject);
    });
  expect(await ask(right.cert)).toBe(200);
  tls.present(wrong);
  await expect(ask(right.cert)).rejects.toThrow("self-signed certificate");
  await expect(ask(wrong.cert)).rejects.toThrow("does not match certificate's altnames");
  tls.present(right);
  expect(await ask(right.cert)).toBe(200);
  upstream.close();
});
