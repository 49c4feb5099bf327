// Keys in a PKCS#11 token: a smart card, an HSM, a TPM. One process per token runs the module (pkcs11-token.ts); here is
// what a key of ours is there: a pair of objects under one CKA_ID, named by an RFC 7512 URI.
//
// What a module says of a key is claimed, not proved; every signature is verified by the broker before it is released.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { z } from "zod";

import { Fault } from "../model/errors.ts";
import { type ToBeSigned, unfitDigest } from "../model/item.ts";
import { hashOf, type KeyAlgorithm, type KeyVersion, keyAlgorithms, versionId } from "../model/key.ts";
import type { Custody, CustodyHealth, KeyDescription, NewKey, Unlocking, Wanted } from "../ports/custody.ts";
import { hex } from "../std/bytes.ts";
import { sha256, sha256Hex, sha384 } from "../std/digest.ts";
import { digestInfo } from "../std/digest-info.ts";
import { isDuration, parseDuration } from "../std/duration.ts";
import { ecdsaDer } from "../std/ecdsa-der.ts";
import { Secret } from "../std/secret.ts";
import { secretReference } from "../std/secret-reference.ts";
import { type CustodyKind, type CustodyMeans, named } from "./kind.ts";
import {
  algorithmOf,
  algorithmsOf,
  guardsOf,
  idOf,
  labelOf,
  protectionOf,
  publicKeyOf,
  type Use,
  usesOf,
} from "./pkcs11-key.ts";
import { Token } from "./pkcs11-token.ts";
import { formatPkcs11Uri, namesToken, type Pkcs11Uri, parsePkcs11Uri, type TokenAttributes } from "./pkcs11-uri.ts";
import { type FoundKey, type FoundKeys, foundKeys, generated, type Which } from "./pkcs11-wire.ts";
import type { Held, Waiting } from "./pkcs11-work.ts";

const tokenUri = z
  .string()
  .superRefine((text, context) => {
    const problem = tokenUriProblem(text);
    if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
  })
  .describe("RFC 7512, as `p11tool --list-token-urls` prints it");

const config = z.strictObject({
  kind: z.literal("pkcs11"),
  ...named,
  module: z.string().startsWith("/", "must be an absolute path").describe("the module, a shared library"),
  token: z.union([
    tokenUri,
    z.strictObject({
      label: z.string().min(1).optional().describe("as the token tells it, without the blanks at its end"),
      serial: z.string().min(1),
    }),
  ]),
  pin: z
    .union([z.literal("operator"), secretReference])
    .describe("where the PIN is sealed; operator: a person gives it after each start, `signet custody unlock`"),
  environment: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string())
    .default({})
    .describe("all that the module's process sees of an environment, such as SOFTHSM2_CONF"),
  initialize: z.string().optional().describe("parameters of C_Initialize, for NSS"),
  deadline: z
    .string()
    .refine((text) => isDuration(text, 1_000), "must be an ISO 8601 duration of a second or more, such as PT10S")
    .default("PT10S")
    .describe("a module that takes longer for one signature is ended; PT20S where a finger has to touch the token"),
  queue: z.int().min(1).max(1_000_000).default(10_000).describe("signatures that may wait for the token"),
});

export const pkcs11Kind: CustodyKind<"pkcs11", typeof config> = {
  kind: "pkcs11",
  config,
  open: (given, means) => {
    refuseWithoutBinding(means.name);
    if (!existsSync(given.module)) throw new Error(`custody ${means.name}: there is no module ${given.module}`);
    return new Pkcs11(given, means);
  },
};

type Given = z.infer<typeof config>;

/** Milliseconds for making a key: a TPM takes half a minute for an RSA key. */
const makingPatience = 120_000;

class Pkcs11 implements Custody {
  readonly kind = "pkcs11";
  readonly outside = true;
  readonly #token: Token;
  readonly #means: CustodyMeans;

  constructor(given: Given, means: CustodyMeans) {
    this.#means = means;
    const { pin } = given;
    this.#token = new Token({
      name: means.name,
      module: given.module,
      initialize: given.initialize,
      environment: given.environment,
      wanted: tokenOf(given.token),
      pin: pin === "operator" ? undefined : () => lineOf(means.secret(pin)),
      deadline: parseDuration(given.deadline),
      queue: given.queue,
      log: means.log,
    });
  }

  /** By the mechanisms that the token lists, once it was there; all that we know before. */
  get algorithms(): readonly KeyAlgorithm[] {
    const { info } = this.#token;
    return info === undefined ? keyAlgorithms : algorithmsOf(info, keyAlgorithms);
  }

  async sign(key: KeyVersion, items: readonly ToBeSigned[], signal: AbortSignal): Promise<readonly Uint8Array[]> {
    for (const item of items) this.#checkForm(key, item);
    return this.#token.sign(
      {
        key: laneOf(key),
        algorithm: key.algorithm,
        items: items.length,
        digests: items.some(({ form }) => form === "digest"),
        find: (within) => this.#hold(key, within),
        input: (use, index) => inputOf(key.algorithm, use, items[index]),
        output: (bytes) => outputOf(key.algorithm, bytes),
      },
      signal,
    );
  }

  async describe(uri: string, signal: AbortSignal, known?: KeyVersion): Promise<KeyDescription | undefined> {
    const parsed = this.#parse(uri);
    const found = await this.#search(parsed, signal);
    const { info } = this.#token;
    if (found.matches === 0 || info === undefined || !namesToken(parsed, info)) return undefined;
    if (found.key === null)
      throw this.#unused(`${String(found.matches)} private keys fit the URI: name the id and the object`);
    const { key, publicPem, algorithm } = this.#understood(found.key, known?.algorithm);
    return {
      publicKey: publicPem,
      uri: this.#uriOf(key),
      algorithm,
      protection: protectionOf(key.claims, info),
      guards: guardsOf(key.claims),
      trouble: key.claims.sign === false ? "the key may not sign (CKA_SIGN)" : undefined,
    };
  }

  async create(version: Wanted, signal: AbortSignal): Promise<NewKey> {
    const which = { id: idOf(version), object: labelOf(version) };
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#token.ask(
        "generate",
        { ...which, algorithm: version.algorithm },
        signal,
        makingPatience,
      );
      if (!generated.parse(answer).collided) break;
      if (attempt === 10) throw this.#unused(`somebody else makes ${versionId(version)} again and again`, 1);
      await pause(50 * attempt + (this.#means.random(1)[0] ?? 0));
    }
    const found = foundKeys.parse(await this.#token.ask("find", which, signal));
    if (found.key === null)
      throw this.#unused(`there are ${String(found.matches)} private keys ${which.object}, and there must be one`);
    const { key, publicPem, algorithm } = this.#understood(found.key, version.algorithm);
    if (algorithm !== version.algorithm)
      throw this.#unused(`${which.object} is there already, as ${algorithm} and not ${version.algorithm}`);
    return { publicKey: publicPem, uri: this.#uriOf(key) };
  }

  async destroy(version: KeyVersion, signal: AbortSignal): Promise<{ readonly until?: string | undefined }> {
    const found = await this.#find(this.#parse(version.uri), signal);
    if (found.matches === 0) return {};
    if (found.key === null)
      throw this.#unused(`${String(found.matches)} private keys fit the URI: nothing is destroyed`);
    const { fingerprint } = this.#understood(found.key, version.algorithm);
    if (fingerprint !== version.fingerprint) throw this.#otherKey(version);
    await this.#token.ask("destroy", whichOf(found.key), signal);
    return {};
  }

  unlock(pin: Secret, signal: AbortSignal): Promise<Unlocking> {
    return this.#token.unlock(pin, signal);
  }

  turnsAway(): Fault | undefined {
    return this.#token.turnsAway();
  }

  health(): CustodyHealth {
    const state = this.#token.state();
    const unlock = `signet custody unlock ${this.#means.name}`;
    switch (state.is) {
      case "starting":
        return { status: "warn", message: `the token is being looked for, ${waitingOf(state.waiting)}` };
      case "ready":
        return {
          status: "ok",
          message: `token ${state.info.token} is ready, ${waitingOf(state.waiting)}`,
        };
      case "locked":
        return { status: "fail", message: state.why, hint: unlock };
      case "away":
        return {
          status: "fail",
          message: state.why,
          hint: "plug the token in, or start what its module talks to; it is looked for by itself",
        };
      case "closed":
        return { status: "fail", message: "the custody is closed" };
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#token[Symbol.asyncDispose]();
  }

  /** The key in the process that runs now, found by its URI and compared by its public key where the token shows one. */
  async #hold(key: KeyVersion, signal: AbortSignal): Promise<Held> {
    const found = await this.#find(this.#parse(key.uri), signal);
    if (found.key === null)
      throw this.#unused(`${String(found.matches)} private keys are ${key.uri}, and there must be one`);
    const { info } = this.#token;
    if (found.key.public !== null && this.#understood(found.key, key.algorithm).fingerprint !== key.fingerprint)
      throw this.#otherKey(key);
    const held = { number: found.key.number, uses: [...usesOf(key.algorithm, info?.mechanisms ?? [])] };
    this.#token.hold(laneOf(key), held);
    return held;
  }

  /** Never in another token than the URI names: what is not found there may well be elsewhere. */
  async #find(uri: Pkcs11Uri, signal: AbortSignal): Promise<FoundKeys> {
    const found = await this.#search(uri, signal);
    const { info } = this.#token;
    if (info === undefined || !namesToken(uri, info))
      throw this.#unused(
        `${formatPkcs11Uri(uri)} is not of this token, whose serial is ${info?.serial ?? "not known"}`,
      );
    return found;
  }

  async #search(uri: Pkcs11Uri, signal: AbortSignal): Promise<FoundKeys> {
    const which: Which = {
      ...(uri.id !== undefined && { id: hex(uri.id) }),
      ...(uri.object !== undefined && { object: uri.object }),
    };
    return foundKeys.parse(await this.#token.ask("find", which, signal));
  }

  #understood(
    key: FoundKey,
    known: KeyAlgorithm | undefined,
  ): {
    readonly key: FoundKey;
    readonly publicPem: string;
    readonly fingerprint: string;
    readonly algorithm: KeyAlgorithm;
  } {
    if (key.public === null) throw this.#unused(`the token shows no public key for ${key.object}: store it there too`);
    const publicKey = publicKeyOf(key.public);
    const algorithm = publicKey && algorithmOf(publicKey, known);
    if (publicKey === undefined || algorithm === undefined)
      throw this.#unused(`${key.object} is of no kind that is used here: ${keyAlgorithms.join(", ")}`);
    return {
      key,
      publicPem: publicKey.export({ format: "pem", type: "spki" }).toString(),
      fingerprint: sha256Hex(publicKey.export({ format: "der", type: "spki" })),
      algorithm,
    };
  }

  #uriOf(key: FoundKey): string {
    const { token = "", serial = "" } = this.#token.info ?? {};
    return formatPkcs11Uri({
      token,
      ...(serial !== "" && { serial }),
      id: Buffer.from(key.id, "hex"),
      object: key.object,
      type: "private",
    });
  }

  #parse(uri: string): Pkcs11Uri {
    try {
      return parsePkcs11Uri(uri);
    } catch (cause) {
      throw this.#unused(cause instanceof Error ? cause.message : "the URI cannot be read");
    }
  }

  /** The broker refuses such items before: here it is our own mistake. */
  #checkForm(key: KeyVersion, item: ToBeSigned): void {
    const unfit = unfitDigest(key.algorithm, item);
    if (unfit !== undefined) throw this.#unused(`${versionId(key)}: ${unfit}`);
  }

  #otherKey(key: KeyVersion): Fault {
    return this.#unused(`the key under ${key.uri} is not that of public key ${key.fingerprint.slice(0, 16)}…`);
  }

  #unused(why: string, retryAfter?: number): Fault {
    const { name } = this.#means;
    return new Fault("CUSTODY_DOWN", `custody ${name}: ${why}`, { custody: name, nothingHappened: true, retryAfter });
  }
}

const whichOf = ({ id, object }: FoundKey): Which => ({
  ...(id !== "" && { id }),
  ...(object !== "" && { object }),
});

const waitingOf = ({ signatures, milliseconds }: Waiting): string =>
  signatures === 0
    ? "0 signatures wait"
    : `${String(signatures)} signatures wait, about ${(milliseconds / 1000).toFixed(1)} s of work`;

/** A key and how it is used: what was found for one recorded key says nothing of another under the same URI. */
const laneOf = ({ uri, fingerprint, algorithm }: KeyVersion): string => [uri, fingerprint, algorithm].join(" ");

/** What the mechanism is applied to. */
function inputOf(algorithm: KeyAlgorithm, { over }: Use, item: ToBeSigned | undefined): Uint8Array {
  if (item === undefined) throw new RangeError("an item that was never asked for");
  if (over === "message") return item.bytes;
  const hash = hashOf(algorithm) ?? "sha256";
  const digest = item.form === "digest" ? item.bytes : hash === "sha384" ? sha384(item.bytes) : sha256(item.bytes);
  return over === "digest" ? digest : digestInfo(hash, digest);
}

/** Throws where the bytes cannot be a signature by such a key. */
function outputOf(algorithm: KeyAlgorithm, bytes: Uint8Array): Uint8Array {
  if (bytes.length !== signatureLengths[algorithm])
    throw new SyntaxError(`${String(bytes.length)} bytes are no ${algorithm} signature`);
  return algorithm === "EC_P256" || algorithm === "EC_P384" ? ecdsaDer(bytes) : Uint8Array.from(bytes);
}

const signatureLengths: Readonly<Record<KeyAlgorithm, number>> = {
  EC_P256: 64,
  EC_P384: 96,
  ED25519: 64,
  RSA_3072: 384,
  RSA_4096: 512,
  RSA_3072_PSS: 384,
  RSA_4096_PSS: 512,
};

/** Editors and `echo` end a file with a newline, which is no part of the PIN and would cost a try. */
function lineOf(secret: Secret): Secret {
  const bytes = secret.reveal();
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length;
  return new Secret(bytes.slice(0, end));
}

function tokenOf(token: Given["token"]): TokenAttributes {
  if (typeof token === "string") return parsePkcs11Uri(token);
  return { serial: token.serial, ...(token.label !== undefined && { token: token.label }) };
}

function tokenUriProblem(text: string): string | undefined {
  try {
    const { id, object, type, serial } = parsePkcs11Uri(text);
    if (id !== undefined || object !== undefined || type !== undefined) return "names an object; here a token is named";
    return serial === undefined ? "needs serial=: labels are given twice" : undefined;
  } catch (error) {
    return error instanceof Error ? error.message : "cannot be read";
  }
}

/** The binding is compiled when it is installed, and an installation without scripts or compiler leaves it out. */
function refuseWithoutBinding(name: string): void {
  if (bindingFile() !== undefined) return;
  throw new Error(
    `custody ${name}: pkcs11js is not built here. It is compiled when it is installed, by make, python3 and a C++ compiler: install those, then run npm rebuild pkcs11js`,
  );
}

function bindingFile(): string | undefined {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve("pkcs11js/package.json"));
    const file = join(folder, "build", "Release", "pkcs11.node");
    return existsSync(file) ? file : undefined;
  } catch {
    return undefined;
  }
}
