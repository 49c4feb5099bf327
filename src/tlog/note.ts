// A signed note: text that one or more keys signed (C2SP signed-note v1.0.0). The text ends in a newline; after an empty
// line comes one line for each signature: `— <key name> <base64 of key ID and signature>`.
// The text means nothing until `verifyNote` has accepted it.

import { createPublicKey, type KeyObject, sign } from "node:crypto";

import { base64 } from "../std/base64.ts";
import { concat, equalBytes } from "../std/bytes.ts";
import { hasControl, Malformed, parseBase64, quote } from "./text.ts";
import { type Accepted, accept, checkKeyName, type Vkey, vkeyOf } from "./vkey.ts";

/** The specification makes verifiers accept 16 and lets them refuse more, so we neither write nor read more. */
export const maxSignatures = 16;
/** UTF-16 code units of a whole note: sixteen post-quantum signatures of 5 kB fit. */
export const maxNoteLength = 131_072;

export interface SignatureLine {
  readonly name: string;
  /** 4 bytes. */
  readonly keyId: Uint8Array;
  /** What follows the key ID; at least one byte. */
  readonly signature: Uint8Array;
}

export interface SignedNote {
  /** Ends in a newline. Untrusted until verified. */
  readonly body: string;
  /** From 1 to 16. */
  readonly signatures: readonly SignatureLine[];
}

/** Signs with a key that may be anywhere: in memory, in a file, in a device. */
export interface NoteSigner {
  readonly vkey: Vkey;
  /** Ed25519 (RFC 8032) over exactly these bytes: 64 bytes. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
}

export type NoteVerdict =
  /** At least one known key signed, and no line of a known key is bad. One fact for each line of a known key. */
  | { readonly verdict: "verified"; readonly signers: readonly Accepted[] }
  | { readonly verdict: "rejected"; readonly why: "no-known-key" | "bad-signature"; readonly message: string };

/** Throws Malformed where the text is not a signed note, has more than 16 signatures, or is longer than 128 Ki. */
export function parseNote(text: string): SignedNote {
  checkText(text);
  const split = text.lastIndexOf("\n\n");
  if (split < 0) throw new Malformed("signed note", "no empty line stands between text and signatures");
  return { body: text.slice(0, split + 1), signatures: parseSignatureLines(text.slice(split + 2)) };
}

/** The signature lines at the end of a note, or in the answer of a witness: 1 to 16, each ending in a newline. */
export function parseSignatureLines(text: string): readonly SignatureLine[] {
  checkText(text);
  const lines = text.slice(0, -1).split("\n");
  if (lines.length > maxSignatures) {
    throw new Malformed("signed note", `${String(lines.length)} signatures, at most ${String(maxSignatures)} are read`);
  }
  return lines.map(parseSignatureLine);
}

/** The inverse of `parseNote`; throws Malformed for what it would not read. */
export function formatNote({ body, signatures }: SignedNote): string {
  const text = `${body}\n${signatures.map(formatSignatureLine).join("")}`;
  if (!body.endsWith("\n")) throw new Malformed("signed note", "the text of a note ends in a newline");
  parseNote(text);
  return text;
}

/** One line with its newline. */
export const formatSignatureLine = ({ name, keyId, signature }: SignatureLine): string =>
  `— ${name} ${base64(concat(keyId, signature))}\n`;

/** The text of `body` (which ends in a newline) signed by keys of type `ed25519`. Cosigners: `cosign`. */
export function signNote(body: string, ...signers: readonly NoteSigner[]): string {
  return formatNote({ body, signatures: signers.map((signer) => signatureBy(signer, body)) });
}

/**
 * Decides about a note by the keys that the verifier knows. Lines of unknown keys are ignored, also those that share
 * a name or an ID with a known key; a bad line of a known key rejects the note (signed-note, "Signatures").
 */
export function verifyNote(note: SignedNote, vkeys: readonly Vkey[]): NoteVerdict {
  const signers: Accepted[] = [];
  for (const line of note.signatures) {
    const known = vkeys.filter((vkey) => vkey.name === line.name && equalBytes(vkey.keyId, line.keyId));
    if (known.length === 0) continue;
    const accepted = known.map((vkey) => accept(vkey, note.body, line.signature)).find((one) => one !== undefined);
    if (accepted === undefined) {
      return rejected("bad-signature", `the signature of ${line.name} does not fit this text`);
    }
    signers.push(accepted);
  }
  if (signers.length > 0) return { verdict: "verified", signers };
  const names = note.signatures.map((line) => line.name).join(", ");
  return rejected("no-known-key", `no key we know signed; it was signed by ${names}`);
}

/** A signer for an Ed25519 private key of this process. Throws Malformed for other kinds of key and unfit names. */
export function ed25519Signer(name: string, privateKey: KeyObject): NoteSigner {
  return { vkey: vkeyOf(name, "ed25519", rawPublicKey(privateKey)), sign: (bytes) => sign(null, bytes, privateKey) };
}

/** The 32 bytes of an Ed25519 key, private or public. Throws Malformed for other kinds of key. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  if (key.asymmetricKeyType !== "ed25519") {
    throw new Malformed("vkey", `notes are signed with Ed25519, this key is ${key.asymmetricKeyType ?? "symmetric"}`);
  }
  const spki = (key.type === "private" ? createPublicKey(key) : key).export({ format: "der", type: "spki" });
  return spki.subarray(-32); // RFC 8410: the key is the end of the structure
}

function signatureBy({ vkey, sign }: NoteSigner, body: string): SignatureLine {
  if (vkey.type !== "ed25519") throw new Malformed("signed note", `${vkey.name} is a cosigner's key`);
  return { name: vkey.name, keyId: vkey.keyId, signature: sign(Buffer.from(body, "utf8")) };
}

function checkText(text: string): void {
  if (text.length > maxNoteLength)
    throw new Malformed("signed note", `longer than ${String(maxNoteLength)} characters`);
  if (!text.endsWith("\n")) throw new Malformed("signed note", "it does not end in a newline");
  if (hasControl(text, "\n")) throw new Malformed("signed note", "it holds a control character");
  if (!text.isWellFormed()) throw new Malformed("signed note", "it is not valid Unicode");
}

function parseSignatureLine(line: string): SignatureLine {
  const [, name, encoded] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
  if (name === undefined || encoded === undefined) {
    throw new Malformed("signed note", `${quote(line)} is not a signature line: "— name base64"`);
  }
  checkKeyName(name, "signed note");
  const bytes = parseBase64(encoded, "signed note");
  if (bytes.length < 5) throw new Malformed("signed note", `the signature of ${quote(name)} is empty`);
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

const rejected = (why: "no-known-key" | "bad-signature", message: string): NoteVerdict => ({
  verdict: "rejected",
  why,
  message,
});
