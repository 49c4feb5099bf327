// Is this log, as static files, whole and true to its checkpoint? Everything is hashed again from the entries up:
// every entry against its level-0 tile, every tile against the hashes below it, the root against the signed checkpoint.
// Memory holds the tiles being filled and a few files read ahead, whatever the size of the log.
//
// A log that was cut back to an older, rightly signed state is consistent too. Only who remembers a later checkpoint
// sees it: give it as `remembered`.

import { equalBytes, fromUtf8 } from "../std/bytes.ts";
import { type Checkpoint, type Cosignature, type Trusted, verifyCheckpoint } from "./checkpoint.ts";
import { append, emptyFrontier, type Frontier, leafHash, rootOf } from "./merkle.ts";
import { Malformed } from "./text.ts";
import { decodeBundle, decodeHashes, formatTilePath, type Tile, tileHeight, tileWidth } from "./tile.ts";

/** Gives one file by its path below the log's prefix, or undefined where there is none. What it throws, fsck throws. */
export type ReadFile = (path: string) => Promise<Uint8Array | undefined>;

export interface FsckQuestion {
  readonly read: ReadFile;
  readonly trusted: Trusted;
  /** A checkpoint verified earlier: the log must still contain that tree. */
  readonly remembered?: Pick<Checkpoint, "size" | "root">;
  /**
   * Each entry in order, once its hash agreed with its tile. The whole is proved only by the verdict `consistent`.
   * The bytes are a view on the file: copy what is kept. A promise is waited for.
   */
  readonly onEntry?: (index: number, entry: Uint8Array) => void | Promise<void>;
  /** After each bundle: entries done, of how many. */
  readonly onProgress?: (done: number, size: number) => void;
}

export type FsckVerdict =
  | {
      readonly verdict: "consistent";
      readonly origin: string;
      readonly size: number;
      readonly root: Uint8Array;
      readonly cosignatures: readonly Cosignature[];
    }
  /** A file is missing, malformed, or disagrees with the others. `index`: of the first entry concerned, where one is. */
  | { readonly verdict: "damaged"; readonly path: string; readonly index?: number; readonly what: string }
  /** The files agree with each other, but not with the remembered checkpoint: rolled back, or another history. */
  | { readonly verdict: "rewritten"; readonly what: string };

/** Leaves through the functions below to become the answer; never reaches the caller. */
class Finding extends Error {
  readonly verdict: FsckVerdict;
  constructor(verdict: FsckVerdict) {
    super(verdict.verdict);
    this.verdict = verdict;
  }
}

export async function fsck(question: FsckQuestion): Promise<FsckVerdict> {
  try {
    return await check(question);
  } catch (error) {
    if (error instanceof Finding) return error.verdict;
    throw error;
  }
}

async function check(question: FsckQuestion): Promise<FsckVerdict> {
  const { read, trusted, remembered, onEntry, onProgress } = question;
  const { checkpoint, cosignatures } = await readCheckpoint(read, trusted);
  const { origin, size, root } = checkpoint;
  if (remembered && size < remembered.size) {
    throw rewritten(`it has ${String(size)} entries, but had ${String(remembered.size)} before: it was rolled back`);
  }
  const tree = treeOf(remembered);
  for await (const { path, leafPath, index, entries, hashes } of bundles(read, size)) {
    const leafHashes = entries.map(leafHash);
    for (const [i, entry] of entries.entries()) {
      if (!sameHash(leafHashes[i], hashes[i])) {
        throw damaged(path, `entry ${String(index + i)} does not have the hash that ${leafPath} says`, index + i);
      }
      const pause = onEntry?.(index + i, entry);
      if (pause) await pause;
    }
    tree.append(leafHashes);
    for (const full of tree.takeFull()) await checkHashes(read, full);
    onProgress?.(index + entries.length, size);
  }
  for (const partial of tree.rest()) await checkHashes(read, partial);
  if (!equalBytes(tree.root(), root)) throw damaged("checkpoint", "its root is not that of the entries");
  return { verdict: "consistent", origin, size, root, cosignatures };
}

async function readCheckpoint(read: ReadFile, trusted: Trusted) {
  const bytes = await read("checkpoint");
  if (bytes === undefined) throw damaged("checkpoint", "it is missing");
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch {
    throw damaged("checkpoint", "it is not valid UTF-8");
  }
  const outcome = verifyCheckpoint(text, trusted);
  if (outcome.verdict === "rejected") throw damaged("checkpoint", outcome.message);
  return outcome;
}

interface Bundle {
  readonly path: string;
  readonly leafPath: string;
  /** Of the first entry. */
  readonly index: number;
  readonly entries: readonly Uint8Array[];
  /** The level-0 tile. */
  readonly hashes: readonly Uint8Array[];
}

/** Bundles read ahead, each with its level-0 tile; 16 MiB each at the very worst, some 300 kB as we write them. */
const readAhead = 4;

async function* bundles(read: ReadFile, size: number): AsyncGenerator<Bundle, void> {
  const count = Math.ceil(size / tileWidth);
  const queue: Promise<Bundle>[] = [];
  for (let next = 0; next < count || queue.length > 0; ) {
    for (; next < count && queue.length < readAhead; next += 1) {
      const bundle = readBundle(read, next, Math.min(size - next * tileWidth, tileWidth));
      bundle.catch(() => undefined); // it is awaited below, or an earlier finding has ended the run
      queue.push(bundle);
    }
    const bundle = queue.shift();
    if (bundle) yield await bundle;
  }
}

async function readBundle(read: ReadFile, index: number, width: number): Promise<Bundle> {
  const tile: Tile = { kind: "entries", index, width };
  const leaves: Tile = { kind: "hashes", level: 0, index, width };
  const [bundle, hashes] = await Promise.all([readTile(read, tile), readTile(read, leaves)]);
  return {
    path: bundle.path,
    leafPath: hashes.path,
    index: index * tileWidth,
    entries: decoded(bundle, width, decodeBundle),
    hashes: decoded(hashes, width, decodeHashes),
  };
}

interface File {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Entries or hashes that it must hold. */
  readonly width: number;
}

/** A partial tile may have been deleted once the full one exists (tlog-tiles, "Partial Tiles"): then the full one serves. */
async function readTile(read: ReadFile, tile: Tile): Promise<File> {
  const path = formatTilePath(tile);
  const bytes = await read(path);
  if (bytes !== undefined) return { path, bytes, width: tile.width };
  const fullPath = formatTilePath({ ...tile, width: tileWidth });
  const full = fullPath === path ? undefined : await read(fullPath);
  if (full === undefined) throw damaged(path, "it is missing");
  return { path: fullPath, bytes: full, width: tileWidth };
}

/** The first `wanted` items of a file that holds as many as its path says. */
function decoded(file: File, wanted: number, decode: (bytes: Uint8Array) => readonly Uint8Array[]) {
  const { path, bytes, width } = file;
  try {
    const items = decode(bytes);
    if (items.length !== width) throw damaged(path, `it holds ${String(items.length)} instead of ${String(width)}`);
    return items.slice(0, wanted);
  } catch (error) {
    if (error instanceof Malformed) throw damaged(path, error.message);
    throw error;
  }
}

interface Row {
  readonly level: number;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
}

/** The tree as it grows: its frontier, and in each row of tiles above the leaves the one that is being filled. */
function treeOf(remembered: FsckQuestion["remembered"]) {
  let frontier: Frontier = emptyFrontier;
  const filling: (Row & { readonly hashes: Uint8Array[] })[] = []; // by level
  const full: Row[] = [];
  const seen = (height: number, _: number, hash: Uint8Array): void => {
    const level = height / tileHeight;
    if (height === 0 || !Number.isInteger(level)) return;
    const row = filling[level] ?? { level, index: 0, hashes: [] };
    row.hashes.push(hash);
    const isFull = row.hashes.length === tileWidth;
    if (isFull) full.push(row);
    filling[level] = isFull ? { level, index: row.index + 1, hashes: [] } : row;
  };
  const grow = (hashes: readonly Uint8Array[]): void => {
    frontier = append(frontier, hashes, seen);
    if (frontier.size === remembered?.size && !equalBytes(rootOf(frontier), remembered.root)) {
      throw rewritten(`its first ${String(frontier.size)} entries are not those of the remembered checkpoint`);
    }
  };
  grow([]);
  return {
    append(hashes: readonly Uint8Array[]) {
      const before = Math.min(Math.max((remembered?.size ?? 0) - frontier.size, 0), hashes.length);
      grow(hashes.slice(0, before));
      grow(hashes.slice(before));
    },
    takeFull: (): readonly Row[] => full.splice(0),
    rest: (): readonly Row[] => filling.filter((row) => row.hashes.length > 0), // filter skips level 0, a hole
    root: () => rootOf(frontier),
  };
}

async function checkHashes(read: ReadFile, { level, index, hashes }: Row): Promise<void> {
  const file = await readTile(read, { kind: "hashes", level, index, width: hashes.length });
  const stored = decoded(file, hashes.length, decodeHashes);
  const wrong = hashes.findIndex((hash, i) => !sameHash(hash, stored[i]));
  if (wrong < 0) return;
  const first = (index * tileWidth + wrong) * tileWidth ** level;
  throw damaged(file.path, `hash ${String(wrong)} is not that of the entries from ${String(first)}`, first);
}

const sameHash = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a !== undefined && b !== undefined && equalBytes(a, b);

const damaged = (path: string, what: string, index?: number): Finding =>
  new Finding({ verdict: "damaged", path, what, ...(index === undefined ? {} : { index }) });

const rewritten = (what: string): Finding => new Finding({ verdict: "rewritten", what });
