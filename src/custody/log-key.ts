// The log's own key: Ed25519, made on the first start, sealed under the master key in a file beside the database.
// It signs checkpoints and nothing else, and is none of the keys that callers may use.

import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Random } from "../std/clock.ts";
import type { Secret } from "../std/secret.ts";
import { ed25519Signer, type NoteSigner } from "../tlog/note.ts";
import { type SealedVersion, seal, unseal } from "./software-seal.ts";

export interface LogKeyParts {
  readonly file: string;
  /** Name of the key in signed notes. */
  readonly origin: string;
  readonly masterKey: Secret;
  readonly random: Random;
}

/** Bound to the log's origin: a key file of another log does not open. */
const versionOf = (origin: string): SealedVersion => ({ key: `log ${origin}`, number: 1, purpose: "RAW_DIGEST", algorithm: "ED25519" });

/** Throws Fault CUSTODY_DOWN where the file does not open under this master key. Durable on return. */
export function logKey({ file, origin, masterKey, random }: LogKeyParts): NoteSigner {
  if (!existsSync(file)) keep(file, seal(generateKeyPairSync("ed25519").privateKey, versionOf(origin), masterKey, random));
  return ed25519Signer(origin, unseal(readFileSync(file), versionOf(origin), masterKey));
}

function keep(file: string, sealed: Uint8Array): void {
  const half = `${file}.new`;
  const handle = openSync(half, "w", 0o600);
  try {
    writeSync(handle, sealed);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(half, file);
  const directory = openSync(dirname(file), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
