// Time and chance come in as parameters, so that golden log entries are byte-exact. Only these two read the system.

import { randomFillSync } from "node:crypto";

/** Milliseconds since the epoch (UTC). */
export type Clock = () => number;
/** `length` unpredictable bytes. */
export type Random = (length: number) => Uint8Array;

export const systemClock: Clock = () => Date.now();

/** Asking the generator costs 2 µs whatever the length, and a request asks for several ids: so 4 KiB are fetched ahead. */
const ahead = Buffer.alloc(4096);
let taken = ahead.length;

export const systemRandom: Random = (length) => {
  if (length > 64) return randomFillSync(Buffer.alloc(length));
  if (taken + length > ahead.length) {
    randomFillSync(ahead);
    taken = 0;
  }
  const bytes = Buffer.from(ahead.subarray(taken, taken + length));
  ahead.fill(0, taken, taken + length); // what was given out stays with whoever asked
  taken += length;
  return bytes;
};

/**
 * Follows the wall clock but never goes back: where that is behind what was said before, time runs on with `steady`
 * (milliseconds since some beginning, never stepped). Nothing lives longer because a clock was set back.
 */
export function forwardClock(wall: Clock, steady: () => number): Clock {
  let before = { said: wall(), steady: steady() };
  return () => {
    const now = steady();
    before = { said: Math.max(wall(), before.said + now - before.steady), steady: now };
    return Math.floor(before.said);
  };
}

/** RFC 3339, UTC, milliseconds: the form of every time in the log. */
export const rfc3339 = (milliseconds: number): string => new Date(milliseconds).toISOString();
