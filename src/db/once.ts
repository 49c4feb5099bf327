// What may happen once: marks (a proof, an identity token) and attempts (an idempotency key). Known by hash in memory
// for as long as they are kept, on disk in order of arrival: an index on hashes would dirty one page for each of them,
// and a commit of sixty requests would write hundreds.

import type { DatabaseSync } from "node:sqlite";

import type { Attempt, Mark } from "../ports/log.ts";
import { buffer } from "../std/bytes.ts";
import { bytesOf } from "./nodes.ts";

export interface Attempted {
  readonly request: string;
  readonly answer?: Uint8Array;
  readonly outcome?: number;
}

export interface Once {
  marked(mark: Pick<Mark, "kind" | "id">): boolean;
  attempted(id: Uint8Array): boolean;
  attempt(id: Uint8Array): Attempted | undefined;
  // Inside a transaction, after the conditions were checked:
  mark(mark: Mark): void;
  begin(attempt: Attempt): void;
  /** Nothing where the attempt was forgotten meanwhile: its signatures are worth more than their repetition. */
  finish(id: Uint8Array, answer: Uint8Array, outcome: number): void;
  /** As if it had never begun. */
  abandon(id: Uint8Array): void;
  /** Whether anything expired before this time, milliseconds since the epoch. */
  expired(before: number): boolean;
  /** Forgets the oldest of what expired before this time, at most `limit` of each sort. */
  forget(before: number, limit: number): void;
}

export function openOnce(db: DatabaseSync): Once {
  const addMark = db.prepare("INSERT INTO mark (id, kind, expires_at) VALUES (?, ?, ?)");
  const begin = db.prepare("INSERT INTO attempt (id, request, expires_at) VALUES (?, ?, ?)");
  const finish = db.prepare("UPDATE attempt SET answer = ?, outcome = ? WHERE seq = ?");
  const attempt = db.prepare("SELECT request, answer, outcome FROM attempt WHERE seq = ?");
  const oldMarks = db.prepare("SELECT seq, kind, id FROM mark WHERE expires_at < ? ORDER BY expires_at LIMIT ?");
  const oldAttempts = db.prepare("SELECT seq, id FROM attempt WHERE expires_at < ? ORDER BY expires_at LIMIT ?");
  const dropMark = db.prepare("DELETE FROM mark WHERE seq = ?");
  const dropAttempt = db.prepare("DELETE FROM attempt WHERE seq = ?");

  const marks = new Set<string>();
  const attempts = new Map<string, number | bigint>();
  for (const row of db.prepare("SELECT kind, id FROM mark").iterate())
    marks.add(markName(String(row["kind"]), bytesOf(row["id"])));
  for (const row of db.prepare("SELECT seq, id FROM attempt").iterate())
    attempts.set(nameOf(bytesOf(row["id"])), Number(row["seq"]));

  return {
    marked: ({ kind, id }) => marks.has(markName(kind, id)),
    attempted: (id) => attempts.has(nameOf(id)),
    attempt(id) {
      const seq = attempts.get(nameOf(id));
      const row = seq === undefined ? undefined : attempt.get(seq);
      if (row === undefined) return undefined;
      const request = String(row["request"]);
      if (row["answer"] === null || row["outcome"] === null) return { request };
      return { request, answer: bytesOf(row["answer"]), outcome: Number(row["outcome"]) };
    },
    mark({ kind, id, expiresAt }) {
      addMark.run(id, kind, expiresAt);
      marks.add(markName(kind, id));
    },
    begin({ id, request, expiresAt }) {
      attempts.set(nameOf(id), begin.run(id, request, expiresAt).lastInsertRowid);
    },
    finish(id, answer, outcome) {
      const seq = attempts.get(nameOf(id));
      if (seq !== undefined) finish.run(answer, outcome, seq);
    },
    abandon(id) {
      const seq = attempts.get(nameOf(id));
      if (seq === undefined) return;
      dropAttempt.run(seq);
      attempts.delete(nameOf(id));
    },
    expired: (before) => oldMarks.get(before, 1) !== undefined || oldAttempts.get(before, 1) !== undefined,
    forget(before, limit) {
      for (const row of oldMarks.all(before, limit)) {
        dropMark.run(Number(row["seq"]));
        marks.delete(markName(String(row["kind"]), bytesOf(row["id"])));
      }
      for (const row of oldAttempts.all(before, limit)) {
        dropAttempt.run(Number(row["seq"]));
        attempts.delete(nameOf(bytesOf(row["id"])));
      }
    },
  };
}

/** 128 bits of the hash: enough that no two meet, and half the memory. */
const nameOf = (id: Uint8Array): string => buffer(id).toString("latin1", 0, 16);
const markName = (kind: string, id: Uint8Array): string => `${kind.slice(0, 1)}${nameOf(id)}`;
