// The log cannot be proved any more and no backup helps: the operator begins a new one, lawfully. What comes along can
// be no more than it was, the old files stay, one name never stands for two logs, and a kill in the middle loses nothing.

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isRefused } from "../../src/client/connect.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { recoverySteps } from "../../src/std/steps.ts";
import { parseNote } from "../../src/tlog/note.ts";
import { type Finished, run } from "../support/command.ts";
import { publishedLog, quickStart, refusedStart } from "../support/faults.ts";
import { expectDone, type House, house, type Job, statement } from "../support/house.ts";

let home: House;
let job: Job;
/** Entries of the old log, and its published checkpoint. */
let size: number;
let checkpoint: string;
const [oldName, newName] = ["signet.test/log", "signet.test/log-2"] as const;
const state = (): string => join(home.directory, "state");

/** Key `release` goes from active to compromised between the copies "older" and "whole". */
beforeAll(async () => {
  home = await house();
  job = await home.job({ uses: 50 });
  expectDone(await job.sign([statement()]));
  await home.stop();
  keep("older");
  await home.start({ env: quickStart });
  const operator = await home.operator();
  expectDone(
    await operator.ask("CreateKey", {
      input: { name: "young", purpose: "BLOB", algorithm: "EC_P256", custody: "software" },
    }),
  );
  expectDone(await operator.ask("ReportKeyCompromised", { input: { key: "release", reason: "seen elsewhere" } }));
  await home.stop();
  keep("whole");
  size = (await publishedLog(home)).length;
  checkpoint = readFileSync(join(state(), "remembered"), "utf8");
}, 120_000);
beforeEach(() => {
  for (const file of readdirSync(state())) rmSync(join(state(), file), { recursive: true });
  cpSync(join(home.directory, "whole"), state(), { recursive: true });
  nameTheLog(oldName);
});
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const keep = (name: string): void => {
  cpSync(state(), join(home.directory, name), { recursive: true });
};
function nameTheLog(origin: string): void {
  const text = readFileSync(home.config, "utf8");
  writeFileSync(home.config, text.replace(/^origin: .*$/m, `origin: ${origin}`));
}
function change(sql: string, ...values: SQLInputValue[]): void {
  const db = new DatabaseSync(join(state(), "truth.sqlite"));
  expect(db.prepare(sql).run(...values).changes).toBe(1);
  db.close();
}
const damage = (): void => {
  change("UPDATE leaf SET bytes = ? WHERE idx = 3", utf8('{"type":"nothing"}'));
};
const rollBack = (): void => {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(state(), `truth.sqlite${suffix}`), { force: true });
  cpSync(join(home.directory, "older", "truth.sqlite"), join(state(), "truth.sqlite"));
};
const recover = (args: readonly string[] = ["--accept-loss"], env: Record<string, string> = {}): Promise<Finished> =>
  run(process.execPath, [join(import.meta.dirname, "../../src/main.ts"), "--config", home.config, "recover", ...args], {
    cwd: home.directory,
    env: { ...quickStart, ...env },
    timeout: 30_000,
  });
const aside = (): readonly string[] => readdirSync(state()).filter((name) => name.startsWith("replaced-"));
/** Everything below a folder, by path. */
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile() && !/lock\.sqlite|-shm$|-wal$/.test(one.name))
      .map((one) => join(one.parentPath, one.name))
      .map((path) => [path.slice(folder.length), readFileSync(path, "base64")]),
  );
/** The new log as it is in the database, without a daemon. */
function leaves(): readonly Record<string, unknown>[] {
  const db = new DatabaseSync(join(state(), "truth.sqlite"), { readOnly: true });
  const rows = db.prepare("SELECT bytes FROM leaf ORDER BY idx").all();
  db.close();
  return rows.map(
    ({ bytes }) => JSON.parse(Buffer.from(bytes as Uint8Array).toString("utf8")) as Record<string, unknown>,
  );
}

test("a damaged leaf: refused to start; recovered under a new name it starts, and old keys sign once resumed", async () => {
  damage();
  const refusedBefore = await refusedStart(home);
  expect(refusedBefore).toMatchObject({ status: 13 });
  expect(refusedBefore.stderr).toContain("signetd recover --accept-loss");
  const found = filesOf(state());
  nameTheLog(newName);
  const done = await recover();
  expect(done).toMatchObject({ status: 0, stdout: "" });
  expect(done.stderr).toMatch(/key attest\/1: SUSPENDED, was ACTIVE: signs again when somebody resumes it/);
  expect(done.stderr).toContain("key release/1: COMPROMISED");
  expect(done.stderr).toMatch(/operator First \(operator, approver, auditor\)/);
  expect(done.stderr).toContain(String(leaves()[0]?.["vkey"]));
  expect(done.stderr).toMatch(/every session \(\d+ open\)/);
  const [folder = ""] = aside();
  expect(aside()).toHaveLength(1);
  expect(filesOf(join(state(), folder))).toEqual(found);

  const [first, ...others] = leaves();
  expect(first).toMatchObject({ type: "daemon.start", epoch: 1, replaces: { origin: oldName } });
  const named = (first as { replaces: { checkpoint: string }; vkey: string }).replaces.checkpoint;
  expect(parseNote(named).body).toBe(parseNote(checkpoint).body);
  expect(named).toMatch(new RegExp(`^${oldName}\n${String(size)}\n`));
  expect(others).toMatchObject([
    { type: "operator.change", change: "adopted", operator: { name: "First" } },
    { type: "key.adopt", key: "attest", version: 1, from: "ACTIVE", to: "SUSPENDED" },
    { type: "key.adopt", key: "release", version: 1, from: "COMPROMISED", to: "COMPROMISED" },
    { type: "key.adopt", key: "young", version: 1, from: "PRE_ACTIVATION", to: "PRE_ACTIVATION" },
    { type: "daemon.stop" },
  ]);

  await home.start({ env: quickStart });
  const operator = await home.operator();
  const heldBefore = await job.sign([statement()]);
  expect(isRefused(heldBefore), "a session of the old log").toBe(true);
  expect(isRefused(await home.openJob({ keys: ["attest"] })), "a suspended key lends nothing").toBe(true);
  expectDone(await operator.ask("ResumeKey", { input: { key: "attest", reason: "looked at" } }));
  expect(isRefused(await operator.ask("ResumeKey", { input: { key: "release", reason: "tried" } }))).toBe(true);
  const next = await home.job({ keys: ["attest"] });
  expectDone(await next.sign([statement()]));
  await home.stop();
  await home.start({ env: quickStart });
  await home.stop();
  expect(
    leaves()
      .filter(({ type }) => type === "daemon.start")
      .map(({ epoch }) => epoch),
  ).toEqual([1, 2, 3]);

  // Neither again under this name, nor back under the old one.
  for (const name of [newName, oldName]) {
    nameTheLog(name);
    const again = await recover();
    expect(again).toMatchObject({ status: 2, stderr: expect.stringContaining(`origin is still ${name}`) as string });
  }
  expect(aside()).toHaveLength(1);
}, 90_000);

test("a database of yesterday: what was published since decides, and what has no private key any more is named", async () => {
  rollBack();
  expect(await refusedStart(home)).toMatchObject({ status: 13 });
  nameTheLog(newName);
  const done = await recover();
  expect(done).toMatchObject({ status: 0 });
  expect(done.stderr).toMatch(new RegExp(`holds \\d+ entries, ${String(size)} were published: it was rolled back`));
  expect(done.stderr).toContain("key young/1: it is in the log, but not in the tables");
  expect(done.stderr).toContain("key young/1 has no sealed private key any more");
  expect(done.stderr).toMatch(/key young\/1: DESTROYED, was PRE_ACTIVATION: .*its public key never comes in again/);
  expect(leaves()).toMatchObject([
    { replaces: { checkpoint: expect.stringContaining(`\n${String(size)}\n`) as string } },
    { change: "adopted" },
    { type: "key.adopt", key: "attest", to: "SUSPENDED" },
    { type: "key.adopt", key: "release", from: "COMPROMISED", to: "COMPROMISED", ended: { why: "compromised" } },
    { type: "key.adopt", key: "young", from: "PRE_ACTIVATION", to: "DESTROYED" },
    { type: "daemon.stop" },
  ]);
  await home.start({ env: quickStart });
  await home.stop();
}, 60_000);

describe("nothing changes", () => {
  test("without --accept-loss: it says what would be lost", async () => {
    damage();
    const before = filesOf(state());
    const said = await recover([]);
    expect(said).toMatchObject({ status: 2, stdout: "" });
    expect(said.stderr).not.toContain("holds against its newest checkpoint");
    for (const words of ["nothing is changed yet", "comes along", "is lost", "--accept-loss", `such as ${newName}`])
      expect(said.stderr).toContain(words);
    expect(filesOf(state())).toEqual(before);
  }, 30_000);

  test("where nothing is wrong, it says so", async () => {
    expect((await recover([])).stderr).toContain("holds against its newest checkpoint");
  }, 30_000);

  test("under the old log's name", async () => {
    damage();
    const before = filesOf(state());
    const said = await recover();
    expect(said).toMatchObject({ status: 2, stderr: expect.stringContaining(`such as ${newName}`) as string });
    expect(filesOf(state())).toEqual(before);
  }, 30_000);

  test("while a daemon runs", async () => {
    await home.start({ env: quickStart });
    nameTheLog(newName);
    expect(await recover()).toMatchObject({
      status: 9,
      stderr: expect.stringContaining("another daemon works in") as string,
    });
    expect(aside()).toEqual([]);
    await home.stop();
  }, 30_000);

  test("where the command is misspelt", async () => {
    expect(await recover(["again"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('no command "recover again"') as string,
    });
  }, 30_000);
});

describe("what somebody wrote into the tables does not come along", () => {
  test.each([
    [
      "an operator",
      `UPDATE record SET json = json_set(json, '$.id', 'op_x', '$.name', 'Mallory') WHERE kind = 'person'`,
      /operator Mallory .*the leaves do not tell/,
    ],
    [
      "a key's purpose",
      `UPDATE record SET json = replace(json, '"ATTESTATION"', '"RAW_DIGEST"') WHERE kind = 'key' AND id = 'attest'`,
      /key attest\/1 has another purpose/,
    ],
    [
      "another sealed key",
      "UPDATE sealed_key SET sealed = (SELECT sealed FROM sealed_key WHERE key = 'release') WHERE key = 'attest'",
      /key attest\/1 cannot be used: .*does not open/,
    ],
    [
      "that a key was compromised",
      `UPDATE record SET json = json_remove(json, '$.versions[0].ended') WHERE kind = 'key' AND id = 'release'`,
      /key release\/1: COMPROMISED/,
    ],
    [
      "when a key was made",
      `UPDATE record SET json = json_set(json, '$.versions[0].createdAt', '2020-01-01T00:00:00.000Z') WHERE kind = 'key' AND id = 'attest'`,
      /key attest\/1 was made at another time than the log says: it comes along as the log says/,
    ],
    [
      "a key given back its state",
      `UPDATE record SET json = replace(json, '"COMPROMISED"', '"ACTIVE"') WHERE kind = 'key' AND id = 'release'`,
      /key release\/1: COMPROMISED/,
    ],
  ])(
    "%s",
    async (_, sql, words) => {
      change(sql);
      nameTheLog(newName);
      expect((await recover()).stderr).toMatch(words);
      const release = leaves().find(({ type, key }) => type === "key.adopt" && key === "release");
      expect(release).toMatchObject({ to: "COMPROMISED", ended: { why: "compromised" } });
      for (const { createdAt, at } of leaves().filter(({ type }) => type === "key.adopt"))
        expect(Date.parse(String(at)) - Date.parse(String(createdAt))).toBeLessThan(3_600_000);
      await home.start({ env: quickStart });
      await home.stop();
    },
    60_000,
  );
});

test("tables that cannot be read at all: every key is dead and never forgotten, and the new log names the old one all the same", async () => {
  writeFileSync(join(state(), "truth.sqlite"), "this was a database once");
  nameTheLog(newName);
  const done = await recover();
  expect(done).toMatchObject({ status: 0 });
  for (const words of [
    "file is not a database",
    "key attest/1: it is in the log, but not in the tables",
    "operator First: in the log",
  ])
    expect(done.stderr).toContain(words);
  expect(leaves()).toMatchObject([
    { replaces: { origin: oldName } },
    { type: "key.adopt", key: "attest", from: "ACTIVE", to: "DESTROYED", ended: { why: "deactivated" } },
    { type: "key.adopt", key: "release", from: "COMPROMISED", to: "DESTROYED", ended: { why: "compromised" } },
    { type: "key.adopt", key: "young", from: "PRE_ACTIVATION", to: "DESTROYED" },
    { type: "daemon.stop" },
  ]);
  expect(existsSync(join(state(), aside()[0] ?? "", "truth.sqlite"))).toBe(true);
}, 60_000);

test.each(recoverySteps)(
  "killed at %s: no daemon starts on half a log, and the same command goes on",
  async (step) => {
    damage();
    const found = filesOf(state());
    nameTheLog(newName);
    await recover(["--accept-loss"], { SIGNET_DANGEROUSLY_DIE_AT: step });
    const between = await refusedStart(home);
    if (step === "recover.before-prepared") expect(between.stderr).toContain(`another origin than ${newName}`);
    else
      expect(between).toMatchObject({
        status: 13,
        stderr: expect.stringContaining("signetd recover was interrupted") as string,
      });
    expect(await recover()).toMatchObject({ status: 0 });
    expect(aside()).toHaveLength(1);
    expect(filesOf(join(state(), aside()[0] ?? ""))).toEqual(found);
    expect(leaves()[0]).toMatchObject({ type: "daemon.start", replaces: { origin: oldName } });
    expect(leaves().filter(({ type }) => type === "key.adopt")).toHaveLength(3);
    await home.start({ env: quickStart });
    await home.stop();
    expect(readdirSync(state()).filter((name) => name.startsWith("recover"))).toEqual([]);
  },
  60_000,
);
