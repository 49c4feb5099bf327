// A connection to the truth that is known to be durable: WAL with synchronous=FULL are set, read back, and refused
// where they are not in force. Also what SQLite's errors are called.

import { DatabaseSync } from "node:sqlite";

import { Fault } from "../model/errors.ts";

/** Pages of the WAL after which a commit also moves them into the database; the views worker does most of it before. */
const checkpointPages = 8000;

/** Throws SQLite's errors, or Fault LOG_NOT_DURABLE where the file system or a build option denies durability. */
export function openDurable(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 2000 });
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    db.exec(
      `PRAGMA wal_autocheckpoint = ${String(checkpointPages)}; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY`,
    );
    inForce(db, "journal_mode", "wal");
    inForce(db, "synchronous", 2);
    return db;
  } catch (error) {
    closeQuietly(db);
    throw error;
  }
}

function inForce(db: DatabaseSync, pragma: string, expected: string | number): void {
  const found = Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0];
  if (found !== expected) {
    throw new Fault(
      "LOG_NOT_DURABLE",
      `PRAGMA ${pragma} is ${String(found)}, not ${String(expected)}: commits would not be durable here`,
      {
        nothingHappened: true,
      },
    );
  }
}

/**
 * Proves that the disk takes writes again, and leaves nothing in the WAL whose fsync may have failed: its pages are
 * written anew into the database file and synced there. Throws SQLite's errors.
 */
export function settle(db: DatabaseSync): void {
  const row = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
  if (row?.["busy"] !== 0) throw new Error("a reader keeps the write-ahead log from being settled");
  db.exec("BEGIN IMMEDIATE; UPDATE head SET size = size; COMMIT");
}

/** Closing can fail like anything else on a failing disk; the connection is lost either way. */
export function closeQuietly(db: DatabaseSync): void {
  try {
    db.close();
  } catch {
    // Nothing depends on it: what was not committed is gone, what was is read again.
  }
}

export const isSqliteError = (error: unknown): error is Error & { readonly errcode: number } =>
  error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";

/** SQLITE_BUSY, in the low byte of the extended code. */
export const isBusy = (error: unknown): boolean => isSqliteError(error) && (error.errcode & 0xff) === 5;
