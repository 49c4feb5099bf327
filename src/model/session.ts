// A signing session: the right of one principal to sign, for minutes, with named keys, a counted number of times.

import type { GrantLimits } from "./grant.ts";
import type { Confirmation, Workload } from "./principal.ts";

export type SessionState = "OPEN" | "CLOSED" | "REVOKED" | "EXPIRED";

export interface SigningSession {
  /** `ss_…`. Not a secret. */
  readonly id: string;
  readonly principal: Workload;
  readonly cnf: Confirmation;
  /** Names of keys. */
  readonly keys: readonly string[];
  /** Fixed when the session opened. */
  readonly limits: GrantLimits;
  readonly grant: string;
  /** Hash of the policy set that permits the session: that of opening, or of the newest reload that still allows it. */
  readonly policy: string;
  readonly reason?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly openedAt: number;
  readonly expiresAt: number;
  readonly usesGranted: number;
  readonly usesLeft: number;
  readonly state: Exclude<SessionState, "EXPIRED">;
  /** SHA-256 (hex) of (issuer, signing input of the identity token): asking again with it gives the same session. */
  readonly identityToken: string;
}

export const stateAt = (session: Pick<SigningSession, "state" | "expiresAt">, at: number): SessionState =>
  session.state === "OPEN" && session.expiresAt <= at ? "EXPIRED" : session.state;
