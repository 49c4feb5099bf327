// What a log says to a witness and what it hears back, as text (C2SP tlog-witness v1.0.0, add-checkpoint).
// Sending is the business of others; nothing heard here is trusted before `mergeCosignatures` has verified it.

import { sha256Hex } from "../std/digest.ts";
import { parseNote, parseSignatureLines, type SignatureLine } from "./note.ts";
import { formatDecimal, formatHash, Malformed, parseDecimal, parseHash } from "./text.ts";

/** A consistency proof has at most this many hashes on the wire. */
export const maxProofHashes = 63;

export interface AddCheckpoint {
  /** Size of the last checkpoint that this witness cosigned; 0 where it never did, then the proof is empty. */
  readonly old: number;
  /** Consistency proof from `old` to the size of the checkpoint. */
  readonly proof: readonly Uint8Array[];
  /** The signed note, verbatim. */
  readonly checkpoint: string;
}

/** The body of `POST <submission prefix>/add-checkpoint`. Throws Malformed for what a witness could not read. */
export function formatAddCheckpoint({ old, proof, checkpoint }: AddCheckpoint): string {
  checkProof(proof.length);
  parseNote(checkpoint);
  const lines = [
    `old ${formatDecimal(old, "add-checkpoint")}`,
    ...proof.map((hash) => formatHash(hash, "add-checkpoint")),
  ];
  return `${lines.join("\n")}\n\n${checkpoint}`;
}

/** The witness's side. Throws Malformed with the line; signatures and proof are still to be verified. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  const split = body.indexOf("\n\n");
  if (split < 0) throw new Malformed("add-checkpoint", "no empty line stands before the checkpoint");
  const [first = "", ...hashes] = body.slice(0, split).split("\n");
  if (!first.startsWith("old ")) throw new Malformed("add-checkpoint", 'the first line is "old <size>"', 1);
  checkProof(hashes.length);
  const checkpoint = body.slice(split + 2);
  parseNote(checkpoint);
  return {
    old: parseDecimal(first.slice("old ".length), "add-checkpoint", 1),
    proof: hashes.map((hash, i) => parseHash(hash, "add-checkpoint", i + 2)),
    checkpoint,
  };
}

/** The parts of an HTTP response that carry meaning. `contentType` as in the header, perhaps with parameters. */
export interface WitnessResponse {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: string;
}

export type WitnessAnswer =
  /** 200: signature lines, not verified yet. */
  | { readonly answer: "cosigned"; readonly lines: readonly SignatureLine[] }
  /** 409: the witness is at `size`. Ask again with a proof from there; if `size` is above ours, we were rolled back. */
  | { readonly answer: "conflict"; readonly size: number }
  /** 422: the witness holds another history, or the proof is wrong. */
  | { readonly answer: "inconsistent" }
  /** 403: it does not trust our key, or our signature is bad. */
  | { readonly answer: "untrusted" }
  /** 404: it does not know our origin. */
  | { readonly answer: "unknown-log" }
  /** 400: our request was wrong, such as an old size above the new. */
  | { readonly answer: "bad-request" }
  /** Anything else, also a 200 or 409 with a body that is not of its form. Perhaps passing. */
  | { readonly answer: "unexpected"; readonly status: number; readonly what: string };

/** Never throws for foreign responses. */
export function readAnswer(response: WitnessResponse): WitnessAnswer {
  switch (response.status) {
    case 200:
      return formed(response, () => ({ answer: "cosigned", lines: parseSignatureLines(response.body) }));
    case 400:
      return { answer: "bad-request" };
    case 403:
      return { answer: "untrusted" };
    case 404:
      return { answer: "unknown-log" };
    case 409:
      return formed(response, () => ({ answer: "conflict", size: parseSizeBody(response) }));
    case 422:
      return { answer: "inconsistent" };
    default:
      return { answer: "unexpected", status: response.status, what: "the status is none of tlog-witness" };
  }
}

/** Where below its monitoring prefix a witness shows the last checkpoint it cosigned for this log. */
export const monitoringPath = (origin: string): string => `${sha256Hex(origin)}/checkpoint`;

function formed(response: WitnessResponse, read: () => WitnessAnswer): WitnessAnswer {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { answer: "unexpected", status: response.status, what: error.message };
  }
}

function parseSizeBody({ contentType, body }: WitnessResponse): number {
  const type = contentType?.split(";")[0]?.trim().toLowerCase();
  if (type !== "text/x.tlog.size") throw new Malformed("conflict", "its content type is not text/x.tlog.size");
  if (!body.endsWith("\n")) throw new Malformed("conflict", "its body is not a size and a newline");
  return parseDecimal(body.slice(0, -1), "conflict");
}

function checkProof(length: number): void {
  if (length > maxProofHashes)
    throw new Malformed("add-checkpoint", `${String(length)} hashes, at most 63 may be sent`);
}
