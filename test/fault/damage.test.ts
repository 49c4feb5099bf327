// Somebody laid hands on the state directory while the daemon was stopped: it does not start, says what it found and
// what to do, and starts again when the directory is put back. Views are not the truth: they are shown as wrong, or
// made again.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hex } from "../../src/std/bytes.ts";
import { append, emptyFrontier, encodeFrontier, leafHash, rootOf } from "../../src/tlog/merkle.ts";
import { publishedLog, quickStart, refusedStart } from "../support/faults.ts";
import { allEntries, expectDone, type House, house, type Job, leafOf, statement } from "../support/house.ts";

let home: House;
let job: Job;
/** Entries when the daemon was stopped; and the directory as it was then, and some signatures earlier. */
let size: number;
const state = (): string => join(home.directory, "state");
const [whole, older] = ["whole", "older"] as const;

beforeAll(async () => {
  home = await house();
  job = await home.job({ uses: 50 });
  expectDone(await job.sign([statement()]));
  await home.stop();
  keep(older);
  await home.start({ env: quickStart });
  for (let n = 0; n < 4; n += 1) expectDone(await job.sign([statement("app.tgz")]));
  await home.stop();
  keep(whole);
  size = (await publishedLog(home)).length;
}, 120_000);
beforeEach(() => {
  restore(whole);
});
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const keep = (name: string): void => {
  cpSync(state(), join(home.directory, name), { recursive: true });
};
/** Only the database, or everything: what a backup holds is up to its maker. */
function restore(name: string, files = /./): void {
  mkdirSync(state(), { recursive: true });
  for (const file of readdirSync(state())) if (files.test(file)) rmSync(join(state(), file), { recursive: true });
  for (const file of readdirSync(join(home.directory, name)))
    if (files.test(file)) cpSync(join(home.directory, name, file), join(state(), file), { recursive: true });
}

function edit<T>(work: (db: DatabaseSync) => T, file = "truth.sqlite"): T {
  const db = new DatabaseSync(join(state(), file));
  try {
    return work(db);
  } finally {
    db.close();
  }
}
const change = (sql: string, ...values: SQLInputValue[]): void => {
  expect(edit((db) => db.prepare(sql).run(...values).changes)).toBe(1);
};

describe("the truth", () => {
  /** Exit code, number and words; and nobody was let in. */
  async function expectRefused(found: RegExp): Promise<string> {
    const refused = await refusedStart(home);
    expect(refused).toMatchObject({ status: 13, stderr: expect.stringMatching(found) as string });
    expect(refused.stderr).toContain("error[SGN-5002] the log is damaged, truncated, rolled back or forked");
    expect(refused.stderr).toMatch(/Restore the newest (?:whole )?backup/);
    expect(refused.stderr).not.toMatch(/\n {4}at |is ready/);
    return refused.stderr;
  }

  test("one flipped bit in a leaf: refused, and the leaves are named among which it is", async () => {
    const index = size - 6;
    const bytes = edit((db) => db.prepare("SELECT bytes FROM leaf WHERE idx = ?").get(index)?.["bytes"]) as Uint8Array;
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    change("UPDATE leaf SET bytes = ? WHERE idx = ?", bytes, index);
    const stderr = await expectRefused(/(?:leaf|leaves) \d.*(?:not what was hashed|do not hash to what the head says)/);
    const [, first, last = first] = /(?:leaf|leaves) (\d+)(?: to (\d+))?/.exec(stderr) ?? [];
    expect(Number(first)).toBeLessThanOrEqual(index);
    expect(Number(last)).toBeGreaterThanOrEqual(index);
  }, 60_000);

  test("the newest leaves cut off and the head set back to fit: the remembered checkpoint tells", async () => {
    const left = size - 2;
    edit((db) => {
      const leaves = db.prepare("SELECT bytes FROM leaf ORDER BY idx LIMIT ?").all(left) as { bytes: Uint8Array }[];
      const frontier = append(
        emptyFrontier,
        leaves.map(({ bytes }) => leafHash(bytes)),
      );
      db.prepare("DELETE FROM leaf WHERE idx >= ?").run(left);
      db.prepare("DELETE FROM checkpoint WHERE size > ?").run(left);
      db.prepare("UPDATE head SET size = ?, root = ?, frontier = ?").run(
        left,
        rootOf(frontier),
        encodeFrontier(frontier),
      );
    });
    await expectRefused(
      new RegExp(
        `rolled back: a checkpoint of ${String(size)} entries was published, the database holds ${String(left)}\\. The first entry that is missing is ${String(left)}\\.`,
      ),
    );
  }, 60_000);

  test("an older copy of the database: rolled back, even where it is whole in itself", async () => {
    restore(older, /^(?:truth|views)\.sqlite/);
    await expectRefused(
      /rolled back: a checkpoint of \d+ entries was published, the database holds \d+\. The first entry that is missing is \d+/,
    );
  }, 60_000);

  test.each([
    [
      "a key's state",
      `UPDATE record SET json = replace(json, '"state":"ACTIVE"', '"state":"SUSPENDED"') WHERE kind = 'key' AND id = 'attest'`,
      /key attest\/1 is SUSPENDED, by the log ACTIVE/,
    ],
    [
      "a key's public key",
      `UPDATE record SET json = replace(json, 'PUBLIC KEY-----\\nM', 'PUBLIC KEY-----\\nN') WHERE kind = 'key' AND id = 'attest'`,
      /key attest\/1 has another public key/,
    ],
    [
      "what a key is for",
      `UPDATE record SET json = replace(json, '"BLOB"', '"ATTESTATION"') WHERE kind = 'key' AND id = 'release'`,
      /key release\/1 has another purpose/,
    ],
    [
      "a session's uses",
      "UPDATE session SET uses_left = uses_left + 1",
      /session ss_\S+ has 46 uses left, by the log 45/,
    ],
    [
      "a session's holder",
      `UPDATE session SET json = replace(json, '"jkt":"', '"jkt":"X')`,
      /session ss_\S+ has other terms/,
    ],
    [
      "a session's expiry",
      `UPDATE session SET expires_at = 4102444800000, json = json_set(json, '$.expiresAt', 4102444800000)`,
      /session ss_\S+ has other terms/,
    ],
    [
      "what a session may sign",
      `UPDATE session SET json = json_set(json, '$.limits.items.digest', json('{}'))`,
      /session ss_\S+ has other limits/,
    ],
    [
      "when a session opened",
      `UPDATE session SET json = json_set(json, '$.openedAt', 1)`,
      /session ss_\S+ has other limits/,
    ],
    ...["ref", "commit"].map((field): [string, string, RegExp] => [
      `the ${field} of a session's holder`,
      `UPDATE session SET json = json_set(json, '$.principal.${field}', 'other')`,
      /session ss_\S+ has other terms/,
    ]),
    [
      "a session's keys",
      `UPDATE session SET json = json_set(json, '$.keys[0]', 'other')`,
      /session ss_\S+ has other terms/,
    ],
    [
      "how often a session could sign",
      `UPDATE session SET json = json_set(json, '$.usesGranted', 5000)`,
      /session ss_\S+ has other terms/,
    ],
    [
      "a session's grant",
      `UPDATE session SET grant_name = 'other', json = json_set(json, '$.grant', 'other')`,
      /session ss_\S+ has other terms/,
    ],
    [
      "the identity token that a session came from",
      `UPDATE session SET identity_token = '00', json = json_set(json, '$.identityToken', '00')`,
      /session ss_\S+ has other terms/,
    ],
    [
      "the grant under which a session is counted",
      "UPDATE session SET grant_name = 'other'",
      /session ss_\S+ contradicts itself/,
    ],
    [
      "the policy that permits a session",
      "UPDATE session SET policy = 'sha256:00'",
      /session ss_\S+ goes on under the policy sha256:00, by the log it does not/,
    ],
    [
      "a session made to look as if it had expired long ago",
      `UPDATE session SET expires_at = 1, json = json_set(json, '$.expiresAt', 1)`,
      /session ss_\S+ is OPEN by the log, in the tables it is not/,
    ],
    ...(
      [
        ["fingerprint", "00", "has another fingerprint"],
        ["createdAt", "2020-01-01T00:00:00.000Z", "was made at another time"],
        ["algorithm", "EC_P384", "has another purpose, algorithm or place"],
        ["custody", "pkcs11", "has another purpose, algorithm or place"],
        ["uri", "software:release/1", "has another purpose, algorithm or place"],
        ["key", "other", "is not of the key that it stands under"],
      ] as const
    ).map(([field, value, found]): [string, string, RegExp] => [
      `a key's ${field}`,
      `UPDATE record SET json = json_set(json, '$.versions[0].${field}', '${value}') WHERE kind = 'key' AND id = 'attest'`,
      new RegExp(`key \\S+/1 ${found}`),
    ]),
    [
      "a key's revision",
      "UPDATE record SET revision = revision - 1 WHERE kind = 'key' AND id = 'attest'",
      /key attest was changed by leaf \d+, by the log it was leaf \d+/,
    ],
    [
      "a key under another one's name",
      "UPDATE record SET json = (SELECT json FROM record WHERE kind = 'key' AND id = 'release') WHERE kind = 'key' AND id = 'attest'",
      /release stands in another one's place/,
    ],
    [
      "an operator's name",
      `UPDATE record SET json = json_set(json, '$.name', 'Somebody') WHERE kind = 'person'`,
      /operator Somebody is not as the log says/,
    ],
    [
      "a session that nobody opened",
      "INSERT INTO session SELECT opened + 1, 'ss_forged', state, uses_left, policy, expires_at, principal, project, grant_name, identity_token, json_set(json, '$.id', 'ss_forged') FROM session",
      /session ss_forged is not in the log/,
    ],
    [
      "an operator's roles",
      `UPDATE record SET json = replace(json, '["operator","approver","auditor"]', '["auditor"]') WHERE kind = 'person'`,
      /operator First is not as the log says/,
    ],
    [
      "the policy in force",
      `UPDATE record SET json = '{"hash":"sha256:00"}' WHERE kind = 'policy'`,
      /the policy in force is sha256:00, by the log sha256:/,
    ],
  ])(
    "%s edited in the tables: refused",
    async (_, sql, found) => {
      change(sql);
      await expectRefused(found);
    },
    60_000,
  );

  test("a side blob with other bytes, and one that is gone: refused, with the leaf that names it", async () => {
    const { idx, sha256 } = edit(
      (db) => db.prepare("SELECT idx, sha256 FROM blob ORDER BY idx DESC LIMIT 1").get() ?? {},
    ) as { idx: number; sha256: Uint8Array }; // as the migration has it
    const name = `side blob sha256:${hex(sha256)}`;
    change("UPDATE blob SET bytes = x'00' WHERE idx = ? AND sha256 = ?", idx, sha256);
    await expectRefused(new RegExp(`${name} that leaf ${String(idx)} names has other bytes`));
    restore(whole);
    change("DELETE FROM blob WHERE idx = ? AND sha256 = ?", idx, sha256);
    await expectRefused(new RegExp(`${name} that leaf \\d+ names is missing`));
  }, 60_000);

  test("without `remembered` the published checkpoint tells that the log was rolled back", async () => {
    restore(older, /^(?:truth|views)\.sqlite/);
    rmSync(join(state(), "remembered"));
    await expectRefused(/rolled back: a checkpoint of \d+ entries was published/);
  }, 60_000);

  test("a remembered checkpoint that this log's key did not sign: refused", async () => {
    const file = join(state(), "remembered");
    const [origin, count, root, ...rest] = readFileSync(file, "utf8").split("\n");
    writeFileSync(file, [origin, String(Number(count) - 2), root, ...rest].join("\n"));
    await expectRefused(/the remembered checkpoint is not one that this log's key signed/);
  }, 60_000);

  test("a second daemon on the same state directory is refused, and the first does not notice", async () => {
    await home.start({ env: quickStart });
    const second = await refusedStart(home);
    expect(second).toMatchObject({
      status: 9,
      stderr: expect.stringMatching(
        /SGN-5001.*another daemon works in .*stop it, or give this one its own directory/s,
      ) as string,
    });
    expectDone(await job.sign([statement()]));
    await home.stop();
  }, 60_000);
});

describe("what is weaker than it should be", () => {
  test("stands in daemon.start, and a log without any remembered checkpoint is told loudly", async () => {
    for (const file of ["remembered", "log/checkpoint"]) rmSync(join(state(), file));
    await home.start({ env: { ...quickStart, SIGNET_DANGEROUSLY_TELL_STEPS: "1" } });
    await home.stop();
    expect(home.said()).toMatch(/"level":40.*whether the log was rolled back cannot be told/);
    const starts = (await publishedLog(home)).filter(({ type }) => type === "daemon.start");
    expect(starts.at(-1)?.["dangerous"]).toEqual([
      "no remembered checkpoint to compare with",
      "one person does what otherwise takes two",
      `plain http to the issuer ${home.issuer.issuer}`,
      "SIGNET_DANGEROUSLY_TELL_STEPS",
    ]);
    expect(starts.at(0)?.["dangerous"]).not.toContain("no remembered checkpoint to compare with");
  }, 60_000);
});

describe("the views", () => {
  test("an edited row is shown as wrong beside its leaf; deleted views come back equal", async () => {
    await home.start({ env: quickStart });
    const before = (await allEntries(await home.operator())).filter(({ index }) => Number(index) < size);
    await home.stop();

    const row = edit(
      (db) => db.prepare("SELECT idx FROM entry WHERE type = 'sign.outcome' ORDER BY idx LIMIT 1").get(),
      "views.sqlite",
    );
    const index = Number(row?.["idx"]);
    edit((db) => db.prepare("UPDATE entry SET result = 'withheld' WHERE idx = ?").run(index), "views.sqlite");
    await home.start({ env: quickStart });
    const auditor = await home.operator();
    const listed = expectDone(
      await auditor.ask("AuditList", { filter: { types: ["sign.outcome"] }, first: 100 }),
    ).nodes;
    const [wrong] = listed.filter((one) => one.disagreement !== null);
    expect(listed.filter((one) => one.disagreement !== null)).toHaveLength(1);
    expect(wrong).toMatchObject({
      index,
      disagreement: "result: the view says withheld, the leaf done",
    });
    expect(JSON.parse(leafOf({ tlogProof: wrong?.receipt ?? "" }))).toMatchObject({ result: "done" });
    await home.stop();

    for (const suffix of ["", "-wal", "-shm"]) rmSync(join(state(), `views.sqlite${suffix}`), { force: true });
    await home.start({ env: quickStart });
    const again = await home.operator();
    expect((await allEntries(again)).filter((one) => Number(one["index"]) < size)).toEqual(before);
    expect(existsSync(join(state(), "views.sqlite"))).toBe(true);
    const outcomes = expectDone(
      await again.ask("AuditList", {
        filter: { types: ["sign.outcome"], keys: ["attest"], session: job.session, result: "done" },
        first: 100,
      }),
    ).nodes;
    expect(outcomes.map((one) => [one.index, one.disagreement])).toEqual(
      listed.filter(({ index: at }) => at < size).map((one) => [one.index, null]),
    );
    await home.stop();
  }, 60_000);
});
