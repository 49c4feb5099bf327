// Each kind of item: what exactly is signed, how the log speaks of it, and which items are refused.

import { createHash, createPublicKey } from "node:crypto";

import fc from "fast-check";
import { compactVerify } from "jose";
import { describe, expect, test } from "vitest";

import { formats, type Prepared, prepare, type SignItem } from "../../src/formats/index.ts";
import { isRefusal } from "../../src/model/errors.ts";
import { itemKinds } from "../../src/model/item.ts";
import { hashOf, type KeyAlgorithm, keyAlgorithms } from "../../src/model/key.ts";
import type { JsonObject } from "../../src/std/json.ts";
import { githubJob, keyOf, signed, type TestKey } from "./jobs.ts";

const keys = Object.fromEntries(keyAlgorithms.map((one) => [one, keyOf(one)])) as Record<KeyAlgorithm, TestKey>;
const p256 = keys.EC_P256;
const sha256 = `sha256:${"5f".repeat(32)}`;
const sha384 = `sha384:${"5f".repeat(48)}`;

const sbom = {
  kind: "statement",
  subject: [{ name: "app.tgz", digest: sha256 }],
  predicateType: "https://cyclonedx.org/bom",
  predicate: { components: [] },
} as const satisfies SignItem;
const image = {
  kind: "image",
  repository: "registry.example:5000/team/app",
  digest: sha256,
} as const satisfies SignItem;
const token = { kind: "jws", payload: { sub: "x", n: [1, null] }, type: "at+jwt" } as const satisfies SignItem;

test("every kind of item has one format", () => {
  expect(formats.map((format) => format.kind)).toEqual(itemKinds);
});

describe("statement", () => {
  test("what is signed is the DSSE pre-authentication encoding of an in-toto Statement v1", () => {
    const { tbs, record } = accepted(sbom);
    const payload = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app.tgz","digest":{"sha256":"${"5f".repeat(32)}"}}],"predicateType":"https://cyclonedx.org/bom","predicate":{"components":[]}}`;
    const pae = `DSSEv1 28 application/vnd.in-toto+json ${String(payload.length)} ${payload}`;
    expect(Buffer.from(tbs.bytes).toString()).toBe(pae);
    expect(record).toEqual({
      kind: "statement",
      artifacts: [{ name: "app.tgz", digest: sha256 }],
      predicateType: "https://cyclonedx.org/bom",
      format: "dsse",
      form: "message",
      signed: createHash("sha256").update(pae).digest("hex"),
    });
  });

  test("the length in the encoding counts bytes, not characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
        const { tbs } = accepted({ ...sbom, predicate: { text } });
        const [, length = "", payload = ""] =
          /^DSSEv1 28 \S+ (\d+) (.*)$/s.exec(Buffer.from(tbs.bytes).toString()) ?? [];
        expect(Number(length)).toBe(Buffer.byteLength(payload));
        expect((JSON.parse(payload) as { predicate: object }).predicate).toEqual({ text });
      }),
    );
  });

  test.each<[string, Partial<typeof sbom> | object, string]>([
    ["without subject", { subject: [] }, "no subject"],
    ["with too many", { subject: Array.from({ length: 1025 }, () => sbom.subject[0]) }, "1025 subjects, at most 1024"],
    ["of a nameless subject", { subject: [{ name: "", digest: sha256 }] }, "subject 0: name is empty"],
    [
      "with a name that turns text round",
      { subject: [sbom.subject[0], { name: "a\u202egpj.exe", digest: sha256 }] },
      "subject 1: name holds",
    ],
    ["with a lone surrogate", { subject: [{ name: "\ud800", digest: sha256 }] }, "subject 0: name holds"],
    ["with a bare digest", { subject: [{ name: "a", digest: "5f".repeat(32) }] }, "subject 0: digest is"],
    ["with capital digits", { subject: [{ name: "a", digest: sha256.toUpperCase() }] }, "subject 0: digest is"],
    ["with a weak digest", { subject: [{ name: "a", digest: `sha1:${"0".repeat(40)}` }] }, 'digest is "sha1:'],
    ["of no type", { predicateType: "provenance" }, 'predicateType is "provenance", not an absolute URI'],
    ["of a type with spaces", { predicateType: "https://a.example/ b" }, "predicateType is"],
    ["whose predicate is an array", { predicate: [] }, "predicate is not a JSON object"],
    ["over a mebibyte", { predicate: { text: "x".repeat(1_048_576) } }, "at most 1048576 are signed"],
  ])("%s is refused", (_what, change, message) => {
    expect(refused({ ...sbom, ...change })).toContain(message);
  });

  test("a predicate nested deeper than the stack is refused and nothing breaks", () => {
    let predicate: JsonObject = {};
    for (let depth = 0; depth < 100_000; depth += 1) predicate = { predicate };
    expect(refused({ ...sbom, predicate })).toContain("nested too deep");
  });
});

describe("image", () => {
  test("cosign's statement about the manifest, naming the repository and carrying the annotations", () => {
    const { tbs, record } = accepted({ ...image, annotations: { stage: "production" } });
    const text = Buffer.from(tbs.bytes).toString();
    expect(JSON.parse(text.slice(text.indexOf("{")))).toEqual({
      _type: "https://in-toto.io/Statement/v1",
      subject: [
        {
          name: image.repository,
          digest: { sha256: "5f".repeat(32) },
          annotations: { stage: "production" },
        },
      ],
      predicateType: "https://sigstore.dev/cosign/sign/v1",
      predicate: {},
    });
    expect(record).toMatchObject({
      kind: "image",
      repository: image.repository,
      artifacts: [{ name: image.repository, digest: sha256 }],
      form: "message",
    });
  });

  test.each(["app", "team/app", "localhost:5000/a", "ghcr.io/acme/app", "Registry.example/a__b/c--d"])(
    "%s is a repository",
    (repository) => {
      expect(accepted({ ...image, repository }).record.repository).toBe(repository);
    },
  );

  test.each<[string, object, string]>([
    ["a tag", { repository: "ghcr.io/acme/app:v1" }, "without tag or digest"],
    ["a digest in the name", { repository: `ghcr.io/acme/app@${sha256}` }, "not an image repository"],
    ["capitals in the path", { repository: "ghcr.io/Acme/app" }, "not an image repository"],
    ["a step upwards", { repository: "ghcr.io/acme/../other" }, "not an image repository"],
    ["a scheme", { repository: "https://ghcr.io/acme/app" }, "not an image repository"],
    ["no digest", { digest: "latest" }, "digest is"],
    ["an annotation that is no text", { annotations: { a: 1 } }, "an annotation is not a string"],
  ])("%s is refused", (_what, change, message) => {
    expect(refused({ ...image, ...change })).toContain(message);
  });

  test("a very long repository is judged at once", () => {
    const started = performance.now();
    expect(refused({ ...image, repository: `${"a-".repeat(500_000)}!` })).toContain("not an image repository");
    expect(refused({ ...image, repository: `${"a-".repeat(127)}!` })).toContain("not an image repository");
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe("jws", () => {
  test.each([
    ["EC_P256", "ES256", 64],
    ["EC_P384", "ES384", 96],
    ["ED25519", "EdDSA", 64],
    ["RSA_3072", "RS256", 384],
    ["RSA_3072_PSS", "PS256", 384],
  ] as const)("a token by %s is accepted by jose as %s", async (algorithm, alg, length) => {
    const key = keys[algorithm];
    const finished = signed(accepted(token, key), key);
    const { payload, protectedHeader } = await compactVerify(
      finished.jws ?? "",
      createPublicKey(key.version.publicKey),
    );
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(token.payload);
    expect(protectedHeader).toEqual({ alg, kid: key.version.fingerprint, typ: "at+jwt" });
    expect(finished.value).toHaveLength(length);
    expect(finished.jws?.split(".")[2]).toBe(Buffer.from(finished.value).toString("base64url"));
  });

  test("the log keeps the type and the hash of what was signed, nothing of the payload", () => {
    const { record, tbs } = accepted(token);
    const hash = createHash("sha256").update(tbs.bytes).digest("hex");
    expect(record).toEqual({
      kind: "jws",
      artifacts: [],
      tokenType: "at+jwt",
      format: "jws",
      form: "message",
      signed: hash,
    });
  });

  test.each<[string, object, string]>([
    ["no type", { type: "" }, "not a media type"],
    ["a type with a line break", { type: "jwt\n" }, "not a media type"],
    ["a payload that is a list", { payload: [1] }, "payload is not a JSON object"],
    ["a payload over a mebibyte", { payload: { text: "x".repeat(1_048_576) } }, "at most 1048576 are signed"],
  ])("%s is refused", (_what, change, message) => {
    expect(refused({ ...token, ...change })).toContain(message);
  });
});

describe("digest form", () => {
  test.each(["EC_P256", "EC_P384", "RSA_3072", "RSA_4096"] as const)(
    "%s takes a digest of its own hash as it is",
    (algorithm) => {
      const digest = hashOf(algorithm) === "sha384" ? sha384 : sha256;
      const bytes = Buffer.from(digest.slice(7), "hex");
      for (const item of [
        { kind: "digest", digest },
        { kind: "blob", name: "a.tgz", digest },
      ] as const) {
        const { tbs, record } = accepted(item, keys[algorithm]);
        expect(tbs).toEqual({ form: "digest", hash: hashOf(algorithm), bytes });
        expect(record).toMatchObject({
          form: "digest",
          format: "raw",
          signed: digest.slice(7),
          artifacts: [{ digest }],
        });
      }
    },
  );

  test.each<[string, KeyAlgorithm, string, string]>([
    ["Ed25519", "ED25519", sha256, "sign a statement about the file instead"],
    ["RSA-PSS", "RSA_3072_PSS", sha256, "sign a statement about the file instead"],
    ["SHA-384 for a P-256 key", "EC_P256", sha384, "send the file's sha256 digest"],
    ["SHA-256 for a P-384 key", "EC_P384", sha256, "send the file's sha384 digest"],
  ])("%s is refused, and the hint says what to do", (_what, algorithm, digest, hint) => {
    for (const item of [
      { kind: "digest", digest },
      { kind: "blob", name: "a", digest },
    ] as const) {
      const answer = prepare(item, githubJob, keys[algorithm].version);
      expect(answer).toMatchObject({ refusal: "ALGORITHM_UNFIT", hint: expect.stringContaining(hint) as string });
    }
  });

  test.each([
    "",
    "5f",
    `sha256:${"5f".repeat(31)}`,
    `sha256:${"5f".repeat(48)}`,
    `sha512:${"5f".repeat(64)}`,
    `${sha256}\n`,
  ])("digest %j is malformed", (digest) => {
    expect(refused({ kind: "digest", digest })).toContain("digest is");
    expect(refused({ kind: "blob", name: "a", digest })).toContain("digest is");
  });
});

function accepted(item: SignItem, key = p256): Prepared {
  const prepared = prepare(item, githubJob, key.version);
  if (isRefusal(prepared)) throw new Error(prepared.message);
  return prepared;
}

function refused(item: SignItem): string {
  const prepared = prepare(item, githubJob, p256.version);
  if (!isRefusal(prepared)) throw new Error("accepted");
  expect(prepared.refusal).toBe("ITEM_INVALID");
  return prepared.message;
}
