// What the custody vault-transit promises beyond the common contract, on a real Vault under the page's own policy.

import { createPublicKey } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { verifies } from "../../src/broker/verify.ts";
import { type VaultTransit, vaultTransitKind } from "../../src/custody/vault-transit.ts";
import { parseTransitUri, transitUri } from "../../src/custody/vault-transit-key.ts";
import { lane } from "../../src/custody/vault-transit-lane.ts";
import { Fault } from "../../src/model/errors.ts";
import type { ToBeSigned } from "../../src/model/item.ts";
import type { KeyAlgorithm, KeyVersion } from "../../src/model/key.ts";
import type { NewKey } from "../../src/ports/custody.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { type FaultProxy, faultProxy } from "../support/fault-proxy.ts";
import { lacks } from "../support/peers.ts";
import { devVault, type VaultServer } from "../support/vault.ts";
import { appRole, approle, field, mount, openCustody, policyFromPage, type Role } from "../support/vault-transit.ts";

const never = new AbortController().signal;

describe("the name of a key version", () => {
  test.each([
    ["hashivault://transit/release?version=3", { mount: "transit", name: "release", version: 3, pss: false }],
    ["hashivault://teams/a/release.v2?version=1", { mount: "teams/a", name: "release.v2", version: 1, pss: false }],
    ["hashivault://transit/r?version=3&padding=pss", { mount: "transit", name: "r", version: 3, pss: true }],
    ["hashivault://release", { mount: "usual", name: "release", version: undefined, pss: false }],
    ["hashivault://transit/r?padding=pss", { mount: "transit", name: "r", version: undefined, pss: true }],
  ])("%s", (text, parts) => {
    expect(parseTransitUri(text, "usual")).toEqual(parts);
  });

  test.each([
    "hashivault://",
    "hashivault://transit/",
    "hashivault://transit/../sys/seal?version=1",
    "hashivault://transit/r?version=0",
    "hashivault://transit/r?version=01",
    "hashivault://transit/r?version=latest",
    "hashivault://transit/r&padding=pss",
    "hashivault://transit/r?version=1?padding=pss",
    "hashivault://transit/r?version=1&version=2",
    "awskms:///alias/r",
  ])("%s is none", (text) => {
    expect(parseTransitUri(text, "usual")).toBeUndefined();
  });

  test("what we write we read", () => {
    expect(parseTransitUri(transitUri("a/b", "k", 7, "RSA_4096_PSS"), "x")).toMatchObject({ version: 7, pss: true });
    expect(parseTransitUri(transitUri("a/b", "k", 7, "RSA_4096"), "x")).toMatchObject({ version: 7, pss: false });
  });
});

describe("the configuration", () => {
  const good = {
    kind: "vault-transit",
    address: "https://vault.test:8200",
    auth: { method: "token", token: { env: "T" } },
  };
  const takes = (more: object): boolean => vaultTransitKind.config.safeParse({ ...good, ...more }).success;

  test.each([
    {},
    { address: "http://127.0.0.1:8200" },
    { address: "http://[::1]:8200" },
    { namespace: "team/a", mount: "a/transit", prefix: "signet-" },
    { auth: { method: "kubernetes", role: "signet" } },
    { tls: { ca: { file: "ca.pem" }, certificate: { file: "c.pem" }, key: { credential: "key" } } },
    { deadline: "PT30S" },
  ])("takes %j", (more) => {
    expect(takes(more)).toBe(true);
  });

  test.each([
    { address: "http://vault.test:8200" },
    { address: "http://127.0.0.1.evil.test:8200" },
    { address: "https://vault.test:8200/v1" },
    { address: "https://vault.test:8200?x=1" },
    { address: "https://user@vault.test" },
    { mount: "../sys" },
    { mount: "/transit" },
    { prefix: "../" },
    { auth: { method: "token", token: "s.plain" } },
    { auth: { method: "approle", roleId: "r", secretId: "plain" } },
    { auth: { method: "userpass", user: "u" } },
    { tls: { certificate: { file: "c.pem" } } },
    { tls: { insecureSkipVerify: true } },
    { deadline: "PT31S" },
    { deadline: "PT0S" },
    { auditFile: "audit.log" },
    { adress: "https://vault.test" },
  ])("refuses %j", (more) => {
    expect(takes(more)).toBe(false);
  });

  test("certificates that are none stop the daemon before it starts", () => {
    const open = (): unknown =>
      openCustody({
        address: "https://vault.test",
        auth: { method: "token", token: { file: "t" } },
        tls: { ca: { file: "no PEM" } },
      });
    expect(open).toThrow("ca and certificate are PEM");
  });
});

describe("signatures that share a request", () => {
  const fault = (code: "CUSTODY_TIMEOUT" | "OVERLOADED", nothingHappened: boolean): Fault =>
    new Fault(code, code, { nothingHappened });
  const usual = {
    width: 2,
    most: 3,
    heaviest: 1000,
    longest: 100,
    fault,
    mayBeOnes: (one: Fault) => one.nothingHappened,
  };
  const bytes = (value: number): Uint8Array => Uint8Array.of(value);

  test("one alone does not wait; those that come while others are under way go together", async () => {
    const groups: number[] = [];
    const shared = lane({
      ...usual,
      send: async (inputs) => {
        groups.push(inputs.length);
        await sleep(20);
        return inputs;
      },
    });
    const start = performance.now();
    await shared(bytes(0), never);
    expect(performance.now() - start).toBeLessThan(35);
    const given = await Promise.all(Array.from({ length: 8 }, (_, at) => shared(bytes(at), never)));
    expect(given).toEqual(Array.from({ length: 8 }, (_, at) => bytes(at)));
    expect(groups).toEqual([1, 3, 3, 2]);
  });

  test("long ones go alone", async () => {
    const weights: number[] = [];
    const send = (inputs: readonly Uint8Array[]): Promise<readonly Uint8Array[]> => {
      weights.push(inputs.reduce((sum, one) => sum + one.length, 0));
      return Promise.resolve(inputs);
    };
    const shared = lane({ ...usual, send });
    await Promise.all([10, 2000, 600, 600, 10].map((length) => shared(new Uint8Array(length), never)));
    expect(weights).toEqual([10, 2000, 600, 610]);
  });

  test("what is refused for one is refused for that one", async () => {
    const shared = lane({
      ...usual,
      send: (inputs) => Promise.resolve(inputs.map((one) => (one[0] === 1 ? fault("OVERLOADED", true) : one))),
    });
    const given = await Promise.allSettled([0, 1, 2].map((value) => shared(bytes(value), never)));
    expect(given.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("a request that is refused before any work is asked again one by one, any other is not", async () => {
    for (const nothingHappened of [true, false]) {
      let asked = 0;
      const shared = lane({
        ...usual,
        send: (inputs) => {
          asked += 1;
          if (inputs.some((one) => one[0] === 1)) throw fault("OVERLOADED", nothingHappened);
          return Promise.resolve(inputs);
        },
      });
      const given = await Promise.allSettled([0, 1, 2].map((value) => shared(bytes(value), never)));
      const good = given.filter(({ status }) => status === "fulfilled").length;
      expect([good, asked]).toEqual(nothingHappened ? [2, 4] : [0, 1]);
    }
  });

  test("who gives up while waiting did nothing; who gives up later does not know; the others get theirs", async () => {
    let ended = false;
    const shared = lane({
      ...usual,
      width: 1,
      send: async (inputs, signal) => {
        signal.addEventListener("abort", () => (ended = true));
        await sleep(30);
        return inputs;
      },
    });
    const [first, other] = [new AbortController(), new AbortController()];
    const under = shared(bytes(1), first.signal);
    const beside = shared(bytes(2), never);
    await sleep(5);
    const waiting = shared(bytes(3), other.signal);
    other.abort();
    first.abort();
    await expect(waiting).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: true });
    await expect(under).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: false });
    await expect(beside).resolves.toEqual(bytes(2));
    expect(ended).toBe(false);
  });

  test("for those who gave up nothing is asked again, one by one", async () => {
    const asked: number[] = [];
    const leaving = new AbortController();
    const shared = lane({
      ...usual,
      send: async (inputs) => {
        asked.push(inputs.length);
        await sleep(10);
        if (inputs.length > 1) {
          leaving.abort();
          throw fault("OVERLOADED", true);
        }
        return inputs;
      },
    });
    const given = await Promise.allSettled([
      shared(bytes(1), leaving.signal),
      shared(bytes(2), never),
      shared(bytes(3), leaving.signal),
    ]);
    expect(given.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
    expect(asked).toEqual([3, 1]);
  });

  test("a request for which nobody waits any more is ended; a queue that is full refuses", async () => {
    const ended: boolean[] = [];
    const shared = lane({
      ...usual,
      width: 1,
      longest: 2,
      send: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            ended.push(true);
            reject(fault("CUSTODY_TIMEOUT", false));
          });
        }),
    });
    const leaving = new AbortController();
    const all = [shared(bytes(1), leaving.signal)];
    await sleep(5);
    all.push(shared(bytes(2), leaving.signal), shared(bytes(3), leaving.signal));
    await expect(shared(bytes(4), never)).rejects.toMatchObject({ code: "OVERLOADED", nothingHappened: true });
    leaving.abort();
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(ended).toEqual([true]);
  });
});

describe.skipIf(await lacks("vault"))("vault-transit", () => {
  let server: VaultServer;
  let proxy: FaultProxy;
  let role: Role;
  let custody: VaultTransit;

  beforeAll(async () => {
    server = await devVault({ mounts: [mount, "elsewhere"] });
    await server.audit();
    proxy = await faultProxy(server.address);
    role = await appRole(server);
    custody = openCustody({ address: proxy.url, auth: approle(role), name: "strongroom", auditFile: server.auditFile });
  });
  afterAll(async () => {
    await custody[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  async function made(key: string, algorithm: KeyAlgorithm = "EC_P256"): Promise<KeyVersion> {
    return recorded(key, 1, algorithm, await custody.create(wanted(key, 1, algorithm), never));
  }
  async function rotated(from: KeyVersion): Promise<KeyVersion> {
    const next = { ...wanted(from.key, from.number + 1, from.algorithm), after: from.uri };
    return recorded(from.key, next.number, from.algorithm, await custody.create(next, never));
  }
  const wanted = (key: string, number: number, algorithm: KeyAlgorithm) =>
    ({ key, number, purpose: "ATTESTATION", algorithm }) as const;
  const signs = async (key: KeyVersion, count = 1): Promise<boolean> => {
    const items = Array.from({ length: count }, (_, at) => message(`${key.uri} ${String(at)}`));
    return verifies(key, items, await custody.sign(key, items, never));
  };
  const config = (name: string, body: object): Promise<unknown> =>
    server.must("POST", `${mount}/keys/${name}/config`, body);

  test("tells what Vault tells of a key, and labels it as claimed", async () => {
    const key = await made("told");
    const told = await custody.describe(key.uri, never);
    expect(told).toMatchObject({
      publicKey: key.publicKey,
      uri: key.uri,
      algorithm: "EC_P256",
      protection: { level: "SERVICE", exportable: "NO", proved: [] },
      trouble: undefined,
    });
    expect(told?.protection.claimed).toContain("not exportable");
    await config("told", { exportable: true, allow_plaintext_backup: true });
    const after = await custody.describe(key.uri, never);
    expect(after?.protection).toMatchObject({ exportable: "YES" });
    expect(after?.guards).not.toBe(told?.guards);
  });

  test("a name without a version is the newest, and pinned; there is none of what is not there", async () => {
    const first = await made("pinned");
    const second = await rotated(first);
    expect((await custody.describe(`hashivault://${mount}/pinned`, never))?.uri).toBe(second.uri);
    expect((await custody.describe(first.uri, never))?.publicKey).toBe(first.publicKey);
    expect(await custody.describe(`hashivault://${mount}/pinned?version=3`, never)).toBeUndefined();
    expect(await custody.describe(`hashivault://${mount}/nobody`, never)).toBeUndefined();
  });

  test("keys that it cannot sign with, and names that are none of its own, are refused with the reason", async () => {
    await server.must("POST", `${mount}/keys/aes`, { type: "aes256-gcm96" });
    await server.must("POST", `${mount}/keys/derived`, { type: "ed25519", derived: true });
    const describes = (uri: string): Promise<unknown> => custody.describe(uri, never);
    await expect(describes(`hashivault://${mount}/aes`)).rejects.toThrow("aes256-gcm96");
    await expect(describes(`hashivault://${mount}/derived`)).rejects.toThrow("derived");
    await expect(describes("hashivault://elsewhere/release")).rejects.toThrow("this custody looks into signet");
    await expect(describes("awskms:///x")).rejects.toMatchObject({ custody: "strongroom", nothingHappened: true });
  });

  test("one RSA key signs both ways, and its name says which", async () => {
    const key = await made("both", "RSA_3072");
    expect(await signs(key)).toBe(true);
    const pss: KeyVersion = { ...key, algorithm: "RSA_3072_PSS", uri: `${key.uri}&padding=pss` };
    expect(await custody.describe(pss.uri, never)).toMatchObject({ uri: pss.uri, algorithm: "RSA_3072_PSS" });
    expect(await signs(pss)).toBe(true);
    const items = [message("x")];
    expect(await verifies(pss, items, await custody.sign(key, items, never))).toBe(false);
  });

  test("rotating makes one version, however often it is asked for and wherever it was cut off", async () => {
    const first = await made("turned");
    const second = await rotated(first);
    expect(second.uri).toBe(`hashivault://${mount}/turned?version=2`);
    expect((await rotated(first)).publicKey).toBe(second.publicKey);
    const both = await Promise.all([rotated(second), rotated(second)]);
    expect(both[0].publicKey).toBe(both[1].publicKey);
    const third = both[0];
    proxy.spoil({ path: "/rotate" }, { trouble: "cut", done: true }, 1);
    await expect(rotated(third)).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: false });
    expect((await rotated(third)).uri).toMatch(/version=4$/);
    expect(field(await server.must("GET", `${mount}/keys/turned`), "latest_version")).toBe("4");
    expect([await signs(first), await signs(second), await signs(third)]).toEqual([true, true, true]);
  });

  test("a version that stood there before it was asked for is somebody else's, and not taken", async () => {
    const first = await made("theirs-too");
    await server.must("POST", `${mount}/keys/theirs-too/rotate`);
    const next = { ...wanted("theirs-too", 2, "EC_P256"), after: first.uri };
    const later = new Date(Date.now() + 120_000).toISOString();
    await expect(custody.create({ ...next, since: later }, never)).rejects.toMatchObject({
      nothingHappened: true,
      message: expect.stringMatching(/version 2 of theirs-too is there already since .* name it by --to/) as string,
    });
    const mine = await custody.create({ ...next, since: first.createdAt }, never);
    expect(mine.uri).toMatch(/version=2$/);
  });

  test("a key whose private key may be read gets no next version", async () => {
    const first = await made("opened");
    await config("opened", { exportable: true });
    await expect(rotated(first)).rejects.toMatchObject({ nothingHappened: true });
    await expect(rotated(first)).rejects.toThrow("exportable");
    expect(field(await server.must("GET", `${mount}/keys/opened`), "latest_version")).toBe("1");
  });

  test.each<[string, number, string | object, boolean]>([
    ["a page of some other server", 404, "<html>default backend - 404</html>", false],
    ["JSON of some other server", 404, { error: "not found" }, false],
    ["Vault where the engine is not mounted", 404, { errors: ['no handler for route "signet/keys/there"'] }, true],
  ])(
    "a 404 from %s is no word on the key: it is neither gone nor destroyed",
    async (_, status, body, nothingHappened) => {
      const key = await made("there");
      proxy.spoil({ path: "/keys/there" }, { trouble: "answer", done: false, status, body });
      await expect(custody.describe(key.uri, never, key)).rejects.toMatchObject({
        code: "CUSTODY_DOWN",
        nothingHappened,
      });
      await expect(custody.destroy(key, never)).rejects.toMatchObject({ code: "CUSTODY_DOWN" });
      proxy.forget();
      expect(await custody.describe(key.uri, never, key)).toMatchObject({ uri: key.uri });
      expect(await signs(key)).toBe(true);
    },
  );

  test.each([
    [403, "<html>blocked by the firewall</html>"],
    [408, ""],
    [400, { message: "bad request" }],
  ])("a %i that is not Vault's proves nothing, and nothing is asked again", async (status, body) => {
    const key = await made("behind");
    proxy.forget();
    proxy.spoil({ path: "/sign/behind" }, { trouble: "answer", done: true, status, body });
    const given = await Promise.allSettled(["a", "b", "c"].map((text) => custody.sign(key, [message(text)], never)));
    for (const one of given) expect(one).toMatchObject({ reason: { code: "CUSTODY_DOWN", nothingHappened: false } });
    expect(proxy.count({ path: "/sign/behind" })).toBe(1);
    proxy.forget();
    expect(await signs(key)).toBe(true);
  });

  test("making a key that is there already as something else is refused: nothing is taken over", async () => {
    await server.must("POST", `${mount}/keys/theirs`, { type: "ecdsa-p256", exportable: true });
    await expect(made("theirs")).rejects.toThrow("exportable");
    await made("typed", "EC_P384");
    await expect(made("typed", "EC_P256")).rejects.toMatchObject({ nothingHappened: true });
  });

  test("a least version that forbids signing shows as trouble, and the public key is not lost", async () => {
    const first = await made("archived");
    await rotated(first);
    await config("archived", { min_encryption_version: 2 });
    expect((await custody.describe(first.uri, never, first))?.trouble).toContain("min_encryption_version");
    await config("archived", { min_decryption_version: 2 });
    const told = await custody.describe(first.uri, never, first);
    expect(told).toMatchObject({ publicKey: first.publicKey, trouble: expect.stringContaining("archived") as string });
    await expect(custody.describe(first.uri, never)).rejects.toThrow("no public key");
    await expect(signs(first)).rejects.toMatchObject({
      code: "CUSTODY_DOWN",
      nothingHappened: true,
      custody: "strongroom",
    });
  });

  test("destroying goes from the oldest version on, and says so; without the policy for it, it is refused", async () => {
    const first = await made("doomed");
    const second = await rotated(first);
    await expect(custody.destroy(second, never)).rejects.toThrow("destroy 1 of doomed before");
    await expect(custody.destroy(first, never)).rejects.toMatchObject({ code: "CUSTODY_DOWN", retryAfter: undefined });
    await server.policy("signet", `${policyFromPage()}\n${policyFromPage("policy: destroying")}`);
    expect(await custody.destroy(first, never)).toEqual({});
    expect(await custody.destroy(first, never)).toEqual({});
    expect(await custody.describe(first.uri, never, first)).toBeUndefined();
    await expect(signs(first)).rejects.toMatchObject({ nothingHappened: true });
    expect(await signs(second)).toBe(true);
    expect(await custody.destroy(second, never)).toEqual({});
    expect(await custody.destroy(second, never)).toEqual({});
    expect((await server.api("GET", `${mount}/keys/doomed`)).status).toBe(404);
    await server.policy("signet", policyFromPage());
  });

  test("the policy on the page allows no more: no export, no backup, no change of what guards a key, no other mount", async () => {
    await made("guarded");
    const login = await server.must(
      "POST",
      "auth/approle/login",
      { role_id: role.roleId, secret_id: role.secretId },
      "",
    );
    const { client_token: token } = (login as { readonly auth: { readonly client_token: string } }).auth; // as Vault answers
    const refused: readonly (readonly [string, string, object?])[] = [
      ["POST", `${mount}/keys/guarded/config`, { exportable: true }],
      ["POST", `${mount}/keys/guarded/trim`, { min_available_version: 1 }],
      ["DELETE", `${mount}/keys/guarded`],
      ["POST", `${mount}/keys/open`, { type: "ecdsa-p256", exportable: true }],
      ["POST", `${mount}/keys/open`, { type: "ecdsa-p256", allow_plaintext_backup: true }],
      ["POST", `${mount}/keys/open`, { type: "aes256-gcm96" }],
      ["GET", `${mount}/export/signing-key/guarded`],
      ["GET", `${mount}/backup/guarded`],
      ["GET", `${mount}/keys?list=true`],
      ["POST", "elsewhere/keys/x", { type: "ecdsa-p256" }],
      ["GET", "sys/mounts"],
      ["POST", "auth/token/create", {}],
    ];
    for (const [method, path, body] of refused)
      expect((await server.api(method, path, body, token)).status, `${method} ${path}`).toBe(403);
  });

  test("the message of a hashed algorithm never travels", async () => {
    const key = await made("quiet");
    proxy.forget();
    const secret = "the-text-of-the-statement";
    await custody.sign(key, [message(secret)], never);
    const [asked] = proxy.asked;
    expect(asked?.body.toString()).not.toContain(Buffer.from(secret).toString("base64").slice(0, 20));
    expect(JSON.parse(asked?.body.toString() ?? "")).toMatchObject({ key_version: 1, prehashed: true });
  });

  test("fifty singles at once share few requests, and each gets its own signature", async () => {
    const key = await made("shared");
    proxy.forget();
    const items = Array.from({ length: 50 }, (_, at) => message(String(at)));
    const signatures = await Promise.all(items.map((item) => custody.sign(key, [item], never)));
    expect(await verifies(key, items, signatures.flat())).toBe(true);
    expect(proxy.count({ path: "/sign/shared" })).toBeLessThanOrEqual(5);
  });

  test("a Vault that refuses one element does not fail the others", async () => {
    const key = await made("refusing");
    const body = ({ body: given }: { readonly body: Buffer }): object => {
      const answer = JSON.parse(given.toString()) as { data: { batch_results: object[] } }; // as Vault answers
      answer.data.batch_results[1] = { key_version: 0, error: "no" };
      return answer;
    };
    proxy.spoil({ path: "/sign/refusing" }, { trouble: "rewrite", body }, 1);
    const given = await Promise.allSettled(["a", "b", "c"].map((text) => custody.sign(key, [message(text)], never)));
    expect(given.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(given[1]).toMatchObject({ reason: { code: "CUSTODY_DOWN", nothingHappened: true } });
    proxy.spoil({ path: "/sign/refusing" }, { trouble: "rewrite", body }, 1);
    const whole = custody.sign(key, ["a", "b", "c"].map(message), never);
    await expect(whole).rejects.toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: false });
  });

  test("an answer by another version than the one that was asked for is a wrong signature", async () => {
    const key = await made("mixed");
    for (const [from, to] of [
      ["vault:v1:", "vault:v2:"],
      ['"key_version":1', '"key_version":2'],
    ] as const) {
      const body = (given: { readonly body: Buffer }): string => given.body.toString().replaceAll(from, to);
      proxy.spoil({ path: "/sign/mixed" }, { trouble: "rewrite", body }, 1);
      await expect(signs(key)).rejects.toMatchObject({ code: "SIGNATURE_WRONG", nothingHappened: false });
    }
  });

  test("Vault's audit file tells how often each version signed, batches counted by element", async () => {
    const first = await made("counted");
    expect(await signs(first, 7)).toBe(true);
    expect(await signs(first)).toBe(true);
    const second = await rotated(first);
    expect(await signs(second, 3)).toBe(true);
    await server.must("POST", `${mount}/sign/counted`, { input: "AAAA", key_version: 1 }); // somebody else
    await server.api("POST", `${mount}/sign/counted`, { input: "AAAA", key_version: 9 }); // refused
    const today = new Date().toISOString().slice(0, 10);
    const days = { from: today, to: new Date(Date.now() + 86_400_000).toISOString().slice(0, 10) };
    expect(await custody.uses?.(first, days, never)).toEqual([{ day: today, signatures: 9 }]);
    expect(await custody.uses?.(second, days, never)).toEqual([{ day: today, signatures: 3 }]);
    expect(await custody.uses?.(second, { from: days.to, to: "2999-01-01" }, never)).toEqual([]);
    const older = { ...first, createdAt: "2020-01-01T00:00:00.000Z" };
    const before = custody.uses?.(older, { from: "2020-01-01", to: days.to }, never);
    await expect(before).rejects.toThrow("cannot be told");
  });

  test("health is what was seen last", async () => {
    expect(custody.health()).toMatchObject({ status: "ok", message: expect.stringContaining("renewable") as string });
    await proxy.down();
    await sleep(50); // the ends of its connections arrive
    await expect(custody.describe(`hashivault://${mount}/told`, never)).rejects.toMatchObject({ retryAfter: 2 });
    expect(custody.health()).toMatchObject({
      status: "fail",
      message: expect.stringContaining("unreachable") as string,
    });
    await proxy.up();
    await custody.describe(`hashivault://${mount}/told`, never);
    expect(custody.health()).toMatchObject({ status: "ok" });
  });
});

const message = (text: string): ToBeSigned => ({ form: "message", bytes: Buffer.from(text) });

function recorded(key: string, number: number, algorithm: KeyAlgorithm, { publicKey, uri }: NewKey): KeyVersion {
  const fingerprint = sha256Hex(createPublicKey(publicKey).export({ format: "der", type: "spki" }));
  const createdAt = new Date().toISOString();
  const fixed = { purpose: "ATTESTATION", state: "ACTIVE", custody: "strongroom" } as const;
  return { key, number, algorithm, ...fixed, uri, publicKey, fingerprint, createdAt };
}
