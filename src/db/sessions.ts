// Signing sessions in SQL, the recently used ones in memory too: every request reads one, and this daemon alone writes.

import type { DatabaseSync, SQLInputValue } from "node:sqlite";

import { LRUCache } from "lru-cache";

import { Fault } from "../model/errors.ts";
import { principalKey } from "../model/principal.ts";
import type { SigningSession } from "../model/session.ts";
import type { ListedSession, Page, SessionFilter } from "../ports/log.ts";
import { hex } from "../std/bytes.ts";

const cachedSessions = 8192;

export interface Sessions {
  find(id: string): ListedSession | undefined;
  byToken(token: Uint8Array): ListedSession | undefined;
  byIdentityToken(identityToken: string): ListedSession | undefined;
  list(filter: SessionFilter, page: Page): readonly ListedSession[];
  countOpen(principal: string, grant: string, at: number): number;
  /** Of everybody. */
  countAllOpen(at: number): number;
  // Inside a transaction, after its conditions were checked:
  open(session: SigningSession, entry: number): void;
  addToken(id: string, token: Uint8Array): void;
  spend(id: string, uses: number, at: number, policy: string): void;
  close(id: string, state: "CLOSED" | "REVOKED"): void;
  repolicy(id: string, policy: string): void;
}

export function openSessions(db: DatabaseSync): Sessions {
  const cache = new LRUCache<string, ListedSession>({ max: cachedSessions });
  /** Hex of the token's hash to the session's id. */
  const tokens = new LRUCache<string, string>({ max: cachedSessions });
  const columns = "*";
  const byId = db.prepare(`SELECT ${columns} FROM session WHERE id = ?`);
  const byToken = db.prepare(
    `SELECT ${columns} FROM session WHERE opened = (SELECT opened FROM session_token WHERE token = ?)`,
  );
  const byIdentity = db.prepare(`SELECT ${columns} FROM session WHERE identity_token = ? ORDER BY opened DESC LIMIT 1`);
  const openCount = db.prepare(
    "SELECT count(*) AS n FROM session WHERE principal = ? AND grant_name = ? AND state = 'OPEN' AND expires_at > ?",
  );
  const openCountOfAll = db.prepare("SELECT count(*) AS n FROM session WHERE state = 'OPEN' AND expires_at > ?");
  const insert = db.prepare("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const insertKey = db.prepare("INSERT OR IGNORE INTO session_key (key, opened) VALUES (?, ?)");
  const insertToken = db.prepare("INSERT INTO session_token (token, opened) VALUES (?, ?)");
  const spend = db.prepare(
    `UPDATE session SET uses_left = uses_left - ?1
      WHERE opened = ?2 AND state = 'OPEN' AND uses_left >= ?1 AND expires_at > ?3 AND policy = ?4`,
  );
  const close = db.prepare("UPDATE session SET state = ? WHERE opened = ? AND state = 'OPEN'");
  const repolicy = db.prepare("UPDATE session SET policy = ? WHERE opened = ?");

  const remembered = (row: Record<string, unknown> | undefined): ListedSession | undefined => {
    if (row === undefined) return undefined;
    const read = sessionOf(row);
    // A cached one is at least as new: whatever changes a session changes the cache.
    const session = cache.get(read.id) ?? read;
    cache.set(session.id, session);
    return session;
  };
  const find = (id: string): ListedSession | undefined => cache.get(id) ?? remembered(byId.get(id));
  const mustFind = (id: string): ListedSession => {
    const session = find(id);
    if (session === undefined) throw new Fault("INTERNAL", `session ${id} is written to, but was never opened`);
    return session;
  };

  return {
    find,
    byToken(token) {
      const name = hex(token);
      const known = tokens.get(name);
      const session = known === undefined ? remembered(byToken.get(token)) : find(known);
      if (session !== undefined) tokens.set(name, session.id);
      return session;
    },
    byIdentityToken: (identityToken) => remembered(byIdentity.get(identityToken)),
    list: (filter, page) => {
      const { where, values } = conditions(filter, page);
      const sql = `SELECT ${columns} FROM session WHERE ${where} ORDER BY opened ${page.backward ? "DESC" : "ASC"} LIMIT ?`;
      return db
        .prepare(sql)
        .all(...values, page.limit)
        .map(sessionOf);
    },
    countAllOpen: (at) => Number(openCountOfAll.get(at)?.["n"] ?? 0),
    countOpen: (principal, grant, at) => Number(openCount.get(principal, grant, at)?.["n"] ?? 0),

    open(session, entry) {
      const { id, state, usesLeft, policy, expiresAt, principal, grant, identityToken, keys } = session;
      const json = JSON.stringify(session);
      const who = principalKey(principal);
      insert.run(entry, id, state, usesLeft, policy, expiresAt, who, principal.projectId, grant, identityToken, json);
      for (const key of keys) insertKey.run(key, entry);
      cache.set(id, { ...session, entry });
    },
    addToken(id, token) {
      insertToken.run(token, mustFind(id).entry);
    },
    spend(id, uses, at, policy) {
      const session = mustFind(id);
      const { changes } = spend.run(uses, session.entry, at, policy);
      if (changes !== 1) throw new Fault("INTERNAL", `session ${id} in memory is not the one on disk`);
      cache.set(id, { ...session, usesLeft: session.usesLeft - uses });
    },
    close(id, state) {
      const session = mustFind(id);
      if (close.run(state, session.entry).changes !== 1) {
        throw new Fault("INTERNAL", `session ${id} in memory is not the one on disk`);
      }
      cache.set(id, { ...session, state });
    },
    repolicy(id, policy) {
      const session = find(id);
      if (session === undefined) return;
      repolicy.run(policy, session.entry);
      cache.set(id, { ...session, policy });
    },
  };
}

function conditions(filter: SessionFilter, page: Page): { where: string; values: SQLInputValue[] } {
  const parts: string[] = ["TRUE"];
  const values: SQLInputValue[] = [];
  const add = (sql: string, ...bound: SQLInputValue[]): void => {
    parts.push(sql);
    values.push(...bound);
  };
  if (page.after !== undefined) add(page.backward ? "opened < ?" : "opened > ?", page.after);
  if (filter.principal !== undefined) add("(principal = ? OR project = ?)", filter.principal, filter.principal);
  if (filter.key !== undefined) add("opened IN (SELECT opened FROM session_key WHERE key = ?)", filter.key);
  if (filter.open === true) add("(state = 'OPEN' AND expires_at > ?)", filter.at);
  if (filter.open === false) add("NOT (state = 'OPEN' AND expires_at > ?)", filter.at);
  return { where: parts.join(" AND "), values };
}

function sessionOf(row: Record<string, unknown>): ListedSession {
  // A parser of our own writing: `json` is what `open` serialised from this very type.
  const fixed = JSON.parse(String(row["json"])) as SigningSession;
  if (!isOf(row, fixed))
    throw new Fault(
      "LOG_DAMAGED",
      `session ${String(row["id"])} contradicts itself: somebody edited the database. Restore the newest backup.`,
    );
  return {
    ...fixed,
    state: stateOf(row["state"]),
    usesLeft: Number(row["uses_left"]),
    policy: String(row["policy"]),
    entry: Number(row["opened"]),
  };
}

/** Columns that sessions are found and counted by say again what `json` says. */
const isOf = (
  row: Record<string, unknown>,
  { id, expiresAt, principal, grant, identityToken }: SigningSession,
): boolean =>
  row["id"] === id &&
  row["expires_at"] === expiresAt &&
  row["principal"] === principalKey(principal) &&
  row["project"] === principal.projectId &&
  row["grant_name"] === grant &&
  row["identity_token"] === identityToken;

function stateOf(text: unknown): SigningSession["state"] {
  if (text === "OPEN" || text === "CLOSED" || text === "REVOKED") return text;
  throw new Fault("LOG_DAMAGED", `a session cannot be in the state ${String(text)}`);
}
