// Is the tree itself in order, before any code of it runs? One table; each row ends with undefined or with a complaint.

import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "@graphql-codegen/cli";
import { z } from "zod";
import codegen from "../codegen.ts";
import { run } from "./support/command.ts";
import { isCi } from "./support/peers.ts";

export interface Check {
  readonly name: string;
  readonly complaint: () => Promise<string | undefined>;
}

const root = join(import.meta.dirname, "..");

/** The slow ones first, so that two cores finish together. */
export const checks: readonly Check[] = [
  { name: "lint", complaint: () => outcomeOf("eslint", ".", "--max-warnings", "0") },
  { name: "types", complaint: () => outcomeOf("tsc", "--noEmit") },
  { name: "unused code", complaint: () => outcomeOf("knip") },
  { name: "import ranks", complaint: importRanks },
  { name: "format", complaint: () => outcomeOf("biome", "check", ".") },
  { name: "generated types are those of the schema", complaint: generatedTypes },
  { name: "one copy of graphql", complaint: oneGraphql },
  { name: "pkcs11js is built", complaint: pkcs11Binding },
];

/** A program of node_modules/.bin is content when its exit status is 0. */
async function outcomeOf(program: string, ...args: readonly string[]): Promise<string | undefined> {
  const { status, stdout, stderr } = await runBin(program, args);
  return status === 0 ? undefined : `${stdout}${stderr}`;
}

const runBin = (program: string, args: readonly string[]) =>
  run(join(root, "node_modules/.bin", program), args, {
    cwd: root,
    env: { PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` },
    timeout: 10 * 60_000,
  });

const Cruise = z.object({
  modules: z.array(z.object({ source: z.string() })),
  summary: z.object({
    violations: z.array(z.object({ from: z.string(), to: z.string(), rule: z.object({ name: z.string() }) })),
  }),
});

/** A checker that saw nothing finds nothing wrong: it must have seen every source file. */
async function importRanks(): Promise<string | undefined> {
  const answer = await runBin("depcruise", ["src", "--config", ".dependency-cruiser.cjs", "--output-type", "json"]);
  if (!answer.stdout.startsWith("{")) return `dependency-cruiser gave no report: ${answer.stderr}`;
  const { modules, summary } = Cruise.parse(JSON.parse(answer.stdout));
  const seen = new Set(modules.map((module) => module.source));
  const sources = globSync("src/**/*.ts", { cwd: root });
  const complaints = [
    ...summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`),
    ...sources.filter((source) => !seen.has(source)).map((source) => `not seen: ${source}`),
    ...(sources.length === 0 ? ["there are no sources"] : []),
  ];
  return complaints.length === 0 ? undefined : complaints.join("\n");
}

/** Generates into memory, so that a stale file stays as it is, and an absent one is a difference too. */
async function generatedTypes(): Promise<string | undefined> {
  const fresh = z
    .array(z.object({ filename: z.string(), content: z.string() }))
    .min(1)
    .parse(await generate({ ...codegen, cwd: root, silent: true, noSilentErrors: true }, false));
  const stale = fresh.filter(({ filename, content }) => {
    const file = join(root, filename);
    return !existsSync(file) || readFileSync(file, "utf8") !== content;
  });
  if (stale.length === 0) return undefined;
  return `not what schema/ gives: ${stale.map((file) => file.filename).join(", ")}; run: npm run codegen`;
}

/** Two copies of graphql refuse each other's schemas at run time. What counts is what npm has installed. */
async function oneGraphql(): Promise<string | undefined> {
  const installed = z
    .object({ packages: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(readFileSync(join(root, "node_modules/.package-lock.json"), "utf8")));
  const copies = Object.keys(installed.packages).filter((path) => path.endsWith("node_modules/graphql"));
  return Promise.resolve(copies.length === 1 ? undefined : `${copies.length.toString()} copies: ${copies.join(", ")}`);
}

/** npm leaves it out without a word where no compiler is; CI must not do without its tests. */
function pkcs11Binding(): Promise<string | undefined> {
  const built = existsSync(join(root, "node_modules/pkcs11js/build/Release/pkcs11.node"));
  return Promise.resolve(
    built || !isCi() ? undefined : "it is not: install make, python3 and g++, then npm rebuild pkcs11js",
  );
}
