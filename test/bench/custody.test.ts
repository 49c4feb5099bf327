// Does npm run bench:custody still run, and does it say which aims are met? No time is asserted here.

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { run } from "../support/command.ts";
import { lacks } from "../support/peers.ts";
import { type CustodyRow, custodyScenarios, tableOfCustodies } from "./custody-table.ts";

const bench = (...flags: readonly string[]) =>
  run(
    process.execPath,
    [join(import.meta.dirname, "custody.ts"), "--from-source", "--rough", "--seconds", "1", ...flags],
    {
      timeout: 280_000,
    },
  );

describe.skipIf(await lacks("wrk", "vault", "softhsm"))("npm run bench:custody", () => {
  test("measures every place and the broker in front of it, checks both, and prints one object a line", {
    timeout: 300_000,
  }, async () => {
    const { status, stdout, stderr } = await bench("--json");
    expect(status, stderr).toBe(0);
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as CustodyRow);
    expect(rows.map((row) => row.scenario)).toEqual(custodyScenarios);
    for (const row of rows) {
      expect(Object.keys(row).slice(-4)).toEqual(["ratioToBareHttp", "ratioToVault", "ratioToModule", "addedP50Ms"]);
      if (!row.scenario.endsWith("low-load")) expect(row.ratioToVault).toEqual(expect.any(Number)); // a second on a busy machine may round to nothing
    }
    for (const name of ["vault-single", "vault-batch-100"])
      expect(stderr).toMatch(new RegExp(`${name}: \\d+ requests answered and audited, 100 signatures verify`));
    for (const name of ["software-single", "transit-single", "transit-batch-100", "pkcs11-single", "pkcs11-batch-100"])
      expect(stderr).toMatch(
        new RegExp(`${name}: \\d+ requests answered, \\d+ entries, fsck passes, \\d+ signatures verify`),
      );
    expect(tableOfCustodies(rows).split("\n")).toHaveLength(custodyScenarios.length + 3);
  });

  test("refuses a scenario that does not exist", async () => {
    const { status, stderr } = await bench("--only", "warp");
    expect(status).not.toBe(0);
    expect(stderr).toContain('there is no scenario "warp"');
  });
});

test("the table says which aims are met, and which cannot be told", () => {
  const row: CustodyRow = {
    scenario: "transit-single",
    requestsPerSecond: 4000,
    signaturesPerSecond: 4000,
    p50Ms: 12,
    p95Ms: 20,
    p99Ms: 41,
    cpuMicrosPerSignature: 240,
    rssMb: 180,
    fsyncsPerSecond: 300,
    bytesPerEntry: 2200,
    ratioToBareHttp: null,
    ratioToVault: 0.7,
    ratioToModule: null,
    addedP50Ms: null,
  };
  const table = tableOfCustodies([
    row,
    { ...row, scenario: "software-single" },
    { ...row, scenario: "pkcs11-single" },
    { ...row, scenario: "transit-low-load", addedP50Ms: 2.9 },
  ]);
  for (const verdict of [
    "ratio to Vault ≥ 0.6 ✓",
    "ratio to Vault ≥ 1 ✗",
    "ratio to the module ≥ 0.2 (unknown)",
    "added p50 < 3 ms ✓",
  ])
    expect(table).toContain(verdict);
});
