// A checkpoint: what a log says about itself at one size, as a signed note (C2SP tlog-checkpoint v1.0.0).
// Line 1 is the origin (the log's name), line 2 the number of leaves, line 3 the root hash in base64; further lines are
// extensions, which nobody audits and we do not write. The key that signs bears the origin as its name.

import { type NoteSigner, parseNote, type SignedNote, signNote, verifyNote } from "./note.ts";
import { formatDecimal, formatHash, Malformed, parseDecimal, parseHash } from "./text.ts";
import type { Accepted, Vkey } from "./vkey.ts";

export interface Checkpoint {
  /** The log's identity, by custom its URL without scheme and last slash. Non-empty, one line. */
  readonly origin: string;
  /** Number of leaves, 0 to 2^53-1. */
  readonly size: number;
  /** 32 bytes: the Merkle tree hash of the first `size` leaves (RFC 6962 section 2.1). */
  readonly root: Uint8Array;
  /** Opaque non-empty lines; not recommended by the specification. */
  readonly extensions: readonly string[];
}

/** A witness's word that at `time` (seconds since the epoch, its clock) this was the largest consistent tree it knew. */
export interface Cosignature {
  readonly vkey: Vkey;
  readonly time: number;
}

export type CheckpointFlaw = "malformed" | "no-known-key" | "bad-signature" | "wrong-origin";

export type CheckpointVerdict =
  | {
      readonly verdict: "verified";
      readonly checkpoint: Checkpoint;
      /** The log keys that signed; at least one. */
      readonly signedBy: readonly Vkey[];
      /** Of known witnesses only; perhaps none. */
      readonly cosignatures: readonly Cosignature[];
    }
  | { readonly verdict: "rejected"; readonly why: CheckpointFlaw; readonly message: string };

/** Whose word counts. A checkpoint needs one of `logs`; `witnesses` (type `cosignature`) are reported. */
export interface Trusted {
  readonly logs: readonly Vkey[];
  readonly witnesses?: readonly Vkey[];
}

/** The body of the note, with its last newline. Throws Malformed for what `parseCheckpoint` would not read. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  const { origin, size, root, extensions } = checkpoint;
  const lines = [origin, formatDecimal(size, "checkpoint"), formatHash(root, "checkpoint"), ...extensions];
  if (lines.some((line) => line === "" || line.includes("\n"))) {
    throw new Malformed("checkpoint", "origin and extensions are non-empty single lines");
  }
  return `${lines.join("\n")}\n`;
}

/** Reads the body of a note; says nothing about who signed it. Throws Malformed with the line. */
export function parseCheckpoint(body: string): Checkpoint {
  if (!body.endsWith("\n")) throw new Malformed("checkpoint", "it does not end in a newline");
  const [origin, size, root, ...extensions] = body.slice(0, -1).split("\n");
  if (origin === undefined || size === undefined || root === undefined) {
    throw new Malformed("checkpoint", "it has fewer than three lines");
  }
  if (origin === "") throw new Malformed("checkpoint", "the origin is empty", 1);
  const empty = extensions.indexOf("");
  if (empty >= 0) throw new Malformed("checkpoint", "an extension line is empty", empty + 4);
  return {
    origin,
    size: parseDecimal(size, "checkpoint", 2),
    root: parseHash(root, "checkpoint", 3),
    extensions,
  };
}

/** The checkpoint as a signed note. The caller answers for its durability: a signed checkpoint can never be taken back. */
export const signCheckpoint = (checkpoint: Checkpoint, ...signers: readonly NoteSigner[]): string =>
  signNote(formatCheckpoint(checkpoint), ...signers);

/**
 * Verifies the note, and that the log key that signed bears the origin as its name, so that the key of one log cannot
 * speak for another. Never throws for foreign text.
 */
export function verifyCheckpoint(text: string, trusted: Trusted): CheckpointVerdict {
  let note: SignedNote;
  let checkpoint: Checkpoint;
  try {
    note = parseNote(text);
    checkpoint = parseCheckpoint(note.body);
  } catch (error) {
    if (error instanceof Malformed) return rejected("malformed", error.message);
    throw error;
  }
  const outcome = verifyNote(note, [...trusted.logs, ...(trusted.witnesses ?? [])]);
  if (outcome.verdict === "rejected") return outcome;
  const logs = outcome.signers.map((one) => one.vkey).filter((vkey) => trusted.logs.includes(vkey));
  if (logs.length === 0) return rejected("no-known-key", "witnesses signed it, but no log key we know");
  if (!logs.every((vkey) => vkey.name === checkpoint.origin)) {
    const names = logs.map((vkey) => vkey.name).join(", ");
    return rejected("wrong-origin", `the origin is ${checkpoint.origin}, but it was signed for ${names}`);
  }
  return {
    verdict: "verified",
    checkpoint,
    signedBy: [...new Set(logs)],
    cosignatures: cosignaturesOf(outcome.signers, trusted),
  };
}

function cosignaturesOf(signers: readonly Accepted[], trusted: Trusted): readonly Cosignature[] {
  return signers.flatMap((one) =>
    one.type === "cosignature" && trusted.witnesses?.includes(one.vkey) ? [{ vkey: one.vkey, time: one.time }] : [],
  );
}

const rejected = (why: CheckpointFlaw, message: string): CheckpointVerdict => ({ verdict: "rejected", why, message });
