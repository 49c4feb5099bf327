// Kill -9 at every named step of the real daemon: what a job, an operator and an auditor find after the restart.
//
// One house lives through all the deaths: each test kills it at one step and starts it again, so that every restart is
// also a further restart for those before it. Kill -9 does not test fsync: that is durable.test.ts.

import { afterAll, beforeAll, expect, test } from "vitest";
import { githubClaims } from "../../src/cli/dev/claims.ts";
import type { Operations } from "../../src/client/answers.ts";
import { isRefused } from "../../src/client/connect.ts";
import { newProofKey } from "../../src/client/proof.ts";
import { type StepName, steps } from "../../src/std/steps.ts";
import {
  askOnce,
  deathOf,
  expectRecorded,
  type Heard,
  publishedLog,
  quickStart,
  spentBy,
  unfinishedIn,
  until,
} from "../support/faults.ts";
import { audience, expectDone, type House, house, type Job, statement } from "../support/house.ts";
import { shelfConfig, shelfIn, shelfRun, shelved } from "../support/shelf.ts";

let home: House;
let death: ReturnType<typeof deathOf>;
/** Every signature that anybody got, to be found in the log at the end. */
const released: Heard[] = [];
/** Intents that a death left without an outcome. */
let lost = 0;

beforeAll(async () => {
  home = await house({ config: shelfConfig, run: shelfRun });
  await home.stop("SIGKILL");
  death = deathOf(home);
  await home.start({ ...shelfRun, env: death.env });
}, 120_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

/** The daemon is dead by its own hand; the next one stands, and will die when the next test says so. */
async function restarted(): Promise<void> {
  expect(await home.ended()).toBe("SIGKILL");
  await publishedLog(home); // a reader of the tree sees a whole log even now
  await home.start({ ...shelfRun, env: death.env });
}

const sign = (job: Job, idempotencyKey: string, name: string): Promise<Heard | undefined> =>
  askOnce(home, job, "Sign", { input: { idempotencyKey, key: "attest", items: [statement(name)] } });

async function wholeLog(): ReturnType<typeof publishedLog> {
  const metrics = await (await fetch(`${home.url}/metrics`)).text();
  const size = /^signet_log_size (\d+)$/m.exec(metrics)?.[1] ?? "Infinity";
  await until("everything is published", async () => (await publishedLog(home)).length >= Number(size));
  return publishedLog(home);
}

interface SigningDeath {
  readonly step: StepName;
  /** 1: the first time that the request passes it. */
  readonly time: 1 | 2;
  /** Uses that are gone. */
  readonly spent: 0 | 1;
  /** What the same request gets afterwards. */
  readonly again: "signed anew" | "UNFINISHED" | "the first answer";
}

const signingDeaths: readonly SigningDeath[] = [
  { step: "sign.before-intent", time: 1, spent: 0, again: "signed anew" },
  { step: "log.before-commit", time: 1, spent: 0, again: "signed anew" },
  { step: "log.after-commit", time: 1, spent: 1, again: "UNFINISHED" },
  { step: "sign.after-intent", time: 1, spent: 1, again: "UNFINISHED" },
  { step: "sign.after-custody", time: 1, spent: 1, again: "UNFINISHED" },
  { step: "log.before-commit", time: 2, spent: 1, again: "UNFINISHED" },
  { step: "log.after-commit", time: 2, spent: 1, again: "the first answer" },
  { step: "sign.after-outcome", time: 1, spent: 1, again: "the first answer" },
];

test.each(signingDeaths)(
  "dead at $step, time $time, while a job signs: $spent use is gone, the same request gets $again, the session goes on",
  async ({ step, time, spent, again }) => {
    const job = await home.job({ uses: 5 });
    const before = await sign(job, "before", "before.tgz");
    expect(before?.data).toMatchObject({ usesLeft: 4 });
    await wholeLog(); // the checkpoints of what was asked so far are stored, so that the next commits are this request's
    await quiet();

    death.at(step, time);
    expect(await sign(job, "the-release", "app.tgz")).toBeUndefined();
    await restarted();

    expect(await usesLeft(job)).toBe(4 - spent);
    const repeated = await sign(job, "the-release", "app.tgz");
    if (again === "UNFINISHED") {
      expect(repeated).toMatchObject({ code: "UNFINISHED", number: "SGN-3008" });
      lost += 1;
    } else expect(repeated?.data).toMatchObject({ usesLeft: 3 });
    const next = await sign(job, "the-next", "next.tgz");
    expect(next?.data).toMatchObject({ usesLeft: 2 });

    const entries = await wholeLog();
    const unfinished = unfinishedIn(entries);
    expect(unfinished).toHaveLength(lost);
    if (again === "UNFINISHED") expect(unfinished.at(-1)).toMatchObject({ type: "sign.intent", session: job.session });
    for (const one of [before, next, ...(again === "UNFINISHED" ? [] : [repeated])]) {
      expectRecorded(entries, one);
      if (one) released.push(one);
    }
    expect(spentBy(entries, job.session)).toBe(3);
  },
  60_000,
);

async function usesLeft(job: Job): Promise<number | undefined> {
  const { nodes } = expectDone(await (await home.operator()).ask("Sessions", { first: 100 }));
  return nodes.find(({ name }) => name === job.session)?.usesLeft;
}

/** Signed checkpoints are stored a moment after they were asked for, in a commit of their own. */
const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 500));

test("dead at open.after-commit: the job asks again with the same token and key, and has one session", async () => {
  const key = newProofKey();
  const identityToken = await home.issuer.mint(githubClaims({ aud: audience }));
  const input = { identityToken, keys: ["attest"], uses: 2 };
  death.at("open.after-commit");
  expect(await askOnce(home, { key }, "OpenSession", { input })).toBeUndefined();
  await restarted();

  const opened = await askOnce(home, { key }, "OpenSession", { input });
  if (opened?.data === undefined) throw new Error(`no session: ${String(opened?.code)}`);
  const { token, session } = opened.data as unknown as Operations["OpenSession"]["answer"]; // what the schema promises
  expect(session.usesLeft).toBe(2);
  const signed = await askOnce(home, { key, token }, "Sign", {
    input: { idempotencyKey: "1", key: "attest", items: [statement()] },
  });
  expect(signed?.data).toMatchObject({ usesLeft: 1 });
  const openings = (await wholeLog()).filter(
    (one) => one["type"] === "session.open" && one["session"] === session.name,
  );
  expect(openings.map((one) => one["again"] ?? false)).toEqual([false, true]);
}, 60_000);

test.each([{ step: "key.after-create-intent" }, { step: "key.after-create" }] as const)(
  "dead at $step: the operator asks again and has the key, the first intent stays visible",
  async ({ step }) => {
    const name = step.replace(".", "-");
    const input = { name, purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
    const operator = await home.operator();
    death.at(step);
    await expect(operator.ask("CreateKey", { input })).rejects.toMatchObject({ code: "UNREACHABLE" });
    await restarted();
    lost += 1;

    const made = expectDone(await (await home.operator()).ask("CreateKey", { input }));
    expect(made.key.versions).toMatchObject([{ number: 1, state: "PRE_ACTIVATION" }]);
    const entries = await wholeLog();
    expect(unfinishedIn(entries)).toHaveLength(lost);
    const told = entries.filter((one) => one["key"] === name);
    expect(told).toMatchObject([
      { type: "key.create.intent" },
      { type: "key.create.intent" },
      { type: "key.create.outcome", result: "done" },
    ]);
  },
  60_000,
);

test.each([
  "rotate.after-begin",
  "rotate.after-intent",
  "rotate.after-make",
  "rotate.after-outcome",
  "rotate.after-publish",
  "rotate.after-switch",
] as const)(
  "dead at %s: the next start goes on by itself, there is one new version, and asking again is the same rotation",
  async (step) => {
    const name = step.replace(".", "-");
    await activeKey(name);
    const { key, token } = await home.operatorLogin();
    const input = {
      idempotencyKey: "1",
      key: name,
      propagation: "PT0S",
      beforeVerifiersKnow: true,
      reason: "for the test",
    };
    death.at(step);
    expect(await askOnce(home, { key, token }, "RotateKey", { input })).toBeUndefined();
    await restarted();

    await until("it has switched", async () => (await keyNamed(name))?.rotation?.step === "SWITCHED");
    expect((await keyNamed(name))?.versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "ACTIVE"]);
    const again = expectDone(await (await home.operator()).ask("RotateKey", { input }));
    expect(again.key.rotation).toEqual((await keyNamed(name))?.rotation);
    const entries = await wholeLog();
    expect(unfinishedIn(entries)).toHaveLength(lost);
    const told = entries.filter((one) => one["key"] === name && String(one["type"]).startsWith("key.rotate"));
    const cut = step === "rotate.after-intent" || step === "rotate.after-make";
    expect(told.map(({ type, result = "" }) => `${String(type)} ${String(result)}`.trim())).toEqual([
      "key.rotate.begin",
      ...(cut ? ["key.rotate.intent", "key.rotate.outcome unknown"] : []),
      "key.rotate.intent",
      "key.rotate.outcome done",
      "key.rotate.publish",
      "key.rotate.switch",
    ]);
  },
  60_000,
);

test("a rotation is cancelled, dead at rotate.after-cancel: the old version signs, the new one never does", async () => {
  const name = "cancelled";
  await activeKey(name);
  const { key, token, client } = await home.operatorLogin();
  const input = { idempotencyKey: "1", key: name, propagation: "P1D", reason: "for the test" };
  expect(expectDone(await client.ask("RotateKey", { input })).key.rotation?.step).toBe("PUBLISHED");
  death.at("rotate.after-cancel");
  const cancel = { input: { key: name, reason: "not today" } };
  expect(await askOnce(home, { key, token }, "CancelRotation", cancel)).toBeUndefined();
  await restarted();

  const found = await keyNamed(name);
  expect(found?.rotation?.step).toBe("CANCELLED");
  expect(found?.versions.map(({ state }) => state)).toEqual(["ACTIVE", "DEACTIVATED"]);
  const told = (await wholeLog()).filter((one) => one["key"] === name);
  expect(told.at(-1)).toMatchObject({ type: "key.rotate.cancel", left: "kept" });
}, 60_000);

async function activeKey(name: string): Promise<void> {
  const operator = await home.operator();
  const input = { name, purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
  expectDone(await operator.ask("CreateKey", { input }));
  expectDone(await operator.ask("ActivateKey", { input: { key: name, reason: "for the test" } }));
}

const keyNamed = async (name: string) => expectDone(await (await home.operator()).ask("Key", { name }));

test.each([{ step: "key.after-enroll-intent" }, { step: "key.after-possession" }] as const)(
  "dead at $step: the key did not come in; the operator asks again and has it, the first intent stays visible",
  async ({ step }) => {
    const name = step.replace(".", "-");
    shelfIn(home.directory).put(name, shelved());
    const input = { name, purpose: "ATTESTATION", custody: "shelf", uri: `shelf:${name}` } as const;
    const operator = await home.operator();
    death.at(step);
    await expect(operator.ask("EnrollKey", { input })).rejects.toMatchObject({ code: "UNREACHABLE" });
    await restarted();
    lost += 1;

    expect(expectDone(await (await home.operator()).ask("Key", { name }))).toBeNull();
    const { key } = expectDone(await (await home.operator()).ask("EnrollKey", { input }));
    expect(key.versions).toMatchObject([{ number: 1, state: "PRE_ACTIVATION" }]);
    const entries = await wholeLog();
    expect(unfinishedIn(entries)).toHaveLength(lost);
    expect(entries.filter((one) => one["key"] === name)).toMatchObject([
      { type: "key.enroll.intent" },
      { type: "key.enroll.intent" },
      { type: "key.enroll.outcome", result: "done" },
    ]);
  },
  60_000,
);

test.each([
  { step: "key.after-destroy-intent", gone: false },
  { step: "key.after-destroy", gone: true },
] as const)(
  "dead at $step: the version stands as it was, asking again destroys it, the first intent stays visible",
  async ({ step, gone }) => {
    const name = step.replace(".", "-");
    const shelf = shelfIn(home.directory);
    shelf.put(name, shelved());
    const operator = await home.operator();
    const enrolled = { name, purpose: "ATTESTATION", custody: "shelf", uri: `shelf:${name}` } as const;
    expectDone(await operator.ask("EnrollKey", { input: enrolled }));
    const input = { key: name, backend: true, reason: "for the test" };
    death.at(step);
    await expect(operator.ask("DestroyKey", { input })).rejects.toMatchObject({ code: "UNREACHABLE" });
    await restarted();
    lost += 1;

    expect(shelf.holds(name)).toBe(!gone);
    const again = await home.operator();
    expect(expectDone(await again.ask("Key", { name }))?.versions).toMatchObject([{ state: "PRE_ACTIVATION" }]);
    expectDone(await again.ask("DestroyKey", { input }));
    expect(shelf.holds(name)).toBe(false);
    const entries = await wholeLog();
    expect(unfinishedIn(entries)).toHaveLength(lost);
    const told = entries.filter((one) => one["key"] === name && String(one["type"]).startsWith("key.destroy"));
    expect(told).toMatchObject([
      { type: "key.destroy.intent" },
      { type: "key.destroy.intent" },
      { type: "key.destroy.outcome", result: "done" },
    ]);
  },
  60_000,
);

test("dead at publish.after-tiles: the checkpoint on disk is an older, whole one; the next is newer", async () => {
  const before = (await wholeLog()).length;
  death.at("publish.after-tiles");
  const identityToken = await home.issuer.mint(githubClaims({ aud: audience }));
  await askOnce(home, { key: newProofKey() }, "OpenSession", { input: { identityToken, keys: ["attest"] } });
  await home.ended();
  expect(await publishedLog(home)).toHaveLength(before);
  await restarted();
  expect((await wholeLog()).length).toBeGreaterThan(before);
}, 60_000);

test("half-made with one algorithm, the name is not free for another one", async () => {
  const input = { name: "half", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
  const operator = await home.operator();
  death.at("key.after-create");
  await expect(operator.ask("CreateKey", { input })).rejects.toMatchObject({ code: "UNREACHABLE" });
  await restarted();
  lost += 1;
  const again = await home.operator();
  expect(await again.ask("CreateKey", { input: { ...input, algorithm: "ED25519" } })).toMatchObject({
    refusal: "ALREADY_EXISTS",
    message: /EC_P256/,
  });
  expect(await again.ask("CreateKey", { input: { ...input, purpose: "BLOB" } })).toMatchObject({
    refusal: "ALREADY_EXISTS",
  });
  expectDone(await again.ask("CreateKey", { input }));
}, 60_000);

test("dead in the middle of a report of compromise: every session that covers the key has ended, or none", async () => {
  const covering = async (): Promise<number> => {
    const filter = { open: true, key: "release" };
    return expectDone(await (await home.operator()).ask("Sessions", { filter, first: 100 })).nodes.length;
  };
  for (let job = 0; job < 3; job++) await home.job({ keys: ["release"] });
  const before = await covering();
  for (const [step, state, open] of [
    ["log.before-commit", "ACTIVE", before],
    ["log.after-commit", "COMPROMISED", 0],
  ] as const) {
    const operator = await home.operator();
    await wholeLog();
    await quiet();
    death.at(step);
    const report = operator.ask("ReportKeyCompromised", { input: { key: "release", reason: "for the test" } });
    await expect(report).rejects.toMatchObject({ code: "UNREACHABLE" });
    await restarted();
    expect(expectDone(await (await home.operator()).ask("Key", { name: "release" }))?.versions).toMatchObject([
      { state },
    ]);
    expect(await covering()).toBe(open);
  }
  expect(before).toBeGreaterThanOrEqual(3);
}, 90_000);

test("two operators make a key of one name at once: one has it, and both intents end", async () => {
  const [one, other] = [await home.operator(), await home.operator()];
  const input = { name: "contested", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
  const answers = await Promise.all([one.ask("CreateKey", { input }), other.ask("CreateKey", { input })]);
  expect(answers.filter(isRefused)).toMatchObject([{ refusal: "ALREADY_EXISTS" }]);
  expect(unfinishedIn(await wholeLog())).toHaveLength(lost);
}, 60_000);

test("a job asks for its session again while it signs: at the next start tables and log agree", async () => {
  const key = newProofKey();
  const token = await home.issuer.mint(githubClaims({ aud: audience }));
  const job = await home.job({ key, token, keys: ["attest"], uses: 100 });
  const signing = Array.from({ length: 30 }, (_, n) => sign(job, `many-${String(n)}`, `${String(n)}.tgz`));
  const opening = Array.from({ length: 10 }, () => home.job({ key, token, keys: ["attest"] }));
  for (const one of await Promise.all(signing)) expect(one?.data).toHaveProperty("signatures");
  await Promise.all(opening);
  await home.stop("SIGKILL");
  await home.start({ ...shelfRun, env: quickStart });
  expect(await usesLeft(job)).toBe(70);
}, 60_000);

test("each death was one of the steps, and there is none without a test", () => {
  const tested = new Set<string>([
    ...signingDeaths.map(({ step }) => step),
    "open.after-commit",
    "key.after-create-intent",
    "key.after-create",
    "key.after-enroll-intent",
    "key.after-possession",
    "key.after-destroy-intent",
    "key.after-destroy",
    "publish.after-tiles",
    "rotate.after-begin",
    "rotate.after-intent",
    "rotate.after-make",
    "rotate.after-outcome",
    "rotate.after-publish",
    "rotate.after-switch",
    "rotate.after-cancel",
  ]);
  expect(steps.filter((step) => !tested.has(step))).toEqual([]);
});

test("after all deaths and one more restart: every signature is recorded, every lost intent is one incident", async () => {
  await home.stop("SIGTERM");
  await home.start({ ...shelfRun, env: quickStart });
  expect(await home.stop("SIGTERM")).toBe(0);
  const entries = await publishedLog(home);
  expect(unfinishedIn(entries)).toHaveLength(lost);
  for (const one of released) expectRecorded(entries, one);
}, 60_000);
