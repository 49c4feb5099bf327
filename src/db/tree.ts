// The static tlog-tiles tree on disk, which strangers' tools read (C2SP tlog-tiles): a view of the leaves.
// Tiles first, the checkpoint last, each file written beside its place, synced, and renamed into it: a reader never sees
// half a file, nor a checkpoint whose tiles are not there. Bundles hold names: the folders are for this group alone.

import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

import { Fault } from "../model/errors.ts";
import type { LogTree } from "../ports/log.ts";
import { equalBytes, utf8 } from "../std/bytes.ts";
import type { Step } from "../std/steps.ts";
import { type Checkpoint, parseCheckpoint } from "../tlog/checkpoint.ts";
import { parseNote } from "../tlog/note.ts";
import { formatTilePath, tilesBetween, tileWidth } from "../tlog/tile.ts";

export interface TreeSource {
  /** Of the first `size` leaves. Throws where there are not so many. */
  readonly rootAt: (size: number) => Uint8Array;
  readonly size: () => number;
  /** The bytes of a tile of the log; undefined where it has none such. */
  readonly tile: (path: string) => Uint8Array | undefined;
}

const folderMode = 0o750;
const fileMode = 0o640;
/** Files written at once: signatures and proofs wait for the same four threads. */
const together = 2;

/** `publish` runs one at a time; throws Fault LOG_DAMAGED for a checkpoint that is not of this log's history. */
export function openTree(directory: string, source: TreeSource, step: Step): LogTree {
  let published: Published | undefined;
  let last: Promise<void> = Promise.resolve();
  return {
    publish(text) {
      const turn = last.then(() => publish(text));
      last = turn.catch(() => undefined);
      return turn;
    },
  };

  async function publish(text: string): Promise<void> {
    const checkpoint = checked(text);
    published ??= await onDisk(directory);
    if (published.size > source.size()) {
      throw new Fault(
        "LOG_DAMAGED",
        `${directory} was published with ${String(published.size)} entries, the log has ${String(source.size())}: it was rolled back`,
      );
    }
    if (checkpoint.size < published.size || text === published.text) return;
    await writeTiles(published.size, checkpoint.size);
    step("publish.after-tiles");
    await writeWhole(join(directory, "checkpoint"), utf8(text));
    await dropPartials(published.size, checkpoint.size);
    published = { size: checkpoint.size, text };
  }

  function checked(text: string): Checkpoint {
    const checkpoint = parseCheckpoint(parseNote(text).body);
    if (checkpoint.size > source.size() || !equalBytes(source.rootAt(checkpoint.size), checkpoint.root)) {
      throw new Fault(
        "LOG_DAMAGED",
        `the checkpoint of ${String(checkpoint.size)} entries is not of this log's history`,
      );
    }
    return checkpoint;
  }

  async function writeTiles(from: number, to: number): Promise<void> {
    let batch: Promise<void>[] = [];
    for (const tile of tilesBetween(from, to)) {
      const path = formatTilePath(tile);
      const bytes = source.tile(path);
      if (bytes === undefined) throw new Fault("LOG_DAMAGED", `${path} cannot be made from the leaves`);
      batch.push(writeWhole(join(directory, path), bytes));
      if (batch.length < together) continue;
      await Promise.all(batch);
      batch = [];
    }
    await Promise.all(batch);
  }

  /** Partial tiles may go once the full tile is there (tlog-tiles, "Partial tiles"). */
  async function dropPartials(from: number, to: number): Promise<void> {
    for (const tile of tilesBetween(from, to)) {
      const had = tile.kind === "entries" || tile.level === 0 ? from : Math.floor(from / tileWidth ** tile.level);
      if (tile.width < tileWidth || tile.index !== Math.floor(had / tileWidth) || had % tileWidth === 0) continue;
      await rm(join(directory, `${formatTilePath(tile)}.p`), { recursive: true, force: true });
    }
  }
}

interface Published {
  readonly size: number;
  readonly text: string;
}

/** What is there already. Tiles are synced before their checkpoint, so the checkpoint vouches for them. */
async function onDisk(directory: string): Promise<Published> {
  const text = await readText(join(directory, "checkpoint"));
  if (text === undefined) return { size: 0, text: "" };
  return { size: parseCheckpoint(parseNote(text).body).size, text };
}

export async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Durable on return. Never leaves half a file under this name. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const folder = dirname(path);
  const beside = join(folder, `.${randomUUID()}.tmp`);
  await mkdir(folder, { recursive: true, mode: folderMode });
  try {
    await synced(beside, bytes);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

async function synced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, "wx", fileMode);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes renames in this folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
