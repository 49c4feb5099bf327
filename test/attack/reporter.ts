// How did each of the forty attacks end? One line each after the run: passed, FAILED, or not yet and why. Says nothing
// where no attack was part of the run. A number of the table without any test fails a run of the whole folder.

import { globSync } from "node:fs";
import type { Reporter, TestCase, TestModule } from "vitest/node";
import { type Attack, forty } from "./forty.ts";

const here = import.meta.dirname;

export default class FortyAttacks implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const ours = modules.filter(({ moduleId }) => moduleId.startsWith(`${here}/`));
    if (ours.length === 0) return;
    const isWhole = globSync("*.test.ts", { cwd: here }).length === ours.length;
    const tests = ours.flatMap((module) => [...module.children.allTests()]);
    const verdicts = forty.map((attack) => verdictOn(attack, tests, isWhole));
    process.stdout.write(`\n the forty attacks\n${verdicts.map((line) => `${line}\n`).join("")}`);
    if (verdicts.some((line) => line.includes(" FAILED "))) process.exitCode = 1;
  }
}

function verdictOn({ number, title, notYet, without }: Attack, tests: readonly TestCase[], isWhole: boolean): string {
  const label = ` ${String(number).padStart(2)} `;
  if (notYet !== undefined) return `${label}not yet: ${notYet} (${title})`;
  const states = tests.filter(({ fullName }) => numberOf(fullName) === number).map((test) => test.result().state);
  if (states.length === 0 && !isWhole) return `${label}not run: ${title}`;
  if (states.length === 0 || states.some((state) => state !== "passed")) return `${label}FAILED ${title}`;
  return `${label}passed: ${title}${without === undefined ? "" : ` (not yet: ${without})`}`;
}

/** A test's own number stands above that of the group it is in. */
const numberOf = (name: string): number =>
  Number([...name.matchAll(/(?:^|> )attack (\d+)(?=$|:| >)/g)].at(-1)?.[1] ?? Number.NaN);
