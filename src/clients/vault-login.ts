// The life of our token at Vault: one login that all requests share, renewed before its lease ends, replaced before it
// cannot be renewed any more, revoked when we close.
//
// Renewal comes at about two thirds of the lease, a little earlier by chance, so that many daemons do not come at once.
// A lease that comes back much shorter than the first is the last one before max_ttl: then we log in anew. A login that
// failed is not tried again for a moment, however many ask: each attempt of an AppRole can spend a use of its secret.

import type { Clock, Random } from "../std/clock.ts";
import type { Secret } from "../std/secret.ts";
import { unlessAborted } from "../std/unless-aborted.ts";
import { VaultError } from "./vault-error.ts";

/** How we prove ourselves. Credentials are read anew for every login, so that whoever rotates them needs no restart. */
export type VaultAuth =
  | { readonly method: "token"; readonly token: () => Secret }
  | {
      readonly method: "approle";
      readonly mount: string;
      readonly roleId: string;
      readonly secretId: () => Secret;
    }
  | {
      readonly method: "jwt" | "kubernetes";
      readonly mount: string;
      readonly role: string;
      readonly jwt: () => Secret;
    };

/** One request under a token, or under none for a login. Resolves with the answer's body; throws VaultError. */
export type Ask = (
  method: "GET" | "POST" | "DELETE",
  path: string,
  token: string | undefined,
  signal: AbortSignal,
  body?: object,
) => Promise<unknown>;

export interface LoginParts {
  readonly auth: VaultAuth;
  readonly ask: Ask;
  /** Milliseconds for one login, one renewal. */
  readonly deadline: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: { readonly warn: (fields: object, message: string) => void };
}

export interface Held {
  readonly token: string;
  readonly since: number;
  /** Milliseconds since the epoch; undefined for a token that never ends. */
  readonly expires: number | undefined;
  readonly renewable: boolean;
}

export interface VaultLogin extends AsyncDisposable {
  /** A token to ask with; waits for the login that is under way. Never `spent`, which Vault just refused. */
  token(signal: AbortSignal, spent?: string): Promise<string>;
  /** What we hold, for people: never show its token. */
  held(): Held | undefined;
}

/** What a login or a renewal gives. */
interface Lease extends Held {
  /** Milliseconds. */
  readonly lease: number;
  /** Of the login, before any renewal; milliseconds. */
  readonly first: number;
}

const longestTimer = 2 ** 31 - 1;
/** Milliseconds that closing waits for a login that is under way, and for a token to be given back. */
const lastWait = 2000;

export function vaultLogin({ auth, ask, deadline, clock, random, log }: LoginParts): VaultLogin {
  let held: Lease | undefined;
  let pending: Promise<Lease> | undefined;
  let failed: { readonly times: number; readonly until: number; readonly error: VaultError } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  /** Ends the login that is under way, some time after we closed. */
  const ending = new AbortController();
  /** Tokens that we were given and have not given back. */
  const ours = new Set<string>();

  /** From 0 to 1. */
  const chance = (): number => (random(1)[0] ?? 0) / 255;
  const fresh = (one: Lease | undefined): one is Lease =>
    one !== undefined && (one.expires === undefined || one.expires - Math.min(1000, one.lease / 10) > clock());

  async function token(signal: AbortSignal, spent?: string): Promise<string> {
    if (fresh(held) && held.token !== spent) return held.token;
    const { token: given } = await unlessAborted(again(), signal, loginLate);
    if (given === spent) throw new VaultError("logged-out", "the token is no longer good, and no other one is given");
    return given;
  }

  function again(): Promise<Lease> {
    if (closed) return Promise.reject(new VaultError("logged-out", "this client of Vault is closed"));
    if (pending) return pending;
    if (failed && failed.until > clock()) return Promise.reject(failed.error);
    pending = logIn()
      .then(
        (lease) => {
          failed = undefined;
          take(lease);
          return lease;
        },
        (cause: unknown) => {
          throw remember(cause);
        },
      )
      .finally(() => {
        pending = undefined;
      });
    return pending;
  }

  function take(lease: Lease): void {
    const before = held;
    held = lease;
    if (auth.method !== "token") ours.add(lease.token);
    schedule(lease);
    // What is under way with the token before may end first.
    if (before && before.token !== lease.token)
      setTimeout(() => void giveBack(before.token, deadline), deadline).unref();
  }

  function remember(cause: unknown): VaultError {
    const error = asLoginError(cause, auth.method);
    const times = (failed?.times ?? 0) + 1;
    const [base, most] = error.trouble === "logged-out" ? [1000, 30_000] : [200, 2000];
    const wait = Math.min(most, base * 2 ** Math.min(times - 1, 10)) * (0.75 + chance() / 4);
    failed = { times, until: clock() + wait, error };
    log.warn({ trouble: error.trouble, problem: error.message }, "no login at Vault");
    return error;
  }

  async function logIn(): Promise<Lease> {
    const signal = AbortSignal.any([AbortSignal.timeout(deadline), ending.signal]);
    const at = clock();
    if (auth.method === "token") {
      const own = textOf(auth.token());
      return ownLease(await ask("GET", "auth/token/lookup-self", own, signal), own, at);
    }
    const body =
      auth.method === "approle"
        ? { role_id: auth.roleId, secret_id: textOf(auth.secretId()) }
        : { role: auth.role, jwt: textOf(auth.jwt()) };
    const given = leaseIn(await ask("POST", `auth/${auth.mount}/login`, undefined, signal, body), at);
    return { ...given, first: given.lease };
  }

  function schedule(lease: Lease): void {
    clearTimeout(timer);
    if (lease.expires === undefined || closed) return;
    const left = Math.max(0, lease.expires - clock());
    later(Math.max(500, (left * 2 * (0.9 + chance() / 10)) / 3), lease);
  }

  function later(delay: number, lease: Lease): void {
    clearTimeout(timer);
    timer = setTimeout(
      () => {
        if (delay > longestTimer) later(delay - longestTimer, lease);
        else void prolong(lease);
      },
      Math.min(delay, longestTimer),
    ).unref();
  }

  /** Never rejects: what fails here is tried again while the lease lasts, and after that by whoever needs a token. */
  async function prolong(lease: Lease): Promise<void> {
    if (closed || held !== lease) return;
    const last = lease.lease < (lease.first * 2) / 3;
    try {
      if (!lease.renewable || last) await again();
      else await renew(lease);
    } catch (error) {
      if (held !== lease || lease.expires === undefined) return;
      const left = lease.expires - clock();
      if (left > 1000) later(Math.min(5000, left / 4) * (0.75 + chance() / 4), lease);
      log.warn(
        { problem: error instanceof Error ? error.message : String(error) },
        "the token at Vault was not renewed",
      );
    }
  }

  async function renew(lease: Lease): Promise<void> {
    const at = clock();
    try {
      const answer = await ask("POST", "auth/token/renew-self", lease.token, AbortSignal.timeout(deadline), {});
      if (held !== lease) return;
      const given = leaseIn(answer, at);
      if (given.expires === undefined) throw new VaultError("denied", "the token is not renewed any further"); // max_ttl
      held = { ...given, token: lease.token, since: lease.since, first: lease.first };
      schedule(held);
    } catch (error) {
      if (!(error instanceof VaultError && (error.trouble === "denied" || error.trouble === "invalid"))) throw error;
      await again();
    }
  }

  async function giveBack(given: string, within: number): Promise<void> {
    if (!ours.delete(given)) return;
    try {
      await ask("POST", "auth/token/revoke-self", given, AbortSignal.timeout(within), {});
    } catch {
      // It ends with its lease.
    }
  }

  return {
    token,
    held: () => held,
    async [Symbol.asyncDispose]() {
      closed = true;
      clearTimeout(timer);
      const patience = setTimeout(() => {
        ending.abort();
      }, lastWait);
      await pending?.catch(() => undefined);
      clearTimeout(patience);
      clearTimeout(timer);
      held = undefined;
      await Promise.all([...ours].map((one) => giveBack(one, Math.min(deadline, lastWait))));
    },
  };
}

/** For one who waits; the login goes on for the others. */
const loginLate = (): VaultError =>
  new VaultError("late", "the login at Vault was not done in time", { nothingHappened: true });

/** Whatever happened to the login: nothing of what was asked has been sent. */
function asLoginError(cause: unknown, method: VaultAuth["method"]): VaultError {
  const options = { nothingHappened: true, cause };
  const why = cause instanceof Error ? cause.message : String(cause);
  if (!(cause instanceof VaultError))
    return new VaultError("logged-out", `no login by ${method}: its credential cannot be read: ${why}`, options);
  const refused = ["denied", "invalid", "missing"].includes(cause.trouble);
  if (refused) return new VaultError("logged-out", `the login by ${method} was refused: ${why}`, options);
  return new VaultError(cause.trouble, `no login by ${method}: ${why}`, { ...options, retryAfter: cause.retryAfter });
}

/** Without the line end of a file. */
function textOf(secret: Secret): string {
  const text = Buffer.from(secret.reveal()).toString("utf8").trim();
  if (!/^[\x21-\x7e]+$/.test(text)) throw new TypeError("it is empty, or has characters that a header cannot carry");
  return text;
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}; // of an object, fields are unknown

/** Of `auth` in the answer to a login or a renewal. */
function leaseIn(answer: unknown, at: number): Omit<Lease, "first"> {
  const auth = record(record(answer)["auth"]);
  const { client_token: token, lease_duration: seconds, renewable } = auth;
  if (typeof token !== "string" || typeof seconds !== "number")
    throw new VaultError("garbled", "the answer to a login holds no token");
  return lease(token, seconds, renewable === true, at);
}

/** Of the answer to lookup-self. */
function ownLease(answer: unknown, token: string, at: number): Lease {
  const { ttl, renewable } = record(record(answer)["data"]);
  if (typeof ttl !== "number") throw new VaultError("garbled", "the answer to a look at the token holds no ttl");
  const given = lease(token, ttl, renewable === true, at);
  return { ...given, first: given.lease };
}

const lease = (token: string, seconds: number, renewable: boolean, at: number): Omit<Lease, "first"> => ({
  token,
  since: at,
  expires: seconds === 0 ? undefined : at + seconds * 1000,
  renewable,
  lease: seconds * 1000,
});
