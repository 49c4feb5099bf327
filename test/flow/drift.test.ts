// The watch over keys at their custody: what changed there behind our back stops a key or is told loudly, once.

import { createPublicKey } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Client } from "../../src/client/connect.ts";
import { until } from "../support/faults.ts";
import { expectDone, type House, house } from "../support/house.ts";
import { type Shelf, shelfConfig, shelfIn, shelfRun, shelved } from "../support/shelf.ts";

let home: House;
let shelf: Shelf;
let operator: Client;

beforeAll(async () => {
  home = await house({ config: `${shelfConfig}driftEvery: PT1S\n`, run: shelfRun, keys: [] });
  shelf = shelfIn(home.directory);
  operator = await home.operator();
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

async function enrolled(name: string, active = true): Promise<void> {
  shelf.put(name, shelved("EC_P256", { guards: "a".repeat(64) }));
  expectDone(
    await operator.ask("EnrollKey", {
      input: { name, uri: `shelf:${name}`, purpose: "ATTESTATION", custody: "shelf" },
    }),
  );
  if (active) expectDone(await operator.ask("ActivateKey", { input: { key: name, reason: "for the test" } }));
}

const driftOf = async (key: string): Promise<readonly Record<string, unknown>[]> =>
  (await home.entries()).filter((one) => one["key"] === key && one["type"] === "key.drift");
const stateOf = async (name: string): Promise<string | undefined> =>
  expectDone(await operator.ask("Key", { name }))?.versions.at(-1)?.state;
const checks = async (): Promise<
  readonly { readonly name: string; readonly status: string; readonly message: string }[]
> => expectDone(await operator.ask("Health", {})).checks;
const checkOf = async (name: string) => (await checks()).find((one) => one.name === name);
/** Two more rounds, and half of one. */
const rounds = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2_500));

test("while all is as recorded, doctor says so and nothing is written", async () => {
  await enrolled("steady");
  await rounds();
  expect(await driftOf("steady")).toEqual([]);
  expect(await checkOf("drift")).toMatchObject({ status: "ok" });
}, 30_000);

test("a key that vanished is suspended by the daemon itself at its second look, with what was recorded and what was found", async () => {
  await enrolled("gone");
  shelf.take("gone");
  await until("it is suspended", async () => (await stateOf("gone")) === "SUSPENDED");
  const entries = (await home.entries()).filter((one) => one["key"] === "gone").slice(-2);
  expect(entries).toMatchObject([
    { type: "key.drift", finding: "vanished", recorded: "shelf:gone", found: "no such key", custody: "shelf" },
    { type: "key.state", from: "ACTIVE", to: "SUSPENDED" },
  ]);
  expect(Number(entries[1]?.["index"]) - Number(entries[0]?.["index"])).toBe(1);
  for (const one of entries) expect(one).not.toHaveProperty("by");
  expect(await checkOf("key gone/1")).toMatchObject({ status: "fail", message: /not there/ });
}, 30_000);

test("another key in its place is found by its public key; the same finding is recorded once", async () => {
  await enrolled("swapped");
  const { publicKey } = expectDone(await operator.ask("Key", { name: "swapped" }))?.versions[0] ?? {};
  shelf.put("swapped", shelved("EC_P256", { guards: "a".repeat(64) }));
  await until("it is suspended", async () => (await stateOf("swapped")) === "SUSPENDED");
  await rounds();
  const found = await driftOf("swapped");
  expect(found).toMatchObject([{ finding: "public-key" }]);
  expect(found[0]?.["recorded"]).not.toBe(found[0]?.["found"]);
  expect(publicKey).not.toBe(
    createPublicKey(shelf.read("swapped").privateKey).export({ type: "spki", format: "pem" }).toString(),
  );
}, 30_000);

test("whoever resumes it all the same has it suspended again while the finding stands", async () => {
  expectDone(await operator.ask("ResumeKey", { input: { key: "swapped", reason: "it will be fine" } }));
  await until("it is suspended again", async () => (await stateOf("swapped")) === "SUSPENDED");
  expect(await driftOf("swapped")).toHaveLength(2);
}, 30_000);

test("a disabled key and other guards are flagged and do not stop it; over again is told once too", async () => {
  await enrolled("flagged");
  const was = shelf.read("flagged");
  shelf.put("flagged", { ...was, trouble: "disabled", guards: "b".repeat(64) });
  await until("both are found", async () => (await driftOf("flagged")).length === 2);
  expect(await stateOf("flagged")).toBe("ACTIVE");
  expect(await driftOf("flagged")).toMatchObject([
    { finding: "trouble", recorded: "none", found: "disabled" },
    { finding: "guards", recorded: "a".repeat(64), found: "b".repeat(64) },
  ]);
  expect((await checks()).filter((one) => one.name === "key flagged/1")).toMatchObject([
    { status: "warn" },
    { status: "warn" },
  ]);
  const metrics = await (await fetch(`${home.url}/metrics`)).text();
  expect(metrics).toMatch(/^signet_key_drift\{finding="guards"\} 1$/m);
  shelf.put("flagged", { ...was, guards: "b".repeat(64) });
  await until("the trouble is over", async () => (await driftOf("flagged")).length === 3);
  expect((await driftOf("flagged"))[2]).toMatchObject({ finding: "trouble", over: true });
  await rounds();
  expect(await driftOf("flagged")).toHaveLength(3);
}, 60_000);

test("a restart neither forgets what stands nor records it again", async () => {
  const before = (await home.entries()).filter((one) => one["type"] === "key.drift").length;
  expect(await home.stop()).toBe(0);
  await home.start(shelfRun);
  operator = await home.operator();
  await until("doctor knows", async () => (await checkOf("key flagged/1")) !== undefined);
  await rounds();
  expect((await home.entries()).filter((one) => one["type"] === "key.drift")).toHaveLength(before);
}, 60_000);

test("a custody that is away gives no verdict: nothing is suspended, doctor warns", async () => {
  shelf.away(true);
  try {
    await until("doctor warns", async () => (await checkOf("drift shelf")) !== undefined);
    expect(await checkOf("drift shelf")).toMatchObject({ status: "warn", message: /no verdict on \d+ key versions/ });
    expect(await stateOf("steady")).toBe("ACTIVE");
    expect(await driftOf("steady")).toEqual([]);
  } finally {
    shelf.away(false);
  }
  await until("it is there again", async () => (await checkOf("drift shelf")) === undefined);
}, 60_000);

test("a key that we destroyed ourselves has not drifted", async () => {
  await enrolled("ended", false);
  expectDone(await operator.ask("DestroyKey", { input: { key: "ended", backend: true, reason: "for the test" } }));
  await rounds();
  expect(await driftOf("ended")).toEqual([]);
  expect(await checkOf("key ended/1")).toBeUndefined();
}, 30_000);
