// How often may somebody else be asked? At most so many times a second, a second's worth at once after a rest; the
// others wait in the order they came. A backend that says "too often" takes the rest away.

import { setTimeout as sleep } from "node:timers/promises";

import type { Clock } from "../std/clock.ts";

export interface Pace {
  /** Resolves when it is one's turn; rejects with the signal's reason when that fires first. */
  take(signal: AbortSignal): Promise<void>;
  /** Milliseconds that one who comes now would wait. */
  backlog(): number;
  /** The backend was asked too often: nothing is saved up any more, and everybody waits for `pause` milliseconds. */
  slow(pause: number): void;
}

export function pace(perSecond: number, clock: Clock): Pace {
  const interval = 1000 / perSecond;
  let next = Number.NEGATIVE_INFINITY; // when the next one may go, in milliseconds; up to a second in the past: saved up

  return {
    async take(signal) {
      signal.throwIfAborted();
      const now = clock();
      const at = Math.max(next, now - 1000 + interval);
      next = at + interval;
      if (at > now) await sleep(at - now, undefined, { signal });
    },
    backlog: () => Math.max(0, next - clock()),
    slow(pause) {
      next = Math.max(next, clock() + pause);
    },
  };
}
