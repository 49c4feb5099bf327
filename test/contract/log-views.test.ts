// Views of the log: queries, the static tree, the remembered checkpoint. All can be dropped; none can lie unnoticed.

import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { EntryFilter, LogEntry } from "../../src/ports/log.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { canonicalJson } from "../../src/std/json.ts";
import { fsck } from "../../src/tlog/fsck.ts";
import {
  appended,
  dialects,
  digestOf,
  directory,
  grow,
  grownDigest,
  grownKey,
  grownProject,
  intent,
  job,
  noon,
  note,
  signer,
  type TestDirectory,
  type TestLog,
} from "../support/db.ts";

describe.each(dialects)("views on $name", ({ open }) => {
  let place: TestDirectory;
  let log: TestLog;
  beforeEach(async () => {
    place = directory();
    log = await open(place.path);
  });
  afterEach(async () => {
    await log[Symbol.asyncDispose]();
    place[Symbol.dispose]();
  });

  const all = async (filter: EntryFilter, limit = 1000, backward = false): Promise<readonly LogEntry[]> => {
    const found: LogEntry[] = [];
    for (let after: number | undefined; ; after = found.at(-1)?.index) {
      const { entries, more } = await log.entries(filter, { limit, backward, after });
      found.push(...entries);
      if (!more) return found;
    }
  };
  const indices = async (filter: EntryFilter, limit?: number, backward?: boolean): Promise<readonly number[]> =>
    (await all(filter, limit, backward)).map((one) => one.index);
  const upTo = (size: number, fits: (n: number) => boolean): readonly number[] =>
    Array.from({ length: size }, (_, n) => n).filter(fits);

  test("a query sees what was appended before it was asked, with the exact leaf", async () => {
    const written = appended(await log.append({ entry: intent("ss_1", digestOf("app")) }));
    const { entries, more } = await log.entries({ digest: digestOf("app") }, { limit: 10, backward: true });
    expect(more).toBe(false);
    expect(entries).toMatchObject([{ index: 0, entry: { type: "sign.intent" } }]);
    expect(Buffer.from(entries[0]?.leaf ?? []).equals(written.leaf)).toBe(true);
    expect(entries[0]).not.toHaveProperty("disagreement");
  });

  test("every filter finds what reading all leaves would find, in pages, both ways", { timeout: 60_000 }, async () => {
    const size = 2300;
    await grow(log, size);
    const tables: readonly [EntryFilter, (n: number) => boolean][] = [
      [{}, () => true],
      [{ keys: [grownKey(7)] }, (n) => n % 50 === 7],
      [{ keys: [grownKey(7), grownKey(8), grownKey(7)] }, (n) => n % 50 === 7 || n % 50 === 8],
      [{ digest: grownDigest(1234) }, (n) => n === 1234],
      [{ principal: grownProject(5) }, (n) => n % 1000 === 5],
      [{ principal: grownProject(5), keys: [grownKey(5)] }, (n) => n % 1000 === 5],
      [{ principal: grownProject(5), keys: [grownKey(6)] }, () => false],
      [{ session: "ss_12" }, (n) => Math.floor(n / 10) === 12],
      [{ types: ["sign.intent", "refusal"] }, () => true],
      [{ types: ["refusal"] }, () => false],
      [{ from: noon + 500, to: noon + 1700 }, (n) => n >= 500 && n < 1700],
      [{ keys: [grownKey(7)], from: noon + 500, to: noon + 1700 }, (n) => n % 50 === 7 && n >= 500 && n < 1700],
      [{ from: noon + 1_000_000 }, () => false],
    ];
    for (const [filter, fits] of tables) {
      const expected = upTo(size, fits);
      expect(await indices(filter), JSON.stringify(filter)).toEqual(expected);
      expect(await indices(filter, 170, true), JSON.stringify(filter)).toEqual([...expected].reverse());
    }
  });

  test("artifacts in a side blob are found by digest; refusals by result and code", async () => {
    const items = Array.from({ length: 12 }, (_, i) => ({
      kind: "blob",
      artifacts: [{ digest: digestOf(String(i)) }],
    }));
    const blob = utf8(canonicalJson(items));
    await log.append({
      blobs: [blob],
      entry: (facts) =>
        ({
          ...intent("ss_1", digestOf("x"))(facts),
          items: { blob: digestOf(canonicalJson(items)), count: 12 },
        }) as ReturnType<ReturnType<typeof intent>>,
    });
    await log.append({
      entry: () => ({
        v: 1,
        at: "2026-11-21T12:00:00.000Z",
        node: "n1",
        epoch: 1,
        type: "refusal",
        by: job,
        code: "POLICY_DENIED",
        message: "no",
        action: "sign",
        keys: ["release", "attest"],
      }),
    });
    expect(await indices({ digest: digestOf("11") })).toEqual([0]);
    expect(await indices({ result: "refused" })).toEqual([1]);
    expect(await indices({ code: "POLICY_DENIED", keys: ["attest"] })).toEqual([1]);
    expect((await all({ digest: digestOf("11") }))[0]).not.toHaveProperty("disagreement");
  });

  test("a row that was edited is shown with what its leaf says instead", async () => {
    await grow(log, 300);
    await indices({});
    await log[Symbol.asyncDispose]();
    const views = new DatabaseSync(join(place.path, "views.sqlite"));
    views.exec("UPDATE entry SET result = 'done', principal = 'somebody-else' WHERE idx = 42");
    views.exec(`INSERT INTO entry_digest VALUES ('${digestOf("planted")}', 43)`);
    views.close();
    log = await open(place.path);
    const [edited] = await all({ principal: "somebody-else" });
    expect(edited).toMatchObject({ index: 42, entry: { by: { projectId: grownProject(42) } } });
    expect(edited?.disagreement).toBe(
      "principal: the view says somebody-else, the leaf project-42; result: the view says done, the leaf nothing",
    );
    expect((await all({ digest: digestOf("planted") }))[0]?.disagreement).toContain("digest");
    await log.rebuildViews();
    expect(await all({ principal: "somebody-else" })).toEqual([]);
    expect((await all({})).filter((one) => one.disagreement !== undefined)).toEqual([]);
  });

  test("a count is as long as the list, for every filter", async () => {
    await grow(log, 1200);
    for (const filter of [
      {},
      { keys: [grownKey(3)] },
      { keys: [grownKey(3), grownKey(4)], types: ["sign.intent", "sign.outcome"] },
      { types: ["sign.intent"], principal: grownProject(42) },
      { digest: grownDigest(7) },
      { session: "nobody" },
    ])
      expect(await log.count(filter), JSON.stringify(filter)).toBe((await all(filter)).length);
    expect(await log.count({})).toBe(1200);
  });

  test("views rebuilt, lost, or ahead of a restored truth are the same as before", async () => {
    await grow(log, 1500);
    const before = await all({ keys: [grownKey(3)] });
    await log.rebuildViews();
    expect(await all({ keys: [grownKey(3)] })).toEqual(before);
    await log[Symbol.asyncDispose]();
    const views = new DatabaseSync(join(place.path, "views.sqlite"));
    views.exec("UPDATE progress SET size = 9000, last = x'00'");
    views.close();
    log = await open(place.path);
    expect(await all({ keys: [grownKey(3)] })).toEqual(before);
  });

  describe("the static tree", () => {
    const tree = (): string => join(place.path, "log");
    const read = (path: string): Promise<Uint8Array | undefined> => readFile(join(tree(), path)).catch(() => undefined);
    const check = () => fsck({ read, trusted: { logs: [signer.vkey] } });

    test("grows with the log; fsck accepts it after each publishing and after a restart", async () => {
      for (const size of [1, 200, 256, 700]) {
        await grow(log, size);
        await log.tree.publish(await log.checkpoint());
        expect(await check()).toMatchObject({ verdict: "consistent", size });
      }
      await log[Symbol.asyncDispose]();
      log = await open(place.path);
      await grow(log, 900);
      await log.tree.publish(await log.checkpoint());
      expect(await check()).toMatchObject({ verdict: "consistent", size: 900 });
      expect(existsSync(join(tree(), "tile/0/000.p"))).toBe(false);
      expect(statSync(join(tree(), "tile/entries")).mode & 0o777).toBe(0o750);
    });

    test("never shows a smaller checkpoint over a larger one, whoever is late", async () => {
      await grow(log, 100);
      const early = await log.checkpoint();
      await grow(log, 200);
      const late = await log.checkpoint();
      await Promise.all([log.tree.publish(late), log.tree.publish(early)]);
      expect(await readFile(join(tree(), "checkpoint"), "utf8")).toBe(late);
      expect(await check()).toMatchObject({ verdict: "consistent", size: 200 });
    });

    test("refuses a checkpoint of another history", async () => {
      using other = directory();
      const fork = await open(other.path);
      await fork.append(note("fork"));
      const checkpoint = await fork.checkpoint();
      await fork[Symbol.asyncDispose]();
      await log.append(note("ours"));
      await expect(log.tree.publish(checkpoint)).rejects.toMatchObject({ code: "LOG_DAMAGED" });
    });

    test("remembers the last checkpoint outside the database", async () => {
      expect(await log.remembered.read()).toBeUndefined();
      await log.append(note("a"));
      const checkpoint = await log.checkpoint();
      await log.remembered.write(checkpoint);
      expect(await log.remembered.read()).toBe(checkpoint);
    });
  });
});
