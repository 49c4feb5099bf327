// Attacks on what operators write: patterns that say more than they seem to, and YAML that is a bomb. Refused when the
// file is read, with its line; a running daemon keeps the set in force.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, readConfig } from "../../src/config.ts";
import { loadPolicy, PolicyError } from "../../src/policy/index.ts";
import { run } from "../support/command.ts";
import { expectDone, statement } from "../support/house.ts";
import { expectAlive, jobOf, type Scene, scene, wildPolicy } from "./scene.ts";

let home: Scene;
beforeAll(async () => {
  home = await scene();
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const problems = (text: string): readonly string[] => {
  try {
    loadPolicy([{ path: "grants.yaml", text }]);
    return [];
  } catch (error) {
    if (error instanceof PolicyError) return error.message.split("\n");
    throw error;
  }
};

const withRef = (ref: string): string => `grants:
  - name: tags
    who: { issuer: "https://issuer.example", projectId: "1", ref: ${ref} }
    keys: [release]
    what: { blob: { names: ["*"] } }
    limits: { uses: 1, ttl: PT1M }
`;

describe("attack 22", () => {
  test.each([
    ['"refs/tags/v1|refs/heads/x"'],
    ['"^refs/tags/v.*"'],
    ['"refs/tags/v1$"'],
    ['"refs/tags/(v1)"'],
    ['"refs/tags/v[0-9]"'],
    ['"refs/tags/v?"'],
    ['"refs/tags/v\\\\d"'],
    ['"refs/tags/**x"'],
    ['"refs//v1"'],
    ['"refs/tags/../heads/x"'],
    ['""'],
  ])("%s is no pattern, and its line is named", (ref) => {
    expect(problems(withRef(ref))).toEqual([expect.stringMatching(/^grants\.yaml:3:\d+: /)]);
    expect(problems(withRef('"refs/tags/v*"'))).toEqual([]);
  });
  test("a grant that names nobody by an immutable id", () => {
    expect(problems(withRef('"refs/tags/v*"').replace('projectId: "1"', "project: acme/app"))[0]).toContain(
      "names no immutable id",
    );
    expect(problems(withRef('"refs/tags/v*"').replace('projectId: "1"', 'projectId: "*"'))[0]).toContain(
      "compared exactly",
    );
  });
});

const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi"
  .split("")
  .map((name, at) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefgh"[at] ?? ""}`).join(",")}]\n`)
  .join("")}`;
const hostile: readonly (readonly [string, string])[] = [
  ["an alias bomb", `${bomb}grants: *i\n`],
  ["one alias", `${withRef('"refs/tags/v*"').replace("keys: [release]", "keys: &k [release]")}x: *k\n`],
  ["a merge key", `${withRef('"refs/tags/v*"')}<<: { grants: [] }\n`],
  ["a key twice", `${withRef('"refs/tags/v*"')}grants: []\n`],
  ["a limit twice", withRef('"refs/tags/v*"').replace("uses: 1,", "uses: 1, uses: 100000,")],
  ["__proto__", `${withRef('"refs/tags/v*"')}__proto__: { grants: [] }\n`],
  ["__proto__ within", withRef('"refs/tags/v*"').replace("limits: {", "limits: { __proto__: { uses: 100000 },")],
  ["constructor", `${withRef('"refs/tags/v*"')}constructor: { prototype: {} }\n`],
  ["1e3 as a ref", withRef("1e3")],
  ["yes as a ref", withRef("true")],
  ["a tag", withRef("!!js/function 'x'")],
  ["a huge scalar", withRef(`"${"x".repeat(300_000)}"`)],
  ["a hundred thousand brackets", `grants: ${"[".repeat(100_000)}`],
  ["two documents", `${withRef('"refs/tags/v*"')}---\ngrants: []\n`],
  ["half a character", withRef('"refs/tags/\ud800"')],
  ["an unknown field", withRef('"refs/tags/v*"').replace("keys:", "key:")],
];

describe("attack 35", () => {
  test.each(hostile)("%s in a policy is refused with its line, soon", (_, text) => {
    const began = performance.now();
    expect(problems(text)[0]).toMatch(/^grants\.yaml:\d+:\d+: /);
    expect(performance.now() - began).toBeLessThan(3000);
    expect({}).not.toHaveProperty("uses");
  });

  test.each([
    ["an alias bomb", `${bomb}origin: *i\n`],
    ["a key twice", "origin: a.example\norigin: b.example\n"],
    ["__proto__", "__proto__: { origin: a.example }\n"],
    ["a hundred thousand brackets", `origin: ${"[".repeat(100_000)}`],
    ["1e3 as a name", "origin: 1e3\n"],
    ["an unknown key", "orgin: a.example\n"],
  ])("%s in the configuration is refused", (_, text) => {
    const file = join(home.directory, "hostile.yaml");
    writeFileSync(file, text);
    const began = performance.now();
    expect(() => readConfig(file, {})).toThrow(ConfigError);
    expect(performance.now() - began).toBeLessThan(3000);
    expect(Object.hasOwn(Object.prototype, "origin")).toBe(false);
  });

  test("signetd --check says the line and ends with 2", async () => {
    const file = join(home.directory, "hostile.yaml");
    writeFileSync(file, "origin: a.example\norgin: b.example\n");
    const main = join(import.meta.dirname, "../../src/main.ts");
    const { status, stderr } = await run(process.execPath, [main, "--config", file, "--check"]);
    expect(status).toBe(2);
    expect(stderr).toContain("hostile.yaml:2:1: orgin: is not a key that Signet knows");
  });

  test("a running daemon that is given a bomb keeps the set in force, says so, and takes the mended file", async () => {
    const grants = join(home.directory, "policy/grants.yaml");
    const inForce = expectDone(await home.auditor.ask("Policy", {})).hash;
    const trouble = async () =>
      expectDone(await home.auditor.ask("Health", {})).checks.find(({ name }) => name === "policy files");
    writeFileSync(grants, `${bomb}grants: *i\n`);
    home.child().kill("SIGHUP");
    await expect.poll(trouble, { timeout: 10_000 }).toMatchObject({ status: "warn" });
    expect(expectDone(await home.auditor.ask("Policy", {})).hash).toBe(inForce);
    expectDone(await (await jobOf(home)).sign([statement()]));
    writeFileSync(grants, `${wildPolicy(home.issuer.issuer)}# mended\n`);
    home.child().kill("SIGHUP");
    await expect
      .poll(async () => expectDone(await home.auditor.ask("Policy", {})).hash, { timeout: 10_000 })
      .not.toBe(inForce);
    expect(await trouble()).toBeUndefined();
    await expectAlive(home);
  }, 40_000);
});
