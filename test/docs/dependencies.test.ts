// Each package that runs inside the daemon stands in ADR 1 with its reason, and is really used.

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";

const root = join(import.meta.dirname, "../..");
const text = (path: string): string => readFileSync(join(root, path), "utf8");
const packages = z.record(z.string(), z.string());
const manifest = z
  .object({ dependencies: packages, optionalDependencies: packages })
  .parse(JSON.parse(text("package.json")));
/** Optional ones are ours too where they are there; Node itself is no library. */
const dependencies = Object.fromEntries(
  Object.entries({ ...manifest.dependencies, ...manifest.optionalDependencies }).filter(
    ([name]) => !name.startsWith("node-linux-"),
  ),
);
const rows = [...text("docs/adr/0001-dependencies.md").matchAll(/^\| `([^`]+)` \| (.+) \| (.+) \|$/gm)];

test("ADR 1 names every runtime dependency and no other", () => {
  expect(rows.map(([, name]) => name).sort()).toEqual(Object.keys(dependencies).sort());
});

test("each is imported by a file of the rooms that ADR 1 names", () => {
  const sources = globSync("src/**/*.ts", { cwd: root }).map((path) => ({ path, text: text(path) }));
  const unused = rows.filter(([, name = "", where = ""]) => {
    const places = [...where.matchAll(/`([^`]+)`/g)].map(([, place = ""]) => `src/${place}`);
    const using = sources.filter(
      (source) => source.text.includes(`from "${name}`) || source.text.includes(`import("${name}`),
    );
    return using.length === 0 || !places.every((place) => using.some(({ path }) => path.startsWith(place)));
  });
  expect(unused.map(([line]) => line)).toEqual([]);
});

test("versions are exact", () => {
  for (const [name, version] of Object.entries(dependencies)) expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
});
