// npm test: the whole verdict on this tree. The last line is `N passed, N failed, N skipped` over all checks and suites,
// and the exit status is 0 only when nothing failed and something passed.
//
//   npm test                     everything
//   npm test -- test/tlog …      only these suites, with vitest's own arguments
//
// The tools of test/peers begin to build at once, at low priority: cold, cosign alone takes minutes. Meanwhile the
// checks and the quick suites run; the suites that need a tool come last and wait for it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type Check, checks } from "./checks.ts";

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const root = join(import.meta.dirname, "..");

async function main(vitestArgs: readonly string[]): Promise<void> {
  if (vitestArgs.length > 0) {
    finish(await runSuites(vitestArgs));
    return;
  }
  const peers = startPeers();
  const tally = add(await runChecks(), await runSuites([]));
  await stopPeers(peers);
  finish(tally);
}

function finish({ passed, failed, skipped }: Tally): void {
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  console.log(`${passed.toString()} passed, ${failed.toString()} failed, ${skipped.toString()} skipped`);
}

const add = (one: Tally, other: Tally): Tally => ({
  passed: one.passed + other.passed,
  failed: one.failed + other.failed,
  skipped: one.skipped + other.skipped,
});

/** A process group of its own, so that the compilers below it can be ended with it. */
function startPeers(): ChildProcess {
  const installer = spawn(process.execPath, ["test/peers/install.ts"], {
    cwd: root,
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (installer.pid !== undefined) setPriority(installer.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      void stopPeers(installer).then(() => process.exit(1));
    });
  }
  return installer;
}

/** Ends what still builds although no suite waited for it; nothing is printed after this. */
async function stopPeers(installer: ChildProcess): Promise<void> {
  const hasEnded = installer.exitCode !== null || installer.signalCode !== null;
  if (installer.pid === undefined || hasEnded) return;
  const ended = once(installer, "exit");
  process.kill(-installer.pid, "SIGTERM");
  await ended;
}

/** Two at a time, for the two cores of a small machine. */
async function runChecks(): Promise<Tally> {
  const waiting = checks.values();
  const work = async (): Promise<number> => {
    let failed = 0;
    for (const check of waiting) if (!(await isContent(check))) failed += 1;
    return failed;
  };
  const [one, other] = await Promise.all([work(), work()]);
  const failed = one + other;
  return { passed: checks.length - failed, failed, skipped: 0 };
}

async function isContent({ name, complaint }: Check): Promise<boolean> {
  const start = performance.now();
  const said = await complaint().catch((cause: unknown) => String(cause));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(said === undefined ? `check passed: ${name} (${seconds} s)` : `check FAILED: ${name}\n${said}`);
  return said === undefined;
}

async function runSuites(vitestArgs: readonly string[]): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), "signet-test-"));
  const output = join(folder, "report.json");
  try {
    const status = await vitest(
      "--reporter=default",
      "--reporter=./test/attack/reporter.ts",
      "--reporter=./test/fault/reporter.ts",
      "--reporter=json",
      `--outputFile.json=${output}`,
      ...vitestArgs,
    );
    return tallySuites(status, existsSync(output) ? readFileSync(output, "utf8") : undefined);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function vitest(...args: readonly string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const program = join(root, "node_modules/vitest/vitest.mjs");
    const child = spawn(process.execPath, [program, "run", ...args], { cwd: root, stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", resolve);
  });
}

const Report = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
});

/** Counts tests. A suite that failed outside its tests, a run that failed unseen, or ran nothing, counts as one. */
export function tallySuites(status: number | null, report: string | undefined): Tally {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const suites = Report.parse(JSON.parse(report)).testResults;
  const tests = suites.flatMap((suite) => suite.assertionResults);
  const passed = tests.filter((test) => test.status === "passed").length;
  const failedTests = tests.filter((test) => test.status === "failed").length;
  const failedSuites = suites.filter(
    (suite) => suite.status === "failed" && !suite.assertionResults.some((test) => test.status === "failed"),
  ).length;
  const failed = failedTests + failedSuites;
  const isUnseen = failed === 0 && (status !== 0 || passed === 0);
  return { passed, failed: isUnseen ? 1 : failed, skipped: tests.length - passed - failedTests };
}

if (import.meta.main) await main(process.argv.slice(2));
