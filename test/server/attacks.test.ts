// The attacks on the API's form (1 to 9), on what is recorded of a request (39) and on what errors say (40): each bounded,
// each with a clear answer, none of them reaches a use case, and the daemon answers the next caller.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Fault, refuse } from "../../src/model/errors.ts";
import { ask, graphql, post, release, type Serving, serving, session } from "./stub.ts";

const reached: string[] = [];
const note = (name: string) => () => {
  reached.push(name);
  return Promise.resolve(refuse("POLICY_DENIED", "the stub says no"));
};
let server: Serving;

beforeAll(async () => {
  server = await serving({
    sign: note("sign"),
    closeSession: note("closeSession"),
    explain: note("explain"),
    entries: () =>
      Promise.resolve({
        entries: Array.from({ length: 1000 }, (_, index) => ({
          index,
          leaf: Buffer.from("{}"),
          entry: { v: 1 as const, at: "2026-01-31T12:00:00.000Z", node: "n", epoch: 1, type: "daemon.stop" as const },
        })),
        more: true,
        checkpoint: { origin: "o", size: 1000, root: Buffer.alloc(32), note: "", witnesses: [] },
      }),
    receipt: () => Promise.resolve("proof"),
    keys: () => Promise.resolve([release]),
    session: () => Promise.resolve(session),
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const digest = `sha256:${"5f".repeat(32)}`;
const signInput = { idempotencyKey: "1", key: "release", items: [{ digest: { digest } }] };
const codes = async (query: string, variables?: unknown): Promise<readonly unknown[]> =>
  ((await graphql(server.url, query, variables)).errors ?? []).map(({ extensions }) => extensions["code"]);
const alive = async (): Promise<void> => {
  expect(await graphql(server.url, "{ vkey }")).toEqual({ data: { vkey: expect.any(String) as unknown } });
};

describe("1: one operation, one mutation", () => {
  const aliased = (n: number) =>
    `mutation ($i: SignInput!) { ${Array.from({ length: n }, (_, at) => `a${String(at)}: sign(input: $i) { __typename }`).join(" ")} }`;
  test.each([
    ["1,000 aliases", aliased(1000)],
    ["16 aliases", aliased(16)],
    ["two aliases", aliased(2)],
    [
      "two different mutations",
      "mutation ($i: SignInput!) { sign(input: $i) { __typename } closeSigningSession(input: {}) { __typename } }",
    ],
    [
      "a second one in a fragment",
      "mutation ($i: SignInput!) { sign(input: $i) { __typename } ...More } fragment More on Mutation { b: sign(input: $i) { __typename } }",
    ],
    [
      "a second one in an inline fragment",
      "mutation ($i: SignInput!) { sign(input: $i) { __typename } ... { b: sign(input: $i) { __typename } } }",
    ],
  ])("%s", async (_, query) => {
    reached.length = 0;
    expect(await codes(query, { i: signInput })).toEqual(["TOO_LARGE"]);
    expect(reached).toEqual([]);
  });
});

test("2: an array of fifty operations is refused", async () => {
  const reply = await post(server.url, JSON.stringify(Array.from({ length: 50 }, () => ({ query: "{ vkey }" }))));
  expect(reply.status).toBe(400);
  expect(reply.body).toContain("one operation");
});

describe("3 and 4: documents of any shape are answered soon", () => {
  const fragments = (n: number) =>
    Array.from(
      { length: n },
      (_, at) => `fragment F${String(at)} on Key { ...F${String(at + 1)} ...F${String(at + 1)} }`,
    ).join(" ");
  test.each([
    ["20,000 levels", `{ ${"keys { ".repeat(20_000)}`, "TOO_LARGE"],
    ["900 levels", `{ ${"a { ".repeat(900)} b ${"}".repeat(900)} }`, "TOO_LARGE"],
    ["20,000 nested lists", `{ node(id: ${"[".repeat(20_000)}) { id } }`, "TOO_LARGE"],
    ["450 nested lists", `{ node(id: ${"[".repeat(450)}${"]".repeat(450)}) { id } }`, "INPUT_INVALID"],
    ["5,000 tokens", `{ ${"vkey ".repeat(5000)} }`, "TOO_LARGE"],
    ["a fragment that spreads itself", "{ keys { ...A } } fragment A on Key { name ...A }", "INPUT_INVALID"],
    [
      "two fragments that spread each other",
      "{ keys { ...A } } fragment A on Key { ...B } fragment B on Key { ...A }",
      "INPUT_INVALID",
    ],
    [
      "fragments that double forty times",
      `{ keys { ...F0 } } ${fragments(40)} fragment F40 on Key { name }`,
      undefined,
    ],
    ["fields that overlap a thousand times", `{ keys { ${"name ".repeat(950)} } }`, "INPUT_INVALID"],
    [
      "overlapping fields in overlapping fields",
      `{ ${Array.from({ length: 130 }, () => "keys { versions { number } }").join(" ")} }`,
      undefined,
    ],
    ["200 directives", `{ ${"vkey @include(if: true) ".repeat(200)} }`, "TOO_LARGE"],
    ["one megabyte of comment", `#${"x".repeat(1_000_000)}\n{ vkey }`, "TOO_LARGE"],
  ])("%s", async (_, query, code) => {
    const began = performance.now();
    expect(new Set(await codes(query))).toEqual(new Set(code === undefined ? [] : [code]));
    expect(performance.now() - began).toBeLessThan(5000);
    await alive();
  });
});

describe("5 and 6: the schema is not told to strangers", () => {
  test.each([
    ["introspection", "{ __schema { types { name } } }"],
    ["a type", '{ __type(name: "Key") { fields { name } } }'],
    ["introspection in a fragment", "{ ...S } fragment S on Query { __schema { queryType { name } } }"],
    ["a misspelt field", "{ vkeyy }"],
    ["a misspelt argument", '{ key(nam: "release") { name } }'],
    ["a misspelt type", "query ($f: SessionFilte) { sessions(filter: $f) { nodes { id } } }"],
    ["a misspelt value", "{ pendingActions(state: PENDIN) { id } }"],
  ])("%s", async (_, query) => {
    const { errors, data } = await graphql(server.url, query);
    expect(data).toBeUndefined();
    expect(errors?.[0]?.extensions).toMatchObject({ code: "INPUT_INVALID" });
    expect(JSON.stringify(errors)).not.toMatch(/did you mean/i);
  });
  test("a misspelt member and value of a variable", async () => {
    const { errors } = await graphql(
      server.url,
      "query ($f: SessionFilter, $s: PendingState) { sessions(filter: $f) { nodes { id } } pendingActions(state: $s) { id } }",
      { f: { ope: true }, s: "PENDIN" },
    );
    expect(errors).toHaveLength(2);
    expect(JSON.stringify(errors)).not.toMatch(/did you mean/i);
  });
});

describe("7: only POST of application/json, and no origin is welcome", () => {
  const body = JSON.stringify({
    query: "mutation ($i: SignInput!) { sign(input: $i) { __typename } }",
    variables: { i: signInput },
  });
  test.each([
    ["GET", { method: "GET" }, 405],
    ["GET with a query", { method: "GET", path: "/graphql?query={vkey}" }, 405],
    ["PUT", { method: "PUT" }, 405],
    [
      "OPTIONS, a preflight",
      { method: "OPTIONS", headers: { origin: "https://evil.example", "access-control-request-method": "POST" } },
      405,
    ],
    ["text/plain", { method: "POST", headers: { "content-type": "text/plain" } }, 415],
    ["a form", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" } }, 415],
    ["multipart", { method: "POST", headers: { "content-type": "multipart/form-data; boundary=x" } }, 415],
    ["application/graphql", { method: "POST", headers: { "content-type": "application/graphql" } }, 415],
    ["no content type", { method: "POST" }, 415],
    [
      "compressed",
      { method: "POST", headers: { "content-type": "application/json", "content-encoding": "gzip" } },
      415,
    ],
    ["another charset", { method: "POST", headers: { "content-type": "application/json; charset=utf-16" } }, 415],
    [
      "an answer in HTML",
      { method: "POST", headers: { "content-type": "application/json", accept: "text/html" } },
      406,
    ],
    ["another path", { method: "POST", path: "/graphql/", headers: { "content-type": "application/json" } }, 404],
    ["yoga's health check", { method: "GET", path: "/health" }, 404],
    ["a prototype's name", { method: "GET", path: "/constructor" }, 404],
  ])("%s", async (_, options, status) => {
    reached.length = 0;
    const reply = await ask(`${server.url}/graphql`, options, options.method === "POST" ? body : undefined);
    expect(reply.status).toBe(status);
    expect(JSON.parse(reply.body)).toMatchObject({ errors: [{ extensions: { code: expect.any(String) as unknown } }] });
    expect(reached).toEqual([]);
  });
  test("no answer speaks of origins, and none may be stored", async () => {
    const reply = await post(server.url, JSON.stringify({ query: "{ vkey }" }), { origin: "https://evil.example" });
    expect(Object.keys(reply.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(reply.headers).toMatchObject({
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "dpop-nonce": "nonce-1",
    });
  });
});

describe("8: variables of another type never reach a use case", () => {
  const sign = "mutation ($i: SignInput!) { sign(input: $i) { ... on Refusal { code message } } }";
  const explain = "query ($h: HypotheticalInput!) { explain(input: { hypothetical: $h }) { effect } }";
  const item = (one: unknown) => ({ i: { ...signInput, items: [one] } });
  const predicate = (text: string) =>
    `{"i":{"idempotencyKey":"1","key":"release","items":[{"statement":{"subject":[{"name":"a","digest":"${digest}"}],"predicateType":"https://x.example","predicate":${text}}}]}}`;
  test.each([
    ["a list for a string", sign, { i: { ...signInput, key: ["release"] } }],
    ["a number for a string", sign, { i: { ...signInput, key: 7 } }],
    ["null for non-null", sign, { i: null }],
    ["nothing for non-null", sign, {}],
    ["two members of a oneOf", sign, item({ digest: { digest }, blob: { name: "a", digest } })],
    ["no member of a oneOf", sign, item({})],
    ["null in a oneOf", sign, item({ digest: null })],
    ["an unknown member", sign, { i: { ...signInput, constructor: { prototype: {} } } }],
    ["an upper-case digest", sign, item({ digest: { digest: digest.toUpperCase() } })],
    ["a short digest", sign, item({ digest: { digest: "sha256:5f" } })],
    ["SHA-1", sign, item({ digest: { digest: `sha1:${"5f".repeat(20)}` } })],
    ["text for Int", explain, { h: { identity: {}, keys: [], uses: "20" } }],
    ["a fraction for Int", explain, { h: { identity: {}, keys: [], uses: 1.5 } }],
    ["2^40 for Int", explain, { h: { identity: {}, keys: [], uses: 2 ** 40 } }],
    ["months in a duration", explain, { h: { identity: {}, keys: [], ttl: "P1M" } }],
    ["1e309 for Int", explain, '{"h":{"identity":{},"keys":[],"uses":1e309}}'],
    ["1e309 in JSON", explain, '{"h":{"identity":{"a":1e309},"keys":[]}}'],
    ["a negative leaf index", "query ($n: LeafIndex!) { entry(index: $n) { type } }", { n: -1 }],
    ["a leaf index of 2^53", "query ($n: LeafIndex!) { entry(index: $n) { type } }", { n: 2 ** 53 }],
    ["JSON 5,000 deep", sign, predicate(`${"[".repeat(5000)}${"]".repeat(5000)}`)],
    ["JSON of 30,000 values", sign, predicate(`[${"0,".repeat(30_000)}0]`)],
    ["__proto__ in JSON", sign, predicate('{"__proto__":{"polluted":1}}')],
    ["half a character in JSON", sign, predicate('{"a":"\\ud800"}')],
    ["JSON that is no object", sign, predicate("7")],
    [
      "half a character in a string",
      sign,
      `{"i":{"idempotencyKey":"1","key":"\\udc00","items":[{"digest":{"digest":"${digest}"}}]}}`,
    ],
    ["2,000 items", sign, { i: { ...signInput, items: Array.from({ length: 2000 }, () => ({ digest: { digest } })) } }],
    ["a wrong cursor", 'query { sessions(after: "bm9uc2Vuc2U") { nodes { id } } }', {}],
    [
      "a cursor of another connection",
      `query { sessions(after: "${Buffer.from("entry:5").toString("base64url")}") { nodes { id } } }`,
      {},
    ],
    ["a page of 5,000", "query { sessions(first: 5000) { nodes { id } } }", {}],
    ["a page of minus one", "query { sessions(first: -1) { nodes { id } } }", {}],
    ["a page in both directions", "query { entries(filter: {}, first: 1, last: 1) { nodes { index } } }", {}],
  ])("%s", async (_, query, variables) => {
    reached.length = 0;
    const text = typeof variables === "string" ? variables : JSON.stringify(variables);
    const reply = await post(server.url, `{"query":${JSON.stringify(query)},"variables":${text}}`);
    expect(reply.status).toBe(200);
    expect(reply.body).toMatch(/"code":"(INPUT_INVALID|ITEM_INVALID|TOO_LARGE)"/);
    expect(reply.body.length).toBeLessThan(40_000);
    expect(reached).toEqual([]);
  });
  test.each([
    ["not JSON", "{"],
    ["not UTF-8", Buffer.from([0x7b, 0xff, 0x7d])],
    ["null", "null"],
    ["a string", '"{ vkey }"'],
    ["no query", "{}"],
    ["a query that is a list", '{"query":["{ vkey }"]}'],
    ["variables that are a list", '{"query":"{ vkey }","variables":[]}'],
    ["variables that are text", '{"query":"{ vkey }","variables":"{}"}'],
    ["an unknown member", '{"query":"{ vkey }","doc_id":"1"}'],
    ["an operation name that is a number", '{"query":"{ vkey }","operationName":1}'],
  ])("a body that is %s", async (_, body) => {
    const reply = await post(server.url, body);
    expect([reply.status, reply.body]).toEqual([400, expect.stringContaining("INPUT_INVALID")]);
  });
  test("a cheap first call does not pay for a dear second one", async () => {
    const query =
      "query ($n: Int) { entries(filter: {}, last: $n) { nodes { receipt } } b: entries(filter: {}, last: $n) { nodes { receipt } } c: entries(filter: {}, last: $n) { nodes { receipt } } }";
    expect(await codes(query, { n: 1 })).toContain("TOO_LARGE"); // the stub gives a thousand, whatever is asked
    expect(await codes("query ($n: Int) { sessions(first: $n) { nodes { id } } }", { n: 100_000 })).toEqual([
      "INPUT_INVALID",
    ]);
  });
  test("prototypes are what they were", () => {
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
    expect({}).not.toHaveProperty("polluted");
  });
});

test("9: there is nothing to subscribe to, and no upgrade", async () => {
  expect(await codes("subscription { entries { index } }")).toEqual(["INPUT_INVALID"]);
  const reply = await ask(`${server.url}/graphql`, {
    headers: {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
      "sec-websocket-version": "13",
    },
  });
  expect(reply.status).toBe(405);
});

describe("39: what a request says of itself is cut and escaped in our log", () => {
  test("70 kB of user agent are refused before anything is written", async () => {
    expect((await post(server.url, "{}", { "user-agent": "A".repeat(70_000) })).status).toBe(431);
  });
  test("escape sequences, quotes and markup stay inside one JSON string", async () => {
    const agent = 'x"},{"level":60,"msg":"forged\t</script>=cmd|\u00e9';
    await ask(`${server.url}/%0d%0aforged?${"y".repeat(4000)}`, {
      headers: { "user-agent": agent + "z".repeat(1000) },
    });
    const line = server.lines.at(-1) ?? "";
    expect(line.trimEnd()).not.toContain("\n");
    const parsed = JSON.parse(line) as { agent: string; path: string };
    expect(parsed).toMatchObject({ msg: "answered", path: "/%0d%0aforged" });
    expect(parsed.agent).toHaveLength(200);
    expect(line.length).toBeLessThan(1000);
  });
  test("two Authorization headers are one credential that nobody has", async () => {
    const tried: unknown[] = [];
    await using one = await serving({
      authenticate(credentials) {
        tried.push(credentials.authorization, credentials.proofs);
        return Promise.resolve(refuse("UNAUTHENTICATED", "no"));
      },
    });
    await ask(
      `${one.url}/graphql`,
      {
        method: "POST",
        headers: [
          "Content-Type",
          "application/json",
          "Host",
          "x",
          "Authorization",
          "DPoP a",
          "authorization",
          "DPoP b",
          "DPoP",
          "p1",
          "dpop",
          "p2",
        ] as never,
      },
      '{"query":"{vkey}"}',
    );
    expect(tried).toEqual(["DPoP a, DPoP b", ["p1", "p2"]]);
  });
});

/** A use case that rejects with whatever it is given, an Error or not. */
const failing = (made: () => unknown) => (): Promise<never> => {
  const { promise, reject } = Promise.withResolvers<never>();
  reject(made());
  return promise;
};

describe("40: errors of any kind keep our secrets", () => {
  const accidents: readonly (readonly [string, () => unknown])[] = [
    ["a fault", () => new Fault("LOG_NOT_DURABLE", "write /var/CANARY: ENOSPC", { cause: new Error("CANARY") })],
    ["an error", () => new Error("CANARY")],
    [
      "an error with an errno",
      () => Object.assign(new Error("connect CANARY"), { code: "ECONNREFUSED", path: "/run/CANARY" }),
    ],
    ["an aggregate", () => new AggregateError([new Error("CANARY")], "CANARY")],
    ["a string", () => "CANARY"],
    ["nothing", () => undefined],
    ["an object", () => ({ message: "CANARY", stack: "CANARY", extensions: { secret: "CANARY" } })],
  ];
  test.each(accidents)("%s from a use case", async (_, made) => {
    await using one = await serving({ viewer: () => failing(made)(), nonce: () => "n" });
    const reply = await post(one.url, JSON.stringify({ query: "{ viewer { label } }" }));
    expect(reply.body).not.toContain("CANARY");
    expect(JSON.parse(reply.body)).toMatchObject({
      data: null,
      errors: [
        {
          extensions: {
            code: expect.stringMatching(/^(INTERNAL|LOG_NOT_DURABLE)$/) as unknown,
            requestId: reply.headers["x-request-id"],
          },
        },
      ],
    });
  });
  test.each(accidents)("%s from authenticate", async (_, made) => {
    await using one = await serving({ authenticate: () => failing(made)() });
    const reply = await post(one.url, JSON.stringify({ query: "{ vkey }" }));
    expect([reply.status, reply.body.includes("CANARY")]).toEqual([500, false]);
  });
  test("our log never holds variables, tokens or proofs", async () => {
    await using one = await serving({ openSession: () => Promise.reject(new Error("boom")) });
    const text = readFileSync(new URL("../../schema/operations/OpenSession.graphql", import.meta.url), "utf8");
    const body = { query: text, variables: { input: { identityToken: "e.TOKENCANARY.y", keys: ["release"] } } };
    for (const query of [text, `${text}# long lane`])
      await post(one.url, JSON.stringify({ ...body, query }), {
        authorization: "DPoP sgs_TOKENCANARY",
        dpop: "TOKENCANARY",
      });
    expect(one.lines.length).toBeGreaterThan(3);
    expect(one.lines.join("")).not.toContain("TOKENCANARY");
  });
});
