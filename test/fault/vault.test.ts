// What the caller, the log and Vault itself say when Vault fails: through a real daemon, against a real Vault. What Vault
// cannot be made to do is done by a proxy before it. Every test ends with a signature: nothing needs a restart.

import { verify } from "node:crypto";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Signature } from "../../src/client/answers.ts";
import { selfSigned } from "../support/certificate.ts";
import { run } from "../support/command.ts";
import { type FaultProxy, faultProxy } from "../support/fault-proxy.ts";
import { askOnce, type Heard, until } from "../support/faults.ts";
import { expectDone, type House, house, type Job, statement } from "../support/house.ts";
import { lacks } from "../support/peers.ts";
import { devVault, type SealableVault, sealableVault, type VaultServer } from "../support/vault.ts";
import { appRole, mount, policyFromPage } from "../support/vault-transit.ts";

const custody = "strongroom";
/** Milliseconds; as in the configuration below. */
const deadline = 2000;

const lacking = await lacks("vault", "openssl");

/** A daemon whose key `attest` lives in Vault and `release` in its own process, and a job that may use both. */
interface Stage extends AsyncDisposable {
  readonly home: House;
  /** Signs one statement, asking once; with a key in another custody where `key` names it. */
  ask(key?: "release"): Promise<Heard>;
  /** Asks once while something is wrong, and holds the answer and the log to what is expected; the neighbour signs on. */
  expectFault(expected: Expected): Promise<void>;
  /** Signs again, within 20 s. */
  expectBack(): Promise<void>;
}

interface Expected {
  readonly code: string;
  readonly result: "failed" | "unknown" | "withheld";
  readonly retryable: boolean;
}

async function stage(server: VaultServer, address: string, ca?: string): Promise<Stage> {
  const { roleId, secretId } = await appRole(server);
  const home = await house({
    keys: [],
    uses: 100_000,
    config: `custodies:
  - kind: software
  - kind: vault-transit
    name: ${custody}
    address: ${address}
    mount: ${mount}
    auth: { method: approle, roleId: ${roleId}, secretId: { env: TEST_VAULT_SECRET_ID } }
    ${ca === undefined ? "" : "tls: { ca: { env: TEST_VAULT_CA } }"}
    deadline: PT2S
`,
    run: { env: { TEST_VAULT_SECRET_ID: secretId, TEST_VAULT_CA: ca ?? "" } },
  });
  const operator = await home.operator();
  for (const [name, where] of [
    ["attest", custody],
    ["release", "software"],
  ] as const) {
    const wanted = { name, purpose: "ATTESTATION", algorithm: "EC_P256", custody: where } as const;
    expectDone(await operator.ask("CreateKey", { input: wanted }));
    expectDone(await operator.ask("ActivateKey", { input: { key: name, reason: "for the test" } }));
  }
  const job: Job = await home.job({ uses: 1000 });
  const ask = async (key = "attest"): Promise<Heard> => {
    const input = { idempotencyKey: crypto.randomUUID(), key, items: [statement()] };
    const heard = await askOnce(home, job, "Sign", { input });
    if (heard === undefined) throw new Error(`the daemon did not answer: ${home.said()}`);
    return heard;
  };
  return {
    home,
    ask,
    async expectFault({ code, result, retryable }) {
      const before = (await home.entries()).length;
      const start = performance.now();
      const [heard, neighbour] = await Promise.all([ask(), ask("release")]);
      expect(performance.now() - start).toBeLessThan(deadline + 1500);
      expect(neighbour.data?.["signatures"]).toHaveLength(1);
      expect(heard).toMatchObject({ code, custody, retryable });
      expect(heard.message).toContain(custody);
      expect(heard.hint).toMatch(/send it again|will not help|operator must look/);
      const entries = (await home.entries())
        .slice(before)
        .filter((one) => (one["key"] as { readonly name?: string } | undefined)?.name === "attest");
      const intent = entries.find((one) => one["type"] === "sign.intent");
      expect(intent).toBeDefined();
      const outcome = entries.find((one) => one["type"] === "sign.outcome");
      expect(outcome).toMatchObject({ result, code, intent: { index: intent?.["index"] } });
    },
    async expectBack() {
      await until("it signs again", async () => (await ask()).data?.["signatures"] !== undefined, 20_000);
    },
    [Symbol.asyncDispose]: () => home[Symbol.asyncDispose](),
  };
}

describe.skipIf(lacking)("a Vault that keeps its keys on disk", () => {
  let server: SealableVault;
  let set: Stage;

  beforeAll(async () => {
    server = await sealableVault({ mounts: [mount] });
    set = await stage(server, server.address);
  });
  afterAll(async () => {
    await set[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  afterEach(() => set.expectBack());

  test("sealed in the middle: nothing was signed, try again; unsealed, it goes on", async () => {
    await set.expectBack();
    await server.seal();
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: true });
    await server.unseal();
  });

  test("sealed for long: the breaker turns callers away without an intent", async () => {
    const intents = async (): Promise<number> =>
      (await set.home.entries()).filter((one) => one["type"] === "sign.intent").length;
    await server.seal();
    await until("the breaker is open", async () => {
      const before = await intents();
      const heard = await set.ask();
      expect(heard).toMatchObject({ code: "CUSTODY_DOWN", custody, retryable: true });
      return (await intents()) === before;
    });
    await server.unseal();
  });

  test("sealed while many sign: nobody hangs, and what was released is good", async () => {
    const asking = Array.from({ length: 60 }, async (_, at) => {
      await sleep(at * 10);
      return set.ask();
    });
    await sleep(300);
    await server.seal();
    const heard = await Promise.all(asking);
    const released = heard.flatMap((one) => (one.data?.["signatures"] ?? []) as readonly Signature[]); // by the schema
    expect(released.length).toBeGreaterThan(0);
    const key = expectDone(await (await set.home.operator()).ask("Key", { name: "attest" }));
    for (const one of released) expect(isGood(one, key?.versions[0]?.publicKey ?? "")).toBe(true);
    const faults = heard.filter((one) => one.data?.["signatures"] === undefined);
    expect(faults.length).toBeGreaterThan(0);
    for (const one of faults)
      expect(one).toMatchObject({ code: expect.stringMatching(/^CUSTODY_/) as string, custody });
    await server.unseal();
  });

  test("restarted: away, then sealed, then back", async () => {
    await server.stop("SIGKILL");
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: true });
    await server.start();
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: true });
    await server.unseal();
  });

  test("its token is revoked: it logs in again, and the caller never knows", async () => {
    await server.must("PUT", "sys/leases/revoke-prefix/auth/approle/login");
    expect(await set.ask()).toMatchObject({ data: { signatures: [{}] } });
  });

  test("its token and its role are gone: nothing was signed; they come back, and so does it", async () => {
    const role = await server.must("GET", "auth/approle/role/signet/role-id");
    await server.must("POST", "auth/approle/role/signet", {
      bind_secret_id: true,
      secret_id_bound_cidrs: ["192.0.2.1/32"],
    });
    await server.must("PUT", "sys/leases/revoke-prefix/auth/approle/login");
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: true });
    await server.must("POST", "auth/approle/role/signet", { bind_secret_id: true, secret_id_bound_cidrs: [] });
    expect(await server.must("GET", "auth/approle/role/signet/role-id")).toMatchObject({
      data: (role as { readonly data: object }).data, // as Vault answers
    });
  });

  test("its policy is removed: nothing was signed, and asking again does not help", async () => {
    await server.policy("signet", 'path "auth/token/*" { capabilities = ["read", "update"] }');
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: false });
    await server.policy("signet", policyFromPage());
  });

  test("the key is deleted: nothing was signed, and asking again does not help", async () => {
    const { body } = await server.api("GET", `${mount}/keys/attest`);
    expect(body).toMatchObject({ data: { type: "ecdsa-p256" } });
    await server.must("POST", `${mount}/keys/attest/config`, {
      exportable: true,
      allow_plaintext_backup: true,
      deletion_allowed: true,
    });
    const backup = await server.must("GET", `${mount}/backup/attest`);
    await server.must("DELETE", `${mount}/keys/attest`);
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: false });
    await server.must("POST", `${mount}/restore/attest`, (backup as { readonly data: object }).data);
  });

  test("its engine is not mounted any more: nothing was signed, and no key is gone", async () => {
    await server.must("POST", "sys/remount", { from: mount, to: "moved" });
    await until("it is moved", async () => (await server.api("GET", "moved/keys/attest")).status === 200);
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: false });
    await server.must("POST", "sys/remount", { from: "moved", to: mount });
    await until("it is back", async () => (await server.api("GET", `${mount}/keys/attest`)).status === 200);
  });

  test("a newer least version forbids it: nothing was signed, and asking again does not help", async () => {
    await server.must("POST", `${mount}/keys/attest/rotate`);
    await server.must("POST", `${mount}/keys/attest/config`, { min_encryption_version: 2 });
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: false });
    await server.must("POST", `${mount}/keys/attest/config`, { min_encryption_version: 0 });
  });

  test("its audit device is blocked: the deadline holds, and whether it signed is not known", async () => {
    const pipe = join(server.folder, "audit.fifo");
    await run("mkfifo", [pipe]);
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK); // there, and reads nothing
    await server.must("PUT", "sys/audit/blocked", { type: "file", options: { file_path: pipe } });
    await until("the pipe is full", () =>
      Promise.race([server.api("GET", "sys/mounts").then(() => false), sleep(1000).then(() => true)]),
    );
    await set.expectFault({ code: "CUSTODY_TIMEOUT", result: "unknown", retryable: false });
    const draining = setInterval(() => {
      drain(reader);
    }, 10);
    await server.must("DELETE", "sys/audit/blocked");
    clearInterval(draining);
    closeSync(reader);
  });
});

/** Over the PAE (DSSE 1.0) of the envelope in its bundle. */
function isGood({ bundle, value }: Signature, publicKey: string): boolean {
  const { dsseEnvelope } = bundle as unknown as { readonly dsseEnvelope: Record<"payload" | "payloadType", string> }; // v0.3
  const { payload, payloadType } = dsseEnvelope;
  const body = Buffer.from(payload, "base64");
  const head = `DSSEv1 ${String(payloadType.length)} ${payloadType} ${String(body.length)} `;
  return verify("sha256", Buffer.concat([Buffer.from(head), body]), publicKey, Buffer.from(value, "base64"));
}

/** Reads what is there. */
function drain(fd: number): void {
  const bytes = Buffer.alloc(64 * 1024);
  try {
    while (readSync(fd, bytes) > 0);
  } catch {
    // nothing more for now
  }
}

describe.skipIf(lacking)("something between Signet and Vault", () => {
  let server: VaultServer;
  let proxy: FaultProxy;
  let set: Stage;
  const certificate = lacking ? { key: "", cert: "" } : selfSigned();
  const signing = { path: /\/sign\/attest$/ };

  beforeAll(async () => {
    server = await devVault({ mounts: [mount] });
    proxy = await faultProxy(server.address, { tls: certificate });
    set = await stage(server, proxy.url, certificate.cert);
    await set.expectBack();
  });
  afterAll(async () => {
    await set[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    proxy.forget();
    await set.expectBack();
  });

  test("a 500 after the work was done: not known, nothing released, never asked twice", async () => {
    proxy.forget();
    proxy.spoil(signing, { trouble: "answer", done: true, status: 500, body: { errors: ["internal error"] } });
    await set.expectFault({ code: "CUSTODY_DOWN", result: "unknown", retryable: false });
    expect(proxy.count(signing)).toBe(1);
  });

  test.each([
    [403, "<html>blocked</html>"],
    [404, "<html>default backend - 404</html>"],
    [408, ""],
  ])("a %i of somebody else proves nothing: not known, never asked twice", async (status, body) => {
    proxy.forget();
    proxy.spoil(signing, { trouble: "answer", done: true, status, body });
    await set.expectFault({ code: "CUSTODY_DOWN", result: "unknown", retryable: false });
    expect(proxy.count(signing)).toBe(1);
  });

  test("a slow-loris answer ends with the deadline", async () => {
    proxy.spoil(signing, { trouble: "drip", every: 100 });
    await set.expectFault({ code: "CUSTODY_TIMEOUT", result: "unknown", retryable: false });
  });

  test("no answer at all ends with the deadline", async () => {
    proxy.spoil(signing, { trouble: "swallow", done: true });
    await set.expectFault({ code: "CUSTODY_TIMEOUT", result: "unknown", retryable: false });
  });

  test("the connection is cut in the middle of the answer: not known, never asked twice", async () => {
    proxy.forget();
    proxy.spoil(signing, { trouble: "cut-mid-answer" });
    await set.expectFault({ code: "CUSTODY_DOWN", result: "unknown", retryable: false });
    expect(proxy.count(signing)).toBe(1);
  });

  test("a wrong certificate: nothing was sent, not even the token", async () => {
    proxy.forget();
    proxy.present(selfSigned());
    await set.expectFault({ code: "CUSTODY_DOWN", result: "failed", retryable: true });
    expect(proxy.count()).toBe(0);
    proxy.present(certificate);
  });

  test("throttled: nothing was signed, and the caller is told when to come back", async () => {
    const headers = { "retry-after": "7" };
    const body = { errors: ["request path rate limit quota exceeded"] };
    proxy.spoil(signing, { trouble: "answer", done: false, status: 429, headers, body });
    const heard = await set.ask();
    expect(heard).toMatchObject({ code: "OVERLOADED", custody, retryable: true, retryAfter: 7 });
  });

  test("an answer that says it is from another key version is a wrong signature, and not released", async () => {
    const changed = ({ body }: { readonly body: Buffer }): string =>
      body.toString().replaceAll("vault:v1:", "vault:v2:").replaceAll('"key_version":1', '"key_version":2');
    proxy.spoil(signing, { trouble: "rewrite", body: changed });
    await set.expectFault({ code: "SIGNATURE_WRONG", result: "unknown", retryable: false });
  });

  test("a signature by another key that claims to be ours is withheld", async () => {
    await server.must("POST", `${mount}/keys/other`, { type: "ecdsa-p256" });
    const input = Buffer.alloc(32, 7).toString("base64");
    const made = await server.must("POST", `${mount}/sign/other`, { input, prehashed: true });
    const { signature } = (made as { readonly data: { readonly signature: string } }).data; // as Vault answers
    const changed = ({ body }: { readonly body: Buffer }): string =>
      body.toString().replace(/"signature":"[^"]+"/, `"signature":"${signature}"`);
    proxy.spoil(signing, { trouble: "rewrite", body: changed });
    await set.expectFault({ code: "SIGNATURE_WRONG", result: "withheld", retryable: false });
  });
});
