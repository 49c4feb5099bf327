// What can still be read of a log that cannot be trusted any more: opened for reading alone, table by table and row by
// row, so that a bad page costs what stood on it and nothing else. Nothing here is believed; broker/recover.ts judges.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { type Key, keyAlgorithms, keyStates, protectionLevels, purposes } from "../model/key.ts";
import { type Person, roles } from "../model/principal.ts";
import type { Head } from "../ports/log.ts";
import { closeQuietly } from "./connection.ts";
import { bytesOf } from "./nodes.ts";

export interface Salvage extends Disposable {
  readonly head: Head | undefined;
  readonly keys: readonly Key[];
  readonly people: readonly Person[];
  /** Signed and stored, newest first; a handful. */
  readonly checkpoints: readonly string[];
  /** What lives in the tables alone and ends with them. */
  readonly openSessions: number;
  readonly pending: number;
  sealed(key: string, number: number): Uint8Array | undefined;
  /** Those that are there, by index from `from` on. Ends early where the file cannot be read further. */
  leaves(from: number): Iterable<{ readonly index: number; readonly leaf: Uint8Array }>;
  /** In words, what could not be read so far. */
  complaints(): readonly string[];
}

const version = z.object({
  key: z.string(),
  number: z.int().min(1),
  purpose: z.enum(purposes),
  algorithm: z.enum(keyAlgorithms),
  state: z.enum(keyStates),
  custody: z.string(),
  uri: z.string(),
  publicKey: z.string(),
  fingerprint: z.string(),
  createdAt: z.iso.datetime(),
  protection: z
    .object({
      level: z.enum(protectionLevels),
      exportable: z.enum(["YES", "NO", "UNKNOWN"]),
      proved: z.array(z.string()),
      claimed: z.array(z.string()),
    })
    .optional(),
  guards: z.string().optional(),
  ended: z
    .object({
      why: z.enum(["rotated", "deactivated", "cancelled", "compromised"]),
      at: z.iso.datetime(),
      trustedUntil: z.iso.datetime().optional(),
      retired: z.literal(true).optional(),
    })
    .optional(),
});
const key = z.object({ name: z.string(), purpose: z.enum(purposes), versions: z.array(version) });
const person = z.object({
  kind: z.literal("person"),
  id: z.string(),
  name: z.string(),
  issuer: z.string(),
  subject: z.string(),
  roles: z.array(z.enum(roles)),
});

/** Never throws for what the files hold. The caller holds the directory's lock. `at`: milliseconds since the epoch. */
export function salvage(directory: string, at: number): Salvage {
  const file = join(directory, "truth.sqlite");
  const said = new Set<string>();
  const db = opened();

  function opened(): DatabaseSync | undefined {
    if (!existsSync(file)) {
      said.add(`${file} is not there`);
      return undefined;
    }
    return reading("the database", () => new DatabaseSync(file, { readOnly: true, timeout: 2000 }));
  }

  function reading<T>(what: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      said.add(`${what} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  function* rows(
    what: string,
    sql: string,
    ...values: readonly (string | number)[]
  ): Generator<Record<string, unknown>> {
    if (!db) return;
    const found = reading(what, () => db.prepare(sql).iterate(...values));
    for (;;) {
      const next = found && reading(what, () => found.next());
      if (!next || next.done) return;
      yield next.value;
    }
  }

  function records<T>(kind: string, shape: z.ZodType<T>): readonly T[] {
    const sql = "SELECT id, json FROM record WHERE kind = ? ORDER BY id";
    return [...rows(`the table of records (${kind})`, sql, kind)].flatMap(
      (row) => reading(`${kind} ${String(row["id"])}`, () => shape.parse(JSON.parse(String(row["json"])))) ?? [],
    );
  }

  const count = (what: string, sql: string, ...values: readonly (string | number)[]): number => {
    const [row] = rows(what, sql, ...values);
    return Number(row?.["n"] ?? 0);
  };

  const [head] = rows("the head", "SELECT origin, size, root FROM head");
  return {
    head: head && { origin: String(head["origin"]), size: Number(head["size"]), root: bytesOf(head["root"]) },
    keys: records("key", key),
    people: records("person", person),
    checkpoints: [...rows("the table of checkpoints", "SELECT text FROM checkpoint ORDER BY size DESC LIMIT 8")].map(
      (row) => String(row["text"]),
    ),
    openSessions: count(
      "the table of sessions",
      "SELECT count(*) AS n FROM session WHERE state = 'OPEN' AND expires_at > ?",
      at,
    ),
    pending: count(
      "the table of records (pending)",
      "SELECT count(*) AS n FROM record WHERE kind = 'pending' AND json_extract(json, '$.state') = 'PENDING'",
    ),
    sealed(name, number) {
      const [row] = rows(
        "the table of sealed keys",
        "SELECT sealed FROM sealed_key WHERE key = ? AND number = ?",
        name,
        number,
      );
      return row && bytesOf(row["sealed"]);
    },
    *leaves(from) {
      for (const row of rows("the leaves", "SELECT idx, bytes FROM leaf WHERE idx >= ? ORDER BY idx", from))
        yield { index: Number(row["idx"]), leaf: bytesOf(row["bytes"]) };
    },
    complaints: () => [...said],
    [Symbol.dispose]: () => {
      if (db) closeQuietly(db);
    },
  };
}
