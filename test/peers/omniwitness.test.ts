// Does omniwitness, as we start it, watch the log it was told of, and no other?

import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { lacks, startOmniwitness } from "../support/peers.ts";
import { handMadeLog } from "./hand-made-log.ts";

const origin = "log.example.test/watched";
const key = generateKeyPairSync("ed25519").privateKey;
const watched = handMadeLog(origin, ["one", "two", "three"], key);

/** C2SP tlog-witness, add-checkpoint, without a proof: none is needed for the first checkpoint, nor for an equal size. */
const addCheckpoint = (url: string, old: number, checkpoint: string): Promise<Response> =>
  fetch(`${url}add-checkpoint`, { method: "POST", body: `old ${old.toString()}\n\n${checkpoint}` });

describe.skipIf(await lacks("omniwitness"))("omniwitness", () => {
  test("cosigns its log's checkpoint under the name it was given", async () => {
    const name = "witness.example.test/second";
    await using witness = await startOmniwitness({ origin, vkey: watched.vkey, name });
    expect(witness.vkey).toMatch(/^witness\.example\.test\/second\+[0-9a-f]{8}\+B/); // B: type byte 4
    const answer = await addCheckpoint(witness.url, 0, watched.checkpoint);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toMatch(`— ${name} `);
  });

  test("refuses a second history of its log, and tells a forgetful client the size it knows", async () => {
    await using witness = await startOmniwitness({ origin, vkey: watched.vkey });
    const fork = handMadeLog(origin, ["one", "two", "drei"], key);
    await addCheckpoint(witness.url, 0, watched.checkpoint);
    expect((await addCheckpoint(witness.url, 3, fork.checkpoint)).status).toBe(422);
    const stale = await addCheckpoint(witness.url, 0, watched.checkpoint);
    expect([stale.status, stale.headers.get("content-type"), await stale.text()]).toEqual([
      409,
      "text/x.tlog.size",
      "3\n",
    ]);
  });

  // tlog-witness asks for 404 and 403 here; this version answers 500 to both.
  test.each([
    ["of a log that it was not told of", handMadeLog("log.example.test/other", ["one", "two", "three"])],
    ["by another key", handMadeLog(origin, ["one", "two", "three"])],
  ])("refuses a checkpoint %s", async (_, { checkpoint }) => {
    await using witness = await startOmniwitness({ origin, vkey: watched.vkey });
    expect((await addCheckpoint(witness.url, 0, checkpoint)).ok).toBe(false);
  });

  test("is gone after stop", async () => {
    const witness = await startOmniwitness({ origin, vkey: watched.vkey });
    await witness.stop();
    await expect(fetch(witness.url)).rejects.toThrow();
  });
});
