// A token that hangs, dies, lies, is pulled out or wants another PIN: the call ends in time with a fault that says what
// is known, the daemon and the other custodies go on, and all is well again by itself. On SoftHSM, with a module in
// between that misbehaves on command; on a TPM in software, which really locks; on NSS softokn.

import { createPublicKey, verify } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { Client } from "../../src/client/connect.ts";
import { bulkhead } from "../../src/custody/bulkhead.ts";
import { isPss, type KeyAlgorithm, type KeyVersion } from "../../src/model/key.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { systemClock } from "../../src/std/clock.ts";
import { pss } from "../../src/std/rsa-pss.ts";
import { Secret } from "../../src/std/secret.ts";
import { run } from "../support/command.ts";
import { askOnce, type Found, type Heard, outcomesOf, quickStart, until } from "../support/faults.ts";
import { blob, expectDone, type House, house, type Job, statement } from "../support/house.ts";
import { lacks } from "../support/peers.ts";
import {
  custodyYaml,
  madeKey,
  openPkcs11,
  rightPin,
  type Shim,
  settled,
  shimmed,
  softhsmToken,
  softoknToken,
  type TestToken,
  tpmToken,
} from "../support/pkcs11.ts";

/** Texts that stand nowhere by chance. */
const [sealedPin, wrongPin, unlockedPin] = ["sealed-pin-q", "wrong-pin-q", "right-pin-q"];
const text = utf8("the release");
const soon = (): AbortSignal => AbortSignal.timeout(20_000);
const signOne = async (custody: Custody, key: KeyVersion): Promise<Uint8Array> => {
  const [signature] = await custody.sign(key, [{ form: "message", bytes: text }], soon());
  if (signature === undefined) throw new Error("no signature");
  return signature;
};
const messages = (count: number) => Array.from({ length: count }, () => ({ form: "message", bytes: text }) as const);
const hashes: Readonly<Partial<Record<KeyAlgorithm, string>>> = { ED25519: "", EC_P384: "sha384" };
const verifies = (key: KeyVersion, signature: Uint8Array): boolean => {
  const publicKey = createPublicKey(key.publicKey);
  const hash = hashes[key.algorithm] ?? "sha256";
  return verify(hash === "" ? null : hash, text, isPss(key.algorithm) ? pss(publicKey) : publicKey, signature);
};
/** Again and again until a signature comes that is right. */
const recovers = (custody: Custody, key: KeyVersion): Promise<void> =>
  until("signatures again", () =>
    signOne(custody, key).then(
      (signature) => verifies(key, signature),
      () => false,
    ),
  );

describe.skipIf(await lacks("softhsm", "gcc"))("a module that misbehaves", () => {
  let token: TestToken;
  let shim: Shim;
  let custody: Custody;
  let key: KeyVersion;
  let other: KeyVersion;

  beforeAll(async () => {
    token = await softhsmToken();
    shim = await shimmed(token);
  });
  afterAll(async () => token[Symbol.asyncDispose]());
  beforeEach(async () => {
    custody = openPkcs11(shim.token, { deadline: "PT1S" });
    key = await madeKey(custody, "release");
    other = await madeKey(custody, "other");
    await signOne(custody, key);
  });
  afterEach(async () => {
    shim.misbehave(undefined);
    await custody[Symbol.asyncDispose]();
  });

  const attempt = (): Promise<Uint8Array> => signOne(custody, key);

  test("one that hangs is ended at its deadline, and a fresh process signs", async () => {
    shim.misbehave("hang");
    const start = performance.now();
    await expect(attempt()).rejects.toMatchObject({
      code: "CUSTODY_TIMEOUT",
      custody: "pkcs11",
      nothingHappened: false,
      retryAfter: 1,
    });
    expect(performance.now() - start).toBeLessThan(4000);
    shim.misbehave(undefined);
    await recovers(custody, key);
  });

  test("one that crashes costs the calls that were under way, and a fresh process signs", async () => {
    shim.misbehave("crash");
    await expect(attempt()).rejects.toMatchObject({ code: "CUSTODY_DOWN", custody: "pkcs11", nothingHappened: false });
    shim.misbehave(undefined);
    await recovers(custody, key);
  });

  test("a process that is killed from outside comes back by itself", async () => {
    const [pid = 0] = childrenOf(process.pid);
    process.kill(pid, "SIGKILL");
    await recovers(custody, key);
  });

  test("a token that loses its sessions, and the login with them, costs the caller nothing", async () => {
    shim.misbehave("closed");
    expect(verifies(key, await attempt())).toBe(true);
    expect(verifies(other, await signOne(custody, other))).toBe(true);
  });

  test.each([
    ["all its sessions closed", "closed"],
    ["its user logged out", "public"],
  ])("a token with %s answers no question as if its keys were gone", async (_, how) => {
    const doomed = await madeKey(custody, `doomed-${how}`);
    const asked: readonly (() => Promise<unknown> | undefined)[] = [
      () => custody.describe(doomed.uri, soon()),
      () => custody.destroy?.(doomed, soon()),
      () => custody.create?.({ key: `new-${how}`, number: 1, purpose: "BLOB", algorithm: "EC_P256" }, soon()),
    ];
    for (const ask of asked) {
      shim.misbehave(how);
      await expect(ask()).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true, retryAfter: 1 });
      await recovers(custody, key);
    }
    expect(await custody.describe(doomed.uri, soon())).toMatchObject({ uri: doomed.uri });
    await custody.destroy?.(doomed, soon());
    expect(await custody.describe(doomed.uri, soon())).toBeUndefined();
  });

  test("what a module said of a PIN on stderr stands in no fault, no state and no log", async () => {
    const said: string[] = [];
    shim.misbehave("babble");
    await using watched = openPkcs11(shim.token, { said });
    await settled(watched);
    shim.misbehave("crash");
    const fault: unknown = await signOne(watched, key).catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: "CUSTODY_DOWN", message: expect.stringContaining("SIGABRT") as string });
    for (const text of [String(fault), JSON.stringify(watched.health?.()), said.join("\n")])
      expect(text).not.toContain(shim.token.pin);
  });

  test("half a signature is none", async () => {
    shim.misbehave("short");
    await expect(attempt()).rejects.toMatchObject({
      code: "SIGNATURE_WRONG",
      custody: "pkcs11",
      nothingHappened: false,
    });
    shim.misbehave(undefined);
    await recovers(custody, key);
  });

  test.each([
    ["an object handle that is not valid any more", "0x82"],
    ["a session that was closed", "0xb3"],
    ["an operation that was left open", "0x90"],
    ["a login that was lost", "0x101"],
  ])("%s is healed without the caller's knowing", async (_, code) => {
    shim.misbehave(`once ${code}`);
    expect(verifies(key, await attempt())).toBe(true);
  });

  test.each([
    ["pulled out", "0x32"],
    ["failing", "0x30"],
    ["out of memory", "0x2"],
    ["talking of its vendor's own troubles", "0x80000001"],
  ])("a device that is %s for a moment is healed by a fresh process", async (_, code) => {
    shim.misbehave(`once ${code}`);
    expect(verifies(key, await attempt())).toBe(true);
  });

  test("a device that stays away is named, with when to ask again; when it is back, it signs", async () => {
    shim.misbehave("device 0x32");
    await expect(attempt()).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      custody: "pkcs11",
      nothingHappened: true,
      retryAfter: expect.any(Number) as number,
    });
    shim.misbehave("away");
    await until("it is seen to be away", () => custody.health?.().message === "no such token is there");
    await expect(attempt()).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
    shim.misbehave(undefined);
    await recovers(custody, key);
  });

  test("no session to be had is a fault of the device's, and passes", async () => {
    shim.misbehave("open 0xb1");
    const [pid = 0] = childrenOf(process.pid);
    process.kill(pid, "SIGKILL");
    await until("it is seen", () => custody.health?.().message === "CKR_SESSION_COUNT from the module");
    await expect(attempt()).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
    shim.misbehave(undefined);
    await recovers(custody, key);
  });

  test("what cannot be healed before anything was signed is said to have done nothing", async () => {
    shim.misbehave("stale 0xb1");
    await expect(attempt()).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true, retryAfter: 1 });
    shim.misbehave(undefined);
    await recovers(custody, key);
  });

  test("a key that may not sign is this key's trouble: others sign, no process is lost", async () => {
    const [before] = childrenOf(process.pid);
    shim.misbehave("once 0x68");
    await expect(attempt()).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      nothingHappened: true,
      retryAfter: undefined,
    });
    expect(verifies(other, await signOne(custody, other))).toBe(true);
    expect(childrenOf(process.pid)).toEqual([before]);
  });

  test("a key that was destroyed elsewhere signs nothing, and is not described", async () => {
    const gone = await madeKey(custody, "gone");
    await signOne(custody, gone);
    const second = openPkcs11(token);
    await second.destroy?.(gone, soon());
    await second[Symbol.asyncDispose]();
    const [before] = childrenOf(process.pid);
    for (let time = 0; time < 2; time += 1)
      await expect(signOne(custody, gone)).rejects.toMatchObject({
        code: "CUSTODY_DOWN",
        nothingHappened: true,
        retryAfter: undefined,
      });
    expect(childrenOf(process.pid)).toEqual([before]);
    expect(await custody.describe(gone.uri, soon())).toBeUndefined();
    expect(verifies(key, await attempt())).toBe(true);
  });

  test("a key that was destroyed elsewhere does not open the breaker of the whole token", async () => {
    const gone = await madeKey(custody, "gone");
    await using around = bulkhead(openPkcs11(shim.token), {
      name: "pkcs11",
      clock: systemClock,
      metrics: { custodyCalled: () => undefined },
      log: { info: () => undefined, warn: () => undefined },
    });
    await signOne(around, gone);
    await custody.destroy?.(gone, soon());
    for (let time = 0; time < 6; time += 1)
      await expect(signOne(around, gone)).rejects.toMatchObject({ nothingHappened: true, retryAfter: undefined });
    expect(around.load().breaker).toBe("closed");
    expect(verifies(key, await signOne(around, key))).toBe(true);
  });

  test("a batch that was signed in part is never said to have done nothing", async () => {
    const slow = await madeKey(custody, "partly", "RSA_4096");
    const items = messages(4);
    shim.misbehave("lose 4");
    await expect(custody.sign(slow, items, soon())).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      nothingHappened: false,
    });
    shim.misbehave(undefined);
    expect(await custody.describe(slow.uri, soon())).toBeUndefined();
    await recovers(custody, key);
  });

  test("a URI that names another token is no reason to call its key destroyed", async () => {
    const elsewhere = { ...key, uri: key.uri.replace(/serial=[^;]+/, "serial=0123456789abcdef") };
    expect(elsewhere.uri).not.toBe(key.uri);
    for (const call of [custody.destroy?.(elsewhere, soon()), signOne(custody, elsewhere)])
      await expect(call).rejects.toMatchObject({
        code: "CUSTODY_DOWN",
        nothingHappened: true,
        retryAfter: undefined,
        message: expect.stringContaining("not of this token") as string,
      });
    expect(await custody.describe(elsewhere.uri, soon())).toBeUndefined();
  });

  test("another key under the same URI is found out before it signs", async () => {
    const imposter = { ...key, fingerprint: other.fingerprint, publicKey: other.publicKey };
    const fresh = openPkcs11(shim.token);
    await expect(signOne(fresh, imposter)).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
    await fresh[Symbol.asyncDispose]();
  });

  test("what waits is bounded: more is refused at once, with when to come again", async () => {
    const narrow = openPkcs11(shim.token, { queue: 50, deadline: "PT2S" });
    await signOne(narrow, key);
    shim.misbehave("hang");
    const items = messages(40);
    const calls = Array.from({ length: 8 }, () => narrow.sign(key, items, soon()));
    const codes = (await Promise.allSettled(calls)).map((one) =>
      one.status === "rejected" ? (one.reason as { code: string }).code : "signed",
    );
    expect(new Set(codes)).toEqual(new Set(["CUSTODY_TIMEOUT", "OVERLOADED"]));
    await narrow[Symbol.asyncDispose]();
  });

  test("who is turned away is told how many were before; who looks at the token sees how many wait", async () => {
    await using narrow = openPkcs11(shim.token, { queue: 50 });
    const slow = await madeKey(narrow, "queued", "RSA_4096");
    for (const one of [slow, key, other]) await signOne(narrow, one);
    const waiting = (): number => Number(/, (\d+) signatures wait/.exec(narrow.health?.().message ?? "")?.[1]);
    shim.misbehave("hang");
    const [ends, patience] = [new AbortController(), new AbortController()];
    const batch = narrow.sign(slow, messages(45), ends.signal).catch((error: unknown) => error);
    await until("the module has what it is given at a time, the rest waits", () => waiting() > 20);
    const first = waiting(); // how many are given at a time follows from how quick the module was; the order: pkcs11-custody.test.ts
    const last = narrow.sign(other, messages(2), patience.signal).catch((error: unknown) => error);
    await until("it waits too", () => waiting() === first + 2);
    expect(narrow.health?.().message).toMatch(/ signatures wait, about \d+\.\d s of work$/);

    await expect(narrow.sign(key, messages(40), soon())).rejects.toMatchObject({
      code: "OVERLOADED",
      nothingHappened: true,
      retryAfter: expect.any(Number) as number,
      hint: expect.stringMatching(
        new RegExp(
          `^${String(first + 2)} signatures wait .* s of work; [1-9]\\d* of them would have had their turn before yours$`,
        ),
      ) as string,
    });
    patience.abort();
    expect(await last).toMatchObject({
      code: "CUSTODY_TIMEOUT",
      nothingHappened: true,
      hint: expect.stringMatching(
        /^its turn did not come in time: [1-9]\d* signatures were still before it$/,
      ) as string,
    });
    ends.abort();
    expect(await batch).toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: false });
  });

  test("a hundred do not make the one that comes after them wait for all", async () => {
    const slow = await madeKey(custody, "slow", "RSA_4096");
    await signOne(custody, slow);
    const items = messages(100);
    let done = false;
    const batch = custody.sign(slow, items, soon()).then(() => (done = true));
    await attempt();
    expect(done).toBe(false);
    await batch;
  });

  test("the module is bound to its own OpenSSL, not to node's", async () => {
    const log = join(token.folder, "bindings");
    const watched = openPkcs11(token, { environment: { LD_DEBUG: "bindings", LD_DEBUG_OUTPUT: log } });
    await signOne(watched, key);
    await watched[Symbol.asyncDispose]();
    const bindings = readdirSync(token.folder)
      .filter((name) => name.startsWith("bindings"))
      .flatMap((name) => readFileSync(join(token.folder, name), "utf8").split("\n"));
    const ofModule = bindings.filter((line) => /binding file \S*(libsofthsm2|libcrypto)\S* /.test(line));
    expect(ofModule.filter((line) => / to \S*libcrypto\S* /.test(line)).length).toBeGreaterThan(100);
    expect(
      ofModule.filter((line) => / to \S*\/node /.test(line) && /`(EVP|RSA|EC|ECDSA|BN|OPENSSL)_/.test(line)),
    ).toEqual([]);
  });
});

describe.skipIf(await lacks("softhsm", "gcc"))("a PIN", () => {
  let token: TestToken;
  let shim: Shim;
  beforeEach(async () => {
    token = await softhsmToken();
    shim = await shimmed(token);
  });
  afterEach(async () => token[Symbol.asyncDispose]());

  test("that is wrong is given once, and never again by itself: not to a call, not to a fresh process, not after a restart", async () => {
    const custody = openPkcs11(shim.token, { pin: "000000" });
    await settled(custody);
    expect(shim.logins()).toBe(1);
    expect(custody.health?.()).toMatchObject({
      status: "fail",
      message: expect.stringContaining("CKR_PIN_INCORRECT") as string,
      hint: "signet custody unlock pkcs11",
    });
    for (let call = 0; call < 5; call += 1)
      await expect(custody.describe("pkcs11:object=x", soon())).rejects.toMatchObject({
        code: "CUSTODY_LOCKED",
        custody: "pkcs11",
        nothingHappened: true,
        retryAfter: undefined,
      });
    expect(await custody.unlock?.(new Secret(utf8("000000")), soon())).toMatchObject({
      refused: expect.anything() as string,
    });
    await custody[Symbol.asyncDispose]();
    expect(shim.logins()).toBe(1);

    const restarted = openPkcs11(shim.token, { pin: "000000" }); // SoftHSM remembers that a wrong one was given
    await settled(restarted);
    expect(shim.logins()).toBe(1);
    expect(await restarted.unlock?.(new Secret(utf8(rightPin)), soon())).toEqual({ ready: true });
    expect(shim.logins()).toBe(2);
    const key = await madeKey(restarted, "release");
    expect(verifies(key, await signOne(restarted, key))).toBe(true);
    await restarted[Symbol.asyncDispose]();
  });

  test("of which the token did not say whether it is right is not given again by itself", async () => {
    shim.misbehave("login 0x30");
    await using custody = openPkcs11(shim.token);
    await settled(custody);
    expect(custody.health?.()).toMatchObject({
      message: expect.stringContaining("did not say (CKR_DEVICE_ERROR") as string,
    });
    shim.misbehave(undefined);
    await expect(custody.describe("pkcs11:object=x", soon())).rejects.toMatchObject({ code: "CUSTODY_LOCKED" });
    expect(shim.logins()).toBe(1);
    expect(await custody.unlock?.(new Secret(utf8(rightPin)), soon())).toEqual({ ready: true });
  });

  test("is tried by one person at a time: what the token says of it holds for the next, and no process is left", async () => {
    const before = childrenOf(process.pid);
    const custody = openPkcs11(shim.token, { pin: "operator" });
    await settled(custody);
    const all = await Promise.all(
      ["111111", "111111", rightPin, "222222"].map(async (pin) => custody.unlock?.(new Secret(utf8(pin)), soon())),
    );
    expect(all).toEqual([
      { refused: expect.stringContaining("CKR_PIN_INCORRECT") as string },
      { refused: expect.stringContaining("not given again") as string },
      { ready: true },
      { refused: expect.stringContaining("unlocked already") as string },
    ]);
    expect(shim.logins()).toBe(2);
    expect(childrenOf(process.pid).length).toBe(before.length + 1);
    await custody[Symbol.asyncDispose]();
    expect(childrenOf(process.pid)).toEqual(before);
  });

  test("that is given after somebody gave up waiting is not given at all", async () => {
    await using custody = openPkcs11(shim.token, { pin: "operator" });
    await settled(custody);
    const gaveUp = new AbortController();
    const first = custody.unlock?.(new Secret(utf8("111111")), soon());
    const second = custody.unlock?.(new Secret(utf8("222222")), gaveUp.signal);
    gaveUp.abort();
    await expect(second).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: true });
    await first;
    expect(await custody.unlock?.(new Secret(utf8("111111")), soon())).toMatchObject({
      refused: expect.stringContaining("not given again") as string,
    });
    expect(shim.logins()).toBe(1);
  });

  test.each([
    ["another PIN", () => "333333"],
    [
      "nothing that can be read",
      () => {
        throw new Error("the PIN cannot be read");
      },
    ],
  ])("that is refused in the middle is the one not given again, though its file has %s by now", async (_, later) => {
    let sealed: () => string = () => rightPin;
    await using custody = openPkcs11(shim.token, { sealed: () => sealed() });
    const key = await madeKey(custody, "release");
    sealed = later;
    shim.misbehave("once 0xa0");
    await expect(signOne(custody, key)).rejects.toMatchObject({ code: "CUSTODY_LOCKED" });
    expect(custody.health?.()).toMatchObject({ message: expect.stringContaining("CKR_PIN_INCORRECT") as string });
    expect(shim.logins()).toBe(1);
    expect(await custody.unlock?.(new Secret(utf8(rightPin)), soon())).toMatchObject({
      refused: expect.stringContaining("not given again") as string,
    });
    expect(await custody.unlock?.(new Secret(utf8("333333")), soon())).toMatchObject({
      refused: expect.stringContaining("CKR_PIN_INCORRECT") as string,
    });
    expect(shim.logins()).toBe(2);
  });

  test("that was right before is given to each fresh process", async () => {
    await using custody = openPkcs11(shim.token);
    const key = await madeKey(custody, "release");
    shim.misbehave("login 0x30");
    const [pid = 0] = childrenOf(process.pid);
    process.kill(pid, "SIGKILL");
    await until("it is tried again", () => shim.logins() > 2);
    shim.misbehave(undefined);
    await recovers(custody, key);
  });

  test("is read from its file without the newline at its end", async () => {
    await using custody = openPkcs11(shim.token, { pin: `${rightPin}\n` });
    await settled(custody);
    expect(custody.health?.()).toMatchObject({ status: "ok" });
  });

  test("that a person gives opens the token, and opens it again when its process was lost", async () => {
    const custody = openPkcs11(shim.token, { pin: "operator" });
    await settled(custody);
    expect(shim.logins()).toBe(0);
    expect(custody.health?.()).toMatchObject({ status: "fail", message: "waits for its PIN" });
    expect(await custody.unlock?.(new Secret(utf8("")), soon())).toMatchObject({
      refused: expect.anything() as string,
    });
    expect(await custody.unlock?.(new Secret(utf8("VERIFY_BIO")), soon())).toMatchObject({
      refused: expect.anything() as string,
    });
    expect(shim.logins()).toBe(0);
    for (const pin of ["111111", "222222"])
      expect(await custody.unlock?.(new Secret(utf8(pin)), soon())).toMatchObject({
        refused: expect.stringContaining("CKR_PIN_INCORRECT") as string,
      });
    expect(await custody.unlock?.(new Secret(utf8("111111")), soon())).toMatchObject({
      refused: expect.stringContaining("not given again") as string,
    });
    expect(await custody.unlock?.(new Secret(utf8(rightPin)), soon())).toEqual({ ready: true });
    expect(shim.logins()).toBe(3);
    const key = await madeKey(custody, "release");
    const [pid = 0] = childrenOf(process.pid);
    process.kill(pid, "SIGKILL");
    await recovers(custody, key);
    await custody[Symbol.asyncDispose]();
  });
});

describe("a system that can start no process", () => {
  test("is a loss like another: the daemon goes on, and says why", async () => {
    const child = new URL("../../src/custody/pkcs11-child.ts", import.meta.url).href;
    const script = `
      import { openSync, closeSync } from "node:fs";
      import { startChild } from ${JSON.stringify(child)};
      const taken = [];
      try { for (;;) taken.push(openSync("/dev/null")); } catch { /* none is left */ }
      const one = startChild({});
      const [asked, gone] = await Promise.all([one.ask("open", new Uint8Array(), 1000).catch((error) => error), one.gone]);
      taken.forEach((each) => closeSync(each));
      console.log(asked.why + "; " + gone.message);`;
    const shell = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"';
    const { stdout, stderr } = await run("sh", ["-c", shell, process.execPath, script]);
    expect(stdout, stderr).toMatch(/^ended; the process could not be started: spawn \S+ EMFILE$/m);
  });
});

describe.skipIf(await lacks("softhsm"))("a token in files", () => {
  test("that is taken away and comes back is found again, with its keys", async () => {
    await using token = await softhsmToken();
    await using custody = openPkcs11(token);
    const key = await madeKey(custody, "release");
    const [folder, away] = [join(token.folder, "tokens"), join(token.folder, "elsewhere")];
    await signOne(custody, key);
    renameSync(folder, away);
    mkdirSync(folder);
    await until("it does not sign", () =>
      signOne(custody, key).then(
        () => false,
        () => true,
      ),
    );
    await expect(signOne(custody, key)).rejects.toMatchObject({ custody: "pkcs11", nothingHappened: true });
    rmSync(folder, { recursive: true });
    renameSync(away, folder);
    await recovers(custody, key);
  });

  test("of the same name and another serial is not taken for it", async () => {
    await using token = await softhsmToken();
    await using custody = openPkcs11({ ...token, serial: "0123456789abcdef" });
    await settled(custody);
    expect(custody.health?.()).toMatchObject({ status: "fail", message: "no such token is there" });
  });
});

describe.skipIf(await lacks("softokn", "gcc"))("NSS softokn", () => {
  test("signs, and what it says of its keys is only claimed", async () => {
    await using token = await softoknToken();
    await using custody = openPkcs11(token);
    await settled(custody);
    expect(custody.algorithms).toEqual(["EC_P256", "EC_P384", "RSA_3072", "RSA_4096", "RSA_3072_PSS", "RSA_4096_PSS"]);
    for (const algorithm of ["EC_P256", "EC_P384", "RSA_3072", "RSA_3072_PSS"] as const) {
      const key = await madeKey(custody, algorithm.toLowerCase().replaceAll("_", "-"), algorithm);
      expect(verifies(key, await signOne(custody, key)), algorithm).toBe(true);
      expect(await custody.describe(key.uri, soon(), key)).toMatchObject({
        algorithm,
        uri: key.uri,
        protection: {
          level: "PROCESS",
          exportable: "UNKNOWN",
          proved: [],
          claimed: expect.arrayContaining(["not extractable (CKA_EXTRACTABLE)"]) as string[],
        },
        guards: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      });
    }
  });

  test("signs with mechanisms that hash, where there are no others", async () => {
    await using token = await softoknToken();
    const shim = await shimmed(token);
    shim.misbehave("deaf");
    await using custody = openPkcs11(shim.token);
    for (const algorithm of ["EC_P256", "RSA_3072", "RSA_3072_PSS"] as const) {
      const key = await madeKey(custody, `deaf-${algorithm.toLowerCase().replaceAll("_", "-")}`, algorithm);
      expect(verifies(key, await signOne(custody, key)), algorithm).toBe(true);
    }
    const key = await madeKey(custody, "deaf-ec-p256");
    const digest = { form: "digest", hash: "sha256", bytes: new Uint8Array(32) } as const;
    await expect(custody.sign(key, [digest], soon())).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      nothingHappened: true,
    });
  });
});

describe.skipIf(await lacks("tpm2-pkcs11", "gcc"))("a TPM", () => {
  let token: TestToken;
  let shim: Shim;
  beforeAll(async () => {
    token = await tpmToken();
    shim = await shimmed(token);
  }, 60_000);
  afterAll(async () => token[Symbol.asyncDispose]());

  test("signs, and its keys are described", { timeout: 60_000 }, async () => {
    await using custody = openPkcs11(shim.token);
    await settled(custody);
    for (const algorithm of ["EC_P256", "EC_P384"] as const) {
      const key = await madeKey(custody, algorithm.toLowerCase().replaceAll("_", "-"), algorithm);
      const items = messages(20);
      for (const signature of await custody.sign(key, items, soon())) expect(verifies(key, signature)).toBe(true);
      expect(await custody.describe(key.uri, soon(), key)).toMatchObject({
        algorithm,
        protection: { exportable: "UNKNOWN" },
      });
    }
  });

  test("that has locked its PIN refuses the right one too, and says what to do", { timeout: 60_000 }, async () => {
    await using custody = openPkcs11(shim.token, { pin: "operator" });
    await settled(custody);
    const before = shim.logins();
    const said: string[] = [];
    for (const pin of ["000001", "000002", "000003", "000004", rightPin]) {
      const unlocking = await custody.unlock?.(new Secret(utf8(pin)), soon());
      said.push(unlocking && "refused" in unlocking ? unlocking.refused : "ready");
    }
    expect(said[0]).toContain("CKR_PIN_INCORRECT");
    expect(said.at(-1)).toContain("CKR_PIN_LOCKED");
    expect(said.at(-1)).toContain("SO-PIN or PUK");
    expect(shim.logins() - before).toBe(5);
    await expect(custody.describe("pkcs11:object=x", soon())).rejects.toMatchObject({
      code: "CUSTODY_LOCKED",
      retryAfter: undefined,
    });
  });
});

describe.skipIf(await lacks("softhsm", "gcc"))("through the daemon", () => {
  let token: TestToken;
  let shim: Shim;
  let home: House;
  let job: Job;

  beforeAll(async () => {
    token = await softhsmToken("test", unlockedPin);
    shim = await shimmed(token);
    home = await house({
      uses: 100_000,
      keys: [
        { name: "attest", purpose: "ATTESTATION" },
        { name: "release", purpose: "BLOB", custody: "token" },
      ],
      config: `custodies:\n  - kind: software\n${custodyYaml(shim.token, "{ env: TOKEN_PIN }", "    name: token\n    deadline: PT1S\n")}`,
      run: { env: { ...quickStart, TOKEN_PIN: unlockedPin } },
    });
    job = await home.job({ uses: 10_000 });
    await made();
  }, 60_000);
  afterEach(() => {
    shim.misbehave(undefined);
  });
  afterAll(async () => {
    await home[Symbol.asyncDispose]();
    await token[Symbol.asyncDispose]();
  });

  const ask = async (key: "release" | "attest"): Promise<Heard> => {
    const items = [key === "release" ? blob() : statement()];
    const heard = await askOnce(home, job, "Sign", { input: { idempotencyKey: crypto.randomUUID(), key, items } });
    if (heard === undefined) throw new Error("the daemon did not answer");
    return heard;
  };
  const made = (): Promise<void> =>
    until("the token signs", async () => (await ask("release")).data?.["signatures"] !== undefined, 40_000);

  test.each([
    ["hangs", "hang", "CUSTODY_TIMEOUT", "unknown", false],
    ["crashes", "crash", "CUSTODY_DOWN", "unknown", false],
    ["returns garbage", "garbage", "SIGNATURE_WRONG", "withheld", false],
    ["returns half a signature", "short", "SIGNATURE_WRONG", "unknown", false],
    ["signs with another key", "other", "SIGNATURE_WRONG", "withheld", false],
    ["says that the device is gone", "device 0x32", "CUSTODY_DOWN", "failed", true],
    ["fails without a word", "sign 0x6", "CUSTODY_DOWN", "unknown", false],
    ["is killed from outside while it signs", "killed", "CUSTODY_DOWN", "unknown", false],
  ])(
    "a module that %s: nothing is released, the log tells, others sign, and it goes on by itself",
    { timeout: 60_000 },
    async (_, how, code, result, retryable) => {
      await made();
      const before = (await home.entries()).length;
      shim.misbehave(how === "other" ? `other ${await decoyId()}` : how === "killed" ? "hang" : how);
      const start = performance.now();
      const killing = how === "killed" ? pause(300).then(killed) : undefined;
      const [heard, beside] = await Promise.all([ask("release"), ask("attest"), killing]);
      expect(performance.now() - start).toBeLessThan(5000);
      expect(heard).toMatchObject({ code, custody: "token", retryable });
      expect(heard.data?.["signatures"]).toBeUndefined();
      expect(beside.data?.["signatures"]).toBeDefined();
      shim.misbehave(undefined);
      await made();
      const entries = (await home.entries()) as readonly Found[]; // entries of ours, with their index
      const intent = entries.find(
        (one) => one.index >= before && one["type"] === "sign.intent" && custodyOf(one) === "token",
      );
      expect(outcomesOf(entries, intent?.index ?? -1)).toMatchObject([{ result, code }]);
    },
  );

  test.each([
    ["that gives no session any more", "open 0xb1", "CKR_SESSION_COUNT"],
    ["that is taken away", "away", "no such token is there"],
  ])(
    "a token %s is seen before an intent is written: no use is spent, others sign, and it comes back by itself",
    { timeout: 60_000 },
    async (_, how, why) => {
      await made();
      const operator = await home.operator();
      shim.misbehave(how);
      killed();
      await until("it is seen", async () => (await tokenStatus(operator)).message.includes(why));
      const before = (await home.entries()).length;
      const [heard, beside] = await Promise.all([ask("release"), ask("attest")]);
      expect(heard).toMatchObject({
        code: "CUSTODY_DOWN",
        custody: "token",
        retryable: true,
        retryAfter: expect.any(Number) as number,
      });
      expect(beside.data?.["signatures"]).toBeDefined();
      const since = ((await home.entries()) as readonly Found[]).filter(({ index }) => index >= before); // entries of ours
      expect(since.filter((one) => one["type"] === "sign.intent").map(custodyOf)).toEqual(["software"]);
      shim.misbehave(undefined);
      await made();
    },
  );

  test("a token that has locked its PIN says what to do; unblocked, it takes the same PIN from a person", {
    timeout: 60_000,
  }, async () => {
    await made();
    const operator = await home.operator();
    shim.misbehave("login 0xa4");
    const before = shim.logins();
    killed();
    await until("it is seen", async () => (await tokenStatus(operator)).message.includes("CKR_PIN_LOCKED"));
    expect(await tokenStatus(operator)).toMatchObject({
      status: "fail",
      message: expect.stringContaining("SO-PIN or PUK") as string,
    });
    expect(await ask("release")).toMatchObject({ code: "CUSTODY_LOCKED", custody: "token", retryable: false });
    expect((await ask("attest")).data?.["signatures"]).toBeDefined();
    expect(shim.logins() - before).toBe(1);
    shim.misbehave(undefined);
    const input = { custody: "token", pin: unlockedPin, salt: crypto.randomUUID() };
    expect(expectDone(await operator.ask("UnlockCustody", { input })).custody).toMatchObject({ status: "ok" });
    expect(shim.logins() - before).toBe(2);
    await made();
  });

  /** Ends the token's process from outside. */
  function killed(): void {
    const [pid = 0] = childrenOf(home.child().pid ?? 0);
    process.kill(pid, "SIGKILL");
  }

  /** Another key on the token, by its CKA_ID. */
  async function decoyId(): Promise<string> {
    await using custody = openPkcs11(token);
    const decoy = await madeKey(custody, "decoy");
    return /id=([%0-9A-F]+)/.exec(decoy.uri)?.[1]?.replaceAll("%", "").toLowerCase() ?? "";
  }

  test("a process whose daemon is killed dies with it, even while the module hangs; the next daemon signs", {
    timeout: 60_000,
  }, async () => {
    const [pid = 0] = childrenOf(home.child().pid ?? 0);
    shim.misbehave("hang");
    const hanging = askOnce(home, job, "Sign", {
      input: { idempotencyKey: crypto.randomUUID(), key: "release", items: [blob()] },
    });
    await pause(300);
    await home.stop("SIGKILL");
    await hanging.catch(() => undefined);
    await until("the process is gone", () => !existsSync(`/proc/${String(pid)}`));
    shim.misbehave(undefined);
    await home.start({ env: { ...quickStart, TOKEN_PIN: unlockedPin } });
    await made();
  });

  test("a wrong PIN locks the token alone; a person unlocks it, and the log tells of it without the PIN", {
    timeout: 60_000,
  }, async () => {
    await home.stop();
    const before = shim.logins();
    await home.start({ env: { ...quickStart, TOKEN_PIN: sealedPin } });
    const known = (await home.entries()).length;
    const operator = await home.operator();
    await until("the PIN is refused", async () => (await tokenStatus(operator)).status === "fail");
    expect(await ask("release")).toMatchObject({
      code: "CUSTODY_LOCKED",
      custody: "token",
      retryable: false,
      hint: expect.stringContaining("signet custody unlock token") as string,
    });
    expect((await ask("attest")).data?.["signatures"]).toBeDefined();
    expect(shim.logins() - before).toBe(1);

    const unlock = (pin: string) =>
      operator.ask("UnlockCustody", { input: { custody: "token", pin, salt: crypto.randomUUID() } });
    expect(await unlock(wrongPin)).toMatchObject({ refusal: "PIN_REFUSED" });
    expect(await unlock(wrongPin)).toMatchObject({ refusal: "PIN_REFUSED" });
    expect(shim.logins() - before).toBe(2);
    expect(expectDone(await unlock(unlockedPin)).custody).toMatchObject({
      name: "token",
      kind: "pkcs11",
      status: "ok",
    });
    await made();
    const entries = await home.entries();
    const unlocking = entries.slice(known).filter((one) => String(one["type"]).startsWith("custody.unlock."));
    expect(unlocking.map((one) => one["result"] ?? "intent")).toEqual([
      "intent",
      "failed",
      "intent",
      "failed",
      "intent",
      "done",
    ]);
    const state = join(home.directory, "state");
    const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    const kept = files.map((one) => readFileSync(join(one.parentPath, one.name), "latin1"));
    expect(kept.join("")).toContain("custody.unlock.intent");
    for (const pin of [sealedPin, wrongPin, unlockedPin])
      for (const text of [home.said(), ...kept]) expect(text.includes(pin)).toBe(false);
  });
});

const tokenStatus = async (operator: Client) => {
  const found = expectDone(await operator.ask("Custodies", {})).find(({ name }) => name === "token");
  if (found === undefined) throw new Error("the custody is not listed");
  return found;
};

const custodyOf = (entry: Found): unknown => (entry["key"] as { readonly custody: string }).custody;

/** Processes that a process has started and that live. */
function childrenOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const status = readFileSync(`/proc/${name}/status`, "utf8");
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
        return status.includes(`\nPPid:\t${String(pid)}\n`) && command.includes("pkcs11-host");
      } catch {
        return false; // it ended meanwhile
      }
    })
    .map(Number);
}
