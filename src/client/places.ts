// Where we keep things on this machine, after the XDG Base Directory specification.

import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Places {
  /** Contexts, a person's key and login. */
  readonly config: string;
  /** What outlives a run but is nobody's choice: remembered checkpoints. */
  readonly state: string;
  /** Gone with the login session or the CI job: files of signing sessions. */
  readonly runtime: string;
}

export function placesOf(env: Environment): Places {
  const home = env["HOME"] ?? tmpdir();
  return {
    config: join(absolute(env["XDG_CONFIG_HOME"]) ?? join(home, ".config"), "signet"),
    state: join(absolute(env["XDG_STATE_HOME"]) ?? join(home, ".local", "state"), "signet"),
    runtime: join(
      absolute(env["RUNNER_TEMP"]) ??
        absolute(env["XDG_RUNTIME_DIR"]) ??
        join(tmpdir(), `signet-${String(process.getuid?.() ?? 0)}`),
      "signet",
    ),
  };
}

/** The specification has relative paths ignored. */
const absolute = (path: string | undefined): string | undefined =>
  path !== undefined && isAbsolute(path) ? path : undefined;
