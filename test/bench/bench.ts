// npm run bench: how fast is the daemon that users start, on this machine, now? One table for people; with --json one
// object per line, which `node test/bench/table.ts FILE` makes the table of. What each row means and what limits it:
// docs/performance.md.
//
//   npm run bench                                 everything, ten seconds each, a million entries: about ten minutes
//   npm run bench -- --json > numbers.jsonl       the same for machines; what is going on stays on stderr
//   npm run bench -- --only bare-http,single-dpop --seconds 5
//   --entries N       of the log that the audit rows ask (1,000,000)
//   --from-source     the checkout's sources instead of the build
//   --profile DIR     the daemon leaves a CPU profile there (node --cpu-prof)
//   --rough           a reference row counts although its server was idle: on a busy machine, and in the smoke test

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Run } from "../support/house.ts";
import { builtDaemon, daemonEnvironment, wholeNumber } from "./command-line.ts";
import { isScenario, type Row, type Scenario, scenarios } from "./row.ts";
import { type Found, measure } from "./scenario.ts";
import { tableOf } from "./table.ts";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      only: { type: "string" },
      seconds: { type: "string", default: "10" },
      entries: { type: "string", default: "1000000" },
      "from-source": { type: "boolean", default: false },
      profile: { type: "string" },
      rough: { type: "boolean", default: false },
    },
  });
  const run: Run = {
    env: daemonEnvironment(),
    ...(values["from-source"] ? {} : { program: builtDaemon(tell) }),
    ...(values.profile === undefined ? {} : { node: ["--cpu-prof", `--cpu-prof-dir=${resolve(values.profile)}`] }),
  };
  const rows: Row[] = [];
  const found = (one: Found): void => {
    const row = { ...one, ratioToBareHttp: ratioOf(one, rows) };
    rows.push(row);
    if (values.json) process.stdout.write(`${JSON.stringify(row)}\n`);
    tell(`${row.scenario}: ${row.requestsPerSecond.toFixed(0)} requests/s, p99 ${row.p99Ms.toFixed(1)} ms`);
  };
  await measure(
    asked(values.only),
    {
      seconds: wholeNumber("seconds", values.seconds),
      entries: wholeNumber("entries", values.entries),
      run,
      rough: values.rough,
      tell,
    },
    found,
  );
  if (!values.json) process.stdout.write(tableOf(rows));
}

const tell = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`);
};

function asked(only: string | undefined): readonly Scenario[] {
  if (only === undefined) return scenarios;
  const names = only.split(",");
  const unknown = names.find((name) => !isScenario(name));
  if (unknown !== undefined) throw new Error(`there is no scenario "${unknown}"; there are ${scenarios.join(", ")}`);
  return scenarios.filter((name) => names.includes(name));
}

function ratioOf(row: Found, rows: readonly Row[]): number | null {
  const bare = row.scenario === "bare-http" ? row : rows.find((one) => one.scenario === "bare-http");
  return bare ? Number(((row.signaturesPerSecond ?? row.requestsPerSecond) / bare.requestsPerSecond).toFixed(3)) : null;
}

await main();
