// A daemon for trying things: throw-away state, an identity provider that stands for CI, one operator, two keys that
// sign. It says what to type next, and forgets everything at Ctrl-C, unless it was given a folder.

import type { ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

import { connect } from "../client/connect.ts";
import { personKey, writeContexts, writeLogin } from "../client/contexts.ts";
import { readIfThere, writePrivate, writeWhole } from "../client/files.ts";
import { base64 } from "../std/base64.ts";
import { isJsonObject } from "../std/json.ts";
import { ended, spawnDaemon } from "./daemon-process.ts";
import { type JobEnvironment, startDevIssuer } from "./dev/issuer.ts";
import { exits, Failure, granted, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import type { World } from "./world.ts";

interface DevOptions {
  readonly dir?: string;
  readonly port?: string;
}

const keys = [
  { name: "attest", purpose: "ATTESTATION" },
  { name: "release", purpose: "BLOB" },
] as const;

export async function dev({ world, out, options }: Job<DevOptions>): Promise<number> {
  const port = options.port ?? "0";
  if (!/^\d{1,5}$/.test(port)) throw usage(`--port ${JSON.stringify(port)} is not a number`);
  const folder =
    options.dir === undefined ? await mkdtemp(join(tmpdir(), "signet-dev-")) : resolve(world.cwd, options.dir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await using issuer = await startDevIssuer({ clock: world.clock, random: world.random });
  await writeFiles(folder, port, issuer.issuer, world);
  out.say("folder", folder);

  const daemon = spawnDaemon(["--config", join(folder, "signet.yaml"), "--dev"], world.env, "pipe");
  const over = ended(daemon);
  const stop = (): void => void daemon.kill("SIGTERM");
  world.signal.addEventListener("abort", stop);
  try {
    const url = await ready(daemon, over, join(folder, "signetd.log"));
    await setUp(folder, url, world);
    await writeWhole(join(folder, "env"), environment(folder, url, issuer.job()));
    out.say("daemon", `${url} · process ${String(daemon.pid)} · its log is ${join(folder, "signetd.log")}`);
    out.say("keys", "attest (statements) and release (detached signatures), both active");
    out.print(next(folder));
    await over;
    if (!world.signal.aborted)
      throw new Failure({
        exit: exits.unexpected,
        code: "DAEMON_ENDED",
        message: "the daemon ended by itself",
        next: `read ${join(folder, "signetd.log")}`,
      });
    return exits.ok;
  } finally {
    stop();
    await over;
    if (options.dir === undefined) await rm(folder, { recursive: true, force: true });
  }
}

async function writeFiles(folder: string, port: string, issuer: string, world: World): Promise<void> {
  await mkdir(join(folder, "policy"), { recursive: true });
  const masterKey = join(folder, "master.key");
  // A folder used before keeps its key: without it the private keys there are lost.
  if ((await readIfThere(masterKey)) === undefined) await writePrivate(masterKey, `${base64(world.random(32))}\n`);
  await writeWhole(join(folder, "signet.yaml"), configuration(port, issuer));
  await writeWhole(join(folder, "policy", "dev.yaml"), policy(issuer));
}

const configuration = (
  port: string,
  issuer: string,
): string => `# For trying things: one person decides, and a stand-in for CI is believed. Never for real.
origin: signet.dev/log
stateDirectory: state
listeners:
  - unix: signet.sock
  - tcp: 127.0.0.1:${port}
    openLog: true
masterKey: { file: master.key }
approvals: one-person
policy: policy
issuers:
  - { issuer: "${issuer}", provider: github, audience: signet, dangerouslyAllowHttp: true, allowPrivateAddresses: true }
`;

const policy = (issuer: string): string => `grants:
  - name: dev
    who: { issuer: "${issuer}", projectId: "123456" }
    keys: [attest, release]
    what:
      statement: { predicateTypes: ["https://slsa.dev/provenance/v1"], subjects: ["*"] }
      blob: { names: ["*"] }
    limits: { uses: 1000, ttl: PT1H }
`;

/** The address it listens on, once it says that it is ready. Its words go to a file. */
async function ready(daemon: ChildProcess, over: Promise<number>, logFile: string): Promise<string> {
  if (daemon.stderr === null) throw new TypeError("the daemon was started without a pipe");
  const log = createWriteStream(logFile, { flags: "a", mode: 0o600 });
  const lines = createInterface({ input: daemon.stderr });
  const last: string[] = [];
  const url = new Promise<string>((found) => {
    lines.on("line", (line) => {
      log.write(`${line}\n`);
      last.push(line);
      if (last.length > 10) last.shift();
      const address = readyUrl(line);
      if (address !== undefined) found(address);
    });
  });
  const failed = over.then((code): never => {
    throw new Failure({
      exit: exits.unexpected,
      code: "DAEMON_ENDED",
      message: `the daemon did not start (exit ${String(code)})`,
      found: last.join("\n"),
    });
  });
  return Promise.race([url, failed]);
}

function readyUrl(line: string): string | undefined {
  try {
    const said: unknown = JSON.parse(line);
    if (!isJsonObject(said) || said["msg"] !== "signetd is ready" || !Array.isArray(said["urls"])) return undefined;
    return said["urls"].find((one): one is string => typeof one === "string" && one.startsWith("http://127.0.0.1:"));
  } catch {
    return undefined;
  }
}

/** The first operator, logged in from this folder's own configuration, and two keys. Done already: left as it is. */
async function setUp(folder: string, url: string, world: World): Promise<void> {
  const places = join(folder, "config", "signet");
  const key = await personKey(places);
  const socket = connect({ address: `unix:${join(folder, "signet.sock")}`, key, signal: world.signal });
  try {
    await socket.ask("EnrolFirstOperator", { input: { name: "dev" } });
  } finally {
    socket.close();
  }
  const stranger = connect({ address: url, key, signal: world.signal });
  try {
    const { token, expiresAt, operator } = granted(await stranger.ask("OpenOperatorSession", { input: {} }), {
      done: "logged in",
    });
    await writeLogin(places, "dev", { token, expiresAt, name: operator.name, byKey: true });
    await writeContexts(places, { current: "dev", contexts: [{ name: "dev", server: url }] });
    const client = stranger.withToken(token);
    const known = granted(await client.ask("Keys", {}), { done: "listed" });
    for (const { name, purpose } of keys) {
      if (known.some((one) => one.name === name)) continue;
      granted(await client.ask("CreateKey", { input: { name, purpose, algorithm: "EC_P256", custody: "software" } }), {
        done: "created",
        asked: `key ${name}`,
      });
      granted(await client.ask("ActivateKey", { input: { key: name, reason: "signet dev" } }), {
        done: "activated",
        asked: `key ${name}`,
      });
    }
  } finally {
    stranger.close();
  }
}

const environment = (folder: string, url: string, job: Readonly<Record<keyof JobEnvironment, string>>): string =>
  Object.entries({
    XDG_CONFIG_HOME: join(folder, "config"),
    XDG_STATE_HOME: join(folder, "local"),
    SIGNET_SERVER: url,
    ...job,
  })
    .map(([name, value]) => `export ${name}='${value}'\n`)
    .join("");

const next = (folder: string): string => `
In another terminal, as a CI job and its operator at once:

  . ${join(folder, "env")}
  signet sign --detached --key release --attest-key attest README.md
  signet key show release --pem > release.pem; signet key show attest --pem > attest.pem
  signet audit list
  signet verify README.md --key release.pem --key attest.pem

Ctrl-C stops it.`;
