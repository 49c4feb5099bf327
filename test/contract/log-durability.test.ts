// What src/ports/log.ts promises of bad luck: kill -9, failing commits, full and read-only disks, two daemons.
// Kill -9 does not test fsync; that it is called is seen from outside the process, elsewhere.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { fsck } from "../../src/tlog/fsck.ts";
import { emptyRoot } from "../../src/tlog/merkle.ts";
import { verifyReceipt } from "../../src/tlog/proof.ts";
import {
  appended,
  dialects,
  digestOf,
  directory,
  failures,
  furnish,
  grow,
  intent,
  noon,
  note,
  sessionOf,
  signer,
  spendOf,
  type TestDirectory,
  type TestLog,
} from "../support/db.ts";

describe.each(dialects)("bad luck on $name", ({ open }) => {
  let place: TestDirectory;
  let log: TestLog | undefined;
  beforeEach(() => {
    place = directory();
  });
  afterEach(async () => {
    await log?.[Symbol.asyncDispose]();
    log = undefined;
    place[Symbol.dispose]();
  });

  describe.each(failures)("$name", ({ persisted, provedNothing, inject }) => {
    test("every Write of the commit is a Fault; the head on disk decides; it goes on by itself", async () => {
      const reopened = vi.fn();
      log = await open(place.path);
      log.onReopened(reopened);
      await furnish(log, sessionOf("ss_1"));
      const spend = { entry: intent("ss_1", digestOf("app")), spend: spendOf("ss_1") };

      const failing = inject();
      const results = await Promise.allSettled([log.append(spend), log.append(note("neighbour"))]);
      failing.mend();
      for (const one of results) {
        expect(one).toMatchObject({
          status: "rejected",
          reason: { code: "LOG_NOT_DURABLE", nothingHappened: provedNothing },
        });
        expect(one.status === "rejected" && (one.reason as Error).cause).toBeInstanceOf(Error);
      }

      const current = log;
      const next = appended(await log.append(spend));
      expect(reopened).toHaveBeenCalledTimes(1);
      expect(next.index).toBe(persisted ? 5 : 3);
      expect(next.entry).toMatchObject({ uses: { left: persisted ? 3 : 4 } });
      expect(log.health()).not.toHaveProperty("failing");
      expect(verifyReceipt({ receipt: next.receipt(), logs: [signer.vkey] }).verdict).toBe("in-log");
      expect(await log.verify()).toMatchObject({ verdict: "sound", size: next.index + 1 });
      expect(await fsck({ read: (path) => current.tile(path), trusted: { logs: [signer.vkey] } })).toMatchObject({
        verdict: "consistent",
      });
    });
  });

  test("while the disk is away each Write fails fast and says since when; a second after it is back the log is too", async () => {
    log = await open(place.path);
    const failing = failures.find((one) => one.name.includes("stays away"))?.inject();
    await expect(log.append(note("a"))).rejects.toMatchObject({ code: "LOG_NOT_DURABLE" });
    await expect(log.append(note("b"))).rejects.toMatchObject({
      code: "LOG_NOT_DURABLE",
      message: expect.stringContaining("disk I/O error") as string,
    });
    expect(log.health().failing).toMatchObject({ since: noon });
    const back = new Promise<void>((resolve) => log?.onReopened(resolve));
    failing?.mend();
    await back;
    expect(log.health()).not.toHaveProperty("failing");
    expect(appended(await log.append(note("c"))).index).toBe(0);
  });

  test("killed while it writes: whatever was acknowledged is there, and the log is whole", {
    timeout: 60_000,
  }, async () => {
    const child = writerProcess(place.path);
    let acknowledged = -1;
    for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
      acknowledged = Number(line);
      if (acknowledged >= 300) break;
    }
    child.kill("SIGKILL");
    await once(child, "exit");
    log = await open(place.path);
    expect(log.head().size).toBeGreaterThan(acknowledged);
    expect(await log.verify()).toMatchObject({ verdict: "sound" });
    expect(appended(await log.append(note("after"))).index).toBe(log.head().size - 1);
  });

  test("a second daemon on the directory is refused while the first lives, and welcome when it is killed", {
    timeout: 60_000,
  }, async () => {
    const child = writerProcess(place.path);
    await once(child.stdout ?? child, "data");
    await expect(open(place.path)).rejects.toMatchObject({
      code: "LOG_NOT_DURABLE",
      message: expect.stringContaining("another daemon") as string,
    });
    child.kill("SIGKILL");
    await once(child, "exit");
    log = await open(place.path);
    await expect(open(place.path)).rejects.toMatchObject({ code: "LOG_NOT_DURABLE" });
  });

  describe("on a small disk of its own", () => {
    let disk: string;
    beforeEach((context) => {
      disk = join(place.path, "disk");
      mkdirSync(disk);
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], { stdio: "pipe" });
      } catch {
        context.skip("mounting a disk takes root");
      }
    });
    afterEach(async () => {
      await log?.[Symbol.asyncDispose]();
      log = undefined;
      try {
        execFileSync("umount", [disk], { stdio: "pipe" });
      } catch {
        // It was not mounted.
      }
    });

    test("full: a clear Fault and no entry; with room again it goes on", async () => {
      log = await open(join(disk, "state"));
      await log.append(note("before"));
      const fillers = fill(disk);
      const write = { ...note("x".repeat(30_000)), blobs: [new Uint8Array(500_000)] };
      await expect(log.append(write)).rejects.toMatchObject({
        code: "LOG_NOT_DURABLE",
        message: expect.stringMatching(/full|I\/O/) as string,
      });
      expect(log.health().failing?.message).toMatch(/full|I\/O/);
      for (const file of fillers) execFileSync("rm", [file]);
      expect(appended(await log.append(write)).index).toBe(1);
      expect(await log.verify()).toMatchObject({ verdict: "sound", size: 2 });
    });

    test("read-only: refused at start with words that help", async () => {
      execFileSync("mount", ["-o", "remount,ro", disk]);
      const message = expect.stringMatching(
        /cannot be opened for writing: .*(read-only|readonly|unable to open)/i,
      ) as string;
      await expect(open(disk)).rejects.toMatchObject({ code: "LOG_NOT_DURABLE", message });
    });
  });

  describe("a damaged log", () => {
    const damage = async (size: number, sql: string): Promise<void> => {
      log = await open(place.path);
      await grow(log, size);
      await log[Symbol.asyncDispose]();
      log = undefined;
      const db = new DatabaseSync(join(place.path, "truth.sqlite"));
      db.exec(sql);
      db.close();
    };

    test("an edited leaf in a full tile is named by its index", async () => {
      await damage(
        600,
        "UPDATE leaf SET bytes = CAST(replace(CAST(bytes AS TEXT), 'release', 'receipt') AS BLOB) WHERE idx = 300",
      );
      log = await open(place.path);
      expect(await log.verify()).toMatchObject({ verdict: "damaged", index: 300, atMost: 300 });
    });

    test("a leaf that is gone is named by its index", async () => {
      await damage(600, "DELETE FROM leaf WHERE idx = 77");
      log = await open(place.path);
      expect(await log.verify()).toMatchObject({ verdict: "damaged", index: 77 });
    });

    test("an edited leaf at the growing edge is found while opening", async () => {
      await damage(600, "UPDATE leaf SET bytes = x'7b7d' WHERE idx = 590");
      await expect(open(place.path)).rejects.toMatchObject({
        code: "LOG_DAMAGED",
        message: expect.stringContaining("576 to 591") as string,
      });
    });

    test("a migration that was changed after it was applied is refused", async () => {
      await damage(1, "UPDATE migration SET checksum = 'x'");
      await expect(open(place.path)).rejects.toMatchObject({ code: "LOG_DAMAGED" });
    });

    test("the log of another origin is refused", async () => {
      await damage(1, "UPDATE head SET origin = 'other.test/log'");
      await expect(open(place.path)).rejects.toMatchObject({ code: "LOG_DAMAGED" });
    });
  });

  test("a head moved by another writer: the Write finds its place behind the new head", async () => {
    log = await open(place.path);
    await log.append(note("a"));
    const other = join(place.path, "other");
    const elsewhere = await open(other);
    await elsewhere.append(note("a"));
    await elsewhere.append(note("intruder"));
    await elsewhere[Symbol.asyncDispose]();
    const db = new DatabaseSync(join(place.path, "truth.sqlite"));
    db.exec(`ATTACH '${join(other, "truth.sqlite")}' AS o; BEGIN; DELETE FROM leaf; DELETE FROM head;
      INSERT INTO leaf SELECT * FROM o.leaf; INSERT INTO head SELECT * FROM o.head; COMMIT`);
    db.close();
    expect(appended(await log.append(note("b"))).index).toBe(2);
    expect(await log.verify()).toMatchObject({ verdict: "sound", size: 3 });
  });

  test("a running log that is rolled back under its feet refuses to go on", async () => {
    log = await open(place.path);
    await log.append(note("acknowledged"));
    const db = new DatabaseSync(join(place.path, "truth.sqlite"));
    db.prepare("DELETE FROM leaf").run();
    db.prepare("UPDATE head SET size = 0, root = ?, frontier = x''").run(emptyRoot);
    db.close();
    for (const message of ["b", "c"])
      await expect(log.append(note(message))).rejects.toMatchObject({ code: "LOG_DAMAGED" });
  });

  test("what has expired is forgotten, some time later", async () => {
    vi.useFakeTimers({ toFake: ["setInterval"] });
    try {
      let now = noon;
      log = await open(place.path, { clock: () => now });
      const write = {
        ...note("once"),
        marks: [{ kind: "proof" as const, id: new Uint8Array(32), expiresAt: noon + 1000 }],
      };
      await log.append(write);
      now = noon + 30_000;
      vi.advanceTimersByTime(10_000);
      expect(await log.append(write)).toEqual({ conflict: "mark", mark: "proof" });
      now = noon + 3_600_000;
      vi.advanceTimersByTime(10_000);
      expect(appended(await log.append(write)).index).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });
});

/** Another process that appends for ever and prints the index of each acknowledged entry. */
function writerProcess(path: string): ChildProcess {
  const support = new URL("../support/db.ts", import.meta.url).href;
  const program = `
    import { dialects, note } from ${JSON.stringify(support)};
    const log = await dialects[0].open(${JSON.stringify(path)});
    for (;;) {
      const all = await Promise.all(Array.from({ length: 7 }, () => log.append(note("x"))));
      console.log(all.at(-1).index);
    }`;
  return spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Files until nothing more fits. */
function fill(disk: string): readonly string[] {
  const files: string[] = [];
  for (const bytes of [1_000_000, 100_000, 10_000, 4096]) {
    for (let n = 0; ; n += 1) {
      const file = join(disk, `filler-${String(bytes)}-${String(n)}`);
      files.push(file);
      try {
        writeFileSync(file, new Uint8Array(bytes));
        if (readFileSync(file).length < bytes) break;
      } catch {
        break;
      }
    }
  }
  return files;
}
