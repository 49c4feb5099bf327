// What the package ships is what tsc makes of the sources: every module that a built file names must be there.

import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { run } from "../support/command.ts";

const root = resolve(import.meta.dirname, "../..");

test("every relative import of the build names a built file", { timeout: 120_000 }, async () => {
  const out = mkdtempSync(join(tmpdir(), "signet-build-"));
  try {
    const built = await run(join(root, "node_modules/.bin/tsc"), ["-p", "tsconfig.build.json", "--outDir", out], {
      cwd: root,
      timeout: 100_000,
    });
    expect(built).toMatchObject({ status: 0 });
    const named = globSync("**/*.js", { cwd: out }).flatMap((file) =>
      [...readFileSync(join(out, file), "utf8").matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map(([, to = ""]) => ({
        file,
        to,
      })),
    );
    expect(named.length).toBeGreaterThan(500);
    expect(named.filter(({ file, to }) => !existsSync(resolve(out, dirname(file), to)))).toEqual([]);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
