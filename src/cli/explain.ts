// What an error code means, from the one table, without asking anybody.

import { type Code, errorTable } from "../model/errors.ts";
import { codeNamed, exits, notFound } from "./failure.ts";
import type { Job } from "./job.ts";

export function explain({ out, words }: Job): Promise<number> {
  const [name] = words;
  if (name === undefined) {
    const codes = Object.keys(errorTable) as Code[]; // keys of the table are its codes
    out.list(
      "codes",
      codes,
      [
        { title: "NUMBER", cell: (code) => errorTable[code].number },
        { title: "CODE", cell: (code) => code },
        { title: "EXIT", cell: (code) => String(errorTable[code].exit), right: true },
        { title: "MEANING", cell: (code) => errorTable[code].title },
      ],
      jsonOf,
    );
    return Promise.resolve(exits.ok);
  }
  const code = codeNamed(name);
  if (code === undefined)
    throw notFound(
      `there is no error code ${JSON.stringify(name)}`,
      "signet explain lists them all; they look like SGN-2101 or POLICY_DENIED",
    );
  const row = errorTable[code];
  if (out.format === "table") {
    out.print(`${row.number}  ${code}`);
    out.print(`${row.title} (exit code ${String(row.exit)})`);
    out.print("");
    out.print(row.explain);
  } else out.one([], jsonOf(code));
  return Promise.resolve(exits.ok);
}

const jsonOf = (code: Code): object => ({ code, ...errorTable[code] });
