// What happens to a suite whose tool cannot be had? It fails in CI and is skipped, loudly, on a laptop; and two
// installers never work at once. The suite runs in a vitest of its own, where no tool is installed and PATH is empty.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { alone } from "../peers/lock.ts";
import { type Finished, run } from "../support/command.ts";

const folder = mkdtempSync(join(tmpdir(), "missing-test-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("a suite whose tool cannot be had", () => {
  test("fails in CI and names the tool", async () => {
    const { ended, report } = await runSuite("true");
    expect(ended.status).not.toBe(0);
    expect(report).toMatchObject({ success: false, numPassedTests: 0, numFailedTestSuites: 1 });
    expect(JSON.stringify(report)).toContain("fsck is built by Go and go is not on PATH");
  });

  test("is skipped on a laptop, with one line that says why and how to install the tool", async () => {
    const { ended, report } = await runSuite("");
    expect(ended.status).toBe(0);
    expect(report).toMatchObject({ success: true, numPassedTests: 1, numPendingTests: 2 });
    const lines = ended.stderr.split("\n").filter((line) => line.includes("SKIP"));
    expect(lines).toEqual([
      expect.stringMatching(/^peers: SKIP fsck: .*go is not on PATH.* test\/peers\/install\.ts fsck$/),
    ]);
  });
});

const SUITE = `
const { lacks, peer } = await import(PEERS);
test("needs nothing", () => {});
test("asks for one in the test", async (context) => { await peer("fsck", context); });
describe.skipIf(await lacks("fsck"))("asks at the head of the suite", () => { test("fails if run", () => { throw new Error(); }); });
`;

async function runSuite(ci: string): Promise<{ readonly ended: Finished; readonly report: unknown }> {
  const root = mkdtempSync(join(folder, "suite-"));
  const support = join(import.meta.dirname, "../support/peers.ts");
  const output = join(root, "report.json");
  const options = { config: false, watch: false, root, globals: true, reporters: ["json"], outputFile: output };
  const program = `import { startVitest } from "vitest/node"; await startVitest("test", [], ${JSON.stringify(options)});`;
  mkdirSync(join(root, "empty"));
  writeFileSync(join(root, "needs.test.ts"), SUITE.replace("PEERS", JSON.stringify(support)));
  const ended = await run(process.execPath, ["--input-type=module", "-e", program], {
    env: { CI: ci, PATH: join(root, "empty"), SIGNET_PEERS: join(root, "peers") },
  });
  return { ended, report: JSON.parse(readFileSync(output, "utf8")) };
}

describe("the installer's lock", () => {
  test("lets one after the other work", async () => {
    const lock = join(folder, "busy.lock");
    const order: string[] = [];
    const work = (name: string) => async (): Promise<void> => {
      order.push(`${name} begins`);
      await sleep(50);
      order.push(`${name} ends`);
    };
    const waiting = (): undefined => undefined;
    await Promise.all([alone(lock, 5000, waiting, work("first")), alone(lock, 5000, waiting, work("second"))]);
    expect(order).toEqual(["first begins", "first ends", "second begins", "second ends"]);
  });

  test("is free when its owner died", async () => {
    const lock = join(folder, "dead.lock");
    const { stdout } = await run(process.execPath, ["-p", "process.pid"]);
    writeFileSync(lock, stdout.trim());
    expect(
      await alone(
        lock,
        5000,
        () => undefined,
        () => Promise.resolve("worked"),
      ),
    ).toBe("worked");
  });

  test("gives up on a live owner after the limit, and says who it is", async () => {
    const lock = join(folder, "held.lock");
    writeFileSync(lock, process.ppid.toString());
    const told: number[] = [];
    await expect(
      alone(
        lock,
        300,
        (owner) => told.push(owner),
        () => Promise.resolve(),
      ),
    ).rejects.toThrow("still holds");
    expect(told).toEqual([process.ppid]);
  });
});
