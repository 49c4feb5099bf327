// A Vault of one's own for a test: a real server on loopback, in a folder of its own, ended by its pid.
//
// `devVault` keeps everything in memory and is unsealed from the start. `sealableVault` keeps it in files, so that it can be
// sealed, unsealed and started again with its keys. Tests set things up with the root token, through `api`.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import type { Certificate } from "./certificate.ts";
import { peer } from "./peers.ts";
import { freePort } from "./port.ts";

export interface VaultServer extends AsyncDisposable {
  readonly address: string;
  /** For its files; goes with the server. */
  readonly folder: string;
  /** Where the file audit device writes, once `audit` has been called. */
  readonly auditFile: string;
  rootToken(): string;
  /** Of the running process. */
  pid(): number;
  /** Asks as root, or with `token`; the answer's body, and its status. Undefined where there is no body. */
  api(method: string, path: string, body?: object, token?: string): Promise<{ status: number; body: unknown }>;
  /** The same, for what must succeed. */
  must(method: string, path: string, body?: object, token?: string): Promise<unknown>;
  /** Turns the file audit device on. */
  audit(): Promise<void>;
  /** Gives a token with these policies. `body`: more fields of auth/token/create. */
  token(policies: readonly string[], body?: object): Promise<string>;
  policy(name: string, text: string): Promise<void>;
}

export interface SealableVault extends VaultServer {
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Ends the process; with SIGKILL as a crash does. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** The same port and files; sealed. */
  start(): Promise<void>;
  /** Of the second listener, where there is one. */
  readonly tlsAddress: string;
}

export interface VaultOptions {
  /** Mounts of transit; `transit` where absent. */
  readonly mounts?: readonly string[];
}

export interface SealableOptions extends VaultOptions {
  /** A second listener, which asks for a client certificate that is this very one. */
  readonly mutualTls?: { readonly server: Certificate; readonly client: Certificate };
}

export async function devVault({ mounts = ["transit"] }: VaultOptions = {}): Promise<VaultServer> {
  const program = await peer("vault");
  const folder = mkdtempSync(join(tmpdir(), "vault-"));
  const port = await freePort();
  const flags = [
    "-dev",
    "-dev-no-store-token",
    "-dev-root-token-id=root",
    `-dev-listen-address=127.0.0.1:${String(port)}`,
  ];
  const running = await started(program, ["server", ...flags], folder, port);
  const server = serverAt(
    port,
    folder,
    () => "root",
    () => end(running, "SIGKILL"),
    () => running,
  );
  for (const mount of mounts) await server.must("POST", `sys/mounts/${mount}`, { type: "transit" });
  return server;
}

export async function sealableVault({ mounts = ["transit"], mutualTls }: SealableOptions = {}): Promise<SealableVault> {
  const program = await peer("vault");
  const folder = mkdtempSync(join(tmpdir(), "vault-"));
  const port = await freePort();
  const config = join(folder, "vault.hcl");
  const tlsPort = await freePort();
  mkdirSync(join(folder, "storage"));
  writeFileSync(
    config,
    fileConfig(folder, port, await freePort()) + (mutualTls ? tlsListener(folder, tlsPort, mutualTls) : ""),
  );
  const begin = (): Promise<ChildProcess> => started(program, ["server", `-config=${config}`], folder, port);
  let running = await begin();
  let root = "";
  const server = serverAt(
    port,
    folder,
    () => root,
    () => end(running, "SIGKILL"),
    () => running,
  );
  const made = (await server.must("POST", "sys/init", { secret_shares: 1, secret_threshold: 1 }, "")) as {
    readonly keys_base64: readonly string[];
    readonly root_token: string;
  }; // as sys/init answers
  root = made.root_token;
  const unseal = async (): Promise<void> => {
    await server.must("POST", "sys/unseal", { key: made.keys_base64[0] }, "");
    await ready(port, (status) => status === 200);
  };
  await unseal();
  for (const mount of mounts) await server.must("POST", `sys/mounts/${mount}`, { type: "transit" });
  return {
    ...server,
    tlsAddress: `https://127.0.0.1:${String(tlsPort)}`,
    unseal,
    seal: async () => {
      await server.must("POST", "sys/seal");
    },
    stop: (signal = "SIGTERM") => end(running, signal),
    start: async () => {
      running = await begin();
    },
  };
}

/** Integrated storage with one node: the `minimal` build has no other that outlives the process. */
const fileConfig = (folder: string, port: number, clusterPort: number): string => `
disable_mlock = true
api_addr = "http://127.0.0.1:${String(port)}"
cluster_addr = "http://127.0.0.1:${String(clusterPort)}"
storage "raft" {
  path = "${join(folder, "storage")}"
  node_id = "alone"
  performance_multiplier = 1
}
listener "tcp" {
  address = "127.0.0.1:${String(port)}"
  tls_disable = true
}
`;

function tlsListener(
  folder: string,
  port: number,
  { server, client }: NonNullable<SealableOptions["mutualTls"]>,
): string {
  const at = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  return `
listener "tcp" {
  address = "127.0.0.1:${String(port)}"
  tls_cert_file = "${at("tls.pem", server.cert)}"
  tls_key_file = "${at("tls.key", server.key)}"
  tls_client_ca_file = "${at("client.pem", client.cert)}"
  tls_require_and_verify_client_cert = true
}
`;
}

async function started(program: string, args: readonly string[], folder: string, port: number): Promise<ChildProcess> {
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", HOME: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
  const ended = once(child, "exit").then(() => {
    throw new Error(`vault ended: ${said}`);
  });
  await Promise.race([ready(port, (status) => status > 0), ended]);
  ended.catch(() => undefined);
  return child;
}

/** sys/health: 200 active, 501 not initialised, 503 sealed. */
async function ready(port: number, enough: (status: number) => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const status = await fetch(`http://127.0.0.1:${String(port)}/v1/sys/health`).then(
      (response) => response.status,
      () => 0,
    );
    if (enough(status)) return;
    if (Date.now() > deadline) throw new Error(`vault is not ready on port ${String(port)}: ${String(status)}`);
    await sleep(50);
  }
}

async function end(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

function serverAt(
  port: number,
  folder: string,
  rootToken: () => string,
  stop: () => Promise<void>,
  running: () => ChildProcess,
): VaultServer {
  const address = `http://127.0.0.1:${String(port)}`;
  const auditFile = join(folder, "audit.log");
  const api: VaultServer["api"] = async (method, path, body, token = rootToken()) => {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: token === "" ? {} : { "x-vault-token": token },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
  };
  const must: VaultServer["must"] = async (method, path, body, token) => {
    const answer = await api(method, path, body, token);
    if (answer.status >= 300)
      throw new Error(`${method} ${path}: ${String(answer.status)} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  return {
    address,
    folder,
    auditFile,
    rootToken,
    pid: () => running().pid ?? 0,
    api,
    must,
    audit: async () => {
      await must("PUT", "sys/audit/file", { type: "file", options: { file_path: auditFile } });
    },
    token: async (policies, body = {}) => {
      const made = await must("POST", "auth/token/create", { policies, no_parent: true, ...body });
      return (made as { readonly auth: { readonly client_token: string } }).auth.client_token; // as token/create answers
    },
    policy: async (name, text) => {
      await must("PUT", `sys/policies/acl/${name}`, { policy: text });
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
