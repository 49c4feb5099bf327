// A cosignature: a witness's signed statement that, at a time, a checkpoint was the largest consistent one it had seen
// (C2SP tlog-cosignature v1.0.1, Ed25519 form). It is one more line under the checkpoint: 8 bytes of time, 64 of Ed25519.
// One witness key serves one cosigner and nothing else: the signed message does not name the cosigner.

import { type KeyObject, sign } from "node:crypto";

import type { Cosignature } from "./checkpoint.ts";
import { formatNote, type NoteSigner, parseNote, rawPublicKey, type SignatureLine, verifyNote } from "./note.ts";
import { formatDecimal, Malformed } from "./text.ts";
import type { Vkey } from "./vkey.ts";
import { cosignedMessage, joinTimestamped, vkeyOf } from "./vkey.ts";

/** A cosigner for an Ed25519 private key of this process. Throws Malformed for other kinds of key and unfit names. */
export function cosigner(name: string, privateKey: KeyObject): NoteSigner {
  return {
    vkey: vkeyOf(name, "cosignature", rawPublicKey(privateKey)),
    sign: (bytes) => sign(null, bytes, privateKey),
  };
}

/**
 * The signature line that a witness answers with. `body` is the checkpoint's text without signatures, `time` whole
 * seconds since the epoch, above 0. The witness has checked consistency and stored the checkpoint before it calls this.
 */
export function cosign(body: string, { vkey, sign }: NoteSigner, time: number): SignatureLine {
  if (vkey.type !== "cosignature") throw new Malformed("cosignature", `${vkey.name} is not a cosigner's key`);
  if (formatDecimal(time, "cosignature") === "0") throw new Malformed("cosignature", "the time may not be zero");
  return { name: vkey.name, keyId: vkey.keyId, signature: joinTimestamped(time, sign(cosignedMessage(time, body))) };
}

export type Merge =
  /** `text` is the checkpoint with the cosignatures of known witnesses; `added` says whose came in, perhaps nobody's. */
  | { readonly verdict: "merged"; readonly text: string; readonly added: readonly Cosignature[] }
  | { readonly verdict: "rejected"; readonly message: string };

/**
 * Moves the lines that known witnesses signed from a witness's answer under our checkpoint; a newer line replaces an
 * older one of the same key. Unknown keys are ignored; a bad or undated line of a known witness rejects the answer and
 * leaves the checkpoint as it was. Throws Malformed where `text` is no note or would get more than 16 signatures.
 */
export function mergeCosignatures(text: string, lines: readonly SignatureLine[], witnesses: readonly Vkey[]): Merge {
  const note = parseNote(text);
  const added = new Map<string, { line: SignatureLine; cosignature: Cosignature }>();
  for (const line of lines) {
    const outcome = verifyNote({ body: note.body, signatures: [line] }, witnesses);
    if (outcome.verdict === "rejected" && outcome.why === "no-known-key") continue;
    if (outcome.verdict === "rejected") return outcome;
    const [accepted] = outcome.signers;
    if (accepted?.type !== "cosignature")
      return { verdict: "rejected", message: `${line.name} is not a witness's key` };
    if (accepted.time === 0) return { verdict: "rejected", message: `${line.name} cosigned without a time` };
    added.set(keyOf(line), { line, cosignature: { vkey: accepted.vkey, time: accepted.time } });
  }
  const kept = note.signatures.filter((line) => !added.has(keyOf(line)));
  const merged = [...added.values()];
  return {
    verdict: "merged",
    text: formatNote({ body: note.body, signatures: [...kept, ...merged.map((one) => one.line)] }),
    added: merged.map((one) => one.cosignature),
  };
}

const keyOf = (line: SignatureLine): string => `${line.name}+${Buffer.from(line.keyId).toString("hex")}`;
