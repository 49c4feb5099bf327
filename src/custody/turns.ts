// How many things may run at once: at most `width`, the others in the order they came.

/** The result of `job`, once it had its turn. */
export type Turns = <T>(job: () => T | Promise<T>) => Promise<T>;

export function inTurns(width: number): Turns {
  let running = 0;
  const waiting: (() => void)[] = [];

  return async (job) => {
    if (running < width) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve)); // the one before hands its place on
    try {
      return await job();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
