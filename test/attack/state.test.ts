// Attacks on what the daemon stands on: its clock, its disk, its log, the people who approve. One house, whose daemon is
// stopped, harmed and started again; the last test leaves it beyond repair.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, connect, isRefused, RemoteFault } from "../../src/client/connect.ts";
import { newProofKey } from "../../src/client/proof.ts";
import { verifyReceipt } from "../../src/tlog/proof.ts";
import { formatVkey, parseVkey, vkeyOf } from "../../src/tlog/vkey.ts";
import { makeProof } from "../support/dpop.ts";
import { allEntries, expectDone, leafOf, statement } from "../support/house.ts";
import {
  codeOf,
  counted,
  expectAlive,
  jobOf,
  json,
  keyOf,
  nonceOf,
  proved,
  type Scene,
  scene,
  send,
  sessionOf,
  signBody,
  tokenOf,
} from "./scene.ts";

let home: Scene;
/** Milliseconds that the daemon's wall clock is wrong by, read each time it looks. */
let skewFile: string;
const skew = (milliseconds: number): void => {
  writeFileSync(skewFile, String(milliseconds));
};

beforeAll(async () => {
  home = await scene();
  skewFile = join(home.directory, "skew");
  skew(0);
  // What a wrong system clock would say: Date alone is bent, timers run on.
  writeFileSync(
    join(home.directory, "skew.mjs"),
    `import { readFileSync } from "node:fs";
const right = Date.now;
let [read, by] = [0, 0];
Date.now = () => {
  const now = right();
  if (now - read > 50) [read, by] = [now, Number(readFileSync(${JSON.stringify(skewFile)}, "utf8"))];
  return now + by;
};
`,
  );
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const restart = async (env: Readonly<Record<string, string>> = {}): Promise<void> => {
  await home.stop();
  await home.start({ env });
};

describe("attack 28", () => {
  const people: Record<"first" | "second" | "third", Client> = {} as never; // filled before each is used

  async function person(
    name: string,
    operator: Client,
    roles: readonly ("OPERATOR" | "APPROVER")[],
  ): Promise<() => Promise<Client>> {
    const key = newProofKey();
    expectDone(await operator.ask("AddOperator", { input: { name, issuer: "key", subject: key.thumbprint, roles } }));
    return async () => {
      const client = connect({ address: home.url, key });
      return client.withToken(expectDone(await client.ask("OpenOperatorSession", { input: {} })).token);
    };
  }

  const pendingOf = async (name: string): Promise<{ readonly pending: string; readonly hash: string }> => {
    const refused = await people.first.ask("CreateKey", {
      input: { name, purpose: "BLOB", algorithm: "EC_P256", custody: "software" },
    });
    expectDone(refused);
    const asked = await people.first.ask("ActivateKey", { input: { key: name, reason: "ready" } });
    if (!isRefused(asked) || asked.pending === undefined) throw new Error("nothing waits for approval");
    const waiting = expectDone(await people.first.ask("PendingActions", { state: "PENDING" }));
    const found = waiting.find((one) => one.id === asked.pending || one.name === asked.pending);
    if (!found) throw new Error("the pending action is not shown");
    return { pending: found.id, hash: found.hash };
  };
  const stateOf = async (name: string): Promise<string | undefined> =>
    expectDone(await people.first.ask("Key", { name }))?.versions[0]?.state;

  beforeAll(async () => {
    const second = await person("Second", home.auditor, ["OPERATOR", "APPROVER"]);
    const third = await person("Third", home.auditor, ["OPERATOR"]);
    await restart({ SIGNET_APPROVALS: "two-persons" });
    Object.assign(people, { first: await home.operator(), second: await second(), third: await third() });
  }, 60_000);

  test("approving one's own request", async () => {
    const input = await pendingOf("own-request");
    expect(await people.first.ask("Approve", { input })).toMatchObject({
      refusal: "APPROVAL_INVALID",
      entry: expect.any(Number) as number,
    });
    expect(await stateOf("own-request")).toBe("PRE_ACTIVATION");
  });

  test("another hash than that of the action, and approving twice", async () => {
    const input = await pendingOf("twice");
    expect(await people.second.ask("Approve", { input: { ...input, hash: "0".repeat(64) } })).toMatchObject({
      refusal: "APPROVAL_INVALID",
    });
    expect(await stateOf("twice")).toBe("PRE_ACTIVATION");
    expectDone(await people.second.ask("Approve", { input }));
    expect(await stateOf("twice")).toBe("ACTIVE");
    expect(await people.second.ask("Approve", { input })).toMatchObject({ refusal: "APPROVAL_INVALID" });
    expect(await people.third.ask("Approve", { input })).toMatchObject({ refusal: "APPROVAL_INVALID" });
    const done = (await allEntries(people.first)).filter(
      (entry) => entry["type"] === "approval.decide" && entry["hash"] === input.hash,
    );
    expect(done).toHaveLength(1);
  });

  test("two approvals at the same moment: one counts", async () => {
    const input = await pendingOf("at-once");
    const answers = await Promise.all([
      people.second.ask("Approve", { input }),
      people.third.ask("Approve", { input }),
    ]);
    expect(answers.filter((one) => !isRefused(one))).toHaveLength(1);
    expect(answers.filter(isRefused)).toMatchObject([{ refusal: "APPROVAL_INVALID" }]);
  });

  test("attack 29: an approval and a withdrawal at the same moment: one counts, and the log says which", async () => {
    for (let round = 0; round < 4; round += 1) {
      const name = `race-${String(round)}`;
      const input = await pendingOf(name);
      const answers = await Promise.all(
        round % 2 === 0
          ? [people.second.ask("Approve", { input }), people.first.ask("Deny", { input })]
          : [people.first.ask("Deny", { input }), people.second.ask("Approve", { input })],
      );
      expect(answers.filter((one) => !isRefused(one))).toHaveLength(1);
      expect(answers.filter(isRefused)).toMatchObject([{ refusal: "APPROVAL_INVALID" }]);
      const decided = (await allEntries(people.first)).filter(
        (entry) => entry["type"] === "approval.decide" && entry["hash"] === input.hash,
      );
      expect(decided).toHaveLength(1);
      expect(await stateOf(name)).toBe(decided[0]?.["verdict"] === "approved" ? "ACTIVE" : "PRE_ACTIVATION");
    }
  });

  test("an action whose object changed after it was asked for", async () => {
    const input = await pendingOf("changed");
    expectDone(
      await people.first.ask("ReportKeyCompromised", { input: { key: "changed", reason: "a second thought" } }),
    );
    expect(isRefused(await people.second.ask("Approve", { input }))).toBe(true);
    expect(await stateOf("changed")).toBe("COMPROMISED");
  });

  test("an approver, and an asker, who was removed meanwhile", async () => {
    const input = await pendingOf("removed");
    const asked = await people.third.ask("AddOperator", {
      input: { name: "Accomplice", issuer: "key", subject: "A".repeat(43), roles: ["OPERATOR"] },
    });
    if (!isRefused(asked)) throw new Error("one person added an operator");
    const waiting = expectDone(await people.first.ask("PendingActions", { state: "PENDING" })).find(
      (one) => one.action["kind"] === "operator.add",
    );
    const third = expectDone(await people.first.ask("Operators", {})).find(({ name }) => name === "Third");
    expectDone(await people.first.ask("RemoveOperator", { input: { operator: third?.id ?? "" } }));
    expect(await people.third.ask("Approve", { input })).toMatchObject({ refusal: "UNAUTHENTICATED" });
    expect(
      await people.second.ask("Approve", { input: { pending: waiting?.id ?? "", hash: waiting?.hash ?? "" } }),
    ).toMatchObject({ refusal: "APPROVAL_INVALID" });
    expect(expectDone(await people.first.ask("Operators", {})).map(({ name }) => name)).not.toContain("Accomplice");
    expect(await stateOf("removed")).toBe("PRE_ACTIVATION");
    await expectAlive(home);
  });
});

describe("attack 30", () => {
  const minutes = 60_000;
  let before: Awaited<ReturnType<typeof jobOf>>;
  beforeAll(async () => {
    const witnesses = join(home.directory, "witnesses.txt"); // for attack 34
    const vkey = formatVkey(vkeyOf("witness.test/w1", "cosignature", new Uint8Array(32).fill(7)));
    writeFileSync(witnesses, `witness w1 ${vkey} http://127.0.0.1:1/\ngroup all-of-them all w1\nquorum all-of-them\n`);
    await restart({ NODE_OPTIONS: `--import=${join(home.directory, "skew.mjs")}`, SIGNET_WITNESSES: witnesses });
    before = await jobOf({ ...home, auditor: await home.operator() });
  }, 60_000);

  test.each([
    ["ten minutes fast", 10 * minutes],
    ["ten minutes slow", -10 * minutes],
  ])("a daemon that is %s takes no token and no proof of anybody whose clock is right", async (_, by) => {
    skew(by);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const opened = await home.openJob({ claims: { repository_id: "470001" }, keys: ["attest"] });
    expect(opened).toMatchObject({ refusal: "PROOF_INVALID" });
    const body = signBody([statement()]);
    const reply = await send(home, { headers: await proved(home, before, body), body });
    expect([reply.status, codeOf(reply)]).toEqual([401, "PROOF_INVALID"]);
    // A caller whose clock is as wrong as the daemon's has a token of the right time.
    const query =
      "mutation ($i: OpenSigningSessionInput!) { openSigningSession(input: $i) { ... on Refusal { code } } }";
    const open = JSON.stringify({
      query,
      variables: { i: { identityToken: await tokenOf(home, { repository_id: "470002" }), keys: ["attest"] } },
    });
    const proof = makeProof(keyOf(before), {
      url: `${home.url}/graphql`,
      body: open,
      nonce: await nonceOf(home),
      at: Date.now() + by,
    });
    const noToken = [...json, "DPoP", proof];
    expect(codeOf(await send(home, { headers: noToken, body: open }))).toBe("TOKEN_INVALID");
    skew(0);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await expectAlive(home);
  });

  test("a nonce of before is not good again because the clock went back", async () => {
    const body = signBody([statement()]);
    const early = await proved(home, before, body);
    skew(20 * minutes);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await send(home, { method: "GET", path: "/livez" });
    skew(0);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(codeOf(await send(home, { headers: early, body }))).toBe("PROOF_NONCE");
    expect(await before.sign([statement()])).toMatchObject({ refusal: "SESSION_ENDED" }); // over is over
  });

  test("a clock that goes back gives no session more time", async () => {
    const auditor = await home.operator();
    const token = await tokenOf(home, { repository_id: "470003" });
    const opened = expectDone(
      await before.client
        .withToken(undefined)
        .ask("OpenSession", { input: { identityToken: token, keys: ["attest"], ttl: "PT2S" } }),
    );
    await new Promise((resolve) => setTimeout(resolve, 1000));
    skew(-4 * minutes); // less than a proof may be off by
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const late = await before.client
      .withToken(opened.token)
      .ask("Sign", { input: { idempotencyKey: "1", key: "attest", items: [statement()] } });
    const incidents = async () => (await allEntries(auditor)).filter((entry) => entry["type"] === "incident.clock");
    await expect
      .poll(incidents, { timeout: 12_000, interval: 1000 })
      .toMatchObject([{ message: expect.stringContaining("stepped by -2") as string }]);
    skew(0);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(late).toMatchObject({ refusal: "SESSION_ENDED" });
    expect((await sessionOf({ ...home, auditor }, opened.session.name, "470003")).usesLeft).toBe(100);
  }, 30_000);
});

test("attack 33: an edited row of the query index is shown as what it is, the leaf as the fact", async () => {
  const auditor = await home.operator();
  const job = await jobOf(home);
  const { receipt } = expectDone(await job.sign([statement()]));
  const before = expectDone(await auditor.ask("AuditList", { filter: { session: job.session } }));
  expect(before.nodes.map(({ disagreement }) => disagreement)).toEqual([null, null, null]);
  const views = new DatabaseSync(join(home.directory, "state/views.sqlite"), { timeout: 5000 });
  views.prepare("UPDATE entry SET principal = '999', result = 'failed' WHERE idx = ?").run(receipt.entry);
  views.close();
  const { nodes } = expectDone(await auditor.ask("AuditList", { filter: { session: job.session } }));
  const edited = nodes.find(({ index }) => index === receipt.entry);
  expect(edited?.disagreement).toMatch(
    /principal: the view says 999, the leaf .*result: the view says failed, the leaf done/,
  );
  expect(leafOf({ tlogProof: edited?.receipt ?? "" })).toBe(leafOf(receipt));
  expect(JSON.parse(leafOf(receipt))).toMatchObject({ result: "done" });
  await expectAlive(home);
});

describe("attack 34", () => {
  test("no room on the disk: no signature, nothing spent, and all is well again when there is room", async () => {
    const job = await jobOf({ ...home, auditor: await home.operator() });
    const pid = String(home.child().pid);
    const faults = await counted(home, "signet_faults_total", "LOG_NOT_DURABLE");
    expect(spawnSync("prlimit", ["--pid", pid, "--fsize=0:unlimited"]).status).toBe(0);
    const items = [statement()];
    const answers = await Promise.all(
      Array.from({ length: 5 }, () =>
        job.client
          .withToken(job.token)
          .ask("CloseSession", { input: {} })
          .catch((error: unknown) => error),
      ),
    );
    for (const answer of answers) expect(answer).toMatchObject({ code: "LOG_NOT_DURABLE" });
    const body = signBody(items);
    const reply = await send(home, { headers: await proved(home, job, body), body });
    expect(codeOf(reply)).toBe("LOG_NOT_DURABLE");
    expect(reply.body).not.toMatch(/signature|sqlite|\/state|EFBIG/i);
    expect((await send(home, { method: "GET", path: "/livez" })).status).toBe(200);
    expect((await send(home, { method: "GET", path: "/readyz" })).status).toBe(503);
    expect(await counted(home, "signet_faults_total", "LOG_NOT_DURABLE")).toBeGreaterThan(faults);
    expect(spawnSync("prlimit", ["--pid", pid, "--fsize=unlimited:unlimited"]).status).toBe(0);
    const signed = await eventually(() => job.sign(items));
    expect(signed.usesLeft).toBe(4);
    await expectAlive(home);
  }, 40_000);

  test("a witness that is down: signing goes on, and nothing claims to be witnessed", async () => {
    const auditor = await home.operator();
    const { receipt } = expectDone(await (await jobOf(home)).sign([statement()]));
    const vkey = expectDone(await auditor.ask("Vkey", {}));
    expect(verifyReceipt({ receipt: receipt.tlogProof, logs: [parseVkey(vkey)] })).toMatchObject({
      verdict: "in-log",
      witnessed: false,
    });
    const { checks } = expectDone(await auditor.ask("Health", {}));
    expect(checks.find(({ name }) => name === "witness w1")).toMatchObject({ status: "warn" });
    expect(expectDone(await auditor.ask("Checkpoint", {}))?.witnesses).toEqual([]);
    await expectAlive(home);
  }, 40_000);
});

async function eventually<T>(
  ask: () => Promise<T>,
  deadline = Date.now() + 20_000,
): Promise<Exclude<T, { refusal: string }>> {
  for (;;) {
    try {
      return expectDone(await ask()) as Exclude<T, { refusal: string }>; // expectDone throws for a refusal
    } catch (error) {
      if (!(error instanceof RemoteFault) || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

describe("attack 31", () => {
  const truth = () => new DatabaseSync(join(home.directory, "state/truth.sqlite"));
  const startSays = async (): Promise<string> => {
    const before = home.said().length;
    await expect(home.start()).rejects.toThrow("the daemon did not start");
    expect(await home.ended()).toBe(13);
    return home.said().slice(before);
  };

  test("the last leaves deleted: start is refused with the index and what to do", async () => {
    await home.stop();
    const db = truth();
    const size = Number(db.prepare("SELECT size FROM head").get()?.["size"]);
    const rows = db.prepare("SELECT idx, bytes FROM leaf WHERE idx >= ?").all(size - 3);
    db.prepare("DELETE FROM leaf WHERE idx >= ?").run(size - 3);
    db.close();
    const said = await startSays();
    expect(said).toContain("SGN-5002");
    const [, from, to = from] = /lea(?:f|ves) (\d+)(?: to (\d+))?/.exec(said) ?? [];
    expect([Number(from) <= size - 3, Number(to) >= size - 3]).toEqual([true, true]);
    expect(said).toMatch(/backup/);
    const mended = truth();
    for (const { idx, bytes } of rows) mended.prepare("INSERT INTO leaf VALUES (?, ?)").run(idx ?? null, bytes ?? null);
    mended.close();
    await home.start();
    await expectAlive(home);
  }, 60_000);

  test("a byte of an old leaf changed", async () => {
    await home.stop();
    const db = truth();
    const bytes = Buffer.from(db.prepare("SELECT bytes FROM leaf WHERE idx = 5").get()?.["bytes"] as Uint8Array); // a BLOB column
    db.prepare("UPDATE leaf SET bytes = ? WHERE idx = 5").run(Buffer.from(bytes.toString().replace('"v":1', '"v":7')));
    db.close();
    expect(await startSays()).toContain("SGN-5002");
    const mended = truth();
    mended.prepare("UPDATE leaf SET bytes = ? WHERE idx = 5").run(bytes);
    mended.close();
  }, 60_000);

  test("uses given back in the tables", async () => {
    const db = truth();
    const changed = db.prepare("UPDATE session SET uses_left = uses_left + 5 WHERE state = 'OPEN'").run().changes;
    db.close();
    expect(changed).toBeGreaterThan(0);
    expect(await startSays()).toContain("the tables say otherwise than the log");
    const mended = truth();
    mended.exec("UPDATE session SET uses_left = uses_left - 5 WHERE state = 'OPEN'");
    mended.close();
  }, 60_000);

  test("yesterday's database restored whole: the remembered checkpoint knows better", async () => {
    const state = join(home.directory, "state");
    const backup = join(home.directory, "backup");
    const files = ["truth.sqlite", "truth.sqlite-wal", "truth.sqlite-shm"];
    const copy = (from: string, to: string): void => {
      for (const name of files) rmSync(join(to, name), { force: true });
      for (const name of files) if (existsSync(join(from, name))) cpSync(join(from, name), join(to, name));
    };
    copy(state, backup);
    await home.start();
    const { entry } = expectDone(await (await jobOf(home)).sign([statement()])).receipt;
    await home.stop();
    copy(backup, state);
    const said = await startSays();
    expect(said).toContain("rolled back");
    expect(said).toMatch(/first entry that is missing is \d+/);
    expect(entry).toBeGreaterThan(0);
  }, 60_000);
});
