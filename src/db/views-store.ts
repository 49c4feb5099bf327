// The views in SQL: one row for each leaf, and what finds it. A file of its own that can be deleted at any time.
// Written and asked by the views worker alone, so neither indexing nor a query ever stands in a signature's way.

import { rmSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { EntryFilter, Page } from "../ports/log.ts";
import { equalBytes } from "../std/bytes.ts";
import { sha256 } from "../std/digest.ts";
import { project, type ReadBlob, type Row } from "./project.ts";

export interface FoundRow extends Row {
  readonly index: number;
}

export interface Found {
  readonly rows: readonly FoundRow[];
  readonly more: boolean;
}

export interface NamedBlob {
  /** Of the leaf it came with. */
  readonly index: number;
  readonly sha256: Uint8Array;
}

export interface ViewStore extends Disposable {
  /** Leaves indexed so far. */
  size(): number;
  /** Indexes the leaves from `size()` on, in one transaction, and the side blobs that came with them. */
  add(leaves: readonly Uint8Array[], blobs: readonly NamedBlob[], read: ReadBlob): void;
  find(filter: EntryFilter, page: Page): Found;
  count(filter: EntryFilter): number;
  /** The first leaf that a side blob of this hash came with. */
  whereBlob(sha256: Uint8Array): number | undefined;
  /** SHA-256 of the last leaf indexed. */
  last(): Uint8Array | undefined;
}

const schema = `
CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), schema BLOB NOT NULL, size INTEGER NOT NULL, last BLOB) STRICT;
CREATE TABLE entry (
  idx INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, key TEXT, session TEXT, principal TEXT, result TEXT, code TEXT
) STRICT;
CREATE INDEX entry_by_type ON entry (type, idx);
CREATE INDEX entry_by_session ON entry (session, idx) WHERE session IS NOT NULL;
CREATE INDEX entry_by_principal ON entry (principal, idx) WHERE principal IS NOT NULL;
CREATE INDEX entry_by_result ON entry (result, idx) WHERE result IS NOT NULL;
CREATE INDEX entry_by_code ON entry (code, idx) WHERE code IS NOT NULL;
CREATE TABLE entry_key (key TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (key, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE entry_digest (digest TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (digest, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE blob (sha256 BLOB PRIMARY KEY, idx INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- Order never depends on time, so a span of time becomes a span of leaves by the extremes of each thousand leaves.
CREATE TABLE span (block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL) STRICT;
`;
const schemaHash = sha256(schema);
const blockLeaves = 1000;

/** Opens the file; one of another schema, or one that cannot be read, is deleted and begun anew. */
export function openViewStore(file: string): ViewStore {
  try {
    const store = opened(file);
    if (store !== undefined) return store;
  } catch {
    // Whatever is wrong with it, it can be made again from the leaves.
  }
  deleteViews(file);
  const store = opened(file);
  if (store === undefined) throw new Error(`${file} cannot be made`);
  return store;
}

export function deleteViews(file: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
}

function opened(file: string): ViewStore | undefined {
  const db = new DatabaseSync(file, { timeout: 2000 });
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384");
    if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'progress'").get() === undefined) {
      db.exec(`BEGIN;${schema}`);
      db.prepare("INSERT INTO progress VALUES (1, ?, 0, NULL)").run(schemaHash);
      db.exec("COMMIT");
    }
    const found = db.prepare("SELECT schema FROM progress").get()?.["schema"];
    if (found instanceof Uint8Array && equalBytes(found, schemaHash)) return storeOf(db);
  } catch (error) {
    db.close();
    throw error;
  }
  db.close();
  return undefined;
}

function storeOf(db: DatabaseSync): ViewStore {
  const progress = db.prepare("SELECT size, last FROM progress");
  const advance = db.prepare("UPDATE progress SET size = ?, last = ?");
  const addEntry = db.prepare("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  const addKey = db.prepare("INSERT INTO entry_key VALUES (?, ?)");
  const addDigest = db.prepare("INSERT INTO entry_digest VALUES (?, ?)");
  const addBlob = db.prepare("INSERT OR IGNORE INTO blob VALUES (?, ?)");
  const findBlob = db.prepare("SELECT idx FROM blob WHERE sha256 = ?");
  const addSpan = db.prepare(
    `INSERT INTO span VALUES (?1, ?2, ?2)
       ON CONFLICT (block) DO UPDATE SET earliest = min(earliest, ?2), latest = max(latest, ?2)`,
  );
  const size = (): number => Number(progress.get()?.["size"] ?? 0);

  const index = (leaf: Uint8Array, idx: number, blob: ReadBlob): void => {
    const { row, keys, digests } = project(leaf, blob);
    addEntry.run(idx, row.at, row.type, row.key, row.session, row.principal, row.result, row.code);
    for (const key of keys) addKey.run(key, idx);
    for (const digest of digests) addDigest.run(digest, idx);
    addSpan.run(Math.floor(idx / blockLeaves), row.at);
  };

  return {
    size,
    last() {
      const last = progress.get()?.["last"];
      return last instanceof Uint8Array ? last : undefined;
    },
    whereBlob(sha256) {
      const index = findBlob.get(sha256)?.["idx"];
      return typeof index === "number" ? index : undefined;
    },
    add(leaves, blobs, read) {
      const last = leaves.at(-1);
      if (last === undefined) return;
      const first = size();
      db.exec("BEGIN");
      try {
        for (const { sha256, index } of blobs) addBlob.run(sha256, index); // first: leaves may name them
        leaves.forEach((leaf, i) => {
          index(leaf, first + i, read);
        });
        advance.run(first + leaves.length, sha256(last));
        db.exec("COMMIT");
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw error;
      }
    },
    find(filter, page) {
      const { sql, values } = question(filter, page, db);
      const rows = db
        .prepare(sql)
        .all(...values)
        .map(rowOf);
      return { rows: rows.slice(0, page.limit), more: rows.length > page.limit };
    },
    count(filter) {
      const { sql, values } = question(filter, { limit: Number.MAX_SAFE_INTEGER - 1, backward: false }, db);
      return Number(db.prepare(`SELECT count(*) AS n FROM (${sql})`).get(...values)?.["n"] ?? 0);
    },
    [Symbol.dispose]: () => {
      db.close();
    },
  };
}

interface Bound {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
}

/**
 * One arm for each value of the most telling condition, each walking its own index in leaf order and stopping at the
 * limit; the arms are merged. All other conditions are checked on the rows that an arm meets.
 */
function question(filter: EntryFilter, page: Page, db: DatabaseSync): { sql: string; values: SQLInputValue[] } {
  const arms = armsOf(filter);
  const rest = [...plainConditions(filter), ...spanOf(filter, page, db)];
  const order = page.backward ? "DESC" : "ASC";
  const limit = page.limit + 1;
  const selects = arms.map(({ from, where, values }) => {
    const all = [...where.map((sql) => ({ sql, values: [] })), ...rest];
    return {
      sql: `SELECT * FROM (SELECT e.* FROM ${from} WHERE ${["TRUE", ...all.map((one) => one.sql)].join(" AND ")} ORDER BY ${from === "entry e" ? "e" : "d"}.idx ${order} LIMIT ${String(limit)})`,
      values: [...values, ...all.flatMap((one) => one.values)],
    };
  });
  return {
    sql: `${selects.map((one) => one.sql).join(" UNION ")} ORDER BY idx ${order} LIMIT ${String(limit)}`,
    values: selects.flatMap((one) => one.values),
  };
}

interface Arm {
  readonly from: string;
  readonly where: readonly string[];
  readonly values: readonly SQLInputValue[];
}

function armsOf(filter: EntryFilter): readonly Arm[] {
  const { digest, session, principal, keys = [], code, types = [], result } = filter;
  const through = (table: string, column: string, value: string): Arm => ({
    // CROSS JOIN keeps the order of the loops: the index first.
    from: `${table} d CROSS JOIN entry e ON e.idx = d.idx`,
    where: [`d.${column} = ?`],
    values: [value],
  });
  const column = (name: string, value: string): Arm => ({ from: "entry e", where: [`e.${name} = ?`], values: [value] });
  if (digest !== undefined) return [through("entry_digest", "digest", digest)];
  if (session !== undefined) return [column("session", session)];
  if (principal !== undefined) return [column("principal", principal)];
  if (keys.length > 0) return unique(keys).map((key) => through("entry_key", "key", key));
  if (code !== undefined) return [column("code", code)];
  if (types.length > 0) return unique(types).map((type) => column("type", type));
  if (result !== undefined) return [column("result", result)];
  return [{ from: "entry e", where: [], values: [] }];
}

/** Unary plus keeps SQLite from choosing these indexes instead of the arm's. */
function plainConditions({
  session,
  principal,
  keys = [],
  code,
  types = [],
  result,
  from,
  to,
}: EntryFilter): readonly Bound[] {
  const among = (count: number): string => Array.from({ length: count }, () => "?").join(", ");
  const all: (Bound | undefined)[] = [
    session === undefined ? undefined : { sql: "+e.session = ?", values: [session] },
    principal === undefined ? undefined : { sql: "+e.principal = ?", values: [principal] },
    keys.length === 0
      ? undefined
      : {
          sql: `EXISTS (SELECT 1 FROM entry_key k WHERE k.key IN (${among(keys.length)}) AND k.idx = e.idx)`,
          values: keys,
        },
    code === undefined ? undefined : { sql: "+e.code = ?", values: [code] },
    types.length === 0 ? undefined : { sql: `+e.type IN (${among(types.length)})`, values: types },
    result === undefined ? undefined : { sql: "+e.result = ?", values: [result] },
    from === undefined ? undefined : { sql: "e.at >= ?", values: [from] },
    to === undefined ? undefined : { sql: "e.at < ?", values: [to] },
  ];
  return all.filter((one) => one !== undefined);
}

/** Leaf indexes between which the page must lie. */
function spanOf(filter: EntryFilter, page: Page, db: DatabaseSync): readonly Bound[] {
  const column = hasTable(filter) ? "d.idx" : "e.idx";
  const bounds: Bound[] = [];
  if (page.after !== undefined)
    bounds.push({ sql: page.backward ? `${column} < ?` : `${column} > ?`, values: [page.after] });
  if (filter.from === undefined && filter.to === undefined) return bounds;
  const row = db
    .prepare("SELECT min(block) AS first, max(block) AS last FROM span WHERE latest >= ? AND earliest < ?")
    .get(filter.from ?? 0, filter.to ?? Number.MAX_SAFE_INTEGER);
  const [first, last] = [row?.["first"] ?? 0, row?.["last"] ?? -1];
  bounds.push({ sql: `${column} >= ?`, values: [Number(first) * blockLeaves] });
  bounds.push({ sql: `${column} < ?`, values: [(Number(last) + 1) * blockLeaves] });
  return bounds;
}

const hasTable = ({ digest, session, principal, keys = [] }: EntryFilter): boolean =>
  digest !== undefined || (session === undefined && principal === undefined && keys.length > 0);

const unique = (values: readonly string[]): readonly string[] => [...new Set(values)];

function rowOf(row: Record<string, unknown>): FoundRow {
  const text = (name: string): string | null => (typeof row[name] === "string" ? row[name] : null);
  return {
    index: Number(row["idx"]),
    at: Number(row["at"]),
    type: text("type") ?? "",
    key: text("key"),
    session: text("session"),
    principal: text("principal"),
    result: text("result"),
    code: text("code"),
  };
}
