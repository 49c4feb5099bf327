// Does fsck, as we run it, accept a good log and refuse a damaged one?

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lacks, runFsck } from "../support/peers.ts";
import { handMadeLog } from "./hand-made-log.ts";

describe.skipIf(await lacks("fsck"))("fsck", () => {
  const folder = mkdtempSync(join(tmpdir(), "fsck-test-"));
  const good = join(folder, "good");
  const vkeyFile = join(folder, "log.vkey");
  beforeAll(() => {
    const { files, vkey } = handMadeLog("log.example.test/three", ["one", "two", "three"]);
    writeLog(good, files);
    writeFileSync(vkeyFile, vkey);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test("accepts a log and tells its size", async () => {
    expect(await runFsck(good, vkeyFile)).toMatchObject({ ok: true, size: 3 });
  });

  test.each([
    ["an altered entry", "tile/entries/000.p/3", 4],
    ["an altered hash", "tile/0/000.p/3", 40],
    ["an altered checkpoint", "checkpoint", 20],
  ])("refuses %s", async (_, file, offset) => {
    const bad = mkdtempSync(join(folder, "bad-"));
    cpSync(good, bad, { recursive: true });
    const bytes = readFileSync(join(bad, file));
    bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
    writeFileSync(join(bad, file), bytes);
    expect(await runFsck(bad, vkeyFile, { timeout: 20_000 })).toMatchObject({ ok: false });
  });

  test("refuses a log without its entries", async () => {
    const bad = mkdtempSync(join(folder, "bad-"));
    cpSync(good, bad, { recursive: true });
    rmSync(join(bad, "tile/entries"), { recursive: true });
    expect(await runFsck(bad, vkeyFile, { timeout: 20_000 })).toMatchObject({ ok: false });
  });
});

function writeLog(root: string, files: Readonly<Record<string, Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}
