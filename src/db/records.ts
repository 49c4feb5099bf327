// Keys, people, pending actions and the policy in force: few, read by every request, so all of them are in memory.

import type { DatabaseSync } from "node:sqlite";

import type { Put, RecordKind, Records, Stored } from "../ports/log.ts";

export interface RecordStore {
  find<K extends RecordKind>(kind: K, id: string): Stored<Records[K]> | undefined;
  /** By id. */
  all<K extends RecordKind>(kind: K): readonly Stored<Records[K]>[];
  /** Inside a transaction, after its condition was checked. `entry` is the leaf that changes it. */
  put(put: Put, entry: number): void;
}

type Table = { readonly [K in RecordKind]: Map<string, Stored<Records[K]>> };

export function openRecords(db: DatabaseSync): RecordStore {
  const table: Table = { key: new Map(), person: new Map(), pending: new Map(), policy: new Map() };
  const upsert = db.prepare(
    `INSERT INTO record (kind, id, revision, json) VALUES (?, ?, ?, ?)
       ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision, json = excluded.json`,
  );
  const remove = db.prepare("DELETE FROM record WHERE kind = ? AND id = ?");
  /** Sorted once for each change. */
  const sorted = new Map<RecordKind, readonly string[]>();

  for (const row of db.prepare("SELECT kind, id, revision, json FROM record").all()) {
    // A parser of our own writing: `put` serialised the value from the type that the kind names.
    const map = table[String(row["kind"]) as RecordKind] as Map<string, Stored<unknown>>;
    map.set(String(row["id"]), { value: JSON.parse(String(row["json"])), revision: Number(row["revision"]) });
  }

  const idsOf = (kind: RecordKind): readonly string[] => {
    const ids = sorted.get(kind) ?? [...table[kind].keys()].sort();
    sorted.set(kind, ids);
    return ids;
  };

  return {
    find: (kind, id) => table[kind].get(id),
    all: (kind) => idsOf(kind).flatMap((id) => table[kind].get(id) ?? []),
    put({ kind, id, value }, entry) {
      sorted.delete(kind);
      if (value === undefined) {
        remove.run(kind, id);
        table[kind].delete(id);
        return;
      }
      const revision = entry + 1;
      upsert.run(kind, id, revision, JSON.stringify(value));
      (table[kind] as Map<string, Stored<unknown>>).set(id, { value, revision });
    },
  };
}
