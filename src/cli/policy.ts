// Which job may sign what: tried before it takes effect, shown, and explained.

import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";

import type { Operations } from "../client/answers.ts";
import { isJsonObject } from "../std/json.ts";
import { indexOf } from "./audit-show.ts";
import { exits, granted, notFound, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { said } from "./leaf.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { checkDuration, wholeNumber } from "./session.ts";
import { several } from "./words.ts";

export async function test({ world, out, words }: Job): Promise<number> {
  const name = words[0] ?? ".";
  const folder = resolve(world.cwd, name);
  const names = (await readdir(folder)).filter((one) => /\.ya?ml$/.test(one)).sort();
  if (names.length === 0) throw notFound(`${name} holds no policy file`, "policy files end in .yaml");
  const files = await Promise.all(
    names.map(async (one) => ({ path: one, text: await readFile(join(folder, one), "utf8") })),
  );
  const { loadPolicy, PolicyError } = await import("../policy/index.ts");
  try {
    const policy = loadPolicy(files);
    out.one(
      [
        [
          "ok",
          `${several(files.length, "file")}, ${several(policy.grants.length, "grant")}, ${several(policy.cases, "case")} passed`,
        ],
        ["policy", policy.hash],
      ],
      { ok: true, files: names, grants: policy.grants.length, cases: policy.cases, policy: policy.hash },
    );
    return exits.ok;
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const { problems } = error;
    out.list(
      "problems",
      problems,
      [
        { title: "PLACE", cell: (one) => `${one.file}:${String(one.line)}:${String(one.column)}` },
        { title: "PROBLEM", cell: (one) => one.message },
      ],
      (one) => one,
    );
    throw usage(
      `the policy does not load: ${several(problems.length, "problem")}`,
      "nothing changed: a daemon that watches this folder keeps the policy it has",
    );
  }
}

interface ExplainOptions extends GlobalOptions {
  readonly entry?: string;
  readonly identity?: string;
  readonly key?: readonly string[];
  readonly uses?: string;
  readonly ttl?: string;
}

export async function explain(job: Job<ExplainOptions>): Promise<number> {
  const { world, out, options } = job;
  const input = await questionOf(job);
  const { client } = await connectedClient(world, options);
  try {
    const found = granted(await client.ask("Explain", { input }), { done: "explained", asked: "a decision" });
    if (out.format === "table") {
      out.print(
        `${found.effect === "permit" ? "allowed" : "refused"} by policy ${found.policy.slice(0, 19)}…${found.inForce ? " (in force)" : " (not in force any more)"}`,
      );
      for (const line of found.text) out.print(`  ${line}`);
    } else out.one([], found);
    return exits.ok;
  } finally {
    client.close();
  }
}

async function questionOf({
  world,
  options,
}: Job<ExplainOptions>): Promise<Operations["Explain"]["variables"]["input"]> {
  const { entry, identity, key = [], uses, ttl } = options;
  if ((entry === undefined) === (identity === undefined))
    throw usage(
      "explain what?",
      "--entry INDEX for a past request, or --identity FILE --key NAME for one that might come",
    );
  if (entry !== undefined) return { entry: indexOf(entry) };
  if (key.length === 0) throw usage("--identity needs the key that is asked for", "--key NAME");
  if (ttl !== undefined) checkDuration("--ttl", ttl);
  return {
    hypothetical: {
      identity: await identityIn(world.cwd, identity ?? ""),
      keys: key,
      uses: uses === undefined ? undefined : wholeNumber("--uses", uses),
      ttl,
    },
  };
}

async function identityIn(cwd: string, path: string) {
  try {
    const value: unknown = JSON.parse(await readFile(resolve(cwd, path), "utf8"));
    if (isJsonObject(value)) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw usage(
    `--identity ${path} is not a JSON object`,
    'such as {"issuer": "https://token.actions.githubusercontent.com", "projectId": "123456", "ref": "refs/tags/v1"}',
  );
}

export async function show({
  world,
  out,
  options,
}: Job<GlobalOptions & { readonly files?: boolean }>): Promise<number> {
  const { client } = await connectedClient(world, options);
  try {
    const policy = granted(await client.ask("Policy", {}), { done: "shown", asked: "the policy in force" });
    if (out.format !== "table") out.one([], policy);
    else if (options.files) for (const { path, text } of policy.files) out.print(`# ${path}\n${text.trimEnd()}\n`);
    else {
      out.print(`policy     ${policy.hash}`);
      out.print(`files      ${policy.files.map((one) => one.path).join(" ")}`);
      out.print(`cases      ${several(policy.cases, "case")} passed before it took effect`);
      const grants: readonly unknown[] = Array.isArray(policy.grants) ? policy.grants : [];
      out.list(
        "grants",
        grants.filter(isJsonObject),
        [
          { title: "GRANT", cell: (one) => said(one["name"]) },
          { title: "ISSUER", cell: (one) => said(one["issuer"]) },
          { title: "KEYS", cell: (one) => (Array.isArray(one["keys"]) ? one["keys"].join(" ") : "") },
          { title: "FILE", cell: (one) => `${said(one["file"])}:${said(one["line"])}` },
        ],
        (one) => one,
      );
    }
    return exits.ok;
  } finally {
    client.close();
  }
}
