import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { describe, expect, test } from "vitest";

import { formatProofKey, newProofKey } from "../../src/client/proof.ts";
import { base64 } from "../../src/std/base64.ts";
import { utf8 } from "../../src/std/bytes.ts";
import type { JsonObject } from "../../src/std/json.ts";
import { leafHash, proverFor } from "../../src/tlog/merkle.ts";
import { filesOf, logOf, origin } from "../tlog/log.ts";
import { leavesOf, noteOf, outcome, receiptOf, vkey } from "./evidence.ts";
import { type Answers, type FakeServer, fakeServer, type Stage, stage } from "./stage.ts";

const by = { kind: "workload", project: "acme/app", ref: "refs/heads/feature-x", run: "988" };
const items = (name: string) => [{ artifacts: [{ name, digest: `sha256:5f2c${"0".repeat(56)}a91e` }] }];
const entries: readonly JsonObject[] = [
  { v: 1, type: "daemon.start", at: "2026-11-21T13:00:00.000Z" },
  outcome({ key: { name: "release", version: 3 }, items: items("app-1.4.0.tgz") }),
  {
    v: 1,
    type: "refusal",
    at: "2026-11-20T13:05:40.000Z",
    by,
    code: "POLICY_DENIED",
    items: items("app\u001b[31m.tgz"),
  },
];

/** A server that shows these leaves, at most so many in an answer; `lie` changes what it says of them. */
function auditing(
  leaves: readonly Uint8Array[],
  lie: (node: Record<string, unknown>) => object = (node) => node,
  most = Number.POSITIVE_INFINITY,
): Answers {
  const checkpoint = () => ({
    origin,
    size: leaves.length,
    root: base64(logOf(leaves).rootAt(leaves.length)),
    note: noteOf(leaves),
    witnesses: [],
  });
  const node = (leaf: Uint8Array, index: number) =>
    lie({
      index,
      hash: base64(leafHash(leaf)),
      leaf: base64(leaf),
      type: "t",
      at: "2026-11-21T13:00:00.000Z",
      by: null,
      body: {},
      disagreement: null,
      receipt: receiptOf(leaves, index),
    });
  return {
    vkey: () => vkey,
    checkpoint,
    consistency: ({ from, to }: { from: number; to: number }) => ({
      from,
      to,
      hashes: proverFor(to, logOf(leaves).read).consistency(from).map(base64),
    }),
    entry: ({ index }: { index: number }) => (leaves[index] ? node(leaves[index], index) : null),
    entries: ({ first, after, last }: { first?: number; after?: string; last?: number }) => {
      const from = last === undefined ? Number(after ?? -1) + 1 : Math.max(0, leaves.length - last);
      const to = Math.min(leaves.length, from + Math.min(first ?? last ?? 50, most));
      return {
        nodes: leaves.slice(from, to).map((leaf, index) => node(leaf, from + index)),
        pageInfo: { hasNextPage: to < leaves.length, hasPreviousPage: from > 0, endCursor: String(to - 1) },
        checkpoint: checkpoint(),
      };
    },
    blob: () => null,
  };
}

/** Somebody who logged in before. */
function auditor(scene: Stage, server: FakeServer): void {
  const config = join(scene.folder, ".config/signet");
  mkdirSync(config, { recursive: true });
  const login = { token: "sgo_1", expiresAt: "2026-11-21T20:00:00.000Z", name: "ana", byKey: true };
  writeFileSync(join(config, "key.pem"), formatProofKey(newProofKey()), { mode: 0o600 });
  writeFileSync(join(config, "login-test.json"), JSON.stringify(login), { mode: 0o600 });
  writeFileSync(
    join(config, "contexts.json"),
    JSON.stringify({ current: "test", contexts: { test: { server: server.url } } }),
  );
}

describe("signet audit list", () => {
  test("shows what the leaves say, each proved; pins the log's key at first sight; names cannot paint the terminal", async () => {
    await using server = await fakeServer(auditing(leavesOf(entries)));
    using scene = stage();
    auditor(scene, server);
    const played = await scene.signet("audit list --all-types");
    expect(played.exit).toBe(0);
    expect(
      played.out,
    ).toBe(`  INDEX  WHEN                  WHO                             WHAT                                RESULT
      0  today 13:00:00Z       the daemon                                                          daemon.start
      1  today 13:59:00Z       acme/app · v1.4.0 · run 987     app-1.4.0.tgz sha256:5f2c…a91e      signed (v3)
      2  2026-11-20 13:05:40Z  acme/app · feature-x · run 988  app\\u{1b}[31m.tgz sha256:5f2c…a91e  refused SGN-2101
`);
    expect(played.err).toMatch(
      /^the log's key was not known here.*\n.*\n3 shown · verified against checkpoint 3 \/ .{8}… \(not witnessed\)\n$/,
    );
    expect((await scene.signet("audit list")).err).not.toContain("not known here");
  });

  test("--all goes on past every page; without it the newest are shown, and that there are more", async () => {
    const many = Array.from({ length: 23 }, (_, i) => ({
      ...outcome({ items: items("a") }),
      request: `rq_${String(i)}`,
    }));
    await using server = await fakeServer(auditing(leavesOf(many), undefined, 10));
    using scene = stage({ SIGNET_VKEY: vkey });
    auditor(scene, server);
    const all = await scene.signet("audit list --key release --type sign.outcome --all -o json");
    const { entries: listed } = JSON.parse(all.out) as { readonly entries: readonly { readonly index: number }[] };
    expect(listed.map(({ index }) => index)).toEqual(many.map((_, i) => i));
    expect(all.err).not.toContain("there are older ones");
    expect((await scene.signet("audit list --limit 5")).err).toContain("5 shown, there are older ones (--all)");
  });

  test.each<[string, (node: Record<string, unknown>) => object]>([
    [
      "a changed leaf",
      (node) => ({ ...node, receipt: String(node["receipt"]).replace(/^extra .*$/m, `extra ${base64(utf8("{}"))}`) }),
    ],
    ["another entry's proof", (node) => ({ ...node, index: Number(node["index"]) + 1 })],
    ["no proof", (node) => ({ ...node, receipt: "" })],
  ])("%s is not shown: exit 13", async (_, lie) => {
    await using server = await fakeServer(auditing(leavesOf(entries), lie));
    using scene = stage();
    auditor(scene, server);
    expect(await scene.signet("audit list")).toMatchObject({ exit: 13, out: "" });
  });

  test("asks the server for exactly what was asked", async () => {
    await using server = await fakeServer(auditing(leavesOf(entries)));
    using scene = stage({ SIGNET_VKEY: vkey });
    auditor(scene, server);
    await scene.signet("audit list --key release --code SGN-2101 --since 7d --until 2026-11-21T13:00Z --limit 5");
    expect(server.asked.find(({ operation }) => operation === "AuditList")?.variables).toEqual({
      filter: {
        keys: ["release"],
        code: "POLICY_DENIED",
        from: "2026-11-14T14:00:00.000Z",
        to: "2026-11-21T13:00:00.000Z",
      },
      last: 5,
    });
  });

  test.each([
    ["audit list --since yesterday", "is not a time"],
    ["audit list --digest 5f2c", "is not sha256:"],
    ["audit list --code NOPE", "is no error code"],
    ["audit list --result fine", "one of done"],
    ["audit list --limit -1", "not a whole number"],
    ["audit list --limit 1001", "--all lists every entry"],
    ["audit show x", "is not an index"],
    ["audit", "needs a command"],
    ["audit fsck none --vkey nope", "there is no such file"],
  ])("%s: %s", async (line, words) => {
    using scene = stage({ SIGNET_SERVER: "http://127.0.0.1:9" });
    const played = await scene.signet(line);
    expect(played.err).toContain(words);
    expect([2, 6]).toContain(played.exit);
  });
});

describe("a rewritten past", () => {
  const grown = [...entries, { v: 1, type: "daemon.stop" }];
  const forged = [{ v: 1, type: "daemon.start", at: "1999-01-01T00:00:00.000Z" }, ...grown.slice(1)];

  async function watchThen(later: readonly JsonObject[]): Promise<readonly number[]> {
    using scene = stage({ SIGNET_VKEY: vkey });
    const exits: number[] = [];
    for (const state of [entries, later]) {
      await using server = await fakeServer(auditing(leavesOf(state)));
      auditor(scene, server);
      exits.push((await scene.signet("audit watch --once")).exit);
    }
    return exits;
  }

  test("is none where the log only grew", async () => {
    expect(await watchThen(grown)).toEqual([0, 0]);
  });
  test.each([
    ["forged and grown", forged],
    ["forged at the same size", forged.slice(0, 3)],
    ["rolled back", entries.slice(0, 2)],
  ])("is shouted about when %s", async (_, later) => {
    expect(await watchThen(later)).toEqual([0, 13]);
  });
});

describe("signet audit fsck and export", () => {
  const leaves = leavesOf(Array.from({ length: 600 }, (_, i) => ({ v: 1, type: "t", i })));

  test("an export holds the log, agrees with itself, and is checked from the disk alone; one flipped bit is found", async () => {
    await using server = await fakeServer(auditing(leaves));
    for (const [path, bytes] of filesOf(logOf(leaves))) server.files.set(path, bytes);
    using scene = stage({ SIGNET_VKEY: vkey });
    auditor(scene, server);
    expect(await scene.signet("audit export out")).toMatchObject({ exit: 0, err: "" });
    for (const name of ["checkpoint", "log.vkey", "README.md", "tile/0/000", "tile/entries/000"])
      expect(existsSync(join(scene.folder, "out", name))).toBe(true);
    expect(await scene.signet("audit export out")).toMatchObject({ exit: 2 });
    expect((await scene.signet("audit fsck out")).out).toMatch(/^consistent 600 entries of signet\.example\/log\n/);
    expect((await scene.signet("-o json audit fsck")).out).toContain('"size": 600');
    const tile = join(scene.folder, "out/tile/entries/001");
    const bytes = readFileSync(tile);
    bytes[10] = (bytes[10] ?? 0) ^ 1;
    writeFileSync(tile, bytes);
    const played = await scene.signet("audit fsck out");
    expect(played.exit).toBe(13);
    expect(played.err).toContain("from entry 256");
    expect(dirname(tile)).toContain("entries");
  });

  test("an older copy than what was seen is not called a rewritten log", async () => {
    await using server = await fakeServer(auditing(leaves));
    using scene = stage({ SIGNET_VKEY: vkey });
    auditor(scene, server);
    await scene.signet("audit watch --once");
    const older = join(scene.folder, "older");
    for (const [path, bytes] of filesOf(logOf(leaves.slice(0, 300)))) {
      mkdirSync(dirname(join(older, path)), { recursive: true });
      writeFileSync(join(older, path), bytes);
    }
    const played = await scene.signet("audit fsck older");
    expect(played).toMatchObject({ exit: 0 });
    expect(played.out).toContain("not compared");
  });
});
