// What the leaves tell of sessions: whose policy a reload changed, and for how long they are kept; and of key versions,
// as far as entries of older versions do.

import { expect, test } from "vitest";
import type { Entry, EntryBody } from "../../src/model/entry.ts";
import { differences, replay, toldVersion } from "../../src/model/replay.ts";
import { rfc3339 } from "../../src/std/clock.ts";

const at = Date.UTC(2026, 0, 15);
const frame = { v: 1, at: rfc3339(at), node: "signet-1", epoch: 1 } as const;
const hour = 3_600_000;

const opened = (session: string, expiresAt = at + hour): EntryBody => ({
  type: "session.open",
  by: { kind: "socket" },
  session,
  keys: ["attest"],
  decision: { effect: "permit", grant: "release", policy: "sha256:a", reasons: [] },
  uses: { granted: 5, spent: 0, left: 5 },
  expiresAt: rfc3339(expiresAt),
});
const reloaded = (policy: string, sessions: Extract<EntryBody, { type: "policy.change" }>["sessions"]): EntryBody => ({
  type: "policy.change",
  policy,
  files: { blob: `sha256:${"0".repeat(64)}` },
  sessions,
  grants: 1,
  cases: 0,
});

function told(bodies: readonly EntryBody[], since?: number) {
  const telling = replay(since);
  for (const [index, body] of bodies.entries()) telling.entry(index, "", { ...frame, ...body } satisfies Entry);
  return telling.result();
}
const policies = (bodies: readonly EntryBody[], session: string) => told(bodies).sessions.get(session)?.policies;

test("a session that a reload kept has the new policy; one that it did not keep has the old one for ever", () => {
  const bodies = [opened("ss_1"), opened("ss_2"), reloaded("sha256:b", ["ss_1"]), opened("ss_3")];
  expect(policies(bodies, "ss_1")).toEqual(["sha256:b"]);
  expect(policies(bodies, "ss_2")).toEqual(["sha256:a"]);
  expect(policies(bodies, "ss_3")).toEqual(["sha256:a"]);
  expect(policies([...bodies, reloaded("sha256:c", [])], "ss_1")).toEqual(["sha256:b"]);
});

test("where a side blob names those that were kept, or nothing does, either policy is possible", () => {
  for (const kept of [{ blob: `sha256:${"1".repeat(64)}`, count: 201 }, undefined])
    expect(policies([opened("ss_1"), reloaded("sha256:b", kept)], "ss_1")).toEqual(["sha256:a", "sha256:b"]);
});

test("a session that expired long ago is not kept, nor what was done with it", () => {
  const close: EntryBody = {
    type: "session.close",
    by: { kind: "socket" },
    session: "ss_1",
    uses: { granted: 5, spent: 0, left: 5 },
  };
  const { sessions } = told([opened("ss_1", at), opened("ss_2", at + 1), close], at);
  expect([...sessions.keys()]).toEqual(["ss_2"]);
});

test("entries of older versions do not say when a key version was made: any time holds, and theirs is the nearest", () => {
  const subject = { key: "attest", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
  const outcome = (createdAt?: string): EntryBody => ({
    type: "key.create.outcome",
    by: { kind: "socket" },
    ...subject,
    intent: { index: 0, hash: "" },
    result: "done",
    version: 1,
    publicKey: "-----BEGIN PUBLIC KEY-----\nTm90IGEga2V5Lg==\n-----END PUBLIC KEY-----\n",
    uri: "software:attest/1",
    createdAt,
  });
  const wrong = (said: EntryBody, createdAt: string): readonly string[] => {
    const replayed = told([said]);
    const [version] = [...replayed.keys.values()].map(toldVersion);
    if (!version) throw new Error("the key version is not told");
    const value = { name: "attest", purpose: "ATTESTATION", versions: [{ ...version, createdAt }] } as const;
    const tables = { keys: [{ value, revision: 1 }], people: [], pending: [], sessions: [], policy: undefined };
    return differences(replayed, tables);
  };
  const [made, other] = ["2026-01-15T00:00:01.000Z", "2020-01-01T00:00:00.000Z"];
  expect(wrong(outcome(), other)).toEqual([]);
  expect(wrong(outcome(made), made)).toEqual([]);
  expect(wrong(outcome(made), other)).toEqual(["key attest/1 was made at another time than the log says"]);
  expect([...told([outcome()]).keys.values()].map(toldVersion)).toMatchObject([{ createdAt: rfc3339(at) }]);
});
