// What one scenario came to, as `--json` writes it and table.ts reads it. Null: it has no meaning there.

export interface Row {
  readonly scenario: Scenario;
  readonly requestsPerSecond: number;
  readonly signaturesPerSecond: number | null;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** User and system time of the server's process alone, over all its threads. */
  readonly cpuMicrosPerSignature: number | null;
  /** The most that the server's process ever held, from its start on. */
  readonly rssMb: number;
  /** Durable commits, each one fdatasync of the write-ahead log. */
  readonly fsyncsPerSecond: number | null;
  /** Everything in the state directory after the daemon stopped, by entries of the log. */
  readonly bytesPerEntry: number | null;
  /** Signatures per second, or requests where nothing is signed, to requests per second of bare-http. */
  readonly ratioToBareHttp: number | null;
}

export const scenarios = [
  "bare-http",
  "empty-query",
  "raw-sign",
  "raw-group-commit",
  "single-dpop",
  "single-bearer",
  "batch-100",
  "single-digest",
  "batch-100-digest",
  "open-session",
  "audit-by-key",
  "audit-by-digest",
  "audit-by-principal",
] as const;
export type Scenario = (typeof scenarios)[number];

export const isScenario = (text: string): text is Scenario => scenarios.some((one) => one === text);
