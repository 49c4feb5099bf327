// A disk that fails under the running daemon: no signature, a clear fault, and it goes on by itself when the cause is
// gone. A preloaded shim makes the calls for the database fail; a small disk of its own is really full.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/connect.ts";
import { run } from "../support/command.ts";
import {
  askOnce,
  expectRecorded,
  type Found,
  type Heard,
  outcomesOf,
  publishedLog,
  quickStart,
  refusedStart,
  spentBy,
  unfinishedIn,
  until,
} from "../support/faults.ts";
import { bareHouse, expectDone, type House, type Job, statement } from "../support/house.ts";
import { isCi, lacks, peer } from "../support/peers.ts";

const notDurable = { code: "LOG_NOT_DURABLE", number: "SGN-5001", requestId: expect.stringMatching(/^rq_/) as string };

const sign = (
  home: House,
  job: Job,
  {
    items = 1,
    idempotencyKey = crypto.randomUUID(),
  }: { readonly items?: number; readonly idempotencyKey?: string } = {},
): Promise<Heard | undefined> =>
  askOnce(home, job, "Sign", {
    input: { idempotencyKey, key: "attest", items: Array.from({ length: items }, () => statement()) },
  });

const readiness = async (home: House): Promise<{ readonly status: number; readonly reason: string }> => {
  const response = await fetch(`${home.url}/readyz`);
  return { status: response.status, reason: ((await response.json()) as { reason: string }).reason };
};

const databaseCheck = async (operator: Client) =>
  expectDone(await operator.ask("Health", {})).checks.find((one) => one.name === "database");

/** Everybody hears of it, in words; nobody gets a signature. */
async function expectFailing(home: House, job: Job, operator: Client): Promise<void> {
  expect(await sign(home, job)).toMatchObject(notDurable);
  for (const one of await Promise.all(Array.from({ length: 5 }, () => sign(home, job))))
    expect(one).toMatchObject(notDurable);
  await expect(
    operator.ask("SuspendKey", { input: { key: "attest", reason: "while the disk is away" } }),
  ).rejects.toMatchObject({ code: "LOG_NOT_DURABLE" });
  expect(await readiness(home)).toMatchObject({
    status: 503,
    reason: expect.stringMatching(/cannot be written since .*(?:disk|database)/) as string,
  });
  expect(await databaseCheck(operator)).toMatchObject({
    status: "fail",
    hint: expect.stringContaining("nothing to restart") as string,
  });
}

/** Not restarted: the same process signs again. */
async function expectRecovery(
  home: House,
  job: Job,
  operator: Client,
  pid: number | undefined,
): Promise<Heard | undefined> {
  let signed: Heard | undefined;
  await until("the daemon signs again", async () => {
    signed = await sign(home, job);
    return signed?.data?.["signatures"] !== undefined;
  });
  expect(home.child().pid).toBe(pid);
  expect(await readiness(home)).toMatchObject({ status: 200 });
  expect(await databaseCheck(operator)).toMatchObject({ status: "ok" });
  return signed;
}

/** Stopped in good order, and read as a stranger would. */
async function finalLog(home: House): Promise<readonly Found[]> {
  expect(await home.stop("SIGTERM")).toBe(0);
  return publishedLog(home);
}

/** One key, active, on whatever disk the state directory stands. */
async function furnish(home: House, algorithm: "EC_P256" | "RSA_3072" = "EC_P256"): Promise<Client> {
  const operator = await home.operator();
  expectDone(
    await operator.ask("CreateKey", {
      input: { name: "attest", purpose: "ATTESTATION", algorithm, custody: "software" },
    }),
  );
  expectDone(await operator.ask("ActivateKey", { input: { key: "attest", reason: "for the test" } }));
  return operator;
}

describe.skipIf(await lacks("gcc"))("a disk that fails on command", () => {
  let home: House;
  let operator: Client;
  let trigger: string;
  let env: Readonly<Record<string, string>>;
  const released: Heard[] = [];

  beforeAll(async () => {
    home = await bareHouse();
    const shim = join(home.directory, "disk-shim.so");
    const built = await run(await peer("gcc"), [
      "-shared",
      "-fPIC",
      "-O2",
      "-Wall",
      "-o",
      shim,
      join(import.meta.dirname, "disk-shim.c"),
    ]);
    expect(built).toMatchObject({ status: 0, stderr: "" });
    trigger = join(home.directory, "faulty");
    env = {
      ...quickStart,
      LD_PRELOAD: shim,
      FAULTY_WHEN: trigger,
      FAULTY_FILES: join(home.directory, "state", "truth.sqlite"),
      SIGNET_DANGEROUSLY_TELL_STEPS: "1",
    };
    await home.start({ env });
    operator = await furnish(home, "RSA_3072");
  }, 120_000);
  afterAll(async () => {
    await home[Symbol.asyncDispose]();
  });

  afterEach(() => {
    rmSync(trigger, { force: true });
  });

  test.each(["sync EIO", "write EROFS", "write ENOSPC"])(
    "%s: no signature, a clear fault, and it goes on by itself",
    async (failure) => {
      const job = await home.job({ keys: ["attest"] });
      const before = await sign(home, job);
      const { pid } = home.child();

      writeFileSync(trigger, failure);
      await expectFailing(home, job, operator);
      rmSync(trigger);
      const after = await expectRecovery(home, job, operator, pid);
      released.push(...[before, after].filter((one) => one !== undefined));

      const entries = await publishedSoon(home);
      for (const one of [before, after]) expectRecorded(entries, one);
      expect(unfinishedIn(entries)).toEqual([]);
      expect(after?.data).toMatchObject({ usesLeft: 1000 - spentBy(entries, job.session) });
    },
    60_000,
  );

  test.each(["sync EIO", "write ENOSPC"])(
    "%s while the custody signs: the signatures are dropped, and `withheld` is written once when the disk is back",
    async (failure) => {
      const job = await home.job({ keys: ["attest"] });
      const intended = onStep(home, "sign.after-intent", () => {
        writeFileSync(trigger, failure);
      });
      const answer = await sign(home, job, { items: 100, idempotencyKey: "the-batch" }); // 100 RSA signatures take long enough to fail in between
      await intended;
      expect(answer).toMatchObject(notDurable);
      expect(answer).not.toHaveProperty("data");
      expect(await sign(home, job, { items: 100, idempotencyKey: "another" })).toMatchObject(notDurable);
      rmSync(trigger);
      await until("the daemon signs again", async () => (await sign(home, job))?.data?.["signatures"] !== undefined);
      await until(
        "the outcome is written",
        async () =>
          expectDone(await operator.ask("Health", {})).checks.find((one) => one.name === "outcomes")?.status === "ok",
      );

      const entries = await publishedSoon(home);
      const intent = entries.find((one) => one["type"] === "sign.intent" && one["session"] === job.session);
      expect(outcomesOf(entries, intent?.index ?? -1)).toMatchObject([
        { type: "sign.outcome", result: "withheld", code: "LOG_NOT_DURABLE", session: job.session },
      ]);
      expect(unfinishedIn(entries)).toEqual([]);
    },
    60_000,
  );

  test("killed while the disk fails: the restart finds a whole log, and every signature in it", async () => {
    const job = await home.job({ keys: ["attest"] });
    const intended = onStep(home, "sign.after-intent", () => {
      writeFileSync(trigger, "sync EIO");
    });
    const answer = await sign(home, job, { items: 100, idempotencyKey: "the-batch" });
    await intended;
    expect(answer).toMatchObject(notDurable);
    await home.stop("SIGKILL");
    rmSync(trigger);
    await home.start({ env });
    await sign(home, job);
    const entries = await finalLog(home);
    for (const one of released) expectRecorded(entries, one);
    // What the failed sync left behind may be whole after all; either way it is told once.
    expect(unfinishedIn(entries).length).toBeLessThanOrEqual(1);
  }, 60_000);
});

/** Calls `then` at once when the daemon next passes the step. */
function onStep(home: House, step: string, then: () => void): Promise<void> {
  return new Promise((resolve) => {
    const { stderr } = home.child();
    const listen = (chunk: Buffer): void => {
      if (!chunk.toString().includes(`step ${step}\n`)) return;
      stderr?.off("data", listen);
      then();
      resolve();
    };
    stderr?.on("data", listen);
  });
}

async function publishedSoon(home: House): Promise<readonly Found[]> {
  const metrics = await (await fetch(`${home.url}/metrics`)).text();
  const size = /^signet_log_size (\d+)$/m.exec(metrics)?.[1] ?? "Infinity";
  await until("everything is published", async () => (await publishedLog(home)).length >= Number(size));
  return publishedLog(home);
}

describe.skipIf(cannotMount())("a disk of its own", () => {
  let home: House;
  let operator: Client;
  let state: string;
  beforeAll(async () => {
    home = await bareHouse();
    state = join(home.directory, "state");
    mkdirSync(state);
    mount(state);
    await home.start({ env: quickStart });
    operator = await furnish(home);
  }, 120_000);
  afterAll(async () => {
    await home.stop("SIGKILL");
    execFileSync("umount", ["--lazy", state]);
    await home[Symbol.asyncDispose]();
  });

  test("full: no signature, a clear fault; with room again it goes on by itself", async () => {
    const job = await home.job({ keys: ["attest"] });
    const { pid } = home.child();
    const before = await sign(home, job);
    const ballast = join(state, "ballast");
    const { bavail, bsize } = statfsSync(state);
    try {
      writeFileSync(ballast, new Uint8Array(bavail * bsize));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error; // the daemon wrote meanwhile: full all the same
    }
    await until("no signature fits any more", async () => (await sign(home, job))?.code !== undefined);
    await expectFailing(home, job, operator);
    rmSync(ballast);
    const after = await expectRecovery(home, job, operator, pid);

    const entries = await publishedSoon(home);
    for (const one of [before, after]) expectRecorded(entries, one);
    expect(unfinishedIn(entries)).toEqual([]);
    expect(after?.data).toMatchObject({ usesLeft: 1000 - spentBy(entries, job.session) });
  }, 60_000);

  test("read-only at the start: refused, with words that help; writable again it starts", async () => {
    await finalLog(home);
    execFileSync("mount", ["-o", "remount,ro", state]);
    const refused = await refusedStart(home);
    expect(refused).toMatchObject({
      status: 9,
      stderr: expect.stringMatching(
        /SGN-5001.*cannot be opened for writing: .*(?:readonly|read-only|unable to open).*mend the disk/is,
      ) as string,
    });
    execFileSync("mount", ["-o", "remount,rw", state]);
    await home.start({ env: quickStart });
    expect((await sign(home, await home.job({ keys: ["attest"] })))?.data).toHaveProperty("signatures");
  }, 60_000);
});

function mount(directory: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", directory], { stdio: "pipe" });
}

/** A laptop may lack the right, and says so; CI may not. */
function cannotMount(): boolean {
  const place = mkdtempSync(join(tmpdir(), "signet-mount-"));
  try {
    mount(place);
    execFileSync("umount", [place]);
    return false;
  } catch (cause) {
    if (isCi()) throw new Error("a small disk cannot be mounted, and CI runs every test", { cause });
    process.stderr.write("SKIP a full disk: mounting one takes root\n");
    return true;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
