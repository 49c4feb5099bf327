// Time and chance come in as parameters, so that golden log entries are byte-exact. Only these two read the system.

import { randomBytes } from "node:crypto";

/** Milliseconds since the epoch (UTC). */
export type Clock = () => number;
/** `length` unpredictable bytes. */
export type Random = (length: number) => Uint8Array;

export const systemClock: Clock = () => Date.now();
export const systemRandom: Random = (length) => randomBytes(length);

/** RFC 3339, UTC, milliseconds: the form of every time in the log. */
export const rfc3339 = (milliseconds: number): string => new Date(milliseconds).toISOString();
