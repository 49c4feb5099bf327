// The log's own key: Ed25519, made on the first start, sealed under the master key in a file beside the database.
// It signs checkpoints and nothing else, and is none of the keys that callers may use.

import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../model/errors.ts";
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
const versionOf = (origin: string): SealedVersion => ({
  key: `log ${origin}`,
  number: 1,
  purpose: "RAW_DIGEST",
  algorithm: "ED25519",
});

/** Throws Fault CUSTODY_DOWN where the file does not open under this master key. Durable on return. */
export function logKey({ file, origin, masterKey, random }: LogKeyParts): NoteSigner {
  if (!existsSync(file))
    keep(file, seal(generateKeyPairSync("ed25519").privateKey, versionOf(origin), masterKey, random));
  return ed25519Signer(origin, opened({ file, origin, masterKey }));
}

function opened({ file, origin, masterKey }: Omit<LogKeyParts, "random">): KeyObject {
  try {
    return unseal(readFileSync(file), versionOf(origin), masterKey);
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause;
    throw new Fault(
      "CUSTODY_DOWN",
      `the log's key ${file} does not open: the log here has another origin than ${origin}, another master key sealed it, or it is damaged`,
      { nothingHappened: true, cause },
    );
  }
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
