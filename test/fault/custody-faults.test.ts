// Every fault that a custody must survive names a test of its own, and its line after a run can be red.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { custodyFaults } from "./custody-faults.ts";
import { type Ended, verdictOn } from "./reporter.ts";

test.each(custodyFaults)("$custody: $fault names a test; whether it passes, the run's table says", ({ suite, by }) => {
  const source = readFileSync(new URL(suite, import.meta.url), "utf8");
  const names = [...source.matchAll(/(?:test\(\s*|\[\s*)"([^"]+)"/g)].map(([, name = ""]) => name);
  expect(names.filter((name) => name.includes(by))).not.toEqual([]);
});

test("each has a test of its own", () => {
  const tests = custodyFaults.map(({ suite, by }) => `${suite} ${by}`);
  expect(new Set(tests).size).toBe(tests.length);
});

test.each<[string, Ended["state"][] | undefined, string, string]>([
  ["passed", ["passed"], "passed", "passed"],
  ["failed once", ["passed", "failed"], "FAILED", "FAILED"],
  ["was skipped", ["skipped"], "not run", "FAILED"],
  ["was skipped in part", ["passed", "skipped"], "not run", "FAILED"],
  ["was begun and never ended", ["pending"], "FAILED", "FAILED"],
  ["has no test in its suite", [], "FAILED", "FAILED"],
  ["is in a suite that did not run", undefined, "not run", "not run"],
])("a fault whose test %s", (_, states, usual, inCi) => {
  const other: Ended = { name: "Vault > restarted", state: "passed" };
  const ended = states && [other, ...states.map((state): Ended => ({ name: "Vault > sealed in the middle", state }))];
  expect(verdictOn({ by: "sealed" }, ended, false)).toBe(usual);
  expect(verdictOn({ by: "sealed" }, ended, true)).toBe(inCi);
});
