// What the code behind a command gets, and what it answers.

import type { Command } from "commander";

import type { Output } from "./output.ts";
import type { World } from "./world.ts";

/** What a command's code gets. */
export interface Job<Options = Readonly<Record<string, unknown>>> {
  readonly world: World;
  readonly out: Output;
  /** Arguments, without options. */
  readonly words: readonly string[];
  readonly options: Options;
}
/** Answers with an exit code where it is not 0. */
export type Work<Options> = (job: Job<Options>) => Promise<number | undefined>;
/** Gives a command its code, which is loaded when it is called. */
export type Call = <Options>(command: Command, load: () => Promise<Work<Options>>) => Command;
