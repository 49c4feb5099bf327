// The truth hashed again from its leaves, and compared with the head and the full tiles; the side blobs too, each under
// its hash, and each that a leaf names: at start, before anything is signed on it. It says which leaf differs where
// something is left to compare with.

import { setImmediate as turn } from "node:timers/promises";

import { buffer, equalBytes, hex, utf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
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
  const blobs = sideBlobs();
  let frontier: Frontier = emptyFrontier;
  while (frontier.size < size) {
    const from = frontier.size;
    const to = Math.min(from + chunk, size);
    const leaves = ground().leaves(from, to);
    const hashes = leaves.map(leafHash);
    if (hashes.length < to - from) return missing(ground(), from, to);
    const index = firstDifference(ground(), from, hashes);
    if (index !== undefined) return damaged(index, index);
    const changed = blobs.read(ground(), from, leaves);
    if (changed) return changed;
    frontier = append(frontier, hashes);
    progress(to, size);
    await turn();
  }
  if (!equalBytes(rootOf(frontier), root)) return narrowed(frontier, stored);
  return blobs.missing(ground()) ?? { verdict: "sound", size, root };
}

interface Blobs {
  /** Hashes the blobs that came with these leaves, and looks for those that the leaves name. */
  read(ground: Ground, from: number, leaves: readonly Uint8Array[]): Verdict | undefined;
  /** The first that was named and is nowhere. */
  missing(ground: Ground): Verdict | undefined;
}

/** Most are named by a leaf near the one that they came with; the others are looked for at the end, among all. */
function sideBlobs(): Blobs {
  let before: ReadonlySet<string> = new Set();
  /** Hash in hex, and the first leaf that names it. */
  const elsewhere = new Map<string, number>();
  return {
    read(ground, from, leaves) {
      const here = new Set<string>();
      const rows = ground.db.prepare("SELECT idx, sha256, bytes FROM blob WHERE idx >= ? AND idx < ? ORDER BY idx");
      for (const row of rows.iterate(from, from + leaves.length)) {
        const name = hex(bytesOf(row["sha256"]));
        if (sha256Hex(bytesOf(row["bytes"])) !== name) return wrongBlob(Number(row["idx"]), name, "has other bytes");
        here.add(name);
      }
      for (const [i, leaf] of leaves.entries())
        for (const name of blobNames(leaf))
          if (!here.has(name) && !before.has(name) && !elsewhere.has(name)) elsewhere.set(name, from + i);
      before = here;
      return undefined;
    },
    missing(ground) {
      if (elsewhere.size === 0) return undefined;
      for (const row of ground.db.prepare("SELECT sha256 FROM blob").iterate())
        if (elsewhere.delete(hex(bytesOf(row["sha256"]))) && elsewhere.size === 0) return undefined;
      for (const [name, index] of elsewhere) return wrongBlob(index, name, "is missing");
      return undefined;
    },
  };
}

const blobKey = buffer(utf8('"blob":"sha256:'));

/** In canonical JSON these bytes are a member's name and value: inside a text their quotes would be escaped. */
function* blobNames(leaf: Uint8Array): Generator<string> {
  const bytes = buffer(leaf);
  for (let at = bytes.indexOf(blobKey); at >= 0; at = bytes.indexOf(blobKey, at + 1)) {
    const start = at + blobKey.length;
    yield bytes.toString("latin1", start, start + 64);
  }
}

function wrongBlob(index: number, digest: string, what: string): Verdict {
  const message = `the side blob sha256:${digest} that leaf ${String(index)} names ${what}`;
  return { verdict: "damaged", message, index, atMost: index };
}

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
