// Two people: what makes a key sign, and who may, is never one person's doing, unless the configuration says so.

import { afterAll, beforeAll, expect, test } from "vitest";
import { type Client, connect, isRefused } from "../../src/client/connect.ts";
import { newProofKey, type ProofKey } from "../../src/client/proof.ts";
import { expectDone, type House, house, statement } from "../support/house.ts";

let home: House;
let first: Client;
beforeAll(async () => {
  home = await house({ approvals: "two-persons", keys: [{ name: "attest", purpose: "ATTESTATION" }] });
  first = await home.operator();
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

async function login(key: ProofKey): Promise<Client> {
  const client = connect({ address: home.url, key });
  return client.withToken(expectDone(await client.ask("OpenOperatorSession", { input: {} })).token);
}

function pendingOf(answer: unknown): string {
  if (!isRefused(answer) || answer.refusal !== "APPROVAL_PENDING" || answer.pending === undefined)
    throw new Error(`nothing waits: ${JSON.stringify(answer)}`);
  return answer.pending;
}

async function hashOf(id: string): Promise<string> {
  const waiting = expectDone(await first.ask("PendingActions", { state: "PENDING" })).find((one) => one.name === id);
  if (!waiting) throw new Error(`${id} does not wait`);
  return waiting.hash;
}

const second = newProofKey();

test("the socket enrols one operator and nobody after", async () => {
  const late = connect({ address: `unix:${home.socket}`, key: newProofKey() });
  expect(await late.ask("EnrolFirstOperator", { input: { name: "Late" } })).toMatchObject({
    refusal: "BOOTSTRAP_CLOSED",
  });
  late.close();
});

test("one person cannot activate a key, nor approve what they asked for themselves", async () => {
  const asked = await first.ask("ActivateKey", { input: { key: "attest", reason: "release day" } });
  const pending = pendingOf(asked);
  expect(await first.ask("Approve", { input: { pending, hash: await hashOf(pending) } })).toMatchObject({
    refusal: "APPROVAL_INVALID",
  });
  expect(expectDone(await first.ask("Key", { name: "attest" }))?.versions[0]?.state).toBe("PRE_ACTIVATION");
});

test("the requester withdraws what waits, and then it cannot be approved any more", async () => {
  const pending = pendingOf(await first.ask("ActivateKey", { input: { key: "attest", reason: "by mistake" } }));
  const hash = await hashOf(pending);
  expect(expectDone(await first.ask("Deny", { input: { pending, hash } })).pending.state).toBe("WITHDRAWN");
  expect(await first.ask("Approve", { input: { pending, hash } })).toMatchObject({ refusal: "APPROVAL_INVALID" });
});

test("a stranger's key opens no operator session", async () => {
  const stranger = connect({ address: home.url, key: newProofKey() });
  expect(await stranger.ask("OpenOperatorSession", { input: {} })).toMatchObject({ refusal: "UNAUTHENTICATED" });
});

test("the first operator adds the second alone, because there is nobody to ask, and the log says so", async () => {
  const input = { name: "Second", issuer: "key", subject: second.thumbprint, roles: ["OPERATOR" as const] };
  expectDone(await first.ask("AddOperator", { input }));
  const [change] = (await home.entries()).filter(
    (entry) => entry["type"] === "operator.change" && entry["change"] === "added",
  );
  expect(change).toMatchObject({ onePerson: true, operator: { name: "Second" } });
});

test("the second person approves exactly what was asked, and the key signs; both are in the log", async () => {
  const pending = pendingOf(await first.ask("ActivateKey", { input: { key: "attest", reason: "release day" } }));
  const approver = await login(second);
  expect(await approver.ask("Approve", { input: { pending, hash: "0".repeat(64) } })).toMatchObject({
    refusal: "APPROVAL_INVALID",
  });
  expectDone(await approver.ask("Approve", { input: { pending, hash: await hashOf(pending) } }));
  const job = await home.job({ keys: ["attest"] });
  expectDone(await job.sign([statement()]));

  const entries = await home.entries();
  const decide = entries.findIndex((entry) => entry["type"] === "approval.decide" && entry["pending"] === pending);
  expect(entries[decide]).toMatchObject({ verdict: "approved", by: { name: "Second" } });
  expect(entries[decide + 1]).toMatchObject({ type: "key.state", to: "ACTIVE", pending });
  expect(entries[decide + 1]).not.toHaveProperty("onePerson");
});

test("from the second person on, adding another one takes both", async () => {
  const third = newProofKey();
  const pending = pendingOf(
    await first.ask("AddOperator", {
      input: { name: "Third", issuer: "key", subject: third.thumbprint, roles: ["AUDITOR"] },
    }),
  );
  const approver = await login(second);
  expectDone(await approver.ask("Approve", { input: { pending, hash: await hashOf(pending) } }));
  const auditor = await login(third);
  expectDone(await auditor.ask("AuditList", { filter: {}, first: 1 }));
  expect(await auditor.ask("SuspendKey", { input: { key: "attest", reason: "a try" } })).toMatchObject({
    refusal: "ROLE_MISSING",
  });
});

test("a person who was removed is out at once", async () => {
  const gone = await login(second);
  const [person] = expectDone(await first.ask("Operators", {})).filter((one) => one.name === "Second");
  expectDone(await first.ask("RemoveOperator", { input: { operator: person?.id ?? "" } }));
  expect(await gone.ask("Keys", {})).toMatchObject({ refusal: "UNAUTHENTICATED" });
});
