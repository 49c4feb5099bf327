// Does the last line of `npm test` count what happened, and can it turn red?

import { expect, test } from "vitest";
import { tallySuites } from "../run.ts";

const suite = (status: string, ...tests: readonly string[]) => ({
  name: "some.test.ts",
  status,
  assertionResults: tests.map((each) => ({ fullName: "some test", status: each })),
});
const report = (...testResults: readonly object[]): string => JSON.stringify({ testResults });

test.each([
  ["tests of every kind", 1, report(suite("failed", "passed", "failed", "skipped", "todo")), [1, 1, 2]],
  ["several suites", 0, report(suite("passed", "passed"), suite("passed", "passed", "pending")), [2, 0, 1]],
  ["a suite that could not be loaded", 1, report(suite("passed", "passed"), suite("failed")), [1, 1, 0]],
  ["a suite whose set-up failed", 1, report(suite("failed", "skipped", "skipped")), [0, 1, 2]],
  ["a run that failed outside its suites", 1, report(suite("passed", "passed")), [1, 1, 0]],
  ["a run that was killed", null, report(suite("passed", "passed")), [1, 1, 0]],
  ["a run without tests", 0, report(), [0, 1, 0]],
  ["a run in which everything was skipped", 0, report(suite("passed", "skipped")), [0, 1, 1]],
  ["a run without a report", 1, undefined, [0, 1, 0]],
] as const)("counts %s", (_, status, text, [passed, failed, skipped]) => {
  expect(tallySuites(status, text)).toEqual({ passed, failed, skipped });
});
