// The rotation of a key through the real daemon: published before it signs, switched by the clock, while jobs sign.

import { createPublicKey, verify as verifySignature } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Operations, RotatedKey } from "../../src/client/answers.ts";
import { type Client, connect, isRefused } from "../../src/client/connect.ts";
import { newProofKey } from "../../src/client/proof.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { until } from "../support/faults.ts";
import { blob, expectDone, type House, house } from "../support/house.ts";

let home: House;
let operator: Client;
beforeAll(async () => {
  home = await house({
    keys: [
      { name: "release", purpose: "BLOB" },
      { name: "attest", purpose: "ATTESTATION" },
    ],
    uses: 100_000,
  });
  operator = await home.operator();
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const keyNamed = async (name: string): Promise<RotatedKey> => {
  const key = expectDone(await operator.ask("Key", { name }));
  if (key === null) throw new Error(`there is no key ${name}`);
  return key;
};
/** Nobody here keeps what they fetched. */
const atOnce = { propagation: "PT3S", beforeVerifiersKnow: true };
const states = ({ versions }: RotatedKey): string[] => versions.map(({ state }) => state);
const rotated = async (name: string, more: object = {}): Promise<RotatedKey> =>
  expectDone(
    await operator.ask("RotateKey", {
      input: { ...atOnce, idempotencyKey: crypto.randomUUID(), key: name, reason: "yearly", ...more },
    }),
  ).key;
const pem = async (name: string): Promise<string> => (await fetch(`${home.url}/trust/${name}.pem`)).text();
const pems = (text: string): readonly string[] =>
  text.split(/(?<=-----END PUBLIC KEY-----\n)/).filter((one) => one.length > 0);
const switched = (name: string): Promise<void> =>
  until("it switches", async () => (await keyNamed(name)).rotation?.step === "SWITCHED");

type Signed = Operations["Sign"]["answer"];
const verifies = ({ signatures: [signature] }: Signed, bytes: string, publicKey: string): boolean =>
  verifySignature("sha256", utf8(bytes), createPublicKey(publicKey), Buffer.from(signature?.value ?? "", "base64"));

test("published before it signs, then it signs; what the old version signed still verifies by what is published", async () => {
  const job = await home.job({ keys: ["release"] });
  const sent = { key: "release", idempotencyKey: "before" };
  const before = expectDone(await job.sign([blob("before.tgz")], sent));
  const began = await rotated("release");
  expect(began.rotation).toMatchObject({ step: "PUBLISHED", from: 1, to: 2, propagation: "PT3S", trouble: null });
  expect(states(began)).toEqual(["ACTIVE", "PRE_ACTIVATION"]);
  const published = pems(await pem("release"));
  expect(published).toEqual(began.versions.map(({ publicKey }) => publicKey));
  const meanwhile = expectDone(await job.sign([blob("meanwhile.tgz")], { key: "release" }));
  expect(meanwhile.signatures[0]?.keyVersion.number).toBe(1);

  await switched("release");
  const after = expectDone(await job.sign([blob("after.tgz")], { key: "release" }));
  expect(after.signatures[0]?.keyVersion.number).toBe(2);
  expect(expectDone(await job.sign([blob("before.tgz")], sent)).signatures).toEqual(before.signatures);
  const now = await keyNamed("release");
  expect(states(now)).toEqual(["DEACTIVATED", "ACTIVE"]);
  const [signs = "", verifiesOnly = "", ...others] = pems(await pem("release"));
  expect(others).toEqual([]);
  expect(verifies(after, "after.tgz", signs)).toBe(true);
  expect(verifies(before, "before.tgz", verifiesOnly)).toBe(true);
  expect(verifies(meanwhile, "meanwhile.tgz", verifiesOnly)).toBe(true);
  expect(verifies(before, "before.tgz", signs)).toBe(false);

  const told = (await home.entries()).filter(
    ({ type, key }) => String(type).startsWith("key.rotate") && key === "release",
  );
  expect(told).toMatchObject([
    {
      ...{ type: "key.rotate.begin", onePerson: true, from: 1, to: 2, reason: "yearly", by: { name: "First" } },
      beforeVerifiersKnow: true,
    },
    { type: "key.rotate.intent" },
    { type: "key.rotate.outcome", result: "done" },
    { type: "key.rotate.publish", publicKey: now.versions[1]?.fingerprint },
    { type: "key.rotate.switch" },
  ]);
  expect(told.slice(1).every((entry) => !("by" in entry))).toBe(true);
}, 60_000);

test("a job that signs through the switch is never refused, and its session goes on", async () => {
  const job = await home.job({ keys: ["attest"], uses: 100_000 });
  const sign = (n: number) =>
    job.sign([
      {
        statement: {
          subject: [{ name: `${String(n)}.tgz`, digest: `sha256:${sha256Hex(String(n))}` }],
          predicateType: "https://example.com/test/v1",
          predicate: {},
        },
      },
    ]);
  const short = await operator.ask("RotateKey", {
    input: { idempotencyKey: "short", key: "attest", propagation: "PT4M59S", reason: "yearly" },
  });
  expect(short).toMatchObject({ refusal: "INPUT_INVALID" });
  await rotated("attest", { propagation: "PT1S" });
  const versions: number[] = [];
  const deadline = Date.now() + 20_000;
  for (let n = 0; versions.at(-1) !== 2; n += 6) {
    const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => sign(n + i)));
    for (const answer of answers) versions.push(expectDone(answer).signatures[0]?.keyVersion.number ?? 0);
    if (Date.now() > deadline) throw new Error("it never switched");
  }
  expect(new Set(versions)).toEqual(new Set([1, 2]));
  // In the log's own order: what each request was admitted to, and when the one became the other.
  const told = (await home.entries()).flatMap(({ type, key }) => {
    if (type === "key.rotate.switch" && key === "attest") return ["switch"];
    const used = key as { readonly name?: string; readonly version?: number };
    return type === "sign.intent" && used.name === "attest" ? [`v${String(used.version)}`] : [];
  });
  const at = told.indexOf("switch");
  expect(new Set(told.slice(0, at))).toEqual(new Set(["v1"]));
  expect(new Set(told.slice(at + 1))).toEqual(new Set(["v2"]));
}, 60_000);

test("asked again under one idempotency key, it is one rotation; another request under it is refused", async () => {
  const input = { idempotencyKey: "once", key: "attest", propagation: "P1D", reason: "again" };
  const first = expectDone(await operator.ask("RotateKey", { input }));
  const second = expectDone(await operator.ask("RotateKey", { input }));
  expect(second.key.rotation).toEqual(first.key.rotation);
  expect(second.receipt.entry).toBe(first.receipt.entry);
  expect(await operator.ask("RotateKey", { input: { ...input, propagation: "P2D" } })).toMatchObject({
    refusal: "IDEMPOTENCY_MISMATCH",
  });
  expect(await operator.ask("RotateKey", { input: { ...input, idempotencyKey: "other" } })).toMatchObject({
    refusal: "KEY_STATE",
  });
});

test("nobody activates the new version past its propagation time; cancelled, it never signs and is published no more", async () => {
  const early = await operator.ask("ActivateKey", { input: { key: "attest", number: 3, reason: "in a hurry" } });
  expect(early).toMatchObject({ refusal: "KEY_STATE" });
  const { key } = expectDone(await operator.ask("CancelRotation", { input: { key: "attest", reason: "not today" } }));
  expect(states(key)).toEqual(["DEACTIVATED", "ACTIVE", "DEACTIVATED"]);
  expect(key.rotation).toMatchObject({ step: "CANCELLED" });
  expect(pems(await pem("attest"))).toHaveLength(2);
  expect(await pem("attest")).not.toContain(key.versions[2]?.publicKey.split("\n")[1]);
  expect((await home.entries()).at(-1)).toMatchObject({ type: "audit.read" });
  const cancelled = (await home.entries()).findLast(({ type }) => type === "key.rotate.cancel");
  expect(cancelled).toMatchObject({ left: "kept", reason: "not today", from: 2, to: 3 });
  expect(await operator.ask("CancelRotation", { input: { key: "attest", reason: "twice" } })).toMatchObject({
    refusal: "KEY_STATE",
  });
  const again = await operator.ask("RotateKey", {
    input: { idempotencyKey: "once", key: "attest", propagation: "P1D", reason: "again" },
  });
  expect(expectDone(again).key.rotation?.step).toBe("CANCELLED");
});

test("due while the daemon is down for longer: the switch is made after the start", async () => {
  const began = await rotated("attest", { propagation: "PT1S" });
  expect(began.rotation?.to).toBe(4);
  await home.stop("SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await home.start();
  operator = await home.operator();
  await switched("attest");
  expect(states(await keyNamed("attest"))).toEqual(["DEACTIVATED", "DEACTIVATED", "DEACTIVATED", "ACTIVE"]);
}, 60_000);

test("what an operator stopped, the clock does not start again by another version", async () => {
  await rotated("attest", { propagation: "PT1S" });
  expectDone(await operator.ask("SuspendKey", { input: { key: "attest", reason: "an incident" } }));
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const held = await keyNamed("attest");
  expect(held.rotation).toMatchObject({ step: "PUBLISHED", trouble: "v4 is SUSPENDED since it began" });
  const health = expectDone(await operator.ask("Health", {}));
  expect(health.checks.find(({ name }) => name === "rotation of attest")?.status).toBe("warn");
  expectDone(await operator.ask("ResumeKey", { input: { key: "attest", reason: "it was nothing" } }));
  await switched("attest");
}, 60_000);

test("an old public key is retired at the end of its time, and a compromised one leaves at once", async () => {
  await rotated("release", { propagation: "PT0S", retireAfter: "PT2S" });
  expect(pems(await pem("release"))).toHaveLength(3);
  await until("it is retired", async () =>
    (await home.entries()).some(({ type, version }) => type === "key.rotate.retire" && version === 2),
  );
  const now = await keyNamed("release");
  expect(pems(await pem("release"))).toEqual([now.versions[2]?.publicKey, now.versions[0]?.publicKey]);
  expectDone(await operator.ask("ReportKeyCompromised", { input: { key: "release", number: 1, reason: "found it" } }));
  expect(pems(await pem("release"))).toEqual([now.versions[2]?.publicKey]);
}, 60_000);

test("after a restart the tables agree with the log about every rotation", async () => {
  await home.stop();
  await home.start();
  operator = await home.operator();
  expect((await keyNamed("release")).rotation?.step).toBe("SWITCHED");
}, 60_000);

test("two people: one approval covers the rotation, and the same person cannot give it", async () => {
  await using two = await house({ approvals: "two-persons", keys: [{ name: "attest", purpose: "ATTESTATION" }] });
  const first = await two.operator();
  const key = newProofKey();
  expectDone(
    await first.ask("AddOperator", {
      input: { name: "Second", issuer: "key", subject: key.thumbprint, roles: ["OPERATOR"] },
    }),
  );
  const client = connect({ address: two.url, key });
  const second = client.withToken(expectDone(await client.ask("OpenOperatorSession", { input: {} })).token);
  const approve = async (answer: unknown) => {
    if (!isRefused(answer) || answer.pending === undefined) throw new Error(`nothing waits: ${JSON.stringify(answer)}`);
    const [waiting] = expectDone(await first.ask("PendingActions", { state: "PENDING" }));
    const input = { pending: answer.pending, hash: waiting?.hash ?? "" };
    expect(await first.ask("Approve", { input })).toMatchObject({ refusal: "APPROVAL_INVALID" });
    return expectDone(await second.ask("Approve", { input }));
  };
  expect(
    await first.ask("RotateKey", { input: { idempotencyKey: "0", key: "attest", reason: "too early" } }),
  ).toMatchObject({ refusal: "KEY_STATE" });
  await approve(await first.ask("ActivateKey", { input: { key: "attest", reason: "for the test" } }));

  const input = { ...atOnce, idempotencyKey: "1", key: "attest", propagation: "PT0S", reason: "yearly" };
  const asked = await first.ask("RotateKey", { input });
  expect(asked).toMatchObject({ refusal: "APPROVAL_PENDING" });
  expect(await first.ask("RotateKey", { input })).toMatchObject({ pending: isRefused(asked) ? asked.pending : "" });
  await approve(asked);
  const found = expectDone(await first.ask("Key", { name: "attest" }));
  expect(found?.versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "ACTIVE"]);
  expect(expectDone(await first.ask("RotateKey", { input })).key.rotation?.step).toBe("SWITCHED");
  const begin = (await two.entries()).find(({ type }) => type === "key.rotate.begin");
  expect(begin).toMatchObject({ by: { name: "Second" }, pending: isRefused(asked) ? asked.pending : "" });
  expect(begin).not.toHaveProperty("onePerson");
}, 90_000);
