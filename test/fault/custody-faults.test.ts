// Every fault that a custody must survive has its test, under its own name; the table is printed with the run.

import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { custodyFaults } from "./custody-faults.ts";

test.each(custodyFaults)("$custody: $fault has its test", ({ suite, by }) => {
  const source = readFileSync(new URL(suite, import.meta.url), "utf8");
  const names = [...source.matchAll(/(?:test\(\s*|\[\s*)"([^"]+)"/g)].map(([, name = ""]) => name);
  expect(names.filter((name) => name.includes(by))).not.toEqual([]);
});

test("each has a test of its own", () => {
  const tests = custodyFaults.map(({ suite, by }) => `${suite} ${by}`);
  expect(new Set(tests).size).toBe(tests.length);
});

afterAll(() => {
  const lines = custodyFaults.map(({ custody, fault, suite, by }) => [custody, fault, `${suite}: ${by}`]);
  const width = (at: number): number => Math.max(...lines.map((line) => line[at]?.length ?? 0));
  const text = lines.map((line) => ` ${line.map((cell, at) => cell.padEnd(width(at))).join("  ")}`.trimEnd());
  process.stdout.write(`\n the faults of custodies, and what causes each\n${text.join("\n")}\n`);
});
