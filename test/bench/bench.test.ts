// Does the benchmark still run, check what it measures, and print what it promises? No time is asserted here.

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../support/command.ts";
import { lacks } from "../support/peers.ts";
import { isScenario, type Row, scenarios } from "./row.ts";
import { tableOf } from "./table.ts";

const columns = [
  "scenario",
  "requestsPerSecond",
  "signaturesPerSecond",
  "p50Ms",
  "p95Ms",
  "p99Ms",
  "cpuMicrosPerSignature",
  "rssMb",
  "fsyncsPerSecond",
  "bytesPerEntry",
  "ratioToBareHttp",
];

const bench = async (...flags: readonly string[]) =>
  run(
    process.execPath,
    [
      join(import.meta.dirname, "bench.ts"),
      "--from-source",
      "--rough",
      "--seconds",
      "1",
      "--entries",
      "2000",
      ...flags,
    ],
    { timeout: 280_000 },
  );

describe.skipIf(await lacks("wrk"))("npm run bench", () => {
  test("measures every scenario, checks the log and the signatures after each, and prints one object a line", {
    timeout: 300_000,
  }, async () => {
    const { status, stdout, stderr } = await bench("--json");
    expect(status, stderr).toBe(0);
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
    expect(rows.map((row) => row.scenario)).toEqual(scenarios);
    for (const row of rows) expect(Object.keys(row)).toEqual(columns);
    for (const name of ["single-dpop", "single-bearer", "batch-100", "single-digest", "batch-100-digest"]) {
      expect(stderr).toMatch(
        new RegExp(`${name}: \\d+ requests answered, \\d+ entries, fsck passes, \\d+ signatures verify`),
      );
    }
    expect(tableOf(rows).split("\n")).toHaveLength(scenarios.length + 3);
  });

  test("refuses a scenario that does not exist", async () => {
    expect(isScenario("warp")).toBe(false);
    const { status, stderr } = await bench("--only", "warp");
    expect(status).not.toBe(0);
    expect(stderr).toContain('there is no scenario "warp"');
  });
});

test("the table says which aims are met", () => {
  const row: Row = {
    scenario: "single-dpop",
    requestsPerSecond: 4000,
    signaturesPerSecond: 4000,
    p50Ms: 12,
    p95Ms: 20,
    p99Ms: 41,
    cpuMicrosPerSignature: 240,
    rssMb: 180,
    fsyncsPerSecond: 300,
    bytesPerEntry: 2200,
    ratioToBareHttp: 0.1,
  };
  expect(tableOf([row])).toContain("ratio ≥ 0.08 ✓, p99 < 40 ms ✗, RSS < 300 MB ✓");
});
