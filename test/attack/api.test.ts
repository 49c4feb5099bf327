// Attacks on the form of a request: GraphQL that asks for too much, HTTP that is no request of ours. Each is bounded,
// none reaches a use case, and the session that was in the attacker's hands has all its uses afterwards.

import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { documentOf } from "../../src/client/documents.ts";
import { makeProof } from "../support/dpop.ts";
import { expectDone, type Job, leafOf, statement } from "../support/house.ts";
import {
  askAs,
  codeOf,
  counted,
  expectAlive,
  expectUnspent,
  jobOf,
  json,
  keyOf,
  nonceOf,
  post,
  type Scene,
  scene,
  send,
  signBody,
} from "./scene.ts";

let home: Scene;
let job: Job & { readonly repository: string };
const slow: Socket[] = [];

beforeAll(async () => {
  home = await scene();
  job = await jobOf(home);
  for (let i = 0; i < 50; i += 1) slow.push(halfRequest(home.port)); // attack 9 looks at them after ten seconds
}, 90_000);
afterAll(async () => {
  for (const socket of slow) socket.destroy();
  await home[Symbol.asyncDispose]();
});

function halfRequest(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined).resume();
  socket.write("POST /graphql HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  return socket;
}

const signInput = () => ({ idempotencyKey: crypto.randomUUID(), key: "attest", items: [statement()] });
const digest = `sha256:${"5f".repeat(32)}`;

describe("attack 1", () => {
  const aliased = (n: number) =>
    `mutation ($i: SignInput!) { ${Array.from({ length: n }, (_, at) => `a${String(at)}: sign(input: $i) { __typename }`).join(" ")} }`;
  test.each([
    ["1,000 aliases", aliased(1000)],
    ["two aliases", aliased(2)],
    [
      "a second mutation in a fragment",
      "mutation ($i: SignInput!) { sign(input: $i) { __typename } ...M } fragment M on Mutation { b: sign(input: $i) { __typename } }",
    ],
    [
      "another mutation beside it",
      "mutation ($i: SignInput!) { sign(input: $i) { __typename } closeSigningSession(input: {}) { __typename } }",
    ],
  ])("%s of sign with a good session: nothing is signed", async (_, query) => {
    expect(codeOf(await askAs(home, job, query, { i: signInput() }))).toBe("TOO_LARGE");
    await expectUnspent(home, job);
    await expectAlive(home);
  });
});

test("attack 2: an array of fifty operations is 400", async () => {
  const one = { query: documentOf("Sign"), variables: { input: signInput() } };
  const body = JSON.stringify(Array.from({ length: 50 }, () => one));
  const proof = makeProof(keyOf(job), {
    url: `${home.url}/graphql`,
    body,
    nonce: await nonceOf(home),
    token: job.token,
  });
  const reply = await send(home, { headers: [...json, "Authorization", `DPoP ${job.token}`, "DPoP", proof], body });
  expect([reply.status, codeOf(reply)]).toEqual([400, "INPUT_INVALID"]);
  await expectUnspent(home, job);
  await expectAlive(home);
});

describe("attack 3", () => {
  test.each([
    ["20,000 levels of fields", `{ ${"keys { ".repeat(20_000)}`],
    ["20,000 levels of lists", `{ node(id: ${"[".repeat(20_000)}) { id } }`],
    ["two megabytes", `{ ${"vkey ".repeat(400_000)} }`],
  ])("%s, from a stranger and from a job", async (_, query) => {
    for (const reply of [await post(home, query), await askAs(home, job, query)]) {
      expect([200, 400, 413]).toContain(reply.status);
      expect(codeOf(reply)).toBe("TOO_LARGE");
    }
    await expectAlive(home);
  });
});

describe("attack 4", () => {
  const doubling = (n: number) =>
    Array.from(
      { length: n },
      (_, at) => `fragment F${String(at)} on Key { ...F${String(at + 1)} ...F${String(at + 1)} }`,
    ).join(" ");
  test.each([
    ["a fragment that spreads itself", "{ keys { ...A } } fragment A on Key { name ...A }", "INPUT_INVALID"],
    [
      "two that spread each other",
      "{ keys { ...A } } fragment A on Key { ...B } fragment B on Key { ...A }",
      "INPUT_INVALID",
    ],
    ["forty that double", `{ keys { ...F0 } } ${doubling(40)} fragment F40 on Key { name }`, "UNAUTHENTICATED"],
    [
      "overlapping fields in overlapping fields",
      `{ ${Array.from({ length: 130 }, () => "keys { versions { number } }").join(" ")} }`,
      "UNAUTHENTICATED",
    ],
  ])("%s", async (_, query, code) => {
    const began = performance.now();
    expect(codeOf(await post(home, query))).toBe(code);
    expect(performance.now() - began).toBeLessThan(5000);
    await expectAlive(home);
  });
});

test("attack 5: introspection is refused, and the schema file holds no secrets to begin with", async () => {
  for (const query of [
    "{ __schema { types { name } } }",
    '{ __type(name: "Key") { fields { name } } }',
    "{ ...S } fragment S on Query { __schema { queryType { name } } }",
  ]) {
    for (const reply of [await post(home, query), await askAs(home, job, query)]) {
      expect(codeOf(reply)).toBe("INPUT_INVALID");
      expect(reply.body).not.toContain('"types"');
    }
  }
  await expectAlive(home);
});

test("attack 6: a misspelt name gets no suggestion", async () => {
  for (const query of [
    "{ vkeyy }",
    '{ key(nam: "release") { name } }',
    "query ($f: SessionFilte) { sessions(filter: $f) { nodes { id } } }",
    "{ pendingActions(state: PENDIN) { id } }",
    "mutation { sig { id } }",
  ]) {
    const reply = await post(home, query);
    expect(codeOf(reply)).toBe("INPUT_INVALID");
    expect(reply.body).not.toMatch(/did you mean|"vkey"|signatures/i);
  }
});

describe("attack 7", () => {
  const body = () => JSON.stringify({ query: documentOf("Sign"), variables: { input: signInput() } });
  const foreign = ["Origin", "https://evil.example"] as const;
  test.each([
    ["GET", { method: "GET", path: "/graphql?query=%7Bvkey%7D" }, 405],
    ["text/plain", { headers: ["Content-Type", "text/plain", ...foreign] }, 415],
    ["a form", { headers: ["Content-Type", "application/x-www-form-urlencoded", ...foreign] }, 415],
    ["multipart", { headers: ["Content-Type", "multipart/form-data; boundary=x", ...foreign] }, 415],
    ["no content type", { headers: foreign }, 415],
    ["a preflight", { method: "OPTIONS", headers: [...foreign, "Access-Control-Request-Method", "POST"] }, 405],
  ])("%s", async (_, sent, status) => {
    const reply = await send(home, { ...sent, body: body() });
    expect(reply.status).toBe(status);
    expect(Object.keys(reply.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    await expectUnspent(home, job);
  });

  test("a cookie or a query parameter with the session's token is no credential", async () => {
    const headers = [...json, ...foreign, "Cookie", `authorization=DPoP ${job.token}; token=${job.token}`];
    expect(codeOf(await send(home, { path: `/graphql?access_token=${job.token}`, headers, body: body() }))).toBe(
      "UNAUTHENTICATED",
    );
    await expectUnspent(home, job);
  });
});

describe("attack 8", () => {
  const sign = "mutation ($input: SignInput!) { sign(input: $input) { ... on Refusal { code } } }";
  const raw = (items: string, key = '"attest"') => `{"input":{"idempotencyKey":"1","key":${key},"items":${items}}}`;
  const statementOf = (predicate: string) =>
    `[{"statement":{"subject":[{"name":"a","digest":"${digest}"}],"predicateType":"https://example.com/test/v1","predicate":${predicate}}}]`;
  test.each([
    ["a list for a name", raw(statementOf("{}"), '["attest"]')],
    ["a number for a name", raw(statementOf("{}"), "1")],
    ["null for what must be", '{"input":null}'],
    ["one item for a list, of the wrong kind", raw('"x"')],
    ["an item with two members", raw(`[{"blob":{"name":"a","digest":"${digest}"},"digest":{"digest":"${digest}"}}]`)],
    ["1e309 in a predicate", raw(statementOf('{"a":1e309}'))],
    ["a predicate that is a number", raw(statementOf("7"))],
    ["a predicate 5,000 deep", raw(statementOf(`${"[".repeat(5000)}${"]".repeat(5000)}`))],
    ["half a character", raw(statementOf('{"a":"\\ud800"}'))],
    ["2,000 items", raw(`[${Array.from({ length: 2000 }, () => `{"digest":{"digest":"${digest}"}}`).join(",")}]`)],
    ["__proto__ among the members", raw(`[{"__proto__":{"digest":"x"}}]`)],
  ])("%s", async (_, variables) => {
    const body = `{"query":${JSON.stringify(sign)},"variables":${variables}}`;
    const proof = makeProof(keyOf(job), {
      url: `${home.url}/graphql`,
      body,
      nonce: await nonceOf(home),
      token: job.token,
    });
    const reply = await send(home, { headers: [...json, "Authorization", `DPoP ${job.token}`, "DPoP", proof], body });
    expect(["INPUT_INVALID", "ITEM_INVALID", "TOO_LARGE"]).toContain(codeOf(reply));
    await expectUnspent(home, job);
  });
  test('"20" for Int, 1.5 for Int, a list for a duration', async () => {
    const open = "mutation ($i: OpenSigningSessionInput!) { openSigningSession(input: $i) { __typename } }";
    for (const wrong of [{ uses: "20" }, { uses: 1.5 }, { uses: 2 ** 40 }, { ttl: ["PT1M"] }, { ttl: "P1M" }]) {
      expect(codeOf(await post(home, open, { i: { identityToken: "x", keys: ["attest"], ...wrong } }))).toBe(
        "INPUT_INVALID",
      );
    }
  });
});

describe("attack 9", () => {
  test("there is nothing to subscribe to, and no upgrade", async () => {
    expect(codeOf(await post(home, "subscription { entries { index } }"))).toBe("INPUT_INVALID");
    const upgrade = [
      "Connection",
      "Upgrade",
      "Upgrade",
      "websocket",
      "Sec-WebSocket-Version",
      "13",
      "Sec-WebSocket-Key",
      "AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    expect((await send(home, { method: "GET", headers: upgrade })).status).toBe(405);
  });
});

describe("attack 39", () => {
  test.each([
    ["line breaks in a branch's name", { ref: 'refs/tags/v1\r\n{"type":"sign.outcome"}' }],
    ["terminal escapes in an environment's name", { environment: "\u001b[2J\u001b[31mall is well" }],
    ["text that turns around", { actor: "alex\u202eneked" }],
  ])("%s: the token is refused whole", async (_, claims) => {
    expect(await home.openJob({ claims: { repository_id: "499999", ...claims }, keys: ["attest"] })).toMatchObject({
      refusal: "TOKEN_INVALID",
    });
  });

  test("markup and formulas in names stay text inside one JSON string of the leaf", async () => {
    const names = [
      "</script><script>alert(1)</script>",
      "=cmd|' /C calc'!A0",
      '","type":"sign.outcome","x":"',
      "%0d%0aforged",
    ];
    const one = await jobOf(home, { keys: ["release"], uses: 10 });
    const answer = expectDone(
      await one.sign(
        names.map((name) => ({ blob: { name, digest } })),
        { key: "release" },
      ),
    );
    const leaf = leafOf(answer.receipt);
    expect(leaf).not.toMatch(/\p{Cc}/u);
    const entry = JSON.parse(leaf) as { type: string; items: { artifacts: { name: string }[] }[] };
    expect(entry.type).toBe("sign.outcome");
    expect(entry.items.map(({ artifacts }) => artifacts[0]?.name)).toEqual(names);
  });

  test.each([
    ["a line break", "a\r\nb"],
    ["an escape sequence", "\u001b]0;owned\u0007"],
    ["a zero byte", "a\0b"],
    ["text that turns around", "a\u202etxt.exe"],
  ])("%s in a file's name is refused, and the refusal holds it escaped", async (_, name) => {
    const one = await jobOf(home, { keys: ["release"] });
    expect(await one.sign([{ blob: { name, digest } }], { key: "release" })).toMatchObject({ refusal: "ITEM_INVALID" });
    const refusal = (await expectUnspent(home, one)).find(({ type }) => type === "refusal");
    expect(refusal).toMatchObject({ code: "ITEM_INVALID" });
    expect(String(refusal?.["message"])).not.toMatch(/[\p{Cc}\u202e]/u);
  });

  test("70 kB of user agent, of a header, of a path: refused before anything is written", async () => {
    expect((await send(home, { headers: [...json, "User-Agent", "A".repeat(70_000)], body: "{}" })).status).toBe(431);
    expect((await send(home, { headers: [...json, "DPoP", "A".repeat(70_000)], body: "{}" })).status).toBe(431);
    expect((await send(home, { method: "GET", path: `/${"A".repeat(70_000)}` })).status).toBe(431);
    await expectAlive(home);
  });

  test("no entry is longer than a bundle can hold, whatever a request brings", async () => {
    const one = await jobOf(home, { keys: ["attest", "release"], uses: 100 });
    const long = (at: number) => `${String(at).padStart(4, "0")}${"n".repeat(1020)}`;
    const items = Array.from({ length: 60 }, (_, at) => ({ blob: { name: long(at), digest } }));
    expectDone(await one.sign(items, { key: "release" }));
    const subject = Array.from({ length: 400 }, (_, at) => ({ name: long(at), digest }));
    expectDone(
      await one.sign([{ statement: { subject, predicateType: "https://example.com/test/v1", predicate: {} } }]),
    );
    const keys = Array.from({ length: 16 }, (_, at) => `k${String(at)}${"x".repeat(60_000)}`);
    expect(await home.openJob({ claims: { repository_id: one.repository, run_id: "1" }, keys })).toMatchObject({
      refusal: "POLICY_DENIED",
    });
    const index = expectDone(await home.auditor.ask("AuditList", { filter: { principal: one.repository }, last: 50 }));
    const lengths = index.nodes.map(({ receipt }) => Buffer.byteLength(leafOf({ tlogProof: receipt })));
    expect(lengths.length).toBeGreaterThan(5);
    expect(Math.max(...lengths)).toBeLessThan(65_536);
    await expectAlive(home);
  });
});

describe("attack 40", () => {
  test("prototypes in inputs change nothing and reach nobody", async () => {
    for (const hostile of [
      '{"constructor":{"prototype":{"polluted":"CANARY-1"}}}',
      '{"__proto__":{"polluted":"CANARY-1"}}',
      '{"toString":"CANARY-1"}',
    ]) {
      const variables = `{"input":{"identityToken":"x","keys":["attest"],"reason":"r","extra":${hostile}}}`;
      const open = JSON.stringify(
        "mutation ($input: OpenSigningSessionInput!) { openSigningSession(input: $input) { __typename } }",
      );
      const reply = await send(home, { headers: json, body: `{"query":${open},"variables":${variables}}` });
      expect(codeOf(reply)).toBe("INPUT_INVALID");
      expect(await send(home, { headers: json, body: hostile })).toMatchObject({ status: 400 });
    }
    const one = await jobOf(home);
    expectDone(await one.sign([statement()]));
    await expectAlive(home);
  });

  test("credentials in the wrong places come back in no answer", async () => {
    const canary = "CANARY-40-secret";
    const tries = [
      await post(home, "{ viewer { label } }", {}, ["Authorization", `Basic ${canary}`]),
      await post(home, "{ viewer { label } }", {}, ["Authorization", `DPoP sgs_${canary}`]),
      await post(home, "{ viewer { label } }", {}, ["DPoP", canary]),
      await send(home, { method: "GET", path: `/${canary}` }),
      await send(home, { method: "GET", path: `/log/${canary}` }),
    ];
    for (const { status, body } of tries) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(body).not.toContain(canary);
      expect(body).toMatch(/"requestId":"rq_/);
    }
    expect(await counted(home, "signet_faults_total", "INTERNAL")).toBe(0);
    expect(home.said()).not.toContain(canary);
  });
});

test("attack 9: fifty connections that never finish a request are cut, and nobody waits for them", async () => {
  const deadline = Date.now() + 15_000;
  while (slow.some((socket) => !socket.closed) && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(slow.filter((socket) => !socket.closed)).toHaveLength(0);
  expectDone(await (await jobOf(home)).sign([statement()]));
  expect(signBody([statement()])).toContain("mutation Sign");
  await expectAlive(home);
}, 30_000);
