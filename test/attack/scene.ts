// Where the attacks take place: a real daemon with several issuers and grants, requests that no client of ours would
// send, and the questions asked after each attack: is it in the log, is anything spent, is the daemon alive?

import { readFileSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { expect } from "vitest";
import { githubClaims, type TokenClaims } from "../../src/cli/dev/claims.ts";
import type { Operations, SignItemInput } from "../../src/client/answers.ts";
import { type Client, isRefused, type Refused } from "../../src/client/connect.ts";
import { documentOf } from "../../src/client/documents.ts";
import type { Code } from "../../src/model/errors.ts";
import type { KeyAlgorithm, Purpose } from "../../src/model/key.ts";
import { makeProof, type ProofWanted, type ProofKey as WrongProofKey } from "../support/dpop.ts";
import {
  allEntries,
  audience,
  bareHouse,
  expectDone,
  type House,
  type HouseOptions,
  type Job,
} from "../support/house.ts";

export interface Scene extends House {
  /** The first operator, logged in once. */
  readonly auditor: Client;
}

export interface SceneOptions extends HouseOptions {
  /** YAML list elements, under the issuers of the configuration. */
  readonly issuers?: readonly string[];
  readonly make?: readonly (readonly [name: string, purpose: Purpose, algorithm?: KeyAlgorithm])[];
}

export const gitlabAudience = "signet-gitlab";

/** Grants by tenant, so that each test can be a repository of its own and has its own ten refusals a minute. */
export const wildPolicy = (issuer: string): string => `grants:
  - name: any-repository
    who: { issuer: "${issuer}", tenantId: "9876", ref: "refs/tags/v*" }
    keys: [attest, release, wide]
    what:
      statement: { predicateTypes: ["https://slsa.dev/provenance/v1", "https://example.com/test/v1"], subjects: ["*"] }
      blob: { names: ["**"] }
    limits: { uses: 100, ttl: PT15M }
  - name: one-repository
    who: { issuer: "${issuer}", projectId: "123456", project: acme/app, ref: "refs/tags/v*", event: push }
    keys: [pinned]
    what: { statement: { predicateTypes: ["https://example.com/test/v1"], subjects: ["*"] } }
    limits: { uses: 100, ttl: PT15M }
  - name: production
    who: { issuer: "${issuer}", tenantId: "9876", ref: "refs/**", refProtected: true, environment: production }
    keys: [guarded]
    what: { statement: { predicateTypes: ["https://example.com/test/v1"], subjects: ["*"] } }
    limits: { uses: 100, ttl: PT15M }
    needs: { protectedRef: true, hostedRunner: true }
`;

const usualKeys = [
  ["attest", "ATTESTATION"],
  ["release", "BLOB"],
] as const;

export async function scene({ issuers = [], make = usualKeys, ...options }: SceneOptions = {}): Promise<Scene> {
  const home = await bareHouse(options);
  try {
    if (options.policy === undefined)
      writeFileSync(`${home.directory}/policy/grants.yaml`, wildPolicy(home.issuer.issuer));
    const config = readFileSync(home.config, "utf8");
    writeFileSync(
      home.config,
      config.replace(/^issuers:\n/m, `issuers:\n${issuers.map((one) => `  - ${one}\n`).join("")}`),
    );
    await home.start();
    const auditor = await home.operator();
    for (const [name, purpose, algorithm = "EC_P256"] of make) {
      expectDone(await auditor.ask("CreateKey", { input: { name, purpose, algorithm, custody: "software" } }));
      expectDone(await auditor.ask("ActivateKey", { input: { key: name, reason: "for the test" } }));
    }
    return Object.assign(home, { auditor });
  } catch (error) {
    await home[Symbol.asyncDispose]();
    throw new Error(`no scene; the daemon said:\n${home.said()}`, { cause: error });
  }
}

let repositories = 500_000;
/** A repository that no other test of this file has: claims, and the id under which the log knows it. */
export function newRepository(claims: TokenClaims = {}): { readonly id: string; readonly claims: TokenClaims } {
  const id = String(repositories++);
  return { id, claims: { repository_id: id, ...claims } };
}

/** A job of a repository of its own. */
export async function jobOf(
  home: Scene,
  {
    keys = ["attest"],
    uses = 5,
    claims = {},
  }: { readonly keys?: readonly string[]; readonly uses?: number; readonly claims?: TokenClaims } = {},
): Promise<Job & { readonly repository: string }> {
  const { id, claims: own } = newRepository(claims);
  return { ...(await home.job({ claims: own, keys, uses })), repository: id };
}

/** An identity token of this house's issuer for our audience. */
export const tokenOf = (home: House, claims: TokenClaims = {}): Promise<string> =>
  home.issuer.mint(githubClaims({ aud: audience, ...claims }));

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Sent {
  readonly method?: string;
  readonly path?: string;
  /** Names and values one after the other, exactly as sent. */
  readonly headers?: readonly string[];
  readonly body?: string | Uint8Array;
}

/** Sends exactly what it is told; rejects where the connection is cut without an answer. */
export function send(
  home: Pick<House, "port">,
  { method = "POST", path = "/graphql", headers = [], body = "" }: Sent,
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const all = ["Host", `127.0.0.1:${String(home.port)}`, "Content-Length", String(Buffer.byteLength(body)), ...headers];
  const options: RequestOptions = { host: "127.0.0.1", port: home.port, method, path, headers: all, agent: false };
  const request = httpRequest(options, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", reject);
    response.on("end", () => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() });
    });
  });
  request.on("error", reject);
  request.end(body);
  return promise;
}

export const json = ["Content-Type", "application/json"] as const;

/** An operation over POST, with whatever else stands in the headers. */
export const post = (
  home: Pick<House, "port">,
  query: string,
  variables?: unknown,
  headers: readonly string[] = [],
): Promise<Reply> => send(home, { headers: [...json, ...headers], body: JSON.stringify({ query, variables }) });

export async function nonceOf(home: Pick<House, "port">): Promise<string> {
  const { headers } = await send(home, { method: "GET", path: "/livez" });
  return String(headers["dpop-nonce"]);
}

/** The job's key in the form that makes wrong proofs. */
export const keyOf = ({ key }: Pick<Job, "key">): WrongProofKey => ({
  alg: "ES256",
  privateKey: key.privateKey,
  jwk: { ...key.jwk },
  jkt: key.thumbprint,
});

/** Headers that a client of ours would send with this body, and what should be wrong about them. */
export async function proved(
  home: House,
  job: Pick<Job, "key" | "token">,
  body: string,
  wrong: Partial<ProofWanted> = {},
): Promise<readonly string[]> {
  const wanted = { url: `${home.url}/graphql`, body, nonce: await nonceOf(home), token: job.token, ...wrong };
  return [...json, "Authorization", `DPoP ${job.token}`, "DPoP", makeProof(keyOf(job), wanted)];
}

/** Any document with the job's own credentials, rightly proved. */
export async function askAs(
  home: House,
  job: Pick<Job, "key" | "token">,
  query: string,
  variables?: unknown,
): Promise<Reply> {
  const body = JSON.stringify({ query, variables });
  return send(home, { headers: await proved(home, job, body), body });
}

export const signBody = (
  items: readonly SignItemInput[],
  key = "attest",
  idempotencyKey: string = crypto.randomUUID(),
): string =>
  JSON.stringify({
    query: documentOf("Sign"),
    operationName: "Sign",
    variables: { input: { idempotencyKey, key, items } },
  });

/** The code of the first error, or of the refusal that is the answer. */
export function codeOf(reply: Reply): string | undefined {
  const answer = JSON.parse(reply.body) as {
    readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[];
    readonly data?: Readonly<Record<string, { readonly code?: string } | null>> | null;
  };
  return answer.errors?.[0]?.extensions?.code ?? Object.values(answer.data ?? {})[0]?.code;
}

/** Value of a counter of /metrics; 0 where it was never counted. */
export async function counted(home: Pick<House, "port">, name: string, code: Code): Promise<number> {
  const { body } = await send(home, { method: "GET", path: "/metrics" });
  return Number(new RegExp(`^${name}\\{code="${code}"\\} (\\d+)$`, "m").exec(body)?.[1] ?? 0);
}

export type Entries = readonly Record<string, unknown>[];

/** Entries by this project (or, with another name, of this session), oldest first. */
export async function entriesOf(home: Scene, project: string): Promise<Entries> {
  return (await allEntries(home.auditor)).filter(
    ({ by }) => (by as { projectId?: string } | undefined)?.projectId === project,
  );
}

/** The session as operators see it. */
export async function sessionOf(
  home: Scene,
  name: string,
  project: string,
): Promise<Operations["Sessions"]["answer"]["nodes"][number]> {
  const { nodes } = expectDone(await home.auditor.ask("Sessions", { filter: { principal: project }, first: 50 }));
  const found = nodes.find((one) => one.name === name);
  if (!found) throw new Error(`there is no session ${name} of project ${project}`);
  return found;
}

/** Nothing spent, nothing begun: the attack got nowhere. */
export async function expectUnspent(
  home: Scene,
  job: Job & { readonly repository: string },
  left = 5,
): Promise<Entries> {
  expect((await sessionOf(home, job.session, job.repository)).usesLeft).toBe(left);
  const entries = await entriesOf(home, job.repository);
  if (left === 5) expect(entries.filter(({ type }) => String(type).startsWith("sign."))).toEqual([]);
  return entries;
}

/** One refusal of this principal with this code is in the log. */
export async function expectRecorded(home: Scene, project: string, code: Code): Promise<void> {
  const refusals = (await entriesOf(home, project)).filter(({ type }) => type === "refusal");
  expect(refusals.map((entry) => entry["code"])).toEqual([code]);
}

/** A token of somebody whom no grant names, or of nobody: refused, counted, and nothing left behind. */
export async function expectStranger(home: Scene, token: string, code: Code): Promise<void> {
  const before = await counted(home, "signet_strangers_total", code);
  const size = await sizeOf(home);
  const refused = await home.openJob({ token, keys: ["attest"] });
  if (!isRefused(refused)) throw new Error("a stranger got a session");
  expect(refused).toMatchObject({ refusal: code });
  expect(refused.entry).toBeUndefined();
  expect(await counted(home, "signet_strangers_total", code)).toBe(before + 1);
  expect(await sizeOf(home)).toBe(size);
}

/** A job whom a grant names is refused: in the log, with no session. */
export async function expectRefused(
  home: Scene,
  opened: Promise<Job | Refused>,
  project: string,
  code: Code,
): Promise<Refused> {
  const refused = await opened;
  if (!isRefused(refused)) throw new Error("the job got a session");
  expect(refused).toMatchObject({ refusal: code, entry: expect.any(Number) as number });
  const entries = await entriesOf(home, project);
  expect(entries.find(({ index }) => index === refused.entry)).toMatchObject({ type: "refusal", code });
  expect(entries.filter(({ type }) => type === "session.open")).toEqual([]);
  return refused;
}

async function sizeOf(home: Pick<House, "port">): Promise<number> {
  const { body } = await send(home, { method: "GET", path: "/metrics" });
  return Number(/^signet_log_size (\d+)$/m.exec(body)?.[1]);
}

/** The same process answers, and is ready to sign. */
export async function expectAlive(home: House, child = home.child()): Promise<void> {
  expect([child.exitCode, child.signalCode, home.child() === child]).toEqual([null, null, true]);
  expect((await send(home, { method: "GET", path: "/livez" })).status).toBe(200);
  expect(await send(home, { method: "GET", path: "/readyz" })).toMatchObject({ status: 200 });
}
