// Jobs of the providers, and keys that sign in the test itself: what formats are given.

import { constants, createHash, generateKeyPairSync, type KeyObject, privateEncrypt, sign } from "node:crypto";

import { p256, p384 } from "@noble/curves/nist.js";

import type { Finished, Prepared } from "../../src/formats/index.ts";
import type { ToBeSigned } from "../../src/model/item.ts";
import { hashOf, isPss, type KeyAlgorithm, type KeyVersion } from "../../src/model/key.ts";
import type { Workload } from "../../src/model/principal.ts";
import { digestInfo } from "../../src/std/digest-info.ts";
import { pss } from "../../src/std/rsa-pss.ts";

export const githubJob: Workload = {
  kind: "workload",
  provider: "github",
  issuer: "https://token.actions.githubusercontent.com",
  subject: "repo:acme/app:ref:refs/tags/v1.4.0",
  tenantId: "1001",
  tenant: "acme",
  projectId: "123456",
  project: "acme/app",
  ref: "refs/tags/v1.4.0",
  refType: "tag",
  workflow: "acme/app/.github/workflows/release.yml@refs/tags/v1.4.0",
  commit: "c2d6b7a5e1f0c2d6b7a5e1f0c2d6b7a5e1f0c2d6",
  event: "push",
  runner: "hosted",
  run: "987",
  attempt: "1",
};

export const gitlabJob: Workload = {
  kind: "workload",
  provider: "gitlab",
  issuer: "https://gitlab.example",
  subject: "project_path:tools/app:ref_type:branch:ref:main",
  tenantId: "72",
  tenant: "tools",
  projectId: "20",
  project: "tools/app",
  ref: "refs/heads/main",
  refType: "branch",
  workflow: "gitlab.example/tools/app//.gitlab-ci.yml@refs/heads/main",
  commit: "714a629c0b401fdce83e847fc9589983fc6f46bc",
  event: "web",
  runner: "self-hosted",
  run: "574",
};

export const kubernetesJob: Workload = {
  kind: "workload",
  provider: "kubernetes",
  issuer: "https://kubernetes.default.svc",
  subject: "system:serviceaccount:builds:packer",
  tenantId: "builds",
  tenant: "builds",
  projectId: "9a7e0c1e-51d3-4b0a-8f57-0d3c2c1a9b11",
  project: "builds/packer",
  run: "2d6b7a5e-0c1e-4b0a-8f57-0d3c2c1a9b11",
};

export interface TestKey {
  readonly version: KeyVersion;
  readonly privateKey: KeyObject;
}

export function keyOf(algorithm: KeyAlgorithm): TestKey {
  const { privateKey, publicKey } = pairOf(algorithm);
  const spki = publicKey.export({ format: "der", type: "spki" });
  const version: KeyVersion = {
    key: "release",
    number: 1,
    purpose: "ATTESTATION",
    algorithm,
    state: "ACTIVE",
    custody: "software",
    uri: "software:release/1",
    publicKey: publicKey.export({ format: "pem", type: "spki" }).toString(),
    fingerprint: createHash("sha256").update(spki).digest("hex"),
    createdAt: "2026-01-01T00:00:00.000Z",
  };
  return { version, privateKey };
}

export function signed(prepared: Prepared, key: TestKey): Finished {
  return prepared.finish(apply(prepared.tbs, key), key.version);
}

function apply(tbs: ToBeSigned, { version, privateKey }: TestKey): Uint8Array {
  if (tbs.form === "message") {
    return sign(hashOf(version.algorithm), tbs.bytes, isPss(version.algorithm) ? pss(privateKey) : privateKey);
  }
  const scalar = Buffer.from(privateKey.export({ format: "jwk" }).d ?? "", "base64url");
  if (version.algorithm === "EC_P256") return p256.sign(tbs.bytes, scalar, { prehash: false, format: "der" });
  if (version.algorithm === "EC_P384") return p384.sign(tbs.bytes, scalar, { prehash: false, format: "der" });
  return privateEncrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, digestInfo(tbs.hash, tbs.bytes));
}

function pairOf(algorithm: KeyAlgorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (algorithm) {
    case "EC_P256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "EC_P384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" });
    case "ED25519":
      return generateKeyPairSync("ed25519");
    case "RSA_3072":
    case "RSA_4096":
    case "RSA_3072_PSS":
    case "RSA_4096_PSS":
      return generateKeyPairSync("rsa", { modulusLength: 3072 }); // the length does not matter to formats
  }
}
