// When a grant is open: windows of days and minutes, all in UTC, because CI has no local time.

import type { Window } from "../model/grant.ts";

export const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

const minute = 60_000;
const day = 24 * 60 * minute;

/** No windows: always open. `at` in milliseconds since the epoch. */
export function isOpenAt(windows: readonly Window[], at: number): boolean {
  return windows.length === 0 || windows.some((window) => isInside(window, at));
}

function isInside(window: Window, at: number): boolean {
  const minutes = Math.floor((at - midnight(at)) / minute);
  return window.days.includes(new Date(at).getUTCDay()) && window.from <= minutes && minutes < window.to;
}

const midnight = (at: number): number => Math.floor(at / day) * day;

/** The next moment at which a window opens, milliseconds; undefined where there is none. */
export function nextOpening(windows: readonly Window[], at: number): number | undefined {
  const openings = windows.flatMap((window) =>
    [0, 1, 2, 3, 4, 5, 6, 7]
      .map((ahead) => midnight(at) + ahead * day)
      .filter((start) => window.days.includes(new Date(start).getUTCDay()))
      .map((start) => start + window.from * minute)
      .filter((opening) => opening > at),
  );
  return openings.length === 0 ? undefined : Math.min(...openings);
}

/** `mon, tue 08:00-18:00 UTC`. */
export function describeWindows(windows: readonly Window[]): string {
  return windows
    .map(
      (window) =>
        `${window.days.map((number) => dayNames[number]).join(", ")} ${clock(window.from)}-${clock(window.to)} UTC`,
    )
    .join("; ");
}

const clock = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

/** `Mon, 24 Nov 2025 08:00 UTC`. */
export const describeMoment = (at: number): string => new Date(at).toUTCString().replace(/:\d\d GMT$/, " UTC");
