// What is counted for people who watch graphs. Labels are bounded: names of custodies come
// from the configuration, never a name, a path or an id from a request.

import type { Code, FaultCode, RefusalCode } from "../model/errors.ts";
import type { KeyAlgorithm } from "../model/key.ts";
import type { CustodyCall } from "./custody.ts";

export interface Metrics {
  refused(code: RefusalCode): void;
  faulted(code: FaultCode): void;
  /** Refused, and not recorded in the log because nobody named this principal. */
  stranger(code: Code): void;
  signed(
    labels: { readonly custody: string; readonly algorithm: KeyAlgorithm; readonly form: "message" | "digest" },
    count: number,
  ): void;
  /** After each call of a custody outside the process, whether or not it began; seconds with its waiting. */
  custodyCalled(
    labels: { readonly custody: string; readonly call: CustodyCall; readonly result: "ok" | FaultCode },
    seconds: number,
  ): void;
  /** After each commit of the log; seconds of the commit, leaves in it. */
  committed(seconds: number, leaves: number): void;
}

export const noMetrics: Metrics = {
  refused: () => undefined,
  faulted: () => undefined,
  stranger: () => undefined,
  signed: () => undefined,
  custodyCalled: () => undefined,
  committed: () => undefined,
};
