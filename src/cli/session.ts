// Signing sessions: a CI job opens and closes its own, operators list and revoke.

import { rm } from "node:fs/promises";
import { resolve } from "node:path";

import { ambientIdentity, type Identity } from "../client/ambient.ts";
import type { Session } from "../client/answers.ts";
import { type Client, isRefused } from "../client/connect.ts";
import type { Context } from "../client/contexts.ts";
import { newProofKey } from "../client/proof.ts";
import { type HeldSession, keepSession, sessionKeys } from "../client/session-file.ts";
import { parseDuration } from "../std/duration.ts";
import { exits, Failure, granted, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import type { Output } from "./output.ts";
import { clientFor, connectedClient, type GlobalOptions, sessionFromEnvironment, targetOf } from "./server.ts";
import { several, timeLeft, when } from "./words.ts";
import type { World } from "./world.ts";

export interface IdentityOptions extends GlobalOptions {
  readonly identityTokenFile?: string;
  readonly audience?: string;
  readonly reason?: string;
}

/** The job's identity, or a Failure that names the places where it was looked for. */
export async function identityOf(world: World, options: IdentityOptions, out: Output): Promise<Identity> {
  const file = options.identityTokenFile;
  const identity = await ambientIdentity(
    { env: world.env, audience: options.audience ?? world.env["SIGNET_AUDIENCE"] ?? "signet", signal: world.signal },
    file === undefined ? undefined : resolve(world.cwd, file),
  );
  if (identity === undefined) {
    throw new Failure({
      exit: exits.loginNeeded,
      code: "NO_IDENTITY",
      message: "no identity token of a CI job was found",
      found:
        "neither --identity-token-file, SIGNET_TOKEN_FILE, SIGNET_ID_TOKEN, GitHub Actions nor a projected Kubernetes token",
      next: "run this in a CI job that may ask for one; on GitHub: permissions: id-token: write; on GitLab: id_tokens: SIGNET_ID_TOKEN: aud: signet",
    });
  }
  out.say("identity", `${identity.source} · ${identity.says}`);
  return identity;
}

export interface SessionWish {
  readonly keys: readonly string[];
  readonly uses?: number | undefined;
  readonly ttl?: string | undefined;
  readonly reason?: string | undefined;
}

/** Opens a session with a key made for it alone. The client inside belongs to the caller, who closes it. */
export async function openSession(
  world: World,
  options: IdentityOptions,
  context: Context,
  identity: Identity,
  wish: SessionWish,
): Promise<{ readonly client: Client; readonly session: Session; readonly held: HeldSession }> {
  const key = newProofKey();
  const client = await clientFor(world, options, context, { key });
  try {
    const answer = await client.ask("OpenSession", { input: { identityToken: identity.token, ...wish } });
    const asked = `${identity.says}, ${wish.keys.length === 1 ? "key" : "keys"} ${wish.keys.join(", ")}${wish.uses === undefined ? "" : `, ${several(wish.uses, "use")}`}`;
    const { session, token } = granted(answer, { done: "opened", asked });
    const { name, expiresAt } = session;
    const held = { server: context.server, ca: context.ca, name, expiresAt, keys: sessionKeys(session), token, key };
    return { client: client.withToken(token), session, held };
  } catch (error) {
    client.close();
    throw error;
  }
}

interface OpenOptions extends IdentityOptions {
  readonly key: readonly string[];
  readonly uses?: string;
  readonly ttl?: string;
}

export async function open({ world, out, options }: Job<OpenOptions>): Promise<number> {
  const uses = options.uses === undefined ? undefined : wholeNumber("--uses", options.uses);
  if (options.ttl !== undefined) checkDuration("--ttl", options.ttl);
  const { context, places } = await targetOf(world, options);
  const identity = await identityOf(world, options, out);
  const { client, session, held } = await openSession(world, options, context, identity, {
    keys: options.key,
    uses,
    ttl: options.ttl,
    reason: options.reason,
  });
  try {
    const path = await keepSession(places.runtime, held);
    out.say("session", sessionLine(session, world));
    if (out.format === "table") out.print(`SIGNET_SESSION=${path}`);
    else out.one([], { file: path, ...shown(session) });
    return exits.ok;
  } catch (error) {
    await client.unstoppable().ask("CloseSession", { input: {} });
    throw error;
  } finally {
    client.close();
  }
}

export async function close({
  world,
  out,
  options,
}: Job<GlobalOptions & { readonly session?: string }>): Promise<number> {
  const path = options.session ?? world.env["SIGNET_SESSION"];
  const held = await sessionFromEnvironment(world, path);
  if (!held || !path)
    throw usage("which session?", "give --session FILE, or set SIGNET_SESSION to what signet session open printed");
  const client = await clientFor(world, options, held, { key: held.key, token: held.token });
  try {
    const answer = await client.ask("CloseSession", { input: {} });
    const over = isRefused(answer) && (answer.refusal === "SESSION_ENDED" || answer.refusal === "UNAUTHENTICATED");
    if (!over) {
      const { session } = granted(answer, { done: "closed", asked: `session ${held.name}` });
      out.say(
        "closed",
        `${session.name} · ${String(session.usesLeft)} of ${several(session.usesGranted, "use")} not used`,
      );
      if (out.format !== "table") out.one([], shown(session));
    } else out.say("closed", `${held.name} was over already`);
    await rm(resolve(world.cwd, path), { force: true });
    return exits.ok;
  } finally {
    client.close();
  }
}

interface ListOptions extends GlobalOptions {
  readonly all?: boolean;
  readonly key?: string;
  readonly principal?: string;
  readonly limit: string;
}

export async function list({ world, out, options }: Job<ListOptions>): Promise<number> {
  const limit = wholeNumber("--limit", options.limit);
  const { client } = await connectedClient(world, options);
  try {
    const filter = { open: options.all ? undefined : true, key: options.key, principal: options.principal };
    const { nodes, pageInfo } = granted(await client.ask("Sessions", { filter, first: Math.min(limit, 1000) }), {
      done: "listed",
      asked: "sessions",
    });
    out.list(
      "sessions",
      nodes,
      [
        { title: "SESSION", cell: (one) => one.name },
        { title: "WHO", cell: (one) => one.principal.label },
        { title: "KEYS", cell: (one) => one.keys.map((key) => key.name).join(" ") },
        { title: "OPENED", cell: (one) => when(one.openedAt, world.clock()) },
        { title: "LEFT", cell: (one) => (one.state === "OPEN" ? timeLeft(one.expiresAt, world.clock()) : "") },
        { title: "USES", cell: (one) => `${String(one.usesLeft)} of ${String(one.usesGranted)}`, right: true },
        { title: "STATE", cell: (one) => one.state.toLowerCase() },
      ],
      shown,
    );
    if (pageInfo.hasNextPage) out.tell(`there are more: --limit ${String(limit * 2)}`);
    return exits.ok;
  } finally {
    client.close();
  }
}

export async function revoke({
  world,
  out,
  words,
  options,
}: Job<GlobalOptions & { readonly reason: string }>): Promise<number> {
  const [name = ""] = words;
  const { client } = await connectedClient(world, options);
  try {
    const answer = await client.ask("RevokeSession", { input: { session: name, reason: options.reason } });
    const { session } = granted(answer, { done: "revoked", asked: `session ${name}` });
    out.say("revoked", `${session.name} of ${session.principal.label}`);
    if (out.format !== "table") out.one([], shown(session));
    return exits.ok;
  } finally {
    client.close();
  }
}

/** `ss_01K… · key release v3 · 4 of 5 uses left · 9 min left` */
export function sessionLine(session: Session, world: World): string {
  const keys = session.keys.map(
    ({ name, current }) => `${name}${current.map((one) => ` v${String(one.number)}`).join("")}`,
  );
  const uses = `${String(session.usesLeft)} of ${several(session.usesGranted, "use")} left`;
  return `${session.name} · ${keys.length === 1 ? "key" : "keys"} ${keys.join(", ")} · ${uses} · ${timeLeft(session.expiresAt, world.clock())}`;
}

const shown = (session: Session): object => ({
  session: session.name,
  principal: session.principal.label,
  keys: session.keys.map((key) => key.name),
  openedAt: session.openedAt,
  expiresAt: session.expiresAt,
  usesGranted: session.usesGranted,
  usesLeft: session.usesLeft,
  state: session.state,
  grant: session.grant,
});

/** A number from 1 on a command line. */
export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw usage(`${option} ${JSON.stringify(text)} is not a whole number from 1`);
  return Number(text);
}

export function checkDuration(option: string, text: string): void {
  try {
    parseDuration(text);
  } catch (error) {
    throw usage(`${option}: ${error instanceof Error ? error.message : "not a duration"}`);
  }
}
