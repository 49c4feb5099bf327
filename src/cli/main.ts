// `signet`, the program: takes the process's own streams, environment and signals, and hands them to `run`.

import { readFileSync } from "node:fs";

import { systemClock, systemRandom } from "../std/clock.ts";
import { isJsonObject } from "../std/json.ts";
import { run } from "./run.ts";

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (interruption.signal.aborted) process.exit(130); // asked twice: do not wait for anything
    interruption.abort();
  });
}
process.stdout.on("error", (error: Error & { readonly code?: string }) => {
  if (error.code === "EPIPE") process.exit(0); // the reader has seen enough
  throw error;
});

// The same two steps up from src/cli in a checkout and from dist/cli in the package.
const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const version = isJsonObject(manifest) && typeof manifest["version"] === "string" ? manifest["version"] : "unknown";

process.exitCode = await run(
  process.argv.slice(2),
  {
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    random: systemRandom,
    signal: interruption.signal,
  },
  version,
);
