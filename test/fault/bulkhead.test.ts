// One custody in trouble, seen through the real daemon: it costs nobody else, the caller hears which one it was and
// whether to ask again, the log has intent and outcome, and it comes back without a restart.
//
// The custody is a test's own kind in the registry, over a backend that hangs and fails on command; the same over real
// servers and modules is in the fault tests of each kind.

import pino from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { failureJson, failureLines, textOf } from "../../src/cli/failure.ts";
import { readConfig } from "../../src/config.ts";
import type { CustodyMeans } from "../../src/custody/index.ts";
import { type Daemon, startDaemon } from "../../src/daemon.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { noStep } from "../../src/std/steps.ts";
import { askOnce, type Heard, outcomesOf, publishedLog, unfinishedIn, until } from "../support/faults.ts";
import { backend } from "../support/flaky.ts";
import { bareHouse, expectDone, type House, type Job, statement } from "../support/house.ts";

vi.mock(import("../../src/custody/index.ts"), async (original) => {
  const { custodies, openCustody } = await original();
  const { flakyKind } = await import("../support/flaky.ts");
  const opened = (config: { readonly kind: string }, means: CustodyMeans) =>
    config.kind === "flaky" ? flakyKind.open({ kind: "flaky" }, means) : openCustody(config as never, means);
  return { custodies: [...custodies, flakyKind], openCustody: opened } as never; // the registry's types list its own kinds
});

let home: House;
let daemon: Daemon;
let job: Job;

const startHere = (): Promise<Daemon> =>
  startDaemon({
    config: readConfig(home.config, {}),
    log: pino({ level: "silent" }),
    clock: systemClock,
    random: systemRandom,
    step: noStep,
    version: "0.0.0-test",
    dev: false,
    dangerous: [],
  });

beforeAll(async () => {
  home = await bareHouse({ config: "custodies:\n  - { kind: software }\n  - { kind: flaky, name: remote }\n" });
  daemon = await startHere();
  const operator = await home.operator();
  for (const [name, purpose, custody] of [
    ["attest", "ATTESTATION", "remote"],
    ["release", "ATTESTATION", "software"],
  ] as const) {
    expectDone(await operator.ask("CreateKey", { input: { name, purpose, algorithm: "EC_P256", custody } }));
    expectDone(await operator.ask("ActivateKey", { input: { key: name, reason: "for the test" } }));
  }
  job = await home.job();
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});
beforeEach(async () => {
  backend.does = "well";
  await until("the custody is back", async () => (await sign("attest"))?.code === undefined, 20_000);
});

const sign = (key: "attest" | "release", idempotencyKey: string = crypto.randomUUID()): Promise<Heard | undefined> =>
  askOnce(home, job, "Sign", { input: { idempotencyKey, key, items: [statement()] } });

const took = async <T>(work: PromiseLike<T>): Promise<{ readonly answer: T; readonly milliseconds: number }> => {
  const began = performance.now();
  return { answer: await work, milliseconds: performance.now() - began };
};
const inLog = () => publishedLog({ directory: home.directory, said: () => JSON.stringify({ vkey: daemon.vkey }) });
const intents = async (): Promise<number> =>
  (await home.entries()).filter((one) => one["type"] === "sign.intent").length;
const health = async () =>
  expectDone(await (await home.operator()).ask("Health", {})).checks.find(({ name }) => name === "custody remote");

/** Until the breaker answers by itself. */
async function open(): Promise<void> {
  for (let n = 0; n < 5; n += 1) await sign("attest");
  backend.asked = 0;
  expect(await sign("attest")).toMatchObject({ code: "CUSTODY_DOWN" });
  expect(backend.asked).toBe(0);
}

test("a custody that hangs ends in time with an unknown outcome, and keys elsewhere sign as quickly as before", async () => {
  backend.does = "hangs";
  const hung = Array.from({ length: 6 }, (_, n) => took(sign("attest", `hung-${String(n)}`)));
  const times: number[] = [];
  for (let n = 0; n < 30; n += 1) {
    const { answer, milliseconds } = await took(sign("release"));
    expect(answer?.code).toBeUndefined();
    times.push(milliseconds);
  }
  expect(times.sort((a, b) => a - b)[15]).toBeLessThan(250);
  for (const { answer, milliseconds } of await Promise.all(hung)) {
    expect(milliseconds).toBeLessThan(25_000);
    expect(answer).toMatchObject({ code: "CUSTODY_TIMEOUT", custody: "remote", retryable: false, retryAfter: 5 });
    expect(answer?.hint).toMatch(
      /not known, and nothing was released; send it again in 5 s under a new idempotency key/,
    );
    expect(answer?.message).toContain("(custody remote)");
  }

  const { answer, milliseconds } = await took(sign("attest"));
  expect(answer).toMatchObject({ code: "CUSTODY_DOWN", custody: "remote", retryable: true });
  expect(milliseconds).toBeLessThan(1_000);
  backend.does = "well";
  await until("the breaker let one through", async () => (await sign("attest"))?.code === undefined);
}, 60_000);

test("while it is known to be away a request is answered at once, costs no use, and doctor and metrics say so", async () => {
  backend.does = "gone";
  await open();
  const before = await intents();
  const { answer, milliseconds } = await took(sign("attest", "turned-away"));
  expect(answer).toMatchObject({ code: "CUSTODY_DOWN", custody: "remote", retryable: true, retryAfter: 1 });
  expect(answer?.hint).toBe("nothing was signed; send it again in 1 s, under the same idempotency key");
  expect(milliseconds).toBeLessThan(1_000);
  expect(await intents()).toBe(before);
  expect(await health()).toMatchObject({
    status: "fail",
    message: expect.stringMatching(/^away for \d+ s, 5 faults/) as string,
  });
  const metrics = await (await fetch(`${home.url}/metrics`)).text();
  expect(metrics).toContain('signet_custody_breaker{custody="remote",state="open"} 1');
  expect(metrics).toMatch(/signet_custody_calls_total\{custody="remote",call="sign",result="CUSTODY_DOWN"\} \d+/);
  expect((await fetch(`${home.url}/readyz`)).status).toBe(200);

  backend.does = "well";
  await until("the breaker let one through", async () => (await sign("attest"))?.code === undefined);
  expect((await sign("attest", "turned-away"))?.code).toBeUndefined();
  expect(await health()).toMatchObject({ status: "ok" });
});

describe("what the caller hears is true", () => {
  test("nothing was signed: the same idempotency key signs once the custody is back, and the log has both attempts", async () => {
    backend.does = "gone";
    expect(await sign("attest", "again")).toMatchObject({ code: "CUSTODY_DOWN", retryable: true, retryAfter: 1 });
    backend.does = "well";
    const item = statement();
    backend.does = "gone";
    const ask = () => askOnce(home, job, "Sign", { input: { idempotencyKey: "twice", key: "attest", items: [item] } });
    const failed = await ask();
    backend.does = "well";
    const signed = await ask();
    expect([failed?.code, signed?.code]).toEqual(["CUSTODY_DOWN", undefined]);
    expect((await ask())?.data).toEqual(signed?.data); // and from then on it is that answer
    const entries = await home.entries();
    const outcomes = entries.filter((one) => one["type"] === "sign.outcome").slice(-2);
    expect(outcomes).toMatchObject([{ result: "failed", code: "CUSTODY_DOWN" }, { result: "done" }]);
  });

  test("nobody knows: the same idempotency key is refused, a new one signs", async () => {
    backend.does = "unknown";
    const item = statement();
    const ask = (idempotencyKey: string) =>
      askOnce(home, job, "Sign", { input: { idempotencyKey, key: "attest", items: [item] } });
    expect(await ask("lost")).toMatchObject({
      code: "CUSTODY_DOWN",
      retryable: false,
      retryAfter: 2,
      custody: "remote",
    });
    backend.does = "well";
    expect(await ask("lost")).toMatchObject({ code: "UNFINISHED" });
    expect((await ask("found"))?.code).toBeUndefined();
  });

  test("about this key only: no use in asking again, and the breaker stays closed", async () => {
    backend.does = "unable";
    for (let n = 0; n < 8; n += 1) {
      const answer = await sign("attest");
      expect(answer).toMatchObject({ code: "CUSTODY_DOWN", retryable: false, custody: "remote" });
      expect(answer?.hint).toMatch(/will not help before an operator has looked/);
    }
    expect(await health()).toMatchObject({ status: "ok" });
  });

  test("our own client asks again where that is safe, and says the rest in words", async () => {
    backend.does = "gone";
    setTimeout(() => {
      backend.does = "well";
    }, 500);
    expectDone(await job.sign([statement()]));

    backend.does = "unknown";
    const failure = textOf(await job.sign([statement()]).catch((error: unknown) => error));
    expect(failureLines(failure, (text) => text).slice(0, 3)).toEqual([
      "error[SGN-4001] the place where the key lives does not answer",
      "  found   custody remote",
      "  next    whether it signed is not known, and nothing was released; send it again in 2 s under a new idempotency key",
    ]);
    expect(JSON.parse(failureJson(failure))).toMatchObject({
      custody: "remote",
      retryable: false,
      retryAfter: 2,
      exit: 9,
    });
  });
});

test("a daemon that stops while a custody hangs still writes what became of it", async () => {
  Object.assign(backend, { does: "hangs", asked: 0 });
  const hung = sign("attest");
  await until("the custody was asked", () => backend.asked > 0);
  const { milliseconds } = await took(daemon[Symbol.asyncDispose]());
  expect(milliseconds).toBeLessThan(15_000);
  expect(await hung).toMatchObject({ code: "CUSTODY_TIMEOUT", retryable: false });
  const entries = await inLog();
  expect(unfinishedIn(entries)).toEqual([]);
  const last = entries.findLast((one) => one["type"] === "sign.intent");
  expect(outcomesOf(entries, last?.index ?? -1)).toMatchObject([{ result: "unknown", code: "CUSTODY_TIMEOUT" }]);

  daemon = await startHere();
  backend.does = "well";
  expect((await sign("attest"))?.code).toBeUndefined();
}, 60_000);
