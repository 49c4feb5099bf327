// Which suites run when: first those that need nothing but Node, then those that hold Signet against other people's
// tools. The latter are found by their import of test/support/peers.ts, so nobody has to list or rename them.

import { globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const suites = globSync("test/**/*.test.ts", { cwd: import.meta.dirname });
const waiting = suites.filter((suite) => readFileSync(suite, "utf8").includes("support/peers.ts"));

export default defineConfig({
  // What node itself loads: Vite prefers the .mjs beside it, and two copies of graphql refuse each other.
  resolve: { alias: [{ find: /^graphql$/, replacement: createRequire(import.meta.url).resolve("graphql") }] },
  test: {
    environment: "node",
    pool: "forks",
    maxWorkers: Math.max(2, availableParallelism() / 2),
    testTimeout: 20_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: "quick", include: ["test/**/*.test.ts"], exclude: waiting, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: "peers", include: waiting, testTimeout: 120_000, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
