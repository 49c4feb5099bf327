// Everything that stands on one connection: its head, its statements and what is kept in memory of it. After any error
// of the database the whole ground is thrown away and a new one is read, so that nothing in memory can outlive a doubt.

import type { DatabaseSync } from "node:sqlite";

import { LRUCache } from "lru-cache";
import { type Entry, maxLeafBytes } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import { principalKey } from "../model/principal.ts";
import type { SigningSession } from "../model/session.ts";
import type { Conflict, Facts, Head, Mark, Spend, Write } from "../ports/log.ts";
import { equalBytes, hex, utf8 } from "../std/bytes.ts";
import { sha256 } from "../std/digest.ts";
import { canonicalJson, type Json } from "../std/json.ts";
import { emptyFrontier, emptyRoot, encodeFrontier, leafHash, proverFor, rootOf } from "../tlog/merkle.ts";
import { closeQuietly, openDurable, settle } from "./connection.ts";
import { migrate } from "./migrate.ts";
import { bytesOf, type Nodes, openNodes, storedFrontier } from "./nodes.ts";
import { type Once, openOnce } from "./once.ts";
import { openRecords, type RecordStore } from "./records.ts";
import { openSessions, type Sessions } from "./sessions.ts";

export interface Leaf {
  /** Further leaves of the same Write, placed before this one. */
  readonly alongside: readonly Omit<Leaf, "alongside" | "closing">[];
  /** Sessions that end with it. */
  readonly closing: readonly string[];
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
  readonly entry: Entry;
}

export interface Ground extends Disposable {
  /** For statements of others; what they write goes through the writer. */
  readonly db: DatabaseSync;
  readonly nodes: Nodes;
  readonly sessions: Sessions;
  readonly records: RecordStore;
  /** As committed. */
  head(): Head;
  leaf(index: number): Uint8Array | undefined;
  /** From inclusive, to exclusive. */
  leaves(from: number, to: number): readonly Uint8Array[];
  /** A side blob that came with this leaf. */
  blob(index: number, sha256: Uint8Array): Uint8Array | undefined;
  readonly once: Once;

  // Inside a transaction, in this order:
  /** Throws HeadMoved where the head on disk is not the one in memory: another writer was here. */
  checkHead(): void;
  /** Which condition of the Write does not hold, among what is committed and what was added since. Changes nothing. */
  conflict(write: Write): Conflict | undefined;
  /** The leaf as it will be at the next index. Changes nothing; throws what `entry` throws, and Fault for an oversized leaf. */
  draft(write: Write): Leaf;
  add(write: Write, leaf: Leaf): void;
  /** Moves the head over all leaves added. Throws HeadMoved where somebody else did so meanwhile. */
  moveHead(): void;
  /** The transaction is durable: what was added is committed. */
  committed(): void;
}

/** About a page or two of readers, 1 MiB. */
const recentLeaves = 1024;

/** Another writer moved the head: nothing of this transaction may stay. */
export class HeadMoved extends Error {
  override readonly name = "HeadMoved";
  constructor() {
    super("the head of the log was moved by another writer");
  }
}

/**
 * `acknowledged` is the last head that somebody was told of: what is on disk must contain it.
 * Throws SQLite's errors; Fault LOG_NOT_DURABLE or LOG_DAMAGED.
 */
export function openGround(file: string, origin: string, acknowledged?: Head): Ground {
  const db = openDurable(file);
  try {
    migrate(db);
    db.prepare("INSERT OR IGNORE INTO head (id, origin, size, root, frontier) VALUES (1, ?, 0, ?, ?)").run(
      origin,
      emptyRoot,
      encodeFrontier(emptyFrontier),
    );
    settle(db);
    const ground = groundOf(db, origin);
    if (acknowledged !== undefined) mustContain(ground, acknowledged);
    return ground;
  } catch (error) {
    closeQuietly(db);
    throw error;
  }
}

function mustContain(ground: Ground, { size, root }: Head): void {
  const found = ground.head().size;
  if (found >= size && equalBytes(proverFor(size, ground.nodes.read).root, root)) return;
  throw new Fault(
    "LOG_DAMAGED",
    `the disk holds ${String(found)} entries, but not the ${String(size)} that were durable a moment ago: it was rolled back or replaced`,
  );
}

function groundOf(db: DatabaseSync, origin: string): Ground {
  const sql = statements(db);
  const stored = sql.head.get() ?? {};
  if (stored["origin"] !== origin) {
    throw new Fault(
      "LOG_DAMAGED",
      `the database holds the log ${String(stored["origin"])}, the configuration names ${origin}`,
    );
  }
  const size = Number(stored["size"]);
  const frontier = storedFrontier(size, bytesOf(stored["frontier"]));
  let head: Head = { origin, size, root: bytesOf(stored["root"]) };
  if (!equalBytes(rootOf(frontier), head.root))
    throw new Fault("LOG_DAMAGED", "the stored root is not the root of the stored frontier");
  const nodes = openNodes(db, frontier);
  const sessions = openSessions(db);
  const records = openRecords(db);
  const once = openOnce(db);

  /** Leaves that were read: whoever lists an entry asks for its proof next. They never change. */
  const recent = new LRUCache<number, Uint8Array>({ max: recentLeaves });
  let added: Uint8Array[] = [];
  let moved: Head = head;
  const next = (): number => head.size + added.length;

  return {
    db,
    nodes,
    sessions,
    records,
    once,
    head: () => head,
    leaf(index) {
      if (index >= head.size) return undefined;
      const read = recent.get(index);
      if (read !== undefined) return read;
      const row = sql.leaf.get(index);
      const bytes = row && bytesOf(row["bytes"]);
      if (bytes !== undefined) recent.set(index, bytes);
      return bytes;
    },
    leaves: (from, to) => sql.leaves.all(from, to).map((row) => bytesOf(row["bytes"])),
    blob(index, digest) {
      const row = sql.blob.get(index, digest);
      if (row === undefined) return undefined;
      const bytes = bytesOf(row["bytes"]);
      if (!equalBytes(sha256(bytes), digest))
        throw new Fault("LOG_DAMAGED", `the side blob sha256:${hex(digest)} has other bytes`);
      return bytes;
    },

    checkHead() {
      const now = sql.head.get();
      if (now?.["size"] !== head.size || !equalBytes(bytesOf(now["root"]), head.root)) throw new HeadMoved();
    },
    conflict: (write) => conflictOf(write),
    draft(write) {
      const closing = write.closeAll ? coveredBy(write.closeAll) : [];
      const ends = closing.flatMap(({ id, usesGranted, usesLeft }) =>
        write.closeAll ? [write.closeAll.entry(id, { granted: usesGranted, left: usesLeft })] : [],
      );
      const alongside = [...ends, ...(write.alongside ?? [])].map((entry, i) => leafOf(next() + i, entry));
      const index = next() + alongside.length;
      const entry = write.entry({ index, ...usesAfter(write), ...(write.watch && { holds: holds(write.watch) }) });
      return { alongside, closing: closing.map(({ id }) => id), ...leafOf(index, entry) };
    },
    add(write, leaf) {
      for (const { index, bytes, hash } of [...leaf.alongside, leaf]) {
        sql.addLeaf.run(index, bytes);
        added.push(hash);
      }
      addState(write, leaf.index);
      for (const id of leaf.closing) if (write.closeAll) sessions.close(id, write.closeAll.state);
    },
    moveHead() {
      const grown = nodes.grow(added);
      moved = { origin, size: grown.size, root: rootOf(grown) };
      const { changes } = sql.moveHead.run(moved.size, moved.root, encodeFrontier(grown), head.size, head.root);
      if (changes !== 1) throw new HeadMoved();
    },
    committed() {
      head = moved;
      added = [];
    },
    [Symbol.dispose]: () => {
      closeQuietly(db);
    },
  };

  function conflictOf(write: Write): Conflict | undefined {
    return (
      (write.spend && spendConflict(write.spend)) ??
      (write.close && endedConflict(write.close.session)) ??
      (write.token && endedConflict(write.token.session)) ??
      (write.begin && once.attempted(write.begin.id) ? { conflict: "attempt" } : undefined) ??
      markConflict(write.marks ?? []) ??
      (write.open && crowdedConflict(write.open)) ??
      revisionConflict(write)
    );
  }

  /** In this transaction: one that was opened a moment ago is among them. */
  function coveredBy({ key, at }: NonNullable<Write["closeAll"]>): readonly SigningSession[] {
    return sessions.list({ open: true, key, at }, { limit: Number.MAX_SAFE_INTEGER, backward: false });
  }

  function endedConflict(id: string): Conflict | undefined {
    const session = sessions.find(id);
    if (session?.state === "OPEN") return undefined;
    return { conflict: "session-ended", ...(session && { usesLeft: session.usesLeft }) };
  }

  function crowdedConflict({ session, most }: NonNullable<Write["open"]>): Conflict | undefined {
    if (most === undefined) return undefined;
    const { principal, grant, openedAt } = session;
    return sessions.countOpen(principalKey(principal), grant, openedAt) < most
      ? undefined
      : { conflict: "session-limit" };
  }

  function spendConflict({ session: id, uses, at, key, number, policy }: Spend): Conflict | undefined {
    const session = sessions.find(id);
    if (session?.state !== "OPEN" || session.expiresAt <= at) {
      return { conflict: "session-ended", ...(session && { usesLeft: session.usesLeft }) };
    }
    const { usesLeft } = session;
    const version = records.find("key", key)?.value.versions.find((one) => one.number === number);
    if (version?.state !== "ACTIVE") return { conflict: "key-not-active", usesLeft };
    const current = records.find("policy", "current")?.value.hash;
    if (policy !== current || session.policy !== current) return { conflict: "policy-changed", usesLeft };
    return uses > usesLeft ? { conflict: "session-spent", usesLeft } : undefined;
  }

  function markConflict(marks: readonly Mark[]): Conflict | undefined {
    const taken = marks.find(
      ({ id, kind }, i) =>
        once.marked({ id, kind }) || marks.slice(0, i).some((one) => one.kind === kind && equalBytes(one.id, id)),
    );
    return taken && { conflict: "mark", mark: taken.kind };
  }

  function revisionConflict({ puts = [], unchanged = [] }: Write): Conflict | undefined {
    const stale = [...unchanged, ...puts].find(
      ({ kind, id, expects }) => (records.find(kind, id)?.revision ?? 0) !== expects,
    );
    return stale && { conflict: "revision", kind: stale.kind, id: stale.id };
  }

  /** Whether key and session are still what the intent found, changes earlier in this transaction included. */
  function holds({ session, key, number }: NonNullable<Write["watch"]>): boolean {
    const version = records.find("key", key)?.value.versions.find((one) => one.number === number);
    const replaced = version?.state === "DEACTIVATED" && version.ended?.why === "rotated"; // lawful when it was asked
    return (version?.state === "ACTIVE" || replaced) && sessions.find(session)?.state !== "REVOKED";
  }

  function usesAfter({ spend, close, token }: Write): Pick<Facts, "uses"> {
    const id = spend?.session ?? close?.session ?? token?.session;
    const session = id === undefined ? undefined : sessions.find(id);
    return session ? { uses: { granted: session.usesGranted, left: session.usesLeft - (spend?.uses ?? 0) } } : {};
  }

  function addState(write: Write, index: number): void {
    const { blobs, spend, marks, begin, finish, abandon, watch, puts, open, token, close, repolicy } = write;
    for (const blob of blobs ?? []) sql.addBlob.run(index, sha256(blob), blob);
    if (spend) sessions.spend(spend.session, spend.uses, spend.at, spend.policy);
    for (const mark of marks ?? []) once.mark(mark);
    if (begin) once.begin(begin);
    if (finish && (!watch || holds(watch))) once.finish(finish.id, finish.answer, index);
    if (abandon) once.abandon(abandon);
    for (const put of puts ?? []) records.put(put, index);
    if (open) {
      sessions.open(open.session, index);
      sessions.addToken(open.session.id, open.token);
    }
    if (token) sessions.addToken(token.session, token.token);
    if (close) sessions.close(close.session, close.state);
    for (const { session, policy } of repolicy ?? []) sessions.repolicy(session, policy);
  }
}

function leafOf(index: number, entry: Entry): Omit<Leaf, "alongside" | "closing"> {
  // An Entry is plain JSON by its type; interfaces lack the index signature that would let the compiler see it.
  const bytes = utf8(canonicalJson(entry as unknown as Json));
  if (bytes.length > maxLeafBytes) {
    throw new Fault(
      "INTERNAL",
      `an entry of type ${entry.type} has ${String(bytes.length)} bytes, more than ${String(maxLeafBytes)}`,
      {
        nothingHappened: true,
      },
    );
  }
  return { index, bytes, hash: leafHash(bytes), entry };
}

const statements = (db: DatabaseSync) => ({
  head: db.prepare("SELECT origin, size, root, frontier FROM head WHERE id = 1"),
  moveHead: db.prepare("UPDATE head SET size = ?, root = ?, frontier = ? WHERE id = 1 AND size = ? AND root = ?"),
  leaf: db.prepare("SELECT bytes FROM leaf WHERE idx = ?"),
  leaves: db.prepare("SELECT bytes FROM leaf WHERE idx >= ? AND idx < ? ORDER BY idx"),
  addLeaf: db.prepare("INSERT INTO leaf (idx, bytes) VALUES (?, ?)"),
  blob: db.prepare("SELECT bytes FROM blob WHERE idx = ? AND sha256 = ?"),
  addBlob: db.prepare("INSERT OR IGNORE INTO blob (idx, sha256, bytes) VALUES (?, ?, ?)"),
});
