// One daemon per state directory: an exclusive lock of the operating system on a tiny database of its own.
// The kernel lets go of it when its process dies, however it dies; a file with a process id would outlive its owner.
// Nobody else may open this file in this process by other means: closing it would drop the lock (POSIX advisory locks).

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { Fault } from "../model/errors.ts";
import { isBusy } from "./connection.ts";

/** Holds the lock until disposed of. Throws Fault LOG_NOT_DURABLE where another daemon holds it. */
export function lockDirectory(directory: string): Disposable {
  const db = new DatabaseSync(join(directory, "lock.sqlite"), { timeout: 0 });
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    if (!isBusy(error)) throw error;
    throw new Fault(
      "LOG_NOT_DURABLE",
      `another daemon works in ${directory}: stop it, or give this one its own directory`,
      {
        nothingHappened: true,
        cause: error,
      },
    );
  }
  return {
    [Symbol.dispose]: () => {
      db.close();
    },
  };
}
