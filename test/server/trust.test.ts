// The trust documents over HTTP: what is at which path, how it is cached, and who may read.

import { createHash, createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { refuse } from "../../src/model/errors.ts";
import type { Key, KeyVersion } from "../../src/model/key.ts";
import { type TrustSet, trustedVersions } from "../../src/model/trust.ts";
import { formatVkey, vkeyOf } from "../../src/tlog/vkey.ts";
import { ask, at, release, serving, tcp, version } from "./stub.ts";

const pem = (): string =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" }).toString();
const of = (publicKey: string, change: Partial<KeyVersion>): KeyVersion => ({
  ...version,
  publicKey,
  fingerprint: createHash("sha256")
    .update(createPublicKey(publicKey).export({ type: "spki", format: "der" }))
    .digest("hex"),
  ...change,
});
const old = of(pem(), { number: 2, state: "DEACTIVATED" });
const signs = of(pem(), { number: 3 });
const coming = of(pem(), { number: 4, state: "PRE_ACTIVATION" });
const rotating: Key = {
  ...release,
  versions: [old, signs, coming],
  rotation: {
    id: "ro_1",
    from: 3,
    to: 4,
    fromState: "ACTIVE",
    custody: "software",
    propagation: "PT1H",
    asked: "",
    begunAt: "",
    step: "PUBLISHED",
    publishedAt: "2026-01-31T11:30:00.000Z",
    switchAt: "2026-01-31T12:30:00.000Z",
  },
};
const token: Key = {
  ...release,
  name: "tokens",
  purpose: "TOKEN",
  versions: [of(pem(), { key: "tokens", number: 1 })],
};
const vkey = formatVkey(vkeyOf("log.example/signet", "ed25519", Buffer.alloc(32, 7)));

const setOf = (...keys: readonly Key[]): TrustSet => ({
  keys: keys.map((key) => ({ key, versions: trustedVersions(key, at) })).filter(({ versions }) => versions.length > 0),
  log: { origin: "log.example/signet", vkey, since: "2026-01-01T00:00:00.000Z" },
});
const get = (url: string, path: string, headers: Record<string, string> = {}, method = "GET") =>
  ask(url, { method, path: `/trust/${path}`, headers });

test("NAME.pem: the version that signs comes first, then the published one, then those that verify", async () => {
  await using server = await serving({ trust: () => Promise.resolve(setOf(rotating, token)) });
  const { status, body, headers } = await get(server.url, "release.pem");
  expect(status).toBe(200);
  expect(body).toBe([signs, coming, old].map(({ publicKey }) => publicKey).join(""));
  expect(headers["content-type"]).toBe("application/x-pem-file");
  expect((await get(server.url, "other.pem")).status).toBe(404);
});

test("jwks.json holds keys for tokens alone; NAME.jwks holds any one key", async () => {
  await using server = await serving({ trust: () => Promise.resolve(setOf(rotating, token)) });
  const kids = async (path: string) => {
    const { keys } = JSON.parse((await get(server.url, path)).body) as { keys: { kid: string; alg: string }[] };
    return keys.map(({ kid }) => kid);
  };
  expect(await kids("jwks.json")).toEqual(token.versions.map(({ fingerprint }) => fingerprint));
  expect(await kids("release.jwks")).toEqual([signs, coming, old].map(({ fingerprint }) => fingerprint));
  expect(JSON.parse((await get(server.url, "tokens.jwks")).body)).toMatchObject({
    keys: [{ kty: "EC", crv: "P-256", alg: "ES256", use: "sig" }],
  });
});

test("keys.json says of every version what it is for, since when and what it does now", async () => {
  await using server = await serving({ trust: () => Promise.resolve(setOf(rotating, token)) });
  const { keys } = JSON.parse((await get(server.url, "keys.json")).body) as { keys: object[] };
  expect(keys).toHaveLength(4);
  expect(keys[1]).toMatchObject({
    keyId: Buffer.from(coming.fingerprint, "hex").toString("base64"),
    keyUsage: "signet:attestation",
    publicKey: { keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor: { start: coming.createdAt } },
    ...{ name: "release", version: 4, role: "published", state: "PRE_ACTIVATION" },
  });
});

test("trusted_root.json names the log, and nothing that the format has no place for", async () => {
  await using server = await serving({ trust: () => Promise.resolve(setOf(rotating)) });
  const root = JSON.parse((await get(server.url, "trusted_root.json")).body) as Record<string, unknown>;
  expect(Object.keys(root).sort()).toEqual(
    ["certificateAuthorities", "ctlogs", "mediaType", "timestampAuthorities", "tlogs"].sort(),
  );
  expect(root).toMatchObject({
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [{ baseUrl: "https://log.example/signet", publicKey: { validFor: { start: "2026-01-01T00:00:00.000Z" } } }],
  });
});

test("what was read is not sent again until it changes", async () => {
  let set = setOf(rotating);
  await using server = await serving({ trust: () => Promise.resolve(set) });
  const first = await get(server.url, "release.pem");
  const etag = String(first.headers["etag"]);
  expect(first.headers["cache-control"]).toBe("public, max-age=300");
  const again = await get(server.url, "release.pem", { "if-none-match": `"other", W/${etag}` });
  expect(again).toMatchObject({ status: 304, body: "", headers: { etag } });
  set = setOf({ ...rotating, versions: [signs] });
  const changed = await get(server.url, "release.pem", { "if-none-match": etag });
  expect(changed).toMatchObject({ status: 200, body: signs.publicKey });
  expect(await get(server.url, "release.pem", {}, "HEAD")).toMatchObject({ status: 200, body: "" });
});

test.each([
  "",
  "..",
  "release",
  "release.pem/",
  "Release.pem",
  "release.PEM",
  "%72elease.pem",
  "x.y.pem",
  "constructor",
])("there is nothing at /trust/%s", async (path) => {
  await using server = await serving({ trust: () => Promise.reject(new Error("asked")) });
  expect((await get(server.url, path)).status).toBe(404);
});

test("a listener that keeps them asks who reads, and lets nobody cache for others", async () => {
  const asked: boolean[] = [];
  let answer: TrustSet | ReturnType<typeof refuse> = setOf(rotating);
  await using server = await serving(
    {
      trust: (_, open) => {
        asked.push(open);
        return Promise.resolve(answer);
      },
    },
    { listeners: [{ ...tcp, openTrust: false }] },
  );
  const { status, headers } = await get(server.url, "release.pem");
  expect([status, headers["cache-control"]]).toEqual([200, "private, max-age=300"]);
  answer = refuse("UNAUTHENTICATED", "this needs a session token");
  expect((await get(server.url, "release.pem")).status).toBe(403);
  expect(asked).toEqual([false, false]);
});

test("nothing but GET and HEAD", async () => {
  await using server = await serving({});
  expect(await get(server.url, "keys.json", {}, "POST")).toMatchObject({ status: 405, headers: { allow: "GET" } });
});
