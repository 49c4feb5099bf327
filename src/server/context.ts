// What every resolver is given, and the values that stand for types of the schema which no other room has a name for.

import type { Call } from "../broker/call.ts";
import type { Broker } from "../broker/index.ts";
import type { Finished } from "../formats/index.ts";
import type { PendingAction, PendingState } from "../model/approval.ts";
import type { RefusalCode } from "../model/errors.ts";
import type { Key, KeyVersion, Rotation } from "../model/key.ts";
import type { Explanation } from "../policy/index.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Clock } from "../std/clock.ts";
import type { Budget } from "./limits.ts";

export interface RequestContext {
  readonly broker: Broker;
  readonly clock: Clock;
  /** Becomes the session's own call when this request opens a session. */
  call: Call;
  readonly metrics: Pick<Metrics, "refused">;
  readonly budget: Budget;
  /** Elements that a list in an argument may have. */
  readonly list: number;
  /** Keys that this request has read already. */
  readonly keys: Map<string, Promise<Key>>;
  /** The refusal that a mutation answered with. */
  refused: RefusalCode | undefined;
}

export type Explained = Explanation & { readonly policy: string; readonly inForce: boolean };
export type Pending = PendingAction & { readonly stateNow?: PendingState };
export type RotationOf = Rotation & { readonly trouble: string | undefined };
export interface SignatureOf {
  readonly version: KeyVersion;
  readonly finished: Finished;
}
