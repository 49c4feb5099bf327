// Seen from outside the process: the database is synced between each intent and its custody call, and between each
// outcome and its answer. strace shows the system calls; the daemon's own step names stand between them on stderr.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { askOnce, publishedLog, quickStart } from "../support/faults.ts";
import { house, statement } from "../support/house.ts";
import { lacks, peer } from "../support/peers.ts";

/** What matters of the trace, in order: a step of the cycle, a write to the truth, a sync of it that succeeded, a signed answer. */
type Seen = "before-intent" | "after-intent" | "after-custody" | "after-outcome" | "write" | "sync" | "answer";

describe.skipIf(await lacks("strace"))("under strace", () => {
  test("nothing is signed before its intent is synced, and nothing is answered before its outcome is", async () => {
    await using home = await house();
    await home.stop();
    const trace = join(home.directory, "trace");
    const calls = "trace=fsync,fdatasync,write,writev,pwrite64,pwritev,pwritev2";
    await home.start({
      env: { ...quickStart, SIGNET_DANGEROUSLY_TELL_STEPS: "1" },
      under: [
        await peer("strace"),
        "-D",
        "-f",
        "-q",
        "-y",
        "--seccomp-bpf",
        "-s",
        "64",
        "-e",
        calls,
        "-e",
        "signal=none",
        "-o",
        trace,
      ], // -D: the daemon is our child, strace is not
    });
    const job = await home.job();
    const sign = () =>
      askOnce(home, job, "Sign", {
        input: { idempotencyKey: crypto.randomUUID(), key: "attest", items: [statement()] },
      });
    for (let n = 0; n < 5; n += 1) expect((await sign())?.data).toHaveProperty("signatures");
    const alone = seenIn(readFileSync(trace, "utf8"));
    for (const one of await Promise.all(Array.from({ length: 20 }, sign)))
      expect(one?.data).toHaveProperty("signatures");
    expect(await home.stop("SIGTERM")).toBe(0);
    await publishedLog(home);
    const all = seenIn(readFileSync(trace, "utf8"));

    expect(all.filter((one) => one === "after-outcome")).toHaveLength(25);
    expectSyncedBefore(all);
    expect(inLetters(alone)).toMatch(/^(?:S*(?:W+S+)*b(?:W+S+)+i(?:W+S+)*c(?:W+S+)+o(?:W+S+)*A(?:W+S+)*){5}$/);
  }, 110_000);

  test("a trace without its syncs would not pass", () => {
    const trace = [
      "before-intent",
      "write",
      "after-intent",
      "after-custody",
      "write",
      "sync",
      "after-outcome",
      "answer",
    ] as const;
    expect(() => {
      expectSyncedBefore(trace);
    }).toThrow();
  });
});

/** At none of these moments may a write to the truth still wait for its sync; other requests' commits included. */
function expectSyncedBefore(seen: readonly Seen[]): void {
  let unsynced = 0;
  for (const [index, one] of seen.entries()) {
    if (one === "write") unsynced += 1;
    if (one === "sync") unsynced = 0;
    if (["after-intent", "after-custody", "after-outcome", "answer"].includes(one))
      expect(unsynced, `writes that wait at event ${String(index)}, ${one}`).toBe(0);
  }
}

const letters: Readonly<Record<Seen, string>> = {
  "before-intent": "b",
  "after-intent": "i",
  "after-custody": "c",
  "after-outcome": "o",
  write: "W",
  sync: "S",
  answer: "A",
};

/** From the first request on. */
const inLetters = (seen: readonly Seen[]): string => {
  const text = seen.map((one) => letters[one]).join("");
  return text.slice(text.indexOf("b"));
};

/** A write counts where it begins, a sync where it has succeeded: strace splits a call that another thread interrupts. */
function seenIn(trace: string): readonly Seen[] {
  const open = new Map<string, string>();
  return trace.split("\n").flatMap((line): readonly Seen[] => {
    const [, thread = "", call = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const begun = call.replace(/ <unfinished \.\.\.>$/, "");
    if (begun !== call) open.set(thread, begun);
    const resumed = call.startsWith("<... ");
    const whole = resumed ? `${open.get(thread) ?? ""} ${call}` : call;
    if (/^f(?:data)?sync\(\d+<[^>]*\/truth\.sqlite-wal>/.test(whole)) return whole.endsWith("= 0") ? ["sync"] : [];
    if (resumed) return [];
    if (/^p?write(?:64|v2?)?\(\d+<[^>]*\/truth\.sqlite-wal>/.test(call)) return ["write"];
    const step = /^write\(2<[^>]*>, "step sign\.([a-z-]+)\\n"/.exec(call)?.[1];
    if (step !== undefined) return [step as Seen]; // the steps of signing are the first four of Seen
    return /^writev?\(\d+<(?:socket|TCP)[^>]*>, .*"HTTP\/1\.1 200 OK/.test(call) ? ["answer"] : [];
  });
}
