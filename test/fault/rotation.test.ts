// A rotation whose custody misbehaves, step by step on a real log: what is recorded, what is tried again, what never
// happens. The real custodies are in test/contract; this one does what it is told.

import { createPublicKey, generateKeyPairSync, type KeyObject, sign as signBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Parts } from "../../src/broker/parts.ts";
import { adopt, adoption } from "../../src/broker/recover.ts";
import { readWholeLog } from "../../src/broker/start.ts";
import type { EntryBody } from "../../src/model/entry.ts";
import { Fault, isRefusal } from "../../src/model/errors.ts";
import type { Key } from "../../src/model/key.ts";
import { differences } from "../../src/model/replay.ts";
import { trustedVersions } from "../../src/model/trust.ts";
import type { Custody, Wanted } from "../../src/ports/custody.ts";
import { until } from "../support/faults.ts";
import { type RotationScene, rotationScene } from "../support/rotation.ts";

/** Private keys by URI, and whatever a test sets it to do. */
interface Told {
  readonly keys: Map<string, KeyObject>;
  readonly wanted: Wanted[];
  /** Instead of making a key. */
  create: (() => string) | undefined;
  /** Signs with the key under this URI, whatever it is asked for. */
  signsWith: string | undefined;
  /** Before it describes a key. */
  describing: (() => Promise<void>) | undefined;
}
const well = { create: undefined, signsWith: undefined, describing: undefined };

const pem = (key: KeyObject | undefined): string => {
  if (!key) throw new Error("no such key");
  return createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
};
const fresh = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

function custodyOf(told: Told): Custody {
  return {
    kind: "told",
    outside: true,
    algorithms: ["EC_P256"],
    sign: (key, items) => {
      const found = told.keys.get(told.signsWith ?? key.uri);
      if (!found) return Promise.reject(new Fault("CUSTODY_DOWN", "no such key", { nothingHappened: true }));
      return Promise.resolve(items.map(({ bytes }) => signBytes("sha256", bytes, found)));
    },
    describe: async (uri) => {
      await told.describing?.();
      const pinned = uri.replace("alias/", "");
      const found = told.keys.get(pinned);
      return (
        found && {
          publicKey: pem(found),
          uri: pinned,
          algorithm: "EC_P256",
          protection: { level: "SERVICE", exportable: "UNKNOWN", proved: [], claimed: [] },
        }
      );
    },
    create: (version) => {
      told.wanted.push(version);
      const uri = told.create?.() ?? `told:${version.key}/${String(version.number)}`;
      if (!told.keys.has(uri)) told.keys.set(uri, fresh());
      return Promise.resolve({ publicKey: pem(told.keys.get(uri)), uri });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

let told: Told;
let scene: RotationScene;
let parts: Parts;

beforeEach(async () => {
  told = { keys: new Map([["told:release/1", fresh()]]), wanted: [], ...well };
  scene = await rotationScene({
    custodies: new Map([["told", custodyOf(told)]]),
    custody: "told",
    first: { uri: "told:release/1", publicKey: pem(told.keys.get("told:release/1")) },
  });
  ({ parts } = scene);
});
afterEach(async () => {
  await scene.agrees();
  await scene[Symbol.asyncDispose]();
});

const begin = (more?: Parameters<RotationScene["begin"]>[0]) => scene.begin(more);
const cancel = () => scene.cancel();
const found = (): Key => scene.key();
const entries = () => scene.entries();
const outcomes = async () => (await entries()).filter(({ type }) => type === "key.rotate.outcome");
/** Whether an outcome with this version would be released at this moment. */
const holds = async (number: number): Promise<boolean | undefined> => {
  let said: boolean | undefined;
  const body = (facts: { readonly holds?: boolean | undefined }): EntryBody => {
    said = facts.holds;
    return { type: "incident.clock", message: "an outcome would stand here" };
  };
  await parts.journal.append(undefined, body, { watch: { session: "ss_1", key: "release", number } });
  return said;
};
const expectBegun = (answer: Awaited<ReturnType<typeof begin>>): void => {
  expect(isRefusal(answer) ? answer : "begun").toBe("begun");
};
const down = (): never => {
  throw new Fault("CUSTODY_DOWN", "it is away", { nothingHappened: true });
};

test("a custody that is away: the outcome says so, the old version signs, and it is tried again ever more seldom", async () => {
  told.create = down;
  expect(isRefusal(await begin())).toBe(false);
  expect(found()).toMatchObject({ rotation: { step: "BEGUN" }, versions: [{ state: "ACTIVE" }] });
  expect(scene.rotations.trouble("release")).toBe("it is away");
  expect(scene.rotations.checks()).toMatchObject([{ status: "warn", message: "it is away" }]);
  for (const seconds of [14, 1, 29, 1]) {
    scene.time.now += seconds * 1000;
    await scene.rotations.round();
  }
  expect(await outcomes()).toMatchObject([
    { result: "failed", code: "CUSTODY_DOWN" },
    { result: "failed" },
    { result: "failed" },
  ]);
  told.create = undefined;
  scene.time.now += 60_000;
  await scene.rotations.round();
  expect(found()).toMatchObject({ rotation: { step: "PUBLISHED" }, versions: [{}, { state: "PRE_ACTIVATION" }] });
  expect(scene.rotations.trouble("release")).toBeUndefined();
  scene.time.now += 3_600_000;
  await scene.rotations.round();
  expect(found().versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "ACTIVE"]);
});

test("a custody that gives the old key again: no new version, nothing is published, ever", async () => {
  told.create = () => "told:release/1";
  await begin({ propagation: 0 });
  scene.time.now += 3_600_000;
  await scene.rotations.round();
  expect(found().versions).toHaveLength(1);
  expect(scene.rotations.trouble("release")).toContain("gave the public key of release/1");
  // Something was made, as far as we know, and it signed.
  for (const one of await outcomes()) expect(one).toMatchObject({ result: "withheld", code: "ALREADY_EXISTS" });
  expect(isRefusal(await cancel())).toBe(false);
  expect((await entries()).at(-1)).toMatchObject({ type: "key.rotate.cancel", left: "unknown" });
  expect(found()).toMatchObject({ rotation: { step: "CANCELLED" }, versions: [{ state: "ACTIVE" }] });
});

test("a custody that cannot prove the new key: withheld, and not published, or it would fail at the switch", async () => {
  told.signsWith = "told:release/1";
  await begin({ propagation: 0 });
  expect(await outcomes()).toMatchObject([{ result: "withheld", code: "SIGNATURE_WRONG" }]);
  expect(found()).toMatchObject({ rotation: { step: "BEGUN" }, versions: [{ state: "ACTIVE" }] });
});

test("it makes the version after the old one, and in another custody a first one", async () => {
  (parts.custodies as Map<string, Custody>).set("other", custodyOf(told));
  await begin({ propagation: 0 });
  await begin({ idempotencyKey: "2", custody: "other", propagation: 0 });
  expect(told.wanted).toMatchObject([{ number: 2, after: "told:release/1" }, { number: 3 }]);
  expect(told.wanted[1]).not.toHaveProperty("after");
  expect(found().versions.map(({ state, custody }) => `${custody} ${state}`)).toEqual([
    "told DEACTIVATED",
    "told DEACTIVATED",
    "other ACTIVE",
  ]);
});

test("to an existing key: it is pinned by its fingerprint, proved, and never one that we have already", async () => {
  told.keys.set("told:moved", fresh());
  expect(await begin({ uri: "told:release/1" })).toMatchObject({ refusal: "ALREADY_EXISTS" });
  expect(await begin({ uri: "told:nothing" })).toMatchObject({ refusal: "NOT_FOUND" });
  expect(await begin({ uri: "told:moved?pin-value=1234" })).toMatchObject({ refusal: "INPUT_INVALID" });
  await begin({ uri: "told:moved", propagation: 0 });
  expect(told.wanted).toEqual([]);
  expect(found().versions[1]).toMatchObject({ uri: "told:moved", state: "ACTIVE" });
  expect((await entries())[0]).toMatchObject({
    type: "key.rotate.begin",
    existing: { uri: "told:moved", fingerprint: found().versions[1]?.fingerprint },
  });
});

test("an existing key that became another one since it was asked for does not come in", async () => {
  told.keys.set("told:moved", fresh());
  scene.death.at = "rotate.after-begin";
  await expect(begin({ uri: "told:moved", propagation: 0 })).rejects.toThrow("died");
  scene.death.at = undefined;
  told.keys.set("told:moved", fresh());
  await scene.rotations.round();
  expect(found().versions).toHaveLength(1);
  expect(scene.rotations.trouble("release")).toContain("another public key");
});

test("died after the custody made it, then cancelled: the open intent ends as unknown, and the entry says what is left", async () => {
  scene.death.at = "rotate.after-make";
  await expect(begin()).rejects.toThrow("died");
  scene.death.at = undefined;
  expect(isRefusal(await cancel())).toBe(false);
  expect((await entries()).slice(-2)).toMatchObject([
    { type: "key.rotate.outcome", result: "unknown" },
    { type: "key.rotate.cancel", left: "unknown" },
  ]);
  await begin({ idempotencyKey: "2", propagation: 0 });
  expect(found().versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "ACTIVE"]);
});

test.each(["rotate.after-intent", "rotate.after-make"] as const)(
  "died at %s: what may have signed ends as unknown, and the next attempt has an intent of its own",
  async (step) => {
    scene.death.at = step;
    await expect(begin({ propagation: 0 })).rejects.toThrow("died");
    scene.death.at = undefined;
    await scene.rotations.round();
    expect(await entries()).toMatchObject([
      { type: "key.rotate.begin" },
      { type: "key.rotate.intent" },
      { type: "key.rotate.outcome", result: "unknown" },
      { type: "key.rotate.intent" },
      { type: "key.rotate.outcome", result: "done" },
      { type: "key.rotate.publish" },
      { type: "key.rotate.switch" },
    ]);
    // As many as the backend may count: each attempt explains one signature.
    const intents = new Set((await outcomes()).map(({ intent }) => JSON.stringify(intent)));
    expect(intents.size).toBe(2);
  },
);

test("the key changes while the custody works: what was made and signed is withheld, and it is made once more", async () => {
  told.create = () => {
    told.create = undefined;
    changing = scene.change("SUSPENDED");
    return "told:release/2";
  };
  let changing: Promise<unknown> | undefined;
  told.describing = async () => {
    await changing;
  };
  await begin({ propagation: 0 });
  expect(await outcomes()).toMatchObject([{ result: "withheld", code: "KEY_STATE" }, { result: "done" }]);
  expect(found().versions.map(({ state }) => state)).toEqual(["SUSPENDED", "PRE_ACTIVATION"]);
});

test("all versions of the key that are there are told, so that none of them is given as the next one", async () => {
  await begin();
  await cancel();
  await begin({ idempotencyKey: "2", propagation: 0 });
  expect(told.wanted[1]).toMatchObject({
    number: 3,
    after: "told:release/1",
    ours: ["told:release/1", "told:release/2"],
  });
  expect(found().versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "DEACTIVATED", "ACTIVE"]);
});

test.each([
  ["is gone", () => told.keys.delete("told:release/2"), "v2 at told: the key is not there any more"],
  ["is another key now", () => told.keys.set("told:release/2", fresh()), "v2 at told: the key has another public key"],
  ["cannot be asked for", () => (told.describing = () => Promise.resolve(down())), "it is away"],
])("a published version that %s does not sign: the switch waits, and says why", async (_, spoil, trouble) => {
  await begin();
  const key = told.keys.get("told:release/2") ?? fresh();
  spoil();
  scene.time.now += 3_600_000;
  await scene.rotations.round();
  expect(found().versions.map(({ state }) => state)).toEqual(["ACTIVE", "PRE_ACTIVATION"]);
  expect(scene.rotations.trouble("release")).toContain(trouble);
  expect(scene.rotations.checks()).toMatchObject([{ status: "warn" }]);

  told.keys.set("told:release/2", key);
  told.describing = undefined;
  await scene.rotations.round();
  expect(found().rotation?.step).toBe("PUBLISHED"); // it is not asked about again at once
  scene.time.now += 15_000;
  await scene.rotations.round();
  expect(found().versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "ACTIVE"]);
  expect(scene.rotations.trouble("release")).toBeUndefined();
});

test("a rotation whose custody does not answer holds up no other key", async () => {
  const other: Told = { keys: new Map([["told:second/1", fresh()]]), wanted: [], ...well };
  (parts.custodies as Map<string, Custody>).set("other", custodyOf(other));
  await scene.another("second", "other", { uri: "told:second/1", publicKey: pem(other.keys.get("told:second/1")) });
  await begin();
  expectBegun(await begin({ key: "second", idempotencyKey: "2" }));
  let answer = (): void => undefined;
  told.describing = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  scene.time.now += 3_600_000;
  const round = scene.rotations.round();
  await until(
    "the other key has switched",
    () => parts.state.record("key", "second")?.value.rotation?.step === "SWITCHED",
  );
  expect(found().rotation?.step).toBe("PUBLISHED");
  answer();
  await round;
  expect(found().rotation?.step).toBe("SWITCHED");
});

test("trouble ends with its rotation: the next one is not held up by it, and does not show it", async () => {
  told.create = down;
  await begin();
  expect(scene.rotations.trouble("release")).toBe("it is away");
  await cancel();
  told.create = undefined;
  scene.death.at = "rotate.after-begin";
  await expect(begin({ idempotencyKey: "2" })).rejects.toThrow("died");
  scene.death.at = undefined;
  expect(scene.rotations.trouble("release")).toBeUndefined();
  await scene.rotations.round(); // at the same second
  expect(found().rotation?.step).toBe("PUBLISHED");
});

test.each([
  [{ reason: "" }, "INPUT_INVALID"],
  [{ idempotencyKey: "a b" }, "INPUT_INVALID"],
  [{ propagation: 91 * 86_400_000 }, "INPUT_INVALID"],
  [{ propagation: 299_000, beforeVerifiersKnow: false }, "INPUT_INVALID"],
  [{ retireAfter: 3651 * 86_400_000 }, "INPUT_INVALID"],
  [{ key: "nothing" }, "NOT_FOUND"],
  [{ custody: "nowhere" }, "NOT_FOUND"],
] as const)("asked with %o: %s", async (more, refusal) => {
  expect(await begin(more)).toMatchObject({ refusal });
  expect(await entries()).toEqual([]);
});

test("what a version was asked for before its switch is released after it; what a cancelled one could sign is not", async () => {
  await begin({ propagation: 0 });
  expect(found().versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "ACTIVE"]);
  expect([await holds(1), await holds(2)]).toEqual([true, true]);
  await begin({ idempotencyKey: "2" });
  await cancel();
  expect(found().versions[2]).toMatchObject({ state: "DEACTIVATED", ended: { why: "cancelled" } });
  expect(await holds(3)).toBe(false);
});

test("asked for a key by its alias, and again by another one: the second is another request", async () => {
  told.keys.set("told:moved", fresh());
  expectBegun(await begin({ uri: "told:alias/moved" }));
  expect((await entries())[0]).toMatchObject({ existing: { uri: "told:moved", asked: "told:alias/moved" } });
  expectBegun(await begin({ uri: "told:alias/moved" }));
  expect(await begin({ uri: "told:alias/other" })).toMatchObject({ refusal: "IDEMPOTENCY_MISMATCH" });
  expect(await begin({ uri: "told:moved" })).toMatchObject({ refusal: "IDEMPOTENCY_MISMATCH" });
  expect(await begin()).toMatchObject({ refusal: "IDEMPOTENCY_MISMATCH" });
});

test("a propagation that is over before the trust documents are fetched again is said in the log; where nothing signs, it costs nothing", async () => {
  await begin({ propagation: 0 });
  expect((await entries())[0]).toMatchObject({ propagation: "PT0S", beforeVerifiersKnow: true });
  await begin({ idempotencyKey: "2", propagation: 300_000 });
  expect((await entries()).at(-4)).toMatchObject({ type: "key.rotate.begin", propagation: "PT5M" });
  expect((await entries()).at(-4)).not.toHaveProperty("beforeVerifiersKnow");
  await cancel();
  await scene.change("DEACTIVATED", 2);
  expectBegun(await begin({ idempotencyKey: "3", propagation: 0, beforeVerifiersKnow: false }));
  expect(found().versions.at(-1)?.state).toBe("ACTIVE");
});

test("a version that people deactivated is published until the rotation that replaces it says otherwise", async () => {
  const published = () => trustedVersions(found(), scene.time.now).map(({ version }) => version.number);
  await scene.change("DEACTIVATED", 1);
  expect(found().versions[0]).toMatchObject({ ended: { why: "deactivated" } });
  await begin({ propagation: 0, retireAfter: 86_400_000 });
  expect((await entries()).at(-1)).toMatchObject({
    type: "key.rotate.switch",
    trustedUntil: "2026-01-16T00:00:00.000Z",
  });
  expect(published()).toEqual([2, 1]);
  scene.time.now += 86_400_000;
  expect(published()).toEqual([2]);
  await scene.rotations.round();
  expect((await entries()).at(-1)).toMatchObject({ type: "key.rotate.retire", version: 1 });
});

test("a compromised version is out for good: the switch away from it promises no time", async () => {
  await scene.change("COMPROMISED", 1);
  await begin({ propagation: 0, retireAfter: 86_400_000 });
  expect((await entries()).at(-1)).toMatchObject({ type: "key.rotate.switch" });
  expect((await entries()).at(-1)).not.toHaveProperty("trustedUntil");
  expect(trustedVersions(found(), scene.time.now).map(({ version }) => version.number)).toEqual([2]);
});

test("a version that people deactivated stays published when it is destroyed; one that never signed was not, and is not", async () => {
  await begin();
  await cancel();
  await scene.change("DEACTIVATED", 1);
  const destroyed = (key: Key): Key => ({
    ...key,
    versions: key.versions.map((one) => ({ ...one, state: "DESTROYED" })),
  });
  expect(trustedVersions(destroyed(found()), scene.time.now).map(({ version }) => version.number)).toEqual([1]);
  const forgotten = (key: Key): Key => ({
    ...key,
    versions: key.versions.map((one) => ({ ...one, ended: undefined })),
  });
  expect(await scene.edited(forgotten)).toHaveLength(2);
});

test("what was suspended while it signed is not released because a rotation has deactivated it since", async () => {
  await scene.change("SUSPENDED", 1);
  await begin({ propagation: 0 });
  expect(found().versions).toMatchObject([
    { state: "DEACTIVATED", ended: { why: "deactivated" } },
    { state: "ACTIVE" },
  ]);
  expect(await holds(1)).toBe(false);
});

test("whoever edits a rotation in the database is found out at the next start", async () => {
  await begin({ propagation: 0, retireAfter: 86_400_000 });
  await begin({ idempotencyKey: "2" });
  const { rotation } = found();
  if (rotation?.step !== "PUBLISHED") throw new Error("it is not published");
  const soon = { ...rotation, switchAt: rotation.publishedAt };
  expect(await scene.edited((key) => ({ ...key, rotation: soon }))).toHaveLength(1);
  expect(await scene.edited((key) => ({ ...key, rotation: undefined }))).toHaveLength(1);
  const trustedForGood = (key: Key): Key => ({
    ...key,
    versions: key.versions.map((one) =>
      one.ended ? { ...one, ended: { ...one.ended, trustedUntil: undefined } } : one,
    ),
  });
  expect(await scene.edited(trustedForGood)).toEqual(["key release/1 ended otherwise than the log says"]);
});

test("a new log takes the key over: what a rotation ended stays ended, one under way is to be begun again", async () => {
  await begin({ propagation: 0, retireAfter: 86_400_000 });
  await begin({ idempotencyKey: "2" });
  const old = await readWholeLog(parts.log, scene.time.now, () => undefined);
  const adopted = adoption({
    keys: [found()],
    people: [],
    said: old,
    missing: () => undefined,
    at: "2026-01-20T00:00:00.000Z",
  });
  expect(adopted.lost).toContain(
    "the rotation of key release that was under way: begin another one, under the new log",
  );

  await using fresh = await scene.emptyLog();
  const replaces = { origin: "log.example/old", checkpoint: "" };
  await adopt(adopted, replaces, { version: "0.1.0", vkey: "" }, fresh.journal);
  const [key] = fresh.log.records("key");
  expect(key?.value).not.toHaveProperty("rotation");
  expect(key?.value.versions).toMatchObject([
    { state: "DEACTIVATED", ended: { why: "rotated", trustedUntil: expect.any(String) as string } },
    { state: "SUSPENDED" },
    { state: "DEACTIVATED", ended: { why: "cancelled" } },
  ]);
  const replayed = await readWholeLog(fresh.log, scene.time.now, () => undefined);
  const told = { keys: fresh.log.records("key"), people: [], pending: [], sessions: [], policy: undefined };
  expect(differences(replayed, told)).toEqual([]);
});
