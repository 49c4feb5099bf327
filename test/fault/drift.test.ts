// A custody that gives one wrong answer about its keys, and one that stays with it: the first stops nothing.

import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type DriftWatch, driftWatch } from "../../src/broker/drift.ts";
import { Fault } from "../../src/model/errors.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { type RotationScene, rotationScene } from "../support/rotation.ts";
import { pemOf, toldCustody } from "../support/told-custody.ts";

const uri = "told:release/1";
let scene: RotationScene;
let watch: DriftWatch;
/** What it says of every key, where it does not say the truth. */
let says: "nothing" | "away" | undefined;

beforeEach(async () => {
  const keys = new Map<string, KeyObject>([[uri, generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey]]);
  const honest = toldCustody(keys);
  const custody: Custody = {
    ...honest,
    describe: (...asked) => {
      if (says === "away") return Promise.reject(new Fault("CUSTODY_DOWN", "nobody answers", { retryAfter: 5 }));
      return says === "nothing" ? Promise.resolve(undefined) : honest.describe(...asked);
    },
  };
  says = undefined;
  const first = { uri, publicKey: pemOf(keys.get(uri)) };
  scene = await rotationScene({ custodies: new Map([["told", custody]]), custody: "told", first });
  watch = driftWatch({ ...scene.parts, ending: new Set() }, () => undefined);
});
afterEach(async () => {
  await scene.agrees();
  await scene[Symbol.asyncDispose]();
});

const state = () => scene.key().versions[0]?.state;
async function looks(...answers: readonly (typeof says)[]): Promise<void> {
  for (const answer of answers) {
    says = answer;
    await watch.look();
  }
}

test("missed once, the key signs on, and doctor warns until it is found again", async () => {
  await looks("nothing");
  expect(state()).toBe("ACTIVE");
  expect(watch.checks()).toMatchObject([{ name: "key release/1", status: "warn", message: /no such key/ }]);
  await looks(undefined);
  expect(watch.checks()).toMatchObject([{ name: "drift", status: "ok" }]);
});

test("missed twice in a row, it is suspended", async () => {
  await looks("nothing", "nothing");
  expect(state()).toBe("SUSPENDED");
  expect(watch.checks()).toMatchObject([{ name: "key release/1", status: "fail" }]);
});

test.each<[string, typeof says]>([
  ["found", undefined],
  ["not to be told", "away"],
])("missed twice, and %s between: it signs on", async (_, between) => {
  await looks("nothing", between, "nothing");
  expect(state()).toBe("ACTIVE");
});
