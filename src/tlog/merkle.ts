// The Merkle tree of the log: hashes, the frontier that grows it, proofs and their verification (RFC 6962 section 2.1,
// verification as in RFC 9162 sections 2.1.3 and 2.1.4). SHA-256 throughout; sizes and indexes up to 2^53-1.
//
// Coordinates: node (level, index) covers the leaves [index·2^level, (index+1)·2^level); level 0 holds the leaf hashes.
// A node is complete when all those leaves exist: then it never changes again, and a `HashReader` can give it.
// At most one node of each level is incomplete, the last; those are the right edge of one size, made by `proverFor`.

import { hash } from "node:crypto";

import { concat, equalBytes } from "../std/bytes.ts";
import { sha256 } from "../std/digest.ts";
import { hashLength, Malformed } from "./text.ts";

/** The hash of a complete node. Asked only for nodes complete at the size at hand; throws what it likes if it fails. */
export type HashReader = (level: number, index: number) => Uint8Array;

/** Told of each node in the moment it becomes complete, children before parents, left before right. */
export type NodeSeen = (level: number, index: number, hash: Uint8Array) => void;

const leafScratch = Buffer.alloc(1 + 4096); // byte 0 stays 0x00: the domain of leaves
const nodeScratch = Buffer.alloc(1 + 2 * hashLength);
nodeScratch[0] = 0x01; // the domain of inner nodes

/** SHA-256(0x00, leaf). */
export function leafHash(leaf: Uint8Array): Uint8Array {
  if (leaf.length >= leafScratch.length) return sha256(concat(Uint8Array.of(0), leaf));
  leafScratch.set(leaf, 1);
  return hash("sha256", leafScratch.subarray(0, 1 + leaf.length), "buffer");
}

/** SHA-256(0x01, left, right); both 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 1 + hashLength);
  return hash("sha256", nodeScratch, "buffer");
}

/** The root of the tree without leaves: SHA-256 of nothing. */
export const emptyRoot: Uint8Array = sha256("");

/**
 * All that is needed to append and to know the root: the complete subtrees that make up the first `size` leaves,
 * largest first, one for each 1 bit of `size`. A value: appending makes a new one, so a failed commit costs nothing.
 */
export interface Frontier {
  readonly size: number;
  readonly hashes: readonly Uint8Array[];
}

export const emptyFrontier: Frontier = { size: 0, hashes: [] };

/** The frontier after these leaf hashes. Costs one hash for each leaf on average. */
export function append(frontier: Frontier, leafHashes: readonly Uint8Array[], seen?: NodeSeen): Frontier {
  const hashes = [...frontier.hashes];
  let size = frontier.size;
  for (const leaf of leafHashes) {
    let [level, index, node] = [0, size, leaf];
    seen?.(level, index, node);
    for (; index % 2 === 1; index = half(index)) {
      node = nodeHash(popped(hashes), node);
      level += 1;
      seen?.(level, half(index), node);
    }
    hashes.push(node);
    size += 1;
  }
  return { size, hashes };
}

/** The Merkle tree hash of all leaves so far. */
export const rootOf = ({ hashes }: Frontier): Uint8Array =>
  hashes.length === 0 ? emptyRoot : hashes.reduceRight((right, left) => nodeHash(left, right));

/** For storing beside the size: the hashes one after the other. */
export const encodeFrontier = ({ hashes }: Frontier): Uint8Array => concat(...hashes);

/** The inverse of `encodeFrontier`. Throws Malformed where the number of bytes does not fit `size`. */
export function decodeFrontier(size: number, bytes: Uint8Array): Frontier {
  const count = Number.isSafeInteger(size) && size >= 0 ? size.toString(2).replaceAll("0", "").length : -1;
  if (bytes.length !== count * hashLength) {
    throw new Malformed("frontier", `${String(bytes.length)} bytes do not fit a tree of ${String(size)} leaves`);
  }
  return {
    size,
    hashes: Array.from({ length: count }, (_, i) => bytes.subarray(i * hashLength, (i + 1) * hashLength)),
  };
}

/** Makes proofs in the tree of one size. */
export interface Prover {
  readonly size: number;
  readonly root: Uint8Array;
  /** Siblings from the leaf up, for 0 <= index < size (RFC 6962 section 2.1.1). Throws RangeError outside. */
  readonly inclusion: (index: number) => readonly Uint8Array[];
  /** The proof from an older size, 0 <= from <= size (RFC 6962 section 2.1.2); empty for 0 and `size`. RangeError outside. */
  readonly consistency: (from: number) => readonly Uint8Array[];
}

/**
 * The prover for the first `size` leaves. The right edge is hashed once, here (at most one hash for each level);
 * after that a proof is reads alone: make one prover for each checkpoint and share it.
 */
export function proverFor(size: number, read: HashReader): Prover {
  checkRange(size, 0, Number.MAX_SAFE_INTEGER);
  const edge = rightEdge(size, read);
  const nodeAt = (level: number, index: number): Uint8Array => {
    const last = edge[level];
    return last?.index === index ? last.hash : read(level, index);
  };
  /** Siblings on the way from a node to the root, bottom up. A last node without sibling is its own parent: no step. */
  const siblings = (level: number, index: number): Uint8Array[] => {
    const path: Uint8Array[] = [];
    for (
      let [at, width] = [index, nodesAt(size, level)];
      width > 1;
      at = half(at), width = half(width + 1), level += 1
    ) {
      if (at % 2 === 1) path.push(nodeAt(level, at - 1));
      else if (at + 1 < width) path.push(nodeAt(level, at + 1));
    }
    return path;
  };
  return {
    size,
    root: size === 0 ? emptyRoot : nodeAt(edge.length - 1, 0),
    inclusion(index) {
      checkRange(index, 0, size - 1);
      return siblings(0, index);
    },
    consistency(from) {
      checkRange(from, 0, size);
      if (from === 0 || from === size) return [];
      // The largest complete node that ends the old tree. If it is the whole old tree, the verifier has it already.
      let [level, index] = [0, from - 1];
      for (; index % 2 === 1; index = half(index)) level += 1;
      return index === 0 ? siblings(level, index) : [nodeAt(level, index), ...siblings(level, index)];
    },
  };
}

/** The last node of each level, from the leaves to the root: as read where it is complete, else hashed from below. */
function rightEdge(size: number, read: HashReader): { index: number; hash: Uint8Array }[] {
  const edge: { index: number; hash: Uint8Array }[] = [];
  let below: Uint8Array | undefined; // hash of the last node of the level below
  let span = 1; // leaves under a complete node of this level
  for (let [level, width] = [0, size]; width > 0; level += 1, span *= 2) {
    const index = width - 1;
    let hash: Uint8Array;
    if (below === undefined || size % span === 0) hash = read(level, index);
    else if (nodesAt(size, level - 1) % 2 === 1) hash = below;
    else hash = nodeHash(read(level - 1, 2 * index), below);
    edge.push({ index, hash });
    below = hash;
    width = width === 1 ? 0 : half(width + 1);
  }
  return edge;
}

export interface InclusionClaim {
  readonly leafHash: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** Whether the leaf is at `index` in the tree of this size and root (RFC 9162 section 2.1.3.2). Never throws. */
export function verifyInclusion({ leafHash, index, size, root, proof }: InclusionClaim): boolean {
  if (!isCount(size) || !isCount(index) || index >= size || !areHashes([leafHash, root, ...proof])) return false;
  let [at, last, node] = [index, size - 1, leafHash];
  for (const sibling of proof) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      node = nodeHash(sibling, node);
      [at, last] = liftRight(at, last);
    } else {
      node = nodeHash(node, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && equalBytes(node, root);
}

export interface ConsistencyClaim {
  readonly from: number;
  readonly fromRoot: Uint8Array;
  readonly to: number;
  readonly toRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * Whether the larger tree only appended to the smaller (RFC 9162 section 2.1.4.2). Between equal sizes the roots must
 * be equal; the empty tree is consistent with every tree; both take an empty proof. Never throws.
 */
export function verifyConsistency({ from, fromRoot, to, toRoot, proof }: ConsistencyClaim): boolean {
  if (!isCount(from) || !isCount(to) || from > to || !areHashes([fromRoot, toRoot, ...proof])) return false;
  if (from === to) return proof.length === 0 && equalBytes(fromRoot, toRoot);
  if (from === 0) return proof.length === 0 && equalBytes(fromRoot, emptyRoot);
  let [at, last] = [from - 1, to - 1];
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  const [first, ...rest] = at === 0 ? [fromRoot, ...proof] : proof; // at 0: the old tree is one complete node
  if (first === undefined) return false;
  let [oldNode, newNode] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      oldNode = nodeHash(sibling, oldNode);
      newNode = nodeHash(sibling, newNode);
      [at, last] = liftRight(at, last);
    } else {
      newNode = nodeHash(newNode, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && equalBytes(oldNode, fromRoot) && equalBytes(newNode, toRoot);
}

/** RFC 9162: where the node is a left child (the last of its level), go up until it is a right child, or the root. */
function liftRight(at: number, last: number): [number, number] {
  while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
  return [at, last];
}

// Sizes pass 2^31, where the bit operators of the language end.
const half = (n: number): number => Math.floor(n / 2);
const nodesAt = (size: number, level: number): number => Math.ceil(size / 2 ** level);
const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
const areHashes = (hashes: readonly Uint8Array[]): boolean => hashes.every((one) => one.length === hashLength);

function popped(hashes: Uint8Array[]): Uint8Array {
  const last = hashes.pop();
  if (last === undefined) throw new Malformed("frontier", "it has fewer hashes than its size has 1 bits");
  return last;
}

function checkRange(n: number, low: number, high: number): void {
  if (!Number.isSafeInteger(n) || n < low || n > high) {
    throw new RangeError(`${String(n)} is outside ${String(low)} to ${String(high)}`);
  }
}
