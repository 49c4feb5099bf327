import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { base64 } from "../../src/std/base64.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { canonicalJson } from "../../src/std/json.ts";
import { leavesOf, outcome, receiptOf, signedBlob, signedStatement, testKey, vkey } from "./evidence.ts";
import { type Answers, fakeServer, githubToken, refusal, stage } from "./stage.ts";

const key = testKey();
const session = (uses: number) => ({
  id: "ss_1",
  name: "ss_1",
  principal: { kind: "workload", label: "acme/app", roles: [], details: {} },
  keys: [
    { id: "1", name: "release", purpose: "BLOB", current: [{ number: 3, algorithm: "EC_P256" }] },
    { id: "2", name: "attest", purpose: "ATTESTATION", current: [{ number: 1, algorithm: "EC_P256" }] },
  ],
  openedAt: "2026-11-21T14:00:00.000Z",
  expiresAt: "2026-11-21T14:09:30.000Z",
  usesGranted: uses,
  usesLeft: uses,
  state: "OPEN",
  grant: "g",
});
const receipt = { entry: 1, leaf: base64(utf8("{}")), tlogProof: "" };
const opens = { __typename: "OpenSigningSessionSuccess", token: "sgs_1", session: session(2), receipt };
const closes = { __typename: "SessionSuccess", session: session(1), receipt };
const version = { key: "release", number: 3, fingerprint: key.fingerprint };

interface SignArgs {
  readonly input: {
    readonly items: readonly {
      readonly blob?: { readonly name: string };
      readonly statement?: { readonly subject: readonly { readonly name: string }[] };
    }[];
  };
}

/** A server that signs whatever file says "hello". */
function signing(over: Answers = {}): Answers {
  return {
    openSigningSession: () => opens,
    closeSigningSession: () => closes,
    sign: ({ input }: SignArgs) => {
      const made = input.items.map((item) =>
        item.blob
          ? signedBlob("hello", key, item.blob.name)
          : signedStatement("hello", key, item.statement?.subject[0]?.name),
      );
      const leaves = leavesOf([
        { type: "daemon.start" },
        outcome({
          key: { name: "release", version: 3, publicKey: key.fingerprint },
          items: itemsOf(made.map((one) => one.item)),
        }),
      ]);
      return {
        __typename: "SignSuccess",
        usesLeft: 0,
        signatures: made.map((one) => ({
          keyVersion: version,
          algorithm: "ecdsa-sha2-256",
          value: base64(one.signature),
          bundle: one.bundle,
        })),
        receipt: { entry: 1, leaf: base64(leaves[1] ?? utf8("")), tlogProof: receiptOf(leaves, 1) },
      };
    },
    ...over,
  };
}

/** As the broker does it: more than ten go to a side blob. */
const itemsOf = (items: readonly ReturnType<typeof signedBlob>["item"][]) =>
  items.length <= 10 ? items : { blob: `sha256:${sha256Hex(canonicalJson(items))}`, count: items.length };

const job = { SIGNET_ID_TOKEN: githubToken() };

describe("signet sign", () => {
  test("says who signs, under which session, what was written and where it stands in the log; stdout stays empty", async () => {
    await using server = await fakeServer(signing());
    using scene = stage({ ...job, SIGNET_SERVER: server.url });
    mkdirSync(join(scene.folder, "dist"));
    writeFileSync(join(scene.folder, "dist/app.tgz"), "hello");
    const played = await scene.signet("sign --detached --key release --attest-key attest dist/app.tgz");
    expect(
      played.err.replace(/checkpoint .*/g, "checkpoint …"),
    ).toBe(`identity   SIGNET_ID_TOKEN · acme/app (id 123456) · refs/tags/v1.4.0 · run 987, attempt 1
session    ss_1 · keys release v3, attest v1 · 2 of 2 uses left · 9 min left
signed     dist/app.tgz   sha256:2cf2…9824
           dist/app.tgz.sig   dist/app.tgz.sigstore.json   dist/app.tgz.tlog-proof
log        entry 1 · checkpoint …
signed     dist/app.tgz   sha256:2cf2…9824
           dist/app.tgz.intoto.sigstore.json   dist/app.tgz.intoto.tlog-proof
log        entry 1 · checkpoint …
`);
    expect(played).toMatchObject({ exit: 0, out: "" });
    expect(readdirSync(join(scene.folder, "dist")).sort()).toEqual([
      "app.tgz",
      "app.tgz.intoto.sigstore.json",
      "app.tgz.intoto.tlog-proof",
      "app.tgz.sig",
      "app.tgz.sigstore.json",
      "app.tgz.tlog-proof",
    ]);
    expect(server.asked.map(({ operation }) => operation)).toEqual(["OpenSession", "Sign", "Sign", "CloseSession"]);
    expect(server.asked[0]?.variables).toMatchObject({ input: { keys: ["release", "attest"], uses: 2 } });

    writeFileSync(join(scene.folder, "release.pem"), key.pem);
    const verified = await scene.signet(`verify dist/app.tgz --key release.pem --vkey ${vkey}`);
    expect(verified).toMatchObject({ exit: 0, err: "" });
    expect(verified.out).toContain("as a statement, https://slsa.dev/provenance/v1");
  });

  test("a refusal says what was asked, what was found, what to do next, and where it is in the log; the session is closed", async () => {
    const no = refusal("ITEM_DENIED", "SGN-2102", 'grant "release-tags" lends names dist-*', {
      hint: "rename it",
      entry: 48214,
    });
    await using server = await fakeServer(signing({ sign: () => no }));
    using scene = stage({ ...job, SIGNET_SERVER: server.url });
    writeFileSync(join(scene.folder, "a"), "hello");
    const played = await scene.signet("sign --key attest a");
    expect(
      played.err.split("\n").slice(2).join("\n"),
    ).toBe(`error[SGN-2102] not signed: the session's grant does not cover this item
  asked   a, as a statement, with key attest
  found   grant "release-tags" lends names dist-*
  next    rename it
  log     this refusal is entry 48 214 · docs: signet explain SGN-2102
`);
    expect(played.exit).toBe(5);
    expect(server.asked.at(-1)?.operation).toBe("CloseSession");
    expect(readdirSync(scene.folder)).toEqual(["a"]);

    const json = await scene.signet("-q -o json sign --key attest a");
    expect(JSON.parse(json.err)).toMatchObject({
      code: "ITEM_DENIED",
      number: "SGN-2102",
      entry: 48214,
      exit: 5,
      hint: "rename it",
    });
  });

  test("250 files are three requests; the list that the log names by hash lies beside each receipt and verifies", async () => {
    await using server = await fakeServer(signing());
    using scene = stage({ ...job, SIGNET_SERVER: server.url });
    const names = Array.from({ length: 250 }, (_, i) => `f${String(i)}`);
    for (const name of names) writeFileSync(join(scene.folder, name), "hello");
    expect(await scene.signet(["-q", "sign", "--key", "attest", ...names])).toEqual({ exit: 0, out: "", err: "" });
    expect(server.asked.map(({ operation }) => operation)).toEqual([
      "OpenSession",
      "Sign",
      "Sign",
      "Sign",
      "CloseSession",
    ]);
    writeFileSync(join(scene.folder, "attest.pem"), key.pem);
    expect(await scene.signet(`-o json verify f7 --key attest.pem --vkey ${vkey}`)).toMatchObject({ exit: 0 });
    writeFileSync(join(scene.folder, "f7.intoto.tlog-items.json"), "[]");
    expect(await scene.signet(`verify f7 --key attest.pem --vkey ${vkey}`)).toMatchObject({ exit: 13 });
  });

  test("interrupted: closes its session and ends with 130", async () => {
    const stop = new AbortController();
    await using server = await fakeServer(
      signing({
        sign: () => {
          stop.abort();
          return new Promise(() => undefined);
        },
      }),
    );
    using scene = stage({ ...job, SIGNET_SERVER: server.url });
    writeFileSync(join(scene.folder, "a"), "hello");
    expect(await scene.signet("-q sign --key attest a", { signal: stop.signal })).toMatchObject({ exit: 130, out: "" });
    expect(server.asked.at(-1)?.operation).toBe("CloseSession");
  });

  test.each([
    ["sign none --key k", 6, "none: there is no such file"],
    ["sign a", 2, "which key?"],
    ["sign a --key k --attest-key l", 2, "two keys for one statement"],
    ["sign a --detached --key k --type https://x.example", 2, "there is no statement"],
    ["sign a --key k --predicate a", 2, "is not JSON"],
    ["sign a --key k --type https://x.example", 2, "needs its content"],
    ["sign a b --key k --name n", 2, "--name is for one file"],
    ["sign a a --key k", 2, "two files would leave"],
    ["sign --kee k a", 2, "unknown option"],
    ["sign", 2, "missing required argument"],
    ["sign --key release a", 2, "signs digests of files"],
  ])("%s ends with %i: %s", async (line, exit, words) => {
    await using server = await fakeServer(signing());
    using scene = stage({ ...job, SIGNET_SERVER: server.url });
    for (const name of ["a", "b"]) writeFileSync(join(scene.folder, name), "hello");
    const played = await scene.signet(line);
    expect(played.err).toContain(words);
    expect(played).toMatchObject({ exit, out: "" });
  });

  test("outside of CI it says where it looked for an identity", async () => {
    using scene = stage({ SIGNET_SERVER: "http://127.0.0.1:9" });
    writeFileSync(join(scene.folder, "a"), "hello");
    const played = await scene.signet("sign --key k a");
    expect(played.err).toMatch(/no identity token.*\n {2}found {3}.*SIGNET_TOKEN_FILE.*\n {2}next .*id-token: write/);
    expect(played.exit).toBe(4);
  });
});

describe("signet session", () => {
  test("open prints the line that later commands need; they use it, and close deletes it", async () => {
    await using server = await fakeServer(signing());
    using scene = stage({ ...job, SIGNET_SERVER: server.url });
    writeFileSync(join(scene.folder, "a"), "hello");
    const opened = await scene.signet("session open --key release --key attest --uses 2 --ttl PT10M");
    expect(opened.out).toMatch(/^SIGNET_SESSION=\/.*\n$/);
    const path = opened.out.trim().slice("SIGNET_SESSION=".length);
    scene.env["SIGNET_SESSION"] = path;
    expect(readFileSync(path, "utf8")).toContain("sgs_1");
    expect(await scene.signet("-q sign a")).toMatchObject({ exit: 0 });
    expect(server.asked.at(-1)).toMatchObject({
      operation: "Sign",
      headers: { authorization: "DPoP sgs_1" },
      variables: { input: { key: "attest" } },
    });
    expect(await scene.signet("session close")).toMatchObject({
      exit: 0,
      err: "closed     ss_1 · 1 of 1 use not used\n",
    });
    expect(existsSync(path)).toBe(false);
    expect(await scene.signet("session close")).toMatchObject({ exit: 6 });
  });

  test.each([
    ["session open", 2, "required option"],
    ["session open --key k --uses 0", 2, "not a whole number"],
    ["session open --key k --ttl 10m", 2, "PT10M"],
    ["session close", 2, "which session?"],
    ["session close --session none", 6, "is not there"],
    ["session list", 4, "login needed"],
    ["session revoke ss_1", 2, "--reason"],
  ])("%s ends with %i: %s", async (line, exit, words) => {
    using scene = stage({ SIGNET_SERVER: "http://127.0.0.1:9" });
    const played = await scene.signet(line);
    expect(played.err).toContain(words);
    expect(played).toMatchObject({ exit, out: "" });
  });
});
