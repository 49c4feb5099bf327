// Who does CI say we are? The identity token of the job, from the first place that has one. Never asks a person.

import { isJsonObject } from "../std/json.ts";
import { BadFile, readIfThere } from "./files.ts";
import type { Environment } from "./places.ts";
import { unverifiedClaims } from "./proof.ts";

export interface Identity {
  /** The OIDC token. */
  readonly token: string;
  /** Where it came from, for people. */
  readonly source: string;
  /** What the token says of the job, unverified: only for showing. */
  readonly says: string;
}

export interface AmbientWorld {
  readonly env: Environment;
  /** What the token is to be made out for, where we can ask. */
  readonly audience: string;
  readonly signal: AbortSignal;
  readonly fetch?: typeof fetch | undefined;
}

/** A place that should have had a token, and has not. */
export class NoIdentity extends Error {
  override readonly name = "NoIdentity";
}

type Place = (world: AmbientWorld, tokenFile: string | undefined) => Promise<Omit<Identity, "says"> | undefined>;

/** Where Kubernetes projects a token with our audience (a `serviceAccountToken` volume, see deploy/). */
const projected = "/var/run/secrets/signet/token";

/** In this order; the first that has a token wins. */
const places: readonly Place[] = [
  (_, path) => fromFile(path, `--identity-token-file ${path ?? ""}`),
  ({ env }) => fromFile(env["SIGNET_TOKEN_FILE"], `SIGNET_TOKEN_FILE ${env["SIGNET_TOKEN_FILE"] ?? ""}`),
  ({ env }) =>
    Promise.resolve(
      given(env["SIGNET_ID_TOKEN"], env["GITLAB_CI"] ? "GitLab CI (SIGNET_ID_TOKEN)" : "SIGNET_ID_TOKEN"),
    ),
  fromGitHub,
  async () =>
    (await readIfThere(projected)) === undefined ? undefined : fromFile(projected, `Kubernetes ${projected}`),
];

/** Undefined where this is no job that Signet knows. Throws NoIdentity or BadFile where a named place has no token. */
export async function ambientIdentity(world: AmbientWorld, tokenFile?: string): Promise<Identity | undefined> {
  for (const place of places) {
    const found = await place(world, tokenFile);
    if (found) return { ...found, says: saysOf(found.token) };
  }
  return undefined;
}

const given = (token: string | undefined, source: string): Omit<Identity, "says"> | undefined =>
  token?.trim() ? { token: token.trim(), source } : undefined;

async function fromFile(path: string | undefined, source: string): Promise<Omit<Identity, "says"> | undefined> {
  if (!path) return undefined;
  const bytes = await readIfThere(path);
  if (bytes === undefined) throw new BadFile(`${source}: there is no such file`);
  const found = given(bytes.toString("utf8"), source);
  if (!found) throw new BadFile(`${source}: the file is empty`);
  return found;
}

/** docs.github.com, "OpenID Connect reference", "Methods for requesting the OIDC token". */
async function fromGitHub({
  env,
  audience,
  signal,
  fetch: ask = fetch,
}: AmbientWorld): Promise<Omit<Identity, "says"> | undefined> {
  const [url, bearer] = [env["ACTIONS_ID_TOKEN_REQUEST_URL"], env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]];
  if (!url || !bearer) {
    if (env["GITHUB_ACTIONS"] === "true")
      throw new NoIdentity("this job may not ask GitHub for an identity token: give it `permissions: id-token: write`");
    return undefined;
  }
  const target = new URL(url);
  target.searchParams.set("audience", audience);
  const answer = await ask(target, {
    headers: { authorization: `bearer ${bearer}`, accept: "application/json" },
    signal,
  });
  const body: unknown = await answer.json().catch(() => undefined);
  const token = isJsonObject(body) ? body["value"] : undefined;
  if (!answer.ok || typeof token !== "string")
    throw new NoIdentity(`GitHub answered ${String(answer.status)} when asked for an identity token`);
  return { token, source: "GitHub Actions" };
}

/** `acme/app (id 123456) · refs/tags/v1.4.0 · run 987, attempt 1`, from whichever claims there are. */
function saysOf(token: string): string {
  const claims = unverifiedClaims(token);
  const text = (...names: readonly string[]): string | undefined =>
    names
      .map((name) => claims[name])
      .find((one) => typeof one === "string" || typeof one === "number")
      ?.toString();
  const project = text("repository", "project_path", "sub");
  const id = text("repository_id", "project_id");
  const run = text("run_id", "pipeline_id");
  const attempt = text("run_attempt");
  return [
    project === undefined ? "a token without a subject" : `${project}${id === undefined ? "" : ` (id ${id})`}`,
    text("ref_path", "ref"),
    run === undefined ? undefined : `run ${run}${attempt === undefined ? "" : `, attempt ${attempt}`}`,
  ]
    .filter((part) => part !== undefined)
    .join(" · ");
}
