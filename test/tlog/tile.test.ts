import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { hex, utf8 } from "../../src/std/bytes.ts";
import { proverFor } from "../../src/tlog/merkle.ts";
import { Malformed } from "../../src/tlog/text.ts";
import {
  decodeBundle,
  decodeHashes,
  encodeBundle,
  encodeHashes,
  formatTilePath,
  hashReader,
  parseTilePath,
  type Tile,
  tilesBetween,
  tilesOf,
  widthAt,
} from "../../src/tlog/tile.ts";
import { entriesOf, filesOf, logOf } from "./log.ts";

describe("paths", () => {
  test.each<[Tile, string]>([
    [{ kind: "hashes", level: 0, index: 0, width: 256 }, "tile/0/000"],
    [{ kind: "hashes", level: 0, index: 1_234_067, width: 256 }, "tile/0/x001/x234/067"],
    [{ kind: "hashes", level: 63, index: 999, width: 255 }, "tile/63/999.p/255"],
    [{ kind: "hashes", level: 2, index: 1000, width: 1 }, "tile/2/x001/000.p/1"],
    [{ kind: "entries", index: 273, width: 112 }, "tile/entries/273.p/112"],
  ])("%j is %s", (tile, path) => {
    expect(formatTilePath(tile)).toBe(path);
    expect(parseTilePath(path)).toEqual(tile);
  });

  test.each([
    "tile/0/0",
    "tile/0/x000/001",
    "tile/0/x001",
    "tile/0/001/002",
    "tile/00/000",
    "tile/64/000",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/000.p/01",
    "tile/0/000.p/",
    "/tile/0/000",
    "tile/0/000/",
    "tile/0/000\n",
    "tile/0/../000",
    "tile/x/000",
    "tile/entries/x999/x999/x999/x999/x999/999",
    "checkpoint",
  ])("%j is refused", (path) => {
    expect(() => parseTilePath(path)).toThrow(Malformed);
  });

  test("format, then parse, is the identity; foreign text is Malformed", () => {
    const width = fc.integer({ min: 1, max: 256 });
    fc.assert(
      fc.property(fc.nat(63), fc.maxSafeNat(), width, (level, index, width) => {
        for (const tile of [
          { kind: "hashes" as const, level, index, width },
          { kind: "entries" as const, index, width },
        ]) {
          expect(parseTilePath(formatTilePath(tile))).toEqual(tile);
        }
      }),
    );
    const text = fc.oneof(fc.string(), fc.stringMatching(/^tile\/[0-9e]{1,3}\/[x0-9/]{1,12}(\.p\/[0-9]{0,4})?$/));
    fc.assert(
      fc.property(text, (text) => {
        try {
          expect(formatTilePath(parseTilePath(text))).toBe(text);
        } catch (error) {
          expect(error).toBeInstanceOf(Malformed);
        }
      }),
    );
  });
});

describe("layout", () => {
  const paths = (tiles: Iterable<Tile>): string[] => [...tiles].map(formatTilePath);

  test("70,000 entries: the example of the specification", () => {
    const tiles = [...tilesOf(70_000)].filter((tile) => tile.kind === "hashes");
    const at = (level: number) => tiles.filter((tile) => tile.level === level).map((tile) => tile.width);
    expect(at(0)).toEqual([...Array<number>(273).fill(256), 112]);
    expect(at(1)).toEqual([256, 17]);
    expect(at(2)).toEqual([1]);
    expect(at(3)).toEqual([]);
  });

  test("256 entries are one full tile and a partial one of width 1 above it", () => {
    expect(paths(tilesOf(256))).toEqual(["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
  });

  test("an empty log has no tiles", () => {
    expect(paths(tilesOf(0))).toEqual([]);
  });

  test("growing from 250 to 600 fills the first tile and writes what follows", () => {
    expect(paths(tilesBetween(250, 600))).toEqual([
      "tile/entries/000",
      "tile/entries/001",
      "tile/entries/002.p/88",
      "tile/0/000",
      "tile/0/001",
      "tile/0/002.p/88",
      "tile/1/000.p/2",
    ]);
    expect(paths(tilesBetween(600, 600))).toEqual([]);
  });

  test("what a growing log writes is exactly what its new size has and its old size had not", () => {
    const size = fc.nat(200_000);
    fc.assert(
      fc.property(size, size, (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const old = new Set(paths(tilesOf(from)));
        expect(paths(tilesBetween(from, to))).toEqual(paths(tilesOf(to)).filter((path) => !old.has(path)));
      }),
      { numRuns: 30 },
    );
  });

  test("the width of each tile at a size is that of the list", () => {
    for (const tile of tilesOf(70_000)) {
      expect(widthAt(70_000, tile.kind === "hashes" ? tile.level : 0, tile.index)).toBe(tile.width);
    }
    expect(widthAt(70_000, 0, 274)).toBe(0);
    expect(widthAt(255, 1, 0)).toBe(0);
  });
});

describe("contents", () => {
  test("a bundle holds each entry after its length", () => {
    expect(hex(encodeBundle([utf8("ab"), new Uint8Array(), utf8("c")]))).toBe("000261620000000163");
  });

  test("bundles are read back; 65,535 bytes are the most", () => {
    const longest = Buffer.alloc(65_535, 1);
    expect(decodeBundle(encodeBundle([longest]))[0]).toEqual(longest);
    expect(() => encodeBundle([Buffer.alloc(65_536)])).toThrow(/65535/);
    const entries = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 });
    fc.assert(
      fc.property(entries, (entries) => {
        expect(decodeBundle(encodeBundle(entries)).map(hex)).toEqual(entries.map(hex));
      }),
    );
  });

  test("a bundle cut anywhere within an entry is refused, and so are empty and overfull ones", () => {
    const bundle = encodeBundle([utf8("one"), utf8("two")]);
    for (const cut of [1, 2, 4, 6, 9]) expect(() => decodeBundle(bundle.subarray(0, cut))).toThrow(Malformed);
    expect(() => decodeBundle(new Uint8Array())).toThrow(Malformed);
    expect(() => decodeBundle(Buffer.alloc(2 * 257))).toThrow(Malformed);
    expect(() => encodeBundle([])).toThrow(Malformed);
  });

  test("foreign bytes are a bundle that encodes to themselves, or Malformed", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          expect(hex(encodeBundle(decodeBundle(bytes)))).toBe(hex(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(Malformed);
        }
      }),
    );
  });

  test("hash tiles hold whole hashes only", () => {
    const hashes = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    expect(decodeHashes(encodeHashes(hashes)).map(hex)).toEqual(hashes.map(hex));
    for (const length of [0, 31, 33, 257 * 32]) expect(() => decodeHashes(Buffer.alloc(length))).toThrow(Malformed);
    expect(() => encodeHashes([utf8("short")])).toThrow(Malformed);
  });

  test("a holder of the static tree makes the same proofs as the log itself", () => {
    const log = logOf(entriesOf(70_000));
    const files = filesOf(log);
    const fromTiles = hashReader((level, index) => {
      const path = formatTilePath({ kind: "hashes", level, index, width: widthAt(70_000, level, index) });
      return files.get(path) ?? new Uint8Array();
    });
    const [a, b] = [proverFor(70_000, log.read), proverFor(70_000, fromTiles)];
    expect(hex(b.root)).toBe(hex(a.root));
    for (const index of [0, 255, 256, 65_535, 65_536, 69_999]) {
      expect(b.inclusion(index).map(hex)).toEqual(a.inclusion(index).map(hex));
      expect(b.consistency(index + 1).map(hex)).toEqual(a.consistency(index + 1).map(hex));
    }
  });
});
