// A job signs, the log knows, and a stranger can check it: the product's main walk, through the real daemon.

import { verify } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Signature } from "../../src/client/answers.ts";
import { isRefused } from "../../src/client/connect.ts";
import { fromBase64 } from "../../src/std/base64.ts";
import { verifyReceipt } from "../../src/tlog/proof.ts";
import { parseVkey } from "../../src/tlog/vkey.ts";
import { blob, expectDone, type House, house, leafOf, provenance, statement } from "../support/house.ts";

let home: House;
beforeAll(async () => {
  home = await house({ uses: 50 });
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

test("a job gets a statement signed, and the receipt alone convinces with the log's vkey", async () => {
  const job = await home.job();
  const answer = expectDone(await job.sign([statement("app-1.4.0.tgz")]));
  const [signature] = answer.signatures;
  const key = expectDone(await (await home.operator()).ask("Key", { name: "attest" }));
  const envelope = envelopeOf(signature);
  const payload = fromBase64(envelope.payload);
  const pae = Buffer.concat([
    Buffer.from(`DSSEv1 ${String(envelope.payloadType.length)} ${envelope.payloadType} ${String(payload.length)} `),
    payload,
  ]);
  expect(verify("sha256", pae, key?.versions[0]?.publicKey ?? "", fromBase64(signature?.value ?? ""))).toBe(true);

  const vkey = expectDone(await job.client.ask("Vkey", {}));
  const verdict = verifyReceipt({
    receipt: answer.receipt.tlogProof,
    logs: [parseVkey(vkey)],
  });
  expect(verdict).toMatchObject({ verdict: "in-log", witnessed: false });
  const leaf = JSON.parse(leafOf(answer.receipt)) as Record<string, unknown>;
  expect(leaf).toMatchObject({
    type: "sign.outcome",
    result: "done",
    by: { project: "acme/app", ref: "refs/tags/v1.4.0" },
    key: { name: "attest", version: 1 },
  });
});

test("SLSA provenance is filled in from verified claims, and a caller who says otherwise is refused", async () => {
  const job = await home.job();
  const item = (predicate: object) => ({
    statement: {
      subject: [{ name: "a.tgz", digest: `sha256:${"ab".repeat(32)}` }],
      predicateType: provenance,
      predicate: predicate as never,
    },
  });
  const answer = expectDone(await job.sign([item({ buildDefinition: { buildType: "https://example.com/build/v1" } })]));
  const envelope = envelopeOf(answer.signatures[0]);
  const said = Buffer.from(envelope.payload, "base64").toString();
  expect(said).toContain("https://github.com/acme/app");
  expect(said).toContain("refs/tags/v1.4.0");
  const lie = await job.sign([
    item({
      buildDefinition: {
        buildType: "https://example.com/build/v1",
        externalParameters: { workflow: { ref: "refs/heads/evil" } },
      },
    }),
  ]);
  expect(lie).toMatchObject({ refusal: "ITEM_INVALID" });
});

test("the same idempotency key gives the same answer and spends nothing", async () => {
  const job = await home.job({ uses: 3 });
  const item = statement();
  const first = expectDone(await job.sign([item], { idempotencyKey: "build-1" }));
  const second = expectDone(await job.sign([item], { idempotencyKey: "build-1" }));
  expect(second.signatures[0]?.value).toBe(first.signatures[0]?.value);
  expect(second.receipt.entry).toBe(first.receipt.entry);
  expect(second.usesLeft).toBe(2);
  expect(await job.sign([statement()], { idempotencyKey: "build-1" })).toMatchObject({
    refusal: "IDEMPOTENCY_MISMATCH",
  });
});

test("a job of another branch is told why, and the refusal is in the log", async () => {
  const refused = await home.openJob({ claims: { ref: "refs/heads/feature-x", ref_type: "branch" } });
  expect(refused).toMatchObject({ refusal: "POLICY_DENIED" });
  const { message, entry } = refused as { message: string; entry: number };
  expect(message).toContain("refs/heads/feature-x");
  const all = await home.entries();
  const recorded = all.find((one) => one["index"] === entry);
  expect(recorded).toMatchObject({ type: "refusal", code: "POLICY_DENIED", by: { ref: "refs/heads/feature-x" } });
});

test("an item that is no item is refused before any use case, and the refusal is in the log all the same", async () => {
  const job = await home.job();
  const text = { statement: { subject: [], predicateType: "https://example.com/test/v1", predicate: "text" as never } };
  const refused = await job.sign([text]);
  expect(refused).toMatchObject({ refusal: "ITEM_INVALID" });
  const { entry } = refused as { entry: number };
  const recorded = (await home.entries()).find((one) => one["index"] === entry);
  expect(recorded).toMatchObject({ type: "refusal", code: "ITEM_INVALID", action: "sign", session: job.session });
});

test("50 requests race for the last use: exactly one signature; two items on one use: none", async () => {
  const greedy = await home.job({ uses: 1 });
  expect(await greedy.sign([statement(), statement()])).toMatchObject({ refusal: "SESSION_SPENT" });
  const answers = await Promise.all(Array.from({ length: 50 }, () => greedy.sign([statement()])));
  expect(answers.filter((one) => !isRefused(one))).toHaveLength(1);
  expect(answers.filter(isRefused).every((one) => one.refusal === "SESSION_SPENT")).toBe(true);
  const signed = (await home.entries()).filter(
    (entry) => entry["type"] === "sign.outcome" && entry["session"] === greedy.session,
  );
  expect(signed).toHaveLength(1);
});

test("a suspended key refuses to sign, and resumes", async () => {
  const operator = await home.operator();
  const job = await home.job();
  expectDone(await operator.ask("SuspendKey", { input: { key: "release", reason: "a look at it" } }));
  expect(await job.sign([blob()], { key: "release" })).toMatchObject({ refusal: "KEY_NOT_ACTIVE" });
  expectDone(await operator.ask("ResumeKey", { input: { key: "release", reason: "all is well" } }));
  expectDone(await job.sign([blob()], { key: "release" }));
});

test("after a restart the log goes on, sessions live, and answers are remembered", async () => {
  const job = await home.job({ uses: 4 });
  const item = statement();
  const before = expectDone(await job.sign([item], { idempotencyKey: "over-the-restart" }));
  expect(await home.stop("SIGTERM")).toBe(0);
  await home.start();
  const again = expectDone(await job.sign([item], { idempotencyKey: "over-the-restart" }));
  expect(again.receipt.entry).toBe(before.receipt.entry);
  expect(expectDone(await job.sign([statement()])).usesLeft).toBe(2);
  const entries = await home.entries();
  expect(entries.filter((one) => one["type"] === "daemon.start")).toHaveLength(2);
  expect(entries.filter((one) => one["type"] === "daemon.stop")).toHaveLength(1);
});

/** Of a Sigstore bundle with a statement. */
function envelopeOf(signature: Signature | undefined): { readonly payload: string; readonly payloadType: string } {
  const bundle = signature?.bundle as { readonly dsseEnvelope?: { payload: string; payloadType: string } } | undefined; // bundle v0.3
  if (!bundle?.dsseEnvelope) throw new Error("the bundle holds no envelope");
  return bundle.dsseEnvelope;
}
