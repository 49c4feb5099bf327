// Two people: what makes a key sign, and who may, is never one person's doing, unless the configuration says so.

import { afterAll, beforeAll, expect, test } from "vitest";
import { personClaims } from "../../src/cli/dev/claims.ts";
import { type Client, connect, isRefused } from "../../src/client/connect.ts";
import { newProofKey, type ProofKey } from "../../src/client/proof.ts";
import { expectDone, type House, house, statement } from "../support/house.ts";

let home: House;
let first: Client;
beforeAll(async () => {
  home = await house({ approvals: "two-persons", people, keys: [{ name: "attest", purpose: "ATTESTATION" }] });
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
let thirds: Client;
/** The audience of people's tokens: the same issuer vouches for jobs under another. */
const people = "signet-people";

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
  thirds = auditor;
  expectDone(await auditor.ask("AuditList", { filter: {}, first: 1 }));
  expect(await auditor.ask("SuspendKey", { input: { key: "attest", reason: "a try" } })).toMatchObject({
    refusal: "ROLE_MISSING",
  });
});

test("nobody rids themselves of the second person: a removal that leaves one decider is refused", async () => {
  const [person] = expectDone(await first.ask("Operators", {})).filter((one) => one.name === "Second");
  expect(await first.ask("RemoveOperator", { input: { operator: person?.id ?? "" } })).toMatchObject({
    refusal: "INPUT_INVALID",
  });
});

test("a person who was removed is out at once", async () => {
  const auditor = expectDone(await first.ask("Operators", {})).find((one) => one.name === "Third");
  expectDone(await first.ask("RemoveOperator", { input: { operator: auditor?.id ?? "" } }));
  expect(await thirds.ask("Keys", {})).toMatchObject({ refusal: "UNAUTHENTICATED" });
});

test("an approval asked for before the key changed is void", async () => {
  const approver = await login(second);
  expectDone(await first.ask("SuspendKey", { input: { key: "attest", reason: "an incident" } }));
  const early = pendingOf(await first.ask("ResumeKey", { input: { key: "attest", reason: "one" } }));
  const late = pendingOf(await first.ask("ResumeKey", { input: { key: "attest", reason: "two" } }));
  const hashes = [await hashOf(early), await hashOf(late)];
  expectDone(await approver.ask("Approve", { input: { pending: early, hash: hashes[0] ?? "" } }));
  expectDone(await first.ask("SuspendKey", { input: { key: "attest", reason: "another incident" } }));
  expect(await approver.ask("Approve", { input: { pending: late, hash: hashes[1] ?? "" } })).toMatchObject({
    refusal: "KEY_STATE",
  });
});

test("a person's identity token logs in once", async () => {
  const subject = "person-7";
  expectDone(await (await login(second)).ask("Viewer", {}));
  const pending = pendingOf(
    await first.ask("AddOperator", {
      input: { name: "Oidc", issuer: home.issuer.issuer, subject, roles: ["AUDITOR"] },
    }),
  );
  expectDone(await (await login(second)).ask("Approve", { input: { pending, hash: await hashOf(pending) } }));
  const identityToken = await home.issuer.mint(personClaims({ sub: subject, aud: people }));
  const once = connect({ address: home.url, key: newProofKey() });
  expectDone(await once.ask("OpenOperatorSession", { input: { identityToken } }));
  const thief = connect({ address: home.url, key: newProofKey() });
  expect(await thief.ask("OpenOperatorSession", { input: { identityToken } })).toMatchObject({
    refusal: "TOKEN_REPLAYED",
  });
});

test("destroying a key takes two people, who approve whether its custody destroys it too; both are in the log", async () => {
  const input = { name: "doomed", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
  expectDone(await first.ask("CreateKey", { input }));
  const destroying = { key: "doomed", backend: true, reason: "made by mistake" };
  const pending = pendingOf(await first.ask("DestroyKey", { input: destroying }));
  expect(expectDone(await first.ask("Key", { name: "doomed" }))?.versions).toMatchObject([{ state: "PRE_ACTIVATION" }]);
  const hash = await hashOf(pending);
  expect(await first.ask("Approve", { input: { pending, hash } })).toMatchObject({ refusal: "APPROVAL_INVALID" });
  const waiting = expectDone(await first.ask("PendingActions", { state: "PENDING" }));
  expect(waiting.find((one) => one.name === pending)?.action).toMatchObject({
    kind: "key.destroy",
    key: "doomed",
    number: 1,
    backend: true,
  });
  expectDone(await (await login(second)).ask("Approve", { input: { pending, hash } }));
  expect(expectDone(await first.ask("Key", { name: "doomed" }))?.versions).toMatchObject([{ state: "DESTROYED" }]);

  const entries = await home.entries();
  const decided = entries.findIndex((one) => one["type"] === "approval.decide" && one["pending"] === pending);
  expect(entries.slice(decided, decided + 4)).toMatchObject([
    { verdict: "approved", by: { name: "Second" } },
    { type: "key.destroy.intent", pending, by: { name: "Second" }, reason: "made by mistake" },
    { type: "key.destroy.outcome", result: "done", pending },
    { type: "key.state", to: "DESTROYED", backend: "destroyed", pending },
  ]);
  expect(JSON.stringify(entries.slice(decided))).not.toContain("onePerson");
});

test("a destruction that was asked for before the key was activated is void", async () => {
  const approver = await login(second);
  const input = { name: "spared", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
  expectDone(await first.ask("CreateKey", { input }));
  const pending = pendingOf(
    await first.ask("DestroyKey", { input: { key: "spared", backend: true, reason: "a try" } }),
  );
  const activating = pendingOf(
    await first.ask("ActivateKey", { input: { key: "spared", reason: "needed after all" } }),
  );
  const hash = await hashOf(pending);
  expectDone(await approver.ask("Approve", { input: { pending: activating, hash: await hashOf(activating) } }));
  expect(await approver.ask("Approve", { input: { pending, hash } })).toMatchObject({ refusal: "KEY_STATE" });
  expect(expectDone(await first.ask("Key", { name: "spared" }))?.versions).toMatchObject([{ state: "ACTIVE" }]);
});

test("what waits is read one by one; one person's requests never fill the list, and withdrawing one makes room", async () => {
  const input = { name: "wanted", purpose: "BLOB", algorithm: "EC_P256", custody: "software" } as const;
  expectDone(await first.ask("CreateKey", { input }));
  const asking = (client: Client) => client.ask("ActivateKey", { input: { key: "wanted", reason: "again and again" } });
  const waiting: string[] = [];
  let last = await asking(first);
  for (; isRefused(last) && last.pending !== undefined && waiting.length < 101; last = await asking(first))
    waiting.push(last.pending);
  expect(last).toMatchObject({ refusal: "RATE_LIMITED", message: /^100 actions that First asked for wait/ });
  expect(isRefused(last) && last.retryAfter).toBeGreaterThan(86_000);
  expect(last).toHaveProperty("entry");
  expect(pendingOf(await asking(await login(second))), "others are not held up").toMatch(/^pa_/);

  const [id = ""] = waiting;
  const found = expectDone(await first.ask("PendingAction", { id }));
  expect(found).toMatchObject({ id, name: id, requester: "First", state: "PENDING", action: { key: "wanted" } });
  expect(expectDone(await first.ask("PendingAction", { id: "pa_NONE" }))).toBeNull();
  expectDone(await first.ask("Deny", { input: { pending: id, hash: found?.hash ?? "" } }));
  expect(expectDone(await first.ask("PendingAction", { id }))?.state).toBe("WITHDRAWN");
  expect(pendingOf(await asking(first))).toMatch(/^pa_/);
});
