// Keys in the transit engine of HashiCorp Vault or OpenBao: Vault signs, the private key never comes out. How to set it up
// and what it proves: docs/custody/vault-transit.md.
//
// Messages stay here: what is hashed is hashed in this process and sent as a digest; only Ed25519 needs the message.
// Each request names the exact version, and an answer by another one is a Fault. Signatures asked for one by one under
// the same version share requests (vault-transit-lane.ts).

import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

import { z } from "zod";

import { pathOf, type Vault, type VaultAuth, VaultError, vault } from "../clients/vault.ts";
import { Fault } from "../model/errors.ts";
import { type ToBeSigned, unfitDigest } from "../model/item.ts";
import { hashOf, type KeyAlgorithm, type KeyVersion, keyAlgorithms, versionId } from "../model/key.ts";
import type { Custody, CustodyHealth, DailyUse, KeyDescription } from "../ports/custody.ts";
import { base64, fromBase64 } from "../std/base64.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256, sha384 } from "../std/digest.ts";
import { isDuration, parseDuration } from "../std/duration.ts";
import { type SecretReference, secretReference } from "../std/secret-reference.ts";
import { type CustodyKind, type CustodyMeans, named } from "./kind.ts";
import { auditedUses } from "./vault-transit-audit.ts";
import { engine } from "./vault-transit-engine.ts";
import {
  algorithmOf,
  guardsOf,
  isTrimmed,
  protectionOf,
  publicKeyOf,
  type TransitKey,
  transitAlgorithms,
  transitUri,
  troubleOf,
} from "./vault-transit-key.ts";
import { type Element, type Lane, lane } from "./vault-transit-lane.ts";
import { transitLife } from "./vault-transit-life.ts";

const mountForm = z.string().regex(/^\w(?:[\w.-]*\w)?(?:\/\w(?:[\w.-]*\w)?)*$/, "must be a mount such as transit");
const word = z.string().min(1).max(512);

const auth = z.discriminatedUnion("method", [
  z.strictObject({
    method: z.literal("token"),
    token: secretReference.describe("read anew for every login: a file may be rotated, as Vault Agent's sink is"),
  }),
  z.strictObject({
    method: z.literal("approle"),
    mount: mountForm.default("approle"),
    roleId: word,
    secretId: secretReference,
  }),
  z.strictObject({
    method: z.literal("jwt"),
    mount: mountForm.default("jwt"),
    role: word,
    jwt: secretReference.describe("read anew for every login"),
  }),
  z.strictObject({
    method: z.literal("kubernetes"),
    mount: mountForm.default("kubernetes"),
    role: word,
    jwt: secretReference
      .default({ file: "/var/run/secrets/kubernetes.io/serviceaccount/token" })
      .describe("the service account's token, read anew for every login"),
  }),
]);

const config = z.strictObject({
  kind: z.literal("vault-transit"),
  ...named,
  address: z
    .string()
    .regex(
      /^(https:\/\/[^/?#@\s]+|http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)$/,
      "must be https://host:port and nothing after it; http to loopback only",
    )
    .describe("of Vault or of what stands before it; redirects are not followed"),
  namespace: mountForm.optional().describe("of Vault Enterprise or OpenBao"),
  mount: mountForm.default("transit"),
  prefix: z
    .string()
    .regex(/^\w[\w.-]{0,62}$/, "must begin with a letter or digit")
    .optional()
    .describe("before the names of keys that are made here, where the mount is shared with others"),
  auth,
  tls: z
    .strictObject({
      ca: secretReference.optional().describe("PEM; replaces the system's roots"),
      certificate: secretReference.optional().describe("PEM chain of the client"),
      key: secretReference.optional().describe("PEM private key of the client"),
    })
    .refine((tls) => (tls.certificate === undefined) === (tls.key === undefined), "certificate and key go together")
    .optional(),
  deadline: z
    .string()
    .refine((text) => isDuration(text, 1_000, 30_000), "must be an ISO 8601 duration from PT1S to PT30S")
    .default("PT10S")
    .describe("for one request to Vault"),
  connections: z.int().min(1).max(512).default(32).describe("at once"),
  auditFile: z
    .string()
    .startsWith("/")
    .optional()
    .describe("Vault's file audit device, where the daemon can read it: for `signet key reconcile`"),
});

export const vaultTransitKind: CustodyKind<"vault-transit", typeof config> = {
  kind: "vault-transit",
  config,
  open: (given, means) => vaultTransit(given, means),
};

export type VaultTransitConfig = z.input<typeof config>;

/** For tests and tools: from the words of a configuration. */
export const openVaultTransit = (given: VaultTransitConfig, means: Means): VaultTransit =>
  vaultTransit(config.parse(given), means);

type Means = Pick<CustodyMeans, "name" | "clock" | "random" | "log" | "secret">;
export type VaultTransit = Custody & Required<Pick<Custody, "create" | "destroy" | "health">>;

/** Elements of one shared request: 64 connections of a busy morning, and few enough to be quick. */
const together = 64;

function vaultTransit(given: z.infer<typeof config>, means: Means): VaultTransit {
  const { mount, namespace, auditFile } = given;
  const { name: custody, clock } = means;
  const backend = vault({
    address: given.address,
    namespace,
    auth: authOf(given.auth, means.secret),
    deadline: parseDuration(given.deadline),
    connections: given.connections,
    clock,
    random: means.random,
    log: means.log,
    ...textsOf(given.tls, means),
  });
  const own = engine(backend, mount, custody);
  const { fault, timeout, faultOf, located, exactly, keyAt } = own;
  const lanes = new Map<string, Lane>();

  async function orFault<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw faultOf(cause);
    }
  }

  /** One request for these inputs. Each element stands for itself; rejects with a Fault where there is none. */
  async function request(
    key: KeyVersion,
    inputs: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<readonly Element[]> {
    const { name, version } = exactly(key);
    const body = {
      ...transitAlgorithms[key.algorithm].sign,
      key_version: version,
      batch_input: inputs.map((input) => ({ input: base64(input) })),
    };
    const data = await orFault(() => backend.write(pathOf(mount, "sign", name), body, signal));
    const answer = signed.safeParse(data);
    if (!answer.success || answer.data.batch_results.length !== inputs.length)
      throw fault(`Vault answered for ${versionId(key)} with something else than ${String(inputs.length)} signatures`, {
        nothingHappened: false,
        retryAfter: 2,
      });
    return answer.data.batch_results.map((one) => element(one, key, version));
  }

  function element(one: z.infer<typeof signedElement>, key: KeyVersion, version: number): Element {
    const { error, signature = "", key_version: by } = one;
    if (error !== undefined && error !== "") return fault(`Vault refuses to sign with ${versionId(key)}: ${error}`);
    const [, prefix, text = ""] = /:v(\d{1,9}):([A-Za-z0-9+/]+={0,2})$/.exec(signature) ?? [];
    if (Number(prefix) !== version || (by !== undefined && by !== version))
      return fault(
        `${versionId(key)} is version ${String(version)} at Vault, and another one signed: ${prefix ?? "none"}`,
        {
          code: "SIGNATURE_WRONG",
          nothingHappened: false,
        },
      );
    try {
      return fromBase64(text);
    } catch (cause) {
      return fault(`the signature for ${versionId(key)} is not base64`, { nothingHappened: false, cause });
    }
  }

  function laneOf(key: KeyVersion): Lane {
    const id = `${key.uri} ${key.algorithm}`;
    const known = lanes.get(id);
    if (known !== undefined) return known;
    const made = lane({
      send: (inputs, signal) => request(key, inputs, signal),
      width: 4,
      most: together,
      heaviest: 1024 * 1024, // Vault takes requests of up to 32 MiB
      longest: 10_000,
      fault: (code, nothingHappened) =>
        code === "OVERLOADED"
          ? fault("too many signatures wait", { code, nothingHappened, retryAfter: 1 })
          : timeout(nothingHappened),
      mayBeOnes: (one) => one.nothingHappened && one.cause instanceof VaultError && one.cause.trouble === "invalid",
    });
    lanes.set(id, made);
    return made;
  }

  async function sign(
    key: KeyVersion,
    items: readonly ToBeSigned[],
    signal: AbortSignal,
  ): Promise<readonly Uint8Array[]> {
    exactly(key);
    const inputs = items.map((item) => inputOf(item, key, fault));
    if (signal.aborted) throw timeout(true);
    const [only, ...more] = inputs;
    if (only === undefined) return [];
    if (more.length === 0) return [await laneOf(key)(only, signal)];
    const elements = await request(key, inputs, signal);
    const signatures = elements.filter((one) => one instanceof Uint8Array);
    if (signatures.length === inputs.length) return signatures;
    const [failed = fault("no signature")] = elements.filter((one) => one instanceof Fault);
    if (signatures.length === 0) throw failed;
    throw fault(`${String(signatures.length)} of ${String(inputs.length)} were signed: ${failed.message}`, {
      code: failed.code,
      nothingHappened: false,
      retryAfter: 2,
      cause: failed,
    });
  }

  async function describe(uri: string, signal: AbortSignal, known?: KeyVersion): Promise<KeyDescription | undefined> {
    const at = located(uri, "describe");
    if (signal.aborted) throw timeout(true);
    const key = await orFault(() => keyAt(at.name, signal));
    if (key === undefined) return undefined;
    const version = at.version ?? key.latest_version;
    if (version > key.latest_version || isTrimmed(key, version)) return undefined;
    const algorithm = usable(key, at.name, at.pss);
    const trouble = troubleOf(key, version);
    const exact = transitUri(mount, at.name, version, algorithm);
    const publicKey = publicKeyOf(key, version) ?? (known?.uri === exact ? known.publicKey : undefined);
    if (publicKey === undefined)
      throw fault(`${exact}: Vault shows no public key of it${trouble === undefined ? "" : `, ${trouble}`}`);
    return { publicKey, uri: exact, algorithm, protection: protectionOf(key), guards: guardsOf(key), trouble };
  }

  function usable(key: TransitKey, name: string, pss: boolean): KeyAlgorithm {
    const algorithm = algorithmOf(key.type, pss);
    if (algorithm === undefined)
      throw fault(`${name} is of type ${key.type}${pss ? " and cannot sign with PSS" : ""}; what signs here: ${types}`);
    if (key.derived) throw fault(`${name} is a derived key, which has as many public keys as contexts`);
    return algorithm;
  }

  async function uses(
    file: string,
    version: KeyVersion,
    days: { readonly from: string; readonly to: string },
    signal: AbortSignal,
  ): Promise<readonly DailyUse[]> {
    const at = exactly(version);
    const told = await auditedUses(file, { ...at, namespace }, days, signal).catch((cause: unknown) => {
      if (signal.aborted) throw timeout(true);
      throw fault(`the audit file ${file} cannot be read`, { cause });
    });
    const asked = Math.max(Date.parse(days.from), Date.parse(version.createdAt));
    if (told.begins === undefined || Date.parse(told.begins) > asked + sameMinute)
      throw fault(`the audit file ${file} begins at ${told.begins ?? "no time"}: what was before cannot be told`);
    return told.uses;
  }

  return {
    kind: "vault-transit",
    outside: true,
    algorithms: keyAlgorithms,
    sign,
    describe,
    ...transitLife(own, given.prefix ?? ""),
    ...(auditFile !== undefined && {
      uses: (version: KeyVersion, days: { readonly from: string; readonly to: string }, signal: AbortSignal) =>
        uses(auditFile, version, days, signal),
    }),
    health: () => healthOf(backend, given.address),
    async [Symbol.asyncDispose]() {
      await backend[Symbol.asyncDispose]();
    },
  };
}

const types = [...new Set(Object.values(transitAlgorithms).map(({ type }) => type))].join(", ");

/** Milliseconds: the clocks of two machines. */
const sameMinute = 60_000;

const signedElement = z.object({
  signature: z.string().optional(),
  key_version: z.int().optional(),
  error: z.string().optional(),
});
const signed = z.object({ batch_results: z.array(signedElement) });

/** What travels: the digest, or for Ed25519 the message. */
function inputOf(item: ToBeSigned, key: KeyVersion, fault: (why: string) => Fault): Uint8Array {
  const hash = hashOf(key.algorithm);
  if (item.form === "message") {
    if (hash === undefined) return item.bytes;
    return hash === "sha384" ? sha384(item.bytes) : sha256(item.bytes);
  }
  const unfit = unfitDigest(key.algorithm, item);
  if (unfit !== undefined) throw fault(`${versionId(key)}: ${unfit}`);
  return item.bytes;
}

function authOf(given: z.infer<typeof auth>, secret: Means["secret"]): VaultAuth {
  switch (given.method) {
    case "token":
      return { method: "token", token: () => secret(given.token) };
    case "approle":
      return { ...given, secretId: () => secret(given.secretId) };
    case "jwt":
    case "kubernetes":
      return { ...given, jwt: () => secret(given.jwt) };
  }
}

type Tls = Readonly<Partial<Record<"ca" | "certificate" | "key", SecretReference | undefined>>>;

/** Throws where they are not PEM, or do not belong together: the daemon then does not start. */
function textsOf(tls: Tls | undefined, { name, secret }: Means): Partial<Record<keyof Tls, string>> {
  const text = (reference: SecretReference | undefined): string | undefined =>
    reference && fromUtf8(secret(reference).reveal());
  const [ca, certificate, key] = [text(tls?.ca), text(tls?.certificate), text(tls?.key)];
  try {
    for (const one of [ca, certificate]) if (one !== undefined) new X509Certificate(one);
    if (certificate !== undefined && key !== undefined) createSecureContext({ cert: certificate, key });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(
      `custody ${name}: tls: ${why}; ca and certificate are PEM, key is the PEM private key of certificate`,
      { cause },
    );
  }
  return {
    ...(ca !== undefined && { ca }),
    ...(certificate !== undefined && { certificate }),
    ...(key !== undefined && { key }),
  };
}

function healthOf(backend: Vault, address: string): CustodyHealth {
  const { trouble, login, answered } = backend.seen();
  if (trouble !== undefined)
    return {
      status: "fail",
      message: `${address}: ${trouble.trouble} since ${rfc3339(trouble.since)}: ${trouble.message}`,
      hint:
        trouble.trouble === "sealed"
          ? "unseal Vault; Signet notices by itself, nothing to restart"
          : "mend it there; Signet notices by itself, nothing to restart",
    };
  if (login === undefined || answered === undefined)
    return { status: "ok", message: `${address}: nothing has been asked of it yet` };
  const lease = login.expires === undefined ? "a token that does not end" : `token until ${rfc3339(login.expires)}`;
  return {
    status: "ok",
    message: `${address}: answered at ${rfc3339(answered)}, login of ${rfc3339(login.since)}, ${lease}${login.renewable ? ", renewable" : ""}`,
  };
}
