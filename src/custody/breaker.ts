// Whether it makes sense to ask a custody at all. After some faults in a row that were the backend's own, nobody is let
// through for a while; then one call is, and what becomes of it decides. No timers: whoever asks brings the time.

import type { Clock } from "../std/clock.ts";

export interface Breaker {
  /** To be told with `settled`, whatever happens. `retryAfter` in seconds. */
  enter(): Entered | { readonly retryAfter: number };
  /** Seconds, where `enter` would let nobody through now. */
  refuses(): number | undefined;
  settled(entered: Entered, ending: Ending): void;
  /** Somebody saw the backend well. */
  close(): void;
  state(): BreakerState;
}

export interface Entered {
  /** The one call that is let through to see whether the backend is back. */
  readonly probe: boolean;
}

/** `away`: the backend is the trouble. `neither`: nothing was learned of it, as when it is busy. */
export type Ending = "well" | "away" | "neither";

export type BreakerState =
  | { readonly breaker: "closed"; readonly faults: number }
  /** Milliseconds of the clock. */
  | { readonly breaker: "open"; readonly faults: number; readonly since: number; readonly until: number }
  /** The next call is let through, or one is under way. */
  | { readonly breaker: "half-open"; readonly faults: number; readonly since: number };

export interface BreakerLimits {
  /** In a row, until it opens. */
  readonly faults: number;
  /** Milliseconds until the first probe; twice as many after each that fails, up to `longest`. */
  readonly pause: number;
  readonly longest: number;
}

export const usualBreaker: BreakerLimits = { faults: 5, pause: 1_000, longest: 15_000 };

export function breaker(clock: Clock, limits: BreakerLimits = usualBreaker): Breaker {
  let faults = 0;
  let open: { readonly since: number; readonly until: number; readonly pause: number } | undefined;
  let probing = false;

  const openFor = (pause: number): void => {
    const now = clock();
    open = { since: open?.since ?? now, until: now + pause, pause };
  };
  const close = (): void => {
    faults = 0;
    open = undefined;
  };

  const refuses = (): number | undefined => {
    if (!open) return undefined;
    const left = open.until - clock();
    return left > 0 || probing ? Math.max(1, Math.ceil(left / 1000)) : undefined;
  };

  return {
    enter() {
      const retryAfter = refuses();
      if (retryAfter !== undefined) return { retryAfter };
      probing = open !== undefined;
      return { probe: probing };
    },
    refuses,
    settled({ probe }, ending) {
      if (probe) probing = false;
      if (ending === "well" || (probe && ending === "neither")) close();
      if (ending !== "away") return;
      faults += 1;
      if (probe && open) openFor(Math.min(2 * open.pause, limits.longest));
      else if (!open && faults >= limits.faults) openFor(limits.pause);
    },
    close,
    state() {
      if (!open) return { breaker: "closed", faults };
      const { since, until } = open;
      return until > clock() && !probing
        ? { breaker: "open", faults, since, until }
        : { breaker: "half-open", faults, since };
    },
  };
}
