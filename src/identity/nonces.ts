// Was this proof made a short while ago, for this daemon? RFC 9449, section 9. A nonce is an HMAC over a step of time
// and the daemon's epoch: nothing is stored per caller, and a restart forgets them all.
//
// A clock that is set back cannot bring an old nonce to life again: the newest step ever seen stays the newest.

import { createHmac } from "node:crypto";
import { base64url } from "../std/base64.ts";
import type { Clock } from "../std/clock.ts";
import type { Secret } from "../std/secret.ts";

/** Milliseconds. A nonce is good for at least two steps and less than three: 5 to 7.5 minutes. */
export const nonceStep = 150_000;
const lifeInSteps = 3;

export interface Nonces {
  current(): string;
  /** When the nonce ceases to be good, milliseconds since the epoch; undefined where it is not good now. */
  goodUntil(nonce: string): number | undefined;
}

export function nonces(secret: Secret, epoch: number, clock: Clock): Nonces {
  let newest = Number.NEGATIVE_INFINITY;
  let good: readonly string[] = [];

  function refresh(): readonly string[] {
    const step = Math.floor(clock() / nonceStep);
    if (step > newest) {
      newest = step;
      good = Array.from({ length: lifeInSteps }, (_, age) => nonceOf(step - age));
    }
    return good;
  }

  const nonceOf = (step: number): string =>
    base64url(
      createHmac("sha256", secret.reveal())
        .update(`signet dpop nonce\0${String(epoch)}\0${String(step)}`)
        .digest()
        .subarray(0, 18),
    );

  return {
    current: () => refresh()[0] ?? "",
    goodUntil(nonce) {
      // A nonce is no secret, everybody is told the current one: plain comparison will do.
      const age = refresh().indexOf(nonce);
      return age < 0 ? undefined : (newest - age + lifeInSteps) * nonceStep;
    },
  };
}
