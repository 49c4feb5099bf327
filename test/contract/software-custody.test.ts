// The embedded custody alone: what is at rest opens only where it belongs, and private bytes are nowhere else.

import { createPrivateKey, type KeyObject, randomBytes } from "node:crypto";
import { inspect } from "node:util";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { software, softwareKind } from "../../src/custody/software.ts";
import { type SealedVersion, seal, unseal } from "../../src/custody/software-seal.ts";
import { inTurns } from "../../src/custody/turns.ts";
import { Fault } from "../../src/model/errors.ts";
import type { KeyVersion } from "../../src/model/key.ts";
import { systemRandom } from "../../src/std/clock.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { Secret } from "../../src/std/secret.ts";
import { secretReference } from "../../src/std/secret-reference.ts";
import { keyOf } from "../formats/jobs.ts";
import { type SoftwareMeans, softwareMeans } from "../support/custody.ts";

const never = new AbortController().signal;
const version: SealedVersion = { key: "release", number: 1, purpose: "BLOB", algorithm: "EC_P256" };
const bytes: Uint8Array = Buffer.from("message");

describe("a sealed key", () => {
  const masterKey = new Secret(randomBytes(32));
  const { privateKey } = keyOf("EC_P256");
  const sealed = seal(privateKey, version, masterKey, systemRandom);

  test("opens again as the same key", () => {
    expect(unseal(sealed, version, masterKey).equals(privateKey)).toBe(true);
  });

  test("has the bytes that docs/custody/software.md draws", () => {
    const zeros = seal(privateKey, version, masterKey, (length) => new Uint8Array(length));
    const plainLength = privateKey.export({ format: "der", type: "pkcs8" }).length;
    expect(Buffer.from(zeros.subarray(0, 33)).toString("latin1")).toBe(`signet-sealed-key/v1\n${"\0".repeat(12)}`);
    expect(zeros).toHaveLength(33 + plainLength + 16);
  });

  test("is of no use with one byte changed, added or missing", () => {
    const place = fc.nat(sealed.length - 1);
    fc.assert(
      fc.property(place, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Uint8Array.from(sealed);
        changed[at] = (changed[at] ?? 0) ^ change;
        expectShut(() => unseal(changed, version, masterKey));
        expectShut(() => unseal(sealed.subarray(0, at), version, masterKey));
      }),
    );
    expectShut(() => unseal(Buffer.concat([sealed, Buffer.of(0)]), version, masterKey));
  });

  test.each<[string, Partial<SealedVersion>]>([
    ["name", { key: "other" }],
    ["number", { number: 2 }],
    ["purpose", { purpose: "IMAGE" }],
    ["algorithm", { algorithm: "EC_P384" }],
  ])("does not open under another %s", (_what, other) => {
    expectShut(() => unseal(sealed, { ...version, ...other }, masterKey));
  });

  test("does not open under another master key", () => {
    expectShut(() => unseal(sealed, version, new Secret(randomBytes(32))));
  });
});

test("a sealed key put in the place of another signs nothing", async () => {
  const means = softwareMeans();
  await createdBy(means, version);
  const second = await createdBy(means, { ...version, number: 2 });
  means.sealedKeys.rows.set("release/2", means.sealedKeys.rows.get("release/1") ?? bytes);
  const attempt = software(means).sign(second, [{ form: "message", bytes }], never);
  await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
});

test("a key version whose public key was exchanged signs nothing", async () => {
  const means = softwareMeans();
  const key = await createdBy(means, version);
  const attempt = software(means).sign({ ...key, fingerprint: "0".repeat(64) }, [{ form: "message", bytes }], never);
  await expect(attempt).rejects.toThrow("not that of public key 0000");
});

test("a database that comes back is used again without a restart", async () => {
  const means = softwareMeans();
  const key = await createdBy(means, version);
  let down = true;
  const find = means.sealedKeys.find.bind(means.sealedKeys);
  const sealedKeys = {
    ...means.sealedKeys,
    find: (name: string, number: number) => (down ? Promise.reject(new Error("locked")) : find(name, number)),
  };
  const custody = software({ ...means, sealedKeys });
  const items = [{ form: "message", bytes }] as const;
  await expect(custody.sign(key, items, never)).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
  down = false;
  expect(await custody.sign(key, items, never)).toHaveLength(1);
});

test("a closed custody signs nothing", async () => {
  const means = softwareMeans();
  const key = await createdBy(means, version);
  const custody = software(means);
  await custody.sign(key, [{ form: "message", bytes }], never);
  await custody[Symbol.asyncDispose]();
  await expect(custody.sign(key, [{ form: "message", bytes }], never)).rejects.toThrow("the custody is closed");
});

test("a key that takes too long to make is a timeout, and the next attempt gives one key", async () => {
  const means = softwareMeans();
  const custody = software(means);
  const slow: SealedVersion = { ...version, algorithm: "RSA_4096" };
  const attempt = custody.create(slow, AbortSignal.timeout(5));
  await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: false });
  const { publicKey } = await custody.create(slow, never);
  expect((await software(means).create(slow, never)).publicKey).toBe(publicKey);
}, 60_000);

test("a master key of another length is refused at the start, and not shown", () => {
  const short = { ...softwareMeans(), masterKey: new Secret(Buffer.from("too short and secret")) };
  expect(() => software(short)).toThrow("the master key has 20 bytes, it takes 32");
});

test("its configuration is its kind and nothing more: the master key belongs to the installation", () => {
  expect(softwareKind.config.safeParse({ kind: "software" }).success).toBe(true);
  expect(softwareKind.config.safeParse({ kind: "software", masterKey: "AAAA" }).success).toBe(false);
});

test.each<[string, unknown, boolean]>([
  ["a file", { file: "/run/master" }, true],
  ["a systemd credential", { credential: "signet-master" }, true],
  ["an environment variable", { env: "SIGNET_MASTER_KEY" }, true],
  ["the secret itself", "AAAA", false],
  ["two places", { file: "/a", env: "B" }, false],
  ["a credential with a path", { credential: "../master" }, false],
])("a secret is referred to by %s", (_what, given, accepted) => {
  expect(secretReference.safeParse(given).success).toBe(accepted);
});

test("private bytes are in no fault, in nothing printed and in nothing stored, under any encoding", async () => {
  const means = softwareMeans();
  const key = await createdBy(means, version);
  const custody = software(means);
  const sealed = means.sealedKeys.rows.get("release/1") ?? bytes;
  const canaries = canariesOf(unseal(sealed, version, means.masterKey), means.masterKey);

  await custody.sign(key, [{ form: "message", bytes }], never);
  const failures = [
    custody.sign(key, [{ form: "digest", hash: "sha256", bytes }], never),
    custody.sign({ ...key, key: "nobody" }, [{ form: "message", bytes }], never),
    custody.sign({ ...key, purpose: "IMAGE" }, [{ form: "message", bytes }], never),
    custody.sign({ ...key, fingerprint: "" }, [{ form: "message", bytes }], never),
    custody.sign(key, [{ form: "message", bytes }], AbortSignal.abort()),
    custody.create({ ...version, algorithm: "ED25519" }, never),
  ];
  const faults = (await Promise.allSettled(failures)).map((one): unknown =>
    one.status === "rejected" ? one.reason : undefined,
  );
  for (const fault of faults) expect(fault).toBeInstanceOf(Fault);
  const seen = [...faults, custody, sealed].map((one) => [
    inspect(one, { depth: 20, showHidden: true, maxArrayLength: null }),
    one instanceof Error ? one.stack : JSON.stringify(one),
    Buffer.from(sealed).toString("hex"),
  ]);
  const text = seen.flat().join("\n");
  for (const canary of canaries) expect(text).not.toContain(canary);
});

test("turns: never more at once than the width, first come first served, and a failure frees its place", async () => {
  const turns = inTurns(3);
  let running = 0;
  let most = 0;
  const started: number[] = [];
  const jobs = Array.from({ length: 20 }, (_, index) =>
    turns(async () => {
      started.push(index);
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, index % 4));
      running -= 1;
      if (index % 5 === 0) throw new Error("failed");
      return index;
    }),
  );
  const results = await Promise.allSettled(jobs);
  expect(most).toBe(3);
  expect(started).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(results.filter(({ status }) => status === "rejected")).toHaveLength(4);
});

async function createdBy(means: SoftwareMeans, wanted: SealedVersion): Promise<KeyVersion> {
  const { publicKey, uri } = await software(means).create(wanted, never);
  const sealed = means.sealedKeys.rows.get(`${wanted.key}/${String(wanted.number)}`) ?? bytes;
  const { x, y } = unseal(sealed, wanted, means.masterKey).export({ format: "jwk" });
  expect(x ?? y).toBeDefined();
  const der = Buffer.from(publicKey.replace(/-----[^-]+-----|\s/g, ""), "base64");
  const createdAt = "2026-01-01T00:00:00.000Z";
  return { ...wanted, state: "ACTIVE", custody: "software", uri, publicKey, fingerprint: sha256Hex(der), createdAt };
}

function canariesOf(key: KeyObject, masterKey: Secret): string[] {
  const scalar = Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url");
  expect(scalar).toHaveLength(32);
  expect(createPrivateKey(key.export({ format: "pem", type: "pkcs8" })).equals(key)).toBe(true);
  return [scalar, Buffer.from(masterKey.reveal())].flatMap((secret) => [
    secret.toString("hex"),
    secret.toString("base64url").slice(0, -2),
    secret.toString("base64").slice(0, -2),
    [...secret].join(", "),
    [...secret].join(","),
    inspect(secret, { maxArrayLength: null }).replace("<Buffer ", "").replace(">", ""),
  ]);
}

function expectShut(open: () => unknown): void {
  expect(open).toThrow(expect.objectContaining({ code: "CUSTODY_DOWN", nothingHappened: true }));
}
