// Does cosign, as we run it, judge by the key and the bundle alone? The bundle is made by hand around a signature that
// openssl made, without any of Signet's code.

import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { peers } from "../peers/catalog.ts";
import { run } from "../support/command.ts";
import { cosign, lacks, peer } from "../support/peers.ts";

describe.skipIf(await lacks("cosign", "openssl"))("cosign", () => {
  const folder = mkdtempSync(join(tmpdir(), "cosign-test-"));
  const verifyBlob = (blob: string) =>
    cosign(["verify-blob", "--key", "release.pem", "--bundle", "blob.sigstore.json", blob], { cwd: folder });

  beforeAll(async () => {
    await signBlob(folder, "the release\n");
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test("is the pinned version", async () => {
    const { status, stdout } = await cosign(["version"]);
    expect(status).toBe(0);
    expect(stdout).toContain(peers.cosign.version);
  });

  test("accepts a blob that the key signed", async () => {
    const { status, stderr } = await verifyBlob("blob");
    expect(stderr).toContain("Verified OK");
    expect(status).toBe(0);
  });

  test("refuses another blob", async () => {
    writeFileSync(join(folder, "tampered"), "the release?\n");
    const { status, stderr } = await verifyBlob("tampered");
    expect(stderr).not.toContain("Verified OK");
    expect(status).toBe(1);
  });
});

/** Leaves `blob`, the public key `release.pem` and a Sigstore bundle v0.3 `blob.sigstore.json` in the folder. */
async function signBlob(folder: string, text: string): Promise<void> {
  const openssl = await peer("openssl");
  const path = (name: string): string => join(folder, name);
  writeFileSync(path("blob"), text);
  for (const args of [
    ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path("release.key")],
    ["pkey", "-in", path("release.key"), "-pubout", "-out", path("release.pem")],
    ["pkey", "-in", path("release.key"), "-pubout", "-outform", "DER", "-out", path("release.der")],
    ["dgst", "-sha256", "-sign", path("release.key"), "-out", path("blob.sig"), path("blob")],
  ]) {
    const { status, stderr } = await run(openssl, args);
    if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
  }
  const sha256 = (file: string): string =>
    createHash("sha256")
      .update(readFileSync(path(file)))
      .digest("base64");
  const bundle = {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: sha256("release.der") } },
    messageSignature: {
      messageDigest: { algorithm: "SHA2_256", digest: sha256("blob") },
      signature: readFileSync(path("blob.sig")).toString("base64"),
    },
  };
  writeFileSync(path("blob.sigstore.json"), JSON.stringify(bundle));
}
