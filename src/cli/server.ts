// Which server, and as whom? Flags come before SIGNET_SERVER and SIGNET_CONTEXT, these before the current context.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

import { type Client, connect } from "../client/connect.ts";
import {
  type Context,
  contextNameOf,
  isContextName,
  personKey,
  readContexts,
  readLogin,
  withContext,
  writeContexts,
  writeLogin,
} from "../client/contexts.ts";
import { type Places, placesOf } from "../client/places.ts";
import type { ProofKey } from "../client/proof.ts";
import { type HeldSession, readSession } from "../client/session-file.ts";
import { exits, Failure, granted, usage } from "./failure.ts";
import type { World } from "./world.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly server?: string;
  readonly context?: string;
  readonly ca?: string;
  /** Seconds. */
  readonly timeout?: string;
}

export interface Target {
  readonly places: Places;
  readonly context: Context;
  /** False where the context is not written down: it came from a flag or the environment. */
  readonly known: boolean;
}

export async function targetOf(world: World, options: GlobalOptions): Promise<Target> {
  const places = placesOf(world.env);
  const { current, contexts } = await readContexts(places.config);
  const name = options.context ?? (options.server === undefined ? world.env["SIGNET_CONTEXT"] : undefined);
  const server = options.server ?? (name === undefined ? world.env["SIGNET_SERVER"] : undefined);
  if (name !== undefined && !isContextName(name))
    throw usage(`${JSON.stringify(name)} is not a context's name`, "lower case, digits, dots and hyphens");
  const ca = options.ca ?? world.env["SIGNET_CA"];
  const found =
    contexts.find((one) => (name === undefined ? one.server === server : one.name === name)) ??
    (server === undefined && name === undefined ? contexts.find((one) => one.name === current) : undefined);
  if (found !== undefined) {
    return {
      places,
      known: true,
      context: { ...found, server: server ?? found.server, ca: ca === undefined ? found.ca : resolve(world.cwd, ca) },
    };
  }
  if (server === undefined) {
    if (name !== undefined)
      throw usage(
        `there is no context ${JSON.stringify(name)}`,
        "signet context list shows them; signet login --server ADDRESS makes one",
      );
    throw usage(
      "no server is named",
      "give --server https://HOST, set SIGNET_SERVER, or log in once: signet login --server ADDRESS",
    );
  }
  const context = {
    name: name ?? contextNameOf(server),
    server,
    ...(ca === undefined ? {} : { ca: resolve(world.cwd, ca) }),
  };
  return { places, known: false, context };
}

/** Writes the context down, and makes it the current one where `use` says so. */
export async function keepContext({ places }: Target, context: Context, use: boolean): Promise<void> {
  const contexts = withContext(await readContexts(places.config), context);
  await writeContexts(places.config, use ? { ...contexts, current: context.name } : contexts);
}

export async function clientFor(
  world: World,
  options: GlobalOptions,
  context: Pick<Context, "server" | "ca">,
  as: { readonly key: ProofKey; readonly token?: string | undefined },
): Promise<Client> {
  const ca = context.ca === undefined ? undefined : await readFile(context.ca, "utf8");
  return connect({
    address: context.server,
    key: as.key,
    token: as.token,
    tls: { ca },
    timeout: milliseconds(options.timeout ?? world.env["SIGNET_TIMEOUT"]),
    signal: world.signal,
    clock: world.clock,
    random: world.random,
  });
}

function milliseconds(seconds: string | undefined): number | undefined {
  if (seconds === undefined) return undefined;
  if (!/^\d{1,5}$/.test(seconds) || Number(seconds) === 0)
    throw usage(`--timeout ${JSON.stringify(seconds)} is not a number of seconds`);
  return Number(seconds) * 1000;
}

/** A client and whose it is; close it. */
export interface Connected {
  readonly client: Client;
  readonly target: Target;
}

/** As the person who logged in; else, where a job holds a session, as that job. */
export async function connectedClient(world: World, options: GlobalOptions): Promise<Connected> {
  const target = await targetOf(world, options).catch((error: unknown) => ({ error }));
  if ("error" in target) {
    const held = await sessionFromEnvironment(world);
    if (held === undefined) throw target.error;
    return asJob(world, options, held);
  }
  const { places, context } = target;
  const login = await readLogin(places.config, context.name);
  if (login === undefined) {
    const held = await sessionFromEnvironment(world);
    if (held?.server === context.server) return asJob(world, options, held);
    throw loginNeeded(context.name, "nobody is logged in here");
  }
  const key = await personKey(places.config);
  const client = await clientFor(world, options, context, { key, token: login.token });
  if (Date.parse(login.expiresAt) - world.clock() > 10_000) return { client, target };
  if (!login.byKey) throw loginNeeded(context.name, `the login of ${login.name} has expired`);
  return { client: await loginByKey(client.withToken(undefined), target), target };
}

async function asJob(world: World, options: GlobalOptions, held: HeldSession): Promise<Connected> {
  const context = { name: contextNameOf(held.server), server: held.server, ca: held.ca };
  const client = await clientFor(world, options, context, { key: held.key, token: held.token });
  return { client, target: { places: placesOf(world.env), context, known: false } };
}

/** The person's own key is the identity: a new session needs nobody. */
export async function loginByKey(client: Client, { places, context }: Target): Promise<Client> {
  const answer = await client.ask("OpenOperatorSession", { input: {} });
  const { token, expiresAt, operator } = granted(answer, {
    done: "logged in",
    asked: `with this machine's key at ${context.server}`,
  });
  await writeLogin(places.config, context.name, { token, expiresAt, name: operator.name, byKey: true });
  return client.withToken(token);
}

const loginNeeded = (context: string, found: string): Failure =>
  new Failure({
    exit: exits.loginNeeded,
    code: "LOGIN_NEEDED",
    message: "login needed",
    found: `${found} (context ${context})`,
    next: "signet login",
  });

/** The session that `signet session open` left, by --session or SIGNET_SESSION. */
export async function sessionFromEnvironment(
  world: World,
  path = world.env["SIGNET_SESSION"],
): Promise<HeldSession | undefined> {
  if (!path) return undefined;
  const held = await readSession(resolve(world.cwd, path));
  if (held === undefined) {
    throw new Failure({
      exit: exits.notFound,
      code: "NO_SESSION",
      message: `the session file ${path} is not there`,
      next: "signet session open makes one; unset SIGNET_SESSION to have signet sign open its own",
    });
  }
  return held;
}
