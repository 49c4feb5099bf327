// A receipt: proof, in one small text, that an entry is in the log (C2SP tlog-proof, file extension `.tlog-proof`).
// `c2sp.org/tlog-proof@v1`, perhaps `extra <base64>`, `index <n>`, the sibling hashes from leaf to root, an empty line,
// the checkpoint verbatim. Our receipts carry the leaf itself as `extra`: it is authenticated by its hash in the tree,
// so receipt, artifact and the log's vkey are enough, offline.

import { base64 } from "../std/base64.ts";
import { type Checkpoint, type CheckpointFlaw, type Cosignature, verifyCheckpoint } from "./checkpoint.ts";
import { leafHash, verifyInclusion } from "./merkle.ts";
import { maxNoteLength } from "./note.ts";
import { type Policy, satisfied } from "./policy.ts";
import { formatDecimal, formatHash, Malformed, parseBase64, parseDecimal, parseHash } from "./text.ts";
import { maxEntryLength } from "./tile.ts";
import type { Vkey } from "./vkey.ts";

export interface Receipt {
  /** 1 to 65,535 opaque bytes; ours are the leaf. Not authenticated by the format. */
  readonly extra?: Uint8Array;
  /** Of the entry, from 0. */
  readonly index: number;
  /** Inclusion proof, leaf's sibling first; at most 63. */
  readonly hashes: readonly Uint8Array[];
  /** The signed note, verbatim. */
  readonly checkpoint: string;
}

const header = "c2sp.org/tlog-proof@v1";
const maxHashes = 63;
const maxHeadLength = 100_000; // 65,535 bytes in base64, 63 hashes, and the short lines

/** Throws Malformed for what `parseReceipt` would not read. */
export function formatReceipt(receipt: Receipt): string {
  const { extra, index, hashes, checkpoint } = receipt;
  if (hashes.length > maxHashes) throw new Malformed("tlog-proof", `${String(hashes.length)} hashes, more than 63`);
  if (extra !== undefined) checkExtra(extra);
  const lines = [
    header,
    ...(extra === undefined ? [] : [`extra ${base64(extra)}`]),
    `index ${formatDecimal(index, "tlog-proof")}`,
    ...hashes.map((hash) => formatHash(hash, "tlog-proof")),
  ];
  return `${lines.join("\n")}\n\n${checkpoint}`;
}

/** Reads the form only; the checkpoint stays text until it is verified. Throws Malformed with the line. */
export function parseReceipt(text: string): Receipt {
  if (text.length > maxHeadLength + maxNoteLength) throw new Malformed("tlog-proof", "it is too long");
  const split = text.indexOf("\n\n");
  if (split < 0) throw new Malformed("tlog-proof", "no empty line stands before the checkpoint");
  const lines = text.slice(0, split).split("\n");
  if (lines[0] !== header) throw new Malformed("tlog-proof", `the first line is not ${header}`, 1);
  const extra = lines[1]?.startsWith("extra ") ? parseExtra(lines[1]) : undefined;
  const at = extra === undefined ? 1 : 2;
  const index = lines[at];
  if (!index?.startsWith("index ")) throw new Malformed("tlog-proof", 'this line is "index <number>"', at + 1);
  const hashes = lines.slice(at + 1);
  if (hashes.length > maxHashes) throw new Malformed("tlog-proof", `${String(hashes.length)} hashes, more than 63`);
  return {
    ...(extra === undefined ? {} : { extra }),
    index: parseDecimal(index.slice("index ".length), "tlog-proof", at + 1),
    hashes: hashes.map((hash, i) => parseHash(hash, "tlog-proof", at + 2 + i)),
    checkpoint: text.slice(split + 2),
  };
}

export interface ReceiptQuestion {
  /** The text of the `.tlog-proof` file. */
  readonly receipt: string;
  /** The exact bytes of the entry, where the asker has them; else the receipt's `extra` is taken for the leaf. */
  readonly leaf?: Uint8Array;
  /** Log keys that are trusted, each for the origin it bears as its name; those of the policy count too. */
  readonly logs: readonly Vkey[];
  /** Witnesses and quorum to ask for. Without it nobody's cosignature is looked at. */
  readonly policy?: Policy;
}

/** What a verified receipt says. */
export interface ReceiptFacts {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly checkpoint: Checkpoint;
  readonly signedBy: readonly Vkey[];
  /** Of the policy's witnesses. */
  readonly cosignatures: readonly Cosignature[];
}

export type ReceiptVerdict =
  /** The leaf is in the log. `witnessed`: a policy asked for a quorum and it was there; false where none was asked for. */
  | { readonly verdict: "in-log"; readonly witnessed: boolean; readonly facts: ReceiptFacts }
  /** The leaf is in the log, but the policy asks for cosignatures that are not there. */
  | {
      readonly verdict: "rejected";
      readonly why: "not-witnessed";
      readonly message: string;
      readonly facts: ReceiptFacts;
    }
  | {
      readonly verdict: "rejected";
      readonly why: CheckpointFlaw | "no-leaf" | "not-included";
      readonly message: string;
    };

/** tlog-proof, "Verifying a tlog proof". Never throws for foreign text. */
export function verifyReceipt({ receipt, leaf: given, logs, policy }: ReceiptQuestion): ReceiptVerdict {
  let parsed: Receipt;
  try {
    parsed = parseReceipt(receipt);
  } catch (error) {
    if (error instanceof Malformed) return { verdict: "rejected", why: "malformed", message: error.message };
    throw error;
  }
  const leaf = given ?? parsed.extra;
  if (leaf === undefined) {
    return {
      verdict: "rejected",
      why: "no-leaf",
      message: "the receipt does not carry the entry; give its exact bytes",
    };
  }
  const outcome = verifyCheckpoint(parsed.checkpoint, {
    logs: [...logs, ...(policy?.logs ?? []).map((log) => log.vkey)],
    witnesses: (policy?.witnesses ?? []).map((witness) => witness.vkey),
  });
  if (outcome.verdict === "rejected") return outcome;
  const { checkpoint, signedBy, cosignatures } = outcome;
  const { size, root } = checkpoint;
  const { index, hashes: proof } = parsed;
  if (!verifyInclusion({ leafHash: leafHash(leaf), index, size, root, proof })) {
    const message = `the proof does not lead from this entry at index ${String(index)} to the root of the checkpoint`;
    return { verdict: "rejected", why: "not-included", message };
  }
  const facts = { leaf, index, checkpoint, signedBy, cosignatures };
  if (
    policy &&
    !satisfied(
      policy,
      cosignatures.map((one) => one.vkey),
    )
  ) {
    const message = `it is in the log, but the quorum ${policy.quorum} of the policy has not cosigned this checkpoint`;
    return { verdict: "rejected", why: "not-witnessed", message, facts };
  }
  return { verdict: "in-log", witnessed: policy !== undefined && policy.quorum !== "none", facts };
}

function parseExtra(line: string): Uint8Array {
  const extra = parseBase64(line.slice("extra ".length), "tlog-proof", 2);
  checkExtra(extra);
  return extra;
}

function checkExtra(extra: Uint8Array): void {
  if (extra.length === 0 || extra.length > maxEntryLength) {
    throw new Malformed("tlog-proof", `extra data has 1 to 65535 bytes, not ${String(extra.length)}`, 2);
  }
}
