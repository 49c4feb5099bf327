import { verify } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { parse, validate } from "graphql";
import { describe, expect, test } from "vitest";

import { ambientIdentity } from "../../src/client/ambient.ts";
import { connect, isRefused, RemoteFault } from "../../src/client/connect.ts";
import { personKey } from "../../src/client/contexts.ts";
import { newProofKey, proofFor } from "../../src/client/proof.ts";
import { wireTo } from "../../src/client/wire.ts";
import { base64url, fromBase64url } from "../../src/std/base64.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { sha256 } from "../../src/std/digest.ts";
import { type Answers, fakeServer, githubToken, refusal, schema, schemaFolder, stage } from "./stage.ts";

const folder = join(schemaFolder, "operations");

test.each(readdirSync(folder))("%s fits the schema and holds the one operation that it is named after", (name) => {
  const document = parse(readFileSync(join(folder, name), "utf8"));
  expect(validate(schema, document).map(String)).toEqual([]);
  expect(document.definitions.map((one) => ("operation" in one ? one.name?.value : one.kind))).toEqual([
    name.replace(".graphql", ""),
  ]);
});

const claimsOf = (proof: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(fromBase64url(proof.split(".")[1] ?? "")).toString()) as Record<string, unknown>; // our own proof

test("a proof is made for exactly this method, address, body, token and nonce", () => {
  const key = newProofKey();
  const proof = proofFor(
    key,
    { method: "POST", url: "https://s.example/graphql", body: utf8("{}"), token: "sgs_x", nonce: "n1" },
    () => 1_700_000_000_999,
    () => new Uint8Array(16),
  );
  const [header, payload, signature] = proof.split(".");
  expect(claimsOf(proof)).toEqual({
    htm: "POST",
    htu: "https://s.example/graphql",
    iat: 1_700_000_000,
    jti: "AAAAAAAAAAAAAAAAAAAAAA",
    bsh: base64url(sha256("{}")),
    ath: base64url(sha256("sgs_x")),
    nonce: "n1",
  });
  expect(JSON.parse(Buffer.from(header ?? "", "base64url").toString())).toEqual({
    typ: "dpop+jwt",
    alg: "ES256",
    jwk: key.jwk,
  });
  const input = utf8(`${header ?? ""}.${payload ?? ""}`);
  expect(
    verify("sha256", input, { key: key.jwk, format: "jwk", dsaEncoding: "ieee-p1363" }, fromBase64url(signature ?? "")),
  ).toBe(true);
});

const sign = { input: { idempotencyKey: "i1", key: "release", items: [] } };
const to = (address: string) => connect({ address, key: newProofKey() });

describe("the client", () => {
  test("proves again with the server's nonce, once", async () => {
    await using server = await fakeServer({ vkey: () => "k" });
    const challenge = {
      status: 401,
      headers: { "www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "n1" },
      body: JSON.stringify({ errors: [{ message: "nonce", extensions: { code: "PROOF_NONCE" } }] }),
    };
    server.first.push(challenge);
    const client = to(server.url);
    expect(await client.ask("Vkey", {})).toBe("k");
    expect(server.asked.map(({ headers }) => claimsOf(String(headers["dpop"]))["nonce"])).toEqual([undefined, "n1"]);
    server.first.push(challenge); // for a nonce that it has already: asking again would change nothing
    expect(await client.ask("Vkey", {})).toMatchObject({ refusal: "PROOF_NONCE" });
    client.close();
  });

  test("sends a signature request again with the same idempotency key when nothing is known of the first", async () => {
    const answers: Answers = { sign: () => refusal("SESSION_SPENT", "SGN-2201", "nothing left") };
    await using server = await fakeServer(answers);
    server.first.push({
      status: 503,
      body: JSON.stringify({ errors: [{ message: "busy", extensions: { code: "OVERLOADED", requestId: "rq_1" } }] }),
    });
    const client = to(server.url);
    expect(await client.ask("Sign", sign)).toMatchObject({ refusal: "SESSION_SPENT" });
    expect(server.asked.map(({ variables }) => variables)).toEqual([sign, sign]);
    client.close();
  });

  test("does not repeat a fault that is not safe to repeat, nor any mutation without idempotency", async () => {
    await using server = await fakeServer({});
    const timeout = {
      status: 200,
      body: JSON.stringify({
        errors: [{ message: "late", extensions: { code: "CUSTODY_TIMEOUT", requestId: "rq_2" } }],
      }),
    };
    const busy = {
      status: 503,
      body: JSON.stringify({ errors: [{ message: "busy", extensions: { code: "OVERLOADED" } }] }),
    };
    server.first.push(timeout, busy);
    const client = to(server.url);
    await expect(client.ask("Sign", sign)).rejects.toMatchObject({ code: "CUSTODY_TIMEOUT", requestId: "rq_2" });
    await expect(
      client.ask("CreateKey", { input: { name: "a", purpose: "BLOB", algorithm: "EC_P256", custody: "software" } }),
    ).rejects.toThrow(RemoteFault);
    expect(server.asked).toHaveLength(2);
    client.close();
  });

  test("says so where something else than Signet answers, and reads a refusal of a query from its errors", async () => {
    await using server = await fakeServer({});
    server.first.push(
      { status: 200, body: "<html>" },
      {
        status: 401,
        body: JSON.stringify({
          errors: [{ message: "who?", extensions: { code: "UNAUTHENTICATED", number: "SGN-1001" } }],
        }),
      },
    );
    const client = to(server.url);
    await expect(client.ask("Vkey", {})).rejects.toMatchObject({ code: "UNREADABLE" });
    const answer = await client.ask("Keys", {});
    expect(isRefused(answer) && answer.number).toBe("SGN-1001");
    client.close();
  });

  test.each([
    "http://signet.example",
    "ftp://127.0.0.1",
    "https://a.example/graphql",
    "unix:relative",
    "signet.example",
  ])("refuses the address %s", (address) => {
    expect(() => wireTo(address)).toThrow(/./);
  });
});

describe("the identity of a job", () => {
  const signal = new AbortController().signal;
  test("comes from the first place that has one: flag, file, variable, GitHub", async () => {
    using scene = stage();
    const [a, b] = [join(scene.folder, "a"), join(scene.folder, "b")];
    writeFileSync(a, "from-flag\n");
    writeFileSync(b, "from-file");
    const asked: string[] = [];
    const fetch = ((url: URL) => {
      asked.push(url.href);
      return Promise.resolve(new Response(JSON.stringify({ value: githubToken() })));
    }) as typeof globalThis.fetch; // the one call that is made
    const github = { ACTIONS_ID_TOKEN_REQUEST_URL: "https://ci.example/t?v=2", ACTIONS_ID_TOKEN_REQUEST_TOKEN: "r" };
    const all = { SIGNET_TOKEN_FILE: b, SIGNET_ID_TOKEN: "from-variable", ...github };
    const from = (env: Record<string, string>, file?: string) =>
      ambientIdentity({ env, audience: "signet", signal, fetch }, file);
    expect(await from(all, a)).toMatchObject({ token: "from-flag" });
    expect(await from(all)).toMatchObject({ token: "from-file" });
    expect(await from({ ...github, SIGNET_ID_TOKEN: "from-variable" })).toMatchObject({ token: "from-variable" });
    expect(await from(github)).toMatchObject({
      source: "GitHub Actions",
      says: "acme/app (id 123456) · refs/tags/v1.4.0 · run 987, attempt 1",
    });
    expect(asked).toEqual(["https://ci.example/t?v=2&audience=signet"]);
    expect(await from({})).toBeUndefined();
  });

  test("is missing with words: no file, an empty file, a GitHub job without permission", async () => {
    using scene = stage();
    writeFileSync(join(scene.folder, "empty"), "\n");
    const from = (env: Record<string, string>) => ambientIdentity({ env, audience: "signet", signal });
    await expect(from({ SIGNET_TOKEN_FILE: join(scene.folder, "none") })).rejects.toThrow(/no such file/);
    await expect(from({ SIGNET_TOKEN_FILE: join(scene.folder, "empty") })).rejects.toThrow(/empty/);
    await expect(from({ GITHUB_ACTIONS: "true" })).rejects.toThrow(/id-token: write/);
  });
});

test("a person's key is made once, is private, and is refused once others can read it", async () => {
  using scene = stage();
  const { thumbprint } = await personKey(scene.folder);
  expect((await personKey(scene.folder)).thumbprint).toBe(thumbprint);
  expect(statSync(join(scene.folder, "key.pem")).mode & 0o777).toBe(0o600);
  chmodSync(join(scene.folder, "key.pem"), 0o644);
  await expect(personKey(scene.folder)).rejects.toThrow(/may be read by others/);
});
