import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { base64 } from "../../src/std/base64.ts";
import { fromHex, hex, utf8 } from "../../src/std/bytes.ts";
import {
  append,
  decodeFrontier,
  emptyFrontier,
  emptyRoot,
  encodeFrontier,
  leafHash,
  nodeHash,
  proverFor,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from "../../src/tlog/merkle.ts";
import { Malformed } from "../../src/tlog/text.ts";
import { entriesOf, logOf, mth, path, subproof } from "./log.ts";

const log = logOf(entriesOf(600));
const size = fc.integer({ min: 1, max: 600 });

/** Each single flipped bit of one hash somewhere in a list. */
const flipIn = (hashes: readonly Uint8Array[], at: number, bit: number): Uint8Array[] =>
  hashes.map((hash, i) => {
    if (i !== at % hashes.length) return hash;
    const copy = Uint8Array.from(hash);
    const byte = Math.floor(bit / 8);
    copy[byte] = (copy[byte] ?? 0) ^ (1 << (bit % 8));
    return copy;
  });

const flip = (hash: Uint8Array, bit: number): Uint8Array => flipIn([hash], 0, bit)[0] ?? hash;

describe("hashes", () => {
  test("the roots of the Certificate Transparency test vectors come out", () => {
    const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const roots = [
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    const hashes = leaves.map((leaf) => leafHash(fromHex(leaf)));
    expect(roots.map((_, n) => hex(rootOf(append(emptyFrontier, hashes.slice(0, n)))))).toEqual(roots);
  });

  test("the empty root is the hash of nothing", () => {
    expect(base64(emptyRoot)).toBe("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    expect(rootOf(emptyFrontier)).toEqual(emptyRoot);
  });

  test("a leaf of any length hashes as RFC 6962 says, and leaves nothing behind in the next one", () => {
    for (const length of [0, 1, 63, 4095, 4096, 4097, 65_535, 3]) {
      const leaf = Buffer.alloc(length, 7);
      expect(hex(leafHash(leaf))).toBe(hex(mth([leaf])));
    }
  });

  test("a leaf that looks like two hashes is not mistaken for their parent", () => {
    const [a, b] = [leafHash(utf8("a")), leafHash(utf8("b"))];
    expect(leafHash(Buffer.concat([a, b]))).not.toEqual(nodeHash(a, b));
  });
});

describe("frontier", () => {
  test("appending in any portions gives the root of RFC 6962, and the old frontier stays as it was", () => {
    fc.assert(
      fc.property(size, size, (a, b) => {
        const [cut, all] = [Math.min(a, b), Math.max(a, b)];
        const hashes = log.entries.slice(0, all).map(leafHash);
        const first = append(emptyFrontier, hashes.slice(0, cut));
        const firstRoot = rootOf(first);
        const second = append(first, hashes.slice(cut));
        expect(second.size).toBe(all);
        expect(hex(rootOf(second))).toBe(hex(mth(log.entries.slice(0, all))));
        expect(rootOf(first)).toEqual(firstRoot);
      }),
      { numRuns: 50 },
    );
  });

  test("it is stored as its hashes and read back with its size", () => {
    fc.assert(
      fc.property(size, (n) => {
        const frontier = append(emptyFrontier, log.entries.slice(0, n).map(leafHash));
        const bytes = encodeFrontier(frontier);
        expect(rootOf(decodeFrontier(n, bytes))).toEqual(rootOf(frontier));
        expect(() => decodeFrontier(n, bytes.subarray(1))).toThrow(Malformed);
      }),
      { numRuns: 50 },
    );
    expect(() => decodeFrontier(-1, new Uint8Array())).toThrow(Malformed);
  });

  test("a frontier that lost a hash is refused, not continued", () => {
    expect(() => append({ size: 3, hashes: [] }, [leafHash(utf8("x"))])).toThrow(Malformed);
  });
});

describe("proofs", () => {
  test("inclusion proofs are those of RFC 6962, verify, and fail with any bit flipped", () => {
    fc.assert(
      fc.property(size, fc.nat(), fc.nat(), fc.nat(255), (n, m, at, bit) => {
        const index = m % n;
        const prover = proverFor(n, log.read);
        const proof = prover.inclusion(index);
        const entries = log.entries.slice(0, n);
        expect(proof.map(hex)).toEqual(path(index, entries).map(hex));
        const claim = { leafHash: mth(entries.slice(index, index + 1)), index, size: n, root: mth(entries), proof };
        expect(prover.root).toEqual(claim.root);
        expect(verifyInclusion(claim)).toBe(true);
        expect(verifyInclusion({ ...claim, leafHash: flip(claim.leafHash, bit) })).toBe(false);
        expect(verifyInclusion({ ...claim, root: flip(claim.root, bit) })).toBe(false);
        if (proof.length > 0) expect(verifyInclusion({ ...claim, proof: flipIn(proof, at, bit) })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [...proof, emptyRoot] })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: proof.slice(1) })).toBe(n === 1);
        if (n > 1) expect(verifyInclusion({ ...claim, index: (index + 1) % n })).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  test("consistency proofs are those of RFC 6962, verify, and fail with any bit flipped", () => {
    fc.assert(
      fc.property(size, size, fc.nat(), fc.nat(255), (a, b, at, bit) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const proof = proverFor(to, log.read).consistency(from);
        const entries = log.entries.slice(0, to);
        expect(proof.map(hex)).toEqual(subproof(from, entries, true).map(hex));
        const claim = { from, fromRoot: mth(entries.slice(0, from)), to, toRoot: mth(entries), proof };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, fromRoot: flip(claim.fromRoot, bit) })).toBe(false);
        expect(verifyConsistency({ ...claim, toRoot: flip(claim.toRoot, bit) })).toBe(false);
        expect(verifyConsistency({ ...claim, proof: [...proof, emptyRoot] })).toBe(false);
        if (proof.length > 0) {
          expect(verifyConsistency({ ...claim, proof: flipIn(proof, at, bit) })).toBe(false);
          expect(verifyConsistency({ ...claim, proof: proof.slice(1) })).toBe(false);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("every proof in every tree of up to 40 leaves verifies", () => {
    for (let n = 1; n <= 40; n += 1) {
      const { root, inclusion, consistency } = proverFor(n, log.read);
      for (let index = 0; index < n; index += 1) {
        const hash = log.read(0, index);
        expect(verifyInclusion({ leafHash: hash, index, size: n, root, proof: inclusion(index) })).toBe(true);
      }
      for (let from = 0; from <= n; from += 1) {
        const fromRoot = log.rootAt(from);
        expect(verifyConsistency({ from, fromRoot, to: n, toRoot: root, proof: consistency(from) })).toBe(true);
      }
    }
  });

  test("the empty tree is consistent with every tree, but only the real empty tree", () => {
    const toRoot = log.rootAt(5);
    expect(verifyConsistency({ from: 0, fromRoot: emptyRoot, to: 5, toRoot, proof: [] })).toBe(true);
    expect(verifyConsistency({ from: 0, fromRoot: toRoot, to: 5, toRoot, proof: [] })).toBe(false);
    expect(verifyConsistency({ from: 0, fromRoot: emptyRoot, to: 5, toRoot, proof: [toRoot] })).toBe(false);
    expect(proverFor(0, log.read).root).toEqual(emptyRoot);
  });

  test("a proof of a log that shrank is refused", () => {
    expect(verifyConsistency({ from: 5, fromRoot: log.rootAt(5), to: 4, toRoot: log.rootAt(4), proof: [] })).toBe(
      false,
    );
  });

  test("an inner node does not pass for a leaf, nor a larger tree for a smaller one", () => {
    const { root, inclusion, consistency } = proverFor(4, log.read);
    const proof = inclusion(0);
    const inner = log.read(1, 0);
    expect(verifyInclusion({ leafHash: inner, index: 0, size: 4, root, proof: proof.slice(1) })).toBe(false);
    expect(verifyInclusion({ leafHash: log.read(0, 0), index: 0, size: 2, root, proof })).toBe(false);
    expect(verifyInclusion({ leafHash: log.read(0, 2), index: 0, size: 2, root, proof: inclusion(2) })).toBe(false);
    const fromRoot = log.rootAt(2);
    expect(verifyConsistency({ from: 2, fromRoot, to: 8, toRoot: root, proof: consistency(2) })).toBe(false);
    expect(verifyConsistency({ from: 1, fromRoot: log.rootAt(1), to: 2, toRoot: root, proof: consistency(1) })).toBe(
      false,
    );
  });

  test("foreign numbers and hashes are refused, not thrown at the caller", () => {
    const leafHash = log.read(0, 0);
    const claim = { leafHash, index: 0, size: 1, root: leafHash, proof: [] };
    expect(verifyInclusion(claim)).toBe(true);
    for (const bad of [{ index: 1 }, { index: -1 }, { size: 0.5 }, { size: Number.NaN }, { root: utf8("short") }]) {
      expect(verifyInclusion({ ...claim, ...bad })).toBe(false);
    }
    expect(() => proverFor(5, log.read).inclusion(5)).toThrow(RangeError);
    expect(() => proverFor(5, log.read).consistency(6)).toThrow(RangeError);
  });

  test("indexes beyond 2^31 work: a log of 2^40 + 3 leaves, all of them alike", () => {
    const levels = [leafHash(utf8("same"))];
    for (let level = 1; level <= 40; level += 1) {
      const below = levels[level - 1] ?? emptyRoot;
      levels.push(nodeHash(below, below));
    }
    const read = (level: number): Uint8Array => levels[level] ?? emptyRoot;
    const n = 2 ** 40 + 3;
    const old = proverFor(2 ** 33 + 5, read);
    const { root, inclusion, consistency } = proverFor(n, read);
    for (const index of [0, 2 ** 31, 2 ** 32 + 1, 2 ** 39 + 12_345, n - 3, n - 1]) {
      expect(verifyInclusion({ leafHash: read(0), index, size: n, root, proof: inclusion(index) })).toBe(true);
    }
    const proof = consistency(old.size);
    expect(verifyConsistency({ from: old.size, fromRoot: old.root, to: n, toRoot: root, proof })).toBe(true);
  });

  test("a prover hashes the right edge once; its proofs are reads alone, one for each hash at most", () => {
    let reads = 0;
    const prover = proverFor(599, (level, index) => {
      reads += 1;
      return log.read(level, index);
    });
    expect(reads).toBeLessThanOrEqual(20);
    reads = 0;
    const proof = prover.inclusion(300);
    expect(reads).toBeLessThanOrEqual(proof.length);
  });

  test("100,000 leaves and 1,000 proofs", () => {
    const many = logOf(entriesOf(100_000));
    const { root, inclusion } = proverFor(100_000, many.read);
    for (let i = 0; i < 1000; i += 1) {
      const index = i * 99;
      const leaf = many.read(0, index);
      expect(verifyInclusion({ leafHash: leaf, index, size: 100_000, root, proof: inclusion(index) })).toBe(true);
    }
  });
});
