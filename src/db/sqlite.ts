// The log and its state on SQLite: one directory, one daemon, `truth.sqlite` (what may never be lost), `views.sqlite`
// (what can be made again), `log/` (the published tree), `remembered` (the last checkpoint published, outside the
// database so that restoring an old database shows).

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import type { Entry } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import type {
  Appended,
  Conflict,
  EntryFilter,
  Head,
  Log,
  LogEntry,
  LogTree,
  Page,
  State,
  Write,
} from "../ports/log.ts";
import type { SealedKeys } from "../ports/sealed-keys.ts";
import { fromHex, utf8 } from "../std/bytes.ts";
import type { Clock } from "../std/clock.ts";
import type { Step } from "../std/steps.ts";
import { type Prover, proverFor } from "../tlog/merkle.ts";
import type { NoteSigner } from "../tlog/note.ts";
import { formatReceipt } from "../tlog/proof.ts";
import { Malformed } from "../tlog/text.ts";
import { encodeBundle, parseTilePath, type Tile, tileWidth, widthAt } from "../tlog/tile.ts";
import { openCheckpoints } from "./checkpoints.ts";
import { type Ground, type Leaf, openGround } from "./ground.ts";
import { lockDirectory } from "./lock.ts";
import { bytesOf } from "./nodes.ts";
import { disagreement, itemsBlob, parseLeaf, projectEntry } from "./project.ts";
import type { RecordStore } from "./records.ts";
import { refuseHalfReplaced } from "./replace.ts";
import { openTree, readText, writeWhole } from "./tree.ts";
import { type Verdict, verifyTruth } from "./verify.ts";
import { openViews, type ViewsHealth } from "./views.ts";
import type { FoundRow } from "./views-store.ts";
import { openWriter, type Writer, type WriterHealth } from "./writer.ts";

export interface SqliteParts {
  /** Made where it is missing (mode 0750). On a local disk: SQLite's locks and WAL do not work on network file systems. */
  readonly directory: string;
  /** First line of every checkpoint; also the name of the signer's key. */
  readonly origin: string;
  readonly signer: NoteSigner;
  readonly clock: Clock;
  readonly step: Step;
  /** Told of long work: leaves hashed of how many. */
  readonly progress?: ((done: number, of: number) => void) | undefined;
}

/** The last checkpoint that this daemon published, in a small file outside the database. */
export interface Remembered {
  read(): Promise<string | undefined>;
  /** Durable on return. */
  write(checkpoint: string): Promise<void>;
}

export interface SqliteHealth extends WriterHealth {
  readonly size: number;
  readonly views: ViewsHealth;
}

export interface Sqlite extends Log, State {
  readonly sealedKeys: SealedKeys;
  readonly tree: LogTree;
  readonly remembered: Remembered;
  /** The checkpoint of the published tree, as it stands on disk. */
  published(): Promise<string | undefined>;
  /** Hashes every leaf again. For before the first signature; other work goes on meanwhile. */
  verify(): Promise<Verdict>;
  /** Drops the views and makes them again from the leaves. */
  rebuildViews(): Promise<void>;
  /** Told each time the database was reopened after an error: writes that were in doubt are decided by the head. */
  onReopened(listener: () => void): void;
  /** Told after each durable commit: seconds that it took, leaves that it added. */
  onCommitted(listener: (seconds: number, leaves: number) => void): void;
  /** Open and unexpired sessions, of everybody. */
  openSessions(at: number): number;
  /** Root of an earlier size of this log. */
  rootAt(size: number): Promise<Uint8Array>;
  health(): SqliteHealth;
}

const purgeMilliseconds = 500;
/** How long after its expiry something is remembered all the same: clocks of callers differ. */
const graceMilliseconds = 60_000;
/** Twice a second: as fast as marks can come, and no commit longer than a few milliseconds. */
const forgottenTogether = 4000;
const storeMilliseconds = 200;
const maxPage = 1000;

/**
 * Throws Fault LOG_NOT_DURABLE where the directory is another daemon's, cannot be written, or gives no durability;
 * LOG_DAMAGED where the database is of another log, of a newer version, contradicts itself, or was half replaced.
 */
export async function openSqlite(parts: SqliteParts): Promise<Sqlite> {
  let lock: Disposable | undefined;
  try {
    await mkdir(parts.directory, { recursive: true, mode: 0o750 });
    lock = lockDirectory(parts.directory);
    refuseHalfReplaced(parts.directory);
    return sqlite(parts, lock);
  } catch (error) {
    lock?.[Symbol.dispose]();
    throw error instanceof Fault ? error : cannotOpen(parts.directory, error);
  }
}

const cannotOpen = (directory: string, cause: unknown): Fault =>
  new Fault(
    "LOG_NOT_DURABLE",
    `the log in ${directory} cannot be opened for writing: ${cause instanceof Error ? cause.message : String(cause)}`,
    {
      nothingHappened: true,
      cause,
    },
  );

function sqlite({ directory, origin, signer, clock, step, progress }: SqliteParts, lock: Disposable): Sqlite {
  const truth = join(directory, "truth.sqlite");
  const first = openGround(truth, origin);
  /** As last known: also while the database is away. */
  let head = first.head();
  const writer = openWriter({ first, open: () => openGround(truth, origin, head), step, clock });
  const checkpoints = openCheckpoints(signer);
  const views = openViews({ truth, views: join(directory, "views.sqlite") });
  const read = (): Ground => writer.ground();
  let { records } = read();
  const proverOf = proverCache(read);

  let closing: Promise<void> | undefined;
  const stopStoring = storing();
  const purging = setInterval(() => {
    purge(writer, clock());
  }, purgeMilliseconds);
  purging.unref();
  views.grown(head.size);
  writer.onCommitted(grew);
  writer.onReopened(() => {
    grew(read());
  });

  const tree = openTree(
    join(directory, "log"),
    { rootAt: (size) => proverFor(size, read().nodes.read).root, size: () => head.size, tile: tileAt },
    step,
  );

  return {
    append: (write) => append(write),
    head: () => head,
    checkpoint: () => later(() => checkpoints.sign(head)),
    checkpointAt: (size) => later(() => checkpoints.at(read(), size)),
    leaf: (index) => later(() => read().leaf(index)),
    blob: blobNamed,
    entries,
    count: (filter) => views.count(filter, head.size),
    receipt: (index, size = head.size) =>
      later(() => (index >= 0 && index < size && size <= head.size ? receiptOf(headAt(size), index) : undefined)),
    consistency: (from, to) => later(() => proverOf(to).consistency(from)),
    tile: (path) => later(() => (path === "checkpoint" ? utf8(checkpoints.sign(head)) : tileAt(path))),
    leaves,

    record: (kind, id) => known().find(kind, id),
    records: (kind) => known().all(kind),
    session: (id) => later(() => read().sessions.find(id)),
    sessionByToken: (token) => later(() => read().sessions.byToken(token)),
    sessionByIdentityToken: (identityToken) => later(() => read().sessions.byIdentityToken(identityToken)),
    sessions: (filter, page) => later(() => read().sessions.list(filter, bounded(page))),
    openSessionsOf: (principal, grant, at) => later(() => read().sessions.countOpen(principal, grant, at)),
    attempt: (id) => later(() => read().once.attempt(id)),
    marked: (mark) => later(() => read().once.marked(mark)),

    sealedKeys: sealedKeysOf(writer),
    tree,
    remembered: rememberedIn(join(directory, "remembered")),
    published: () => readText(join(directory, "log", "checkpoint")),
    verify: () => verifyTruth(read, progress ?? (() => undefined)),
    rebuildViews: () => views.rebuild(head.size),
    onReopened: (listener) => {
      writer.onReopened(listener);
    },
    onCommitted(listener) {
      let { size } = head;
      writer.onCommitted((ground) => {
        listener(writer.health().lastCommit / 1000, ground.head().size - size);
        size = ground.head().size;
      });
    },
    openSessions: (at) => read().sessions.countAllOpen(at),
    rootAt: (size) => later(() => proverOf(size).root),
    health: () => ({ ...writer.health(), size: head.size, views: views.health() }),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };

  function append(write: Write): Promise<Appended | Conflict> {
    return new Promise((resolve, reject) => {
      let conflict: Conflict | undefined;
      let leaf: Leaf | undefined;
      writer.submit({
        prepare(ground) {
          conflict = ground.conflict(write);
          if (conflict !== undefined) return undefined;
          const drafted = ground.draft(write);
          leaf = drafted;
          return () => {
            ground.add(write, drafted);
          };
        },
        done(ground) {
          if (conflict !== undefined) resolve(conflict);
          else if (leaf !== undefined) resolve(appended(leaf, ground.head()));
        },
        failed: reject,
      });
    });
  }

  function appended({ index, bytes, hash, entry }: Leaf, at: Head): Appended {
    return { index, leaf: bytes, hash, size: at.size, entry, receipt: () => receiptOf(at, index, bytes) };
  }

  function headAt(size: number): Head {
    return size === head.size ? head : { ...head, size, root: proverOf(size).root };
  }

  function receiptOf(at: Head, index: number, leaf = read().leaf(index)): string {
    if (leaf === undefined) throw new Fault("LOG_DAMAGED", `leaf ${String(index)} is missing`);
    return formatReceipt({
      extra: leaf,
      index,
      hashes: proverOf(at.size).inclusion(index),
      checkpoint: checkpoints.sign(at),
    });
  }

  /** As last known, like the head: while the database is away `doctor` must still know who asks. Each Write reads anew. */
  function known(): RecordStore {
    try {
      ({ records } = read());
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "LOG_NOT_DURABLE") throw error;
    }
    return records;
  }

  function grew(ground: Ground): void {
    head = ground.head();
    views.grown(head.size);
  }

  function tileAt(path: string): Uint8Array | undefined {
    const tile = parsedTile(path);
    if (tile === undefined) return undefined;
    const level = tile.kind === "entries" ? 0 : tile.level;
    if (widthAt(head.size, level, tile.index) < tile.width) return undefined;
    if (tile.kind === "hashes") return read().nodes.hashes(tile.level, tile.index, tile.width);
    const first = tile.index * tileWidth;
    return encodeBundle(read().leaves(first, first + tile.width));
  }

  async function entries(filter: EntryFilter, page: Page): Promise<{ entries: readonly LogEntry[]; more: boolean }> {
    const { rows, more } = await views.find(filter, bounded(page), head.size);
    return { entries: await Promise.all(rows.map((row) => entryOf(row, filter))), more };
  }

  /** The leaf as it is, with what its row says differently. */
  async function entryOf(row: FoundRow, { digest }: EntryFilter): Promise<LogEntry> {
    const { index } = row;
    const leaf = read().leaf(index);
    if (leaf === undefined)
      throw new Fault("LOG_DAMAGED", `the views know an entry ${String(index)}, the log does not`);
    const parsed = parseLeaf(leaf);
    const entry = parsed as unknown as Entry; // it was written from one; that of a newer version is shown as it is
    const name = digest === undefined ? undefined : itemsBlob(parsed);
    const items = name === undefined ? undefined : await blobNamed(name);
    const found = projectEntry(parsed, () => items);
    const said = [disagreement(row, found.row)];
    if (digest !== undefined && !found.digests.includes(digest))
      said.push(`digest: the view says ${digest}, the leaf does not`);
    const message = said.filter((one) => one !== undefined).join("; ");
    return { index, leaf, entry, ...(message !== "" && { disagreement: message }) };
  }

  /** `sha256:<hex>` or the hex alone. */
  async function blobNamed(name: string): Promise<Uint8Array | undefined> {
    const digest = name.replace(/^sha256:/, "");
    if (!/^[0-9a-f]{64}$/.test(digest)) return undefined;
    const index = await views.where(fromHex(digest), head.size);
    return index === undefined ? undefined : read().blob(index, fromHex(digest));
  }

  async function* leaves(from: number, to: number): AsyncGenerator<{ index: number; leaf: Uint8Array }> {
    const end = Math.min(to, read().head().size); // after an error the log is read again first
    for (let at = Math.max(from, 0); at < end; at += tileWidth) {
      let index = at;
      for (const leaf of read().leaves(at, Math.min(at + tileWidth, end))) yield { index: index++, leaf };
      await later(() => undefined);
    }
  }

  /** Signed checkpoints are stored soon, many in one commit. */
  function storing(): () => void {
    const timer = setInterval(() => {
      if (checkpoints.unstored()) submitStore();
    }, storeMilliseconds);
    timer.unref();
    return () => {
      clearInterval(timer);
    };
  }

  function submitStore(): void {
    writer.submit({
      prepare: (ground) => () => {
        checkpoints.store(ground);
      },
      done: () => {
        checkpoints.stored();
      },
      failed: () => undefined, // they stay waiting
    });
  }

  async function close(): Promise<void> {
    clearInterval(purging);
    stopStoring();
    if (checkpoints.unstored()) submitStore();
    await views[Symbol.asyncDispose]();
    await writer[Symbol.asyncDispose]();
    lock[Symbol.dispose]();
  }
}

/** One prover for each checkpoint in use: receipts of one commit share the right edge. */
function proverCache(read: () => Ground): (size: number) => Prover {
  let newest: Prover | undefined;
  return (size) => {
    if (newest?.size === size) return newest;
    const prover = proverFor(size, (level, index) => read().nodes.read(level, index));
    if (newest === undefined || size > newest.size) newest = prover;
    return prover;
  };
}

function parsedTile(path: string): Tile | undefined {
  try {
    return parseTilePath(path);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

function sealedKeysOf(writer: Writer): SealedKeys {
  return {
    find: (key, number) =>
      later(() => {
        const row = writer
          .ground()
          .db.prepare("SELECT sealed FROM sealed_key WHERE key = ? AND number = ?")
          .get(key, number);
        return row && bytesOf(row["sealed"]);
      }),
    keep: (key, number, sealed) =>
      new Promise((resolve, reject) => {
        let kept = false;
        writer.submit({
          prepare:
            ({ db }) =>
            () => {
              const insert = db.prepare("INSERT OR IGNORE INTO sealed_key (key, number, sealed) VALUES (?, ?, ?)");
              kept = insert.run(key, number, sealed).changes === 1;
            },
          done: () => {
            resolve(kept);
          },
          failed: reject,
        });
      }),
    remove: (key, number) =>
      new Promise((resolve, reject) => {
        let removed = false;
        writer.submit({
          prepare:
            ({ db }) =>
            () => {
              db.exec("PRAGMA secure_delete = ON"); // its pages are overwritten, not only let go
              removed =
                db.prepare("DELETE FROM sealed_key WHERE key = ? AND number = ?").run(key, number).changes === 1;
              db.exec("PRAGMA secure_delete = OFF");
            },
          done: () => {
            resolve(removed);
          },
          failed: reject,
        });
      }),
  };
}

/** Forgets what has expired, some at a time. */
function purge(writer: Writer, now: number): void {
  const before = now - graceMilliseconds;
  writer.submit({
    prepare: ({ once }) => {
      if (!once.expired(before)) return undefined;
      return () => {
        once.forget(before, forgottenTogether);
      };
    },
    done: () => undefined,
    failed: () => undefined, // comes again
  });
}

const rememberedIn = (file: string): Remembered => ({
  read: () => readText(file),
  write: (checkpoint) => writeWhole(file, utf8(checkpoint)),
});

const bounded = (page: Page): Page => ({ ...page, limit: Math.max(1, Math.min(page.limit, maxPage)) });

/** What this dialect knows at once, others wait for: the port is asynchronous, and a throw becomes a rejection. */
const later = <T>(work: () => T): Promise<T> => Promise.resolve().then(work);
