// The truth hashed again from its leaves, and compared with the head and the full tiles: at start, before anything is
// signed on it. It says which leaf differs where something is left to compare with.

import { setImmediate as turn } from "node:timers/promises";

import { equalBytes } from "../std/bytes.ts";
import { append, emptyFrontier, type Frontier, leafHash, rootOf } from "../tlog/merkle.ts";
import { hashLength } from "../tlog/text.ts";
import { tileWidth } from "../tlog/tile.ts";
import type { Ground } from "./ground.ts";
import { bytesOf, storedFrontier } from "./nodes.ts";

export type Verdict =
  | { readonly verdict: "sound"; readonly size: number; readonly root: Uint8Array }
  /** `index` is the first leaf that is missing or differs; `atMost` how far behind it the first one may be. */
  | { readonly verdict: "damaged"; readonly message: string; readonly index: number; readonly atMost: number };

/** Leaves between two turns of the event loop: about 5 ms. */
const chunk = 1024;

/** Throws SQLite's errors. `progress` is told how many leaves of how many are done. */
export async function verifyTruth(
  ground: () => Ground,
  progress: (done: number, of: number) => void,
): Promise<Verdict> {
  const { size, root } = ground().head();
  const stored = storedAt(ground(), size);
  let frontier: Frontier = emptyFrontier;
  while (frontier.size < size) {
    const from = frontier.size;
    const to = Math.min(from + chunk, size);
    const hashes = hashesOf(ground(), from, to);
    if (hashes.length < to - from) return missing(ground(), from, to);
    const index = firstDifference(ground(), from, hashes);
    if (index !== undefined) return damaged(index, index);
    frontier = append(frontier, hashes);
    progress(to, size);
    await turn();
  }
  return equalBytes(rootOf(frontier), root) ? { verdict: "sound", size, root } : narrowed(frontier, stored);
}

const hashesOf = (ground: Ground, from: number, to: number): readonly Uint8Array[] =>
  ground.leaves(from, to).map(leafHash);

function storedAt(ground: Ground, size: number): Frontier | undefined {
  const row = ground.db.prepare("SELECT size, frontier FROM head").get();
  return Number(row?.["size"]) === size ? storedFrontier(size, bytesOf(row?.["frontier"])) : undefined;
}

function missing(ground: Ground, from: number, to: number): Verdict {
  let index = from;
  while (index < to && ground.leaf(index) !== undefined) index += 1;
  return { verdict: "damaged", message: `leaf ${String(index)} is missing`, index, atMost: index };
}

/** Against the full tiles, which were written with their leaves. `from` is a multiple of the tile's width. */
function firstDifference(ground: Ground, from: number, hashes: readonly Uint8Array[]): number | undefined {
  for (let at = 0; at + tileWidth <= hashes.length; at += tileWidth) {
    const row = ground.db.prepare("SELECT hashes FROM tile WHERE level = 0 AND idx = ?").get((from + at) / tileWidth);
    const tile = row?.["hashes"];
    if (!(tile instanceof Uint8Array) || tile.length !== tileWidth * hashLength) return from + at;
    for (let i = 0; i < tileWidth; i += 1) {
      const hash = hashes[at + i];
      if (hash && !equalBytes(hash, tile.subarray(i * hashLength, (i + 1) * hashLength))) return from + at + i;
    }
  }
  return undefined;
}

/** The first subtree of the frontier that hashes differently. */
function narrowed(found: Frontier, stored: Frontier | undefined): Verdict {
  let first = 0;
  for (const [i, hash] of found.hashes.entries()) {
    const width = 2 ** Math.floor(Math.log2(found.size - first));
    const expected = stored?.hashes[i];
    if (!expected || !equalBytes(hash, expected)) return damaged(first, first + width - 1);
    first += width;
  }
  return damaged(0, found.size - 1);
}

function damaged(index: number, atMost: number): Verdict {
  const where = index === atMost ? `leaf ${String(index)}` : `one of the leaves ${String(index)} to ${String(atMost)}`;
  return { verdict: "damaged", message: `${where} is not what was hashed when it was written`, index, atMost };
}
