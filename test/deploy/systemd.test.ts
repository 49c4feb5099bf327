// The unit is rated by systemd's own judge, and what it forbids is held against what the daemon really does: a filter
// that kills the daemon is no hardening.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { run } from "../support/command.ts";
import { lacks, peer } from "../support/peers.ts";

const root = join(import.meta.dirname, "../..");
const unitFile = join(root, "deploy/systemd/signetd.service");
const unit = readFileSync(unitFile, "utf8");
const valuesOf = (name: string): readonly string[] =>
  unit.split("\n").flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "signet-unit-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const [unrated, untraced] = [await lacks("systemd-analyze"), await lacks("strace")];

describe.skipIf(unrated)("the systemd unit", () => {
  test("is exposed by 1.5 of 10 at most", async () => {
    const { stdout, status } = await run(await peer("systemd-analyze"), [
      "security",
      "--offline=true",
      "--threshold=15",
      unitFile,
    ]);
    expect(Number(/Overall exposure level for signetd\.service: ([\d.]+)/.exec(stdout)?.[1])).toBeLessThanOrEqual(1.5);
    expect(status).toBe(0);
  });

  test("the judge does judge: without its hardening the same unit is exposed", async () => {
    const bare = join(folder, "signetd.service");
    writeFileSync(bare, unit.replaceAll(/^(Protect|Private|Restrict|SystemCall|CapabilityBounding|NoNew).*\n/gm, ""));
    const { stdout } = await run(await peer("systemd-analyze"), ["security", "--offline=true", bare]);
    expect(Number(/exposure level for signetd\.service: ([\d.]+)/.exec(stdout)?.[1])).toBeGreaterThan(4);
  });

  test("has no word that systemd does not know", async () => {
    const here = join(folder, "verified");
    mkdirSync(here);
    // The package is not installed here; any program that is there stands for it.
    writeFileSync(join(here, "signetd.service"), unit.replaceAll("/opt/signet/deploy/bin/signetd", "/bin/true"));
    const { status, stderr } = await run(await peer("systemd-analyze"), [
      "verify",
      "--recursive-errors=no",
      join(here, "signetd.service"),
    ]);
    expect(stderr.split("\n").filter((line) => line.includes("signetd.service"))).toEqual([]);
    expect(status).toBe(0);
  });

  test.skipIf(untraced)("allows every system call that the daemon makes from start to stop", async () => {
    const made = await systemCalls();
    expect(made.size).toBeGreaterThan(30);
    const permitted = await allowedCalls();
    expect([...made].filter((call) => !permitted.has(call) && !asRootOnly.has(call)).sort()).toEqual([]);
    expect([...permitted]).not.toContain("ptrace");
  });
});

test("the unit leaves V8 what it needs, and keeps the master key where only the daemon reads it", () => {
  expect(valuesOf("MemoryDenyWriteExecute")).toEqual([]);
  expect(valuesOf("LoadCredential")).toEqual(["master-key:/etc/signet/credentials/master-key"]);
  expect(readFileSync(join(root, "deploy/signet.yaml"), "utf8")).toMatch(/^masterKey:\n {2}credential: master-key$/m);
});

test("the unit's directories are those of the example configuration", () => {
  const config = readFileSync(join(root, "deploy/signet.yaml"), "utf8");
  expect(config).toContain(`stateDirectory: /var/lib/${String(valuesOf("StateDirectory")[0])}\n`);
  expect(config).toContain(`unix: /run/${String(valuesOf("RuntimeDirectory")[0])}/`);
});

test("the unit waits longer than the daemon drains", async () => {
  const { defaultLimits } = await import("../../src/server/limits.ts");
  expect(Number(valuesOf("TimeoutStopSec")[0]) * 1000).toBeGreaterThan(defaultLimits.drain + 10_000);
});

/** SQLite gives its files to the owner of the database when it runs as root, as tests may; the unit never does. */
const asRootOnly: ReadonlySet<string> = new Set(process.getuid?.() === 0 ? ["fchown"] : []);

/** A whole life of the daemon: start, first log, ready, SIGTERM. */
async function systemCalls(): Promise<ReadonlySet<string>> {
  const home = join(folder, "home");
  mkdirSync(join(home, "policy"), { recursive: true });
  writeFileSync(join(home, "master.key"), Buffer.alloc(32, 7), { mode: 0o600 });
  writeFileSync(
    join(home, "signet.yaml"),
    "origin: unit.test/log\nstateDirectory: state\nmasterKey: { file: master.key }\npolicy: policy\nlisteners: [{ unix: s.sock }, { tcp: '127.0.0.1:0' }]\n",
  );
  const calls = join(folder, "calls");
  const traced = ["-f", "-qq", "-e", "signal=none", "-o", calls, process.execPath, join(root, "src/main.ts")];
  const child = spawn(await peer("strace"), [...traced, "--config", "signet.yaml"], {
    cwd: home,
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env["PATH"] },
  });
  const ended = once(child, "close");
  let said = "";
  let asked = false;
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    // The first process that strace saw is the daemon: strace itself would not hand the signal on.
    if (asked || !said.includes("signetd is ready")) return;
    asked = true;
    process.kill(Number(/^\d+/.exec(readFileSync(calls, "utf8"))?.[0]), "SIGTERM");
  });
  const [status] = (await ended) as [number | null];
  if (status !== 0) throw new Error(`the daemon did not stop in good order: ${said}`);
  const lines = readFileSync(calls, "utf8").split("\n");
  return new Set(lines.flatMap((line) => /^\d+\s+(?:<\.\.\. )?([a-z_][a-z0-9_]*)[( ]/.exec(line)?.[1] ?? []));
}

async function allowedCalls(): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const value of valuesOf("SystemCallFilter")) {
    const denied = value.startsWith("~");
    for (const word of value.replace(/^~/, "").split(/\s+/)) {
      for (const call of await expanded(word)) {
        if (denied) names.delete(call);
        else names.add(call);
      }
    }
  }
  return names;
}

const groups = new Map<string, Promise<readonly string[]>>();
async function expanded(word: string): Promise<readonly string[]> {
  if (!word.startsWith("@")) return [word];
  const known = groups.get(word) ?? listed(word);
  groups.set(word, known);
  return known;
}

async function listed(group: string): Promise<readonly string[]> {
  const { stdout } = await run(await peer("systemd-analyze"), ["syscall-filter", group]);
  const words = stdout
    .split("\n")
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => /^@?[a-z0-9_-]+$/.test(line));
  return (await Promise.all(words.map(expanded))).flat();
}
