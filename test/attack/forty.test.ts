// Is every one of the forty attacks either tried in this folder or marked as not yet possible, and none of them both?

import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { forty } from "./forty.ts";

const sources = globSync("*.test.ts", { cwd: import.meta.dirname }).map((name) =>
  readFileSync(new URL(name, import.meta.url), "utf8"),
);
const tried = new Set(
  sources.flatMap((text) => [...text.matchAll(/["'`]attack (\d+)[:"'`]/g)].map(([, number]) => Number(number))),
);

test("the table has forty numbers, in order", () => {
  expect(forty.map(({ number }) => number)).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
});

test.each(forty.map(({ number, title, notYet }) => [number, title, notYet] as const))(
  "number %i, %s, is tried or says why not",
  (number, _, notYet) => {
    expect(tried.has(number)).toBe(notYet === undefined);
  },
);

test("no test has a number outside the table", () => {
  expect([...tried].filter((number) => number < 1 || number > forty.length)).toEqual([]);
});
