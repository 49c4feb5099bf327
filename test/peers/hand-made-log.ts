// A log of three entries made by hand from the C2SP texts, without any of Signet's code: with it the tests of the tools
// learn something about the tools alone.

import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export interface HandMadeLog {
  /** Verifier key, C2SP signed-note: NAME+ID+KEY. */
  readonly vkey: string;
  readonly checkpoint: string;
  /** C2SP tlog-tiles: path below the log's root → content. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** Signs with a new key unless one is given. The entries are shorter than 256 bytes. */
export function handMadeLog(
  origin: string,
  entries: readonly [string, string, string],
  privateKey: KeyObject = generateKeyPairSync("ed25519").privateKey,
): HandMadeLog {
  const publicKey = createPublicKey(privateKey);
  const { id, vkey } = verifierKey(origin, publicKey);
  const [a, b, c] = [leafHash(entries[0]), leafHash(entries[1]), leafHash(entries[2])] as const;
  const root = nodeHash(nodeHash(a, b), c);
  const body = `${origin}\n3\n${root.toString("base64")}\n`;
  const signature = Buffer.concat([id, sign(null, Buffer.from(body), privateKey)]).toString("base64");
  const checkpoint = `${body}\n— ${origin} ${signature}\n`;
  const bundle = entries.flatMap((entry) => [Uint8Array.of(0, entry.length), Buffer.from(entry)]);
  return {
    vkey,
    checkpoint,
    files: {
      checkpoint: Buffer.from(checkpoint),
      "tile/0/000.p/3": Buffer.concat([a, b, c]),
      "tile/entries/000.p/3": Buffer.concat(bundle),
    },
  };
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

// RFC 6962, section 2.1
const leafHash = (entry: string): Buffer => sha256(Uint8Array.of(0), Buffer.from(entry));
const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(Uint8Array.of(1), left, right);

/** The id is the head of a hash over name and key; signature type 1 is Ed25519. */
function verifierKey(name: string, publicKey: KeyObject): { readonly id: Buffer; readonly vkey: string } {
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const key = Buffer.concat([Uint8Array.of(1), raw]);
  const id = sha256(Buffer.from(`${name}\n`), key).subarray(0, 4);
  return { id, vkey: `${name}+${id.toString("hex")}+${key.toString("base64")}` };
}
