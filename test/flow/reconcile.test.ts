// Whether every signature that a backend counted is one of ours, asked of a real daemon and a custody that counts.

import { afterAll, beforeAll, expect, test } from "vitest";
import { judged } from "../../src/broker/reconcile.ts";
import { type Client, connect } from "../../src/client/connect.ts";
import { newProofKey } from "../../src/client/proof.ts";
import { askAs } from "../attack/scene.ts";
import { until } from "../support/faults.ts";
import { expectDone, type House, house, statement } from "../support/house.ts";
import { type Shelf, shelfConfig, shelfIn, shelfRun, shelved } from "../support/shelf.ts";

const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
const [today, tomorrow] = [day(0), day(1)];
let home: House;
let shelf: Shelf;
let auditor: Client;

beforeAll(async () => {
  home = await house({ config: shelfConfig, run: shelfRun, keys: [{ name: "release", purpose: "BLOB" }] });
  shelf = shelfIn(home.directory);
  auditor = await home.operator();
  shelf.put("attest", shelved());
  const input = { name: "attest", uri: "shelf:attest", purpose: "ATTESTATION", custody: "shelf" } as const;
  expectDone(await auditor.ask("EnrollKey", { input }));
  expectDone(await auditor.ask("ActivateKey", { input: { key: "attest", reason: "for the test" } }));
  const job = await home.job({ keys: ["attest"] });
  expectDone(await job.sign([statement()]));
  expectDone(await job.sign(Array.from({ length: 12 }, () => statement()))); // a side blob holds these
  shelf.away(true);
  await job.sign([statement()]).catch(() => undefined); // failed: nothing was signed
  shelf.away(false);
  await until("the custody is asked again", async () => (await asked()).every((one) => one.backend !== null));
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const counts = (uses: Readonly<Record<string, number>>): void => {
  shelf.put("attest", { ...shelf.read("attest"), uses });
};
const asked = async (from = today, to = tomorrow) =>
  expectDone(await auditor.ask("Reconcile", { key: "attest", from, to })).days;

test("thirteen items and the proof of possession are what the backend counted", async () => {
  counts({ [today]: 14 });
  expect(await asked()).toMatchObject([
    {
      key: "attest",
      number: 1,
      custody: "shelf",
      day: today,
      done: 14,
      withheld: 0,
      unknown: 0,
      backend: 14,
      difference: 0,
      verdict: "AGREES",
    },
  ]);
});

test("a signature more than we know of is a surplus, and says what that means", async () => {
  counts({ [today]: 15, [day(-1)]: 2 });
  expect(await asked(day(-2))).toMatchObject([
    { day: day(-1), done: 0, backend: 2, difference: 2, verdict: "SURPLUS", meaning: /used the key past it/ },
    { day: today, done: 14, backend: 15, difference: 1, verdict: "SURPLUS" },
  ]);
});

test("fewer than we know of is an account that is late or incomplete", async () => {
  counts({ [today]: 3 });
  expect(await asked()).toMatchObject([{ difference: -11, verdict: "MISSING" }]);
});

test("a custody that keeps no account, or is away, says so of every version, used or not", async () => {
  shelf.away(true);
  const { days } = expectDone(await auditor.ask("Reconcile", { from: today, to: tomorrow }));
  const unused = await asked("2020-01-01", "2020-01-02");
  shelf.away(false);
  const silent = { backend: null, difference: null, verdict: "NOT_TOLD" };
  expect(days).toMatchObject([
    { ...silent, key: "attest", day: today, done: 14, meaning: /could not be asked/ },
    { ...silent, key: "release", day: null, done: 0, meaning: /keeps no account/ },
  ]);
  expect(unused).toMatchObject([{ ...silent, key: "attest", day: null, done: 0, meaning: /could not be asked/ }]);
  expect(await asked("2020-01-01", "2020-01-02"), "asked, and it counted none").toEqual([]);
});

test("what a key released is counted without the request that failed", async () => {
  const { body } = await askAs(home, await home.operatorLogin(), '{ key(name: "attest") { released } }');
  expect(JSON.parse(body)).toEqual({ data: { key: { released: 2 } } });
});

test("each question is an entry that says what was asked", async () => {
  await asked();
  const reads = (await home.entries()).filter(
    (one) => one["type"] === "audit.read" && String(one["query"]).includes("reconcile"),
  );
  expect(reads.at(-1)).toMatchObject({
    query: JSON.stringify({ from: today, reconcile: "attest", to: tomorrow }),
    count: 1,
  });
});

test.each([
  [today, today],
  [tomorrow, today],
  ["2020-01-01", "2022-01-01"],
  ["2026-02-30", "2026-03-01"],
  ["yesterday", today],
])("from %s to %s is refused", async (from, to) => {
  expect(await auditor.ask("Reconcile", { from, to })).toMatchObject({ refusal: "INPUT_INVALID" });
});

test("jobs and strangers do not ask", async () => {
  const job = await home.job({ keys: ["attest"] });
  expect(await job.client.ask("Reconcile", { from: today, to: tomorrow })).toMatchObject({ refusal: "ROLE_MISSING" });
  const stranger = connect({ address: home.url, key: newProofKey() });
  expect(await stranger.ask("Reconcile", { from: today, to: tomorrow })).toMatchObject({ refusal: "UNAUTHENTICATED" });
});

test.each([
  [{ done: 5, withheld: 1, unknown: 0 }, 6, "AGREES", 0],
  [{ done: 5, withheld: 0, unknown: 2 }, 6, "AGREES", 1],
  [{ done: 5, withheld: 0, unknown: 2 }, 7, "AGREES", 2],
  [{ done: 5, withheld: 0, unknown: 2 }, 8, "SURPLUS", 3],
  [{ done: 5, withheld: 0, unknown: 2 }, 4, "MISSING", -1],
  [{ done: 0, withheld: 0, unknown: 0 }, 1, "SURPLUS", 1],
  [{ done: 5, withheld: 0, unknown: 0 }, "keeps no account", "NOT_TOLD", undefined],
] as const)("recorded %o, counted %s: %s", (recorded, backend, verdict, difference) => {
  expect(judged(recorded, backend)).toMatchObject({ verdict, difference });
});
