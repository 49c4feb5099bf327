// The contract of src/ports/custody.ts, held against every kind in the registry. openssl judges, with the public key alone.

import { createHash, createPublicKey, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { custodies } from "../../src/custody/index.ts";
import type { ToBeSigned } from "../../src/model/item.ts";
import { hashOf, isPss, type KeyAlgorithm, type KeyVersion, keyAlgorithms, signsDigests } from "../../src/model/key.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { run } from "../support/command.ts";
import { custodyFixtures } from "../support/custody.ts";
import { lacks } from "../support/peers.ts";

const never = new AbortController().signal;
const slowest = 60_000; // milliseconds; RSA-4096 keys take seconds on a busy machine

test("every registered kind has its fixture and its page of documentation", () => {
  expect(custodies.length).toBeGreaterThan(0);
  for (const { kind } of custodies) {
    expect(custodyFixtures[kind].kind).toBe(kind);
    expect(existsSync(new URL(`../../docs/custody/${kind}.md`, import.meta.url)), `docs/custody/${kind}.md`).toBe(true);
  }
});

const fixtures = custodies.map(({ kind }) => custodyFixtures[kind]);
const missing = new Set<string>();
for (const { kind, needs } of fixtures) if (await lacks(...needs)) missing.add(kind);
const columns = ["custody", "algorithm", "operation", "result"] as const;

describe.each(fixtures.filter(({ kind }) => !missing.has(kind)))("$kind", (fixture) => {
  let custody: Custody;
  let again: () => Custody;
  let nowhere: string | undefined;
  let close: (() => Promise<void>) | undefined;
  let folder: string;
  const keys = new Map<KeyAlgorithm, KeyVersion>();
  const table: string[][] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "signet-custody-"));
    ({ custody, again, nowhere, close } = await fixture.open());
    for (const algorithm of custody.algorithms) keys.set(algorithm, await created(custody, algorithm));
  }, slowest);

  afterAll(async () => {
    await custody[Symbol.asyncDispose]();
    await close?.();
    await rm(folder, { recursive: true, force: true });
    process.stdout.write(tableOf([...columns], table));
  });

  const keyOf = (algorithm: KeyAlgorithm): KeyVersion => {
    const key = keys.get(algorithm);
    if (key === undefined) throw new Error(`${fixture.kind} made no ${algorithm} key`);
    return key;
  };

  /** openssl's verdict on `signature` over `file`. */
  async function opensslAccepts(key: KeyVersion, file: Uint8Array, signature: Uint8Array): Promise<boolean> {
    const name = randomBytes(8).toString("hex");
    const path = (what: string): string => join(folder, `${name}.${what}`);
    await writeFile(path("pem"), key.publicKey);
    await writeFile(path("file"), file);
    await writeFile(path("sig"), signature);
    const hash = hashOf(key.algorithm);
    const padding = isPss(key.algorithm)
      ? ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
      : [];
    const given =
      hash === undefined
        ? [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            path("pem"),
            "-rawin",
            "-in",
            path("file"),
            "-sigfile",
            path("sig"),
          ]
        : ["dgst", `-${hash}`, ...padding, "-verify", path("pem"), "-signature", path("sig"), path("file")];
    return (await run("openssl", given)).status === 0;
  }

  test("it holds what its fixture says, makes keys and destroys them: what is not tried below is not there", () => {
    expect(custody.algorithms.toSorted()).toEqual(fixture.algorithms.toSorted());
    expect(Object.keys(custody.longest ?? {})).toEqual(fixture.short);
    expect(custody).toMatchObject({
      create: expect.any(Function) as unknown,
      destroy: expect.any(Function) as unknown,
    });
    const rest = keyAlgorithms.filter((one) => !fixture.algorithms.includes(one));
    table.push(...rest.map((one) => [fixture.kind, one, "all", "not held"]));
  });

  describe.each(fixture.algorithms)("%s", (algorithm) => {
    const row = (operation: string, result: string): void => {
      table.push([fixture.kind, algorithm, operation, result]);
    };

    test("openssl accepts a file signed in message form, and no other file", { timeout: slowest }, async () => {
      const file = randomBytes(Math.min(5000, custody.longest?.[algorithm] ?? 5000));
      const [signature = new Uint8Array()] = await custody.sign(keyOf(algorithm), [message(file)], never);
      expect(await opensslAccepts(keyOf(algorithm), file, signature)).toBe(true);
      expect(await opensslAccepts(keyOf(algorithm), randomBytes(5000), signature)).toBe(false);
      row("sign message", "openssl accepts");
    });

    // A test of nothing but signatures over digests: Ed25519 and PSS make none, which the next test sees.
    const digestTest = "openssl accepts the same file signed by its digest: no hash of a hash";
    if (signsDigests(algorithm))
      test(digestTest, { timeout: slowest }, async () => {
        const file = randomBytes(5000);
        const [signature = new Uint8Array()] = await custody.sign(keyOf(algorithm), [digestOf(file, algorithm)], never);
        expect(await opensslAccepts(keyOf(algorithm), file, signature)).toBe(true);
        expect(await opensslAccepts(keyOf(algorithm), randomBytes(5000), signature)).toBe(false);
        row("sign digest", "openssl accepts");
      });

    test("a digest that does not fit the key is our own mistake: nothing is signed", async () => {
      const takes = hashOf(algorithm);
      const wrong: ToBeSigned[] = [
        { form: "digest", hash: takes ?? "sha256", bytes: randomBytes(20) },
        { form: "digest", hash: takes ?? "sha256", bytes: randomBytes(takes === "sha384" ? 32 : 48) },
        {
          form: "digest",
          hash: takes === "sha384" ? "sha256" : "sha384",
          bytes: randomBytes(takes === "sha384" ? 48 : 32),
        },
      ];
      if (!signsDigests(algorithm)) wrong.push({ form: "digest", hash: "sha256", bytes: randomBytes(32) });
      for (const item of wrong) {
        const attempt = custody.sign(keyOf(algorithm), [message(randomBytes(10)), item], never);
        await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
      }
      row(signsDigests(algorithm) ? "sign unfit digest" : "sign digest", "refused");
    });

    const longTest = "a message that is too long for the backend signs nothing, and neither does the one before it";
    if (fixture.short.includes(algorithm))
      test(longTest, async () => {
        const most = custody.longest?.[algorithm] ?? 0;
        const items = [message(randomBytes(10)), message(randomBytes(most + 1))];
        const attempt = custody.sign(keyOf(algorithm), items, never);
        await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
        row(`sign over ${String(most)} bytes`, "refused");
      });

    test("described, it is the key that was made, under the name that was recorded", async () => {
      const key = keyOf(algorithm);
      const found = await custody.describe(key.uri, never, key);
      expect(found).toMatchObject({ uri: key.uri, algorithm });
      expect(createPublicKey(found?.publicKey ?? "").equals(createPublicKey(key.publicKey))).toBe(true);
      expect(found?.trouble).toBeUndefined();
      row("describe", "the same key");
    });

    test("a hundred signatures come back in the order asked", { timeout: slowest }, async () => {
      const files = Array.from({ length: 100 }, (_, index) => Buffer.from(`file ${String(index)}`));
      const digests =
        algorithm === "EC_P256" || algorithm === "RSA_3072" ? [digestOf(Buffer.from("one"), algorithm)] : [];
      const items = [...files.map(message), ...digests];
      const signatures = await custody.sign(keyOf(algorithm), items, never);
      expect(signatures).toHaveLength(items.length);
      for (const index of [0, 1, 42, 98, 99]) {
        expect(
          await opensslAccepts(keyOf(algorithm), files[index] ?? Buffer.of(), signatures[index] ?? Buffer.of()),
        ).toBe(true);
      }
      if (digests.length > 0) {
        expect(await opensslAccepts(keyOf(algorithm), Buffer.from("one"), signatures[100] ?? Buffer.of())).toBe(true);
      }
      row("sign 100", "in order");
    });

    test("creating the same version again gives the same key, also after a restart", { timeout: slowest }, async () => {
      const before = keyOf(algorithm);
      const reopened = again();
      for (const one of [custody, reopened]) {
        expect((await created(one, algorithm)).fingerprint).toBe(before.fingerprint);
      }
      const file = randomBytes(100);
      const [signature = new Uint8Array()] = await reopened.sign(before, [message(file)], never);
      expect(await opensslAccepts(before, file, signature)).toBe(true);
      await reopened[Symbol.asyncDispose]();
      row("create twice", "the same key");
    });
  });

  test("fifty calls at once each get their own signatures", { timeout: slowest }, async () => {
    const algorithms = custody.algorithms;
    const calls = Array.from({ length: 50 }, async (_, index) => {
      const algorithm = algorithms[index % algorithms.length] ?? "EC_P256";
      const file = Buffer.from(`call ${String(index)}`);
      const digest = signsDigests(algorithm) && index % 2 === 0;
      const item = digest ? digestOf(file, algorithm) : message(file);
      const [first, second] = await custody.sign(keyOf(algorithm), [item, message(Buffer.from("other"))], never);
      return { algorithm, file, first, second };
    });
    for (const { algorithm, file, first, second } of (await Promise.all(calls)).slice(0, 20)) {
      expect(await opensslAccepts(keyOf(algorithm), file, first ?? Buffer.of())).toBe(true);
      expect(await opensslAccepts(keyOf(algorithm), Buffer.from("other"), second ?? Buffer.of())).toBe(true);
    }
    table.push([fixture.kind, "all", "50 calls at once", "each its own"]);
  });

  test("two that create the same version at once get one key", { timeout: slowest }, async () => {
    await using beside = again();
    const [first, second] = await Promise.all([custody, beside].map((one) => created(one, "EC_P256", 2)));
    expect(first?.fingerprint).toBe(second?.fingerprint);
    expect(first?.fingerprint).not.toBe(keyOf("EC_P256").fingerprint);
    table.push([fixture.kind, "EC_P256", "create by two at once", "one key"]);
  });

  test("a call that is over when it starts does nothing; one that runs out of time says so", async () => {
    const slow = custody.algorithms.includes("RSA_4096") ? "RSA_4096" : (custody.algorithms[0] ?? "EC_P256");
    const over = AbortSignal.abort();
    const comeAgain = { retryAfter: expect.any(Number) as number }; // it is about the backend, not about this key
    const attempt = custody.sign(keyOf(slow), [message(Buffer.of(1))], over);
    await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: true, ...comeAgain });

    const controller = new AbortController();
    const many = Array.from({ length: 100 }, () => message(Buffer.of(1)));
    const running = custody.sign(keyOf(slow), many, controller.signal);
    setTimeout(() => {
      controller.abort();
    }, 5);
    await expect(running).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: false, ...comeAgain });
    const [signature] = await custody.sign(keyOf(slow), [message(Buffer.of(1))], never);
    expect(signature).toBeDefined();
    table.push([fixture.kind, slow, "sign, out of time", "CUSTODY_TIMEOUT, and it signs on"]);
  });

  test("a key that the custody does not hold signs nothing", async () => {
    const [algorithm = "EC_P256"] = custody.algorithms;
    const known = keyOf(algorithm);
    const unheld: KeyVersion = { ...known, key: "nobody", uri: nowhere ?? known.uri };
    const attempt = custody.sign(unheld, [message(Buffer.of(1))], never);
    await expect(attempt).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
    expect(await custody.describe(unheld.uri, never, unheld)).toBeUndefined();
    table.push([fixture.kind, algorithm, "describe what is not held", "no such key"]);
  });

  test("a version that was destroyed signs no more, others do, and asking again says the same", async () => {
    const [algorithm = "EC_P256"] = custody.algorithms;
    const doomed = await created(custody, algorithm, 7);
    const gone = await custody.destroy?.(doomed, never);
    await expect(custody.sign(doomed, [message(Buffer.of(1))], never)).rejects.toMatchObject({ nothingHappened: true });
    const left = await custody.describe(doomed.uri, never, doomed);
    expect(left === undefined || left.trouble !== undefined).toBe(true);
    expect(await custody.destroy?.(doomed, never)).toEqual(gone);
    expect(await custody.sign(keyOf(algorithm), [message(Buffer.of(1))], never)).toHaveLength(1);
    table.push([
      fixture.kind,
      algorithm,
      "destroy",
      gone?.until === undefined ? "gone" : "gone, and can be taken back",
    ]);
    table.push([fixture.kind, algorithm, "destroy twice", "the same answer"]);
  });
});

const message = (bytes: Uint8Array): ToBeSigned => ({ form: "message", bytes });

function digestOf(file: Uint8Array, algorithm: KeyAlgorithm): ToBeSigned {
  const hash = hashOf(algorithm) ?? "sha256";
  return { form: "digest", hash, bytes: createHash(hash).update(file).digest() };
}

async function created(custody: Custody, algorithm: KeyAlgorithm, number = 1): Promise<KeyVersion> {
  if (custody.create === undefined) throw new Error(`${custody.kind} makes no keys: its fixture must bring them`);
  const name = algorithm.toLowerCase().replaceAll("_", "-");
  const version = { key: name, number, purpose: "BLOB", algorithm } as const;
  const { publicKey, uri } = await custody.create(version, never);
  const spki = createPublicKey(publicKey).export({ format: "der", type: "spki" });
  const fingerprint = createHash("sha256").update(spki).digest("hex");
  const createdAt = "2026-01-01T00:00:00.000Z";
  return { ...version, state: "ACTIVE", custody: custody.kind, uri, publicKey, fingerprint, createdAt };
}

function tableOf(head: string[], rows: string[][]): string {
  const all = [head, ...rows.toSorted((a, b) => a.join().localeCompare(b.join()))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return `\n${all.map(line).join("\n")}\n`;
}
