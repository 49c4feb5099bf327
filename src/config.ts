// The configuration: one YAML file and a few SIGNET_* variables, read here and nowhere else. Strict: a key that is not
// known is an error with its line. Secrets stand in it as references only.

import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { type Document, isMap, isPair, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { z } from "zod";
import { custodies } from "./custody/index.ts";
import { tokenAlgorithms } from "./identity/index.ts";
import type { PolicyFile } from "./policy/index.ts";
import { isAbsurdlyNested } from "./policy/yaml.ts";
import { parseDuration } from "./std/duration.ts";
import { Secret } from "./std/secret.ts";
import { type SecretReference, secretReference } from "./std/secret-reference.ts";

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
    tcp: z.string().regex(/^(.+):(\d{1,5})$/, "must be host:port, such as 127.0.0.1:8420"),
    tls: tls.optional(),
    publicUrl: z
      .url()
      .optional()
      .describe("scheme and authority as clients see it, where a proxy stands in between; DPoP proofs name it"),
    openLog: z
      .boolean()
      .default(false)
      .describe("show checkpoint and hash tiles to everybody; entry tiles always need the auditor role"),
    dangerouslyAllowBearer: z.boolean().default(false).describe("loopback only: sessions without proof of possession"),
  }),
  z.strictObject({ unix: path.describe("socket, made with mode 0600; enrols the first operator") }),
]);

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
  claims: z.record(z.string(), z.string()).optional().describe("provider generic: our field to the issuer's claim"),
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
  custodies: z
    .array(z.discriminatedUnion("kind", [custodies[0].config, ...custodies.slice(1).map((kind) => kind.config)]))
    .min(1)
    .default([{ kind: "software" }]),
  issuers: z.array(issuer).default([]),
  policy: path.describe("directory of grant files (*.yaml)"),
  approvals: z.enum(["two-persons", "one-person"]).default("two-persons"),
  witnesses: path.optional().describe("C2SP tlog-policy file: who cosigns the log's checkpoints"),
  publishEvery: duration.default("PT1S"),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});

export type Config = Omit<z.infer<typeof schema>, "publishEvery" | "masterKey"> & {
  readonly file: string;
  readonly masterKey: Secret;
  /** Milliseconds. */
  readonly publishEvery: number;
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
  const parsed = schema.safeParse(withVariables(document.toJS({ maxAliasCount: 0 }), environment));
  if (!parsed.success)
    throw new ConfigError(parsed.error.issues.flatMap((issue) => described(issue, file, document, lines)));

  const here = (name: string): string => (isAbsolute(name) ? name : resolve(dirname(file), name));
  const secret = (reference: SecretReference): Secret => readSecret(reference, here, environment);
  const { publishEvery, masterKey, ...rest } = parsed.data;
  const config: Config = {
    ...absolute(rest, here),
    file,
    publishEvery: parseDuration(publishEvery),
    masterKey: masterKeyOf(secret(masterKey)),
    secret,
  };
  checkListeners(config);
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

function absolute<T extends Omit<z.infer<typeof schema>, "publishEvery" | "masterKey">>(
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

function checkListeners(config: Config): void {
  const problems = config.listeners.flatMap((one, index) => {
    if ("unix" in one) return [];
    const host = one.tcp.slice(0, one.tcp.lastIndexOf(":"));
    const loopback = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(host);
    const where = `${config.file}: listeners[${String(index)}] ${one.tcp}`;
    if (one.dangerouslyAllowBearer && !loopback)
      return [`${where}: dangerouslyAllowBearer is for loopback addresses only`];
    if (!one.tls && !loopback && !one.publicUrl?.startsWith("https:"))
      return [`${where}: plain http beyond loopback; give tls, or publicUrl with https where a proxy terminates it`];
    return [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

/** 32 bytes as they are, or their base64 in one line. */
function masterKeyOf(secret: Secret): Secret {
  const bytes = secret.reveal();
  if (bytes.length === 32) return secret;
  const decoded = Buffer.from(Buffer.from(bytes).toString("utf8").trim(), "base64");
  if (decoded.length === 32) return new Secret(decoded);
  throw new ConfigError([
    `masterKey: ${String(bytes.length)} bytes were found; 32 are needed, raw or as base64. Make one: openssl rand -base64 32`,
  ]);
}

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

const reason = (error: unknown): string => (error instanceof Error ? error.message : "cannot be read");

export const thisHost = (): string =>
  hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/g, "-")
    .slice(0, 63) || "signet";

/** JSON Schema (draft 7, which editors' YAML servers read). */
export const configJsonSchema = (): object => z.toJSONSchema(schema, { target: "draft-7", io: "input" });

function isDuration(text: string): boolean {
  try {
    return parseDuration(text) > 0;
  } catch {
    return false;
  }
}

function described(issue: z.core.$ZodIssue, file: string, document: Document, lines: LineCounter): readonly string[] {
  const names = issue.code === "unrecognized_keys" ? issue.keys : [undefined];
  return names.map((name) => {
    const at = name === undefined ? issue.path : [...issue.path, name];
    const { line, col } = lines.linePos(offsetOf(document, at, name !== undefined));
    const what = name === undefined ? issue.message : "is not a key that Signet knows";
    return `${file}:${String(line)}:${String(col)}: ${at.map(String).join(".") || "the file"}: ${what}`;
  });
}

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
