// Attacks on a session that exists: its token in the wrong hands, its proofs bent, its last use raced for, digests and
// keys that do not fit. Each is refused under the session's principal, in the log, and spends nothing.

import { verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRefused } from "../../src/client/connect.ts";
import { newProofKey as newClientKey } from "../../src/client/proof.ts";
import { base64url } from "../../src/std/base64.ts";
import { sha256, sha256Hex } from "../../src/std/digest.ts";
import { makeProof, newProofKey } from "../support/dpop.ts";
import { blob, expectDone, statement } from "../support/house.ts";
import {
  codeOf,
  entriesOf,
  expectAlive,
  expectRecorded,
  expectUnspent,
  jobOf,
  json,
  keyOf,
  nonceOf,
  proved,
  type Reply,
  type Scene,
  scene,
  send,
  sessionOf,
  signBody,
  tokenOf,
} from "./scene.ts";

let home: Scene;
beforeAll(async () => {
  home = await scene({
    make: [
      ["attest", "ATTESTATION"],
      ["release", "BLOB"],
      ["wide", "BLOB", "EC_P384"],
    ],
  });
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

type Held = Awaited<ReturnType<typeof jobOf>>;
const signWith = async (headers: (body: string) => Promise<readonly string[]>): Promise<Reply> => {
  const body = signBody([statement()]);
  return send(home, { headers: await headers(body), body });
};
const withProof = (job: Held, proof: string): readonly string[] => [
  ...json,
  "Authorization",
  `DPoP ${job.token}`,
  "DPoP",
  proof,
];

describe("attack 23", () => {
  const url = () => `${home.url}/graphql`;
  const other = newProofKey();
  const symmetric = { kty: "oct", k: base64url(sha256("secret")) };

  const bent: readonly (readonly [
    string,
    (job: Held, body: string, nonce: string) => Promise<readonly string[]> | readonly string[],
  ])[] = [
    ["no proof", (job) => [...json, "Authorization", `DPoP ${job.token}`]],
    [
      "two proofs",
      async (job, body) => {
        const headers = await proved(home, job, body);
        return [...headers, "dpop", headers.at(-1) ?? ""];
      },
    ],
    [
      "two proofs in one header",
      async (job, body) => {
        const headers = await proved(home, job, body);
        return [...headers.slice(0, -1), `${headers.at(-1) ?? ""}, ${headers.at(-1) ?? ""}`];
      },
    ],
    ["as a bearer token", (job) => [...json, "Authorization", `Bearer ${job.token}`]],
    [
      "a bearer token with a good proof",
      async (job, body) => (await proved(home, job, body)).with(3, `Bearer ${job.token}`),
    ],
    [
      "a private key in the header",
      (job, body) => proved(home, job, body, { header: { jwk: keyOf(job).privateKey.export({ format: "jwk" }) } }),
    ],
    ["a symmetric key", (job, body) => proved(home, job, body, { header: { alg: "HS256", jwk: symmetric } })],
    ["alg none", (job, body) => proved(home, job, body, { header: { alg: "none" } })],
    ["another typ", (job, body) => proved(home, job, body, { header: { typ: "JWT" } })],
    ["another method", (job, body) => proved(home, job, body, { method: "GET" })],
    ["another URL", (job, body) => proved(home, job, body, { url: `${home.url}/other` })],
    ["another host", (job, body) => proved(home, job, body, { url: "http://evil.example/graphql" })],
    ["ten minutes old", (job, body) => proved(home, job, body, { at: Date.now() - 600_000 })],
    ["ten minutes early", (job, body) => proved(home, job, body, { at: Date.now() + 600_000 })],
    ["iat as text", (job, body) => proved(home, job, body, { claims: { iat: String(Math.floor(Date.now() / 1000)) } })],
    ["no jti", (job, body) => proved(home, job, body, { claims: { jti: undefined } })],
    ["another token's hash", (job, body) => proved(home, job, body, { token: "sgs_other" })],
    ["no token's hash", (job, body) => proved(home, job, body, { claims: { ath: undefined } })],
    [
      "another key",
      (job, body, nonce) => withProof(job, makeProof(other, { url: url(), body, nonce, token: job.token })),
    ],
    ["the right key shown, another signs", (job, body) => proved(home, job, body, { signedBy: other })],
    ["another body's hash", (job) => proved(home, job, signBody([statement("evil.tgz")]))],
    ["no body's hash", (job, body) => proved(home, job, body, { claims: { bsh: undefined } })],
    [
      "an altered signature",
      async (job, body) => {
        const headers = await proved(home, job, body);
        const proof = headers.at(-1) ?? "";
        return headers.with(-1, `${proof.slice(0, -8)}AAAAAAA${proof.at(-1) === "A" ? "Q" : "A"}`);
      },
    ],
  ];

  test.each(bent)("%s: 401, in the log, nothing spent", async (_, headers) => {
    const job = await jobOf(home);
    const nonce = await nonceOf(home);
    const reply = await signWith(async (body) => headers(job, body, nonce));
    expect([reply.status, codeOf(reply)]).toEqual([401, "PROOF_INVALID"]);
    expect(reply.headers["www-authenticate"]).toContain("invalid_dpop_proof");
    await expectUnspent(home, job);
    await expectRecorded(home, job.repository, "PROOF_INVALID");
  });

  test.each([
    ["no nonce", undefined],
    ["a made-up nonce", "AAAAAAAAAAAAAAAAAAAAAAAA"],
  ])("%s: told to use ours, which is no alarm", async (_, nonce) => {
    const job = await jobOf(home);
    const reply = await signWith((body) => proved(home, job, body, { claims: { nonce } }));
    expect([reply.status, codeOf(reply)]).toEqual([401, "PROOF_NONCE"]);
    expect(reply.headers["www-authenticate"]).toContain("use_dpop_nonce");
    await expectUnspent(home, job);
  });

  test("a proof used twice, with the same request and with its idempotency key", async () => {
    const job = await jobOf(home);
    const body = signBody([statement()]);
    const headers = await proved(home, job, body);
    expect(codeOf(await send(home, { headers, body }))).toBeUndefined();
    const again = await Promise.all([send(home, { headers, body }), send(home, { headers, body })]);
    expect(again.map(codeOf)).toEqual(["PROOF_INVALID", "PROOF_INVALID"]);
    expect((await expectUnspent(home, job, 4)).filter(({ type }) => type === "sign.intent")).toHaveLength(1);
  });

  test("one jti for two requests at once: one of them signs", async () => {
    const job = await jobOf(home);
    const nonce = await nonceOf(home);
    const replies = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const body = signBody([statement()]);
        return send(home, { headers: await proved(home, job, body, { jti: "the-same-jti-for-all", nonce }), body });
      }),
    );
    expect(replies.map(codeOf).filter((code) => code === undefined)).toHaveLength(1);
    expect((await expectUnspent(home, job, 4)).filter(({ type }) => type === "sign.outcome")).toHaveLength(1);
  });

  test("a read's proof works once as well", async () => {
    const job = await jobOf(home);
    const body = JSON.stringify({ query: "{ viewer { label } }" });
    const headers = await proved(home, job, body);
    expect((await send(home, { headers, body })).body).toContain("acme/app");
    expect(codeOf(await send(home, { headers, body }))).toBe("PROOF_INVALID");
  });
});

describe("attack 24", () => {
  test("a stolen token without its key, and with the thief's own", async () => {
    const job = await jobOf(home);
    const thief = newClientKey();
    const alone = await signWith(() => Promise.resolve([...json, "Authorization", `DPoP ${job.token}`]));
    const own = await signWith((body) => proved(home, { key: thief, token: job.token }, body));
    expect([alone.status, own.status]).toEqual([401, 401]);
    const entries = await expectUnspent(home, job);
    expect(entries.filter(({ type }) => type === "refusal")).toHaveLength(2);
  });

  test("tokens that were never given out", async () => {
    const job = await jobOf(home);
    const bits = base64url(sha256(crypto.randomUUID()));
    for (const token of [
      `sgs_${bits}AAAAAA`,
      `${job.token}A`,
      job.token.slice(0, -1),
      job.token.replace("sgs_", "sgo_"),
      job.session,
    ]) {
      const reply = await signWith((body) => proved(home, { key: job.key, token }, body));
      expect([reply.status, codeOf(reply)]).toEqual([401, "UNAUTHENTICATED"]);
    }
    await expectUnspent(home, job);
  });

  test("after close and after revoke: 401 at once", async () => {
    const closed = await jobOf(home);
    expectDone(await closed.client.ask("CloseSession", { input: {} }));
    const revoked = await jobOf(home);
    const { id } = await sessionOf(home, revoked.session, revoked.repository);
    expectDone(await home.auditor.ask("RevokeSession", { input: { session: id, reason: "stolen" } }));
    for (const job of [closed, revoked]) {
      const reply = await signWith((body) => proved(home, job, body));
      expect([reply.status, codeOf(reply)]).toEqual([401, "SESSION_ENDED"]);
      await expectUnspent(home, job);
      await expectRecorded(home, job.repository, "SESSION_ENDED");
    }
  });

  test("after expiry: refused, and its identity token opens nothing new", async () => {
    const { claims } = { claims: { repository_id: "480001" } };
    const identityToken = await tokenOf(home, claims);
    const holder = await home.openJob({ token: identityToken, keys: ["attest"], uses: 1 });
    if (isRefused(holder)) throw new Error("no session");
    const short = { repository_id: "480002" };
    const opened = expectDone(
      await holder.client.withToken(undefined).ask("OpenSession", {
        input: { identityToken: await tokenOf(home, short), keys: ["attest"], uses: 5, ttl: "PT1S" },
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const client = holder.client.withToken(opened.token);
    expect(
      await client.ask("Sign", { input: { idempotencyKey: "1", key: "attest", items: [statement()] } }),
    ).toMatchObject({ refusal: "SESSION_ENDED" });
    await expectRecorded(home, "480002", "SESSION_ENDED");
    expect(await sessionOf(home, opened.session.name, "480002")).toMatchObject({ usesLeft: 5, state: "EXPIRED" });
  });
});

test("attack 25: fifty requests for the last use: one signature", async () => {
  const job = await jobOf(home, { uses: 1 });
  expect(await job.sign([statement(), statement()])).toMatchObject({ refusal: "SESSION_SPENT" });
  const answers = await Promise.all(Array.from({ length: 50 }, () => job.sign([statement()])));
  expect(answers.filter((one) => !isRefused(one))).toHaveLength(1);
  expect(answers.filter(isRefused).every((one) => one.refusal === "SESSION_SPENT")).toBe(true);
  const entries = await expectUnspent(home, job, 0);
  for (const type of ["sign.intent", "sign.outcome"])
    expect(entries.filter((one) => one["type"] === type)).toHaveLength(1);
  await expectAlive(home);
});

test("attack 25: fifty times the same request is one request", async () => {
  const job = await jobOf(home);
  const item = statement();
  const answers = await Promise.all(Array.from({ length: 50 }, () => job.sign([item], { idempotencyKey: "the-same" })));
  expect(new Set(answers.map((one) => expectDone(one).signatures[0]?.value))).toHaveLength(1);
  expect((await expectUnspent(home, job, 4)).filter(({ type }) => type === "sign.outcome")).toHaveLength(1);
});

describe("attack 26", () => {
  const hex = (length: number) => "5f".repeat(length);
  test.each([
    ["SHA-1", `sha1:${hex(20)}`, "INPUT_INVALID"],
    ["MD5", `md5:${hex(16)}`, "INPUT_INVALID"],
    ["a short SHA-256", `sha256:${hex(31)}`, "INPUT_INVALID"],
    ["a long SHA-256", `sha256:${hex(33)}`, "INPUT_INVALID"],
    ["SHA-384 in SHA-256's clothes", `sha256:${hex(48)}`, "INPUT_INVALID"],
    ["SHA-512", `sha512:${hex(64)}`, "INPUT_INVALID"],
    ["upper case", `sha256:${hex(32).toUpperCase()}`, "INPUT_INVALID"],
    ["bare hex", hex(32), "INPUT_INVALID"],
  ])("%s: refused before the key is looked at", async (_, digest, code) => {
    const job = await jobOf(home, { keys: ["release"] });
    expect(await job.sign([{ blob: { name: "app.tgz", digest } }], { key: "release" })).toMatchObject({
      refusal: code,
    });
    await expectUnspent(home, job);
  });
  test.each([
    ["SHA-384 for a P-256 key", "release", `sha384:${hex(48)}`],
    ["SHA-256 for a P-384 key", "wide", `sha256:${hex(32)}`],
  ])("%s: unfit, in the log", async (_, key, digest) => {
    const job = await jobOf(home, { keys: [key] });
    expect(await job.sign([{ blob: { name: "app.tgz", digest } }], { key })).toMatchObject({
      refusal: "ALGORITHM_UNFIT",
    });
    await expectUnspent(home, job);
    await expectRecorded(home, job.repository, "ALGORITHM_UNFIT");
  });
  test.each(["ED25519", "RSA_3072_PSS"] as const)(
    "a key of %s, which signs messages, for digests: refused when it is made",
    async (algorithm) => {
      for (const purpose of ["BLOB", "RAW_DIGEST"] as const) {
        const input = { name: "messages", purpose, algorithm, custody: "software" };
        expect(await home.auditor.ask("CreateKey", { input })).toMatchObject({
          refusal: "ALGORITHM_UNFIT",
          entry: expect.any(Number) as number,
        });
      }
    },
  );
  test("a digest is signed as it is: never a hash of a hash, never as a message", async () => {
    const job = await jobOf(home, { keys: ["release"] });
    const answer = expectDone(await job.sign([blob("app.tgz", "the file's bytes")], { key: "release" }));
    const key = expectDone(await home.auditor.ask("Key", { name: "release" }))?.versions[0]?.publicKey ?? "";
    const signature = Buffer.from(answer.signatures[0]?.value ?? "", "base64");
    expect(verify("sha256", Buffer.from("the file's bytes"), key, signature)).toBe(true);
    expect(verify("sha256", sha256("the file's bytes"), key, signature)).toBe(false);
  });
  test("provenance about another repository than the job's own", async () => {
    const job = await jobOf(home);
    const predicate = {
      buildDefinition: {
        buildType: "https://example.com/build/v1",
        externalParameters: { workflow: { repository: "https://github.com/evil/app" } },
      },
    };
    const item = {
      statement: {
        subject: [{ name: "a", digest: `sha256:${sha256Hex("a")}` }],
        predicateType: "https://slsa.dev/provenance/v1",
        predicate,
      },
    };
    expect(await job.sign([item])).toMatchObject({ refusal: "ITEM_INVALID" });
    await expectUnspent(home, job);
    await expectRecorded(home, job.repository, "ITEM_INVALID");
  });
});

describe("attack 27", () => {
  test.each([
    ["a key outside the session", "release", "KEY_NOT_IN_SESSION", blob()],
    ["a key that does not exist", "no-such-key", "KEY_NOT_IN_SESSION", blob()],
    ["a version in the name", "attest/1", "KEY_NOT_IN_SESSION", statement()],
    ["a key's URI", "software:attest/1", "KEY_NOT_IN_SESSION", statement()],
    ["a blob with an attestation key", "attest", "PURPOSE_UNFIT", blob()],
    [
      "a bare digest with an attestation key",
      "attest",
      "PURPOSE_UNFIT",
      { digest: { digest: `sha256:${sha256Hex("x")}` } },
    ],
    [
      "an image with an attestation key",
      "attest",
      "PURPOSE_UNFIT",
      { image: { repository: "registry.example/a", digest: `sha256:${sha256Hex("x")}` } },
    ],
    [
      "a JWS whose payload names an algorithm",
      "attest",
      "PURPOSE_UNFIT",
      { jws: { type: "at+jwt", payload: { alg: "RS256" } } },
    ],
  ] as const)("%s", async (_, key, code, item) => {
    const job = await jobOf(home);
    expect(await job.sign([item], { key })).toMatchObject({ refusal: code });
    await expectUnspent(home, job);
    await expectRecorded(home, job.repository, code);
  });
  test("one wrong item among good ones refuses all", async () => {
    const job = await jobOf(home);
    expect(await job.sign([statement(), blob(), statement()])).toMatchObject({ refusal: "PURPOSE_UNFIT" });
    await expectUnspent(home, job);
    expect(await entriesOf(home, job.repository)).toHaveLength(2);
    await expectAlive(home);
  });
});
