// What /metrics says (Prometheus text format). Every label is one of a list that we or the operator
// wrote: never a name, a path or an id
// from a request, so that no caller can make the number of time series grow.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Code } from "../model/errors.ts";
import type { CustodyLoad } from "../ports/custody.ts";
import type { Metrics } from "../ports/metrics.ts";

export const outcomes = ["ok", "refused", "unauthenticated", "invalid", "fault", "overloaded"] as const;
/** How a GraphQL request ended, in the worst of its parts. */
export type Outcome = (typeof outcomes)[number];

/** What is read when somebody asks, rather than counted when it happens. */
export interface Gauges {
  /** Entries of the log. */
  readonly logSize: () => number;
  readonly openSessions: () => number | Promise<number>;
  /** By name, those outside the process. */
  readonly custodies?: (() => ReadonlyMap<string, CustodyLoad>) | undefined;
  /** Key versions that are not at their custody as they were recorded, by what is wrong: a list of our own. */
  readonly drift?: (() => ReadonlyMap<string, number>) | undefined;
}

export interface ServerMetrics extends Metrics {
  /** `operation` is the name of one of our own documents, or "other". */
  answered(operation: string, outcome: Outcome, seconds: number): void;
  /** Content type and text of /metrics. */
  expose(): Promise<{ readonly type: string; readonly text: string }>;
}

export function prometheus({ logSize, openSessions, custodies = noCustodies, drift }: Gauges): ServerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Counter({
    name: "signet_requests_total",
    help: "GraphQL requests by operation and outcome.",
    labelNames: ["operation", "outcome"],
    registers,
  });
  const durations = new Histogram({
    name: "signet_request_duration_seconds",
    help: "From the end of a GraphQL request to the end of its answer.",
    labelNames: ["operation"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  });
  const byCode = (name: string, help: string) => {
    const counter = new Counter({ name, help, labelNames: ["code"], registers });
    return (code: Code): void => {
      counter.inc({ code });
    };
  };
  const signatures = new Counter({
    name: "signet_signatures_total",
    help: "Signatures released.",
    labelNames: ["custody", "algorithm", "form"],
    registers,
  });
  const commits = new Histogram({
    name: "signet_log_commit_seconds",
    help: "Durable commits of the log.",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers,
  });
  const entries = new Counter({
    name: "signet_log_entries_total",
    help: "Entries committed since the daemon started.",
    registers,
  });
  const gauge = (name: string, help: string, read: () => number | Promise<number>) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        this.set(await settled(read));
      },
    });
  gauge("signet_log_size", "Entries of the log.", logSize);
  gauge("signet_sessions_open", "Signing sessions that are open.", openSessions);
  new Gauge({
    name: "signet_key_drift",
    help: "Key versions that are not at their custody as they were recorded, by finding; unreachable: no verdict.",
    labelNames: ["finding"],
    registers,
    collect() {
      for (const [finding, count] of drift?.() ?? []) this.set({ finding }, count);
    },
  });
  const calls = new Counter({
    name: "signet_custody_calls_total",
    help: "Calls of custodies outside the process by result: ok, or the code of a fault.",
    labelNames: ["custody", "call", "result"],
    registers,
  });
  const callSeconds = new Histogram({
    name: "signet_custody_call_seconds",
    help: "Calls of custodies outside the process, with their waiting for a turn.",
    labelNames: ["custody", "call"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const ofCustodies = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    read: (load: CustodyLoad) => readonly (readonly [Readonly<Record<L, string>>, number])[],
  ) =>
    new Gauge({
      name,
      help,
      labelNames: ["custody", ...labelNames],
      registers,
      collect() {
        for (const [custody, load] of custodies())
          for (const [labels, value] of read(load)) this.set({ custody, ...labels }, value);
      },
    });
  ofCustodies("signet_custody_calls_running", "Calls of a custody under way.", [], ({ running }) => [[{}, running]]);
  ofCustodies("signet_custody_calls_waiting", "Calls of a custody that wait for a turn.", [], ({ waiting }) => [
    [{}, waiting],
  ]);
  ofCustodies("signet_custody_breaker", "1 for the state that a custody's breaker is in.", ["state"], (load) =>
    breakerStates.map((state) => [{ state }, state === load.breaker ? 1 : 0]),
  );

  return {
    refused: byCode("signet_refusals_total", "Refusals by code."),
    faulted: byCode("signet_faults_total", "Faults by code."),
    stranger: byCode("signet_strangers_total", "Refusals of callers whom no grant and no role names; not in the log."),
    signed: (labels, count) => {
      signatures.inc(labels, count);
    },
    custodyCalled({ custody, call, result }, seconds) {
      calls.inc({ custody, call, result });
      callSeconds.observe({ custody, call }, seconds);
    },
    committed(seconds, leaves) {
      commits.observe(seconds);
      entries.inc(leaves);
    },
    answered(operation, outcome, seconds) {
      requests.inc({ operation, outcome });
      durations.observe({ operation }, seconds);
    },
    async expose() {
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

const noCustodies = (): ReadonlyMap<string, CustodyLoad> => new Map();
const breakerStates = ["closed", "open", "half-open"] as const satisfies readonly CustodyLoad["breaker"][];

/** A database that cannot be asked must not take the other numbers with it: then, of all times, they are looked at. */
async function settled(read: () => number | Promise<number>): Promise<number> {
  try {
    return await read();
  } catch {
    return Number.NaN;
  }
}
