// The daemon as a process: never imported, only started.

import { type ChildProcess, spawn } from "node:child_process";
import { extname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { exits } from "./failure.ts";
import type { Job } from "./job.ts";

/** signetd of this very checkout or package, with this very Node. `output`: a file descriptor, or this process's own. */
export function spawnDaemon(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  output: "inherit" | "pipe",
): ChildProcess {
  // The neighbour has our own extension: .ts in a checkout, .js in the package.
  const main = fileURLToPath(new URL(`../main${extname(import.meta.url)}`, import.meta.url));
  return spawn(process.execPath, [main, ...args], {
    env: { ...env },
    stdio: ["ignore", output === "pipe" ? "ignore" : output, output],
  });
}

/** On the daemon's machine, while the daemon is stopped: its state directory is locked otherwise. */
export async function rebuild({ world, options }: Job<{ readonly config: string }>): Promise<number> {
  const child = spawnDaemon(["--config", resolve(world.cwd, options.config), "--rebuild"], world.env, "inherit");
  world.signal.addEventListener("abort", () => child.kill("SIGTERM"));
  return ended(child);
}

/** Its exit code; 1 where a signal ended it. */
export const ended = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve(code ?? exits.unexpected);
    });
  });
