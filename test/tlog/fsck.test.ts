import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import { hex, utf8 } from "../../src/std/bytes.ts";
import { signCheckpoint } from "../../src/tlog/checkpoint.ts";
import { type FsckQuestion, type FsckVerdict, fsck } from "../../src/tlog/fsck.ts";
import { encodeBundle, formatTilePath, tilesOf } from "../../src/tlog/tile.ts";
import { contentOf, entriesOf, filesOf, logOf, logSigner, type MemoryLog, origin } from "./log.ts";

const trusted = { logs: [logSigner.vkey] };
type Files = Map<string, Uint8Array>;

const run = (files: Files, more: Partial<FsckQuestion> = {}): Promise<FsckVerdict> =>
  fsck({ read: (path) => Promise.resolve(files.get(path)), trusted, ...more });

/** A copy with one file changed, or taken away. */
function having(files: Files, path: string, change: (bytes: Uint8Array) => Uint8Array | undefined): Files {
  const bytes = files.get(path);
  if (bytes === undefined) throw new Error(`no ${path} in this log`);
  const changed = change(Uint8Array.from(bytes));
  const copy = new Map(files);
  if (changed === undefined) copy.delete(path);
  else copy.set(path, changed);
  return copy;
}

const flipAt = (at: number) => (bytes: Uint8Array) =>
  bytes.map((byte, i) => (i === at % bytes.length ? byte ^ 4 : byte));
const gone = () => undefined;
const cut = (bytes: Uint8Array) => bytes.subarray(0, -1);

// Three rows of tiles: 65,536 leaves are the first full tile of level 1. Nobody changes these.
let large: MemoryLog;
let largeFiles: Files;
beforeAll(() => {
  large = logOf(entriesOf(66_000));
  largeFiles = filesOf(large);
});

const claim = (size: number, root: Uint8Array): Uint8Array =>
  utf8(signCheckpoint({ origin, size, root, extensions: [] }, logSigner));

describe("a whole log", () => {
  test.each([0, 1, 255, 256, 257, 512, 1000])("of %i entries is consistent", async (size) => {
    const log = logOf(entriesOf(size));
    const seen: string[] = [];
    const onEntry = (index: number, entry: Uint8Array) => {
      seen.push(`${String(index)} ${Buffer.from(entry).toString()}`);
    };
    const progress: number[] = [];
    const outcome = await run(filesOf(log), { onEntry, onProgress: (done) => progress.push(done) });
    expect(outcome).toEqual({ verdict: "consistent", origin, size, root: log.rootAt(size), cosignatures: [] });
    expect(seen).toEqual(Array.from({ length: size }, (_, i) => `${String(i)} entry ${String(i)}`));
    expect(progress.at(-1)).toBe(size === 0 ? undefined : size);
  });

  test.each([65_536, 66_000])("of %i entries, in three rows of tiles, is consistent", async (size) => {
    const root = large.rootAt(size);
    const files = new Map(largeFiles).set("checkpoint", claim(size, root));
    for (const tile of tilesOf(size)) files.set(formatTilePath(tile), contentOf(large, tile));
    expect(await run(files)).toMatchObject({ verdict: "consistent", size, root });
  });

  test("a full tile serves where its partial one was deleted", async () => {
    const [now, files] = [filesOf(logOf(entriesOf(300))), filesOf(logOf(entriesOf(600)))];
    for (const path of ["checkpoint", "tile/1/000.p/1"]) files.set(path, now.get(path) ?? utf8(""));
    expect(files.has("tile/entries/001.p/44")).toBe(false);
    expect(await run(files)).toMatchObject({ verdict: "consistent", size: 300 });
  });

  test("the remembered checkpoint is still in it, at whatever size it was", async () => {
    const log = logOf(entriesOf(700));
    const files = filesOf(log);
    for (const size of [0, 1, 255, 256, 300, 512, 700]) {
      const remembered = { size, root: log.rootAt(size) };
      expect((await run(files, { remembered })).verdict).toBe("consistent");
    }
  });

  test("a listener that takes its time is waited for", async () => {
    let busy = false;
    const onEntry = async () => {
      expect(busy).toBe(false);
      busy = true;
      await Promise.resolve();
      busy = false;
    };
    expect((await run(filesOf(logOf(entriesOf(300))), { onEntry })).verdict).toBe("consistent");
  });

  test("what reading throws, fsck throws: a broken disk is not a damaged log", async () => {
    await expect(fsck({ read: () => Promise.reject(new Error("EIO")), trusted })).rejects.toThrow("EIO");
  });
});

describe("a damaged log", () => {
  let forged: Files;
  beforeAll(() => {
    forged = filesOf(logOf(large.entries.with(70, utf8("forged"))));
  });

  test("an edited entry is named by its index", async () => {
    const edited = having(largeFiles, "tile/entries/003", () => {
      const entries = large.entries.slice(768, 1024);
      return encodeBundle(entries.with(5, utf8("ENTRY 773")));
    });
    expect(await run(edited)).toMatchObject({ verdict: "damaged", path: "tile/entries/003", index: 773 });
  });

  test("each kind of file: missing, cut, or with one bit flipped, is found and named", async () => {
    const small = filesOf(logOf(entriesOf(600)));
    const inSmall = ["tile/entries/000", "tile/entries/002.p/88", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"];
    const inLarge = ["tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"];
    const cases = [
      ...inSmall.map((path) => [small, path] as const),
      ...inLarge.map((path) => [largeFiles, path] as const),
    ];
    for (const [files, path] of cases) {
      const level0 = path.replace("tile/entries/", "tile/0/");
      for (const change of files === largeFiles ? [flipAt(3)] : [gone, cut, flipAt(3)]) {
        const outcome = await run(having(files, path, change));
        expect(outcome.verdict).toBe("damaged");
        const named = outcome.verdict === "damaged" ? `${outcome.path} ${outcome.what}` : "";
        expect(named.includes(path) || named.includes(level0)).toBe(true);
      }
    }
  });

  test("a partial file that holds more than its path says", async () => {
    const small = filesOf(logOf(entriesOf(300)));
    const more = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(32)]); // a hash, or sixteen empty entries
    for (const path of ["tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"]) {
      expect(await run(having(small, path, more))).toMatchObject({ verdict: "damaged", path });
    }
  });

  test("one flipped bit anywhere in any file is found", async () => {
    const small = filesOf(logOf(entriesOf(600)));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...small.keys()), fc.nat(), async (path, at) => {
        expect((await run(having(small, path, flipAt(at)))).verdict).toBe("damaged");
      }),
      { numRuns: 100 },
    );
  });

  test("an entry and its tile changed together do not fit the tiles above", async () => {
    const mixed = new Map(largeFiles);
    for (const path of ["tile/entries/000", "tile/0/000"]) mixed.set(path, forged.get(path) ?? utf8(""));
    expect(await run(mixed)).toMatchObject({ verdict: "damaged", path: "tile/1/000", index: 0 });
  });

  test("all of it rewritten under the old checkpoint does not fit the root", async () => {
    const rewritten = new Map(forged).set("checkpoint", largeFiles.get("checkpoint") ?? utf8(""));
    expect(await run(rewritten)).toMatchObject({ verdict: "damaged", path: "checkpoint" });
  });

  test("a checkpoint of another key, with another size, not text, or none", async () => {
    const root = large.rootAt(66_000);
    const cases: [Files, string][] = [
      [having(largeFiles, "checkpoint", gone), "checkpoint"],
      [having(largeFiles, "checkpoint", () => Uint8Array.of(0xff)), "checkpoint"],
      [having(largeFiles, "checkpoint", flipAt(20)), "checkpoint"],
      [having(largeFiles, "checkpoint", () => claim(66_001, root)), "tile/entries/257.p/209"],
      [having(largeFiles, "checkpoint", () => claim(65_792, root)), "checkpoint"],
    ];
    for (const [files, path] of cases) expect(await run(files)).toMatchObject({ verdict: "damaged", path });
    expect(await run(largeFiles, { trusted: { logs: [] } })).toMatchObject({ path: "checkpoint" });
  });
});

describe("a rewritten log", () => {
  test("one that was rolled back is consistent in itself, but not with what we remember", async () => {
    const files = filesOf(logOf(entriesOf(500)));
    const remembered = { size: 600, root: logOf(entriesOf(600)).rootAt(600) };
    expect((await run(files)).verdict).toBe("consistent");
    expect(await run(files, { remembered })).toMatchObject({ verdict: "rewritten" });
  });

  test("another history of the same or a larger size is found, wherever it forked", async () => {
    const original = logOf(entriesOf(600));
    const forked = filesOf(logOf(entriesOf(700).with(590, utf8("forged"))));
    for (const size of [591, 600]) {
      const remembered = { size, root: original.rootAt(size) };
      expect(await run(forked, { remembered })).toMatchObject({ verdict: "rewritten" });
    }
    const before = { size: 590, root: original.rootAt(590) };
    expect((await run(forked, { remembered: before })).verdict).toBe("consistent");
    expect(hex(before.root)).not.toBe(hex(original.rootAt(600)));
  });
});
