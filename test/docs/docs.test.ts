// The pages are tried as a reader would try them: commands run, configurations load, policies pass their own cases,
// links lead somewhere. A page that lies is red.

import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

import { ConfigError, readConfig } from "../../src/config.ts";
import { loadPolicy, PolicyError } from "../../src/policy/index.ts";
import { type Finished, run } from "../support/command.ts";
import { lacks } from "../support/peers.ts";
import { type Block, blocksOf, useOf } from "./blocks.ts";

const root = join(import.meta.dirname, "../..");
const pages = [...globSync("*.md", { cwd: root }), ...globSync("{docs,deploy}/**/*.md", { cwd: root })].sort();
const withoutOpenssl = await lacks("openssl");

const scratch = mkdtempSync(join(tmpdir(), "signet-docs-"));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

test("there are pages, and blocks that run", () => {
  expect(pages).toContain("README.md");
  const runs = pages.flatMap((page) => blocksOf(join(root, page)).filter((block) => useOf(block) === "run"));
  expect(runs.length).toBeGreaterThan(2);
});

describe.each(pages)("%s", (page) => {
  const blocks = blocksOf(join(root, page));
  const folder = join(scratch, page.replaceAll("/", "_"));
  mkdirSync(folder);

  test("says of every block what it is for", () => {
    const complaints = blocks.flatMap((block) => {
      const use = useOf(block);
      return typeof use === "string" ? [] : [`${placeOf(page, block)}: ${use.complaint}`];
    });
    expect(complaints).toEqual([]);
  });

  test("links lead to files that are there", () => {
    const text = readFileSync(join(root, page), "utf8").replaceAll(/^```[\s\S]*?^```/gm, "");
    const targets = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target = ""]) => target);
    const dead = targets.filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(root, dirname(page), target)));
    expect(dead).toEqual([]);
  });

  for (const [at, block] of blocks.entries()) {
    const place = placeOf(page, block);
    const use = useOf(block);
    if (use === "run") {
      const after = blocks[at + 1];
      const output = after && useOf(after) === "output" ? after.text : undefined;
      test.skipIf(withoutOpenssl)(`${place} runs`, { timeout: 120_000 }, () => tryCommands(folder, block.text, output));
    } else if (use === "output") {
      test(`${place} stands after a block that runs`, () => {
        const before = blocks[at - 1];
        expect(before && useOf(before)).toBe("run");
      });
    } else if (use === "config") {
      test(`${place} is a configuration`, () => {
        loadConfig(folder, block.text);
      });
    } else if (use === "policy") {
      test(`${place} is a policy whose cases pass`, () => {
        tryPolicy(place, block.text);
      });
    }
  }
});

test("deploy/signet.yaml is a configuration", () => {
  loadConfig(scratch, readFileSync(join(root, "deploy/signet.yaml"), "utf8"));
});

describe("a page that lies is red", () => {
  test("a command that fails", async () => {
    await expect(tryCommands(scratch, "true\nsignet explain SGN-0000\ntrue\n", undefined)).rejects.toThrow("SGN-0000");
  });
  test("a pipeline whose first command fails", async () => {
    await expect(tryCommands(scratch, "false | cat\n", undefined)).rejects.toThrow();
  });
  test("output that no command wrote", async () => {
    await expect(tryCommands(scratch, "echo one\n", "two\n")).rejects.toThrow();
  });
  test("a configuration with a misspelt key", () => {
    const text = readFileSync(join(root, "deploy/signet.yaml"), "utf8").replace("stateDirectory:", "stateDirektory:");
    expect(() => {
      loadConfig(scratch, text);
    }).toThrow("stateDirektory");
  });
  test("a policy whose case does not come out", () => {
    const text = readFileSync(join(root, "deploy/policy/release.yaml"), "utf8").replace("mustDeny:", "mustAllow:");
    expect(() => {
      tryPolicy("x", text);
    }).toThrow();
  });
  test.each(["sh", "bash run", "sh example", "sh example: no", "console", "yaml", "yaml example"])(
    "an unmarked ```%s",
    (info) => {
      const [language = "", ...mark] = info.split(" ");
      expect(useOf({ line: 1, language, mark: mark.join(" "), text: "" })).toHaveProperty("complaint");
    },
  );
});

const placeOf = (page: string, { line }: Block): string => `${page}:${String(line)}`;

/** Blocks of a page share a directory, as a reader's shell would; each is a script that stops at the first failure. */
async function tryCommands(folder: string, script: string, output: string | undefined): Promise<void> {
  const done = await run("bash", ["-euo", "pipefail", "-c", script], {
    cwd: folder,
    timeout: 90_000,
    env: { PATH: path, HOME: folder, REPOSITORY: root, LC_ALL: "C.UTF-8" },
  });
  if (done.status !== 0) throw new Error(said(script, done));
  if (output !== undefined) expect(done.stdout).toBe(output);
}

const path = [join(root, "deploy/bin"), dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"].join(":");
const said = (script: string, { status, stdout, stderr }: Finished): string =>
  `status ${String(status)} of\n${script}\nstdout:\n${stdout}\nstderr:\n${stderr}`;

/** The secrets that examples point at are there: `master.key`, the credential `master-key`, SIGNET_MASTER_KEY. */
function loadConfig(folder: string, text: string): void {
  const key = Buffer.alloc(32, 7).toString("base64");
  for (const name of ["master.key", "master-key"]) writeFileSync(join(folder, name), key, { mode: 0o600 });
  const file = join(folder, "signet.yaml");
  writeFileSync(file, text);
  chmodSync(file, 0o600);
  try {
    readConfig(file, { CREDENTIALS_DIRECTORY: folder, SIGNET_MASTER_KEY: key });
  } catch (error) {
    throw error instanceof ConfigError ? new Error(relative(folder, error.message)) : error;
  }
}

function tryPolicy(place: string, text: string): void {
  try {
    loadPolicy([{ path: "policy.yaml", text }]);
  } catch (error) {
    throw error instanceof PolicyError ? new Error(`${place}: ${error.message}`) : error;
  }
}
