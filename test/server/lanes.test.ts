// Our own documents take the short lane, everybody else's the long one through yoga: the same bytes come out of both.

import { globSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Broker } from "../../src/broker/index.ts";
import { refuse } from "../../src/model/errors.ts";
import { canaryFault, post, receipt, release, type Serving, serving, session, version } from "./stub.ts";

const folder = new URL("../../schema/operations/", import.meta.url);
const documents = Object.fromEntries(
  readdirSync(folder).map(
    (file) => [file.replace(".graphql", ""), readFileSync(new URL(file, folder), "utf8")] as const,
  ),
);

const digest = `sha256:${"5f".repeat(32)}`;
const checkpoint = { origin: "o", size: 9, root: Buffer.alloc(32, 1), note: "o\n9\n", witnesses: [] };
const entry = {
  index: 7,
  leaf: Buffer.from("{}"),
  entry: { v: 1, at: "2026-01-31T12:00:00.000Z", node: "n", epoch: 1, type: "daemon.stop" },
} as const;
const broker: Partial<Broker> = {
  sign(_, { key, items }) {
    if (key === "fault") return Promise.reject(canaryFault());
    if (key === "refused") return Promise.resolve({ ...refuse("ITEM_DENIED", "no"), entry: 3 });
    return Promise.resolve({
      version,
      receipt,
      usesLeft: 1,
      signatures: items.map(() => ({
        value: Buffer.from("s"),
        bundle: () => ({ a: [1, "é", null] }),
        envelope: undefined,
        jws: undefined,
      })),
    });
  },
  openSession: () => Promise.resolve({ session, token: "sgs_x", receipt }),
  sessions: () => Promise.resolve({ sessions: [{ ...session, entry: 5 }], more: true }),
  entries: () => Promise.resolve({ entries: [entry], more: false, checkpoint }),
  entry: () => Promise.resolve(entry),
  receipt: () => Promise.resolve("proof"),
  keys: () => Promise.resolve([release]),
  operators: () => Promise.resolve(refuse("ROLE_MISSING", "no", "ask")),
};

let both: readonly Serving[];
beforeAll(async () => {
  both = await Promise.all([true, false].map((shortLane) => serving(broker, { shortLane })));
});
afterAll(async () => {
  for (const server of both) await server[Symbol.asyncDispose]();
});

const sign = (over: object) => ({
  input: { idempotencyKey: "1", key: "release", items: [{ blob: { name: "a", digest } }], ...over },
});
const cases: readonly (readonly [what: string, document: string, variables: unknown])[] = [
  ["signatures", "Sign", sign({})],
  ["a hundred signatures", "Sign", sign({ items: Array.from({ length: 100 }, () => ({ digest: { digest } })) })],
  ["a refusal", "Sign", sign({ key: "refused" })],
  ["a fault", "Sign", sign({ key: "fault" })],
  ["a wrong variable", "Sign", { input: { key: 7 } }],
  ["no variables", "Sign", undefined],
  ["JSON that is no object", "Sign", sign({ items: [{ jws: { type: "jwt", payload: 7 } }] })],
  ["two members of a oneOf", "Sign", sign({ items: [{ digest: { digest }, blob: { name: "a", digest } }] })],
  ["a variable that is not declared", "Sign", { ...sign({}), more: 1 }],
  ["a session", "OpenSession", { input: { identityToken: "t", keys: ["release"] } }],
  ["a page of sessions", "Sessions", { first: 1 }],
  ["a page too large", "Sessions", { first: 9999 }],
  ["a page of the log", "AuditList", { filter: {}, last: 5 }],
  ["an entry", "AuditShow", { index: 7 }],
  ["keys", "Keys", {}],
  ["a refused query", "Operators", {}],
  ["an accident", "Health", {}],
  ["a verification key", "Vkey", {}],
];

test.each(["application/json", "application/graphql-response+json"])(
  "the same status, headers and bytes as %s",
  async (accept) => {
    for (const [what, document, variables] of cases) {
      for (const operationName of [undefined, "Nobody"]) {
        const body = JSON.stringify({ query: documents[document], variables, operationName });
        const [short, long] = await Promise.all(both.map(({ url }) => post(url, body, { accept })));
        const seen = (reply: typeof short) => ({
          what,
          status: reply?.status,
          type: reply?.headers["content-type"],
          body: reply?.body.replaceAll(/rq_[0-9A-Z]+/g, "rq"),
        });
        expect(seen(short)).toEqual(seen(long));
      }
    }
  },
);

test("every document of ours is one operation of its file's name, and fits the schema", () => {
  for (const [name, text] of Object.entries(documents))
    expect(/^(?:query|mutation) (\w+)/m.exec(text)?.[1], name).toBe(name);
  expect(Object.keys(documents).length).toBeGreaterThan(20);
});

test("there is one copy of graphql", () => {
  const root = new URL("../../", import.meta.url).pathname;
  expect(globSync("node_modules/**/graphql/package.json", { cwd: root })).toEqual([
    "node_modules/graphql/package.json",
  ]);
  expect(createRequire(import.meta.url).resolve("graphql")).toContain("/node_modules/graphql/");
});
