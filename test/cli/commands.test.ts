import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { table, visible } from "../../src/cli/table.ts";
import { errorTable } from "../../src/model/errors.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { canonicalJson } from "../../src/std/json.ts";
import { run as start } from "../support/command.ts";
import { vkey } from "./evidence.ts";
import { type Answers, fakeServer, refusal, stage } from "./stage.ts";

const root = join(import.meta.dirname, "../..");
const program = join(root, "deploy/bin/signet");

describe("the program itself", () => {
  test("starts with the Node beside it, answers on stdout, and fails with the documented exit code", async () => {
    const explained = await start(program, ["explain", "SGN-2101"]);
    expect(explained).toMatchObject({ status: 0, stderr: "" });
    expect(explained.stdout).toContain("POLICY_DENIED");
    expect(await start(program, ["explain", "SGN-0"])).toMatchObject({ status: 6, stdout: "" });
  }, 60_000);

  test("says what is missing where no Node is new enough", async () => {
    using scene = stage();
    mkdirSync(join(scene.folder, "deploy/bin"), { recursive: true });
    const launch = join(scene.folder, "deploy/bin/launch");
    await start("cp", [join(root, "deploy/bin/launch"), launch]);
    const finished = await start(launch, ["cli/main"], { env: { PATH: "/usr/bin:/bin", HOME: scene.folder } });
    if (finished.stderr.includes("Cannot find module")) return; // this machine's own Node is new enough
    expect(finished).toMatchObject({ status: 2, stdout: "" });
    expect(finished.stderr).toContain("needs Node 24");
  }, 60_000);
});

describe("signet explain", () => {
  test.each(["SGN-2101", "2101", "policy_denied"])("%s finds the row", async (name) => {
    using scene = stage();
    expect((await scene.signet(`-o json explain ${name}`)).out).toContain(
      errorTable.POLICY_DENIED.explain.slice(0, 20),
    );
  });
  test("without a code lists all of them", async () => {
    using scene = stage();
    const played = await scene.signet("-o jsonl explain");
    expect(played.out.trim().split("\n")).toHaveLength(Object.keys(errorTable).length);
  });
});

test.each([
  ["", "needs a command"],
  ["sgin a", "Did you mean sign?"],
  ["key list", "no server is named"],
  ["--server http://signet.example key list", "login needed"],
  ["--context nope key list", "there is no context"],
  ["--context ../x key list", "is not a context's name"],
  ["key list -o yaml", "is no output format"],
  ["key create Release --purpose blob", "is not a key's name"],
  ["key create release --purpose bolb", "one of blob, image"],
  ["key create release --purpose blob --algorithm rsa", "one of ec-p256"],
  ["key show", "missing required argument"],
  ["key activate a --number x", "not a whole number"],
  ["key enroll a --custody kms --purpose blob", "required option"],
  ["key enroll a --custody kms --purpose bolb --uri x", "one of blob, image"],
  ["key destroy A", "is not a key's name"],
  ["key compromised", "missing required argument"],
  ["key reconcile --from 2026-01-01", "required option"],
  ["operator add ana --issuer key --subject t --role boss", "operator, approver or auditor"],
  ["--server https://a.example operator enrol-first ana", "local socket"],
  ["operator enrol-first ana --issuer https://a.example", "go together"],
  ["approval approve", "missing required argument"],
  ["--server https://a.example login --key --device", "choose one"],
  ["--server https://a.example login", "where do people log in?"],
  ["--server https://a.example login --token-stdin", "no token on stdin"],
  ["policy test none", "there is no such file"],
  ["policy explain", "explain what?"],
  ["policy explain --identity x", "needs the key"],
  ["context use nope", "there is no context"],
  ["doctor --fail-on maybe", "warn or fail"],
  ["audit rebuild", "required option"],
  ["dev --port many", "is not a number"],
])("signet %s: %s", async (line, words) => {
  using scene = stage();
  const played = await scene.signet(line === "" ? [] : line);
  expect(played.err).toMatch(/^error/);
  expect(played.err).toContain(words);
  expect([2, 4, 6]).toContain(played.exit);
  expect(played.out).toBe("");
});

const operator = { id: "op_1", name: "ana", issuer: "key", subject: "t", roles: ["OPERATOR"] };
const release = {
  id: "key_release",
  name: "release",
  purpose: "BLOB",
  versions: [
    {
      id: "1",
      key: "release",
      number: 1,
      state: "PRE_ACTIVATION",
      algorithm: "EC_P256",
      custody: "software",
      uri: "software:release/1",
      fingerprint: "ab".repeat(32),
      publicKey: "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
      createdAt: "2026-11-21T13:00:00.000Z",
    },
  ],
};
const office: Answers = {
  openOperatorSession: () => ({
    __typename: "OpenOperatorSessionSuccess",
    operator,
    token: "sgo_1",
    expiresAt: "2026-11-21T20:00:00.000Z",
  }),
  keys: () => [release],
  key: () => release,
  activateKey: () => refusal("APPROVAL_PENDING", "SGN-2401", "activating a key takes two people", { pending: "pa_7" }),
  health: () => ({
    status: "warn",
    checks: [{ name: "witness w2", status: "warn", message: "last cosignature 3 h ago" }],
  }),
  vkey: () => vkey,
  checkpoint: () => null,
};

describe("an operator", () => {
  test("logs in with this machine's key, sees keys as a table or as JSON, and takes the public key alone", async () => {
    await using server = await fakeServer(office);
    using scene = stage({ SIGNET_SERVER: server.url });
    expect((await scene.signet("login --key")).err).toMatch(
      /^logged in {2}ana · operator · http.* · 5 h left\n$|^logged in {2}ana/,
    );
    expect(
      (await scene.signet("key list")).out,
    ).toBe(`  KEY      VERSION  STATE           PURPOSE  ALGORITHM  CUSTODY   FINGERPRINT
  release  v1       pre-activation  blob     ec-p256    software  SHA256:abababababababab…
`);
    expect(JSON.parse((await scene.signet("key list -o json")).out)).toMatchObject({
      schemaVersion: 1,
      keys: [{ key: "release", state: "PRE_ACTIVATION" }],
    });
    expect((await scene.signet("key show release --pem")).out).toBe(
      "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
    );
    expect(server.asked.at(-1)?.headers.authorization).toBe("DPoP sgo_1");
    delete scene.env["SIGNET_SERVER"];
    expect((await scene.signet("context list")).out).toContain("*  127.0.0.1-");
  });

  test("who needs a second person is told whom to ask: exit 8", async () => {
    await using server = await fakeServer(office);
    using scene = stage({ SIGNET_SERVER: server.url });
    await scene.signet("login --key");
    const played = await scene.signet("key activate release");
    expect(played.exit).toBe(8);
    expect(played.err).toContain("  next    another operator or approver runs: signet approval approve pa_7\n");
  });

  test("a key that comes in: what is claimed of it stands apart from what is proved", async () => {
    const protection = { level: "SERVICE", exportable: "UNKNOWN", proved: ["in KMS"], claimed: ["not exportable"] };
    const [version] = release.versions;
    const enrolled = { ...release, versions: [{ ...version, custody: "kms", uri: "awskms:///arn", protection }] };
    const receipt = { entry: 7, leaf: "", tlogProof: "" };
    await using server = await fakeServer({
      ...office,
      enrollKey: () => ({ __typename: "KeySuccess", key: enrolled, receipt }),
      key: () => enrolled,
    });
    using scene = stage({ SIGNET_SERVER: server.url });
    await scene.signet("login --key");
    const played = await scene.signet("key enroll release --custody kms --uri awskms:///alias/r --purpose blob");
    expect(played.exit).toBe(0);
    expect(played.err).toContain("protection service · whether it can leave is not known\n");
    expect(played.err).toContain("proved     in KMS\n");
    expect(played.err).toContain("claimed    not exportable (nothing proves it)\n");
    expect((await scene.signet("key show release")).out).toContain("claimed    not exportable (nothing proves it)\n");
  });

  test.each(["key enroll release --custody token --purpose blob --uri", "key rotate release --custody token --to"])(
    "%s: a PIN that stands in the URI is refused by the daemon, and not repeated here",
    async (command) => {
      const wrong = () => refusal("INPUT_INVALID", "SGN-3002", "a key's URI never holds a PIN");
      await using server = await fakeServer({ ...office, enrollKey: wrong, rotateKey: wrong });
      using scene = stage({ SIGNET_SERVER: server.url });
      await scene.signet("login --key");
      for (const uri of ["pkcs11:object=r?pin-value=4711815", "PKCS11:object=r;pin-value=4711815"]) {
        const played = await scene.signet(`${command} ${uri}`);
        expect(played.exit).toBe(2);
        expect(played.err).toContain("object=r…");
        expect(played.err + played.out).not.toContain("4711815");
      }
    },
  );

  test("an approver asks for the one action, however many there are, and approves its hash", async () => {
    const action = { kind: "key.state", key: "release", number: 1, to: "ACTIVE", reason: "release day", asOf: 1 };
    const waiting = {
      id: "pa_7",
      name: "pa_7",
      action,
      hash: sha256Hex(canonicalJson(action)),
      requester: "bo",
      requestedAt: "2026-11-21T13:00:00.000Z",
      expiresAt: "2026-11-22T13:00:00.000Z",
      state: "PENDING",
    };
    const receipt = { entry: 7, leaf: "", tlogProof: "" };
    await using server = await fakeServer({
      ...office,
      pendingAction: ({ id }: { id: string }) => (id === "pa_7" ? waiting : null),
      approve: () => ({ __typename: "DecideSuccess", pending: { ...waiting, state: "APPROVED" }, receipt }),
    });
    using scene = stage({ SIGNET_SERVER: server.url });
    await scene.signet("login --key");
    const played = await scene.signet("approval approve pa_7");
    expect(played.err).toContain("key release v1 → active (release day) · asked by bo");
    expect(played.exit).toBe(0);
    expect(server.asked.slice(-2)).toMatchObject([
      { operation: "PendingAction", variables: { id: "pa_7" } },
      { operation: "Approve", variables: { input: { pending: "pa_7", hash: waiting.hash } } },
    ]);
    const other = await scene.signet("approval deny pa_8");
    expect(other.exit).toBe(6);
    expect(other.err).toContain("signet approval list shows what waits");
  });

  test("a version that ended says how; a rotation says its idempotency key before it is asked for", async () => {
    const [version] = release.versions;
    const ended = { why: "ROTATED", at: "2026-11-21T13:30:00.000Z" };
    const rotated = {
      ...release,
      versions: [{ ...version, state: "DEACTIVATED", ended, trustedUntil: "2027-11-21T13:30:00.000Z" }],
    };
    await using server = await fakeServer({
      ...office,
      key: () => rotated,
      rotateKey: () => refusal("KEY_STATE", "SGN-2302", "no version was ever active"),
    });
    using scene = stage({ SIGNET_SERVER: server.url });
    await scene.signet("login --key");
    expect((await scene.signet("key show release")).out).toMatch(
      /ended +rotated today 13:30:00Z · published until 2027-11-21 13:30:00Z\n/,
    );
    const played = await scene.signet("key rotate release");
    const asked = server.asked.at(-1)?.variables["input"] as { readonly idempotencyKey: string };
    expect(played.err).toMatch(new RegExp(`^request +--idempotency-key ${asked.idempotencyKey}\n`));
    expect((await scene.signet("key rotate release --idempotency-key mine")).err).not.toMatch(/^request/);
  });

  test("compromised: how much was ever released of it, and the command that lists it", async () => {
    const stopped = { ...release, released: 1234, versions: [{ ...release.versions[0], state: "COMPROMISED" }] };
    const receipt = { entry: 7, leaf: "", tlogProof: "" };
    await using server = await fakeServer({
      ...office,
      reportKeyCompromised: () => ({ __typename: "KeySuccess", key: stopped, receipt }),
    });
    using scene = stage({ SIGNET_SERVER: server.url });
    await scene.signet("login --key");
    const played = await scene.signet("key compromised release");
    expect(played.err).toMatch(/signed {5}signatures of 1.234 requests were ever released\n/);
    expect(played.err).toContain("signet audit list --key release --type sign.outcome --all\n");
  });

  test("reconcile is a table; a surplus is exit code 11, what was not compared 15, each with a warning", async () => {
    const day = { key: "release", number: 1, custody: "kms", day: "2026-11-20", withheld: 0 };
    const days = [{ ...day, done: 12, unknown: 1, backend: 13, difference: 1, verdict: "AGREES", meaning: "1 of 1" }];
    const silent = { ...day, backend: null, difference: null, verdict: "NOT_TOLD", meaning: "keeps no account" };
    const untold = [
      { ...silent, done: 2, unknown: 0 },
      { ...silent, day: null, done: 0, unknown: 0 },
    ];
    const fewer = { ...day, done: 3, unknown: 0, backend: 2, difference: -1, verdict: "MISSING", meaning: "1 fewer" };
    const more = { ...day, done: 0, unknown: 0, backend: 3, difference: 3, verdict: "SURPLUS", meaning: "3 past us" };
    let answer: readonly object[] = days;
    await using server = await fakeServer({
      ...office,
      reconcile: () => ({ from: "2026-11-20", to: "2026-11-21", days: answer }),
    });
    using scene = stage({ SIGNET_SERVER: server.url });
    await scene.signet("login --key");
    const line = "key reconcile release --from 2026-11-20 --to 2026-11-21";
    const calm = await scene.signet(line);
    expect(calm.exit).toBe(0);
    expect(calm.out).toContain("12 + 1 unknown");
    answer = [...days, ...untold];
    const deaf = await scene.signet(line);
    expect(deaf.exit).toBe(15);
    expect(deaf.out).toContain("all days");
    expect(deaf.err).toBe("warning  release v1 was not compared: keeps no account\n");
    answer = [...days, fewer];
    const late = await scene.signet(line);
    expect(late.exit).toBe(15);
    expect(late.err).toContain("warning  release v1 on 2026-11-20: 1 fewer");
    answer = [...days, ...untold, fewer, more];
    const loud = await scene.signet(line);
    expect(loud.exit).toBe(11);
    expect(loud.err).toContain("warning  release v1 on 2026-11-20: 3 past us");
  });

  test("doctor ends with 20 on a warning, 0 where only failures count, 21 where the server is away", async () => {
    using scene = stage();
    {
      await using server = await fakeServer(office);
      scene.env["SIGNET_SERVER"] = server.url;
      await scene.signet("login --key");
      const played = await scene.signet("doctor");
      expect(played.out).toContain("warn  witness w2      last cosignature 3 h ago\n");
      expect(played.exit).toBe(20);
      expect((await scene.signet("doctor --fail-on fail")).exit).toBe(0);
    }
    const away = await scene.signet("doctor --timeout 1");
    expect(away.out).toMatch(/^FAIL {2}server/);
    expect(away.exit).toBe(21);
  });
});

test("policy test names every problem with its place, and passes what is right", async () => {
  using scene = stage();
  const grant =
    'grants:\n  - name: tags\n    who: { issuer: "https://ci.example", projectId: "1" }\n    keys: [release]\n    what: { blob: { names: ["*"] } }\n    limits: { uses: 5, ttl: PT10M }\n';
  writeFileSync(join(scene.folder, "a.yaml"), grant);
  expect(await scene.signet("policy test .")).toMatchObject({ exit: 0, err: "" });
  writeFileSync(join(scene.folder, "b.yaml"), "grants: []\nsurprise: 1\n");
  const played = await scene.signet("policy test .");
  expect(played.exit).toBe(2);
  expect(played.out).toContain("b.yaml:2:");
});

test("no cell of a table lets a control character through, whatever a name holds", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "binary" }), { minLength: 1 }),
      fc.option(fc.integer({ min: 20, max: 120 }), { nil: undefined }),
      (names, width) => {
        const lines = table(
          names,
          [
            { title: "A", cell: (one) => one },
            { title: "B", cell: (one) => one },
          ],
          width,
        );
        expect(lines).toHaveLength(names.length + 1);
        for (const line of lines) expect(visible(line)).toBe(line);
      },
    ),
  );
});
