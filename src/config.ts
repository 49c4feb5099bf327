// The configuration: one YAML file and a few SIGNET_* variables, read here and nowhere else. Strict: a key that is not
// known is an error with its line. Secrets stand in it as references only.

import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import { type Document, isMap, isPair, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { z } from "zod";
import { custodies } from "./custody/index.ts";
import { type ClaimNames, tokenAlgorithms } from "./identity/index.ts";
import { trustCachedFor } from "./model/trust.ts";
import type { PolicyFile } from "./policy/index.ts";
import { isAbsurdlyNested } from "./policy/yaml.ts";
import { fromBase64 } from "./std/base64.ts";
import { fromUtf8 } from "./std/bytes.ts";
import { formatDuration, isDuration, parseDuration } from "./std/duration.ts";
import { Secret } from "./std/secret.ts";
import { type SecretReference, secretReference } from "./std/secret-reference.ts";
import { parsePolicy } from "./tlog/policy.ts";

const duration = z
  .string()
  .refine((text) => isDuration(text), "must be an ISO 8601 duration such as PT10M")
  .describe("ISO 8601 duration, such as PT1S");
const path = z.string().min(1).describe("path, relative to this file");
const origin = z
  .string()
  .regex(
    /^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*$/,
    "must be a host name and path without scheme, such as signet.example.com/log",
  )
  .describe("name of the log: the URL prefix it is served under, without scheme (C2SP tlog-checkpoint)");

const tls = z.strictObject({
  cert: path.describe("PEM chain"),
  key: path.describe("PEM private key"),
  clientCa: path
    .optional()
    .describe("PEM roots of client certificates; with it, sessions may be bound to a certificate (RFC 8705)"),
});

const listener = z.union([
  z.strictObject({
    tcp: z
      .string()
      .regex(/^(.+):(\d{1,5})$/, "must be host:port, such as 127.0.0.1:8420")
      .refine((text) => Number(text.slice(text.lastIndexOf(":") + 1)) <= 65_535, "has a port over 65535"),
    tls: tls.optional(),
    publicUrl: z
      .url()
      .optional()
      .describe("scheme and authority as clients see it, where a proxy stands in between; DPoP proofs name it"),
    openLog: z
      .boolean()
      .default(false)
      .describe("show checkpoint and hash tiles to everybody; entry tiles always need the auditor role"),
    openTrust: z
      .boolean()
      .default(true)
      .describe(
        "show /trust/: public keys, with the names and purposes of keys; to people with a role alone where false",
      ),
    metrics: z
      .boolean()
      .optional()
      .describe("answer GET /metrics; where absent, only on a loopback address without publicUrl"),
    dangerouslyAllowBearer: z.boolean().default(false).describe("loopback only: sessions without proof of possession"),
  }),
  z.strictObject({ unix: path.describe("socket, made with mode 0600; enrols the first operator") }),
]);

const claim = z.string().min(1);
const claims = z.strictObject({
  tenantId: claim,
  tenant: claim.optional(),
  projectId: claim,
  project: claim.optional(),
  ref: claim.optional(),
  refType: claim.optional(),
  refProtected: claim.optional(),
  environment: claim.optional(),
  workflow: claim.optional(),
  workflowSha: claim.optional(),
  commit: claim.optional(),
  event: claim.optional(),
  runner: claim.optional(),
  run: claim.optional(),
  attempt: claim.optional(),
  actorId: claim.optional(),
  actor: claim.optional(),
} satisfies Record<keyof ClaimNames, z.ZodType>);

const issuer = z.strictObject({
  issuer: z.string().min(1).describe("compared byte for byte with the token's iss"),
  provider: z.enum(["github", "gitlab", "kubernetes", "generic", "person"]),
  audience: z.string().min(1).describe("the one audience that tokens must carry"),
  jwksUri: z.url().optional(),
  algorithms: z.array(z.enum(tokenAlgorithms)).min(1).optional(),
  maxLifetime: duration.optional(),
  ca: path.optional().describe("PEM roots for the issuer's TLS"),
  allowPrivateAddresses: z.boolean().optional(),
  dangerouslyAllowHttp: z.boolean().optional().describe("for an issuer on loopback: signet dev"),
  claims: claims.optional().describe("provider generic, and required there: our field to the issuer's claim"),
});

const issuers = z.array(issuer).superRefine((all, context) => {
  const names = all.map((one) => JSON.stringify([one.issuer, one.audience]));
  for (const [at, { provider, claims: named }] of all.entries()) {
    const first = names.indexOf(names[at] ?? "");
    if (first !== at)
      context.addIssue({
        code: "custom",
        path: [at],
        message: `has the issuer and the audience of issuers.${String(first)}`,
      });
    if (provider === "generic" && !named)
      context.addIssue({
        code: "custom",
        path: [at],
        message: "provider generic needs claims, tenantId and projectId at least",
      });
    if (provider !== "generic" && named)
      context.addIssue({
        code: "custom",
        path: [at, "claims"],
        message: `is for provider generic; ${provider} has its own`,
      });
  }
});

/** What a custody is called in keys, log and answers. */
export const custodyName = ({ name, kind }: { readonly name?: string | undefined; readonly kind: string }): string =>
  name ?? kind;

const kinds = z
  .array(z.discriminatedUnion("kind", [custodies[0].config, ...custodies.slice(1).map((kind) => kind.config)]))
  .min(1)
  .superRefine((all, context) => {
    const names: readonly string[] = all.map(custodyName);
    for (const [at, name] of names.entries())
      if (names.indexOf(name) !== at)
        context.addIssue({
          code: "custom",
          path: [at, "kind"],
          message: `there is a custody "${name}" already; give each a name of its own`,
        });
  });

const schema = z.strictObject({
  origin,
  stateDirectory: path.describe("database, log tree, sockets; one daemon only, on a local disk"),
  node: z
    .string()
    .regex(/^[a-z0-9.-]{1,63}$/i)
    .optional()
    .describe("name of this daemon in the log; the host's name where absent"),
  listeners: z.array(listener).min(1),
  masterKey: secretReference.describe("32 bytes, base64 or raw, that seal private keys and the log's key"),
  custodies: kinds.default([{ kind: "software" }]),
  issuers: issuers.default([]),
  policy: path.describe("directory of grant files (*.yaml)"),
  approvals: z.enum(["two-persons", "one-person"]).default("two-persons"),
  rotation: z
    .strictObject({
      propagation: z
        .string()
        .refine(
          (text) => isDuration(text, trustCachedFor),
          `must be an ISO 8601 duration of at least ${formatDuration(trustCachedFor)}: for so long trust documents are cached`,
        )
        .default("PT1H")
        .describe("how long a new public key is published before it signs; at least PT5M"),
      retireAfter: duration
        .optional()
        .describe("how long an old public key stays published after it signed last; for good where absent"),
    })
    .default({ propagation: "PT1H" })
    .describe("of `signet key rotate`, where the command does not say otherwise"),
  witnesses: path.optional().describe("C2SP tlog-policy file: who cosigns the log's checkpoints"),
  publishEvery: duration.default("PT1S"),
  driftEvery: duration
    .default("PT5M")
    .describe("how often keys are compared with what their custodies say of them now"),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});

export type Config = Omit<z.infer<typeof schema>, "publishEvery" | "driftEvery" | "masterKey"> & {
  readonly file: string;
  readonly masterKey: Secret;
  /** Milliseconds. */
  readonly publishEvery: number;
  /** Milliseconds. */
  readonly driftEvery: number;
  /** For custodies: the bytes that a reference points at. */
  readonly secret: (reference: SecretReference) => Secret;
};

/** Variables that stand above the file, for containers. */
const variables = {
  SIGNET_ORIGIN: "origin",
  SIGNET_STATE_DIRECTORY: "stateDirectory",
  SIGNET_NODE: "node",
  SIGNET_POLICY: "policy",
  SIGNET_APPROVALS: "approvals",
  SIGNET_WITNESSES: "witnesses",
  SIGNET_LOG_LEVEL: "logLevel",
} as const satisfies Record<string, keyof z.infer<typeof schema>>;

export class ConfigError extends Error {
  /** One a line: where, what was found, what is expected. */
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads and checks everything that can be checked without starting. Throws ConfigError. */
export function readConfig(file: string, environment: Environment): Config {
  const text = readText(file);
  if (isAbsurdlyNested(text)) throw new ConfigError([`${file}: is nested too deeply to be read`]);
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    version: "1.2",
    maxAliasCount: 0,
  } as object);
  if (document.errors.length > 0)
    throw new ConfigError(document.errors.map((error) => `${file}: ${error.message.split("\n")[0] ?? "not YAML"}`));
  refuseAliases(document, file, lines);
  const place = placeIn(file, document, lines);
  const parsed = schema.safeParse(withVariables(document.toJS({ maxAliasCount: 0 }), environment));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap((issue) => described(issue, place)));

  const here = (name: string): string => (isAbsolute(name) ? name : resolve(dirname(file), name));
  const secret = (reference: SecretReference): Secret => readSecret(reference, here, environment);
  const { publishEvery, driftEvery, masterKey, ...rest } = parsed.data;
  const config: Config = {
    ...absolute(rest, here),
    file,
    publishEvery: parseDuration(publishEvery),
    driftEvery: parseDuration(driftEvery),
    masterKey: masterKeyOf(secret(masterKey), place(["masterKey"])),
    secret,
  };
  const problems = [
    ...listenerProblems(config, place),
    ...witnessProblems(config, place),
    ...masterKeyProblems("file" in masterKey ? here(masterKey.file) : undefined, config.stateDirectory, place),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** A few lines of aliases unfold into gigabytes, and nobody needs them here. */
function refuseAliases(document: Document, file: string, lines: LineCounter): void {
  const problems: string[] = [];
  visit(document, {
    Alias(_, { range }) {
      const { line, col } = lines.linePos(range?.[0] ?? 0);
      problems.push(`${file}:${String(line)}:${String(col)}: is an alias; write the value out`);
      return visit.BREAK;
    },
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

function withVariables(given: unknown, environment: Environment): unknown {
  if (typeof given !== "object" || given === null) return given;
  const over = Object.entries(variables).flatMap(([name, key]) =>
    environment[name] === undefined ? [] : [[key, environment[name]] as const],
  );
  return { ...given, ...Object.fromEntries(over) };
}

function absolute<T extends Omit<z.infer<typeof schema>, "publishEvery" | "driftEvery" | "masterKey">>(
  config: T,
  here: (path: string) => string,
): T {
  return {
    ...config,
    stateDirectory: here(config.stateDirectory),
    policy: here(config.policy),
    witnesses: config.witnesses && here(config.witnesses),
    listeners: config.listeners.map((one) => {
      if ("unix" in one) return { unix: here(one.unix) };
      return {
        ...one,
        tls: one.tls && {
          cert: here(one.tls.cert),
          key: here(one.tls.key),
          clientCa: one.tls.clientCa && here(one.tls.clientCa),
        },
      };
    }),
    issuers: config.issuers.map((one) => ({ ...one, ca: one.ca && readText(here(one.ca)) })),
  };
}

/** Line and column of a value, and its path: `signet.yaml:4:5: listeners.0.tcp`. */
type Place = (at: readonly PropertyKey[], key?: boolean) => string;

type Tcp = Extract<Config["listeners"][number], { readonly tcp: string }>;

/** What would only be found when it listens, after the log has said that the daemon starts. */
function listenerProblems({ listeners }: Config, place: Place): readonly string[] {
  const addresses = listeners.map((one) => ("unix" in one ? one.unix : one.tcp));
  return listeners.flatMap((one, index) => {
    const at = ["listeners", index];
    const twin = addresses.indexOf(addresses[index] ?? "");
    const own = "unix" in one ? socketProblems(one.unix, place([...at, "unix"])) : tcpProblems(one, at, place);
    return twin === index || ("tcp" in one && one.tcp.endsWith(":0"))
      ? own
      : [...own, `${place(at)}: listens where listeners.${String(twin)} does`];
  });
}

/** Bytes of sun_path in sockaddr_un, without the NUL (unix(7)). */
const longestSocket = 107;
const socketProblems = (path: string, where: string): readonly string[] =>
  Buffer.byteLength(path) > longestSocket
    ? [`${where}: ${path} is longer than a socket's path may be, ${String(longestSocket)} bytes`]
    : [];

function tcpProblems(one: Tcp, at: readonly PropertyKey[], place: Place): readonly string[] {
  const host = one.tcp.slice(0, one.tcp.lastIndexOf(":"));
  const loopback = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(host);
  const where = `${place([...at, "tcp"])} ${one.tcp}`;
  if (one.dangerouslyAllowBearer && !loopback)
    return [`${where}: dangerouslyAllowBearer is for loopback addresses only`];
  if (!one.tls && !loopback && !one.publicUrl?.startsWith("https:"))
    return [`${where}: plain http beyond loopback; give tls, or publicUrl with https where a proxy terminates it`];
  return one.tls ? tlsProblems(one.tls, [...at, "tls"], place) : [];
}

function tlsProblems(files: NonNullable<Tcp["tls"]>, at: readonly PropertyKey[], place: Place): readonly string[] {
  const { cert, key, clientCa } = files;
  const unreadable = Object.entries({ cert, key, clientCa }).flatMap(([name, file]) =>
    file === undefined ? [] : failure(() => readBytes(file)).map((why) => `${place([...at, name])}: ${why}`),
  );
  if (unreadable.length > 0) return unreadable;
  const context = { cert: readBytes(cert), key: readBytes(key), ca: clientCa && readBytes(clientCa) } as Parameters<
    typeof createSecureContext
  >[0]; // node takes Uint8Array, its types want Buffer
  return failure(() => createSecureContext(context)).map(
    (why) => `${place(at)}: ${why}; cert is a PEM chain, key the PEM private key of its first certificate`,
  );
}

function witnessProblems({ witnesses }: Config, place: Place): readonly string[] {
  if (witnesses === undefined) return [];
  return failure(() => parsePolicy(readText(witnesses))).map((why) => `${place(["witnesses"])}: ${witnesses}: ${why}`);
}

/**
 * A file of the master key is not among the files that it seals, and its owner's alone: a copy of the state directory
 * must not be worth the keys. A systemd credential is neither, whatever its mode says.
 */
function masterKeyProblems(file: string | undefined, stateDirectory: string, place: Place): readonly string[] {
  if (file === undefined) return [];
  const where = place(["masterKey"]);
  const problems: string[] = [];
  if (isWithin(file, stateDirectory) || isWithin(real(file), real(stateDirectory)))
    problems.push(
      `${where}: ${file} is inside stateDirectory ${stateDirectory}; never beside the database, never in the same backup: move it`,
    );
  if ((statSync(file).mode & 0o077) !== 0)
    problems.push(`${where}: ${file} can be read or written by others than its owner; chmod 600 ${file}`);
  return problems;
}

function isWithin(file: string, directory: string): boolean {
  const way = relative(directory, file);
  return way !== ".." && !way.startsWith("../") && !isAbsolute(way);
}

/** Without symbolic links; as it is where nothing stands there yet. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** 32 bytes as they are, or exactly what base64 makes of them, with white space around it. */
function masterKeyOf(secret: Secret, where: string): Secret {
  const bytes = secret.reveal();
  if (bytes.length === 32) {
    if (!isText(bytes)) return secret;
    throw new ConfigError([
      `${where}: is 32 characters of text, which is no 32 bytes of chance; a key in hex or by hand does not count as raw. ${makeOne}`,
    ]);
  }
  try {
    const decoded = fromBase64(fromUtf8(bytes).trim());
    if (decoded.length === 32) return new Secret(decoded);
  } catch {
    // Said below: what was found is secret.
  }
  throw new ConfigError([
    `${where}: ${String(bytes.length)} bytes were found; 32 are needed, raw or as base64. ${makeOne}`,
  ]);
}

const makeOne = "Make one: openssl rand -base64 32";

/** Printable ASCII and line ends: of 32 bytes of chance, one in 10^13 are that. */
const isText = (bytes: Uint8Array): boolean =>
  bytes.every((byte) => (byte >= 32 && byte < 127) || (byte >= 9 && byte <= 13));

function readSecret(reference: SecretReference, here: (path: string) => string, environment: Environment): Secret {
  if ("file" in reference) return new Secret(readBytes(here(reference.file)));
  if ("credential" in reference) {
    const directory = environment["CREDENTIALS_DIRECTORY"];
    if (directory === undefined)
      throw new ConfigError([
        `credential ${reference.credential}: systemd gave no CREDENTIALS_DIRECTORY; add LoadCredential=${reference.credential}:… to the unit`,
      ]);
    return new Secret(readBytes(join(directory, reference.credential)));
  }
  const value = environment[reference.env];
  if (value === undefined) throw new ConfigError([`the environment variable ${reference.env} is not set`]);
  return new Secret(Buffer.from(value, "utf8"));
}

/** The grant files of the policy directory, by name. Throws ConfigError where it cannot be read. */
export function readPolicyFiles(directory: string): readonly PolicyFile[] {
  try {
    const names = readdirSync(directory)
      .filter((name) => /\.ya?ml$/.test(name))
      .sort();
    return names.map((name) => ({ path: name, text: readFileSync(join(directory, name), "utf8") }));
  } catch (error) {
    throw new ConfigError([`policy ${directory}: ${reason(error)}`]);
  }
}

export const readText = (file: string): string => Buffer.from(readBytes(file)).toString("utf8");

function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ConfigError([`${file}: ${reason(error)}`]);
  }
}

/** Why it cannot be done; nothing where it can. */
function failure(attempt: () => unknown): readonly string[] {
  try {
    attempt();
    return [];
  } catch (error) {
    return [reason(error)];
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : "cannot be read");

export const thisHost = (): string =>
  hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/g, "-")
    .slice(0, 63) || "signet";

/** JSON Schema (draft 7, which editors' YAML servers read). */
export const configJsonSchema = (): object => z.toJSONSchema(schema, { target: "draft-7", io: "input" });

function described(issue: z.core.$ZodIssue, place: Place): readonly string[] {
  if (issue.code !== "unrecognized_keys") return [`${place(issue.path)}: ${issue.message}`];
  return issue.keys.map((name) => `${place([...issue.path, name], true)}: is not a key that Signet knows`);
}

const placeIn =
  (file: string, document: Document, lines: LineCounter): Place =>
  (at, key = false) => {
    const { line, col } = lines.linePos(offsetOf(document, at, key));
    return `${file}:${String(line)}:${String(col)}: ${at.map(String).join(".") || "the file"}`;
  };

/** Where the value of a path stands, or its key; the nearest place above it where it is missing. */
function offsetOf(document: Document, at: readonly PropertyKey[], key: boolean): number {
  for (let length = at.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(at.slice(0, length - 1), true);
    const pair = isMap(parent)
      ? parent.items.find((one) => isPair(one) && isScalar(one.key) && one.key.value === at[length - 1])
      : undefined;
    const keyNode = pair && isScalar(pair.key) ? pair.key : undefined;
    const node = key || !pair ? keyNode : pair.value;
    const found = (node as { range?: readonly number[] } | undefined)?.range ?? keyNode?.range; // every parsed node has a range
    if (found?.[0] !== undefined) return found[0];
    const element = document.getIn(at.slice(0, length), true) as { range?: readonly number[] } | undefined; // an element of a list
    if (element?.range?.[0] !== undefined) return element.range[0];
  }
  return 0;
}
