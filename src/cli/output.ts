// Two streams, kept apart: stdout carries what was asked for, stderr everything said to people.

import { styleText } from "node:util";

import { type Column, table, visible } from "./table.ts";
import { count } from "./words.ts";
import type { World } from "./world.ts";

export const formats = ["table", "json", "jsonl"] as const;
export type Format = (typeof formats)[number];

/** Whole sentences about long work: rewritten in place on a terminal, else a line every ten seconds. */
interface Progress {
  readonly at: (done: number, of: number) => void;
  readonly end: () => void;
}

export interface Output {
  readonly format: Format;
  /** For people: a label and what belongs to it. Nothing under --quiet. */
  readonly say: (label: string, text: string) => void;
  /** For people, as it is. */
  readonly tell: (line: string) => void;
  /** Something a person must not overlook: also under --quiet. */
  readonly warn: (line: string) => void;
  /** A line of stdout, whatever the format. */
  readonly print: (line: string) => void;
  /** Rows: a table, `{schemaVersion, <name>: […]}`, or an object per line. */
  readonly list: <Row>(
    name: string,
    rows: readonly Row[],
    columns: readonly Column<Row>[],
    json: (row: Row) => object,
  ) => void;
  /** One thing: lines of label and text, or an object. */
  readonly one: (lines: readonly (readonly [label: string, text: string | undefined])[], json: object) => void;
  readonly progress: (doing: string) => Progress;
  readonly style: (style: "bold" | "red" | "green" | "yellow" | "dim", text: string) => string;
}

const labelWidth = 11;
const often = 100; // milliseconds between two states on a terminal
const seldom = 10_000; // and in a log

export function outputTo(world: World, format: Format, quiet: boolean): Output {
  const { stdout, stderr } = world;
  const colour = (stderr.isTTY ?? false) && !world.env["NO_COLOR"] && world.env["TERM"] !== "dumb";
  const print = (line: string): void => void stdout.write(`${line}\n`);
  const warn = (line: string): void => void stderr.write(`${line}\n`);
  const tell = (line: string): void => {
    if (!quiet) warn(line);
  };
  return {
    format,
    print,
    tell,
    warn,
    say: (label, text) => {
      tell(`${label.padEnd(labelWidth)}${text.replaceAll("\n", `\n${" ".repeat(labelWidth)}`)}`);
    },
    list: (name, rows, columns, json) => {
      if (format === "json") print(JSON.stringify({ schemaVersion: 1, [name]: rows.map(json) }, undefined, 2));
      else if (format === "jsonl") for (const row of rows) print(JSON.stringify(json(row)));
      else for (const line of table(rows, columns, stdout.isTTY ? stdout.columns : undefined)) print(line);
    },
    one: (lines, json) => {
      if (format === "json") print(JSON.stringify(json, undefined, 2));
      else if (format === "jsonl") print(JSON.stringify(json));
      else
        for (const [label, text] of lines) if (text !== undefined) print(`${label.padEnd(labelWidth)}${visible(text)}`);
    },
    progress: (doing) => progressOn(world, doing, quiet),
    style: (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text),
  };
}

function progressOn({ stderr, clock }: World, doing: string, quiet: boolean): Progress {
  const terminal = stderr.isTTY ?? false;
  let last = clock();
  let drawn = false;
  return {
    at: (done, of) => {
      const now = clock();
      if (quiet || now - last < (terminal ? often : seldom)) return;
      last = now;
      const state = `${doing}  ${count(done)} of ${count(of)} (${String(Math.floor((100 * done) / Math.max(1, of)))} %)`;
      stderr.write(terminal ? `\r\u001b[K${state}` : `${state}\n`);
      drawn = terminal;
    },
    end: () => {
      if (drawn) stderr.write("\r\u001b[K");
    },
  };
}
