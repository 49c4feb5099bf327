// Vault, for whoever keeps keys or secrets there: read, write and delete by path, under a login that looks after itself.
//
// node-vault speaks the API; its transport, its token and its timers are ours (vault-wire.ts, vault-login.ts). A 403 can
// mean that the policy says no or that the token is gone: Vault's words or a look at the token tell, and where it is gone
// there is one login for everybody and each request is asked once more. Nothing else is ever asked twice.

import nodeVault from "node-vault";

import type { Clock, Random } from "../std/clock.ts";
import { VaultError, type VaultTrouble } from "./vault-error.ts";
import { type Ask, type VaultAuth, vaultLogin } from "./vault-login.ts";
import { type WireOptions, wire } from "./vault-wire.ts";

export { VaultError, type VaultTrouble } from "./vault-error.ts";
export type { VaultAuth } from "./vault-login.ts";

export interface VaultParts extends WireOptions {
  readonly namespace?: string | undefined;
  readonly auth: VaultAuth;
  /** Milliseconds for one request; the caller's signal may end it sooner. */
  readonly deadline: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: { readonly warn: (fields: object, message: string) => void };
}

/** Paths come from `pathOf`. All throw VaultError and nothing else. */
export interface Vault extends AsyncDisposable {
  /** The answer's `data`. */
  read(path: VaultPath, signal: AbortSignal): Promise<unknown>;
  write(path: VaultPath, body: object, signal: AbortSignal): Promise<unknown>;
  remove(path: VaultPath, signal: AbortSignal): Promise<void>;
  /** From what was seen last, without asking. */
  seen(): VaultSeen;
}

/** Times in milliseconds since the epoch. */
export interface VaultSeen {
  readonly answered?: number | undefined;
  readonly login?:
    | { readonly since: number; readonly expires: number | undefined; readonly renewable: boolean }
    | undefined;
  /** What went wrong last, where nothing went well since. */
  readonly trouble?: { readonly since: number; readonly trouble: VaultTrouble; readonly message: string } | undefined;
}

declare const checked: unique symbol;
/** A path without anything that a URL, a template or Vault would read in another way. */
export type VaultPath = string & { readonly [checked]: true };

/** Throws TypeError where a segment is not one of letters, digits, `_`, `-` and inner dots. A mount may have slashes. */
export function pathOf(mount: string, ...segments: readonly string[]): VaultPath {
  const all = [...mount.split("/"), ...segments];
  const bad = all.find((one) => !/^\w(?:[\w.-]*\w)?$/.test(one));
  if (bad !== undefined) throw new TypeError(`"${bad.slice(0, 80)}" cannot stand in a path of Vault`);
  return all.join("/") as VaultPath; // the only maker
}

/** Nothing is asked before the first request. */
export function vault(parts: VaultParts): Vault {
  const { address, namespace, auth, deadline, clock, random, log } = parts;
  const line = wire(parts);
  const client = nodeVault({
    endpoint: address,
    apiVersion: "v1",
    debug: () => undefined, // it would print bodies
    "request-promise": { defaults: () => line.exchange },
  });
  // It takes these from VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX where they are not given.
  Object.assign(client, { token: "", namespace: "", pathPrefix: "" });

  const ask: Ask = (method, path, token, signal, body) => {
    const headers = {
      "x-vault-request": "true",
      ...(namespace !== undefined && { "x-vault-namespace": namespace }),
      ...(token !== undefined && { "x-vault-token": token }),
    };
    const options = { headers, signal }; // fresh each time: node-vault writes into it
    switch (method) {
      case "GET":
        return client.read(path, options);
      case "POST":
        return client.write(path, body, options);
      case "DELETE":
        return client.delete(path, options);
    }
  };
  const login = vaultLogin({ auth, ask, deadline, clock, random, log });

  let answered: number | undefined;
  let trouble: VaultSeen["trouble"];

  async function asked<T>(signal: AbortSignal, send: (token: string, signal: AbortSignal) => Promise<T>): Promise<T> {
    const own = AbortSignal.any([signal, AbortSignal.timeout(deadline)]);
    try {
      const result = await orOnceMore(own, send);
      answered = clock();
      trouble = undefined;
      return result;
    } catch (cause) {
      const error = cause instanceof VaultError ? cause : unforeseen(cause);
      if (ofVaultItself.has(error.trouble))
        trouble = {
          since: trouble?.trouble === error.trouble ? trouble.since : clock(),
          trouble: error.trouble,
          message: error.message,
        };
      throw error;
    }
  }

  async function orOnceMore<T>(
    signal: AbortSignal,
    send: (token: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const token = await login.token(signal);
    try {
      return await send(token, signal);
    } catch (error) {
      if (!(error instanceof VaultError) || error.trouble !== "denied") throw error;
      if (await isGood(token, error, signal)) throw error;
    }
    return send(await login.token(signal, token), signal);
  }

  /** Looks at a token once for all who doubt it, and believes the answer for a moment. */
  const doubts = new Map<string, { readonly until: number; readonly verdict: Promise<boolean> }>();
  function isGood(token: string, error: VaultError, signal: AbortSignal): Promise<boolean> {
    if (error.message.includes("invalid token")) return Promise.resolve(false);
    const known = doubts.get(token);
    if (known && known.until > clock()) return known.verdict;
    const verdict = ask("GET", "auth/token/lookup-self", token, signal).then(
      () => true,
      (cause: unknown) => {
        doubts.delete(token);
        if (cause instanceof VaultError && cause.trouble === "denied") return false;
        throw error; // what was asked was refused, that much is known
      },
    );
    doubts.clear();
    doubts.set(token, { until: clock() + believed, verdict });
    return verdict;
  }

  return {
    read: (path, signal) => asked(signal, async (token, own) => dataIn(await ask("GET", path, token, own))),
    write: (path, body, signal) =>
      asked(signal, async (token, own) => dataIn(await ask("POST", path, token, own, body))),
    remove: (path, signal) =>
      asked(signal, async (token, own) => {
        await ask("DELETE", path, token, own);
      }),
    seen: () => ({ answered, login: login.held(), trouble }),
    async [Symbol.asyncDispose]() {
      await login[Symbol.asyncDispose]();
      line.close();
    },
  };
}

/** Milliseconds. */
const believed = 2000;

/** Troubles that concern every request, not one. */
const ofVaultItself: ReadonlySet<VaultTrouble> = new Set([
  "logged-out",
  "sealed",
  "standby",
  "throttled",
  "failed",
  "unreachable",
  "untrusted",
  "cut",
  "late",
  "garbled",
]);

const unforeseen = (cause: unknown): VaultError =>
  new VaultError("failed", `asking Vault failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });

/** Undefined with 204. */
const dataIn = (answer: unknown): unknown =>
  typeof answer === "object" && answer !== null && "data" in answer ? answer.data : undefined;
