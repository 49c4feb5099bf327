// The life of a key where it has more than one version, and where the log fails or was lost: which version a change
// means, that log and state end together, and that no version forgets how it ended. In-process, on a real log.

import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Call } from "../../src/broker/call.ts";
import { changeKeyState, type KeyStateRequest } from "../../src/broker/change-key-state.ts";
import { createKey } from "../../src/broker/create-key.ts";
import { destroyKey } from "../../src/broker/destroy-key.ts";
import type { Parts } from "../../src/broker/parts.ts";
import { adopt, adoption, type OldHouse } from "../../src/broker/recover.ts";
import { readWholeLog } from "../../src/broker/start.ts";
import { type Unfinished, unfinished } from "../../src/broker/unfinished.ts";
import { isRefusal } from "../../src/model/errors.ts";
import type { Key, KeyState } from "../../src/model/key.ts";
import { differences } from "../../src/model/replay.ts";
import { trustedVersions } from "../../src/model/trust.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { fromUtf8 } from "../../src/std/bytes.ts";
import { failures } from "../support/db.ts";
import { type RotationScene, rotationScene } from "../support/rotation.ts";
import { pemOf, toldCustody } from "../support/told-custody.ts";

let keys: Map<string, KeyObject>;
let scene: RotationScene;
let parts: Parts;
let outcomes: Unfinished;
let call: Call;

beforeEach(async () => {
  keys = new Map([["told:release/1", generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey]]);
  const custody: Custody = {
    ...toldCustody(keys),
    destroy: ({ uri }) => {
      keys.delete(uri);
      return Promise.resolve({});
    },
  };
  scene = await rotationScene({
    custodies: new Map([["told", custody]]),
    custody: "told",
    first: { uri: "told:release/1", publicKey: pemOf(keys.get("told:release/1")) },
  });
  const { log, journal, state } = scene.parts;
  outcomes = unfinished(journal, log, (error) => {
    throw error;
  });
  parts = { ...scene.parts, unfinished: outcomes, ending: new Set() };
  const person = state.records("person")[0]?.value;
  if (!person) throw new Error("nobody is enrolled");
  const caller = { kind: "person", person, presented: { cnf: { jkt: "thumbprint" } } } as const;
  call = { request: "rq_2", caller, signal: new AbortController().signal };
});
afterEach(async () => {
  await scene.agrees();
  await scene[Symbol.asyncDispose]();
});

const to = (state: KeyState, more: Partial<KeyStateRequest> = {}) =>
  changeKeyState(call, { key: "release", to: state, reason: "for the test", ...more }, parts);
const destroy = (number?: number) =>
  destroyKey(call, { key: "release", number, backend: true, reason: "for the test" }, parts);
async function done(asked: Promise<unknown>): Promise<void> {
  const answer = await asked;
  expect(isRefusal(answer) ? answer : undefined).toBeUndefined();
}
const states = (): readonly KeyState[] => scene.key().versions.map(({ state }) => state);
async function entries(): Promise<readonly Record<string, unknown>[]> {
  const out: Record<string, unknown>[] = [];
  for await (const { leaf } of parts.log.leaves(0, Infinity))
    out.push(JSON.parse(fromUtf8(leaf)) as Record<string, unknown>);
  return out;
}

describe("without a number", () => {
  test("compromised, after a rotation was rolled back: the version that signs stops", async () => {
    await done(scene.begin());
    await done(scene.cancel());
    expect(states()).toEqual(["ACTIVE", "DEACTIVATED"]);
    await done(to("COMPROMISED"));
    expect(states()).toEqual(["COMPROMISED", "DEACTIVATED"]);
  });

  test("compromised, where none signs and two can be meant: refused with both of them, and a number settles it", async () => {
    await done(scene.begin());
    await done(scene.cancel());
    await done(to("SUSPENDED"));
    const answer = await to("COMPROMISED");
    expect(answer).toMatchObject({ refusal: "KEY_STATE", message: /v1 is SUSPENDED, v2 is DEACTIVATED/ });
    expect(answer).toMatchObject({ hint: /--number/ });
    expect(states()).toEqual(["SUSPENDED", "DEACTIVATED"]);
    await done(to("COMPROMISED", { number: 1 }));
    expect(states()).toEqual(["COMPROMISED", "DEACTIVATED"]);
  });
});

describe("activate and resume", () => {
  const [activate, resume] = [{ from: "PRE_ACTIVATION" }, { from: "SUSPENDED" }] as const;

  test("resume never activates a version that was not active, nor does activate resume a suspended one", async () => {
    await done(scene.begin());
    await done(to("SUSPENDED"));
    expect(states()).toEqual(["SUSPENDED", "PRE_ACTIVATION"]);
    expect(await to("ACTIVE", { ...resume, number: 2 })).toMatchObject({
      refusal: "KEY_STATE",
      message: "release/2 is PRE_ACTIVATION, and this takes a version from SUSPENDED",
      hint: "signet key activate release",
    });
    expect(await to("ACTIVE", { ...activate, number: 1 })).toMatchObject({
      refusal: "KEY_STATE",
      hint: "signet key resume release",
    });
    expect(states()).toEqual(["SUSPENDED", "PRE_ACTIVATION"]);
    await done(to("ACTIVE", resume));
    expect(states()).toEqual(["ACTIVE", "PRE_ACTIVATION"]);
  });

  test("nobody activates, without saying so, what a rotation under way has made", async () => {
    await done(scene.begin());
    expect(await to("ACTIVE", activate)).toMatchObject({ refusal: "KEY_STATE", message: /by its rotation/ });
    await done(to("SUSPENDED"));
    expect(await to("ACTIVE", activate)).toMatchObject({ refusal: "KEY_STATE", hint: /--number 2/ });
    expect(states()).toEqual(["SUSPENDED", "PRE_ACTIVATION"]);
    await done(to("ACTIVE", { ...activate, number: 2 }));
  });
});

describe("destroyed at its custody, and the log fails before it is recorded", () => {
  test.each(failures)("$name: outcome and state end together", async ({ inject }) => {
    await done(to("DEACTIVATED"));
    let mend = (): void => undefined;
    parts = {
      ...parts,
      step: (name) => {
        if (name === "key.after-destroy") ({ mend } = inject());
      },
    };
    try {
      await expect(destroy()).rejects.toMatchObject({ code: "LOG_NOT_DURABLE" });
    } finally {
      mend();
    }
    await outcomes.settle();
    await outcomes.settle();
    expect(outcomes.waiting()).toBe(0);
    expect(keys.size).toBe(0);
    expect(states()).toEqual(["DESTROYED"]);
    expect((await entries()).slice(-2)).toMatchObject([
      { type: "key.destroy.outcome", result: "done" },
      { type: "key.state", to: "DESTROYED", backend: "destroyed" },
    ]);
  });

  test("asked again before that: one change of state, and each intent has its outcome", async () => {
    await done(to("DEACTIVATED"));
    const failing = failures.find(({ name }) => name.includes("is lost"));
    let mend = (): void => undefined;
    const step = parts.step;
    parts = {
      ...parts,
      step: (name) => {
        if (name === "key.after-destroy" && failing) ({ mend } = failing.inject());
      },
    };
    await expect(destroy()).rejects.toMatchObject({ code: "LOG_NOT_DURABLE" });
    mend();
    parts = { ...parts, step };
    await done(destroy());
    await outcomes.settle();
    expect(states()).toEqual(["DESTROYED"]);
    const told = (await entries()).map(({ type }) => type);
    expect(told.filter((type) => type === "key.destroy.outcome")).toHaveLength(2);
    expect(told.filter((type) => type === "key.state").slice(-1)).toHaveLength(1);
    expect((await entries()).filter((one) => one["to"] === "DESTROYED")).toHaveLength(1);
  });
});

describe("a new log takes the old one's place", () => {
  const atOnce = { propagation: 0, beforeVerifiersKnow: true } as const;
  const here: OldHouse["missing"] = () => undefined;

  /** What the new log holds of the key, where its tables were edited so; and the new log agrees with itself. */
  async function adopted(
    edit: (key: Key) => Key | undefined,
    missing = here,
  ): Promise<{ readonly key: Key | undefined; readonly lost: string; readonly trusted: readonly number[] }> {
    const said = await readWholeLog(parts.log, scene.time.now, () => undefined);
    const edited = edit(scene.key());
    const at = "2026-01-20T00:00:00.000Z";
    const came = adoption({ keys: edited ? [edited] : [], people: [], said, missing, at });
    await using fresh = await scene.emptyLog();
    const replaces = { origin: "log.example/old", checkpoint: "" };
    await adopt(came, replaces, { version: "0.1.0", vkey: "" }, fresh.journal);
    const stored = fresh.log.records("key");
    const replayed = await readWholeLog(fresh.log, scene.time.now, () => undefined);
    expect(differences(replayed, { keys: stored, people: [], pending: [], sessions: [], policy: undefined })).toEqual(
      [],
    );
    const key = stored[0]?.value;
    const trusted = key ? trustedVersions(key, scene.time.now).map(({ version }) => version.number) : [];
    return { key, lost: came.lost.join("\n"), trusted };
  }
  const withEnded =
    (number: number, ended: Key["versions"][number]["ended"]) =>
    (key: Key): Key => ({
      ...key,
      versions: key.versions.map((one) => (one.number === number ? { ...one, ended } : one)),
    });

  test("what a rotation under way had made never signs: nobody resumes or activates it by mistake", async () => {
    await done(scene.begin(atOnce));
    await done(to("SUSPENDED"));
    await done(scene.begin({ idempotencyKey: "2" }));
    expect(states()).toEqual(["DEACTIVATED", "SUSPENDED", "PRE_ACTIVATION"]);
    const { key, lost } = await adopted((one) => one);
    expect(key?.versions).toMatchObject([
      { state: "DEACTIVATED" },
      { state: "SUSPENDED" },
      { state: "DEACTIVATED", ended: { why: "cancelled", at: "2026-01-20T00:00:00.000Z" } },
    ]);
    expect(lost).toContain("the rotation of key release that was under way: begin another one");
  });

  test("a version that was reported compromised stays out of trust, whatever the tables say of its end", async () => {
    await done(to("COMPROMISED"));
    await done(destroy());
    const rotated = { why: "rotated", at: "2026-01-15T00:00:00.000Z" } as const;
    for (const ended of [undefined, rotated]) {
      const { key, trusted } = await adopted(withEnded(1, ended));
      expect(key?.versions).toMatchObject([{ state: "DESTROYED", ended: { why: "compromised" } }]);
      expect(trusted).toEqual([]);
    }
  });

  test("how a rotation ended a version comes from the leaves, not from the tables", async () => {
    await done(scene.begin({ ...atOnce, retireAfter: 86_400_000 }));
    const { key } = await adopted(withEnded(1, { why: "rotated", at: "2026-01-15T00:00:00.000Z" }));
    expect(key?.versions[0]?.ended?.trustedUntil).toBe(scene.key().versions[0]?.ended?.trustedUntil);
    expect(key?.versions[0]?.ended?.trustedUntil).toBeDefined();
  });

  test("a compromised version whose private key is gone keeps its public key and its end", async () => {
    await done(to("COMPROMISED"));
    const { key, lost } = await adopted(
      (one) => one,
      () => "has no sealed private key any more",
    );
    const [before] = scene.key().versions;
    expect(key?.versions).toMatchObject([
      {
        state: "DESTROYED",
        fingerprint: before?.fingerprint,
        publicKey: before?.publicKey,
        ended: { why: "compromised" },
      },
    ]);
    expect(lost).toContain("key release/1 has no sealed private key any more");
  });

  test("a version that only the leaves know comes along as they tell it, dead where its private key is gone", async () => {
    await done(scene.begin(atOnce));
    const before = scene.key();
    const onlyNewest = (key: Key): Key => ({ ...key, versions: key.versions.slice(1) });
    const first = { state: "DEACTIVATED", publicKey: before.versions[0]?.publicKey, ended: { why: "rotated" } };
    for (const edit of [onlyNewest, () => undefined]) {
      const { key, lost } = await adopted(edit);
      expect(key).toMatchObject({ name: "release", purpose: before.purpose });
      expect(key?.versions).toMatchObject([
        { number: 1, createdAt: before.versions[0]?.createdAt, ...first },
        { number: 2, state: "SUSPENDED", createdAt: before.versions[1]?.createdAt },
      ]);
      expect(lost).toContain("key release/1: it is in the log, but not in the tables that can be read");
    }
    const { key: gone } = await adopted(
      () => undefined,
      () => "has no sealed private key any more",
    );
    expect(gone?.versions).toMatchObject([{ ...first, state: "DESTROYED" }, { state: "DESTROYED" }]);
  });

  test("a version that neither the leaves nor the custody know does not come along", async () => {
    const { lost, key } = await adopted(
      (one) => ({ ...one, versions: one.versions.map((version) => ({ ...version, number: 7 })) }),
      (_, told) => (told ? undefined : "is not in the leaves that can be read"),
    );
    expect(lost).toContain("key release/7 is not in the leaves that can be read");
    expect(key?.versions.map(({ number }) => number)).toEqual([1]);
  });
});

test("an edited time at which a version was made is found out at the next start", async () => {
  await done(scene.begin());
  for (const number of [1, 2]) {
    const earlier = (key: Key): Key => ({
      ...key,
      versions: key.versions.map((one) =>
        one.number === number ? { ...one, createdAt: "2020-01-01T00:00:00.000Z" } : one,
      ),
    });
    expect(await scene.edited(earlier)).toEqual([
      `key release/${String(number)} was made at another time than the log says`,
    ]);
  }
});

test("a custody that gives somebody's key for a new one: it does not come in, and the outcome says why", async () => {
  const [ours] = keys.values();
  if (ours) keys.set("told:other/1", ours);
  const asked = { name: "other", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "told" } as const;
  expect(await createKey(call, asked, parts)).toMatchObject({ refusal: "ALREADY_EXISTS" });
  const outcome = (await entries()).find(({ type }) => type === "key.create.outcome");
  expect(outcome).toMatchObject({ result: "withheld", code: "ALREADY_EXISTS" });
});
