// A log of 100,000 entries as the database writes it: strangers' fsck accepts the published tree, and refuses it damaged.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { formatVkey } from "../../src/tlog/vkey.ts";
import { dialects, directory, signer } from "../support/db.ts";
import { lacks, runFsck } from "../support/peers.ts";

const size = 100_000;

describe.skipIf(await lacks("fsck"))("100,000 entries", () => {
  test.each(dialects)(
    "$name: fsck accepts the tree, and refuses one changed hash",
    async ({ open }) => {
      using folder = directory();
      const vkey = join(folder.path, "log.vkey");
      writeFileSync(vkey, `${formatVkey(signer.vkey)}\n`);
      {
        await using log = await open(folder.path);
        for (let at = 0; at < size; at += 500) {
          await Promise.all(
            Array.from({ length: 500 }, (_, i) =>
              log.append({
                entry: ({ index }) => ({
                  v: 1,
                  at: "2026-11-21T12:00:00.000Z",
                  node: "n",
                  epoch: 1,
                  type: "incident.clock",
                  message: `entry ${String(index)}, ${String(at + i)}`,
                }),
              }),
            ),
          );
        }
        await log.tree.publish(await log.checkpoint());
      }
      const tree = join(folder.path, "log");
      expect(await runFsck(tree, vkey)).toMatchObject({ ok: true, size });
      const tile = join(tree, "tile/0/100");
      const bytes = readFileSync(tile);
      bytes[7] = (bytes[7] ?? 0) ^ 128;
      writeFileSync(tile, bytes);
      expect(await runFsck(tree, vkey)).toMatchObject({ ok: false });
    },
    180_000,
  );
});
