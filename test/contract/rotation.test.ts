// The same verb over every kind of custody: whatever makes keys is rotated, and only the port is used.

import { createPublicKey, verify } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { custodies } from "../../src/custody/index.ts";
import type { KeyVersion } from "../../src/model/key.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { custodyFixtures } from "../support/custody.ts";
import { lacks } from "../support/peers.ts";
import { type RotationScene, rotationScene } from "../support/rotation.ts";

const never = new AbortController().signal;
const fixtures = custodies.map(({ kind }) => custodyFixtures[kind]);
const missing = new Set<string>();
for (const { kind, needs } of fixtures) if (await lacks(...needs)) missing.add(kind);

describe.each(fixtures.filter(({ kind }) => !missing.has(kind)))("$kind", (fixture) => {
  let scene: RotationScene | undefined;
  let opened: Awaited<ReturnType<typeof fixture.open>> | undefined;
  afterEach(async () => {
    await scene?.[Symbol.asyncDispose]();
    await opened?.custody[Symbol.asyncDispose]();
    await opened?.close?.();
  });

  test("a version after the other, each by its own private key; the old ones verify as before", {
    timeout: 120_000,
  }, async () => {
    opened = await fixture.open();
    const { custody } = opened;
    const wanted = { key: "release", number: 1, purpose: "ATTESTATION", algorithm: "EC_P256" } as const;
    const first = await custody.create?.(wanted, never);
    if (first === undefined) throw new Error(`${fixture.kind} makes no keys`);
    scene = await rotationScene({ custodies: new Map([["here", custody]]), custody: "here", first });
    const before = await signedBy(custody, scene.key().versions[0]);
    for (const idempotencyKey of ["1", "rolled-back", "2"]) {
      const rollsBack = idempotencyKey === "rolled-back";
      await scene.begin({ idempotencyKey, propagation: rollsBack ? 3_600_000 : 0 });
      expect(scene.rotations.trouble("release")).toBeUndefined();
      if (rollsBack) await scene.cancel();
    }
    const { versions } = scene.key();
    expect(versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "DEACTIVATED", "DEACTIVATED", "ACTIVE"]);
    expect(versions[2]?.ended?.why).toBe("cancelled");
    expect(new Set(versions.map(({ fingerprint }) => fingerprint)).size).toBe(4);
    expect(new Set(versions.map(({ uri }) => uri)).size).toBe(4);
    const signatures = [before];
    for (const version of versions.slice(1)) signatures.push(await signedBy(custody, version));
    for (const [made, signature] of signatures.entries())
      for (const [by, version] of versions.entries()) expect(accepts(version, signature)).toBe(made === by);
    await scene.agrees();
  });

  test("died while it was made: after a start the custody gives the same version, and there is one", {
    timeout: 120_000,
  }, async () => {
    opened = await fixture.open();
    const { custody, again } = opened;
    const wanted = { key: "release", number: 1, purpose: "ATTESTATION", algorithm: "EC_P256" } as const;
    const first = await custody.create?.(wanted, never);
    if (first === undefined) throw new Error(`${fixture.kind} makes no keys`);
    await using reopened = again();
    const places = new Map([["here", custody]]);
    scene = await rotationScene({ custodies: places, custody: "here", first });
    scene.death.at = "rotate.after-make";
    await expect(scene.begin({ propagation: 0 })).rejects.toThrow("died");
    scene.death.at = undefined;
    places.set("here", reopened);
    await scene.rotations.round();
    expect(scene.key().versions.map(({ state }) => state)).toEqual(["DEACTIVATED", "ACTIVE"]);
    const done = (await scene.entries()).filter(({ result }) => result !== undefined);
    expect(done).toMatchObject([{ result: "unknown" }, { type: "key.rotate.outcome", result: "done" }]);
    await scene.agrees();
  });
});

const bytes = Buffer.from("the artifact");
async function signedBy(custody: Custody, version: KeyVersion | undefined): Promise<Uint8Array> {
  if (!version) throw new Error("no version");
  const [signature] = await custody.sign(version, [{ form: "message", bytes }], AbortSignal.timeout(30_000));
  if (!signature) throw new Error("no signature");
  return signature;
}
const accepts = ({ publicKey }: KeyVersion, signature: Uint8Array): boolean =>
  verify("sha256", bytes, createPublicKey(publicKey), signature);
