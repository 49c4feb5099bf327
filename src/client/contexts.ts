// Contexts: the servers that a person works with, each with the log key seen there first. Logins stand apart, in
// private files, because contexts may be shown and shared.

import { join } from "node:path";

import { isJsonObject, type JsonObject } from "../std/json.ts";
import { BadFile, readIfThere, readPrivate, writePrivate } from "./files.ts";
import { formatProofKey, newProofKey, type ProofKey, parseProofKey } from "./proof.ts";

export interface Context {
  readonly name: string;
  /** As `connect` takes it. */
  readonly server: string;
  /** Path of a PEM file that the server's certificate is checked against. */
  readonly ca?: string | undefined;
  /** Where people of this server log in. */
  readonly issuer?: string | undefined;
  readonly clientId?: string | undefined;
  /** The log's verification key: pinned when it was seen first, or given. */
  readonly vkey?: string | undefined;
}

export interface Contexts {
  readonly current: string | undefined;
  readonly contexts: readonly Context[];
}

/** A person's session with one server. */
export interface Login {
  /** `sgo_…` */
  readonly token: string;
  /** RFC 3339. */
  readonly expiresAt: string;
  readonly name: string;
  /** True where the person's own key is the identity, so that a new session needs nobody. */
  readonly byKey: boolean;
}

const contextsFile = (folder: string): string => join(folder, "contexts.json");
const loginFile = (folder: string, context: string): string => join(folder, `login-${context}.json`);
const keyFile = (folder: string): string => join(folder, "key.pem");

export async function readContexts(folder: string): Promise<Contexts> {
  const path = contextsFile(folder);
  const bytes = await readIfThere(path);
  if (bytes === undefined) return { current: undefined, contexts: [] };
  const value = parseObject(bytes.toString("utf8"), path);
  const all = isJsonObject(value["contexts"]) ? value["contexts"] : {};
  return {
    current: text(value["current"]),
    contexts: Object.entries(all).flatMap(([name, one]) => {
      const server = isJsonObject(one) ? text(one["server"]) : undefined;
      return isJsonObject(one) && server !== undefined ? [contextOf(name, server, one)] : [];
    }),
  };
}

const contextOf = (name: string, server: string, one: JsonObject): Context => ({
  name,
  server,
  ca: text(one["ca"]),
  issuer: text(one["issuer"]),
  clientId: text(one["clientId"]),
  vkey: text(one["vkey"]),
});

export async function writeContexts(folder: string, { current, contexts }: Contexts): Promise<void> {
  const all = Object.fromEntries(contexts.map(({ name, ...rest }) => [name, rest]));
  await writePrivate(contextsFile(folder), `${JSON.stringify({ current, contexts: all }, undefined, 2)}\n`);
}

/** Adds or replaces one context by its name. */
export const withContext = ({ current, contexts }: Contexts, context: Context): Contexts => ({
  current: current ?? context.name,
  contexts: [...contexts.filter((one) => one.name !== context.name), context].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  ),
});

/** A file name and a word on a command line. */
export const isContextName = (name: string): boolean => /^[a-z0-9][a-z0-9.-]{0,62}$/.test(name);

/** `https://signet.example:8443` is `signet.example-8443`; a socket is named by its file. */
export function contextNameOf(server: string): string {
  const plain = server.startsWith("unix:")
    ? (server.split("/").at(-1) ?? "socket")
    : server.replace(/^https?:\/\//, "");
  const name = plain
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .replace(/^[-.]+|-+$/g, "")
    .slice(0, 63);
  return name || "default";
}

export async function readLogin(folder: string, context: string): Promise<Login | undefined> {
  const path = loginFile(folder, context);
  const content = await readPrivate(path);
  if (content === undefined) return undefined;
  const value = parseObject(content, path);
  const [token, expiresAt, name] = [text(value["token"]), text(value["expiresAt"]), text(value["name"])];
  if (token === undefined || expiresAt === undefined || name === undefined) throw broken(path);
  return { token, expiresAt, name, byKey: value["byKey"] === true };
}

export const writeLogin = (folder: string, context: string, login: Login): Promise<void> =>
  writePrivate(loginFile(folder, context), `${JSON.stringify(login)}\n`);

/** The person's own key on this machine; made at first use. */
export async function personKey(folder: string): Promise<ProofKey> {
  const path = keyFile(folder);
  const pem = await readPrivate(path);
  if (pem === undefined) {
    const key = newProofKey();
    await writePrivate(path, formatProofKey(key));
    return key;
  }
  try {
    return parseProofKey(pem);
  } catch (error) {
    throw new BadFile(
      `${path}: ${error instanceof Error ? error.message : "unreadable"}. Move it away and log in again`,
      { cause: error },
    );
  }
}

function parseObject(content: string, path: string): JsonObject {
  try {
    const value: unknown = JSON.parse(content);
    if (isJsonObject(value)) return value;
  } catch {
    // told below, like any other content that is not ours
  }
  throw broken(path);
}

const broken = (path: string): BadFile => new BadFile(`${path} is not as signet wrote it: mend or delete it`);
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
