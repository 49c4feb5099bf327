// How did each fault of a custody end that is caused on purpose? One line each after the run, from the run's own results:
// passed, FAILED, or not run. Says nothing where none of their suites was part of the run. A fault whose suite ran
// without any test of its name fails the run; so does, in CI, one whose test was skipped.

import type { Reporter, TestModule } from "vitest/node";
import { isCi } from "../support/peers.ts";
import { custodyFaults, type NamedFault } from "./custody-faults.ts";

const here = import.meta.dirname;

export default class FaultsOfCustodies implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const suites = new Map(modules.map((module) => [module.moduleId, endedIn(module)]));
    const ran = (fault: NamedFault) => suites.get(`${here}/${fault.suite}`);
    if (!custodyFaults.some((fault) => ran(fault) !== undefined)) return;
    const verdicts = custodyFaults.map((fault) => ({ fault, verdict: verdictOn(fault, ran(fault), isCi()) }));
    const lines = verdicts.map(({ fault, verdict }) => ` ${verdict}: ${fault.custody}, ${fault.fault}\n`);
    process.stdout.write(`\n the faults of custodies\n${lines.join("")}`);
    if (verdicts.some(({ verdict }) => verdict === "FAILED")) process.exitCode = 1;
  }
}

/** How a test ended, by its full name. */
export interface Ended {
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped" | "pending";
}

/** `ended`: all tests of the fault's suite; undefined where it was not part of the run. */
export function verdictOn(
  { by }: Pick<NamedFault, "by">,
  ended: readonly Ended[] | undefined,
  isStrict: boolean,
): "passed" | "FAILED" | "not run" {
  if (ended === undefined) return "not run";
  const states = ended.filter(({ name }) => name.includes(by)).map(({ state }) => state);
  if (states.length > 0 && states.every((state) => state === "passed")) return "passed";
  return states.length > 0 && !isStrict && states.every((state) => state === "passed" || state === "skipped")
    ? "not run"
    : "FAILED";
}

const endedIn = (module: TestModule): readonly Ended[] =>
  [...module.children.allTests()].map((test) => ({ name: test.fullName, state: test.result().state }));
