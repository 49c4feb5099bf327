// What every use case is given: the world through ports, and the few facts that are fixed while the daemon runs.

import type { PolicySet } from "../policy/index.ts";
import type { Custody } from "../ports/custody.ts";
import type { IdentityTokens, Proofs } from "../ports/identity.ts";
import type { Log, State } from "../ports/log.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Clock, Random } from "../std/clock.ts";
import type { Step } from "../std/steps.ts";
import type { Checkpoint, HealthCheck } from "./index.ts";
import type { Journal } from "./journal.ts";
import type { OperatorSessions } from "./operator-sessions.ts";
import type { Rate } from "./rate.ts";
import type { Replay } from "./replay.ts";
import type { Unfinished } from "./unfinished.ts";

export interface Parts {
  readonly log: Log;
  readonly state: State;
  readonly journal: Journal;
  /** By name. */
  readonly custodies: ReadonlyMap<string, Custody>;
  readonly tokens: IdentityTokens;
  readonly proofs: Proofs;
  /** The set in force. */
  readonly policy: () => PolicySet;
  readonly rate: Rate;
  readonly operatorSessions: OperatorSessions;
  readonly replay: Replay;
  readonly unfinished: Unfinished;
  readonly clock: Clock;
  readonly random: Random;
  readonly step: Step;
  readonly metrics: Metrics;
  /** False in the one-person mode for small teams, which every entry that it concerns says. */
  readonly twoPersons: boolean;
  /** What a rotation takes where nobody says otherwise. Milliseconds; without `retireAfter` old public keys stay. */
  readonly rotationRules: { readonly propagation: number; readonly retireAfter?: number | undefined };
  /** The log's verification key (C2SP vkey). */
  readonly vkey: string;
  /** The newest published checkpoint, with the cosignatures that witnesses gave it. */
  readonly published: () => Checkpoint | undefined;
  /** Key versions (`NAME/NUMBER`) that a custody is destroying at this moment: gone there, and not yet recorded. */
  readonly ending: Set<string>;
  /** Since when a person has been fetching entry tiles, by the person's id. Milliseconds since the epoch. */
  readonly exports: Map<string, number>;
  /** What stands of the watch over keys at their custodies, for `doctor`. */
  readonly drift: () => readonly HealthCheck[];
  /** What adapters say of themselves, for `doctor`. */
  readonly checks: () => readonly HealthCheck[];
  /** Undefined while all is well; otherwise why nothing is signed. */
  readonly stopped: () => string | undefined;
}
