// Keys in AWS KMS: asymmetric KMS keys that sign with KMS and never leave it. We ask for one signature at a time (KMS
// has no batches), a bounded number at once and per second, and hash messages ourselves: KMS sees digests.
//
// A version is pinned to the ARN of its KMS key. An alias is resolved once, when the key comes in; moving it afterwards
// changes nothing here. Each answer must name the ARN that was asked for.
//
// Nothing is tried twice that may have been done once: the SDK's own retries are off, since it repeats a request whose
// answer got lost. We repeat what KMS says it refused, what never reached it, and questions that change nothing.

import { createPublicKey } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import {
  AlreadyExistsException,
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  DisabledException,
  GetKeyPolicyCommand,
  GetPublicKeyCommand,
  type KeyMetadata,
  KMSClient,
  type KMSClientConfig,
  KMSInvalidStateException,
  NotFoundException,
  ScheduleKeyDeletionCommand,
  SignCommand,
  type SignCommandInput,
} from "@aws-sdk/client-kms";
import { z } from "zod";

import { Fault } from "../model/errors.ts";
import { type ToBeSigned, unfitDigest } from "../model/item.ts";
import { hashOf, isPss, type KeyAlgorithm, type KeyVersion, type Protection, versionId } from "../model/key.ts";
import type { Custody, CustodyHealth, DailyUse, KeyDescription, NewKey, Wanted } from "../ports/custody.ts";
import { sha256, sha256Hex, sha384 } from "../std/digest.ts";
import { isDuration, parseDuration } from "../std/duration.ts";
import { canonicalJson, type Json } from "../std/json.ts";
import { secretReference } from "../std/secret-reference.ts";
import { unlessAborted } from "../std/unless-aborted.ts";
import { type About, sorted } from "./aws-kms-faults.ts";
import { countSigns, silentDay } from "./aws-kms-trail.ts";
import { isKeyArn, type KmsUri, parseKmsUri, pinnedUri } from "./aws-kms-uri.ts";
import { type CustodyKind, type CustodyMeans, named } from "./kind.ts";
import { type Pace, pace } from "./pace.ts";
import { inTurns, type Turns } from "./turns.ts";

const day = 86_400_000; // milliseconds

const duration = (shortest: number, longest: number, example: string) =>
  z
    .string()
    .refine(
      (text) => isDuration(text, shortest, longest),
      `must be an ISO 8601 duration such as ${example}, within bounds`,
    )
    .transform(parseDuration);

const endpoint = z.string().refine((text) => {
  const { protocol, hostname } = URL.parse(text) ?? {};
  return protocol === "https:" || (protocol === "http:" && loopback.includes(hostname ?? ""));
}, "must be an https URL; http is for loopback");
const loopback: readonly string[] = ["127.0.0.1", "[::1]", "localhost"];

const config = z.strictObject({
  kind: z.literal("aws-kms"),
  ...named,
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d+$/)
    .describe("region of the keys, such as eu-central-1"),
  endpoint: endpoint.optional().describe("of a VPC endpoint or another KMS; the region's own where absent"),
  fips: z.boolean().default(false).describe("use the region's FIPS endpoint"),
  credentials: z
    .union([
      z.strictObject({ profile: z.string().min(1).describe("section of the AWS config file; may assume a role") }),
      z.strictObject({
        accessKeyId: secretReference,
        secretAccessKey: secretReference,
        sessionToken: secretReference.optional(),
      }),
    ])
    .optional()
    .describe("where absent, what the AWS SDK finds: environment, web identity, container or instance role"),
  requestsPerSecond: z
    .number()
    .min(1)
    .max(100_000)
    .default(300)
    .describe("ours of the account's quota, which all KMS users of a region share"),
  parallel: z.int().min(1).max(512).default(32).describe("requests at once"),
  timeout: duration(100, 60_000, "PT5S")
    .default(5_000)
    .describe("of one request, ISO 8601; what it did is unknown afterwards"),
  deletionWindow: duration(7 * day, 30 * day, "P30D")
    .refine((found) => found % day === 0, "must be whole days")
    .default(30 * day)
    .describe("P7D to P30D: how long the destruction of a key can be taken back at KMS"),
  aliasPrefix: z
    .string()
    .regex(/^(?!aws)[A-Za-z0-9_-]{1,60}$/)
    .default("signet")
    .describe("aliases of keys made here are alias/PREFIX-KEY-NUMBER; one for each installation in an account"),
  tags: z
    .record(z.string().regex(/^(?!aws:|signet-)[\p{L}\p{N} _.:/=+@-]{1,128}$/u), z.string().max(256))
    .default({})
    .describe("put on keys made here, beside our own"),
  trail: z
    .string()
    .startsWith("/")
    .optional()
    .describe("absolute path of a folder with CloudTrail's log files; without it nothing is known of uses"),
});

type Config = z.infer<typeof config>;

export const awsKmsKind: CustodyKind<"aws-kms", typeof config> = {
  kind: "aws-kms",
  config,
  open: (given, means) => new AwsKms(given, means),
};

/** What each algorithm is called at KMS. */
const atKms = {
  EC_P256: { spec: "ECC_NIST_P256", signing: "ECDSA_SHA_256" },
  EC_P384: { spec: "ECC_NIST_P384", signing: "ECDSA_SHA_384" },
  ED25519: { spec: "ECC_NIST_EDWARDS25519", signing: "ED25519_SHA_512" },
  RSA_3072: { spec: "RSA_3072", signing: "RSASSA_PKCS1_V1_5_SHA_256" },
  RSA_4096: { spec: "RSA_4096", signing: "RSASSA_PKCS1_V1_5_SHA_256" },
  RSA_3072_PSS: { spec: "RSA_3072", signing: "RSASSA_PSS_SHA_256" },
  RSA_4096_PSS: { spec: "RSA_4096", signing: "RSASSA_PSS_SHA_256" },
} as const satisfies Record<KeyAlgorithm, unknown>;
const algorithms = Object.keys(atKms) as readonly KeyAlgorithm[]; // the keys of a constant

/** Bytes of a message that KMS takes as it is (Sign, Message). */
const longestRaw = 4096;
const mostAttempts = 5;
/** Milliseconds a call may wait for its turn before it is told to come again. */
const mostBacklog = 5_000;
/** Milliseconds. Shorter than any server's own, or it ends the connection under a request that is on its way. */
const idleConnection = 4_000;
/** Milliseconds that credentials of the configuration are used before they are read again. */
const readAgain = 15 * 60_000;

/** How many requests of one call KMS may have acted on: those done, and those nobody knows of. */
interface Doubt {
  open: number;
}

class AwsKms implements Custody {
  readonly kind = "aws-kms";
  readonly outside = true;
  readonly algorithms = algorithms;
  readonly longest = { ED25519: longestRaw } as const;
  /** Where a trail is configured. */
  declare readonly uses?: NonNullable<Custody["uses"]>;

  readonly #config: Config;
  readonly #means: CustodyMeans;
  readonly #client: KMSClient;
  readonly #pace: Pace;
  readonly #turns: Turns;
  #seen: { readonly well: boolean; readonly words: string } | undefined;
  #closed = false;

  constructor(given: Config, means: CustodyMeans) {
    this.#config = given;
    this.#means = means;
    this.#client = new KMSClient(clientConfig(given, means));
    this.#pace = pace(given.requestsPerSecond, means.clock);
    this.#turns = inTurns(given.parallel);
    const { trail } = given;
    if (trail !== undefined) this.uses = (version, days, signal) => this.#uses(trail, version, days, signal);
  }

  async sign(key: KeyVersion, items: readonly ToBeSigned[], signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const arn = this.#arnOf(key);
    const inputs = items.map((item) => this.#signInput(key, arn, item));
    this.#admit(versionId(key), signal);
    const doubt: Doubt = { open: 0 };
    const first: { failure?: unknown } = {};
    const one = (input: SignCommandInput): Promise<Uint8Array> =>
      this.#turns(async () => {
        if (first.failure !== undefined) return new Uint8Array(); // the call has failed: nothing more is begun
        try {
          return await this.#signOne(input, arn, signal, doubt);
        } catch (error) {
          first.failure ??= error;
          return new Uint8Array();
        }
      });
    const late = (): Fault => this.#late(`signing with ${versionId(key)}`, doubt.open === 0);
    const signatures = await unlessAborted(Promise.all(inputs.map(one)), signal, late);
    if (first.failure !== undefined) throw ofWholeCall(first.failure, doubt.open === 0);
    return signatures;
  }

  async describe(uri: string, signal: AbortSignal, known?: KeyVersion): Promise<KeyDescription | undefined> {
    const named = parseKmsUri(uri);
    if (named === undefined) return undefined;
    this.#inRegion(uri, named);
    this.#admit(uri, signal);
    const metadata = await this.#metadata(named.name, signal);
    if (metadata === undefined) return undefined;
    const arn = this.#arnIn(metadata, named.name);
    const algorithm = this.#algorithmOf(metadata, arn, named.pss);
    const exact = pinnedUri(arn, algorithm);
    const publicKey = await this.#publicKeyOrKnown(arn, signal, known?.uri === exact ? known : undefined);
    return {
      publicKey,
      uri: exact,
      algorithm,
      protection: protectionOf(metadata),
      trouble: troubleOf(metadata),
      guards: await this.#guards(metadata, arn, signal),
    };
  }

  /**
   * The alias is the mark of what was made: `alias/PREFIX-KEY-NUMBER` exists once in an account and region, so of two at
   * once one wins, and the other lets its own key go. What can be left over: when we die, or hear no answer, between
   * CreateKey and CreateAlias, a KMS key without alias that nothing names and nobody uses; the next attempt makes
   * another. Its tags and description say whose it is, docs/custody/aws-kms.md how to find and delete it.
   */
  async create(version: Wanted, signal: AbortSignal): Promise<NewKey> {
    this.#admit(versionId(version), signal);
    const late = (): Fault => this.#late(`making ${versionId(version)}`, false);
    return unlessAborted(this.#create(version, signal), signal, late);
  }

  async destroy(version: KeyVersion, signal: AbortSignal): Promise<{ readonly until?: string | undefined }> {
    const arn = this.#arnOf(version);
    this.#admit(versionId(version), signal);
    const metadata = await this.#metadata(arn, signal);
    if (metadata === undefined) return {};
    if (isGoing(metadata)) return { until: metadata.DeletionDate?.toISOString() };
    const { DeletionDate } = await this.#scheduleDeletion(arn, signal);
    return { until: DeletionDate?.toISOString() };
  }

  health(): CustodyHealth {
    if (this.#seen === undefined) return { status: "ok", message: "not asked yet" };
    if (this.#seen.well) return { status: "ok", message: `KMS in ${this.#config.region} answers` };
    return { status: "warn", message: this.#seen.words, hint: "docs/custody/aws-kms.md, When it fails" };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#client.destroy();
    return Promise.resolve();
  }

  async #signOne(input: SignCommandInput, arn: string, signal: AbortSignal, doubt: Doubt): Promise<Uint8Array> {
    const about = this.#about(`Sign with ${arn}`, true);
    const answer = await this.#ask(
      about,
      signal,
      (options) => this.#client.send(new SignCommand(input), options),
      doubt,
    );
    if (answer.KeyId !== arn || answer.SigningAlgorithm !== input.SigningAlgorithm || answer.Signature === undefined) {
      throw new Fault(
        "SIGNATURE_WRONG",
        `KMS was asked for ${String(input.SigningAlgorithm)} by ${arn} and answered with ${String(answer.SigningAlgorithm)} by ${String(answer.KeyId)}`,
        { custody: this.#means.name },
      );
    }
    return answer.Signature;
  }

  /** Fault with `nothingHappened` where the item does not fit the key: the broker refuses it earlier. */
  #signInput(key: KeyVersion, arn: string, item: ToBeSigned): SignCommandInput {
    const asked = { KeyId: arn, SigningAlgorithm: atKms[key.algorithm].signing };
    const takes = hashOf(key.algorithm);
    if (item.form === "digest") {
      const unfit = unfitDigest(key.algorithm, item);
      if (unfit !== undefined) throw this.#unused(key, unfit);
      return { ...asked, Message: item.bytes, MessageType: "DIGEST" };
    }
    if (takes !== undefined) return { ...asked, Message: digests[takes](item.bytes), MessageType: "DIGEST" };
    if (item.bytes.length > longestRaw) {
      const found = String(item.bytes.length);
      throw this.#unused(
        key,
        `KMS signs at most ${String(longestRaw)} bytes with Ed25519, and the message has ${found}`,
      );
    }
    return { ...asked, Message: item.bytes, MessageType: "RAW" };
  }

  async #create(version: Wanted, signal: AbortSignal): Promise<NewKey> {
    const alias = `alias/${this.#config.aliasPrefix}-${version.key}-${String(version.number)}`;
    const before = await this.#metadata(alias, signal);
    if (before !== undefined) return this.#madeBefore(before, alias, version, signal);

    const made = await this.#ask(this.#about(`CreateKey for ${versionId(version)}`, true), signal, (options) =>
      this.#client.send(
        new CreateKeyCommand({
          KeySpec: atKms[version.algorithm].spec,
          KeyUsage: "SIGN_VERIFY",
          Description: descriptionOf(version),
          Tags: tagsOf(version, this.#config.tags),
        }),
        options,
      ),
    );
    try {
      return await this.#settle(this.#arnIn(made.KeyMetadata ?? {}, alias), alias, version, signal);
    } catch (error) {
      throw ofWholeCall(error, false);
    }
  }

  /** A key was made: it becomes the version's, unless another was first. */
  async #settle(arn: string, alias: string, version: Wanted, signal: AbortSignal): Promise<NewKey> {
    if (await this.#claim(alias, arn, signal)) return this.#newKey(arn, version, signal);
    await this.#letGo(arn, signal);
    const theirs = await this.#soon(signal, () => this.#metadata(alias, signal));
    if (theirs === undefined) throw this.#unusedName(versionId(version), `${alias} is taken and names no key`);
    return this.#madeBefore(theirs, alias, version, signal);
  }

  async #newKey(arn: string, { algorithm }: Wanted, signal: AbortSignal): Promise<NewKey> {
    const publicKey = await this.#soon(signal, () => this.#publicKey(arn, signal));
    return { publicKey, uri: pinnedUri(arn, algorithm) };
  }

  async #madeBefore(metadata: KeyMetadata, alias: string, version: Wanted, signal: AbortSignal): Promise<NewKey> {
    const arn = this.#arnIn(metadata, alias);
    if (metadata.Description !== descriptionOf(version)) {
      throw this.#unusedName(
        versionId(version),
        `${alias} names ${arn}, which was not made for it: choose another aliasPrefix`,
      );
    }
    if (isGoing(metadata))
      throw this.#unusedName(versionId(version), `${arn} was made for it and waits for its deletion`);
    return this.#newKey(arn, version, signal);
  }

  /** False where the alias is taken. A key of a moment ago is not known everywhere at once, hence the patience. */
  async #claim(alias: string, arn: string, signal: AbortSignal): Promise<boolean> {
    const about = this.#about(`CreateAlias ${alias}`, true);
    const ask = () =>
      this.#ask(about, signal, (options) =>
        this.#client.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: arn }), options),
      );
    try {
      await this.#soon(signal, ask);
      return true;
    } catch (error) {
      if (causeOf(error) instanceof AlreadyExistsException) return false;
      if (error instanceof Fault && error.nothingHappened) await this.#letGo(arn, signal);
      throw error;
    }
  }

  /** A key of ours that lost its race. Should this fail too, it is left over without alias. */
  async #letGo(arn: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#soon(signal, () => this.#scheduleDeletion(arn, signal));
    } catch (error) {
      this.#means.log.warn(
        { err: error, custody: this.#means.name, key: arn },
        "a key without use is left over at KMS",
      );
    }
  }

  #scheduleDeletion(arn: string, signal: AbortSignal): Promise<{ readonly DeletionDate?: Date | undefined }> {
    const PendingWindowInDays = this.#config.deletionWindow / day;
    return this.#ask(this.#about(`ScheduleKeyDeletion of ${arn}`, true), signal, (options) =>
      this.#client.send(new ScheduleKeyDeletionCommand({ KeyId: arn, PendingWindowInDays }), options),
    );
  }

  async #metadata(name: string, signal: AbortSignal): Promise<KeyMetadata | undefined> {
    try {
      const about = this.#about(`DescribeKey ${name}`, false);
      const answer = await this.#ask(about, signal, (options) =>
        this.#client.send(new DescribeKeyCommand({ KeyId: name }), options),
      );
      if (answer.KeyMetadata === undefined) throw this.#unusedName(name, "KMS answered with nothing about it");
      return answer.KeyMetadata;
    } catch (error) {
      if (causeOf(error) instanceof NotFoundException) return undefined;
      throw error;
    }
  }

  /** PEM. KMS tells it of no key that is disabled or waits for its deletion. */
  async #publicKey(arn: string, signal: AbortSignal): Promise<string> {
    const answer = await this.#ask(this.#about(`GetPublicKey of ${arn}`, false), signal, (options) =>
      this.#client.send(new GetPublicKeyCommand({ KeyId: arn }), options),
    );
    if (answer.KeyId !== arn || answer.PublicKey === undefined) {
      throw this.#unusedName(arn, `KMS answered with the public key of ${String(answer.KeyId)}`);
    }
    try {
      const key = createPublicKey({ key: Buffer.from(answer.PublicKey), format: "der", type: "spki" });
      return key.export({ format: "pem", type: "spki" }).toString();
    } catch {
      throw this.#unusedName(arn, "what KMS calls its public key is none");
    }
  }

  async #publicKeyOrKnown(arn: string, signal: AbortSignal, known: KeyVersion | undefined): Promise<string> {
    try {
      return await this.#publicKey(arn, signal);
    } catch (error) {
      const cause = causeOf(error);
      const dormant = cause instanceof DisabledException || cause instanceof KMSInvalidStateException;
      if (dormant && known !== undefined) return known.publicKey;
      throw error;
    }
  }

  /** Over the key's policy, its origin and whether it is replicated. Who may not read the policy is told of nothing. */
  async #guards(metadata: KeyMetadata, arn: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const about = this.#about(`GetKeyPolicy of ${arn}`, false);
      const { Policy = "" } = await this.#ask(about, signal, (options) =>
        this.#client.send(new GetKeyPolicyCommand({ KeyId: arn, PolicyName: "default" }), options),
      );
      const { Origin = "", MultiRegion = false } = metadata;
      return sha256Hex(canonicalJson({ policy: jsonOr(Policy), origin: Origin, multiRegion: MultiRegion }));
    } catch (error) {
      if (error instanceof Fault && error.retryAfter === undefined && error.code === "CUSTODY_DOWN") return undefined;
      throw error;
    }
  }

  async #uses(
    trail: string,
    version: KeyVersion,
    days: { readonly from: string; readonly to: string },
    signal: AbortSignal,
  ): Promise<readonly DailyUse[]> {
    const arn = this.#arnOf(version);
    const untold = (words: string, cause?: unknown) =>
      new Fault("CUSTODY_DOWN", `CloudTrail's files in ${trail}: ${words}`, {
        nothingHappened: true,
        custody: this.#means.name,
        cause,
      });
    const found = await countSigns(trail, arn, days, signal).catch((cause: unknown) => {
      if (signal.aborted) throw this.#late(`reading ${trail}`, true);
      throw untold(cause instanceof Error ? cause.message : "it cannot be read", cause);
    });
    const silent = silentDay(found, this.#daysThatWere(version, days));
    if (silent !== undefined) throw untold(`there is nothing of ${silent}: what was then cannot be told`);
    return found.uses;
  }

  /** Since the version came in, until now. */
  #daysThatWere({ createdAt }: KeyVersion, { from, to }: { readonly from: string; readonly to: string }) {
    const came = createdAt.slice(0, 10);
    const tomorrow = new Date(this.#means.clock() + 86_400_000).toISOString().slice(0, 10);
    return { from: from < came ? came : from, to: to < tomorrow ? to : tomorrow };
  }

  /** One question to KMS, asked again as long as that can change nothing twice. Throws Faults only. */
  async #ask<T>(
    about: About,
    signal: AbortSignal,
    send: (options: { abortSignal: AbortSignal }) => Promise<T>,
    doubt: Doubt = { open: 0 },
  ): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      await this.#orLate(about, doubt, this.#pace.take(signal));
      const asked = await this.#askOnce(about, signal, send, doubt);
      if ("answer" in asked) return asked.answer;
      if (attempt === mostAttempts || asked.again === "never") throw asked.fault;
      if (asked.again === "now" && attempt > 1) throw asked.fault;
      if (asked.again === "later") await this.#orLate(about, doubt, sleep(this.#pause(attempt), undefined, { signal }));
    }
  }

  async #askOnce<T>(
    about: About,
    signal: AbortSignal,
    send: (options: { abortSignal: AbortSignal }) => Promise<T>,
    doubt: Doubt,
  ): Promise<{ readonly answer: T } | { readonly fault: Fault; readonly again: "never" | "later" | "now" }> {
    const { timeout } = this.#config;
    const deadline = AbortSignal.timeout(timeout);
    doubt.open += 1;
    try {
      const answer = await send({ abortSignal: AbortSignal.any([signal, deadline]) });
      this.#seen = { well: true, words: "" };
      return { answer };
    } catch (error) {
      if (signal.aborted) throw this.#late(about.what, !about.effect);
      if (deadline.aborted) {
        const fault = this.#late(`${about.what}: KMS took longer than ${String(timeout)} ms`, !about.effect);
        this.#seen = { well: false, words: fault.message };
        return { fault, again: about.effect ? "never" : "later" };
      }
      const { fault, again, tooOften } = sorted(error, about);
      if (fault.nothingHappened) doubt.open -= 1;
      if (tooOften) this.#pace.slow(1000 / this.#config.requestsPerSecond);
      if (again === "now") this.#means.log.warn({ custody: this.#means.name }, fault.message);
      this.#seen = fault.retryAfter === undefined ? { well: true, words: "" } : { well: false, words: fault.message };
      return { fault, again };
    }
  }

  /** Full jitter: anywhere between nothing and 100, 200, 400, 800 ms. */
  #pause(attempt: number): number {
    const [chance = 0] = this.#means.random(1);
    return (Math.min(2_000, 50 * 2 ** attempt) * chance) / 256;
  }

  /** What KMS tells a moment after it made something: it may not know of it yet everywhere. */
  async #soon<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await ask();
        if (answer !== undefined || attempt === mostAttempts) return answer;
      } catch (error) {
        const cause = causeOf(error);
        const early = cause instanceof NotFoundException || cause instanceof KMSInvalidStateException;
        if (!early || attempt === mostAttempts) throw error;
      }
      await this.#orLate(
        this.#about("waiting for a new key", true),
        { open: 1 },
        sleep(attempt * 200, undefined, { signal }),
      );
    }
  }

  async #orLate<T>(about: About, doubt: Doubt, wait: Promise<T>): Promise<T> {
    try {
      return await wait;
    } catch {
      throw this.#late(about.what, doubt.open === 0); // nothing but the signal ends it
    }
  }

  #admit(what: string, signal: AbortSignal): void {
    if (this.#closed) throw this.#unusedName(what, "the custody is closed");
    if (signal.aborted) throw this.#late(what, true);
    const backlog = this.#pace.backlog();
    if (backlog <= mostBacklog) return;
    throw new Fault("OVERLOADED", `${what}: ${String(Math.round(backlog))} ms of requests wait for KMS`, {
      nothingHappened: true,
      retryAfter: Math.ceil(backlog / 1000),
      custody: this.#means.name,
    });
  }

  #inRegion(what: string, named: KmsUri): void {
    const { region } = this.#config;
    if (named.region === undefined || named.region === region) return;
    throw this.#unusedName(what, `the key is in ${named.region}, and this custody asks KMS in ${region}`);
  }

  #arnOf(key: KeyVersion): string {
    const named = parseKmsUri(key.uri);
    if (named === undefined || !named.pinned || named.pss !== isPss(key.algorithm)) {
      throw this.#unused(key, `${key.uri} is not how a ${key.algorithm} key is named here`);
    }
    this.#inRegion(versionId(key), named);
    return named.name;
  }

  /** `asked`: a name as KMS takes it. An ARN answers for itself alone. */
  #arnIn({ Arn = "" }: Pick<KeyMetadata, "Arn">, asked: string): string {
    if (isKeyArn(Arn) && (Arn === asked || !isKeyArn(asked))) return Arn;
    throw this.#unusedName(asked, `KMS answered with the key ${Arn}`);
  }

  #algorithmOf({ KeySpec, KeyUsage }: KeyMetadata, arn: string, pss: boolean): KeyAlgorithm {
    const found = algorithms.find((one) => atKms[one].spec === KeySpec && isPss(one) === pss);
    if (KeyUsage === "SIGN_VERIFY" && found !== undefined) return found;
    const held = [...new Set(algorithms.map((one) => atKms[one].spec))].join(", ");
    const wrong = `it is ${String(KeySpec)} for ${String(KeyUsage)}${pss ? " and PSS is asked for" : ""}`;
    throw this.#unusedName(arn, wrong, `Signet takes keys for SIGN_VERIFY: ${held}`);
  }

  #about(what: string, effect: boolean): About {
    return { custody: this.#means.name, what, effect };
  }

  #unused(version: Pick<KeyVersion, "key" | "number">, why: string): Fault {
    return this.#unusedName(versionId(version), why);
  }

  /** `hint`, with why, is shown to the caller. */
  #unusedName(what: string, why: string, hint?: string): Fault {
    return new Fault("CUSTODY_DOWN", `${what} was not used: ${why}`, {
      nothingHappened: true,
      custody: this.#means.name,
      hint: hint && `${why}; ${hint}`,
    });
  }

  #late(what: string, nothingHappened: boolean): Fault {
    return new Fault("CUSTODY_TIMEOUT", `${what} was not done in time`, {
      nothingHappened,
      retryAfter: 2,
      custody: this.#means.name,
    });
  }
}

function clientConfig(given: Config, { secret, clock }: CustodyMeans): KMSClientConfig {
  const connections = { keepAlive: true, maxSockets: given.parallel, timeout: idleConnection };
  return {
    region: given.region,
    maxAttempts: 1,
    useFipsEndpoint: given.fips,
    requestHandler: {
      connectionTimeout: Math.min(given.timeout / 2, 3_000), // before the deadline, which cannot tell what it ended
      socketTimeout: 0, // the deadline of each request does it
      httpAgent: connections,
      httpsAgent: connections,
    },
    ...(given.endpoint === undefined ? {} : { endpoint: given.endpoint }),
    ...credentialsOf(given.credentials, secret, clock),
  };
}

/** Throws, where a reference points at nothing, when the daemon starts and not with the first signature. */
function credentialsOf(
  given: Config["credentials"],
  secret: CustodyMeans["secret"],
  clock: CustodyMeans["clock"],
): Pick<KMSClientConfig, "profile" | "credentials"> {
  if (given === undefined) return {};
  if ("profile" in given) return { profile: given.profile };
  const text = (reference: Parameters<typeof secret>[0]): string =>
    Buffer.from(secret(reference).reveal()).toString("utf8").trim();
  const read = () => ({
    accessKeyId: text(given.accessKeyId),
    secretAccessKey: text(given.secretAccessKey),
    ...(given.sessionToken === undefined ? {} : { sessionToken: text(given.sessionToken) }),
    expiration: new Date(clock() + readAgain),
  });
  read();
  return { credentials: () => Promise.resolve(read()) };
}

const digests = { sha256, sha384 } as const;

const descriptionOf = (version: Wanted): string =>
  `Signet: key ${versionId(version)}, purpose ${version.purpose}, algorithm ${version.algorithm}`;

const tagsOf = (version: Wanted, more: Readonly<Record<string, string>>): { TagKey: string; TagValue: string }[] =>
  Object.entries({
    "signet-key": version.key,
    "signet-version": String(version.number),
    "signet-purpose": version.purpose,
    "signet-algorithm": version.algorithm,
    ...(version.after === undefined ? {} : { "signet-after": version.after.slice(0, 256) }),
    ...more,
  }).map(([TagKey, TagValue]) => ({ TagKey, TagValue }));

const isGoing = ({ KeyState }: KeyMetadata): boolean =>
  KeyState === "PendingDeletion" || KeyState === "PendingReplicaDeletion";

function troubleOf({ KeyState, DeletionDate }: KeyMetadata): string | undefined {
  if (KeyState === "Enabled") return undefined;
  if (KeyState === "Disabled") return "it is disabled at KMS";
  if (KeyState === "PendingDeletion")
    return `it waits for its deletion at KMS on ${DeletionDate?.toISOString() ?? "some day"}`;
  return `its state at KMS is ${String(KeyState)}`;
}

/** All of it is KMS's own word: AWS attests no single key. */
const protectionOf = ({ Origin, MultiRegion, KeyManager }: KeyMetadata): Protection => ({
  level: "SERVICE",
  exportable: Origin === "AWS_KMS" ? "NO" : "UNKNOWN",
  proved: [],
  claimed: [
    Origin === "AWS_KMS"
      ? "made inside an HSM of AWS KMS, which does not give it out"
      : `key material of origin ${String(Origin)}: it may exist elsewhere`,
    ...(KeyManager === "CUSTOMER" ? [] : [`managed by ${String(KeyManager)}`]),
    ...(MultiRegion === true ? ["multi-region: AWS may replicate it, and replicas sign too"] : []),
  ],
});

/** A policy is JSON; were it not, its text would do as well. */
function jsonOr(text: string): Json {
  try {
    return JSON.parse(text) as Json; // what JSON.parse gives is JSON
  } catch {
    return text;
  }
}

const causeOf = (error: unknown): unknown => (error instanceof Fault ? error.cause : undefined);

/** The failure of one request, as that of a call that may have done other things already. */
function ofWholeCall(failure: unknown, nothingHappened: boolean): unknown {
  if (!(failure instanceof Fault) || failure.nothingHappened === nothingHappened) return failure;
  const { code, message, retryAfter, custody, cause } = failure;
  return new Fault(code, message, { nothingHappened, retryAfter, custody, cause });
}
