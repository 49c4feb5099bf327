// A whole Signet to test against: the real daemon as a child process with its own directory, an OIDC issuer that stands
// for the CI provider, and the people and jobs who use it. Everything is on loopback, and ends with the test.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { githubClaims, type TokenClaims } from "../../src/cli/dev/claims.ts";
import { type DevIssuer, startDevIssuer } from "../../src/cli/dev/issuer.ts";
import type { Operations, SignItemInput } from "../../src/client/answers.ts";
import { type Client, connect, isRefused, type Refused } from "../../src/client/connect.ts";
import { newProofKey, type ProofKey } from "../../src/client/proof.ts";
import type { Purpose } from "../../src/model/key.ts";
import { base64 } from "../../src/std/base64.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { parseReceipt } from "../../src/tlog/proof.ts";
import { freePort } from "./port.ts";

export const audience = "signet-test";
export const provenance = "https://slsa.dev/provenance/v1";

export interface HouseOptions {
  /** YAML of the grants file; the usual grant where absent. */
  readonly policy?: string;
  readonly approvals?: "two-persons" | "one-person";
  /** Lines of configuration, put at the end. */
  readonly config?: string;
  /** Audience of people's tokens, from the same issuer. */
  readonly people?: string;
  readonly bearer?: boolean;
  readonly openLog?: boolean;
  /** Keys that are made and activated; ATTESTATION key "attest" and BLOB key "release" where absent. */
  readonly keys?: readonly {
    readonly name: string;
    readonly purpose: Purpose;
    readonly algorithm?: "EC_P256" | "ED25519" | "RSA_3072" | "EC_P384";
    /** By the name that the configuration gives it; software where absent. */
    readonly custody?: string;
  }[];
  readonly uses?: number;
  /** How the daemon is started the first time. */
  readonly run?: Run;
}

export interface Run {
  /** Environment of the daemon, such as SIGNET_DANGEROUSLY_DIE_AT. */
  readonly env?: Readonly<Record<string, string>>;
  /** Put in front of node, such as strace and its arguments. */
  readonly under?: readonly string[];
  /** Options of node itself, such as --cpu-prof. */
  readonly node?: readonly string[];
  /** What runs instead of the sources: dist/main.js. */
  readonly program?: string;
  /** Milliseconds that it may take until it is ready; a minute where absent. */
  readonly patience?: number;
}

export interface Job {
  readonly client: Client;
  readonly key: ProofKey;
  readonly token: string;
  readonly session: string;
  sign(
    items: readonly SignItemInput[],
    options?: { readonly key?: string; readonly idempotencyKey?: string },
  ): Promise<Operations["Sign"]["answer"] | Refused>;
}

export interface House extends AsyncDisposable {
  readonly directory: string;
  readonly url: string;
  readonly port: number;
  readonly socket: string;
  readonly issuer: DevIssuer;
  readonly config: string;
  /** The running daemon, or the last one. */
  child(): ChildProcess;
  /** What daemons said on stderr, all of them. */
  said(): string;
  start(run?: Run): Promise<void>;
  /** Resolves with exit code or signal. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<number | string | null>;
  ended(): Promise<number | string | null>;
  /** The first operator, logged in; enrolled when asked for the first time. */
  operator(): Promise<Client>;
  /** The same, with what the login rests on: for whoever makes requests by hand. */
  operatorLogin(): Promise<{ readonly client: Client; readonly key: ProofKey; readonly token: string }>;
  openJob(options?: {
    readonly claims?: TokenClaims;
    readonly keys?: readonly string[];
    readonly uses?: number;
    readonly key?: ProofKey;
    readonly token?: string;
  }): Promise<Job | Refused>;
  /** The same, for a job that must get its session. */
  job(options?: Parameters<House["openJob"]>[0]): Promise<Job>;
  /** All entries, oldest first, through the auditor's door. */
  entries(): Promise<readonly Record<string, unknown>[]>;
}

export const usualPolicy = (issuer: string, uses = 1000): string => `grants:
  - name: release-tags
    who: { issuer: "${issuer}", projectId: "123456", ref: "refs/tags/v*", event: push }
    keys: [attest, release]
    what:
      statement: { predicateTypes: ["${provenance}", "https://example.com/test/v1"], subjects: ["*"] }
      blob: { names: ["*"] }
    limits: { uses: ${String(uses)}, ttl: PT15M }
`;

/** Started, with the usual keys active. */
export async function house(options: HouseOptions = {}): Promise<House> {
  const built = await bareHouse(options);
  try {
    await built.start(options.run);
    const operator = await built.operator();
    const keys = options.keys ?? [
      { name: "attest", purpose: "ATTESTATION" },
      { name: "release", purpose: "BLOB" },
    ];
    for (const { name, purpose, algorithm = "EC_P256", custody = "software" } of keys) {
      expectDone(await operator.ask("CreateKey", { input: { name, purpose, algorithm, custody } }));
      if (options.approvals !== "two-persons")
        expectDone(await operator.ask("ActivateKey", { input: { key: name, reason: "for the test" } }));
    }
    return built;
  } catch (error) {
    await built[Symbol.asyncDispose]();
    throw error;
  }
}

/** Not started yet. */
export async function bareHouse(options: HouseOptions = {}): Promise<House> {
  const directory = mkdtempSync(join(tmpdir(), "signet-house-"));
  const issuer = await startDevIssuer({ clock: systemClock, random: systemRandom });
  const port = await freePort();
  const url = `http://127.0.0.1:${String(port)}`;
  const socket = join(directory, "s.sock");
  const config = join(directory, "signet.yaml");
  mkdirSync(join(directory, "policy"));
  writeFileSync(join(directory, "policy", "grants.yaml"), options.policy ?? usualPolicy(issuer.issuer, options.uses));
  writeFileSync(join(directory, "master.key"), base64(systemRandom(32)), { mode: 0o600 });
  writeFileSync(config, configText(port, socket, issuer.issuer, options));

  let child: ChildProcess | undefined;
  let said = "";
  let operatorKey: ProofKey | undefined;

  const running = (): ChildProcess => {
    if (!child) throw new Error("the daemon was never started");
    return child;
  };

  async function ended(): Promise<number | string | null> {
    const one = running();
    if (one.exitCode === null && one.signalCode === null) await once(one, "exit");
    return one.exitCode ?? one.signalCode;
  }

  async function start({
    env = {},
    under = [],
    node = [],
    program = join(import.meta.dirname, "../../src/main.ts"),
    patience = 60_000,
  }: Run = {}): Promise<void> {
    const [command, ...args] = [...under, process.execPath, ...node, program, "--config", config];
    const one = spawn(command, args, {
      cwd: directory,
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    child = one;
    let own = "";
    one.stderr.on("data", (chunk: Buffer) => {
      own += chunk.toString();
      said += chunk.toString();
    });
    const deadline = Date.now() + patience;
    while (!own.includes("signetd is ready")) {
      if (one.exitCode !== null || one.signalCode !== null) throw new Error(`the daemon did not start: ${own}`);
      if (Date.now() > deadline) throw new Error(`the daemon is not ready after ${String(patience / 1000)} s: ${own}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async function stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<number | string | null> {
    const one = running();
    if (one.exitCode === null && one.signalCode === null) one.kill(signal);
    return ended();
  }

  async function operatorLogin(): ReturnType<House["operatorLogin"]> {
    const first = operatorKey === undefined;
    operatorKey ??= newProofKey();
    if (first) {
      const overSocket = connect({ address: `unix:${socket}`, key: operatorKey });
      expectDone(await overSocket.ask("EnrolFirstOperator", { input: { name: "First" } }));
      overSocket.close();
    }
    const client = connect({ address: url, key: operatorKey });
    const { token } = expectDone(await client.ask("OpenOperatorSession", { input: {} }));
    return { client: client.withToken(token), key: operatorKey, token };
  }

  const operator = async (): Promise<Client> => (await operatorLogin()).client;

  const openJob: House["openJob"] = async ({
    claims = {},
    keys = ["attest", "release"],
    uses,
    key = newProofKey(),
    token,
  } = {}) => {
    const identityToken = token ?? (await issuer.mint(githubClaims({ aud: audience, ...claims })));
    const client = connect({ address: url, key });
    const opened = await client.ask("OpenSession", {
      input: { identityToken, keys, ...(uses !== undefined && { uses }) },
    });
    if (isRefused(opened)) return opened;
    const held = client.withToken(opened.token);
    return {
      client: held,
      key,
      token: opened.token,
      session: opened.session.name,
      sign: (items, { key: name = "attest", idempotencyKey = crypto.randomUUID() } = {}) =>
        held.ask("Sign", { input: { idempotencyKey, key: name, items } }),
    };
  };

  return {
    directory,
    url,
    port,
    socket,
    issuer,
    config,
    child: running,
    said: () => said,
    start,
    stop,
    ended,
    operator,
    operatorLogin,
    openJob,
    job: async (given) => {
      const opened = await openJob(given);
      if (isRefused(opened)) throw new Error(`no session: ${opened.refusal} ${opened.message}`);
      return opened;
    },
    entries: () => operator().then(allEntries),
    async [Symbol.asyncDispose]() {
      if (child?.exitCode === null && child.signalCode === null) await stop("SIGKILL");
      await issuer[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Oldest first, all of them. */
export async function allEntries(auditor: Client): Promise<readonly Record<string, unknown>[]> {
  const out: Record<string, unknown>[] = [];
  for (let after: string | null = null; ; ) {
    const page: Operations["AuditList"]["answer"] = expectDone(
      await auditor.ask("AuditList", { filter: {}, first: 100, ...(after !== null && { after }) }),
    );
    for (const entry of page.nodes)
      out.push({
        index: entry.index,
        ...(JSON.parse(leafOf({ tlogProof: entry.receipt })) as Record<string, unknown>),
      });
    if (!page.pageInfo.hasNextPage) return out;
    after = page.pageInfo.endCursor ?? null;
    if (after === null) return out;
  }
}

/** The data of an answer that must not be a refusal. */
export function expectDone<T>(answer: T | Refused): T {
  if (isRefused(answer)) throw new Error(`refused: ${answer.refusal} ${answer.message}`);
  return answer;
}

/** Text of the leaf that a receipt carries. */
export const leafOf = ({ tlogProof }: { readonly tlogProof: string }): string =>
  Buffer.from(parseReceipt(tlogProof).extra ?? []).toString();

/** An attestation of something, no two alike. */
export const statement = (
  name = `artifact-${crypto.randomUUID()}.tgz`,
  predicateType = "https://example.com/test/v1",
): SignItemInput => ({
  statement: { subject: [{ name, digest: `sha256:${sha256Hex(name)}` }], predicateType, predicate: { built: true } },
});

export const blob = (name = "app.tgz", bytes = name): SignItemInput => ({
  blob: { name, digest: `sha256:${sha256Hex(bytes)}` },
});

function configText(port: number, socket: string, issuer: string, options: HouseOptions): string {
  return `origin: signet.test/log
stateDirectory: state
listeners:
  - unix: ${socket}
  - tcp: 127.0.0.1:${String(port)}
    openLog: ${String(options.openLog ?? true)}
    dangerouslyAllowBearer: ${String(options.bearer ?? false)}
masterKey: { file: master.key }
approvals: ${options.approvals ?? "one-person"}
issuers:
  - { issuer: "${issuer}", provider: github, audience: ${audience}, dangerouslyAllowHttp: true }
${options.people === undefined ? "" : `  - { issuer: "${issuer}", provider: person, audience: ${options.people}, dangerouslyAllowHttp: true }\n`}policy: policy
${options.config ?? ""}`;
}
