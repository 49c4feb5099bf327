// A session belongs to the key that opened it, ends when it is told to, and follows policy while it lives.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { githubClaims } from "../../src/cli/dev/claims.ts";
import { newProofKey } from "../../src/client/proof.ts";
import { audience, expectDone, type House, house, statement, usualPolicy } from "../support/house.ts";

let home: House;
beforeAll(async () => {
  home = await house({ bearer: true });
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const other = (id: string) => ({ repository_id: "123456", run_id: id });

test("the same token and key give the same session with a fresh token; another key is refused, and that is an incident", async () => {
  const token = await home.issuer.mint(githubClaims({ aud: audience, ...other("1") }));
  const key = newProofKey();
  const first = await home.job({ token, key, uses: 5 });
  expectDone(await first.sign([statement()]));
  const again = await home.job({ token, key });
  expect(again.session).toBe(first.session);
  expect(again.token).not.toBe(first.token);
  expect(expectDone(await again.sign([statement()])).usesLeft).toBe(3);

  expect(await home.openJob({ token })).toMatchObject({ refusal: "TOKEN_REPLAYED" });
  const incident = (await home.entries()).find((entry) => entry["type"] === "incident.token-replayed");
  expect(incident).toMatchObject({ session: first.session });
});

test("a closed session signs nothing, and its identity token opens no other", async () => {
  const token = await home.issuer.mint(githubClaims({ aud: audience, ...other("2") }));
  const key = newProofKey();
  const job = await home.job({ token, key });
  expectDone(await job.client.ask("CloseSession", { input: {} }));
  expect(await job.sign([statement()])).toMatchObject({ refusal: "SESSION_ENDED" });
  expect(await home.openJob({ token, key })).toMatchObject({ refusal: "SESSION_ENDED" });
});

test("an operator revokes a session, and it is over at once", async () => {
  const job = await home.job();
  const operator = await home.operator();
  expectDone(await operator.ask("RevokeSession", { input: { session: job.session, reason: "a leak" } }));
  expect(await job.sign([statement()])).toMatchObject({ refusal: "SESSION_ENDED" });
});

test("a compromised key stops at once and takes its sessions with it", async () => {
  const operator = await home.operator();
  expectDone(
    await operator.ask("CreateKey", {
      input: { name: "doomed", purpose: "ATTESTATION", algorithm: "ED25519", custody: "software" },
    }),
  );
  expectDone(await operator.ask("ActivateKey", { input: { key: "doomed", reason: "for the test" } }));
  writeFileSync(
    join(home.directory, "policy", "grants.yaml"),
    usualPolicy(home.issuer.issuer).replace("[attest, release]", "[attest, release, doomed]"),
  );
  await reloaded(home);
  const job = await home.job({ keys: ["doomed"] });
  expectDone(await job.sign([statement()], { key: "doomed" }));
  expectDone(await operator.ask("ReportKeyCompromised", { input: { key: "doomed", reason: "found on a laptop" } }));
  expect(await job.sign([statement()], { key: "doomed" })).toMatchObject({ refusal: "SESSION_ENDED" });
  expect(await operator.ask("ActivateKey", { input: { key: "doomed", reason: "again" } })).toMatchObject({
    refusal: "KEY_STATE",
  });
});

test("policy is reloaded whole: a session it no longer permits is refused, an invalid file changes nothing", async () => {
  const job = await home.job();
  expectDone(await job.sign([statement()]));
  writeFileSync(join(home.directory, "policy", "grants.yaml"), "grants: [ { name: broken } ]\n");
  home.child().kill("SIGHUP");
  await said(home, "the set in force stays");
  expectDone(await job.sign([statement()]));
  writeFileSync(
    join(home.directory, "policy", "grants.yaml"),
    usualPolicy(home.issuer.issuer).replace("refs/tags/v*", "refs/tags/rc*"),
  );
  await reloaded(home);
  expect(await job.sign([statement()])).toMatchObject({ refusal: "POLICY_CHANGED" });
  writeFileSync(join(home.directory, "policy", "grants.yaml"), usualPolicy(home.issuer.issuer));
  await reloaded(home);
});

/** Reads the policy again, and waits until the log says that it is in force. */
async function reloaded(house: House): Promise<void> {
  const changes = async () => (await house.entries()).filter((entry) => entry["type"] === "policy.change").length;
  const before = await changes();
  house.child().kill("SIGHUP");
  const deadline = Date.now() + 15_000;
  while ((await changes()) === before) {
    if (Date.now() > deadline) throw new Error(`policy did not change:\n${house.said()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function said(house: House, text: string): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!house.said().includes(text)) {
    if (Date.now() > deadline) throw new Error(`the daemon did not say "${text}":\n${house.said()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
