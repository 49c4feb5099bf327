// What the benchmarks' commands share: the daemon that they measure, and how they read numbers.

import { spawnSync } from "node:child_process";
import { globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** dist/main.js, built anew where a source is newer. */
export function builtDaemon(tell: (line: string) => void): string {
  const program = join(root, "dist/main.js");
  const builtAt = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = globSync("src/**/*", { cwd: root }).map((file) => statSync(join(root, file)).mtimeMs);
  if (sources.every((changed) => changed < builtAt)) return program;
  tell("building");
  const { status } = spawnSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error("npm run build failed");
  return program;
}

/** What deploy/bin/signetd sets where nothing is set, so that the daemon is the one that users start. */
export function daemonEnvironment(): Readonly<Record<string, string>> {
  const text = readFileSync(join(root, "deploy/bin/signetd"), "utf8");
  const set = [...text.matchAll(/^export (\w+)="(.*)"$/gm)].map(([, name = "", value = ""]) => [
    name,
    value.replace(/\$\{\w+:-(.*?)\}/g, "$1").trim(),
  ]);
  if (set.length === 0) throw new Error("deploy/bin/signetd sets nothing: has it another form now?");
  return Object.fromEntries(set) as Record<string, string>; // pairs of texts
}

export function wholeNumber(name: string, text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new Error(`--${name} takes a whole number from 1, not "${text}"`);
  return Number(text);
}
