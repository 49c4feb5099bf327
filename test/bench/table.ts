// The table for people, from rows: `node test/bench/table.ts FILE`, where FILE is what `npm run bench -- --json` wrote.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { Row, Scenario } from "./row.ts";

export interface Aim<R> {
  readonly of: (row: R) => number | null;
  readonly words: string;
  readonly least?: number;
  readonly below?: number;
}

const ratio = (least: number): Aim<Row> => ({
  of: (row) => row.ratioToBareHttp,
  words: `ratio ≥ ${String(least)}`,
  least,
});
const p99: Aim<Row> = { of: (row) => row.p99Ms, words: "p99 < 40 ms", below: 40 };
const p95: Aim<Row> = { of: (row) => row.p95Ms, words: "p95 < 50 ms", below: 50 };
const rss: Aim<Row> = { of: (row) => row.rssMb, words: "RSS < 300 MB", below: 300 };

const aims: Partial<Record<Scenario, readonly Aim<Row>[]>> = {
  "single-dpop": [ratio(0.08), p99, rss],
  "single-bearer": [ratio(0.14), p99, rss],
  "batch-100": [ratio(0.7), rss],
  "audit-by-key": [p95],
  "audit-by-digest": [p95],
  "audit-by-principal": [p95],
};

export interface Column<R> {
  readonly title: string;
  readonly of: (row: R) => string;
}

/** What a run of wrk comes to, whatever it is compared with. */
export const measuredColumns: readonly Column<
  Omit<Row, "scenario" | "ratioToBareHttp"> & { readonly scenario: string }
>[] = [
  { title: "scenario", of: (row) => row.scenario },
  { title: "requests/s", of: (row) => number(row.requestsPerSecond, 0) },
  { title: "signatures/s", of: (row) => number(row.signaturesPerSecond, 0) },
  { title: "p50 ms", of: (row) => number(row.p50Ms, 1) },
  { title: "p95 ms", of: (row) => number(row.p95Ms, 1) },
  { title: "p99 ms", of: (row) => number(row.p99Ms, 1) },
  { title: "µs CPU/signature", of: (row) => number(row.cpuMicrosPerSignature, 0) },
  { title: "RSS MB", of: (row) => number(row.rssMb, 0) },
  { title: "fsyncs/s", of: (row) => number(row.fsyncsPerSecond, 0) },
  { title: "bytes/entry", of: (row) => number(row.bytesPerEntry, 0) },
];

const columns: readonly Column<Row>[] = [
  ...measuredColumns,
  { title: "ratio", of: (row) => number(row.ratioToBareHttp, 3) },
  { title: "aim", of: (row) => verdicts(aims[row.scenario] ?? [], row) },
];

/** Markdown, so that it can be pasted. */
export const tableOf = (rows: readonly Row[]): string => markdown(columns, rows);

/** The first and the last column are words, the others numbers. */
export function markdown<R>(columns: readonly Column<R>[], rows: readonly R[]): string {
  const isLeft = (at: number): boolean => at === 0 || at === columns.length - 1;
  const cells = rows.map((row) => columns.map((column) => column.of(row)));
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)));
  const padded = (line: readonly string[]): string =>
    `| ${line.map((cell, at) => (isLeft(at) ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join(" | ")} |\n`;
  const rule = `|${widths.map((width, at) => (isLeft(at) ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|\n`;
  return padded(columns.map(({ title }) => title)) + rule + cells.map(padded).join("");
}

export const verdicts = <R>(aims: readonly Aim<R>[], row: R): string =>
  aims.map((aim) => `${aim.words} ${verdict(aim, row)}`).join(", ");

function verdict<R>({ of, least, below }: Aim<R>, row: R): string {
  const value = of(row);
  if (value === null) return "(unknown)";
  return value >= (least ?? 0) && value < (below ?? Number.POSITIVE_INFINITY) ? "✓" : "✗";
}

export const number = (value: number | null, digits: number): string =>
  value === null ? "" : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const lines = readFileSync(process.argv[2] ?? "/dev/stdin", "utf8")
    .trim()
    .split("\n");
  process.stdout.write(tableOf(lines.map((line) => JSON.parse(line) as Row))); // as bench.ts wrote them
}
