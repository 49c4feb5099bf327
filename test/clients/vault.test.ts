// The wire to Vault and the life of our token there, on a real Vault; what goes wrong between is made by a proxy.

import { generateKeyPairSync } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";

import fc from "fast-check";
import { SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { pathOf, type Vault, type VaultAuth, VaultError, type VaultPath, vault } from "../../src/clients/vault.ts";
import { refusalOf } from "../../src/clients/vault-error.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { Secret } from "../../src/std/secret.ts";
import { selfSigned } from "../support/certificate.ts";
import { type FaultProxy, faultProxy } from "../support/fault-proxy.ts";
import { until } from "../support/faults.ts";
import { lacks } from "../support/peers.ts";
import { devVault, sealableVault, type VaultServer } from "../support/vault.ts";
import { appRole, field } from "../support/vault-transit.ts";

const never = new AbortController().signal;
const key: VaultPath = pathOf("transit", "keys", "release");
const policy = `path "transit/keys/release" { capabilities = ["read"] }`;

describe("paths", () => {
  test("say what they mean, or are not made", () => {
    expect(pathOf("teams/a/transit", "sign", "release.v2")).toBe("teams/a/transit/sign/release.v2");
    for (const bad of ["", "..", ".", "a/../b", "a b", "a?b", "a#b", "%2e%2e", "{{x}}", "a/", "/a", "-a", "a\n"])
      expect(() => pathOf("transit", "keys", bad), bad).toThrow(TypeError);
  });

  test("whatever the name, the URL has exactly the segments that were asked for", () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        let path: string;
        try {
          path = pathOf("transit", "sign", name);
        } catch (error) {
          return error instanceof TypeError;
        }
        return new URL(`https://vault.test/v1/${path}`).pathname === `/v1/transit/sign/${name}`;
      }),
    );
  });
});

test.each([
  [400, ["encryption key not found"], "invalid", true],
  [403, ["permission denied"], "denied", true],
  [404, [], "missing", true],
  [404, ['no handler for route "transit/keys/release". route entry not found.'], "invalid", true],
  [307, undefined, "standby", true],
  [302, undefined, "failed", false],
  [403, undefined, "failed", false],
  [404, undefined, "failed", false],
  [408, undefined, "failed", false],
  [429, undefined, "failed", false],
  [503, undefined, "failed", false],
  [307, [], "standby", true],
  [412, [], "standby", true],
  [429, ["request path rate limit"], "throttled", true],
  [472, [], "standby", true],
  [473, [], "standby", true],
  [500, ["internal error"], "failed", false],
  [500, ["local node not active but active cluster node not found"], "standby", true],
  [502, [], "failed", false],
  [503, ["Vault is sealed"], "sealed", true],
  [503, [], "failed", false],
] as const)("status %i, %j: %s, and that nothing happened is %s", (status, errors, trouble, nothingHappened) => {
  expect(refusalOf("POST sign", status, errors)).toMatchObject({ trouble, nothingHappened });
});

describe.skipIf(await lacks("vault", "openssl"))("on a real Vault", () => {
  let server: VaultServer;
  let proxy: FaultProxy;
  const open: Vault[] = [];

  beforeAll(async () => {
    server = await devVault();
    proxy = await faultProxy(server.address);
    await server.must("POST", "transit/keys/release", { type: "ecdsa-p256" });
  });

  afterEach(async () => {
    proxy.forget();
    await Promise.all(open.splice(0).map((one) => one[Symbol.asyncDispose]())); // or it renews while others are counted
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  function client(auth: VaultAuth, more: Partial<Parameters<typeof vault>[0]> = {}): Vault {
    const made = vault({
      address: proxy.url,
      auth,
      deadline: 5000,
      connections: 64,
      clock: systemClock,
      random: systemRandom,
      log: { warn: () => undefined },
      ...more,
    });
    open.push(made);
    proxy.forget();
    return made;
  }

  async function role(fields: object = {}): Promise<VaultAuth & { method: "approle" }> {
    const { roleId, secretId } = await appRole(server, fields, policy);
    return { method: "approle", mount: "approle", roleId, secretId: () => new Secret(Buffer.from(secretId)) };
  }

  const logins = (): number => proxy.count({ path: "/login" });
  const renewals = (): number => proxy.count({ path: "renew-self" });
  const times = (count: number, of: Vault): Promise<unknown[]> =>
    Promise.all(Array.from({ length: count }, () => of.read(key, never)));
  const troubleOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    );

  test("fifty who ask at once share one login", async () => {
    const one = client(await role());
    await times(50, one);
    expect(logins()).toBe(1);
    expect(one.seen()).toMatchObject({ login: { renewable: true }, trouble: undefined });
  });

  test("the token is renewed at about two thirds of its lease, without another login", async () => {
    const one = client(await role({ token_ttl: "3s", token_max_ttl: "1m" }));
    await times(1, one);
    await sleep(1600);
    expect(renewals()).toBe(0);
    await until("it was renewed", () => renewals() === 1, 1500);
    await sleep(1500); // beyond the first lease
    await times(5, one);
    expect(logins()).toBe(1);
  });

  test("before max_ttl ends the token there is a new login, and nobody notices", async () => {
    const one = client(await role({ token_ttl: "2s", token_max_ttl: "3s" }));
    const end = Date.now() + 5000;
    while (Date.now() < end) {
      await times(2, one);
      await sleep(100);
    }
    expect(logins()).toBeGreaterThanOrEqual(2);
    expect(logins()).toBeLessThanOrEqual(5);
    expect(proxy.asked.length).toBeGreaterThan(80);
  });

  test("a token that was revoked is replaced once, for all fifty who find out", async () => {
    const one = client(await role());
    await times(1, one);
    await server.must("PUT", "sys/leases/revoke-prefix/auth/approle/login");
    await times(50, one);
    expect(logins()).toBe(2);
  });

  test("what the policy does not allow is refused without another login", async () => {
    const one = client(await role());
    const errors = await Promise.all(
      Array.from({ length: 20 }, () => troubleOf(one.read(pathOf("transit", "keys", "other"), never))),
    );
    for (const error of errors) expect(error).toMatchObject({ trouble: "denied", nothingHappened: true });
    expect(logins()).toBe(1);
    expect(proxy.count({ path: "lookup-self" })).toBe(1);
  });

  test("a login that is refused is tried once, however many ask, and again a moment later", async () => {
    const good = await role();
    let secret = "wrong";
    const one = client({
      ...good,
      secretId: () => (secret === "wrong" ? new Secret(Buffer.from(secret)) : good.secretId()),
    });
    const errors = await Promise.all(Array.from({ length: 30 }, () => troubleOf(one.read(key, never))));
    for (const error of errors) expect(error).toMatchObject({ trouble: "logged-out", nothingHappened: true });
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "logged-out" });
    expect(logins()).toBe(1);
    expect(one.seen().trouble).toMatchObject({ trouble: "logged-out" });
    secret = "right";
    await until(
      "it logs in by itself",
      () =>
        one.read(key, never).then(
          () => true,
          () => false,
        ),
      4000,
    );
    expect(one.seen().trouble).toBeUndefined();
  });

  test("closing revokes the token that we were given", async () => {
    const one = client(await role());
    await times(1, one);
    const token = String(proxy.asked.at(-1)?.headers["x-vault-token"]);
    expect((await server.api("GET", "auth/token/lookup-self", undefined, token)).status).toBe(200);
    await one[Symbol.asyncDispose]();
    expect((await server.api("GET", "auth/token/lookup-self", undefined, token)).status).toBe(403);
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "logged-out", nothingHappened: true });
  });

  test("closing does not wait for a login that hangs", async () => {
    const one = client(await role(), { deadline: 30_000 });
    proxy.spoil({ path: "/login" }, { trouble: "swallow", done: false });
    const waiting = troubleOf(one.read(key, never));
    await until("it logs in", () => logins() === 1);
    const began = performance.now();
    await one[Symbol.asyncDispose]();
    expect(performance.now() - began).toBeLessThan(4000);
    expect(await waiting).toMatchObject({ nothingHappened: true });
  });

  test("a token from a file is used, renewed, read again when it changes, and left alone at the end", async () => {
    await server.policy("read", policy);
    const tokens = [await server.token(["read"], { ttl: "2s" }), await server.token(["read"], { ttl: "1h" })];
    let written = tokens[0] ?? "";
    const one = client({ method: "token", token: () => new Secret(Buffer.from(`${written}\n`)) });
    await times(10, one);
    await sleep(2500);
    await times(1, one);
    expect(renewals()).toBeGreaterThanOrEqual(1);
    await server.must("POST", "auth/token/revoke", { token: written });
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "logged-out", nothingHappened: true });
    written = tokens[1] ?? "";
    await until(
      "it reads the file again",
      () =>
        one.read(key, never).then(
          () => true,
          () => false,
        ),
      4000,
    );
    await one[Symbol.asyncDispose]();
    expect((await server.api("GET", "auth/token/lookup-self", undefined, written)).status).toBe(200);
  });

  test.each(["jwt", "kubernetes"] as const)("method %s logs in with a service account's token", async (method) => {
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const subject = "system:serviceaccount:signet:signet";
    await server.policy("read", policy);
    await server.api("POST", "sys/auth/jwt", { type: "jwt" });
    await server.must("POST", "auth/jwt/config", {
      jwt_validation_pubkeys: [pair.publicKey.export({ format: "pem", type: "spki" })],
    });
    await server.must("POST", "auth/jwt/role/signet", {
      role_type: "jwt",
      bound_audiences: ["vault"],
      bound_subject: subject,
      user_claim: "sub",
      token_policies: ["read"],
    });
    const minted = await new SignJWT({ "kubernetes.io": { namespace: "signet" } })
      .setProtectedHeader({ alg: "RS256" })
      .setIssuer("https://kubernetes.default.svc")
      .setSubject(subject)
      .setAudience("vault")
      .setIssuedAt()
      .setExpirationTime("10m")
      .sign(pair.privateKey);
    const one = client({ method, mount: "jwt", role: "signet", jwt: () => new Secret(Buffer.from(minted)) });
    expect(field({ data: await one.read(key, never) }, "type")).toBe("ecdsa-p256");
  });

  test("a redirect is not followed, and the token goes nowhere else", async () => {
    const elsewhere = await faultProxy(server.address);
    const one = client(await role());
    await times(1, one);
    const headers = { location: `${elsewhere.url}/v1/${key}` };
    proxy.spoil({ path: key }, { trouble: "answer", done: false, status: 307, headers });
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "standby", nothingHappened: true });
    expect(elsewhere.count()).toBe(0);
    await elsewhere[Symbol.asyncDispose]();
  });

  test("namespace and token are ours alone: nothing comes from the environment", async () => {
    const before = { ...process.env };
    Object.assign(process.env, { VAULT_TOKEN: "root", VAULT_NAMESPACE: "theirs", VAULT_ADDR: "http://127.0.0.1:1" });
    try {
      const one = client(await role(), { namespace: "ours" });
      proxy.spoil({}, { trouble: "answer", done: false, status: 400, body: { errors: ["no namespaces here"] } });
      await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "logged-out" });
      expect(proxy.asked[0]?.headers).toMatchObject({ "x-vault-namespace": "ours" });
      expect(proxy.asked[0]?.headers).not.toHaveProperty("x-vault-token");
    } finally {
      process.env = before;
    }
  });

  test("answers that are not Vault's are garbled, never taken for one", async () => {
    const one = client(await role());
    await times(1, one);
    for (const body of ["<html>welcome</html>", "{", '"text"', `{"data":"${"x".repeat(9 * 1024 * 1024)}"}`]) {
      proxy.spoil({ path: key }, { trouble: "answer", done: true, status: 200, body }, 1);
      await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "garbled", nothingHappened: false });
    }
    await times(1, one);
  });

  test("how far a request came decides what is said of it", async () => {
    const one = client(await role(), { deadline: 1000 });
    await times(1, one);
    proxy.spoil({ path: key }, { trouble: "cut", done: true }, 1);
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "cut", nothingHappened: false });
    proxy.spoil({ path: key }, { trouble: "cut-mid-answer" }, 1);
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "cut", nothingHappened: false });
    proxy.spoil({ path: key }, { trouble: "swallow", done: true }, 1);
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "late", nothingHappened: false });
    await expect(one.read(key, AbortSignal.abort())).rejects.toMatchObject({ trouble: "late", nothingHappened: true });
    await proxy.down();
    await expect(one.read(key, never)).rejects.toMatchObject({ trouble: "unreachable", nothingHappened: true });
    await proxy.up();
    await times(1, one);
  });

  test("no error and nothing that is shown holds a token or a credential", async () => {
    const given = await role();
    const one = client(given);
    await times(1, one);
    const token = String(proxy.asked.at(-1)?.headers["x-vault-token"]);
    const errors: unknown[] = [];
    for (const trouble of ["cut", "swallow"] as const) {
      proxy.spoil({}, { trouble, done: false });
      errors.push(await troubleOf(one.read(key, AbortSignal.timeout(300))));
      proxy.forget();
    }
    const other = client(given);
    proxy.spoil({ path: "/login" }, { trouble: "cut", done: false });
    errors.push(await troubleOf(other.read(key, never)));
    const shown = inspect([errors, other.seen().trouble], { depth: 20, showHidden: true });
    expect(errors.every((error) => error instanceof VaultError)).toBe(true);
    expect(shown).not.toContain(token);
    expect(shown).not.toContain(Buffer.from(given.secretId().reveal()).toString());
  });

  test("client certificate and private authority, both checked by Vault itself", async () => {
    const [own, stranger, certificate] = [selfSigned("DNS:signet"), selfSigned("DNS:signet"), selfSigned()];
    const locked = await sealableVault({ mutualTls: { server: certificate, client: own } });
    try {
      await locked.must("POST", "transit/keys/release", { type: "ecdsa-p256" });
      const auth: VaultAuth = { method: "token", token: () => new Secret(Buffer.from(locked.rootToken())) };
      const tls = { address: locked.tlsAddress, ca: certificate.cert };
      const known = client(auth, { ...tls, certificate: own.cert, key: own.key });
      expect(field({ data: await known.read(key, never) }, "type")).toBe("ecdsa-p256");
      const unknown = client(auth, { ...tls, certificate: stranger.cert, key: stranger.key });
      await expect(unknown.read(key, never)).rejects.toBeInstanceOf(VaultError);
      const distrustful = client(auth, { ...tls, ca: stranger.cert });
      await expect(distrustful.read(key, never)).rejects.toMatchObject({ trouble: "untrusted", nothingHappened: true });
    } finally {
      await locked[Symbol.asyncDispose]();
    }
  });
});
