// With which keys does this issuer sign? One key set per configured issuer, never shared: two issuers may use one
// key id, and a key fetched for one must never vouch for the other.
//
// Anybody can send tokens with made-up key ids, so an unknown id asks the issuer again only when the last answer is
// older than the cool-down. An issuer that is down for a moment does not stop signing: known keys serve for an hour.

import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import type { FetchRules, GuardedFetch } from "../clients/fetch.ts";
import { Fault } from "../model/errors.ts";
import { fromUtf8 } from "../std/bytes.ts";
import type { Clock } from "../std/clock.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import type { IssuerConfig } from "./issuer.ts";

/** Milliseconds. */
export const keyTimes = {
  /** After a good answer, an unknown key id does not ask again so soon. */
  coolDown: 30_000,
  /** After a failure, nobody asks again so soon. */
  coolDownAfterFailure: 5_000,
  /** Then the keys are fetched anew, so that withdrawn ones go. */
  fresh: 10 * 60_000,
  /** Then keys that could not be fetched anew are trusted no more. */
  keep: 60 * 60_000,
} as const;

const maxKeys = 100;

type Find = ReturnType<typeof createLocalJWKSet>;

/** The returned function throws jose's JWKSNoMatchingKey for a key the issuer does not have, Fault ISSUER_DOWN where it cannot be asked. */
export function issuerKeys(issuer: IssuerConfig, clock: Clock, fetch: GuardedFetch): JWTVerifyGetKey {
  let held: { readonly find: Find; readonly at: number } | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<Find> | undefined;

  return async (header, token) => {
    const find = await current();
    try {
      return await find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || isYoung(held?.at, keyTimes.coolDown)) throw error;
      return (await askAgain())(header, token);
    }
  };

  async function current(): Promise<Find> {
    if (held && isYoung(held.at, keyTimes.fresh)) return held.find;
    try {
      return await askAgain();
    } catch (error) {
      if (held && isYoung(held.at, keyTimes.keep)) return held.find;
      throw error;
    }
  }

  /** Whoever comes while a question is under way shares its answer. */
  function askAgain(): Promise<Find> {
    if (isYoung(failedAt, keyTimes.coolDownAfterFailure)) return Promise.reject(down(issuer, "it failed a moment ago"));
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function ask(): Promise<Find> {
    try {
      const find = createLocalJWKSet(await fetchKeys(issuer, fetch));
      held = { find, at: clock() };
      return find;
    } catch (cause) {
      failedAt = clock();
      throw down(issuer, cause instanceof Error ? cause.message : String(cause), cause);
    }
  }

  /** A clock that went backwards makes everything old. */
  function isYoung(at: number | undefined, limit: number): boolean {
    const age = at === undefined ? limit : clock() - at;
    return age >= 0 && age < limit;
  }
}

const down = (issuer: IssuerConfig, why: string, cause?: unknown): Fault =>
  new Fault("ISSUER_DOWN", `keys of ${issuer.issuer}: ${why}`, {
    nothingHappened: true,
    retryAfter: keyTimes.coolDownAfterFailure / 1000,
    cause,
  });

async function fetchKeys(issuer: IssuerConfig, fetch: GuardedFetch): Promise<JSONWebKeySet> {
  const url = issuer.jwksUri ?? (await discover(issuer, fetch));
  const set = await fetchJson(url, issuer, fetch);
  if (!isKeySet(set)) throw new Error(`${url} is not a key set of at most ${String(maxKeys)} keys`);
  return set;
}

/** OpenID Connect Discovery 1.0, section 4. Its `issuer` must be ours, and its keys on the issuer's own origin. */
async function discover(issuer: IssuerConfig, fetch: GuardedFetch): Promise<string> {
  const url = `${issuer.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const { issuer: name, jwks_uri: keys } = await fetchJson(url, issuer, fetch);
  if (name !== issuer.issuer) throw new Error(`${url} describes another issuer: ${JSON.stringify(name)}`);
  if (typeof keys !== "string") throw new Error(`${url} has no jwks_uri`);
  if (URL.parse(keys)?.origin !== new URL(issuer.issuer).origin) {
    throw new Error(`${url} keeps its keys at ${keys}, another origin: if that is right, configure it as jwksUri`);
  }
  return keys;
}

async function fetchJson(url: string, issuer: IssuerConfig, fetch: GuardedFetch): Promise<JsonObject> {
  const { status, body } = await fetch({ url }, rulesFor(url, issuer));
  if (status !== 200) throw new Error(`${url} answered ${String(status)}`);
  const json: unknown = JSON.parse(fromUtf8(body));
  if (!isJsonObject(json)) throw new Error(`${url} is not a JSON object`);
  return json;
}

/** Only the issuer's own origin, or that of the jwksUri which the operator wrote. */
const rulesFor = (url: string, issuer: IssuerConfig): FetchRules => ({
  origin: new URL(url === issuer.jwksUri ? url : issuer.issuer).origin,
  ca: issuer.ca,
  allowPrivateAddresses: issuer.allowPrivateAddresses,
  dangerouslyAllowHttp: issuer.dangerouslyAllowHttp,
});

/** createLocalJWKSet looks into each key itself, and takes public ones only. */
const isKeySet = (value: JsonObject): value is JsonObject & JSONWebKeySet =>
  Array.isArray(value["keys"]) && value["keys"].length <= maxKeys && value["keys"].every(isJsonObject);
