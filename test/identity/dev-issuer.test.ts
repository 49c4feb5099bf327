// The stand-in issuer, asked as real clients ask: a job for its token, a person by browser and by device.

import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  discovery,
  initiateDeviceAuthorization,
  None,
  pollDeviceAuthorizationGrant,
  randomPKCECodeVerifier,
} from "openid-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type DevIssuer, startDevIssuer } from "../../src/cli/dev/issuer.ts";
import { ambientIdentity } from "../../src/client/ambient.ts";
import { guardedFetch } from "../../src/clients/fetch.ts";
import { identity } from "../../src/identity/index.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";

let issuer: DevIssuer & AsyncDisposable;
beforeEach(async () => {
  issuer = await startDevIssuer({ clock: systemClock, random: systemRandom, person: { preferred_username: "robin" } });
});
afterEach(async () => {
  await issuer[Symbol.asyncDispose]();
});

const verify = (token: string) => {
  const common = { issuer: issuer.issuer, dangerouslyAllowHttp: true };
  const { tokens } = identity({
    issuers: [
      { ...common, provider: "github", audience: "signet" },
      { ...common, provider: "person", audience: "signet-cli" },
    ],
    epoch: 1,
    clock: systemClock,
    random: systemRandom,
    fetch: guardedFetch,
  });
  return tokens.verify(token);
};
const redirect = "http://127.0.0.1:9/callback";
// Marked as deprecated only to stand out: the issuer is on loopback, without TLS.
// eslint-disable-next-line @typescript-eslint/no-deprecated
const plainHttp = allowInsecureRequests;
const connect = () => discovery(new URL(issuer.issuer), "signet-cli", undefined, None(), { execute: [plainHttp] });

test("a job finds its token where GitHub's jobs find theirs", async () => {
  const env = { ...issuer.job({ ref: "refs/heads/main", ref_type: "branch" }) };
  const found = await ambientIdentity({ env, audience: "signet", signal: AbortSignal.timeout(5000) });
  expect(found?.source).toBe("GitHub Actions");
  expect(await verify(found?.token ?? "")).toMatchObject({ kind: "workload", principal: { ref: "refs/heads/main" } });
});

test("who is no job gets no token", async () => {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url } = issuer.job();
  for (const authorization of ["", "bearer made-up"]) {
    expect((await fetch(url, { headers: { authorization } })).status).toBe(401);
  }
});

test("a person signs in by browser, with PKCE", async () => {
  const config = await connect();
  const verifier = randomPKCECodeVerifier();
  const start = buildAuthorizationUrl(config, {
    redirect_uri: redirect,
    scope: "openid",
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: "s",
    nonce: "n",
  });
  const back = new URL((await fetch(start, { redirect: "manual" })).headers.get("location") ?? "");
  expect(back.origin + back.pathname).toBe(redirect);
  const checks = { pkceCodeVerifier: verifier, expectedState: "s", expectedNonce: "n", idTokenExpected: true };
  const { id_token } = await authorizationCodeGrant(config, back, checks);
  expect(await verify(id_token ?? "")).toMatchObject({ kind: "person", name: "robin", methods: ["pwd", "otp"] });
  await expect(authorizationCodeGrant(config, back, checks)).rejects.toThrow();
});

test("a code is worth nothing without its verifier", async () => {
  const config = await connect();
  const start = buildAuthorizationUrl(config, {
    redirect_uri: redirect,
    scope: "openid",
    code_challenge: await calculatePKCECodeChallenge(randomPKCECodeVerifier()),
    code_challenge_method: "S256",
  });
  const back = new URL((await fetch(start, { redirect: "manual" })).headers.get("location") ?? "");
  await expect(authorizationCodeGrant(config, back, { pkceCodeVerifier: randomPKCECodeVerifier() })).rejects.toThrow();
});

test("a person signs in by device", async () => {
  const config = await connect();
  const { id_token } = await pollDeviceAuthorizationGrant(
    config,
    await initiateDeviceAuthorization(config, { scope: "openid" }),
  );
  expect(await verify(id_token ?? "")).toMatchObject({ kind: "person", name: "robin" });
});

test.each([
  ["no challenge", { code_challenge: undefined }],
  ["a plain challenge", { code_challenge_method: "plain" }],
  ["a redirect off the machine", { redirect_uri: "https://evil.example/" }],
  ["the implicit flow", { response_type: "token" }],
])("%s is refused", async (_, change) => {
  const url = new URL(`${issuer.issuer}/authorize`);
  const right = {
    client_id: "c",
    redirect_uri: redirect,
    response_type: "code",
    code_challenge: "x",
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries({ ...right, ...change }))
    if (value !== undefined) url.searchParams.set(name, value);
  expect((await fetch(url, { redirect: "manual" })).status).toBe(400);
});
