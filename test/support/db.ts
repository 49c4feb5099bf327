// A log to test on: every dialect, each in a directory of its own, and the facts that most tests begin with.

import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { DatabaseSync, StatementSync } from "node:sqlite";

import { openSqlite, type Sqlite, type SqliteParts } from "../../src/db/sqlite.ts";
import type { Entry } from "../../src/model/entry.ts";
import type { Key, KeyState } from "../../src/model/key.ts";
import type { SigningSession } from "../../src/model/session.ts";
import type { Appended, Conflict, Facts, Log, Spend, Write } from "../../src/ports/log.ts";
import { rfc3339 } from "../../src/std/clock.ts";
import { sha256, sha256Hex } from "../../src/std/digest.ts";
import { noStep } from "../../src/std/steps.ts";
import { ed25519Signer, type NoteSigner } from "../../src/tlog/note.ts";

/** Saturday, 21 November 2026, noon UTC: the time of every test. */
export const noon = Date.UTC(2026, 10, 21, 12);
export const origin = "log.test/signet";

export type TestLog = Sqlite;
export interface Dialect {
  readonly name: string;
  readonly open: (directory: string, parts?: Partial<SqliteParts>) => Promise<TestLog>;
}

const { privateKey } = generateKeyPairSync("ed25519");
/** One key for the whole run, so that a log can be opened again. */
export const signer: NoteSigner = ed25519Signer(origin, privateKey);

export const dialects: readonly Dialect[] = [
  {
    name: "sqlite",
    open: (directory, parts) => openSqlite({ directory, origin, signer, clock: () => noon, step: noStep, ...parts }),
  },
];

export interface TestDirectory extends Disposable {
  readonly path: string;
}

export function directory(): TestDirectory {
  const path = mkdtempSync(join(tmpdir(), "signet-db-"));
  return {
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

export const job = {
  kind: "workload",
  provider: "github",
  issuer: "https://token.actions.githubusercontent.com",
  subject: "repo:acme/app:ref:refs/tags/v1.4.0",
  tenantId: "4711",
  tenant: "acme",
  projectId: "123456",
  project: "acme/app",
  ref: "refs/tags/v1.4.0",
  refType: "tag",
  workflow: "acme/app/.github/workflows/release.yml@refs/tags/v1.4.0",
  commit: "9f2b6c1d0e3a4f5b6c7d8e9f0a1b2c3d4e5f6a7b",
  run: "987",
  attempt: "1",
} as const;

export const policy = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

export const keyOf = (name = "release", state: KeyState = "ACTIVE"): Key => ({
  name,
  purpose: "BLOB",
  versions: [
    {
      key: name,
      number: 1,
      purpose: "BLOB",
      algorithm: "EC_P256",
      state,
      custody: "software",
      uri: `software:${name}/1`,
      publicKey: "",
      fingerprint: sha256Hex(name),
      createdAt: rfc3339(noon),
    },
  ],
});

export const sessionOf = (id: string, changes: Partial<SigningSession> = {}): SigningSession => ({
  id,
  principal: job,
  cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
  keys: ["release"],
  limits: { uses: 5, ttl: 600_000, windows: [], items: { blob: { names: ["**"] } } },
  grant: "release-tags",
  policy,
  openedAt: noon,
  expiresAt: noon + 600_000,
  usesGranted: 5,
  usesLeft: 5,
  state: "OPEN",
  identityToken: sha256Hex(`identity ${id}`),
  ...changes,
});

export const tokenOf = (id: string): Uint8Array => sha256(`token ${id}`);
export const markOf = (text: string): Uint8Array => sha256(text);

const frame = { v: 1, at: rfc3339(noon), node: "n1", epoch: 1 } as const;

/** A small entry without conditions. */
export const note = (message: string): Write => ({ entry: () => ({ ...frame, type: "incident.clock", message }) });

const keyUse = (name: string) => ({
  name,
  version: 1,
  custody: "software",
  uri: `software:${name}/1`,
  publicKey: sha256Hex(name),
});

/** An intent as the journal writes it: about 1 KB. */
export const intent =
  (session: string, digest: string, key = "release", at = noon) =>
  (facts: Facts): Entry => ({
    ...frame,
    at: rfc3339(at),
    request: "rq_01KAKB2V3W4X5Y6Z7A8B9C0D1E",
    type: "sign.intent",
    by: job,
    cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
    session,
    key: keyUse(key),
    items: [
      {
        kind: "blob",
        artifacts: [{ name: "app-1.4.0.tgz", digest }],
        format: "raw",
        form: "digest",
        signed: digest.slice(7),
      },
    ],
    decision: { effect: "permit", grant: "release-tags", policy, reasons: ["tag of the release workflow"] },
    uses: { granted: facts.uses?.granted ?? 0, spent: 1, left: facts.uses?.left ?? 0 },
  });

export const spendOf = (session: string, changes: Partial<Spend> = {}): Spend => ({
  session,
  uses: 1,
  at: noon,
  key: "release",
  number: 1,
  policy,
  ...changes,
});

export const digestOf = (text: string): string => `sha256:${sha256Hex(text)}`;

/** A key, a policy in force and an open session, as if enrolled. */
export async function furnish(log: Log, session: SigningSession): Promise<void> {
  const results = await Promise.all([
    log.append({ ...note("key"), puts: [{ kind: "key", id: "release", value: keyOf(), expects: 0 }] }),
    log.append({ ...note("policy"), puts: [{ kind: "policy", id: "current", value: { hash: policy }, expects: 0 }] }),
    log.append({ ...note("session"), open: { session, token: tokenOf(session.id) } }),
  ]);
  results.forEach(appended);
}

/** The Appended, or the test fails with the Conflict. */
export function appended(result: Appended | Conflict): Appended {
  if ("conflict" in result) throw new Error(`refused: ${JSON.stringify(result)}`);
  return result;
}

export const isConflict = (result: Appended | Conflict): result is Conflict => "conflict" in result;

/** Grows a log to `size` leaves through the front door, in full commits: 50 keys, 1,000 projects, a digest each. */
export async function grow(log: Log, size: number, progress: (done: number) => void = () => undefined): Promise<void> {
  const together = 2048;
  for (let at = log.head().size; at < size; at = log.head().size) {
    const count = Math.min(together, size - at);
    await Promise.all(Array.from({ length: count }, (_, i) => log.append({ entry: grown(at + i) })));
    progress(log.head().size);
  }
}

/** What `grow` writes at a place, or near it. */
export const grownDigest = (n: number): string => digestOf(`artifact ${String(n)}`);
export const grownKey = (n: number): string => `key-${String(n % 50)}`;
export const grownProject = (n: number): string => `project-${String(n % 1000)}`;

const grown =
  (n: number) =>
  (facts: Facts): Entry => {
    const entry = intent(`ss_${String(Math.floor(n / 10))}`, grownDigest(n), grownKey(n), noon + n)(facts);
    return { ...entry, by: { ...job, projectId: grownProject(n) } } as Entry; // the spread keeps the entry's type
  };

/** A way for the database to fail under a running log. */
export interface Failure {
  readonly name: string;
  /** Whether the transaction is in the log after all, although it errored. */
  readonly persisted: boolean;
  /** Whether the Fault may say that nothing happened. */
  readonly provedNothing: boolean;
  /** Begins to fail: the next transaction, or everything until `mend`. */
  readonly inject: () => Mend;
}
export interface Mend {
  readonly mend: () => void;
}

const sqliteError = (message: string, errcode: number): Error =>
  Object.assign(new Error(message), { code: "ERR_SQLITE_ERROR", errcode });

/** Replaces `DatabaseSync.prototype.exec` on this thread until mended. */
function replaceExec(replacement: (sql: string, real: () => void) => void): Mend {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own `this` below
  const real = DatabaseSync.prototype.exec;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    replacement(sql, () => {
      real.call(this, sql);
    });
  };
  return {
    mend: () => {
      DatabaseSync.prototype.exec = real;
    },
  };
}

/** The first COMMIT of a group of Writes goes wrong. */
function failingCommit(error: Error, when: "before" | "after"): Mend {
  let failed = false;
  return replaceExec((sql, real) => {
    if (failed || sql !== "COMMIT") {
      real();
      return;
    }
    failed = true;
    if (when === "after") real();
    throw error;
  });
}

function failingInsert(error: Error): Mend {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its own `this` below
  const real = StatementSync.prototype.run;
  StatementSync.prototype.run = function (this: StatementSync, ...values: unknown[]) {
    if (this.sourceSQL.startsWith("INSERT INTO leaf")) throw error;
    return Reflect.apply(real, this, values) as ReturnType<typeof real>;
  };
  return {
    mend: () => {
      StatementSync.prototype.run = real;
    },
  };
}

/** Nothing works, opening neither. */
const failingDisk = (error: Error): Mend =>
  replaceExec(() => {
    throw error;
  });

export const failures: readonly Failure[] = [
  {
    name: "fsync fails at COMMIT, the transaction is lost",
    persisted: false,
    provedNothing: false,
    inject: () => failingCommit(sqliteError("disk I/O error", 1034), "before"),
  },
  {
    name: "fsync fails at COMMIT, the transaction persisted all the same",
    persisted: true,
    provedNothing: false,
    inject: () => failingCommit(sqliteError("disk I/O error", 1034), "after"),
  },
  {
    name: "the disk is full at COMMIT",
    persisted: false,
    provedNothing: false,
    inject: () => failingCommit(sqliteError("database or disk is full", 13), "before"),
  },
  {
    name: "the disk is full while a leaf is written",
    persisted: false,
    provedNothing: true,
    inject: () => failingInsert(sqliteError("database or disk is full", 13)),
  },
  {
    name: "the disk is gone and stays away for a while",
    persisted: false,
    provedNothing: true,
    inject: () => failingDisk(sqliteError("disk I/O error", 266)),
  },
];
