// A job opens a session and signs, an operator is refused, our own accidents stay ours.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { refuse } from "../../src/model/errors.ts";
import { freePort } from "../support/port.ts";
import { ask, canaryFault, graphql, post, receipt, recorder, serving, session, tcp, version } from "./stub.ts";

const operation = (name: string): string =>
  readFileSync(new URL(`../../schema/operations/${name}.graphql`, import.meta.url), "utf8");
const digest = `sha256:${"5f".repeat(32)}`;
const finished = {
  value: Buffer.from("signature"),
  bundle: () => ({ mediaType: "bundle" }),
  envelope: undefined,
  jws: undefined,
};

test("a job opens a session with its token and reads the session as its holder", async () => {
  const opened = recorder({ session, token: "sgs_secret", receipt });
  const asked: unknown[] = [];
  await using server = await serving({
    authenticate: () => Promise.resolve({ kind: "anonymous", presented: { cnf: { jkt: "thumb" } } }),
    openSession: opened.fn,
    key: (call, name) => {
      asked.push(call.caller.kind, name);
      return Promise.resolve({ name, purpose: "ATTESTATION", versions: [version] });
    },
  });
  const answer = await graphql(server.url, operation("OpenSession"), {
    input: { identityToken: "e.y.j", keys: ["release"], ttl: "PT10M" },
  });
  expect(answer.errors).toBeUndefined();
  expect(answer.data).toMatchObject({
    openSigningSession: {
      __typename: "OpenSigningSessionSuccess",
      token: "sgs_secret",
      session: { id: session.id, state: "OPEN", usesLeft: 5, expiresAt: "2026-01-31T12:10:00.000Z" },
    },
  });
  expect(opened.calls[0]?.[1]).toEqual({
    identityToken: "e.y.j",
    keys: ["release"],
    ttl: 600_000,
    uses: undefined,
    reason: undefined,
  });
  expect(asked).toEqual(["session", "release"]);
});

test("a job signs, and gets signature, bundle and receipt in one answer", async () => {
  const signed = recorder({ version, signatures: [finished], receipt, usesLeft: 4 });
  await using server = await serving({ sign: signed.fn });
  const answer = await graphql(server.url, operation("Sign"), {
    input: { idempotencyKey: "1", key: "release", items: [{ blob: { name: "a.tgz", digest } }] },
  });
  expect(answer).toEqual({
    data: {
      sign: {
        __typename: "SignSuccess",
        usesLeft: 4,
        signatures: [
          {
            keyVersion: { key: "release", number: 3, fingerprint: version.fingerprint },
            algorithm: "ecdsa-sha2-256",
            value: Buffer.from("signature").toString("base64"),
            bundle: { mediaType: "bundle" },
            jws: null,
          },
        ],
        receipt: { entry: 7, tlogProof: "c2sp.org/tlog-proof@v1\n" },
      },
    },
  });
  expect(signed.calls[0]?.[1]).toEqual({
    idempotencyKey: "1",
    key: "release",
    items: [{ kind: "blob", name: "a.tgz", digest }],
  });
});

test("a refusal of a mutation is an answer with a number, a hint and the place in the log", async () => {
  const refusal = {
    ...refuse("SESSION_SPENT", "0 uses are left, 1 was asked for", "open another session"),
    entry: 12,
    retryAfter: 3,
  };
  await using server = await serving({ sign: () => Promise.resolve(refusal) });
  const answer = await graphql(server.url, operation("Sign"), {
    input: { idempotencyKey: "1", key: "release", items: [{ digest: { digest } }] },
  });
  expect(answer).toEqual({
    data: {
      sign: {
        __typename: "Refusal",
        code: "SESSION_SPENT",
        number: "SGN-2201",
        message: "0 uses are left, 1 was asked for",
        hint: "open another session",
        retryAfter: 3,
        docs: "signet explain SESSION_SPENT",
        entry: 12,
        pending: null,
      },
    },
  });
});

test("a refusal of a query is an error with the same fields", async () => {
  await using server = await serving({
    keys: () => Promise.resolve(refuse("ROLE_MISSING", "keys are for people with a role", "ask an operator")),
  });
  const answer = await graphql(server.url, "{ keys { name } }");
  expect(answer.data).toBeNull();
  expect(answer.errors).toMatchObject([
    {
      message: "keys are for people with a role",
      path: ["keys"],
      extensions: { code: "ROLE_MISSING", number: "SGN-1006", hint: "ask an operator" },
    },
  ]);
});

test("proof, bundle and envelope are made only where they are selected", async () => {
  const made: string[] = [];
  const making =
    <T>(what: string, value: T) =>
    () => {
      made.push(what);
      return value;
    };
  const lazy = {
    value: Buffer.from("x"),
    bundle: making("bundle", {}),
    envelope: making("envelope", {}),
    jws: undefined,
  };
  await using server = await serving({
    sign: () =>
      Promise.resolve({
        version,
        signatures: [lazy],
        receipt: { ...receipt, tlogProof: making("proof", "") },
        usesLeft: 1,
      }),
  });
  const input = { idempotencyKey: "1", key: "release", items: [{ digest: { digest } }] };
  await graphql(
    server.url,
    "mutation ($input: SignInput!) { sign(input: $input) { ... on SignSuccess { usesLeft signatures { value } receipt { entry } } } }",
    { input },
  );
  expect(made).toEqual([]);
  await graphql(
    server.url,
    "mutation ($input: SignInput!) { sign(input: $input) { ... on SignSuccess { signatures { bundle } } } }",
    { input },
  );
  expect(made).toEqual(["bundle"]);
});

test("the answer to a fault names a code and the request, and nothing else; our log has the truth under the same id", async () => {
  await using server = await serving({ sign: () => Promise.reject(canaryFault()) });
  const reply = await post(
    server.url,
    JSON.stringify({
      query: operation("Sign"),
      variables: { input: { idempotencyKey: "1", key: "release", items: [{ digest: { digest } }] } },
    }),
  );
  expect(reply.status).toBe(200);
  expect(reply.body).not.toContain("CANARY");
  const answer = JSON.parse(reply.body) as { errors: { message: string; extensions: Record<string, unknown> }[] };
  const request = reply.headers["x-request-id"];
  expect(answer.errors).toMatchObject([
    {
      message: "the place where the key lives does not answer",
      extensions: { code: "CUSTODY_DOWN", number: "SGN-4001", requestId: request, retryable: false },
    },
  ]);
  const told = server.lines.filter((line) => line.includes("hvs.CANARY"));
  expect(told).toHaveLength(1);
  expect(JSON.parse(told[0] ?? "")).toMatchObject({
    request,
    code: "CUSTODY_DOWN",
    err: { message: expect.stringContaining("hvs.CANARY") as unknown },
  });
});

test("whoever does not authenticate gets 401, the challenge of RFC 9449 and a nonce", async () => {
  await using server = await serving({
    authenticate: () => Promise.resolve(refuse("PROOF_NONCE", "the proof has no nonce")),
  });
  const reply = await post(server.url, JSON.stringify({ query: "{ vkey }" }));
  expect(reply.status).toBe(401);
  expect(reply.headers["www-authenticate"]).toMatch(/^DPoP error="use_dpop_nonce"/);
  expect(reply.headers["dpop-nonce"]).toBe("nonce-1");
  expect(JSON.parse(reply.body)).toMatchObject({
    errors: [{ extensions: { code: "PROOF_NONCE", number: "SGN-1005" } }],
  });
});

test("liveness and readiness", async () => {
  const state = { ready: true, reason: "" };
  await using server = await serving({ ready: () => state });
  expect(await ask(`${server.url}/livez`)).toMatchObject({ status: 200, body: "ok\n" });
  expect((await ask(`${server.url}/readyz`)).status).toBe(200);
  Object.assign(state, { ready: false, reason: "the disk is full" });
  const reply = await ask(`${server.url}/readyz`);
  expect([reply.status, JSON.parse(reply.body)]).toEqual([503, { ready: false, reason: "the disk is full" }]);
});

test("behind a proxy readiness is yes or no; why is in our own log, once for each reason", async () => {
  const state = { ready: false, reason: "cannot be written: /var/lib/signet is full" };
  const port = await freePort();
  await using server = await serving(
    { ready: () => state },
    { listeners: [{ ...tcp, port, publicUrl: "https://signet.test" }] },
  );
  const readyz = async () => ask(`http://127.0.0.1:${String(port)}/readyz`);
  for (let asked = 0; asked < 3; asked++)
    expect(await readyz()).toMatchObject({ status: 503, body: '{"ready":false,"reason":"not ready"}' });
  expect(server.lines.filter((line) => line.includes("/var/lib/signet is full"))).toHaveLength(1);
  Object.assign(state, { ready: true, reason: "ready" });
  expect(await readyz()).toMatchObject({ status: 200, body: '{"ready":true,"reason":"ready"}' });
});
