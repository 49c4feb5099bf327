// Do we believe this OIDC token? A real issuer on loopback, real keys; attacks 10 to 16 and 36 as far as tokens go.

import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { githubClaims, personClaims, type TokenClaims } from "../../src/cli/dev/claims.ts";
import { type GuardedFetch, guardedFetch } from "../../src/clients/fetch.ts";
import type { IssuerConfig } from "../../src/identity/index.ts";
import { keyTimes } from "../../src/identity/issuer-keys.ts";
import { identityTokens } from "../../src/identity/tokens.ts";
import { Fault, isRefusal } from "../../src/model/errors.ts";
import type { IdentityTokens } from "../../src/ports/identity.ts";
import { base64url } from "../../src/std/base64.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { type FaultyIssuer, startFaultyIssuer } from "../support/issuer.ts";

let now = Date.UTC(2026, 10, 21, 12, 0, 0);
const clock = () => now;
const seconds = () => Math.floor(now / 1000);
let ci: FaultyIssuer;

beforeEach(async () => {
  ci = await startFaultyIssuer({ clock, algorithm: "ES256" });
});
afterEach(async () => {
  await ci[Symbol.asyncDispose]();
});

const config = (changes: Partial<IssuerConfig> = {}): IssuerConfig => ({
  issuer: ci.issuer,
  provider: "github",
  audience: "signet",
  algorithms: ["ES256"],
  dangerouslyAllowHttp: true,
  ...changes,
});
const door = (...issuers: readonly IssuerConfig[]) =>
  identityTokens({ issuers: issuers.length > 0 ? issuers : [config()], clock, fetch: guardedFetch });
const verifier = (tokens: IdentityTokens) => (token: string) => tokens.verify(token);
const mint = (changes: TokenClaims = {}) => ci.mint(githubClaims({ aud: "signet", ...changes }));
const keyFetches = () => ci.asked.filter((path) => path === "/.well-known/jwks").length;
const invalid = (message: RegExp) => ({ refusal: "TOKEN_INVALID", message: expect.stringMatching(message) as string });

/** Signs with a key of our own what an issuer would not. */
const encode = (value: object) => base64url(utf8(JSON.stringify(value)));
const strangerKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
function forge(header: object, claims: object | string): string {
  const input = `${encode(header)}.${typeof claims === "string" ? base64url(utf8(claims)) : encode(claims)}`;
  return `${input}.${base64url(sign("sha256", utf8(input), { key: strangerKey, dsaEncoding: "ieee-p1363" }))}`;
}
const rightClaims = () => ({ iss: ci.issuer, aud: "signet", iat: seconds(), exp: seconds() + 300, ...githubClaims() });

describe("a job's token", () => {
  test("names the job, the token and its end", async () => {
    const token = await mint();
    const input = token.slice(0, token.lastIndexOf("."));
    expect(await door().verify(token)).toMatchObject({
      kind: "workload",
      principal: { project: "acme/app", issuer: ci.issuer },
      tokenId: sha256Hex(`${ci.issuer}\0${input}`),
      expiresAt: (seconds() + 300) * 1000,
    });
  });

  test("a hundred tokens ask the issuer once", async () => {
    const verify = verifier(door());
    const tokens = await Promise.all(Array.from({ length: 100 }, () => mint()));
    const answers = await Promise.all(tokens.map(verify));
    expect(answers.filter(isRefusal)).toEqual([]);
    expect(ci.asked).toEqual(["/.well-known/openid-configuration", "/.well-known/jwks"]);
  });

  test("an audience as a list of one is one audience", async () => {
    expect(await door().verify(await mint({ aud: ["signet"] }))).toHaveProperty("tokenId");
  });

  test("one issuer may serve jobs and people, told apart by the audience", async () => {
    const both = door(config(), config({ provider: "person", audience: "signet-cli" }));
    expect(await both.verify(await mint())).toMatchObject({ kind: "workload" });
    expect(await both.verify(await ci.mint(personClaims({ aud: "signet-cli" })))).toMatchObject({
      kind: "person",
      name: "dev",
      issuer: ci.issuer,
    });
    expect(await both.verify(await ci.mint(personClaims({ aud: "signet" })))).toMatchObject({
      refusal: "TOKEN_INVALID",
    });
  });

  test.each(["RS256", "EdDSA"] as const)("may be signed with %s where that is configured", async (algorithm) => {
    await using issuer = await startFaultyIssuer({ clock, algorithm });
    const token = await issuer.mint(githubClaims({ aud: "signet" }));
    expect(await door(config({ issuer: issuer.issuer, algorithms: [algorithm] })).verify(token)).toHaveProperty(
      "tokenId",
    );
    expect(await door(config({ issuer: issuer.issuer })).verify(token)).toMatchObject(
      invalid(/algorithm is "(RS256|EdDSA)"; accepted .*ES256/),
    );
  });
});

describe("attack 10: what is not signed by the issuer", () => {
  test.each(["none", "None", "HS256", "RS256", "ES512", undefined, 7])("alg %s", async (alg) => {
    expect(await door().verify(forge({ alg, typ: "JWT" }, rightClaims()))).toMatchObject(invalid(/algorithm/));
    expect(ci.asked).toEqual([]);
  });

  test("no signature at all", async () => {
    const token = await mint();
    expect(await door().verify(token.replace(/[^.]+$/, ""))).toMatchObject({ refusal: "TOKEN_INVALID" });
  });

  test("the public key as an HMAC secret, even where an operator's configuration names HS256", async () => {
    const jwks = await (await fetch(`${ci.issuer}/.well-known/jwks`)).text();
    const [kid] = /(?<="kid":")[^"]+/.exec(jwks) ?? [];
    const input = `${encode({ alg: "HS256", typ: "JWT", kid })}.${encode(rightClaims())}`;
    const token = `${input}.${createHmac("sha256", jwks).update(input).digest("base64url")}`;
    expect(await door().verify(token)).toMatchObject(invalid(/algorithm/));
    const careless = config({ algorithms: ["HS256" as "ES256"] });
    expect(await door(careless).verify(token)).toMatchObject({ refusal: "TOKEN_INVALID" });
  });

  test("a key of one's own under the issuer's key id, shown in the header or at an address", async () => {
    const kid = (JSON.parse(Buffer.from((await mint()).split(".")[0] ?? "", "base64url").toString()) as { kid: string })
      .kid;
    const jwk = { kty: "EC", crv: "P-256", x: "A", y: "A" };
    const token = forge({ alg: "ES256", typ: "JWT", kid, jwk, jku: "http://127.0.0.1:1/keys" }, rightClaims());
    expect(await door().verify(token)).toMatchObject(invalid(/signature does not verify/));
  });

  test("a storm of unknown key ids asks once per cool-down", async () => {
    const verify = verifier(door());
    await verify(await mint());
    const storm = async () => {
      for (let i = 0; i < 50; i++) {
        const answer = await verify(forge({ alg: "ES256", kid: `k${String(i)}` }, rightClaims()));
        expect(answer).toMatchObject(invalid(/not signed with a key that its issuer publishes/));
      }
    };
    await storm();
    expect(keyFetches()).toBe(1);
    now += keyTimes.coolDown;
    await storm();
    expect(keyFetches()).toBe(2);
  });

  test.each([
    { crit: ["x"], x: 1 },
    { crit: [] },
    { typ: "dpop+jwt" },
    { typ: "logout+jwt" },
    { typ: 7 },
    { b64: false, crit: ["b64"] },
  ])("header %j", async (header) => {
    expect(await door().verify(forge({ alg: "ES256", ...header }, rightClaims()))).toMatchObject({
      refusal: "TOKEN_INVALID",
    });
    expect(ci.asked).toEqual([]);
  });
});

describe("attack 11: an issuer that only looks like ours", () => {
  test.each([
    (iss: string) => `${iss}/`,
    (iss: string) => iss.replace("http", "HTTP"),
    (iss: string) => iss.replace("http:", "https:"),
    (iss: string) => `${iss}@evil.example`,
    (iss: string) => iss.replace("127.0.0.1", "127.0.0.１"),
    (iss: string) => iss.replace("127.0.0.1", "2130706433"),
    (iss: string) => iss.replace("127", "%3127"),
    (iss: string) => [iss],
    () => undefined,
    () => null,
  ])("case %#", async (change) => {
    const answer = await door().verify(await mint({ iss: change(ci.issuer) }));
    expect(answer).toMatchObject(invalid(/issuer is .* accepted here, to the letter: "http:/));
    expect(ci.asked).toEqual([]);
  });

  test("keys of one issuer do not vouch for another, even under one key id", async () => {
    await using other = await startFaultyIssuer({ clock, algorithm: "ES256" });
    const verify = verifier(door(config(), config({ issuer: other.issuer })));
    await verify(await mint());
    expect(await verify(await ci.mint(githubClaims({ aud: "signet", iss: other.issuer })))).toMatchObject({
      refusal: "TOKEN_INVALID",
    });
    expect(await verify(await other.mint(githubClaims({ aud: "signet" })))).toMatchObject({
      principal: { issuer: other.issuer },
    });
  });
});

test.each([
  [undefined, /audience is absent; expected exactly one, "signet"/],
  [[], /audience is empty/],
  [["signet", "other"], /audience is "signet" and "other"; expected exactly one/],
  [["signet", "signet"], /exactly one/],
  ["Signet", /audience is "Signet"; expected exactly one, "signet"/],
  ["signet ", /"signet "/],
  [{ signet: true }, /a object|object/],
  [[["signet"]], /exactly one/],
])("attack 12: audience %j", async (aud, message) => {
  expect(await door().verify(await mint({ aud }))).toMatchObject(invalid(message));
  expect(ci.asked).toEqual([]);
});

test("attack 14: changed padding bits in the signature make no other token", async () => {
  const verify = verifier(door());
  const token = await mint();
  const slack = token.slice(0, -1) + String.fromCharCode(token.charCodeAt(token.length - 1) + 1);
  expect(Buffer.from(slack.slice(-86), "base64url")).toEqual(Buffer.from(token.slice(-86), "base64url"));
  const [first, second] = [await verify(token), await verify(slack)];
  if (isRefusal(first)) throw new Error(first.message);
  if (!isRefusal(second)) expect(second.tokenId).toBe(first.tokenId);
});

describe("attack 15: time", () => {
  test.each([
    ["expired", () => ({ exp: seconds() - 31 }), /expired at 2026-/],
    ["issued in the future", () => ({ iat: seconds() + 31, nbf: seconds() }), /issued at/],
    ["not valid yet", () => ({ nbf: seconds() + 31 }), /not valid before/],
    ["no exp", () => ({ exp: undefined }), /exp is absent/],
    ["no iat", () => ({ iat: undefined }), /iat is absent/],
    ["no sub", () => ({ sub: undefined }), /"sub" is absent/],
    ["exp in words", () => ({ exp: String(seconds() + 300) }), /exp is not a time/],
    ["exp null", () => ({ exp: null }), /exp is not a time/],
    ["nbf in words", () => ({ nbf: "now" }), /nbf is not a time/],
    [
      "ten years",
      () => ({ exp: seconds() + 10 * 365 * 86_400 }),
      /lives P3650D; accepted from this issuer: at most PT1H/,
    ],
    ["before it was issued", () => ({ iat: seconds() + 20, exp: seconds() + 10 }), /before it was issued/],
  ])("%s", async (_, changes, message) => {
    expect(await door().verify(await mint(changes()))).toMatchObject(invalid(message));
  });

  test("an endless exp", async () => {
    const claims = JSON.stringify({ ...rightClaims(), exp: 0 }).replace('"exp":0', '"exp":1e999');
    expect(await door().verify(forge({ alg: "ES256" }, claims))).toMatchObject(invalid(/exp is not a time/));
  });

  test("clocks may differ by half a minute", async () => {
    expect(await door().verify(await mint({ exp: seconds() - 29, iat: seconds() - 200 }))).toHaveProperty("tokenId");
    expect(await door().verify(await mint({ iat: seconds() + 29, nbf: seconds() + 29 }))).toHaveProperty("tokenId");
  });

  test("the operator may allow less", async () => {
    expect(await door(config({ maxLifetime: 60_000 })).verify(await mint())).toMatchObject(
      invalid(/lives PT5M; accepted from this issuer: at most PT1M/),
    );
  });
});

test.each([
  "",
  "a.b",
  "a.b.c",
  "....",
  "x".repeat(20_000),
  "e30.e30.e30",
  "e30.bnVsbA.AA",
  "\u0000",
  "e30.e30.e30.e30",
])("%j is no token", async (text) => {
  expect(await door().verify(text)).toMatchObject({ refusal: "TOKEN_INVALID" });
});

describe("an issuer in trouble", () => {
  test.each(["error", "redirect", "huge", "garbage"] as const)(
    "%s: a fault, not a refusal, and nobody is asked twice at once",
    async (trouble) => {
      const verify = verifier(door());
      ci.trouble = trouble;
      const token = await mint();
      await expect(verify(token)).rejects.toMatchObject({ code: "ISSUER_DOWN", nothingHappened: true });
      await expect(verify(token)).rejects.toBeInstanceOf(Fault);
      expect(ci.asked).toHaveLength(1);
      ci.trouble = "none";
      now += keyTimes.coolDownAfterFailure;
      expect(await verify(token)).toHaveProperty("tokenId");
    },
  );

  test("known keys serve for an hour, then no longer", async () => {
    const verify = verifier(door(config({ maxLifetime: 3 * 3_600_000 })));
    const token = await mint({ exp: seconds() + 2 * 3600 });
    await verify(token);
    ci.trouble = "error";
    now += keyTimes.keep - 1;
    expect(await verify(token)).toHaveProperty("tokenId");
    now += keyTimes.coolDownAfterFailure;
    await expect(verify(token)).rejects.toMatchObject({ code: "ISSUER_DOWN" });
  });

  test("a new key is found, a withdrawn one is gone within ten minutes", async () => {
    const verify = verifier(door());
    const old = await mint({ exp: seconds() + 1800 });
    await verify(old);
    await ci.rotate();
    now += keyTimes.coolDown;
    expect(await verify(await mint())).toHaveProperty("tokenId");
    await ci.rotate({ forget: true });
    now += keyTimes.fresh;
    expect(await verify(old)).toMatchObject({ refusal: "TOKEN_INVALID" });
  });
});

describe("attack 36: keys come from the issuer's origin, or from where the operator said", () => {
  const answering = (documents: Readonly<Record<string, object>>) =>
    vi.fn<GuardedFetch>(({ url }) =>
      Promise.resolve(
        url in documents
          ? { status: 200, headers: {}, body: utf8(JSON.stringify(documents[url])) }
          : { status: 404, headers: {}, body: new Uint8Array() },
      ),
    );
  const issuer = "https://ci.example.com";
  const token = () => forge({ alg: "ES256", kid: "k" }, { ...rightClaims(), iss: issuer });
  const well = `${issuer}/.well-known/openid-configuration`;

  test.each([
    [{ issuer, jwks_uri: "http://169.254.169.254/latest" }, /another origin/],
    [{ issuer, jwks_uri: "https://ci.example.com.evil.example/keys" }, /another origin/],
    [{ issuer, jwks_uri: "https://evil@ci.example.net/keys" }, /another origin/],
    [{ issuer: `${issuer}/`, jwks_uri: `${issuer}/keys` }, /another issuer/],
    [{ issuer }, /no jwks_uri/],
  ])("%j", async (document, why) => {
    const fetch = answering({ [well]: document });
    const verify = verifier(identityTokens({ issuers: [config({ issuer })], clock, fetch }));
    await expect(verify(token())).rejects.toThrow(why);
    expect(fetch.mock.calls.map(([{ url }]) => url)).toEqual([well]);
  });

  test("a configured address replaces discovery", async () => {
    const jwksUri = "https://keys.example.com/set";
    const fetch = answering({ [jwksUri]: { keys: [] } });
    const verify = verifier(identityTokens({ issuers: [config({ issuer, jwksUri })], clock, fetch }));
    expect(await verify(token())).toMatchObject({ refusal: "TOKEN_INVALID" });
    expect(fetch.mock.calls.map(([{ url }, { origin }]) => [url, origin])).toEqual([
      [jwksUri, "https://keys.example.com"],
    ]);
  });
});

test("two issuers that a token could not tell apart do not start", () => {
  expect(() => door(config(), config({ provider: "person" }))).toThrow(/same name and audience/);
});
