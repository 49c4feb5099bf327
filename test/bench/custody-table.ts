// The rows of npm run bench:custody and their table for people: `node test/bench/custody-table.ts FILE`, where FILE is what
// `npm run bench:custody -- --json` wrote.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { Row } from "./row.ts";
import { type Aim, type Column, markdown, measuredColumns, number, verdicts } from "./table.ts";

export const custodyScenarios = [
  "vault-single",
  "vault-batch-100",
  "software-single",
  "software-batch-100",
  "transit-single",
  "transit-batch-100",
  "module-alone",
  "pkcs11-single",
  "pkcs11-batch-100",
  "vault-low-load",
  "transit-low-load",
] as const;
export type CustodyScenario = (typeof custodyScenarios)[number];

export const isCustodyScenario = (text: string): text is CustodyScenario =>
  custodyScenarios.some((one) => one === text);

/** As npm run bench writes its rows, and what they are compared with; null where that is nothing. */
export type CustodyRow = Omit<Row, "scenario"> & {
  readonly scenario: CustodyScenario;
  /** Signatures per second to those of Vault alone in the same run, single to single and batch to batch. */
  readonly ratioToVault: number | null;
  /** To those of the PKCS#11 module alone. */
  readonly ratioToModule: number | null;
  /** Milliseconds: the median of one caller through Signet, less that of one caller straight to Vault. */
  readonly addedP50Ms: number | null;
};

const toVault = (least: number): Aim<CustodyRow> => ({
  of: (row) => row.ratioToVault,
  words: `ratio to Vault ≥ ${String(least)}`,
  least,
});
const toModule = (least: number): Aim<CustodyRow> => ({
  of: (row) => row.ratioToModule,
  words: `ratio to the module ≥ ${String(least)}`,
  least,
});
const added: Aim<CustodyRow> = { of: (row) => row.addedP50Ms, words: "added p50 < 3 ms", below: 3 };

const aims: Partial<Record<CustodyScenario, readonly Aim<CustodyRow>[]>> = {
  "software-single": [toVault(1)],
  "software-batch-100": [toVault(1.5)],
  "transit-single": [toVault(0.6)],
  "transit-batch-100": [toVault(0.4)],
  "pkcs11-single": [toModule(0.2)],
  "pkcs11-batch-100": [toModule(0.4)],
  "transit-low-load": [added],
};

const columns: readonly Column<CustodyRow>[] = [
  ...measuredColumns,
  { title: "ratio to Vault", of: (row) => number(row.ratioToVault, 3) },
  { title: "ratio to module", of: (row) => number(row.ratioToModule, 3) },
  { title: "added p50 ms", of: (row) => number(row.addedP50Ms, 2) },
  { title: "aim", of: (row) => verdicts(aims[row.scenario] ?? [], row) },
];

/** Markdown, so that it can be pasted. */
export const tableOfCustodies = (rows: readonly CustodyRow[]): string => markdown(columns, rows);

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const lines = readFileSync(process.argv[2] ?? "/dev/stdin", "utf8")
    .trim()
    .split("\n");
  process.stdout.write(tableOfCustodies(lines.map((line) => JSON.parse(line) as CustodyRow))); // as custody.ts wrote them
}
