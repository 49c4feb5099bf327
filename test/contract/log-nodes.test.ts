// Trees beyond the second row of tiles (65,536 leaves), made of hashes alone: every node that a proof needs is there,
// from memory and read back from the tiles.

import { DatabaseSync } from "node:sqlite";

import { expect, test } from "vitest";

import { openNodes } from "../../src/db/nodes.ts";
import { sha256 } from "../../src/std/digest.ts";
import { append, emptyFrontier, proverFor, rootOf, verifyInclusion } from "../../src/tlog/merkle.ts";

test("seventy thousand leaves: proofs at every edge, and roots of earlier sizes", { timeout: 60_000 }, () => {
  const db = new DatabaseSync(":memory:");
  db.exec(
    "CREATE TABLE tile (level INTEGER, idx INTEGER, hashes BLOB, PRIMARY KEY (level, idx)) STRICT; CREATE TABLE leaf (idx INTEGER PRIMARY KEY, bytes BLOB)",
  );
  const hashes = Array.from({ length: 70_000 }, (_, i) => sha256(String(i)));
  const nodes = openNodes(db, emptyFrontier);
  const sizes = [1, 255, 256, 257, 65_535, 65_536, 65_537, 66_048, 70_000];
  let size = 0;
  for (const next of sizes) {
    const frontier = nodes.grow(hashes.slice(size, next));
    size = next;
    expect(frontier.size).toBe(next);
  }
  for (const at of [1, 257, 65_537, 70_000]) {
    const { root, inclusion } = proverFor(at, nodes.read);
    expect(root).toEqual(rootOf(append(emptyFrontier, hashes.slice(0, at))));
    for (const index of [0, 254, 255, 256, 65_535, 65_536, 69_999].filter((one) => one < at)) {
      const leafHash = hashes[index] ?? new Uint8Array();
      expect(verifyInclusion({ leafHash, index, size: at, root, proof: inclusion(index) })).toBe(true);
    }
  }
  expect(db.prepare("SELECT level, count(*) AS n FROM tile GROUP BY level").all()).toEqual([
    { level: 0, n: 273 },
    { level: 1, n: 1 },
  ]);
  db.close();
});
