// Bundles and envelopes are accepted by other people's verifiers, and hold nothing that those would stumble over.

import { createPublicKey, verify } from "node:crypto";

import { bundleFromJSON, envelopeFromJSON } from "@sigstore/bundle";
import { toSignedEntity, Verifier } from "@sigstore/verify";
import { describe, expect, test } from "vitest";

import { parseBundle, parsePublicKey, signerOf } from "../../src/cli/signature.ts";
import { prepare, type SignItem } from "../../src/formats/index.ts";
import { isRefusal } from "../../src/model/errors.ts";
import { hashOf, type KeyAlgorithm } from "../../src/model/key.ts";
import { sha256, sha384 } from "../../src/std/digest.ts";
import { githubJob, keyOf, signed, type TestKey } from "./jobs.ts";

const artifact = Buffer.from("the artifact");
const statement: SignItem = {
  kind: "statement",
  subject: [{ name: "artifact", digest: `sha256:${sha256(artifact).toString("hex")}` }],
  predicateType: "https://slsa.dev/provenance/v1",
  predicate: {},
};
const image: SignItem = { kind: "image", repository: "ghcr.io/acme/app", digest: `sha256:${"5f".repeat(32)}` };

function blobFor(algorithm: KeyAlgorithm): SignItem {
  const digest = hashOf(algorithm) === "sha384" ? sha384(artifact) : sha256(artifact);
  return { kind: "blob", name: "artifact", digest: `${hashOf(algorithm) ?? ""}:${digest.toString("hex")}` };
}

describe.each(["EC_P256", "EC_P384", "ED25519", "RSA_3072"] as const)("by %s", (algorithm) => {
  const key = keyOf(algorithm);

  test.each([statement, image])("the bundle of a $kind is the minimal one", (item) => {
    const { bundle, envelope, value } = finish(item, key);
    const sig = Buffer.from(value).toString("base64");
    const { payload } = envelope;
    expect(bundle).toEqual({
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: {
        publicKey: { hint: Buffer.from(key.version.fingerprint, "hex").toString("base64") },
      },
      dsseEnvelope: { payload, payloadType: "application/vnd.in-toto+json", signatures: [{ sig }] },
    });
  });

  test.each([statement, image])("the envelope of a $kind verifies over its PAE", (item) => {
    const { payload, payloadType, signatures } = envelopeFromJSON(finish(item, key).envelope);
    const pae = Buffer.concat([Buffer.from(`DSSEv1 28 ${payloadType} ${String(payload.length)} `), payload]);
    const [signature] = signatures;
    expect(signature?.keyid).toBe("");
    const { publicKey } = key.version;
    expect(verify(hashOf(algorithm), pae, createPublicKey(publicKey), signature?.sig ?? Buffer.alloc(0))).toBe(true);
  });
});

// @sigstore/verify hashes with SHA-256 whatever the curve: P-384 is left to openssl and to the test above.
describe.each(["EC_P256", "ED25519", "RSA_3072"] as const)("@sigstore/verify", (algorithm) => {
  const key = keyOf(algorithm);
  const other = keyOf(algorithm);

  test.each([statement, image])(`accepts a $kind by ${algorithm}, and not by another key`, (item) => {
    const { bundle } = finish(item, key);
    expect(() => {
      sigstoreVerify(bundle, key);
    }).not.toThrow();
    expect(() => {
      sigstoreVerify(bundle, other);
    }).toThrow();
  });
});

test.each(["EC_P256", "RSA_3072"] as const)(
  "@sigstore/verify accepts a detached signature of a file by %s, and of no other file",
  (algorithm) => {
    const key = keyOf(algorithm);
    const { bundle } = finish(blobFor(algorithm), key);
    expect(() => {
      sigstoreVerify(bundle, key, artifact);
    }).not.toThrow();
    expect(() => {
      sigstoreVerify(bundle, key, Buffer.from("another artifact"));
    }).toThrow();
  },
);

test.each([
  ["EC_P256", "SHA2_256"],
  ["EC_P384", "SHA2_384"],
] as const)("the bundle of a file by %s names its hash %s", (algorithm, name) => {
  const key = keyOf(algorithm);
  const { bundle, value } = finish(blobFor(algorithm), key);
  const digest = (algorithm === "EC_P384" ? sha384(artifact) : sha256(artifact)).toString("base64");
  expect(bundle).toEqual({
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: Buffer.from(key.version.fingerprint, "hex").toString("base64") } },
    messageSignature: { messageDigest: { algorithm: name, digest }, signature: Buffer.from(value).toString("base64") },
  });
  expect(bundleFromJSON(bundle).content.$case).toBe("messageSignature");
  expect(verify(hashOf(algorithm), artifact, createPublicKey(key.version.publicKey), value)).toBe(true);
});

// A public key does not tell its padding: our own verifier tries both, others PKCS#1 v1.5 alone.
test.each(["RSA_3072", "RSA_3072_PSS"] as const)(
  "signet verify accepts a statement by %s, and not by another key",
  async (algorithm) => {
    const key = keyOf(algorithm);
    const evidence = parseBundle(JSON.stringify(finish(statement, key).bundle));
    const right = parsePublicKey("right", key.version.publicKey);
    const wrong = parsePublicKey("wrong", keyOf(algorithm).version.publicKey);
    expect(await signerOf(evidence, "artifact", [wrong, right])).toBe(right);
    expect(await signerOf(evidence, "artifact", [wrong])).toBeUndefined();
  },
);

test("a raw digest and a token have no bundle", () => {
  const key = keyOf("EC_P256");
  const items: SignItem[] = [
    { kind: "digest", digest: `sha256:${"5f".repeat(32)}` },
    { kind: "jws", payload: {}, type: "jwt" },
  ];
  for (const item of items) {
    const prepared = prepare(item, githubJob, key.version);
    if (isRefusal(prepared)) throw new Error(prepared.message);
    expect(signed(prepared, key)).toMatchObject({ bundle: undefined, envelope: undefined });
  }
});

function finish(item: SignItem, key: TestKey) {
  const prepared = prepare(item, githubJob, key.version);
  if (isRefusal(prepared)) throw new Error(prepared.message);
  const { value, bundle, envelope } = signed(prepared, key);
  return { value, bundle: bundle?.() ?? {}, envelope: envelope?.() ?? {} };
}

function sigstoreVerify(bundle: object, key: TestKey, data?: Buffer): void {
  const publicKey = createPublicKey(key.version.publicKey);
  const trust = {
    certificateAuthorities: [],
    timestampAuthorities: [],
    tlogs: [],
    ctlogs: [],
    publicKey: () => ({ publicKey, validFor: () => true }),
  };
  const none = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
  new Verifier(trust, none).verify(toSignedEntity(bundleFromJSON(bundle), data));
}
