// The embedded custody: private keys sealed at rest under a master key, opened once into this process, never given out.
// Whoever reads this process's memory has the keys; what it protects against and what not: docs/custody/software.md.
//
// Where a signature is made follows from what it costs. P-256 and Ed25519 take 30 µs: on the spot, a few at a time.
// Batches, and P-384 and RSA (1 to 2 ms), go to the thread pool, or a batch of 100 would stop everybody. Digest form runs
// on the event loop (no pooled function does it), one signature per turn of the loop.

import { createPublicKey, sign as cryptoSign, generateKeyPair, type KeyObject } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";

import { z } from "zod";

import { Fault } from "../model/errors.ts";
import { type ToBeSigned, unfitDigest } from "../model/item.ts";
import {
  hashOf,
  isPss,
  type KeyAlgorithm,
  type KeyVersion,
  keyAlgorithms,
  type Protection,
  signsDigests,
  versionId,
} from "../model/key.ts";
import type { Custody, KeyDescription, NewKey } from "../ports/custody.ts";
import type { SealedKeys } from "../ports/sealed-keys.ts";
import type { Random } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { pss } from "../std/rsa-pss.ts";
import type { Secret } from "../std/secret.ts";
import { unlessAborted } from "../std/unless-aborted.ts";
import { type CustodyKind, named } from "./kind.ts";
import { signDigest } from "./software-digest.ts";
import { masterKeyLength, type SealedVersion, seal, unseal } from "./software-seal.ts";
import { inTurns, type Turns } from "./turns.ts";

export interface SoftwareParts {
  readonly sealedKeys: SealedKeys;
  /** 32 bytes. Never stored beside the sealed keys. */
  readonly masterKey: Secret;
  /** Nonces of sealed keys. The keys themselves come from OpenSSL's generator. */
  readonly random: Random;
}

export type SoftwareCustody = Custody & Required<Pick<Custody, "create" | "destroy">>;

const config = z.strictObject({ kind: z.literal("software"), ...named });

export const softwareKind: CustodyKind<"software", typeof config> = {
  kind: "software",
  config,
  open: (_config, { sealedKeys, random, masterKey }) => software({ sealedKeys, masterKey, random }),
};

/** Throws RangeError where the master key has not 32 bytes. */
export function software(parts: SoftwareParts): SoftwareCustody {
  const length = parts.masterKey.reveal().length;
  if (length !== masterKeyLength) {
    throw new RangeError(
      `the master key has ${String(length)} bytes, it takes ${String(masterKeyLength)}: openssl rand 32`,
    );
  }
  return new Software(parts);
}

/** A private key in this process. */
interface Held {
  readonly privateKey: KeyObject;
  readonly publicKey: string;
  readonly fingerprint: string;
}

class Software implements SoftwareCustody {
  readonly kind = "software";
  readonly outside = false;
  readonly algorithms = keyAlgorithms;

  readonly #parts: SoftwareParts;
  readonly #held = new Map<string, Promise<Held>>();
  #closed = false;

  /** Of the four threads that files and DNS also wait for, slow signatures take three. */
  readonly #slow = inTurns(3);
  /** Enough to keep every thread busy, few enough to stay fair between batches. */
  readonly #fast = inTurns(16);
  readonly #onTheLoop = inTurns(1);

  constructor(parts: SoftwareParts) {
    this.#parts = parts;
  }

  async sign(key: KeyVersion, items: readonly ToBeSigned[], signal: AbortSignal): Promise<readonly Uint8Array[]> {
    for (const item of items) checkForm(key, item);
    const { privateKey, fingerprint } = await this.#hold(key);
    if (fingerprint !== key.fingerprint) throw otherKey(key);
    if (signal.aborted) throw timeout(key, true);

    const onTheSpot = isFast(key.algorithm) && items.length <= mostOnTheSpot;
    const one = (item: ToBeSigned): Promise<Uint8Array> => {
      if (item.form === "digest") return this.#onTheLoop(() => digestForm(key, item.bytes, privateKey, signal));
      if (onTheSpot) return Promise.resolve(cryptoSign(hashOf(key.algorithm) ?? null, item.bytes, privateKey));
      return this.#poolFor(key.algorithm)(() => messageForm(key, item.bytes, privateKey, signal));
    };
    return orFault(key, false, () => Promise.all(items.map(one)));
  }

  async create(version: SealedVersion, signal: AbortSignal): Promise<NewKey> {
    if (signal.aborted) throw timeout(version, true);
    const late = (): Fault => timeout(version, false); // a key that is kept after all is found by the next attempt
    return orFault(version, false, () => unlessAborted(this.#create(version), signal, late));
  }

  /** Signatures that were asked for before may still come: the process lets go of the key when they are done. */
  async destroy(version: KeyVersion, signal: AbortSignal): Promise<{ readonly until?: string }> {
    if (this.#closed) throw unused(version, "the custody is closed");
    if (signal.aborted) throw timeout(version, true);
    await orFault(version, false, () => this.#parts.sealedKeys.remove(version.key, version.number));
    this.#held.delete(heldAs(version));
    return {};
  }

  /** A sealed key opens only for the version that it was made for: one that is not recorded here cannot be described. */
  async describe(uri: string, signal: AbortSignal, known?: KeyVersion): Promise<KeyDescription | undefined> {
    if (known?.uri !== uri) return undefined;
    if (signal.aborted) throw timeout(known, true);
    if ((await this.#parts.sealedKeys.find(known.key, known.number)) === undefined) return undefined;
    const { publicKey } = await this.#hold(known);
    return { publicKey, uri, algorithm: known.algorithm, protection: inThisProcess };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#held.clear();
    return Promise.resolve();
  }

  /** What comes back is read again from where it is kept: it is durable, it opens, and of two at once both get the same. */
  async #create(version: SealedVersion): Promise<NewKey> {
    const { sealedKeys, masterKey, random } = this.#parts;
    if ((await sealedKeys.find(version.key, version.number)) === undefined) {
      const fresh = await generate(version.algorithm);
      await sealedKeys.keep(version.key, version.number, seal(fresh, version, masterKey, random));
    }
    const { publicKey } = await this.#hold(version);
    return { publicKey, uri: `software:${versionId(version)}` };
  }

  #hold(version: SealedVersion): Promise<Held> {
    if (this.#closed) return Promise.reject(unused(version, "the custody is closed"));
    const id = heldAs(version);
    const known = this.#held.get(id);
    if (known !== undefined) return known;
    const opening = orFault(version, true, () => this.#open(version));
    this.#held.set(id, opening);
    opening.catch(() => this.#held.delete(id)); // the next one tries again
    return opening;
  }

  async #open(version: SealedVersion): Promise<Held> {
    const sealed = await this.#parts.sealedKeys.find(version.key, version.number);
    if (sealed === undefined) throw unused(version, "no sealed private key is stored for it");
    const privateKey = unseal(sealed, version, this.#parts.masterKey);
    const publicKey = createPublicKey(privateKey);
    return {
      privateKey,
      publicKey: publicKey.export({ format: "pem", type: "spki" }).toString(),
      fingerprint: sha256Hex(publicKey.export({ format: "der", type: "spki" })),
    };
  }

  #poolFor(algorithm: KeyAlgorithm): Turns {
    return isFast(algorithm) ? this.#fast : this.#slow;
  }
}

const inThisProcess: Protection = {
  level: "PROCESS",
  exportable: "NO",
  proved: ["sealed at rest under the daemon's master key"],
  claimed: [],
};

const heldAs = (version: SealedVersion): string => [versionId(version), version.purpose, version.algorithm].join(" ");

/** 8 × 30 µs: less than what a queue and a thread cost them, also under load, where waking a thread costs most. */
const mostOnTheSpot = 8;

const isFast = (algorithm: KeyAlgorithm): boolean => algorithm === "EC_P256" || algorithm === "ED25519";

/** The broker refuses such items before: here it is our own mistake. */
function checkForm(key: KeyVersion, item: ToBeSigned): void {
  const unfit = unfitDigest(key.algorithm, item);
  if (unfit !== undefined) throw unused(key, unfit);
}

async function digestForm(
  key: KeyVersion,
  digest: Uint8Array,
  privateKey: KeyObject,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (signal.aborted) throw timeout(key, false);
  if (!signsDigests(key.algorithm)) throw messagesOnly(key);
  const signature = signDigest(key.algorithm, digest, privateKey);
  await nextTurn();
  return signature;
}

function messageForm(
  key: KeyVersion,
  bytes: Uint8Array,
  privateKey: KeyObject,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (signal.aborted) throw timeout(key, false);
  return new Promise((resolve, reject) => {
    const by = isPss(key.algorithm) ? pss(privateKey) : privateKey;
    cryptoSign(hashOf(key.algorithm) ?? null, bytes, by, (error, signature) => {
      if (error === null) resolve(signature);
      else reject(error);
    });
  });
}

/** What OpenSSL or the database refuses becomes a Fault, here and nowhere else. */
async function orFault<T>(version: SealedVersion, nothingHappened: boolean, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault("CUSTODY_DOWN", `the software custody failed with ${versionId(version)}`, {
      nothingHappened,
      cause,
    });
  }
}

const pair = promisify(generateKeyPair);

async function generate(algorithm: KeyAlgorithm): Promise<KeyObject> {
  switch (algorithm) {
    case "EC_P256":
      return (await pair("ec", { namedCurve: "P-256" })).privateKey;
    case "EC_P384":
      return (await pair("ec", { namedCurve: "P-384" })).privateKey;
    case "ED25519":
      return (await pair("ed25519")).privateKey;
    case "RSA_3072":
    case "RSA_3072_PSS":
      return (await pair("rsa", { modulusLength: 3072 })).privateKey;
    case "RSA_4096":
    case "RSA_4096_PSS":
      return (await pair("rsa", { modulusLength: 4096 })).privateKey;
  }
}

const unused = (version: SealedVersion, why: string): Fault =>
  new Fault("CUSTODY_DOWN", `${versionId(version)} was not used: ${why}`, { nothingHappened: true });

const messagesOnly = (key: KeyVersion): Fault => unused(key, `${key.algorithm} signs messages, not digests`);

const otherKey = (key: KeyVersion): Fault =>
  unused(key, `the private key stored for it is not that of public key ${key.fingerprint.slice(0, 16)}…`);

const timeout = (version: SealedVersion, nothingHappened: boolean): Fault =>
  new Fault("CUSTODY_TIMEOUT", `${versionId(version)} was not done in time`, { nothingHappened, retryAfter: 1 });
