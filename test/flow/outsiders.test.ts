// What the demo leaves behind, checked by strangers: tessera's fsck, cosign, openssl, and our own client offline.
// Then a log of 100,000 entries, and a witness that cosigns it and refuses a fork.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../support/command.ts";
import { cosign, lacks, peer, runFsck } from "../support/peers.ts";

const root = resolve(import.meta.dirname, "../..");
const signet = join(root, "deploy/bin/signet");

describe.skipIf(await lacks("openssl", "fsck", "cosign"))("the demo's leavings", () => {
  const kept = mkdtempSync(join(tmpdir(), "signet-demo-kept-"));
  const at = (name: string): string => join(kept, name);
  afterAll(() => {
    rmSync(kept, { recursive: true, force: true });
  });

  beforeAll(async () => {
    const demo = await run("npm", ["run", "--silent", "demo", "--", "--keep", kept], { cwd: root, timeout: 240_000 });
    expect(demo.stderr + demo.stdout).toContain("done in");
    expect(demo.status).toBe(0);
  }, 250_000);

  test("openssl accepts the detached signature with the public key alone, and not for another file", async () => {
    const check = (file: string) =>
      run("openssl", ["dgst", "-sha256", "-verify", at("release.pem"), "-signature", at("artifact.sig"), file]);
    expect((await check(at("artifact"))).status).toBe(0);
    expect((await check(at("log.vkey"))).status).not.toBe(0);
  });

  test("cosign accepts both bundles, and neither for another file", async () => {
    const blob = (file: string) =>
      cosign(["verify-blob", "--key", at("release.pem"), "--bundle", at("artifact.sigstore.json"), file]);
    const statement = (file: string) =>
      cosign([
        "verify-blob-attestation",
        "--key",
        at("attest.pem"),
        "--bundle",
        at("artifact.intoto.sigstore.json"),
        "--type",
        "slsaprovenance1",
        file,
      ]);
    expect(await blob(at("artifact"))).toMatchObject({ status: 0 });
    expect(await statement(at("artifact"))).toMatchObject({ status: 0 });
    expect((await blob(at("log.vkey"))).status).not.toBe(0);
    expect((await statement(at("log.vkey"))).status).not.toBe(0);
  });

  test("tessera's fsck accepts the log, and refuses it with one byte changed", async () => {
    expect(await runFsck(at("log"), at("log.vkey"))).toMatchObject({ ok: true });
    const damaged = at("damaged");
    cpSync(at("log"), damaged, { recursive: true });
    const [, size = "0"] = readFileSync(join(damaged, "checkpoint"), "utf8").split("\n");
    const bundle = join(damaged, `tile/entries/000.p/${size}`);
    const bytes = readFileSync(bundle);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(bundle, bytes);
    expect(await runFsck(damaged, at("log.vkey"))).toMatchObject({ ok: false });
  });

  test("the receipt, the artifact and the vkey convince our client offline; a changed artifact does not", async () => {
    const trusted = ["--key", at("release.pem"), at("attest.pem"), "--vkey", at("log.vkey")];
    const verify = (artifact: string, ...more: readonly string[]) =>
      run(signet, ["verify", artifact, ...trusted, ...more]);
    const good = await verify(at("artifact"));
    expect(good.stdout + good.stderr).toContain("acme/app · v1.4.0");
    expect(good.status).toBe(0);
    const changed = at("changed");
    writeFileSync(changed, "another file");
    const other = ["--bundle", at("artifact.sigstore.json"), "--proof", at("artifact.tlog-proof")];
    expect((await verify(changed, ...other)).status).not.toBe(0);
  });
});

describe.each([
  ["vault", "vault"],
  ["pkcs11", "softhsm"],
] as const)("the demo with keys in %s", (custody, needs) => {
  test("makes them there, and strangers accept what they signed", { timeout: 250_000 }, async (context) => {
    for (const name of ["openssl", needs] as const) await peer(name, context);
    const demo = await run("npm", ["run", "--silent", "demo", "--", "--custody", custody], {
      cwd: root,
      timeout: 240_000,
    });
    expect(demo.stderr + demo.stdout).toContain("done in");
    expect(demo.stdout).toContain(custody === "vault" ? "Vault's transit engine" : "libsofthsm2.so");
    expect(demo.stdout).toContain("Verified OK");
    expect(demo.status).toBe(0);
  });
});
