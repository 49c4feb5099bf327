// A log in memory for these tests: entries in, static files out. And RFC 6962 section 2.1 word for word, as the oracle.

import { createPrivateKey, type KeyObject } from "node:crypto";

import fc from "fast-check";

import { concat, utf8 } from "../../src/std/bytes.ts";
import { sha256 } from "../../src/std/digest.ts";
import { signCheckpoint } from "../../src/tlog/checkpoint.ts";
import { append, emptyFrontier, type HashReader, leafHash, rootOf } from "../../src/tlog/merkle.ts";
import { ed25519Signer } from "../../src/tlog/note.ts";
import { encodeBundle, encodeHashes, formatTilePath, type Tile, tilesOf } from "../../src/tlog/tile.ts";

/** Any UTF-16 text, with control characters and halves of surrogate pairs. */
export const wildText = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) });

/** The Ed25519 key whose seed is this byte, 32 times: the same at each run, so that texts can be golden. */
export function keyOfSeed(byte: number): KeyObject {
  const pkcs8 = concat(Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, byte));
  return createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
}

export const origin = "signet.example/log";
export const logSigner = ed25519Signer(origin, keyOfSeed(1));

export const entriesOf = (size: number): Uint8Array[] =>
  Array.from({ length: size }, (_, i) => utf8(`entry ${String(i)}`));

export interface MemoryLog {
  readonly entries: readonly Uint8Array[];
  readonly read: HashReader;
  readonly rootAt: (size: number) => Uint8Array;
}

export function logOf(entries: readonly Uint8Array[]): MemoryLog {
  const nodes: Uint8Array[][] = [];
  const hashes = entries.map(leafHash);
  append(emptyFrontier, hashes, (level, index, hash) => {
    const row = nodes[level] ?? [];
    row[index] = hash;
    nodes[level] = row;
  });
  const read: HashReader = (level, index) => {
    const node = nodes[level]?.[index];
    if (node === undefined) throw new Error(`node (${String(level)}, ${String(index)}) is not complete`);
    return node;
  };
  return { entries, read, rootAt: (size) => rootOf(append(emptyFrontier, hashes.slice(0, size))) };
}

/** The static tree of all entries, with its checkpoint. */
export function filesOf(log: MemoryLog): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const size = log.entries.length;
  for (const tile of tilesOf(size)) files.set(formatTilePath(tile), contentOf(log, tile));
  const checkpoint = { origin, size, root: log.rootAt(size), extensions: [] };
  return files.set("checkpoint", utf8(signCheckpoint(checkpoint, logSigner)));
}

/** The bytes of one of its files. */
export function contentOf({ entries, read }: MemoryLog, tile: Tile): Uint8Array {
  const first = tile.index * 256;
  if (tile.kind === "entries") return encodeBundle(entries.slice(first, first + tile.width));
  return encodeHashes(Array.from({ length: tile.width }, (_, i) => read(tile.level * 8, first + i)));
}

/** MTH(D), RFC 6962 section 2.1. */
export function mth(d: readonly Uint8Array[]): Uint8Array {
  const [only] = d;
  if (only === undefined) return sha256("");
  if (d.length === 1) return sha256(concat(Uint8Array.of(0), only));
  const k = largestPowerBelow(d.length);
  return sha256(concat(Uint8Array.of(1), mth(d.slice(0, k)), mth(d.slice(k))));
}

/** PATH(m, D), section 2.1.1. */
export function path(m: number, d: readonly Uint8Array[]): Uint8Array[] {
  if (d.length === 1) return [];
  const k = largestPowerBelow(d.length);
  return m < k ? [...path(m, d.slice(0, k)), mth(d.slice(k))] : [...path(m - k, d.slice(k)), mth(d.slice(0, k))];
}

/** SUBPROOF(m, D, b), section 2.1.2. */
export function subproof(m: number, d: readonly Uint8Array[], b: boolean): Uint8Array[] {
  if (m === d.length) return b ? [] : [mth(d)];
  const k = largestPowerBelow(d.length);
  return m <= k
    ? [...subproof(m, d.slice(0, k), b), mth(d.slice(k))]
    : [...subproof(m - k, d.slice(k), false), mth(d.slice(0, k))];
}

function largestPowerBelow(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
