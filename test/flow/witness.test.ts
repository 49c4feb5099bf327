// A witness that is not ours: it cosigns what the daemon publishes, and catches it when its past was swapped.

import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { verifyCheckpoint } from "../../src/tlog/checkpoint.ts";
import { parseVkey } from "../../src/tlog/vkey.ts";
import { expectDone, type House, house, statement } from "../support/house.ts";
import { lacks, startOmniwitness } from "../support/peers.ts";

describe.skipIf(await lacks("omniwitness"))("omniwitness", () => {
  test("cosigns our checkpoint, and refuses the log once it was rolled back and forked", async () => {
    await using home = await house();
    const vkey = await vkeyOf(home);
    await using witness = await startOmniwitness({ origin: "signet.test/log", vkey });
    writeFileSync(join(home.directory, "witnesses"), `witness w1 ${witness.vkey} ${witness.url}\nquorum w1\n`);
    appendFileSync(home.config, "witnesses: witnesses\n");
    await home.stop();
    await home.start();

    const cosigned = await published(home, (note) => note.split("\n— ").length > 2);
    expect(verifyCheckpoint(cosigned, { logs: [parseVkey(vkey)], witnesses: [parseVkey(witness.vkey)] })).toMatchObject(
      { verdict: "verified", cosignatures: [{}] },
    );

    const backup = mkdtempSync(join(tmpdir(), "signet-backup-"));
    await home.stop();
    cpSync(join(home.directory, "state"), backup, { recursive: true });
    await home.start();
    const job = await home.job();
    expectDone(await job.sign([statement()]));
    const size = Number(cosigned.split("\n")[1]);
    await published(home, (note) => Number(note.split("\n")[1]) > size + 3 && note.split("\n— ").length > 2);
    await home.stop();

    rmSync(join(home.directory, "state"), { recursive: true });
    cpSync(backup, join(home.directory, "state"), { recursive: true });
    rmSync(backup, { recursive: true });
    await home.start();
    const operator = await home.operator().catch((error: unknown) => error);
    expect(operator).toMatchObject({ code: "LOG_DAMAGED" });
    const ready = await fetch(`${home.url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain("w1");
    expect(home.said()).toContain("rolled back or forked");
  }, 120_000);
});

async function vkeyOf(home: House): Promise<string> {
  return expectDone(await (await home.operator()).ask("Vkey", {}));
}

/** The published checkpoint, as soon as it is as wanted. */
async function published(home: House, wanted: (note: string) => boolean): Promise<string> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const note = readFileSync(join(home.directory, "state", "log", "checkpoint"), "utf8");
    if (wanted(note)) return note;
    if (Date.now() > deadline) throw new Error(`the checkpoint stayed as it was:\n${note}\n${home.said()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
