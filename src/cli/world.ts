// What a command asks of the process around it. main.ts alone takes these from the real one.

import type { Readable } from "node:stream";

import type { Environment } from "../client/places.ts";
import type { Clock, Random } from "../std/clock.ts";

/** Where text goes; a terminal or not. */
interface Sink {
  readonly write: (text: string) => unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface World {
  readonly env: Environment;
  readonly cwd: string;
  readonly stdin: Readable & { readonly isTTY?: boolean; readonly setRawMode?: (on: boolean) => unknown };
  /** What was asked for, and nothing else. */
  readonly stdout: Sink;
  /** Everything said to people. */
  readonly stderr: Sink;
  readonly clock: Clock;
  readonly random: Random;
  /** Fires at the first SIGINT or SIGTERM: stop, but close what you opened. */
  readonly signal: AbortSignal;
}
