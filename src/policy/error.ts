// What is wrong with a policy, and where: the operator gets every problem of a load at once, each with its place.

export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

export interface Problem extends Place {
  /** What was found and what is expected. */
  readonly message: string;
}

/** Thrown by `loadPolicy`; `file`, `line` and `column` are those of the first problem. */
export class PolicyError extends Error {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly problems: readonly Problem[];
  constructor(problems: readonly [Problem, ...Problem[]], options?: ErrorOptions) {
    super(problems.map(oneLine).join("\n"), options);
    this.name = "PolicyError";
    this.file = problems[0].file;
    this.line = problems[0].line;
    this.column = problems[0].column;
    this.problems = problems;
  }
}

const oneLine = (problem: Problem): string =>
  `${problem.file}:${String(problem.line)}:${String(problem.column)}: ${problem.message}`;

/** Does nothing when there is no problem. */
export function throwIfAny(problems: readonly Problem[]): void {
  const [first, ...rest] = problems;
  if (first) throw new PolicyError([first, ...rest]);
}
