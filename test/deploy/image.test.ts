// There is no container engine in the tests, so the Dockerfile is read: what an image of ours has to promise, and
// whether what it copies is there and reaches the build.

import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const file = readFileSync(join(root, "deploy/Dockerfile"), "utf8");
const allowed = readFileSync(join(root, "deploy/Dockerfile.dockerignore"), "utf8")
  .split("\n")
  .flatMap((line) => (line.startsWith("!") ? [line.slice(1)] : []));

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Dockerfile reference, "Format": one instruction a line, `\` joins lines, `#` begins a comment. */
function instructionsOf(text: string): readonly Instruction[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n");
  return lines.flatMap((line) => {
    const [, name, rest] = /^([A-Z]+)\s+(.+)$/.exec(line.trim()) ?? [];
    if (line.trim() !== "" && (name === undefined || rest === undefined))
      throw new SyntaxError(`no instruction: ${line}`);
    return name === undefined || rest === undefined ? [] : [{ name, rest }];
  });
}

/** One list for each FROM; what stands before the first is the preamble. */
function stagesOf(instructions: readonly Instruction[]): readonly (readonly Instruction[])[] {
  const stages: Instruction[][] = [];
  for (const one of instructions) {
    if (one.name === "FROM") stages.push([one]);
    else stages.at(-1)?.push(one);
  }
  return stages;
}

const instructions = instructionsOf(file);
const stages = stagesOf(instructions);
const final = stages.at(-1) ?? [];
const all = (stage: readonly Instruction[], name: string): readonly string[] =>
  stage.filter((one) => one.name === name).map(({ rest }) => rest);

describe("the image", () => {
  test("is built in one stage and shipped in another, on bases that whoever builds pins", () => {
    expect(stages).toHaveLength(2);
    expect(all(instructions, "FROM").map((from) => from.replace(/\$\{(\w+)\}/, "$1"))).toEqual([
      "BUILD_IMAGE AS build",
      "RUNTIME_IMAGE",
    ]);
    const args = all(instructions, "ARG");
    expect(args.filter((one) => one.endsWith("_IMAGE"))).not.toHaveLength(0);
    expect(args.filter((one) => one.includes("_IMAGE="))).toEqual([]);
    expect(all(stages[0] ?? [], "RUN")[0]).toContain("@sha256:");
  });

  test("runs nothing while the shipped stage is made: it has no shell", () => {
    expect(all(final, "RUN")).toEqual([]);
    for (const name of ["ENTRYPOINT", "CMD"]) {
      const [command = ""] = all(final, name);
      expect(JSON.parse(command), name).toEqual(expect.arrayContaining([expect.any(String)]));
    }
  });

  test("is a numeric user without privileges, set before anything could run as root", () => {
    const [user = ""] = all(final, "USER");
    expect(user).toMatch(/^[1-9]\d{3,}:[1-9]\d{3,}$/);
    expect(final.findIndex(({ name }) => name === "USER")).toBeLessThan(
      final.findIndex(({ name }) => name === "ENTRYPOINT"),
    );
  });

  test("writes to the state directory only, which belongs to that user", () => {
    const [user = ""] = all(final, "USER");
    const [volume = "[]"] = all(final, "VOLUME");
    expect(JSON.parse(volume)).toEqual(["/var/lib/signet"]);
    expect(all(final, "COPY")).toContain(`--from=build --chown=${user} /state /var/lib/signet`);
  });

  test("stops at SIGTERM, which the daemon answers by finishing what it accepted", () => {
    expect(all(final, "STOPSIGNAL")).toEqual(["SIGTERM"]);
  });

  test("says what it is", () => {
    const [labels = ""] = all(final, "LABEL");
    for (const name of ["title", "description", "licenses", "version", "revision"]) {
      expect(labels).toContain(`org.opencontainers.image.${name}=`);
    }
    const { license, description } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<
      string,
      string
    >;
    expect(labels).toContain(`licenses="${String(license)}"`);
    expect(labels).toContain(String(description).replace("A signing broker: ", ""));
  });

  test("copies only what is there and what the build context lets through", () => {
    const copies = stages.flatMap((stage) => all(stage, "COPY")).filter((copy) => !copy.startsWith("--from="));
    const sources = copies.flatMap((copy) => copy.split(/\s+/).slice(0, -1));
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      expect(existsSync(join(root, source)), source).toBe(true);
      expect(allowed, source).toContain(source.replace(/^\.\//, ""));
    }
  });

  test("holds every file that the built daemon reads beside its code", () => {
    const [built = ""] = all(stages[0] ?? [], "RUN").filter((run) => run.includes("npm run build"));
    expect(built).toContain("src/db/migrations/*.sql dist/db/migrations/");
    expect(globSync("src/db/migrations/*.sql", { cwd: root })).not.toHaveLength(0);
    const beside = globSync("src/**/*", { cwd: root, withFileTypes: true }).filter(
      (one) => one.isFile() && !one.name.endsWith(".ts"),
    );
    expect([...new Set(beside.map(({ parentPath }) => parentPath))]).toEqual([join(root, "src/db/migrations")]);
    expect(all(final, "COPY")).toContain("--from=build /opt/signet/schema ./schema");
  });

  test("never asks for a moving tag or fetches with ADD", () => {
    expect(all(instructions, "ADD")).toEqual([]);
    expect(instructions.map(({ rest }) => rest).join("\n")).not.toContain(":latest");
  });
});
