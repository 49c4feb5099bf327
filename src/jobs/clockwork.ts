// The clock's hand: work that comes round by itself. It calls use cases only, one at a time each, and a round that
// fails is logged and tried again at the next.

import type { Logger } from "pino";

export interface Round {
  readonly name: string;
  /** Milliseconds from the end of one to the start of the next. */
  readonly every: number;
  /** Milliseconds to the start of the first; `every` where absent. */
  readonly first?: number | undefined;
  readonly work: () => Promise<void>;
}

export function clockwork(log: Pick<Logger, "error">, rounds: readonly Round[]): AsyncDisposable {
  const stop = new AbortController();
  const running = rounds.map((round) => turn(round, log, stop.signal));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(running);
    },
  };
}

async function turn(
  { name, every, first = every, work }: Round,
  log: Pick<Logger, "error">,
  signal: AbortSignal,
): Promise<void> {
  for (let wait = first; await pause(wait, signal); wait = every) {
    try {
      await work();
    } catch (error) {
      log.error({ err: error, round: name }, "a round failed; it is tried again");
    }
  }
}

/** False where it was cut short. */
function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(false);
      return;
    }
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", cut);
      resolve(true);
    }, milliseconds);
    const cut = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    signal.addEventListener("abort", cut, { once: true });
  });
}
