// Who does this OIDC token say is calling, and do we believe it?
//
// In order: its form; issuer and audience, byte for byte against the configuration; its lifetime; the signature with
// that issuer's own keys and pinned algorithms; the claims by that provider's rules. Nothing is fetched for a token
// that would be refused anyway, and never from an address that a token names.

import { errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { GuardedFetch } from "../clients/fetch.ts";
import { Fault, type Refusal, refuse } from "../model/errors.ts";
import type { IdentityTokens, PersonIdentity, WorkloadIdentity } from "../ports/identity.ts";
import { fromBase64url } from "../std/base64.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { type Clock, rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { formatDuration } from "../std/duration.ts";
import { isJsonObject } from "../std/json.ts";
import { type Claims, quote, Unacceptable } from "./claims.ts";
import type { Caller, IssuerConfig, Provider, TokenAlgorithm } from "./issuer.ts";
import { issuerKeys } from "./issuer-keys.ts";
import { providers } from "./providers.ts";

/** Seconds by which the issuer's clock and ours may differ. */
export const clockTolerance = 30;
/** Characters. GitHub's tokens have about 2,000. */
export const maxTokenLength = 16_384;

export interface IdentityTokensParts {
  readonly issuers: readonly IssuerConfig[];
  readonly clock: Clock;
  readonly fetch: GuardedFetch;
}

/** Throws TypeError where two issuers are the same to a token, or a configuration lacks what its provider needs. */
export function identityTokens({ issuers, clock, fetch }: IdentityTokensParts): IdentityTokens {
  const trusted = issuers.map((issuer) => trust(issuer, clock, fetch));
  refuseTwins(issuers);
  return {
    async verify(token) {
      try {
        return await identify(token, trusted, clock());
      } catch (error) {
        return asRefusal(error);
      }
    },
  };
}

interface Trusted {
  readonly issuer: IssuerConfig;
  readonly algorithms: readonly TokenAlgorithm[];
  /** Milliseconds. */
  readonly maxLifetime: number;
  readonly keys: JWTVerifyGetKey;
  readonly read: (claims: Claims) => Caller;
}

function trust(issuer: IssuerConfig, clock: Clock, fetch: GuardedFetch): Trusted {
  const provider: Provider | undefined = providers.find(({ name }) => name === issuer.provider);
  if (!provider) throw new TypeError(`issuer ${issuer.issuer}: there is no provider ${issuer.provider}`);
  return {
    issuer,
    algorithms: issuer.algorithms ?? provider.algorithms,
    maxLifetime: issuer.maxLifetime ?? provider.maxLifetime,
    keys: issuerKeys(issuer, clock, fetch),
    read: provider.reader(issuer),
  };
}

/** One issuer may serve jobs and people (GitLab does); then the audience tells them apart. */
function refuseTwins(issuers: readonly IssuerConfig[]): void {
  const names = issuers.map(({ issuer, audience }) => JSON.stringify([issuer, audience]));
  const twin = names.find((name, index) => names.indexOf(name) !== index);
  if (twin !== undefined) throw new TypeError(`two issuers have the same name and audience: ${twin}`);
}

async function identify(
  token: string,
  trusted: readonly Trusted[],
  now: number,
): Promise<WorkloadIdentity | PersonIdentity> {
  const { header, claims, signingInput } = parse(token);
  const ours = addressee(claims, trusted);
  checkHeader(header, ours);
  const expiresAt = checkTimes(claims, ours.maxLifetime, now);
  const verified = await checkSignature(token, ours, now);
  const tokenId = sha256Hex(`${ours.issuer.issuer}\0${signingInput}`);
  return { ...ours.read(verified), tokenId, expiresAt };
}

interface Unverified {
  readonly header: Claims;
  readonly claims: Claims;
  /** What was signed: header and payload as they came. */
  readonly signingInput: string;
}

/** Everything in it is the sender's word until the signature is checked. */
function parse(token: string): Unverified {
  const [, first = "", second = ""] = token.length > maxTokenLength ? [] : (compactJws.exec(token) ?? []);
  const [header, claims] = [jsonObject(first), jsonObject(second)];
  if (!header || !claims) {
    throw new Unacceptable(
      "this is not a signed JSON Web Token",
      "Pass the token as the CI provider gave it: three parts, joined by dots.",
    );
  }
  return { header, claims, signingInput: `${first}.${second}` };
}

const compactJws = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/;

function jsonObject(part: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(fromUtf8(fromBase64url(part)));
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function addressee(claims: Claims, trusted: readonly Trusted[]): Trusted {
  const { iss, aud } = claims;
  const known = trusted.filter(({ issuer }) => issuer.issuer === iss);
  if (known.length === 0) {
    const expected = trusted.map(({ issuer }) => quote(issuer.issuer));
    throw new Unacceptable(
      `the token's issuer is ${said(iss)}; accepted here, to the letter: ${[...new Set(expected)].join(", ") || "none"}`,
      "An operator adds issuers to the configuration.",
    );
  }
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const found = audiences.length === 1 && known.find(({ issuer }) => issuer.audience === audiences[0]);
  if (found) return found;
  const expected = known.map(({ issuer }) => quote(issuer.audience)).join(" or ");
  throw new Unacceptable(
    `the token's audience is ${audiences.length === 0 ? "empty" : audiences.slice(0, 4).map(said).join(" and ")}; expected exactly one, ${expected}`,
    `Ask the CI provider for a token with the audience ${expected} alone.`,
  );
}

const said = (value: unknown): string =>
  typeof value === "string" ? quote(value) : value === undefined ? "absent" : `a ${typeof value}`;

function checkHeader(header: Claims, { algorithms }: Trusted): void {
  const { alg, typ, crit } = header;
  if (!algorithms.some((one) => one === alg)) {
    throw new Unacceptable(
      `the token's algorithm is ${said(alg)}; accepted from this issuer: ${algorithms.join(", ")}`,
    );
  }
  if (crit !== undefined) throw new Unacceptable("the token demands an extension (crit) that is not understood here");
  // Proofs, logout tokens and access tokens are JWTs of the same issuers: they are no identity.
  if (typ !== undefined && (typeof typ !== "string" || typ.toUpperCase() !== "JWT")) {
    throw new Unacceptable(`the token's type is ${said(typ)}; expected "JWT"`);
  }
}

/** Returns when it expires, milliseconds. Seconds in the claims (RFC 7519, NumericDate). */
function checkTimes(claims: Claims, maxLifetime: number, now: number): number {
  const [issued, expires] = [seconds(claims, "iat"), seconds(claims, "exp")];
  const starts = claims["nbf"] === undefined ? issued : seconds(claims, "nbf");
  const here = `it is ${rfc3339(now)} here`;
  const tolerance = clockTolerance * 1000;
  if (expires <= now - tolerance)
    throw new Unacceptable(
      `the token expired at ${rfc3339(expires)}; ${here}`,
      "Ask the CI provider for a fresh token.",
    );
  if (issued > now + tolerance) throw new Unacceptable(`the token says it was issued at ${rfc3339(issued)}; ${here}`);
  if (starts > now + tolerance) throw new Unacceptable(`the token is not valid before ${rfc3339(starts)}; ${here}`);
  if (expires <= issued) throw new Unacceptable("the token expires before it was issued");
  if (expires - issued > maxLifetime) {
    throw new Unacceptable(
      `the token lives ${formatDuration(expires - issued)}; accepted from this issuer: at most ${formatDuration(maxLifetime)}`,
    );
  }
  return expires;
}

/** The year 9999, beyond which RFC 3339 has no word. */
const lastSecond = 253_402_300_799;

function seconds(claims: Claims, name: "exp" | "iat" | "nbf"): number {
  const value = claims[name];
  if (typeof value !== "number" || !(value >= 0 && value <= lastSecond)) {
    throw new Unacceptable(
      `the token's ${name} is ${value === undefined ? "absent" : "not a time"}; expected seconds since 1970 as a number`,
    );
  }
  return Math.floor(value * 1000);
}

/** jose checks once more what was read above; the two must agree. */
async function checkSignature(token: string, { issuer, algorithms, keys }: Trusted, now: number): Promise<Claims> {
  const { payload } = await jwtVerify(token, keys, {
    issuer: issuer.issuer,
    audience: issuer.audience,
    algorithms: [...algorithms],
    requiredClaims: ["exp", "iat", "sub"],
    clockTolerance,
    currentDate: new Date(now),
  });
  return payload;
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Unacceptable) return refuse("TOKEN_INVALID", error.message, error.hint);
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return refuse("TOKEN_INVALID", "the token was not signed with a key that its issuer publishes");
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refuse(
      "TOKEN_INVALID",
      `the token's claim ${quote(error.claim)} is ${error.reason === "missing" ? "absent" : "not acceptable"}`,
    );
  }
  if (error instanceof errors.JOSEError)
    return refuse("TOKEN_INVALID", "the token's signature does not verify with its issuer's keys");
  if (error instanceof Fault) throw error;
  throw new Fault("INTERNAL", "an identity token could not be judged", { nothingHappened: true, cause: error });
}
