// A signing session between two commands of one job: its token and the job's key, in a file that only the job reads.

import { join } from "node:path";

import type { KeyAlgorithm, Purpose } from "../model/key.ts";
import { keyAlgorithms, purposes } from "../model/key.ts";
import { isJsonObject } from "../std/json.ts";
import type { Session } from "./answers.ts";
import { BadFile, readPrivate, writePrivate } from "./files.ts";
import { formatProofKey, type ProofKey, parseProofKey } from "./proof.ts";

export interface SessionKey {
  readonly name: string;
  readonly purpose: Purpose;
  /** Of the version that signs now; undefined where none does. */
  readonly algorithm: KeyAlgorithm | undefined;
}

export interface HeldSession {
  readonly server: string;
  /** Path of a PEM file, as it was given when the session opened. */
  readonly ca: string | undefined;
  /** `ss_…` */
  readonly name: string;
  /** RFC 3339. */
  readonly expiresAt: string;
  readonly keys: readonly SessionKey[];
  readonly token: string;
  readonly key: ProofKey;
}

export const sessionKeys = (session: Session): readonly SessionKey[] =>
  session.keys.map(({ name, purpose, current }) => ({ name, purpose, algorithm: current.at(-1)?.algorithm }));

/** The path of the file. */
export async function keepSession(folder: string, held: HeldSession): Promise<string> {
  const path = join(folder, `session-${held.name}.json`);
  await writePrivate(path, `${JSON.stringify({ ...held, key: formatProofKey(held.key) })}\n`);
  return path;
}

/** Undefined where there is no such file. Throws BadFile. */
export async function readSession(path: string): Promise<HeldSession | undefined> {
  const content = await readPrivate(path);
  if (content === undefined) return undefined;
  try {
    return parseHeld(JSON.parse(content));
  } catch (error) {
    throw new BadFile(`${path} is not a session file of signet session open`, { cause: error });
  }
}

function parseHeld(value: unknown): HeldSession {
  if (!isJsonObject(value)) throw new TypeError("not an object");
  const { server, ca, name, expiresAt, token, key, keys } = value;
  if (
    !isText(server) ||
    !isText(name) ||
    !isText(expiresAt) ||
    !isText(token) ||
    !isText(key) ||
    !Array.isArray(keys)
  ) {
    throw new TypeError("a member is missing");
  }
  return {
    server,
    ca: isText(ca) ? ca : undefined,
    name,
    expiresAt,
    token,
    key: parseProofKey(key),
    keys: keys.map(parseSessionKey),
  };
}

function parseSessionKey(value: unknown): SessionKey {
  const { name, purpose, algorithm } = isJsonObject(value) ? value : {};
  const known = purposes.find((one) => one === purpose);
  if (!isText(name) || known === undefined) throw new TypeError("a key is not one");
  return { name, purpose: known, algorithm: keyAlgorithms.find((one) => one === algorithm) };
}

const isText = (value: unknown): value is string => typeof value === "string";
