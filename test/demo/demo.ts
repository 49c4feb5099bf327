// The main job in under a minute and a half, on this machine alone: `npm run demo`.
//
// Everything is done by the programs that users have, signetd and signet, each as a process of its own; this script
// stands for the people and the CI provider around them, and for the strangers who check with openssl and cosign.
// `-- --keep DIR` leaves what was made, so that anyone can check it with other tools; `-- --custody vault` or `pkcs11`
// makes the keys in a Vault or a SoftHSM token that is started for it, instead of in the daemon.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs, styleText } from "node:util";
import { startDevIssuer } from "../../src/cli/dev/issuer.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { onPath, run } from "../support/command.ts";
import { demoCustodies, placeOf } from "./custody.ts";

const { values } = parseArgs({
  options: { keep: { type: "string" }, custody: { type: "string", default: "software" } },
});
const custody = demoCustodies.find((one) => one === values.custody);
if (custody === undefined) throw new Error(`--custody takes ${demoCustodies.join(", ")}, not "${values.custody}"`);
const root = resolve(import.meta.dirname, "../..");
const keep = values.keep === undefined ? undefined : resolve(values.keep);
const started = performance.now();
const folder = mkdtempSync(join(tmpdir(), "signet-demo-"));
const people = { XDG_CONFIG_HOME: join(folder, "config"), XDG_STATE_HOME: join(folder, "local") };

await using issuer = await startDevIssuer({ clock: systemClock, random: systemRandom });
await using place = await placeOf(custody, folder);
let daemon: ChildProcess | undefined;
let failed = false;
try {
  await demo();
} catch (error) {
  failed = true;
  console.error(`\n${bad("the demo failed")}: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  if (daemon?.exitCode === null) {
    daemon.kill("SIGTERM");
    await new Promise((done) => daemon?.once("exit", done));
  }
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

async function demo(): Promise<void> {
  heading("1", `an operator starts the daemon: SQLite, ${place.words}, a stand-in for the CI provider`);
  const url = await startDaemon();
  const operator = { ...people, SIGNET_SERVER: url };
  await signet(["operator", "enrol-first", "Demo"], {
    ...people,
    SIGNET_SERVER: `unix:${join(folder, "signet.sock")}`,
  });
  await signet(["login", "--key"], operator);
  for (const [name, purpose] of [
    ["release", "blob"],
    ["attest", "attestation"],
  ] as const) {
    const there = place.custody === "software" ? [] : ["--custody", place.custody];
    await signet(["key", "create", name, "--purpose", purpose, ...there], operator);
    await signet(["key", "activate", name, "--reason", "the demo"], operator);
    writeFileSync(join(folder, `${name}.pem`), await signet(["key", "show", name, "--pem"], operator, "quiet"));
  }

  heading("2", "this repository is packed, as a release would be");
  const artifact = await pack();

  heading("3", "a CI job of tag v1.4.0 signs it: no key, no secret, only the token that its CI provider gives it");
  const job = { SIGNET_SERVER: url, ...issuer.job() };
  await signet(["sign", "--detached", "--key", "release", "--attest-key", "attest", artifact], job);

  heading("4", "strangers check it, with the public key alone");
  const signature = `${artifact}.sig`;
  await tool("openssl", ["dgst", "-sha256", "-verify", join(folder, "release.pem"), "-signature", signature, artifact]);
  await cosign(artifact);

  heading("5", "a second job, from a branch, asks for the same and is refused");
  const branch = {
    SIGNET_SERVER: url,
    ...issuer.job({
      ref: "refs/heads/feature-x",
      ref_type: "branch",
      ref_protected: "false",
      run_id: "988",
      workflow_ref: "acme/app/.github/workflows/release.yml@refs/heads/feature-x",
    }),
  };
  const refused = await signet(["sign", "--detached", "--key", "release", artifact], branch, "refused");
  if (!refused.includes("SGN-2101"))
    throw new Error(`the wrong branch was refused otherwise than by policy:\n${refused}`);

  heading("6", "an auditor lists both, each entry proved against the log's checkpoint");
  await signet(["audit", "list"], operator);

  heading("7", "and anybody verifies the receipts offline, with the log's vkey");
  await stopDaemon();
  const vkey = join(folder, "log.vkey");
  await signet(
    ["verify", artifact, "--key", join(folder, "release.pem"), join(folder, "attest.pem"), "--vkey", vkey],
    {},
  );
  await signet(["audit", "fsck", join(folder, "state", "log"), "--vkey", vkey], {});

  if (keep !== undefined) leave(artifact, keep);
  summary(keep);
}

async function startDaemon(): Promise<string> {
  mkdirSync(join(folder, "policy"));
  writeFileSync(join(folder, "master.key"), randomBytes(32), { mode: 0o600 });
  writeFileSync(join(folder, "policy", "release.yaml"), policy());
  writeFileSync(join(folder, "signet.yaml"), configuration());
  const child = spawn(join(root, "deploy/bin/signetd"), ["--config", join(folder, "signet.yaml")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  daemon = child;
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (!line.includes("signetd is ready")) continue;
    const { urls, vkey } = JSON.parse(line) as { urls: string[]; vkey: string }; // our own log line
    child.stderr.resume();
    writeFileSync(join(folder, "log.vkey"), `${vkey}\n`);
    const url = urls.find((one) => one.startsWith("http://127.0.0.1:"));
    if (url === undefined) break;
    console.log(`   signetd listens on ${url}, process ${String(child.pid)}`);
    return url;
  }
  throw new Error(`signetd did not start:\n${said.join("\n")}`);
}

/** In good order: the last checkpoint is published before it ends. */
async function stopDaemon(): Promise<void> {
  if (!daemon) return;
  const over = new Promise((done) => daemon?.once("exit", done));
  daemon.kill("SIGTERM");
  const code = await over;
  if (code !== 0) throw new Error(`signetd ended with ${String(code)}`);
}

async function pack(): Promise<string> {
  const packed = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], {
    cwd: root,
  });
  const name = packed.stdout.trim().split("\n").at(-1) ?? "";
  if (packed.status !== 0 || name === "") throw new Error(`npm pack failed:\n${packed.stderr}`);
  console.log(`   ${name}`);
  return join(folder, name);
}

async function cosign(artifact: string): Promise<void> {
  if (onPath("cosign") === undefined) {
    console.log(
      "   cosign is not on PATH; with it, these would be checked too: cosign verify-blob, verify-blob-attestation",
    );
    return;
  }
  const rootFile = join(folder, "no-trusted-root.json");
  writeFileSync(rootFile, '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}');
  const offline = ["--insecure-ignore-tlog=true", "--trusted-root", rootFile];
  await tool("cosign", [
    "verify-blob",
    "--key",
    join(folder, "release.pem"),
    "--bundle",
    `${artifact}.sigstore.json`,
    ...offline,
    artifact,
  ]);
  await tool("cosign", [
    "verify-blob-attestation",
    "--key",
    join(folder, "attest.pem"),
    "--bundle",
    `${artifact}.intoto.sigstore.json`,
    "--type",
    "slsaprovenance1",
    ...offline,
    artifact,
  ]);
}

/** Runs the client as a user would. `refused` expects exit code 5 and gives what was said. */
async function signet(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  how: "shown" | "quiet" | "refused" = "shown",
): Promise<string> {
  if (how !== "quiet")
    console.log(
      styleText("dim", `   $ signet ${args.map((arg) => (arg.startsWith(folder) ? basename(arg) : arg)).join(" ")}`),
    );
  const done = await run(join(root, "deploy/bin/signet"), args, { env: { NO_COLOR: "1", ...env } });
  if (how !== "quiet") process.stdout.write(indented(done.stderr + done.stdout));
  if (done.status !== (how === "refused" ? 5 : 0))
    throw new Error(`signet ${args[0] ?? ""} ended with ${String(done.status)}\n${done.stderr}`);
  return how === "refused" ? done.stderr : done.stdout;
}

/** A stranger's tool, which must accept. */
async function tool(program: string, args: readonly string[]): Promise<void> {
  console.log(
    styleText("dim", `   $ ${program} ${args.map((arg) => (arg.startsWith(folder) ? basename(arg) : arg)).join(" ")}`),
  );
  const done = await run(program, args);
  process.stdout.write(indented(done.stdout + done.stderr));
  if (done.status !== 0) throw new Error(`${program} did not accept the signature`);
}

function leave(artifact: string, to: string): void {
  mkdirSync(to, { recursive: true });
  cpSync(artifact, join(to, "artifact"));
  for (const ending of ["sig", "sigstore.json", "intoto.sigstore.json", "tlog-proof", "intoto.tlog-proof"]) {
    const from = `${artifact}.${ending}`;
    if (!existsSync(from)) throw new Error(`signet sign did not write ${basename(from)}`);
    cpSync(from, join(to, `artifact.${ending}`));
  }
  for (const name of ["release.pem", "attest.pem", "log.vkey"]) cpSync(join(folder, name), join(to, name));
  rmSync(join(to, "log"), { recursive: true, force: true });
  cpSync(join(folder, "state", "log"), join(to, "log"), { recursive: true });
}

function summary(to: string | undefined): void {
  const [, size = "?"] = readFileSync(join(folder, "state", "log", "checkpoint"), "utf8").split("\n");
  console.log(
    `\n${good("done")} in ${((performance.now() - started) / 1000).toFixed(0)} s: one job signed, one was refused, and the log of ${size} entries proves both.`,
  );
  if (to !== undefined)
    console.log(
      `kept in ${to}: the artifact, its signatures and receipts, the public keys, and the log as static files`,
    );
  console.log(`
what next
  1. try it by hand          npx signet dev
  2. run it for real         docs/guide/quick-start.md
  3. check the log yourself  docs/audit-log.md says how, with tools that are not ours
`);
}

function heading(number: string, text: string): void {
  console.log(`\n${styleText("bold", `${number}. ${text}`)}`);
}

function good(text: string): string {
  return styleText("green", text);
}

function bad(text: string): string {
  return styleText("red", text);
}

function indented(text: string): string {
  return text.replaceAll(folder, "…").replaceAll(/^(?=.)/gm, "   ");
}

function configuration(): string {
  return `origin: demo.signet.example/log
stateDirectory: state
listeners:
  - unix: signet.sock
  - tcp: 127.0.0.1:0
masterKey: { file: master.key }
approvals: one-person
policy: policy
issuers:
  - { issuer: "${issuer.issuer}", provider: github, audience: signet, dangerouslyAllowHttp: true }
${place.config}`;
}

function policy(): string {
  return `grants:
  - name: release-tags
    who: { issuer: "${issuer.issuer}", projectId: "123456", ref: "refs/tags/v*", event: push }
    keys: [release, attest]
    what:
      statement: { predicateTypes: ["https://slsa.dev/provenance/v1"], subjects: ["*.tgz"] }
      blob: { names: ["*.tgz"] }
    limits: { uses: 5, ttl: PT10M }
`;
}
