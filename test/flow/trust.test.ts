// Other people's verifiers read what Signet publishes, through a rotation: openssl the PEM, jose the JWK set, Sigstore's
// own the key list, cosign the trusted root.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleFromJSON } from "@sigstore/bundle";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Operations, SignItemInput } from "../../src/client/answers.ts";
import { run } from "../support/command.ts";
import { until } from "../support/faults.ts";
import { blob, expectDone, type House, house, type Job, statement, usualPolicy } from "../support/house.ts";
import { lacks, peer } from "../support/peers.ts";

type Signed = Operations["Sign"]["answer"]["signatures"][number];

let home: House;
let job: Job;
/** By the version that was rotated out, and by the one that came. */
const made: Record<"old" | "fresh", Record<"release" | "attest" | "tokens", Signed>> = { old: {}, fresh: {} } as never;
const folder = mkdtempSync(join(tmpdir(), "signet-trust-"));
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  home = await house({
    keys: [
      { name: "release", purpose: "BLOB" },
      { name: "attest", purpose: "ATTESTATION" },
      { name: "tokens", purpose: "TOKEN", algorithm: "ED25519" },
    ],
  });
  const grants = usualPolicy(home.issuer.issuer)
    .replace("keys: [attest, release]", "keys: [attest, release, tokens]")
    .replace('blob: { names: ["*"] }', 'blob: { names: ["*"] }\n      jws: { types: [jwt] }');
  writeFileSync(join(home.directory, "policy", "grants.yaml"), grants);
  await home.stop();
  await home.start();
  job = await home.job({ keys: ["release", "attest", "tokens"] });
  made.old = await all();
  const operator = await home.operator();
  for (const key of ["release", "attest", "tokens"]) {
    const input = { idempotencyKey: key, key, propagation: "PT0S", beforeVerifiersKnow: true, reason: "for the test" };
    expectDone(await operator.ask("RotateKey", { input }));
    const step = async () => expectDone(await operator.ask("Key", { name: key }))?.rotation?.step;
    await until("it switches", async () => (await step()) === "SWITCHED");
  }
  made.fresh = await all();
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function all() {
  const one = async (key: string, item: SignItemInput): Promise<Signed> => {
    const [signature] = expectDone(await job.sign([item], { key })).signatures;
    if (!signature) throw new Error("no signature");
    return signature;
  };
  return {
    release: await one("release", blob("app.tgz")),
    attest: await one("attest", statement("app.tgz")),
    tokens: await one("tokens", { jws: { type: "jwt", payload: { iss: "signet", sub: "app" } } }),
  };
}

const document = async (path: string): Promise<string> => {
  const answer = await fetch(`${home.url}/trust/${path}`);
  expect(answer.status).toBe(200);
  return answer.text();
};

test("both versions signed", () => {
  expect(Object.values(made.old).map(({ keyVersion }) => keyVersion.number)).toEqual([1, 1, 1]);
  expect(Object.values(made.fresh).map(({ keyVersion }) => keyVersion.number)).toEqual([2, 2, 2]);
});

test.each(["old", "fresh"] as const)("jose verifies a token of the %s version by its kid", async (when) => {
  const keys = createRemoteJWKSet(new URL(`${home.url}/trust/jwks.json`));
  const { payload, protectedHeader } = await jwtVerify(made[when].tokens.jws ?? "", keys, { issuer: "signet" });
  expect(payload.sub).toBe("app");
  expect(protectedHeader.kid).toBe(made[when].tokens.keyVersion.fingerprint);
});

test.each(["old", "fresh"] as const)(
  "Sigstore's verifier finds the %s key by the bundle's hint in keys.json",
  async (when) => {
    const { keys } = JSON.parse(await document("keys.json")) as {
      keys: { keyId: string; publicKey: { rawBytes: string } }[];
    };
    const byHint = Object.fromEntries(
      keys.map(({ keyId, publicKey }) => [
        keyId,
        { ...publicKey, rawBytes: Buffer.from(publicKey.rawBytes, "base64") },
      ]),
    );
    const none = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
    const trust = toTrustMaterial(none as never, byHint as never); // their types ask for enums where their JSON has names
    const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
    const { bundle } = made[when].attest;
    expect(() => verifier.verify(toSignedEntity(bundleFromJSON(bundle)))).not.toThrow();
  },
);

describe.skipIf(await lacks("openssl"))("openssl", () => {
  test("reads the version that signs first, and each of the others", async () => {
    const openssl = await peer("openssl");
    const pems = (await document("release.pem")).split(/(?<=-----END PUBLIC KEY-----\n)/).filter(Boolean);
    expect(pems).toHaveLength(2);
    writeFileSync(at("release.pem"), pems.join(""));
    writeFileSync(at("app.tgz"), "app.tgz");
    const verdict = async (pem: string, { value }: Signed): Promise<number | null> => {
      writeFileSync(at("signature"), Buffer.from(value, "base64"));
      const args = ["dgst", "-sha256", "-verify", at(pem), "-signature", at("signature"), at("app.tgz")];
      return (await run(openssl, args)).status;
    };
    expect(await verdict("release.pem", made.fresh.release)).toBe(0);
    expect(await verdict("release.pem", made.old.release)).toBe(1);
    writeFileSync(at("second.pem"), pems[1] ?? "");
    expect(await verdict("second.pem", made.old.release)).toBe(0);
  });
});

describe.skipIf(await lacks("cosign"))("cosign", () => {
  test("takes the trusted root, and verifies by the key that signs", async () => {
    writeFileSync(at("trusted_root.json"), await document("trusted_root.json"));
    writeFileSync(at("release.pem"), await document("release.pem"));
    writeFileSync(at("app.tgz"), "app.tgz");
    writeFileSync(at("bundle.json"), JSON.stringify(made.fresh.release.bundle));
    const args = ["--key", at("release.pem"), "--bundle", at("bundle.json"), "--trusted-root", at("trusted_root.json")];
    const cosign = await peer("cosign");
    const env = { HOME: folder, HTTP_PROXY: "http://127.0.0.1:1", HTTPS_PROXY: "http://127.0.0.1:1" };
    const good = await run(cosign, ["verify-blob", ...args, "--insecure-ignore-tlog", at("app.tgz")], { env });
    expect(good.stderr).toContain("Verified OK");
    writeFileSync(at("trusted_root.json"), '{ "tlogs": [{ "unknown": 1 }] }');
    const bad = await run(cosign, ["verify-blob", ...args, "--insecure-ignore-tlog", at("app.tgz")], { env });
    expect(bad.status).not.toBe(0); // it does read the trusted root
  });
});
