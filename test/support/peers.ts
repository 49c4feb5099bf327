// How does a test use the tools of other people: fsck, omniwitness, cosign, openssl, strace, gcc, wrk?
//
// A suite that imports this file runs after the quick ones (vitest.config.ts), while the tools are being built. A tool
// that cannot be had fails the test in CI; on a laptop the test is skipped, with one loud line that says why.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { TestContext } from "vitest";
import type { PeerName } from "../peers/catalog.ts";
import { install, PeerMissing } from "../peers/install.ts";
import { type Finished, type RunOptions, run } from "./command.ts";

const attempts = new Map<PeerName, Promise<string>>();

/**
 * The path of the tool's program; waits for a running installation, installs it otherwise, which can take minutes: a
 * suite asks `lacks` first. When it cannot be had: throws in CI; elsewhere skips the test of `context`.
 */
export async function peer(name: PeerName, context?: Pick<TestContext, "skip">): Promise<string> {
  const attempt = attempts.get(name) ?? install(name, say);
  attempts.set(name, attempt);
  try {
    return await attempt;
  } catch (cause) {
    if (!(cause instanceof PeerMissing)) throw cause;
    const reason = `${name}: ${cause.message}. To install: node test/peers/install.ts ${name}`;
    if (isCi()) throw new PeerMissing(`${reason} (CI runs every test, so this one fails)`, { cause });
    sayOnce(`SKIP ${reason}`);
    if (context !== undefined) context.skip(reason);
    throw cause;
  }
}

/**
 * For the head of a suite: `describe.skipIf(await lacks("fsck"))("…", …)`. False when all the tools are there, after
 * waiting for them; true on a laptop that cannot have one, after the line that says so; throws in CI.
 */
export async function lacks(...names: readonly PeerName[]): Promise<boolean> {
  try {
    for (const name of names) await peer(name);
    return false;
  } catch (cause) {
    if (!(cause instanceof PeerMissing) || isCi()) throw cause;
    return true;
  }
}

export const isCi = (): boolean => !["", "0", "false"].includes(process.env["CI"] ?? "");

/** Past vitest's capture of the console, so that nobody overlooks it. */
const say = (line: string): void => {
  process.stderr.write(`peers: ${line}\n`);
};

const said = new Set<string>();
const sayOnce = (line: string): void => {
  if (!said.has(line)) say(line);
  said.add(line);
};

/** What tessera's fsck found: the whole log is consistent, or why not. */
export type FsckVerdict =
  | { readonly ok: true; readonly size: number; readonly rootHash: string }
  | { readonly ok: false; readonly why: string };

/**
 * Checks a static log tree (C2SP tlog-tiles) with a stranger's tool. `log` is a folder, or a URL that ends in a slash;
 * `vkeyFile` holds the log's verifier key. fsck's exit status says nothing and a failed check may hang, so only its
 * "Successfully fsck'd" line counts, and the end of `timeout` (milliseconds) is a refusal.
 */
export async function runFsck(
  log: string,
  vkeyFile: string,
  options: { readonly timeout?: number } = {},
): Promise<FsckVerdict> {
  const url = /^(file|https?):/.test(log) ? log : `${pathToFileURL(log).href}/`;
  const flags = ["-N", "16", "-ui=false", "-logtostderr", `-storage_url=${url}`, `-public_key=${vkeyFile}`];
  const { status, stderr } = await run(await peer("fsck"), flags, { timeout: options.timeout ?? 60_000 });
  const [, size, rootHash] = /Successfully fsck'd log with size (\d+) and root (\S+)/.exec(stderr) ?? [];
  if (size !== undefined && rootHash !== undefined) return { ok: true, size: Number(size), rootHash };
  return { ok: false, why: status === null ? `no verdict in time: ${stderr}` : stderr };
}

export type Omniwitness = AsyncDisposable & {
  /** Base URL that ends in a slash; add-checkpoint (C2SP tlog-witness) is below it. */
  readonly url: string;
  /** The witness's verifier key of signature type 4, cosignature/v1. */
  readonly vkey: string;
  /** Ends the process; its memory of our log is gone. */
  stop(): Promise<void>;
};

/** Starts a witness of its own for one log: `origin` as in its checkpoints, `vkey` its verifier key. */
export async function startOmniwitness(log: {
  readonly origin: string;
  readonly vkey: string;
  /** Name of the witness, the first part of its vkey. */
  readonly name?: string;
}): Promise<Omniwitness> {
  const program = await peer("omniwitness");
  const folder = mkdtempSync(join(tmpdir(), "omniwitness-"));
  const vkey = await makeWitnessKey(program, folder, log.name ?? "witness.example.test/w1");
  writeFileSync(join(folder, "logs.yaml"), logList(log));
  const port = await freePort();
  const child = spawn(program, witnessFlags(folder, port), { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  let talk = "";
  child.stderr.on("data", (chunk: Buffer) => (talk += chunk.toString()));
  const ended = once(child, "close");
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await Promise.race([ended, sleep(3000, undefined, { ref: false })]);
    child.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  if (!(await Promise.race([accepts(port, 20_000), ended.then(() => false)]))) {
    await stop();
    throw new Error(`omniwitness did not answer on port ${port.toString()}: ${talk}`);
  }
  return { url: `http://127.0.0.1:${port.toString()}/`, vkey, stop, [Symbol.asyncDispose]: stop };
}

/** The feeder is off, so the URL is never asked; omniwitness wants one. */
const logList = (log: { readonly origin: string; readonly vkey: string }): string => `Logs:
  - Origin: ${log.origin}
    URL: http://127.0.0.1:1/
    PublicKey: ${log.vkey}
    Feeder: none
`;

const witnessFlags = (folder: string, port: number): readonly string[] => [
  `--listen=127.0.0.1:${port.toString()}`,
  "--metrics_listen=",
  `--db_file=${join(folder, "witness.db")}`,
  `--private_key_path=${join(folder, "witness.sec")}`,
  `--additional_logs=${join(folder, "logs.yaml")}`,
];

async function makeWitnessKey(program: string, folder: string, name: string): Promise<string> {
  const [secret, shown] = [join(folder, "witness.sec"), join(folder, "witness.pub")];
  const keys = join(dirname(program), "witness_keys");
  const made = await run(keys, [`--origin=${name}`, `--out_priv=${secret}`, `--out_pub=${shown}`]);
  if (made.status !== 0) throw new Error(`witness_keys failed: ${made.stderr}`);
  return readFileSync(shown, "utf8").trim();
}

/** A port that was free a moment ago: omniwitness does not tell which one it got, so it has to be told. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === "object" && address !== null) resolve(address.port);
        else reject(new Error("a TCP server without a port"));
      });
    });
  });
}

/** True as soon as somebody accepts connections on the port, false after `limit` milliseconds. */
async function accepts(port: number, limit: number): Promise<boolean> {
  const deadline = Date.now() + limit;
  while (Date.now() < deadline) {
    if (await isOpen(port)) return true;
    await sleep(50);
  }
  return false;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      resolve(true);
      socket.destroy();
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}

/**
 * Runs cosign with no network at all: an empty trusted root and signing configuration instead of those it would fetch,
 * no demand for a public transparency log, and a dead proxy should it try all the same. COSIGN_PASSWORD is empty.
 */
export async function cosign(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const program = await peer("cosign");
  const home = mkdtempSync(join(tmpdir(), "cosign-"));
  try {
    return await run(program, [...args, ...offlineFlags(args[0] ?? "", home)], {
      ...options,
      env: { HOME: home, COSIGN_PASSWORD: "", ...DEAD_PROXY, ...options.env },
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const DEAD_PROXY = {
  HTTP_PROXY: "http://127.0.0.1:1",
  HTTPS_PROXY: "http://127.0.0.1:1",
  NO_PROXY: "127.0.0.1,localhost",
};

/** Sigstore's TrustedRoot 0.1 and SigningConfig 0.2 with no service in them. */
function offlineFlags(command: string, home: string): readonly string[] {
  const trustedRoot = join(home, "trusted-root.json");
  const signingConfig = join(home, "signing-config.json");
  writeFileSync(
    trustedRoot,
    JSON.stringify({ mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1" }),
  );
  writeFileSync(
    signingConfig,
    JSON.stringify({
      mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
      rekorTlogConfig: {},
      tsaConfig: {},
    }),
  );
  if (command.startsWith("verify")) return ["--trusted-root", trustedRoot, "--insecure-ignore-tlog"];
  if (/^(sign|attest)(-blob)?$/.test(command))
    return ["--yes", "--trusted-root", trustedRoot, "--signing-config", signingConfig];
  return [];
}
