// What is AWS KMS's own: names and pinned keys, what it tells of a key, making one once, letting one go, counting uses.

import { createPublicKey } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import {
  CreateAliasCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DescribeKeyCommand,
  DisableKeyCommand,
  KMSClient,
  ListKeysCommand,
  ListResourceTagsCommand,
  PutKeyPolicyCommand,
  UpdateAliasCommand,
} from "@aws-sdk/client-kms";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { verifies } from "../../src/broker/verify.ts";
import { awsKmsKind } from "../../src/custody/aws-kms.ts";
import { countSigns, silentDay } from "../../src/custody/aws-kms-trail.ts";
import { parseKmsUri, pinnedUri } from "../../src/custody/aws-kms-uri.ts";
import { pace } from "../../src/custody/pace.ts";
import type { KeyAlgorithm, KeyVersion } from "../../src/model/key.ts";
import type { Custody, KeyDescription, ToBeSigned } from "../../src/ports/custody.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { blocksOf } from "../docs/blocks.ts";
import { type FaultProxy, faultProxy } from "../support/fault-proxy.ts";
import { type KmsServer, kmsAccount, kmsCustody, kmsRegion, startKms } from "../support/kms.ts";
import { lacks } from "../support/peers.ts";

const never = new AbortController().signal;
const message: ToBeSigned = { form: "message", bytes: Buffer.from("to be signed") };
const uuid = "1234abcd-12ab-34cd-56ef-1234567890ab";
const someArn = `arn:aws:kms:${kmsRegion}:${kmsAccount}:key/${uuid}`;

describe("a key's name", () => {
  test.each<[string, ReturnType<typeof parseKmsUri>]>([
    [`awskms:///${someArn}`, { name: someArn, region: kmsRegion, pinned: true, pss: false }],
    [`awskms:///${someArn}?padding=pss`, { name: someArn, region: kmsRegion, pinned: true, pss: true }],
    [`awskms:///${uuid}`, { name: uuid, region: undefined, pinned: false, pss: false }],
    ["awskms:///alias/release", { name: "alias/release", region: undefined, pinned: false, pss: false }],
    [
      `awskms:///arn:aws-us-gov:kms:us-gov-west-1:${kmsAccount}:alias/a/b`,
      {
        name: `arn:aws-us-gov:kms:us-gov-west-1:${kmsAccount}:alias/a/b`,
        region: "us-gov-west-1",
        pinned: false,
        pss: false,
      },
    ],
    [
      `awskms:///mrk-${"0a".repeat(16)}`,
      { name: `mrk-${"0a".repeat(16)}`, region: undefined, pinned: false, pss: false },
    ],
    [`awskms://kms.example.com/${someArn}`, undefined],
    [`awskms:///${someArn}?padding=pkcs1`, undefined],
    [`awskms:///${someArn} `, undefined],
    [`awskms:///${someArn}\n`, undefined],
    [`awskms:///arn:aws:s3:${kmsRegion}:${kmsAccount}:key/${uuid}`, undefined],
    ["awskms:///release", undefined],
    ["hashivault://release", undefined],
    ["", undefined],
  ])("%j", (uri, read) => {
    expect(parseKmsUri(uri)).toEqual(read);
  });

  test("what is pinned is read back as it was, and nothing else is pinned", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.boolean(), (id, pss) => {
        const arn = `arn:aws:kms:us-east-1:123456789012:key/${id}`;
        const uri = pinnedUri(arn, pss ? "RSA_3072_PSS" : "EC_P256");
        expect(parseKmsUri(uri)).toEqual({ name: arn, region: "us-east-1", pinned: true, pss });
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseKmsUri(`awskms:///${text}`)?.pinned ?? false).toBe(false);
      }),
    );
  });
});

describe("the configuration", () => {
  const usual = { kind: "aws-kms", region: kmsRegion };
  test.each<[string, object]>([
    ["no region", { kind: "aws-kms" }],
    ["a field that is not known", { ...usual, keyId: "x" }],
    ["http to another machine", { ...usual, endpoint: "http://kms.example.com" }],
    ["no url", { ...usual, endpoint: "kms.example.com" }],
    ["a key in the open", { ...usual, credentials: { accessKeyId: "AKIA", secretAccessKey: "x" } }],
    ["half a pair", { ...usual, credentials: { accessKeyId: { env: "A" } } }],
    ["a window under a week", { ...usual, deletionWindow: "P6D" }],
    ["a window of hours", { ...usual, deletionWindow: "P7DT1H" }],
    ["a prefix of Amazon's", { ...usual, aliasPrefix: "aws" }],
    ["a tag of ours", { ...usual, tags: { "signet-key": "x" } }],
    ["a relative folder", { ...usual, trail: "trail" }],
    ["no requests", { ...usual, requestsPerSecond: 0 }],
  ])("%s is refused", (_, given) => {
    expect(awsKmsKind.config.safeParse(given).success).toBe(false);
  });

  test("a region is enough", () => {
    expect(awsKmsKind.config.parse(usual)).toMatchObject({ timeout: 5000, requestsPerSecond: 300, parallel: 32 });
  });
});

test("the pace: a second's worth at once, then as configured; who is too many can tell how long it takes", async () => {
  let now = 1_000_000;
  const two = pace(2, () => now);
  await two.take(never);
  expect(two.backlog()).toBe(0);
  await two.take(never);
  expect(two.backlog()).toBe(500);
  const started = performance.now();
  const third = two.take(never);
  expect(two.backlog()).toBe(1000);
  await third;
  expect(performance.now() - started).toBeGreaterThan(450);
  now += 10_000;
  await two.take(never);
  two.slow(700);
  expect(two.backlog()).toBe(700);
  await expect(two.take(AbortSignal.abort())).rejects.toThrow();
});

describe.skipIf(await lacks("ministack"))("with a server", () => {
  let server: KmsServer;
  let proxy: FaultProxy;
  let custody: Custody;

  beforeAll(async () => {
    server = await startKms();
    proxy = await faultProxy(server.url);
    custody = kmsCustody(proxy.url);
  });
  afterEach(() => {
    proxy.forget();
  });
  afterAll(async () => {
    await custody[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** A key of the operator's own making; its ARN. */
  async function foreign(input: CreateKeyCommandInput): Promise<string> {
    const { KeyMetadata } = await server.client.send(new CreateKeyCommand({ KeyUsage: "SIGN_VERIFY", ...input }));
    return KeyMetadata?.Arn ?? "";
  }
  const named = (alias: string, arn: string): Promise<unknown> =>
    server.client.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: arn }));

  async function keysOf(name: string): Promise<readonly { readonly arn: string; readonly state: string }[]> {
    const { Keys = [] } = await server.client.send(new ListKeysCommand({}));
    const all = await Promise.all(
      Keys.map(async ({ KeyId, KeyArn = "" }) => {
        const { Tags = [] } = await server.client.send(new ListResourceTagsCommand({ KeyId }));
        const { KeyMetadata } = await server.client.send(new DescribeKeyCommand({ KeyId }));
        const ours = Tags.some(({ TagKey, TagValue }) => TagKey === "signet-key" && TagValue === name);
        return ours ? [{ arn: KeyArn, state: KeyMetadata?.KeyState ?? "" }] : [];
      }),
    );
    return all.flat();
  }

  test("an alias is resolved once: when it moves, the pinned key still signs, and the other never by its name", async () => {
    const [first, second] = [await foreign({ KeySpec: "ECC_NIST_P256" }), await foreign({ KeySpec: "ECC_NIST_P256" })];
    await named("alias/moves", first);
    const came = await custody.describe("awskms:///alias/moves", never);
    expect(came).toMatchObject({ uri: `awskms:///${first}`, algorithm: "EC_P256", trouble: undefined });
    const key = versionOf("moves", came);
    await server.client.send(new UpdateAliasCommand({ AliasName: "alias/moves", TargetKeyId: second }));

    expect(await verifies(key, [message], await custody.sign(key, [message], never))).toBe(true);
    expect(proxy.asked.at(-1)?.body.toString()).toContain(first);
    expect(await custody.describe("awskms:///alias/moves", never)).toMatchObject({ uri: `awskms:///${second}` });
    const byName = custody.sign({ ...key, uri: "awskms:///alias/moves" }, [message], never);
    await expect(byName).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
  });

  test.each<[CreateKeyCommandInput["KeySpec"], string, KeyAlgorithm]>([
    ["ECC_NIST_P256", "", "EC_P256"],
    ["ECC_NIST_P384", "", "EC_P384"],
    ["ECC_NIST_EDWARDS25519", "", "ED25519"],
    ["RSA_3072", "", "RSA_3072"],
    ["RSA_4096", "", "RSA_4096"],
    ["RSA_3072", "?padding=pss", "RSA_3072_PSS"],
  ])("a key of KMS's %s%s comes in as %s, and signs", async (KeySpec, query, algorithm) => {
    const arn = await foreign({ KeySpec });
    const came = await custody.describe(`awskms:///${arn}${query}`, never);
    expect(came).toMatchObject({
      uri: `awskms:///${arn}${query}`,
      algorithm,
      protection: { level: "SERVICE", exportable: "NO", proved: [] },
      guards: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(came?.protection.claimed).toContain("made inside an HSM of AWS KMS, which does not give it out");
    const key = versionOf("foreign", came);
    expect(await verifies(key, [message], await custody.sign(key, [message], never))).toBe(true);
  });

  test.each<[string, CreateKeyCommandInput, string]>([
    ["secp256k1", { KeySpec: "ECC_SECG_P256K1" }, ""],
    ["P-521", { KeySpec: "ECC_NIST_P521" }, ""],
    ["RSA 2048", { KeySpec: "RSA_2048" }, ""],
    ["a symmetric key", { KeySpec: "SYMMETRIC_DEFAULT", KeyUsage: "ENCRYPT_DECRYPT" }, ""],
    ["an RSA key that decrypts", { KeySpec: "RSA_3072", KeyUsage: "ENCRYPT_DECRYPT" }, ""],
    ["PSS of a P-256 key", { KeySpec: "ECC_NIST_P256" }, "?padding=pss"],
  ])("%s does not come in, and the hint says what would", async (_, input, query) => {
    const arn = await foreign(input);
    await expect(custody.describe(`awskms:///${arn}${query}`, never)).rejects.toMatchObject({
      nothingHappened: true,
      hint: expect.stringMatching(/it is .* for .*; Signet takes keys for SIGN_VERIFY: ECC_NIST_P256, /) as string,
    });
  });

  test("what KMS does not know is not there", async () => {
    for (const uri of [
      `awskms:///${someArn}`,
      `awskms:///${uuid}`,
      "awskms:///alias/none",
      "awskms:///none",
      "nonsense",
    ]) {
      expect(await custody.describe(uri, never)).toBeUndefined();
    }
  });

  test("another policy is another guard; who may not read it sees none", async () => {
    const arn = await foreign({ KeySpec: "ECC_NIST_P256" });
    const before = await custody.describe(`awskms:///${arn}`, never);
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [] });
    await server.client.send(new PutKeyPolicyCommand({ KeyId: arn, PolicyName: "default", Policy }));
    const after = await custody.describe(`awskms:///${arn}`, never);
    expect(after?.guards).not.toBe(before?.guards);
    const denied = { __type: "AccessDeniedException", message: "not authorized" };
    const target = { header: "x-amz-target: TrentService.GetKeyPolicy" };
    proxy.spoil(target, { trouble: "answer", done: false, status: 400, body: denied });
    expect(await custody.describe(`awskms:///${arn}`, never)).toMatchObject({ guards: undefined });
  });

  describe("making a key", () => {
    const wanted = (key: string, more: object = {}) =>
      ({ key, number: 1, purpose: "BLOB", algorithm: "EC_P256", ...more }) as const;
    const createAlias = { header: "x-amz-target: TrentService.CreateAlias" };

    test("it wears its alias, says whose it is, and its next version is another key", async () => {
      const first = await custody.create?.(wanted("worn"), never);
      const second = await custody.create?.(wanted("worn", { number: 2, after: first?.uri }), never);
      expect(await custody.describe("awskms:///alias/signet-worn-1", never)).toMatchObject({ uri: first?.uri });
      expect(await custody.describe("awskms:///alias/signet-worn-2", never)).toMatchObject({ uri: second?.uri });
      expect(second?.publicKey).not.toBe(first?.publicKey);
      expect(await keysOf("worn")).toHaveLength(2);
    });

    test("a PSS key says so in its name", async () => {
      const made = await custody.create?.(wanted("pss", { algorithm: "RSA_3072_PSS", purpose: "TOKEN" }), never);
      expect(made?.uri).toMatch(/\?padding=pss$/);
      expect(await custody.describe(made?.uri ?? "", never)).toMatchObject({
        algorithm: "RSA_3072_PSS",
        uri: made?.uri,
      });
    });

    test("of ten that make the same version at once all get one key, and the others wait for their deletion", async () => {
      const made = await Promise.all(Array.from({ length: 10 }, async () => custody.create?.(wanted("race"), never)));
      expect(new Set(made.map((one) => one?.uri)).size).toBe(1);
      const enabled = (await keysOf("race")).filter(({ state }) => state === "Enabled");
      expect(enabled.map(({ arn }) => `awskms:///${arn}`)).toEqual([made[0]?.uri]);
    });

    test("no answer to CreateAlias: in doubt; asked again there is one key, and at most one that nothing names", async () => {
      proxy.spoil(createAlias, { trouble: "cut", done: false }, 1);
      const first = custody.create?.(wanted("doubt"), never);
      await expect(first).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: false });
      const again = await custody.create?.(wanted("doubt"), never);
      expect(await custody.describe("awskms:///alias/signet-doubt-1", never)).toMatchObject({ uri: again?.uri });
      expect(await keysOf("doubt")).toHaveLength(2);

      proxy.spoil(createAlias, { trouble: "cut", done: true }, 1);
      await expect(custody.create?.(wanted("done"), never)).rejects.toMatchObject({ nothingHappened: false });
      await custody.create?.(wanted("done"), never);
      expect(await keysOf("done")).toHaveLength(1);
    });

    test("an alias that is not permitted: the key that was made goes at once", async () => {
      const denied = { __type: "AccessDeniedException", message: "not authorized" };
      proxy.spoil(createAlias, { trouble: "answer", done: false, status: 400, body: denied });
      const attempt = custody.create?.(wanted("denied"), never);
      await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: false });
      expect(await keysOf("denied")).toMatchObject([{ state: "PendingDeletion" }]);
    });

    test("somebody else's key under the alias is not taken for ours", async () => {
      await named("alias/signet-taken-1", await foreign({ KeySpec: "ECC_NIST_P256" }));
      await expect(custody.create?.(wanted("taken"), never)).rejects.toMatchObject({
        nothingHappened: true,
        message: expect.stringContaining("was not made for it") as string,
      });
      await custody.create?.(wanted("kind"), never);
      await expect(custody.create?.(wanted("kind", { algorithm: "EC_P384" }), never)).rejects.toMatchObject({
        nothingHappened: true,
      });
    });
  });

  test("a key is let go once: the same day on every asking, and it signs no more", async () => {
    await using brief = kmsCustody(server.url, { deletionWindow: "P7D" });
    const version = { key: "going", number: 1, purpose: "BLOB", algorithm: "EC_P256" } as const;
    await brief.create?.(version, never);
    const key = versionOf("going", await brief.describe("awskms:///alias/signet-going-1", never));
    const first = await brief.destroy?.(key, never);
    expect((Date.parse(first?.until ?? "") - Date.now()) / 86_400_000).toBeCloseTo(7, 1);
    expect(await brief.destroy?.(key, never)).toEqual(first);
    await expect(brief.sign(key, [message], never)).rejects.toMatchObject({ nothingHappened: true });
    await expect(brief.create?.(version, never)).rejects.toMatchObject({
      message: expect.stringContaining("waits for its deletion") as string,
    });
    expect(await brief.destroy?.({ ...key, uri: `awskms:///${someArn}` }, never)).toEqual({});
  });

  test("more than the account gives is told to come again, before anything is asked", async () => {
    await using slow = kmsCustody(proxy.url, { requestsPerSecond: 1 });
    const key = versionOf("slow", await custody.describe("awskms:///alias/signet-worn-1", never));
    proxy.forget();
    const gone = new AbortController();
    const many = slow.sign(key, Array<ToBeSigned>(32).fill(message), gone.signal);
    await expect(slow.sign(key, [message], never)).rejects.toMatchObject({
      code: "OVERLOADED",
      nothingHappened: true,
      custody: "kms",
      retryAfter: expect.any(Number) as number,
    });
    gone.abort();
    await expect(many).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT" });
    expect(proxy.asked.length).toBeLessThan(3);
  });

  test("a closed custody does nothing", async () => {
    const closed = kmsCustody(server.url);
    await closed[Symbol.asyncDispose]();
    const attempt = closed.describe(`awskms:///${someArn}`, never);
    await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
  });
});

describe.skipIf(await lacks("ministack"))("the policies of docs/custody/aws-kms.md", () => {
  let server: KmsServer;
  beforeAll(async () => {
    server = await startKms({ auth: true });
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  const theirs = "111122223333";

  /** The page's policy, for the test's account and, where it names a key, for this one. */
  function policyOf(mark: string, key = ""): { readonly Statement: readonly { readonly Sid: string }[] } {
    const blocks = blocksOf(join(import.meta.dirname, "../../docs/custody/aws-kms.md"));
    const found = blocks.find((block) => block.language === "json" && block.mark === mark);
    if (found === undefined) throw new Error(`the page has no policy ${mark}`);
    const text = found.text.replaceAll(someArn.replace(kmsAccount, theirs), key).replaceAll(theirs, kmsAccount);
    return JSON.parse(text) as ReturnType<typeof policyOf>; // the shape of the page's policies
  }
  const made = async (): Promise<string> => {
    const input = { KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY" } as const;
    return (await server.client.send(new CreateKeyCommand(input))).KeyMetadata?.Arn ?? "";
  };
  const refused = {
    code: "CUSTODY_DOWN",
    nothingHappened: true,
    message: expect.stringContaining("AccessDenied") as string,
  };

  test("the first is enough to enroll one key and to sign with it, and for nothing else", async () => {
    const [arn, other] = [await made(), await made()];
    const credentials = await server.user("uses", policyOf("use-keys", arn));
    await using custody = kmsCustody(server.url, { credentials });
    const came = await custody.describe(`awskms:///${arn}`, never);
    expect(came).toMatchObject({ algorithm: "EC_P256", guards: expect.any(String) as string });
    const key = versionOf("uses", came);
    expect(await verifies(key, [message], await custody.sign(key, [message], never))).toBe(true);

    await expect(custody.describe(`awskms:///${other}`, never)).rejects.toMatchObject(refused);
    await expect(custody.sign({ ...key, uri: `awskms:///${other}` }, [message], never)).rejects.toMatchObject(refused);
    await expect(custody.destroy?.(key, never)).rejects.toMatchObject(refused);
    const wanted = { key: "new", number: 1, purpose: "BLOB", algorithm: "EC_P256" } as const;
    await expect(custody.create?.(wanted, never)).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      nothingHappened: true,
    });
    const user = new KMSClient({ endpoint: server.url, region: kmsRegion, credentials });
    const GranteePrincipal = `arn:aws:iam::${kmsAccount}:root`;
    for (const attempt of [
      user.send(new DisableKeyCommand({ KeyId: arn })),
      user.send(new PutKeyPolicyCommand({ KeyId: arn, PolicyName: "default", Policy: "{}" })),
      user.send(new CreateGrantCommand({ KeyId: arn, GranteePrincipal, Operations: ["Sign"] })),
    ]) {
      await expect(attempt).rejects.toMatchObject({ name: "AccessDeniedException" });
    }
    user.destroy();
  });

  test("without the right to read the policy everything else works, and guards are not told", async () => {
    const arn = await made();
    const text = JSON.stringify(policyOf("use-keys", arn)).replace(',"kms:GetKeyPolicy"', "");
    await using custody = kmsCustody(server.url, { credentials: await server.user("blind", JSON.parse(text)) });
    const came = await custody.describe(`awskms:///${arn}`, never);
    expect(came).toMatchObject({ algorithm: "EC_P256", guards: undefined });
    expect(await custody.sign(versionOf("blind", came), [message], never)).toHaveLength(1);
  });

  test("the second is enough to make keys, to sign with them and to let them go, and touches no others", async () => {
    const other = await made();
    // AWS asks for CreateAlias on the alias and on the key, as the page has it; ministack on "*".
    const policy = policyOf("make-keys");
    const Statement = policy.Statement.map((one) => (one.Sid === "SignetNamesThem" ? { ...one, Resource: "*" } : one));
    const credentials = await server.user("makes", { ...policy, Statement });
    await using custody = kmsCustody(server.url, { credentials });
    const wanted = { key: "made", number: 1, purpose: "BLOB", algorithm: "EC_P256" } as const;
    const fresh = await Promise.all([custody.create?.(wanted, never), custody.create?.(wanted, never)]);
    expect(fresh[0]).toEqual(fresh[1]);
    const key = versionOf("made", await custody.describe(fresh[0]?.uri ?? "", never));
    expect(await verifies(key, [message], await custody.sign(key, [message], never))).toBe(true);
    for (const attempt of [
      custody.sign({ ...key, uri: `awskms:///${other}` }, [message], never),
      custody.destroy?.({ ...key, uri: `awskms:///${other}` }, never),
    ]) {
      await expect(attempt).rejects.toMatchObject(refused);
    }
    expect(await custody.destroy?.(key, never)).toMatchObject({ until: expect.any(String) as string });
  });

  test("a secret that is wrong is told from a clock that is, and stands for the whole custody", async () => {
    const { accessKeyId } = await server.user("wrong", policyOf("make-keys"));
    await using custody = kmsCustody(server.url, { credentials: { accessKeyId, secretAccessKey: "not it" } });
    await expect(custody.describe(`awskms:///${await made()}`, never)).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      retryAfter: 30,
      message: expect.stringContaining("secret access key") as string,
    });
  });
});

describe("CloudTrail's account of uses", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "signet-trail-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const event = (id: string, at: string, more: object = {}): object => ({
    eventVersion: "1.11",
    eventID: id,
    eventTime: at,
    eventSource: "kms.amazonaws.com",
    eventName: "Sign",
    awsRegion: kmsRegion,
    requestParameters: { keyId: "alias/release", messageType: "DIGEST", signingAlgorithm: "ECDSA_SHA_256" },
    responseElements: null,
    readOnly: true,
    resources: [{ accountId: kmsAccount, type: "AWS::KMS::Key", ARN: someArn }],
    ...more,
  });
  async function delivered(day: string, name: string, records: readonly object[]): Promise<void> {
    const place = join(folder, "AWSLogs", kmsAccount, "CloudTrail", kmsRegion, ...day.split("-"));
    await mkdir(place, { recursive: true });
    const text = JSON.stringify({ Records: records });
    await writeFile(join(place, name), name.endsWith(".gz") ? gzipSync(text) : text);
  }
  const days = { from: "2026-01-01", to: "2026-01-03" };

  test("signatures of this key by day, each once, refused ones and other keys not", async () => {
    const late = event("4", "2026-01-02T00:00:00Z");
    await delivered("2026-01-01", "a.json.gz", [
      event("1", "2026-01-01T00:00:00Z"),
      event("2", "2026-01-01T23:59:59Z"),
      event("3", "2026-01-01T12:00:00Z", { errorCode: "DryRunOperationException" }),
      event("5", "2026-01-01T12:00:00Z", { resources: [{ ARN: someArn.replace("1234abcd", "00000000") }] }),
      event("6", "2026-01-01T12:00:00Z", { eventName: "GetPublicKey" }),
      event("7", "2026-01-01T12:00:00Z", { resources: undefined, requestParameters: { keyId: someArn } }),
      event("8", "2025-12-31T23:59:59Z"),
      { eventID: "of another service" },
    ]);
    await delivered("2026-01-02", "b.json", [late, late]);
    await delivered("2026-01-03", "c.json.gz", [late, event("9", "2026-01-03T00:00:00Z")]);
    await writeFile(join(folder, "notes.txt"), "not a log file");
    expect((await countSigns(folder, someArn, days, never)).uses).toEqual([
      { day: "2026-01-01", signatures: 3 },
      { day: "2026-01-02", signatures: 1 },
    ]);
  });

  test("a folder that is not configured tells nothing; one that is not there, is damaged or lacks a day is no count of nothing", async () => {
    expect(kmsCustody("http://127.0.0.1:1")).not.toHaveProperty("uses");
    const key = versionOf("counted", { uri: `awskms:///${someArn}`, algorithm: "EC_P256", publicKey: "" });
    const counting = kmsCustody("http://127.0.0.1:1", { trail: folder });
    expect(await counting.uses?.(key, days, never)).toHaveLength(2);
    await expect(counting.uses?.(key, { from: "2026-01-01", to: "2026-01-05" }, never)).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      message: expect.stringContaining("there is nothing of 2026-01-04") as string,
    });
    const elsewhere = await countSigns(folder, someArn.replace(kmsRegion, "eu-west-1"), days, never);
    expect(silentDay(elsewhere, days), "another region's files say nothing of this key").toBe("2026-01-01");
    const before = { from: "2025-12-01", to: "2026-01-03" };
    expect(await counting.uses?.(key, before, never), "before the key came in").toHaveLength(3);
    const absent = kmsCustody("http://127.0.0.1:1", { trail: join(folder, "absent") });
    await expect(absent.uses?.(key, days, never)).rejects.toMatchObject({ code: "CUSTODY_DOWN", custody: "kms" });
    await writeFile(join(folder, "AWSLogs", "broken.json.gz"), "not gzip");
    await expect(counting.uses?.(key, days, never)).rejects.toMatchObject({
      nothingHappened: true,
      message: expect.stringContaining("broken.json.gz") as string,
    });
  });
});

function versionOf(
  key: string,
  described: Pick<KeyDescription, "uri" | "algorithm" | "publicKey"> | undefined,
): KeyVersion {
  if (described === undefined) throw new Error(`no key ${key}`);
  const { uri, algorithm, publicKey } = described;
  const fingerprint =
    publicKey === "" ? "" : sha256Hex(createPublicKey(publicKey).export({ format: "der", type: "spki" }));
  const createdAt = "2026-01-01T00:00:00.000Z";
  return {
    key,
    number: 1,
    purpose: "BLOB",
    algorithm,
    state: "ACTIVE",
    custody: "kms",
    uri,
    publicKey,
    fingerprint,
    createdAt,
  };
}
