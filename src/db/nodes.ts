// The nodes of the Merkle tree, by hash tile: the growing tile of each row lives in memory, full ones in the table
// `tile`, the recently used among them in memory too. A proof at the right edge is therefore reads from memory alone.

import type { DatabaseSync } from "node:sqlite";

import { LRUCache } from "lru-cache";
import { Fault } from "../model/errors.ts";
import { equalBytes } from "../std/bytes.ts";
import { append, decodeFrontier, type Frontier, type HashReader, leafHash, rootOf } from "../tlog/merkle.ts";
import { hashLength } from "../tlog/text.ts";
import { tileHeight, tileWidth } from "../tlog/tile.ts";

/** A tile's 256 hashes and the 254 nodes between them and its root (the root is the row above's). */
const nodesPerTile = 2 * tileWidth - 2;
const cachedTiles = 128;

export interface Nodes {
  /** A complete node. Throws Fault LOG_DAMAGED where it should be there and is not. */
  readonly read: HashReader;
  /** The first `width` hashes of a tile. */
  hashes(level: number, index: number, width: number): Uint8Array;
  /** Takes in new leaf hashes; tiles that become full are written in the transaction at hand. */
  grow(leafHashes: readonly Uint8Array[]): Frontier;
}

/**
 * Reads the growing tiles back from the leaves and the full tiles. `frontier` is the stored one.
 * Throws Fault LOG_DAMAGED where what is read does not lead to it.
 */
export function openNodes(db: DatabaseSync, stored: Frontier): Nodes {
  const select = db.prepare("SELECT hashes FROM tile WHERE level = ? AND idx = ?");
  const insert = db.prepare("INSERT OR REPLACE INTO tile (level, idx, hashes) VALUES (?, ?, ?)");
  const growing = new Map<number, { index: number; nodes: Buffer }>();
  const full = new LRUCache<string, Buffer>({ max: cachedTiles });
  let frontier = stored;

  const seen = (level: number, index: number, hash: Uint8Array): void => {
    put(placeOf(level, index), hash);
  };

  function put({ row, tile, step, offset }: Place, hash: Uint8Array): void {
    let at = growing.get(row);
    if (at?.index !== tile) {
      at = { index: tile, nodes: Buffer.alloc(nodesPerTile * hashLength) };
      growing.set(row, at);
    }
    at.nodes.set(hash, offset * hashLength);
    // The last node below the root: the tile is full.
    if (step === tileHeight - 1 && offset === nodesPerTile - 1) {
      insert.run(row, tile, at.nodes.subarray(0, tileWidth * hashLength));
      full.set(`${String(row)}/${String(tile)}`, at.nodes);
    }
  }

  function tileAt(row: number, tile: number): Buffer {
    const at = growing.get(row);
    if (at?.index === tile) return at.nodes;
    const name = `${String(row)}/${String(tile)}`;
    const cached = full.get(name);
    if (cached !== undefined) return cached;
    const nodes = completed(storedTile(row, tile));
    full.set(name, nodes);
    return nodes;
  }

  function storedTile(row: number, tile: number): Uint8Array {
    const hashes = select.get(row, tile)?.["hashes"];
    if (hashes instanceof Uint8Array && hashes.length === tileWidth * hashLength) return hashes;
    throw new Fault("LOG_DAMAGED", `hash tile ${String(row)}/${String(tile)} is missing or has a wrong length`);
  }

  const read: HashReader = (level, index) => {
    const { row, tile, offset } = placeOf(level, index);
    return tileAt(row, tile).subarray(offset * hashLength, (offset + 1) * hashLength);
  };

  reload();
  return {
    read,
    hashes: (level, index, width) => tileAt(level, index).subarray(0, width * hashLength),
    grow(leafHashes) {
      frontier = append(frontier, leafHashes, seen);
      return frontier;
    },
  };

  /** The growing tile of each row again: leaves of the last bundle, roots of the last full tiles of the row below. */
  function reload(): void {
    const leaves = db.prepare("SELECT bytes FROM leaf WHERE idx >= ? AND idx < ? ORDER BY idx");
    for (let [row, count] = [0, stored.size]; count > 0; row += 1, count = Math.floor(count / tileWidth)) {
      const tile = Math.floor(count / tileWidth);
      const first = tile * tileWidth;
      const hashes =
        row === 0
          ? leaves.all(first, count).map((leaf) => leafHash(bytesOf(leaf["bytes"])))
          : Array.from({ length: count - first }, (_, i) => tileRoot(storedTile(row - 1, first + i)));
      if (hashes.length > 0) growing.set(row, { index: tile, nodes: completed(Buffer.concat(hashes)) });
    }
    checkFrontier();
  }

  function checkFrontier(): void {
    let first = 0;
    for (const hash of stored.hashes) {
      const level = Math.floor(Math.log2(stored.size - first));
      if (!equalBytes(hash, read(level, first / 2 ** level))) {
        const last = first + 2 ** level - 1;
        throw new Fault(
          "LOG_DAMAGED",
          `the leaves ${String(first)} to ${String(last)} do not hash to what the head says of them`,
        );
      }
      first += 2 ** level;
    }
  }
}

interface Place {
  /** Row of tiles. */
  readonly row: number;
  readonly tile: number;
  /** Level inside the tile, from 0. */
  readonly step: number;
  /** Hash number in the tile's buffer: 256 hashes, then 128 nodes above them, then 64, … */
  readonly offset: number;
}

function placeOf(level: number, index: number): Place {
  const row = Math.floor(level / tileHeight);
  const step = level - row * tileHeight;
  const across = tileWidth >> step; // nodes of this step in one tile
  return { row, tile: Math.floor(index / across), step, offset: 2 * (tileWidth - across) + (index % across) };
}

/** The buffer of a tile from its hashes: every node that is complete. */
function completed(hashes: Uint8Array): Buffer {
  const nodes = Buffer.alloc(nodesPerTile * hashLength);
  const count = hashes.length / hashLength;
  const leaves = Array.from({ length: count }, (_, i) => hashes.subarray(i * hashLength, (i + 1) * hashLength));
  append({ size: 0, hashes: [] }, leaves, (level, index, hash) => {
    if (level < tileHeight) nodes.set(hash, placeOf(level, index).offset * hashLength);
  });
  return nodes;
}

function tileRoot(hashes: Uint8Array): Uint8Array {
  const leaves = Array.from({ length: tileWidth }, (_, i) => hashes.subarray(i * hashLength, (i + 1) * hashLength));
  return rootOf(append({ size: 0, hashes: [] }, leaves));
}

export function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Fault("LOG_DAMAGED", "a column that holds bytes holds something else");
}

/** Throws Fault LOG_DAMAGED. */
export function storedFrontier(size: number, bytes: Uint8Array): Frontier {
  try {
    return decodeFrontier(size, bytes);
  } catch (error) {
    throw new Fault("LOG_DAMAGED", "the stored head has no readable frontier", { cause: error });
  }
}
