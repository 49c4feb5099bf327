// What goes wrong with AWS KMS. In every case: the caller hears which custody failed and whether to try again, nothing
// hangs past its deadline, nothing is asked twice that may have signed once, and it works again without a restart.

import { spawn } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  ScheduleKeyDeletionCommand,
} from "@aws-sdk/client-kms";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { verifies } from "../../src/broker/verify.ts";
import { parseKmsUri } from "../../src/custody/aws-kms-uri.ts";
import type { KeyVersion } from "../../src/model/key.ts";
import type { Custody, ToBeSigned } from "../../src/ports/custody.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { type FaultProxy, faultProxy, type Trouble } from "../support/fault-proxy.ts";
import { askOnce, publishedLog } from "../support/faults.ts";
import { bareHouse, expectDone, type House, type Job, provenance, statement, usualPolicy } from "../support/house.ts";
import { type KmsServer, kmsAccount, kmsCustody, kmsRegion, startKms } from "../support/kms.ts";
import { lacks } from "../support/peers.ts";

const never = new AbortController().signal;
const sign = { header: "x-amz-target: TrentService.Sign" };
const message: ToBeSigned = { form: "message", bytes: Buffer.from("to be signed") };

/** An answer of KMS that says no. */
const says = (type: string, text: string, more: Partial<Extract<Trouble, { trouble: "answer" }>> = {}): Trouble => ({
  trouble: "answer",
  done: false,
  status: 400,
  headers: { "content-type": "application/x-amz-json-1.1" },
  body: { __type: type, message: text },
  ...more,
});
const throttled = says("ThrottlingException", "Rate exceeded");

describe.skipIf(await lacks("ministack"))("AWS KMS", () => {
  let server: KmsServer;
  let proxy: FaultProxy;

  beforeAll(async () => {
    server = await startKms();
    proxy = await faultProxy(server.url);
  });
  afterEach(() => {
    proxy.forget();
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  describe("the custody alone", () => {
    let custody: Custody;
    let key: KeyVersion;
    let arn: string;

    beforeAll(async () => {
      custody = kmsCustody(proxy.url, { timeout: "PT1S" });
      key = await created(custody, "faults");
      arn = parseKmsUri(key.uri)?.name ?? "";
    });
    afterAll(async () => custody[Symbol.asyncDispose]());

    const works = async (): Promise<boolean> => verifies(key, [message], await custody.sign(key, [message], never));

    test("a disabled key: not permitted, nothing signed, no use in asking again until somebody enables it", async () => {
      await server.client.send(new DisableKeyCommand({ KeyId: arn }));
      await expect(custody.sign(key, [message], never)).rejects.toMatchObject({
        code: "CUSTODY_DOWN",
        custody: "kms",
        nothingHappened: true,
        retryAfter: undefined,
        message: expect.stringContaining("disabled") as string,
      });
      expect(proxy.count(sign)).toBe(1);
      expect(await custody.describe(key.uri, never, key)).toMatchObject({
        uri: key.uri,
        trouble: "it is disabled at KMS",
      });
      await server.client.send(new EnableKeyCommand({ KeyId: arn }));
      expect(await works()).toBe(true);
    });

    test("a disabled key whose public key KMS does not tell is described by the one that we know", async () => {
      proxy.spoil(
        { header: "x-amz-target: TrentService.GetPublicKey" },
        says("DisabledException", `${arn} is disabled.`),
      );
      expect(await custody.describe(key.uri, never, key)).toMatchObject({ publicKey: key.publicKey });
      await expect(custody.describe(key.uri, never)).rejects.toMatchObject({ nothingHappened: true });
    });

    test("a key that waits for its deletion", async () => {
      await server.client.send(new ScheduleKeyDeletionCommand({ KeyId: arn, PendingWindowInDays: 7 }));
      await expect(custody.sign(key, [message], never)).rejects.toMatchObject({
        code: "CUSTODY_DOWN",
        custody: "kms",
        nothingHappened: true,
        retryAfter: undefined,
      });
      const described = await custody.describe(key.uri, never, key);
      expect(described?.trouble).toMatch(/^it waits for its deletion at KMS on \d{4}-/);
      await server.client.send(new CancelKeyDeletionCommand({ KeyId: arn }));
      await server.client.send(new EnableKeyCommand({ KeyId: arn }));
      expect(await works()).toBe(true);
    });

    test("throttled for a moment: asked again, and signed once", async () => {
      proxy.spoil(sign, throttled, 2);
      expect(await works()).toBe(true);
      expect(proxy.count(sign)).toBe(3);
    });

    test("throttled for long: busy, with the time to come again; not asked for ever", async () => {
      proxy.spoil(sign, throttled);
      await expect(custody.sign(key, [message], never)).rejects.toMatchObject({
        code: "OVERLOADED",
        custody: "kms",
        nothingHappened: true,
        retryAfter: 2,
      });
      expect(proxy.count(sign)).toBe(5);
      proxy.forget();
      expect(await works()).toBe(true);
    });

    test("a clock that is off: the client learns the time from AWS and asks once more, and says so", async () => {
      const warnings: unknown[] = [];
      const log = {
        info: () => undefined,
        error: () => undefined,
        warn: (...words: unknown[]) => warnings.push(words),
      };
      await using own = kmsCustody(proxy.url, { log });
      const skewed = says("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than …", {
        headers: {
          "content-type": "application/x-amz-json-1.1",
          date: new Date(Date.now() + 3_600_000).toUTCString(),
        },
      });
      proxy.spoil(sign, skewed, 1);
      expect(await verifies(key, [message], await own.sign(key, [message], never))).toBe(true);
      const [first, second] = proxy.asked.map(({ headers }) => stampOf(headers["x-amz-date"]));
      expect(Math.abs((second ?? 0) - (first ?? 0) - 3_600_000)).toBeLessThan(10_000);
      expect(JSON.stringify(warnings)).toContain("clock");

      proxy.forget();
      proxy.spoil(sign, skewed);
      await expect(own.sign(key, [message], never)).rejects.toMatchObject({
        code: "CUSTODY_DOWN",
        nothingHappened: true,
        retryAfter: 5,
        message: expect.stringContaining("clock") as string,
      });
      expect(proxy.count(sign)).toBe(2);
    });

    test("a key of another region: KMS is not even asked", async () => {
      await using elsewhere = kmsCustody(proxy.url, { region: "us-east-1" });
      for (const asked of [elsewhere.sign(key, [message], never), elsewhere.describe(key.uri, never)]) {
        await expect(asked).rejects.toMatchObject({
          code: "CUSTODY_DOWN",
          custody: "kms",
          nothingHappened: true,
          retryAfter: undefined,
          message: expect.stringContaining(
            "the key is in eu-central-1, and this custody asks KMS in us-east-1",
          ) as string,
        });
      }
      expect(proxy.asked).toHaveLength(0);
      expect(await elsewhere.describe("awskms:///alias/signet-faults-1", never)).toBeUndefined();
    });

    test.each<[string, Trouble]>([
      ["cut in the middle of the answer", { trouble: "cut-mid-answer" }],
      ["cut before an answer", { trouble: "cut", done: true }],
      ["a 500 after the work was done", says("KMSInternalException", "try again", { done: true, status: 500 })],
      ["a dependency that timed out", says("DependencyTimeoutException", "try again", { done: true, status: 500 })],
      [
        "the page of some other proxy",
        { trouble: "answer", done: true, status: 502, body: "<html>Bad Gateway</html>" },
      ],
      ["a page that says 200", { trouble: "answer", done: true, status: 200, body: "<html>Please log in</html>" }],
    ])("%s: it may have signed, so it is not asked again", async (_, trouble) => {
      proxy.spoil(sign, trouble, 1);
      const attempt = custody.sign(key, [message], never);
      await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", custody: "kms", nothingHappened: false });
      expect(proxy.count(sign)).toBe(1);
      expect(await works()).toBe(true);
    });

    test("a question that changes nothing is asked again after a cut", async () => {
      proxy.spoil({ header: "x-amz-target: TrentService.DescribeKey" }, { trouble: "cut-mid-answer" }, 1);
      proxy.spoil({ header: "x-amz-target: TrentService.GetPublicKey" }, { trouble: "cut", done: false }, 2);
      expect(await custody.describe(key.uri, never)).toMatchObject({ publicKey: key.publicKey });
    });

    test.each<[string, Trouble]>([
      ["no answer at all", { trouble: "swallow", done: true }],
      ["an answer byte by byte", { trouble: "drip", every: 30 }],
    ])("%s: ends at the request's deadline, and nobody knows what it did", async (_, trouble) => {
      proxy.spoil(sign, trouble, 1);
      const started = performance.now();
      const attempt = custody.sign(key, [message], never);
      await expect(attempt).rejects.toMatchObject({
        code: "CUSTODY_TIMEOUT",
        custody: "kms",
        nothingHappened: false,
        retryAfter: 2,
      });
      expect(performance.now() - started).toBeLessThan(2_000);
      expect(proxy.count(sign)).toBe(1);
      expect(await works()).toBe(true);
    });

    test("an address where nobody answers: nothing was sent, and it is told from a KMS that is slow", async () => {
      await using hole = await blackHole();
      await using lost = kmsCustody(hole.url, { timeout: "PT1S" });
      await expect(lost.sign(key, [message], never)).rejects.toMatchObject({
        code: "CUSTODY_DOWN",
        custody: "kms",
        nothingHappened: true,
        retryAfter: 5,
        message: expect.stringContaining("cannot be reached") as string,
      });
    });

    test("the caller's deadline stands above all: also while it waits to ask again", async () => {
      proxy.spoil(sign, throttled);
      const started = performance.now();
      const attempt = custody.sign(key, [message], AbortSignal.timeout(60));
      await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", custody: "kms" });
      expect(performance.now() - started).toBeLessThan(500);
    });

    test("nobody there: nothing was sent, come again", async () => {
      await proxy.down();
      await sleep(50); // until our end has seen that its idle connections are gone
      const failed: unknown = await custody.sign(key, [message], never).catch((error: unknown) => error);
      await proxy.up();
      expect(failed).toMatchObject({ code: "CUSTODY_DOWN", custody: "kms", nothingHappened: true, retryAfter: 5 });
      expect(custody.health?.()).toMatchObject({ status: "warn" });
      expect(await works()).toBe(true);
      expect(custody.health?.()).toMatchObject({ status: "ok" });
    });

    test.each([
      ["KeyId", `arn:aws:kms:${kmsRegion}:${kmsAccount}:key/00000000-0000-4000-8000-000000000000`],
      ["SigningAlgorithm", "ECDSA_SHA_384"],
    ])("an answer that names another %s than was asked for is no answer", async (field, other) => {
      const body = (answer: { readonly body: Buffer }): object => ({
        ...(JSON.parse(answer.body.toString()) as object),
        [field]: other,
      });
      proxy.spoil(sign, { trouble: "rewrite", body }, 1);
      await expect(custody.sign(key, [message], never)).rejects.toMatchObject({ code: "SIGNATURE_WRONG" });
    });

    test("a batch that fails halfway may have signed, and nothing more of it is begun", async () => {
      await using narrow = kmsCustody(proxy.url, { parallel: 1 });
      let asked = 0;
      proxy.spoil(
        ({ headers }) => {
          asked += headers["x-amz-target"] === "TrentService.Sign" ? 1 : 0;
          return asked === 4;
        },
        says("DisabledException", "is disabled"),
      );
      const attempt = narrow.sign(key, Array<ToBeSigned>(20).fill(message), never);
      await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: false });
      expect(proxy.count(sign)).toBe(4);
    });

    test("wrong credentials: the custody is away as a whole", async () => {
      proxy.spoil(sign, says("UnrecognizedClientException", "The security token included in the request is invalid."));
      await expect(custody.sign(key, [message], never)).rejects.toMatchObject({
        nothingHappened: true,
        retryAfter: 30,
      });
    });
  });

  describe("a daemon in front of it", () => {
    let home: House;
    let job: Job;

    beforeAll(async () => {
      home = await bareHouse({ config: configOf(proxy.url) });
      const grants = usualPolicy(home.issuer.issuer).replace("[attest, release]", "[attest, release, edwards]");
      writeFileSync(join(home.directory, "policy", "grants.yaml"), grants);
      await home.start({ env: { KMS_ID: "test", KMS_SECRET: "test" } });
      const operator = await home.operator();
      for (const custody of ["kms", "software"] as const) {
        const name = custody === "kms" ? "attest" : "release";
        const input = { name, purpose: "ATTESTATION" as const, algorithm: "EC_P256" as const, custody };
        expectDone(await operator.ask("CreateKey", { input }));
        expectDone(await operator.ask("ActivateKey", { input: { key: name, reason: "for the test" } }));
      }
      job = await home.job();
    }, 90_000);
    afterAll(async () => home[Symbol.asyncDispose]());

    const ask = (key: string) =>
      askOnce(home, job, "Sign", {
        input: { idempotencyKey: crypto.randomUUID(), key, items: [statement("app", provenance)] },
      });

    test.each<[string, Trouble, object, string]>([
      ["throttled", throttled, { code: "OVERLOADED", custody: "kms", retryable: true }, "failed"],
      [
        "disabled",
        says("DisabledException", "is disabled"),
        { code: "CUSTODY_DOWN", custody: "kms", retryable: false },
        "failed",
      ],
      [
        "waiting for its deletion",
        says("KMSInvalidStateException", "is pending deletion."),
        { code: "CUSTODY_DOWN", custody: "kms", retryable: false },
        "failed",
      ],
      [
        "of the opinion that our clock is wrong",
        says("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than …"),
        { code: "CUSTODY_DOWN", custody: "kms", retryable: true, retryAfter: 5 },
        "failed",
      ],
      [
        "cut in the middle of the answer",
        { trouble: "cut-mid-answer" },
        { code: "CUSTODY_DOWN", custody: "kms", retryable: false },
        "unknown",
      ],
      [
        "silent",
        { trouble: "swallow", done: true },
        { code: "CUSTODY_TIMEOUT", custody: "kms", retryable: false },
        "unknown",
      ],
      [
        "answering with garbage",
        { trouble: "rewrite", body: spoiledSignature },
        { code: "SIGNATURE_WRONG", custody: "kms", retryable: false },
        "withheld",
      ],
    ])(
      "%s: the fault says what to do, the log has both halves, the neighbour signs on",
      async (_, trouble, fault, result) => {
        proxy.spoil(sign, trouble);
        const started = performance.now();
        const [failed, neighbour] = await Promise.all([ask("attest"), ask("release")]);
        expect(performance.now() - started).toBeLessThan(6_000);
        expect(failed).toMatchObject(fault);
        expect(failed?.data?.["signatures"]).toBeUndefined();
        expect(neighbour?.data?.["signatures"]).toHaveLength(1);
        proxy.forget();
        const again = await ask("attest");
        expect(again?.data?.["signatures"]).toHaveLength(1);

        await expectPairs([{ result, ...("code" in fault && { code: fault.code }) }, { result: "done" }]);
      },
    );

    /** The last outcomes of keys at KMS, each of an intent that says the same key. */
    async function expectPairs(expected: readonly object[]): Promise<void> {
      const entries = await home.entries();
      const outcomes = entries
        .filter((one) => one["type"] === "sign.outcome" && (one["key"] as { custody: string }).custody === "kms")
        .slice(-expected.length);
      expect(outcomes).toMatchObject(expected);
      for (const { intent, key } of outcomes) {
        const { index } = intent as { readonly index: number }; // as every outcome has it
        expect(entries.find((one) => one["index"] === index)).toMatchObject({ type: "sign.intent", key });
      }
    }

    test("a wrong signature stands in doctor until the key signs well again or its state is changed", async () => {
      const operator = await home.operator();
      const check = async () =>
        expectDone(await operator.ask("Health", {})).checks.find(({ name }) => name === "key attest/1");
      const signsWrong = async (): Promise<void> => {
        const rule = proxy.spoil(sign, { trouble: "rewrite", body: spoiledSignature });
        expect(await ask("attest")).toMatchObject({ code: "SIGNATURE_WRONG" });
        rule.lift();
        expect(await check()).toMatchObject({ status: "fail", message: /a signature that is not by this key/ });
      };
      await signsWrong();
      expectDone(await operator.ask("SuspendKey", { input: { key: "release", reason: "another one" } }));
      expectDone(await operator.ask("ResumeKey", { input: { key: "release", reason: "another one" } }));
      expect(await check()).toMatchObject({ status: "fail" });
      expect((await ask("attest"))?.data?.["signatures"]).toHaveLength(1);
      expect(await check()).toBeUndefined();
      await signsWrong();
      expectDone(await operator.ask("SuspendKey", { input: { key: "attest", reason: "it signs wrong" } }));
      expectDone(await operator.ask("ResumeKey", { input: { key: "attest", reason: "it was the way there" } }));
      expect(await check()).toBeUndefined();
    });

    test("of another region: KMS is not even asked, the log has both halves, and the neighbour signs", async () => {
      const configured = readFileSync(home.config, "utf8");
      const env = { KMS_ID: "test", KMS_SECRET: "test" };
      const startsIn = async (region: string): Promise<void> => {
        await home.stop();
        writeFileSync(home.config, configured.replace(`region: ${kmsRegion}`, `region: ${region}`));
        await home.start({ env });
        job = await home.job();
        proxy.forget();
      };
      await startsIn("us-east-1");
      const [failed, neighbour] = await Promise.all([ask("attest"), ask("release")]);
      expect(failed).toMatchObject({ code: "CUSTODY_DOWN", custody: "kms", retryable: false });
      expect(neighbour?.data?.["signatures"]).toHaveLength(1);
      expect(proxy.count(sign)).toBe(0);
      await startsIn(kmsRegion);
      expect((await ask("attest"))?.data?.["signatures"]).toHaveLength(1);
      await expectPairs([{ result: "failed", code: "CUSTODY_DOWN" }, { result: "done" }]);
    });

    test("a key that is not one of ours does not come in, and the operator hears what it is", async () => {
      const input = { KeySpec: "ECC_SECG_P256K1", KeyUsage: "SIGN_VERIFY" } as const;
      const { KeyMetadata } = await server.client.send(new CreateKeyCommand(input));
      const uri = `awskms:///${KeyMetadata?.Arn ?? ""}`;
      const heard = await askOnce(home, await home.operatorLogin(), "EnrollKey", {
        input: { name: "koblitz", purpose: "ATTESTATION", custody: "kms", uri },
      });
      expect(heard).toMatchObject({
        code: "CUSTODY_DOWN",
        custody: "kms",
        retryable: false,
        hint: expect.stringContaining("it is ECC_SECG_P256K1 for SIGN_VERIFY; Signet takes") as string,
      });
    });

    test("enrolled by its alias, a key is recorded and signs by its ARN; too long a message for Ed25519 costs no use", async () => {
      const input = { KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" } as const;
      const { KeyMetadata } = await server.client.send(new CreateKeyCommand(input));
      const arn = KeyMetadata?.Arn ?? "";
      await server.client.send(new CreateAliasCommand({ AliasName: "alias/theirs", TargetKeyId: arn }));
      const operator = await home.operator();
      const asked = { name: "edwards", purpose: "ATTESTATION", custody: "kms", uri: "awskms:///alias/theirs" } as const;
      expectDone(await operator.ask("EnrollKey", { input: asked }));
      expectDone(await operator.ask("ActivateKey", { input: { key: "edwards", reason: "for the test" } }));
      expect((await home.entries()).findLast((one) => one["type"] === "key.enroll.outcome")).toMatchObject({
        result: "done",
        uri: `awskms:///${arn}`,
        asked: "awskms:///alias/theirs",
        protection: { level: "SERVICE", proved: [] },
      });

      const edwards = await home.job({ keys: ["edwards"], uses: 1 });
      const long = {
        statement: {
          subject: [{ name: "app", digest: `sha256:${sha256Hex("app")}` }],
          predicateType: provenance,
          predicate: { text: "x".repeat(4096) },
        },
      };
      expect(await edwards.sign([long], { key: "edwards" })).toMatchObject({
        refusal: "ALGORITHM_UNFIT",
        message: expect.stringContaining("at most 4096 with ED25519") as string,
      });
      expectDone(await edwards.sign([statement("app", provenance)], { key: "edwards" }));
    });

    test("the log holds for a stranger", async () => {
      expect(await publishedLog(home)).not.toHaveLength(0);
    });
  });
});

/** A port on loopback that drops whoever wants to connect: its queue is full, and who should empty it stands still. */
async function blackHole(): Promise<AsyncDisposable & { readonly url: string }> {
  const listening = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
    process.stdout.write(String(this.address().port));
  })`;
  const child = spawn(process.execPath, ["-e", listening], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = (await once(child.stdout, "data")) as [Buffer]; // the one thing that it writes
  child.kill("SIGSTOP");
  const waiting: Socket[] = [];
  const isTaken = async (): Promise<boolean> => {
    const socket = connect(Number(port.toString()), "127.0.0.1").on("error", () => undefined);
    waiting.push(socket);
    return Promise.race([once(socket, "connect").then(() => true), sleep(200, false)]);
  };
  while (await isTaken());
  return {
    url: `http://127.0.0.1:${port.toString()}`,
    async [Symbol.asyncDispose]() {
      for (const socket of waiting) socket.destroy();
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function created(custody: Custody, name: string): Promise<KeyVersion> {
  const version = { key: name, number: 1, purpose: "ATTESTATION", algorithm: "EC_P256" } as const;
  const made = await custody.create?.(version, never);
  if (made === undefined) throw new Error("it makes no keys");
  const fingerprint = sha256Hex(createPublicKey(made.publicKey).export({ format: "der", type: "spki" }));
  return { ...version, ...made, fingerprint, state: "ACTIVE", custody: "kms", createdAt: "2026-01-01T00:00:00.000Z" };
}

/** `20260102T030405Z`, as milliseconds. */
const stampOf = (stamp: unknown): number =>
  Date.parse(String(stamp).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));

function spoiledSignature({ body }: { readonly body: Buffer }): object {
  const answer = JSON.parse(body.toString()) as { readonly Signature: string };
  const signature = Buffer.from(answer.Signature, "base64");
  const last = signature.length - 1;
  signature.writeUInt8(signature.readUInt8(last) ^ 1, last);
  return { ...answer, Signature: signature.toString("base64") };
}

const configOf = (url: string): string => `custodies:
  - kind: software
  - kind: aws-kms
    name: kms
    region: ${kmsRegion}
    endpoint: ${url}
    timeout: PT2S
    credentials: { accessKeyId: { env: KMS_ID }, secretAccessKey: { env: KMS_SECRET } }
`;
