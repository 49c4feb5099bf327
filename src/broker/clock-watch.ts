// The wall clock decides windows, expiries and nonces. Where it is stepped, that is an incident in the log, beside a
// clock that only ever goes forward; the order of entries never depended on it.

import type { Clock } from "../std/clock.ts";
import type { Journal } from "./journal.ts";

/** Time servers slew small differences; a step beyond this is somebody's doing. Milliseconds. */
const tolerance = 5_000;

export interface ClockWatchParts {
  readonly clock: Clock;
  /** Milliseconds since some beginning, never stepped. */
  readonly steady: () => number;
  readonly journal: Pick<Journal, "append">;
}

/** Called from time to time; each call compares with the one before. */
export function clockWatch({ clock, steady, journal }: ClockWatchParts): () => Promise<void> {
  let before = { wall: clock(), steady: steady() };
  return async () => {
    const now = { wall: clock(), steady: steady() };
    const step = now.wall - before.wall - (now.steady - before.steady);
    before = now;
    if (Math.abs(step) <= tolerance) return;
    await journal.append(undefined, () => ({
      type: "incident.clock",
      message: `the wall clock was stepped by ${(step / 1000).toFixed(1)} s`,
    }));
  };
}
