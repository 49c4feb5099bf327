// Tiles: the log cut into static files that strangers' tools read (C2SP tlog-tiles v0.1.0).
// `tile/<level>/<N>` holds 256 consecutive hashes, each the root of 256^level leaves; `tile/entries/<N>` holds 256
// leaves, each after its length in two big-endian bytes. The last of a row may be partial, `….p/<width>`, and is
// never hashed upward. N is written in groups of three digits, all but the last behind an `x`: 1234067 = x001/x234/067.

import { buffer, concat } from "../std/bytes.ts";
import { type HashReader, nodeHash } from "./merkle.ts";
import { formatDecimal, hashLength, Malformed, quote } from "./text.ts";

/** Hashes or entries of a full tile; the tree levels from one row of tiles to the next are its logarithm. */
export const tileWidth = 256;
export const tileHeight = 8;
/** Bytes of one entry: its length is written in two bytes. */
export const maxEntryLength = 65_535;

/** One file of the log. `width` is 1 to 255 for a partial tile, 256 for a full one. */
export type Tile =
  | { readonly kind: "hashes"; readonly level: number; readonly index: number; readonly width: number }
  | { readonly kind: "entries"; readonly index: number; readonly width: number };

/** The path below the log's prefix, without a leading slash. Throws Malformed for impossible tiles. */
export function formatTilePath(tile: Tile): string {
  const { index, width } = tile;
  if (!Number.isInteger(width) || width < 1 || width > tileWidth) {
    throw new Malformed("tile path", `a tile is 1 to 256 wide, not ${String(width)}`);
  }
  if (tile.kind === "hashes" && !(Number.isInteger(tile.level) && tile.level >= 0 && tile.level <= 63)) {
    throw new Malformed("tile path", `levels go from 0 to 63, ${String(tile.level)} is none`);
  }
  const row = tile.kind === "entries" ? "entries" : String(tile.level);
  return `tile/${row}/${formatIndex(index)}${width === tileWidth ? "" : `.p/${String(width)}`}`;
}

/** The inverse of `formatTilePath`: exactly one path for each tile. Throws Malformed for any other text. */
export function parseTilePath(path: string): Tile {
  const match = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path);
  const [, row, groups, partial] = match ?? [];
  if (row === undefined || groups === undefined) throw new Malformed("tile path", `${quote(path)} is no tile`);
  const index = Number(groups.replaceAll(/[x/]/g, ""));
  const width = partial === undefined ? tileWidth : Number(partial);
  const tile: Tile =
    row === "entries" ? { kind: "entries", index, width } : { kind: "hashes", level: Number(row), index, width };
  if (formatTilePath(tile) !== path) throw new Malformed("tile path", `${quote(path)} is not the canonical path`);
  return tile;
}

/** How wide this tile is in a log of `size` entries: 0 (it must not exist) to 256. Entries count as level 0. */
export function widthAt(size: number, level: number, index: number): number {
  const hashes = hashesAt(size, level);
  return Math.min(Math.max(hashes - index * tileWidth, 0), tileWidth);
}

/** All files of a log of `size` entries: the entry bundles, then the hashes from level 0 up. */
export const tilesOf = (size: number): Generator<Tile, void> => tilesBetween(0, size);

/**
 * The files that a log growing from one size to another gets: full tiles that became full, and the partial ones of
 * the new size. Partial tiles of sizes in between, had they a checkpoint, are asked for with their own call.
 */
export function* tilesBetween(from: number, to: number): Generator<Tile, void> {
  for (const { index, width } of grown(from, to)) yield { kind: "entries", index, width };
  for (let level = 0; hashesAt(to, level) > 0; level += 1) {
    for (const { index, width } of grown(hashesAt(from, level), hashesAt(to, level))) {
      yield { kind: "hashes", level, index, width };
    }
  }
}

/** One file from up to 256 entries. Throws Malformed where there are too many, none, or one is over 65,535 bytes. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  checkWidth(entries.length, "entry bundle");
  const parts = entries.flatMap((entry, i) => {
    if (entry.length > maxEntryLength) {
      throw new Malformed("entry bundle", `entry ${String(i)} has ${String(entry.length)} bytes, more than 65535`);
    }
    return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry];
  });
  return concat(...parts);
}

/** The entries, as views on `bytes`. Throws Malformed unless the file holds 1 to 256 whole entries and nothing else. */
export function decodeBundle(bytes: Uint8Array): readonly Uint8Array[] {
  const entries: Uint8Array[] = [];
  const view = buffer(bytes);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 + (at + 2 <= bytes.length ? view.readUInt16BE(at) : 0);
    if (end > bytes.length) throw new Malformed("entry bundle", `entry ${String(entries.length)} is cut off`);
    entries.push(bytes.subarray(at + 2, end));
    at = end;
    if (entries.length > tileWidth) break;
  }
  checkWidth(entries.length, "entry bundle");
  return entries;
}

/** One file from 1 to 256 hashes. */
export function encodeHashes(hashes: readonly Uint8Array[]): Uint8Array {
  checkWidth(hashes.length, "hash tile");
  if (hashes.some((hash) => hash.length !== hashLength)) throw new Malformed("hash tile", "a hash has 32 bytes");
  return concat(...hashes);
}

/** The hashes, as views on `bytes`. Throws Malformed unless there are 1 to 256 whole ones. */
export function decodeHashes(bytes: Uint8Array): readonly Uint8Array[] {
  const width = bytes.length / hashLength;
  checkWidth(width, "hash tile");
  return Array.from({ length: width }, (_, i) => hashAt(bytes, i));
}

/**
 * Reads nodes out of hash tiles, so that a holder of the static tree can make proofs. `tile` gives the file of one
 * level and index, full or the widest partial one there is. Nodes between two rows of tiles are hashed again at each
 * call (up to 127 hashes): for thousands of proofs a second keep the nodes themselves.
 */
export function hashReader(tile: (level: number, index: number) => Uint8Array): HashReader {
  return (level, index) => {
    const row = Math.floor(level / tileHeight);
    const span = 2 ** (level - row * tileHeight); // hashes of the tile under this node
    const first = (index * span) % tileWidth;
    const bytes = tile(row, Math.floor((index * span) / tileWidth));
    if (bytes.length < (first + span) * hashLength) throw new Malformed("hash tile", "it is narrower than asked for");
    let hashes = Array.from({ length: span }, (_, i) => hashAt(bytes, first + i));
    while (hashes.length > 1) hashes = pairs(hashes);
    return hashes[0] ?? bytes;
  };
}

function pairs(hashes: readonly Uint8Array[]): Uint8Array[] {
  const parents: Uint8Array[] = [];
  let left: Uint8Array | undefined;
  for (const hash of hashes) {
    if (left !== undefined) parents.push(nodeHash(left, hash));
    left = left === undefined ? hash : undefined;
  }
  return parents;
}

function* grown(from: number, to: number): Generator<{ index: number; width: number }> {
  if (to <= from) return;
  for (let index = Math.floor(from / tileWidth); index * tileWidth < to; index += 1) {
    yield { index, width: Math.min(to - index * tileWidth, tileWidth) };
  }
}

function formatIndex(index: number): string {
  const digits = formatDecimal(index, "tile path");
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.{3}/g) ?? [];
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
}

function checkWidth(width: number, format: string): void {
  if (!Number.isInteger(width) || width < 1 || width > tileWidth) {
    throw new Malformed(format, `it holds 1 to 256, not ${String(width)}`);
  }
}

const hashesAt = (size: number, level: number): number => Math.floor(size / tileWidth ** level);
const hashAt = (bytes: Uint8Array, i: number): Uint8Array => bytes.subarray(i * hashLength, (i + 1) * hashLength);
