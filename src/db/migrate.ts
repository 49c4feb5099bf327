// The schema's history: numbered SQL files, forward only, each applied once in a transaction of its own.
// A file that was applied may never change again: its SHA-256 is kept and compared at every start.

import { readdirSync, readFileSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { Fault } from "../model/errors.ts";
import { sha256Hex } from "../std/digest.ts";

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

const folder = new URL("./migrations/", import.meta.url);

/** Brings the schema up to date. Throws Fault LOG_DAMAGED where an applied file changed or the database is newer than we are. */
export function migrate(db: DatabaseSync): void {
  db.exec(
    "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT",
  );
  const known = migrations();
  const applied = db.prepare("SELECT number, name, checksum FROM migration ORDER BY number").all();
  for (const row of applied) check(row, known);
  for (const migration of known.slice(applied.length)) apply(db, migration);
}

function migrations(): readonly Migration[] {
  const names = readdirSync(folder).filter((name) => /^\d{4}_[a-z0-9-]+\.sql$/.test(name));
  return names.sort().map((name, i) => {
    const number = Number(name.slice(0, 4));
    if (number !== i + 1)
      throw new Fault("INTERNAL", `migrations are numbered without gaps; ${name} is not number ${String(i + 1)}`);
    const sql = readFileSync(new URL(name, folder), "utf8");
    return { number, name, sql, checksum: sha256Hex(sql) };
  });
}

function check(row: Record<string, unknown>, known: readonly Migration[]): void {
  const [number, name] = [Number(row["number"]), String(row["name"])];
  const migration = known[number - 1];
  if (migration === undefined) {
    throw new Fault(
      "LOG_DAMAGED",
      `the database has migration ${name}, which this version does not know: it was written by a newer one`,
    );
  }
  if (migration.checksum !== row["checksum"]) {
    throw new Fault("LOG_DAMAGED", `migration ${migration.name} was applied in another form: its checksum differs`);
  }
}

function apply(db: DatabaseSync, { number, name, sql, checksum }: Migration): void {
  db.exec("BEGIN IMMEDIATE");
  try {
    db.exec(sql);
    db.prepare("INSERT INTO migration VALUES (?, ?, ?)").run(number, name, checksum);
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}
