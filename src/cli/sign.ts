// Signatures for files, in CI: hash here, sign there, and leave beside each file what a stranger needs to check it.
//
// By default the key signs a statement about the file (message form): FILE.intoto.sigstore.json and its receipt.
// With --detached it signs the file's digest, for tools that ask for that: FILE.sig, FILE.sigstore.json and a receipt.
// A session opened here is closed here, whatever happens in between.

import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

import type { Signature, SignItemInput, SignReceipt } from "../client/answers.ts";
import type { Client } from "../client/connect.ts";
import { writeWhole } from "../client/files.ts";
import type { SessionKey } from "../client/session-file.ts";
import { hashOf, type KeyAlgorithm, type Purpose } from "../model/key.ts";
import { base64url, fromBase64 } from "../std/base64.ts";
import type { Json } from "../std/json.ts";
import { isJsonObject } from "../std/json.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { parseNote } from "../tlog/note.ts";
import { parseReceipt } from "../tlog/proof.ts";
import { exits, Failure, granted, usage } from "./failure.ts";
import { digestOfFile } from "./hash-file.ts";
import { itemList } from "./item-list.ts";
import type { Job } from "./job.ts";
import type { Output } from "./output.ts";
import { clientFor, sessionFromEnvironment, targetOf } from "./server.ts";
import { type IdentityOptions, identityOf, openSession, sessionLine } from "./session.ts";
import { count, several, shortCheckpoint, shortDigest } from "./words.ts";
import type { World } from "./world.ts";

interface SignOptions extends IdentityOptions {
  readonly key?: string;
  readonly detached?: boolean;
  readonly attestKey?: string;
  readonly predicate?: string;
  readonly type?: string;
  readonly name?: string;
  readonly outDir?: string;
  readonly session?: string;
}

/** What one key is to sign of every file. */
interface Form {
  readonly kind: "statement" | "blob";
  /** By name, where one was named. */
  readonly key: string | undefined;
}

interface Artifact {
  readonly path: string;
  readonly name: string;
  /** Where the signatures go, without their endings. */
  readonly stem: string;
  readonly sha256: string;
}

interface Written {
  readonly file: string;
  readonly digest: string;
  readonly key: string;
  readonly version: number;
  readonly entry: number;
  readonly written: readonly string[];
}

interface Held {
  readonly client: Client;
  readonly keys: readonly SessionKey[];
  readonly end: () => Promise<void>;
}

const batch = 100; // items per request, the contract's limit
const slsaProvenance = "https://slsa.dev/provenance/v1";

export async function sign(job: Job<SignOptions>): Promise<number> {
  const { world, out, options } = job;
  const forms = formsOf(options);
  const statement = await statementOf(world, options);
  const artifacts = await artifactsOf(job);
  const held = await sessionFor(job, forms, artifacts.length * forms.length);
  const done: Written[] = [];
  try {
    for (const form of forms) {
      const key = keyFor(form, held.keys);
      const progress = out.progress(`signing with ${key.name}`);
      for (let at = 0; at < artifacts.length; at += batch) {
        world.signal.throwIfAborted();
        const part = artifacts.slice(at, at + batch);
        done.push(...(await signPart(held.client, key, form.kind, part, statement, job)));
        progress.at(at + part.length, artifacts.length);
      }
      progress.end();
    }
  } finally {
    await held.end();
  }
  if (out.format !== "table") out.list("signed", done, [], (one) => one);
  return exits.ok;
}

function formsOf({ detached, key, attestKey, type, predicate }: SignOptions): readonly Form[] {
  if (!detached) {
    if (attestKey !== undefined && key !== undefined) {
      throw usage(
        "--key and --attest-key name two keys for one statement",
        "add --detached to sign the file itself with --key",
      );
    }
    return [{ kind: "statement", key: key ?? attestKey }];
  }
  if (attestKey === undefined && (type !== undefined || predicate !== undefined)) {
    throw usage(
      "--detached signs the file's digest: there is no statement for --predicate and --type",
      "name a key for the statement: --attest-key NAME",
    );
  }
  return [{ kind: "blob", key }, ...(attestKey === undefined ? [] : [{ kind: "statement", key: attestKey } as const])];
}

interface Claim {
  readonly predicateType: string;
  readonly predicate: Json;
}

async function statementOf(world: World, { predicate, type }: SignOptions): Promise<Claim> {
  if (predicate === undefined) {
    if (type !== undefined && type !== slsaProvenance)
      throw usage(`a statement of type ${type} needs its content`, "--predicate FILE");
    return { predicateType: slsaProvenance, predicate: {} };
  }
  let value: unknown;
  try {
    value = JSON.parse(await readFile(resolve(world.cwd, predicate), "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw usage(`--predicate ${predicate} is not JSON: ${error.message}`);
  }
  if (!isJsonObject(value)) throw usage(`--predicate ${predicate} is not a JSON object`);
  return { predicateType: type ?? slsaProvenance, predicate: value };
}

async function artifactsOf({ world, words, options, out }: Job<SignOptions>): Promise<readonly Artifact[]> {
  if (options.name !== undefined && words.length > 1)
    throw usage("--name is for one file", "sign them one by one, or let each keep its own name");
  const progress = out.progress("hashing");
  const artifacts: Artifact[] = [];
  for (const path of words) {
    const name = options.name ?? basename(path);
    const full = resolve(world.cwd, path);
    const folder = options.outDir ?? dirname(path);
    artifacts.push({
      path,
      name,
      stem: join(folder, basename(path)),
      sha256: await digestOfFile(full, "sha256", world.signal),
    });
    progress.at(artifacts.length, words.length);
  }
  progress.end();
  const twice = artifacts.find((one, i) => artifacts.findIndex((other) => other.stem === one.stem) < i);
  if (twice)
    throw usage(
      `two files would leave their signatures at ${twice.stem}`,
      "sign them one by one, with different --out-dir",
    );
  return artifacts;
}

/** The session that the job opened before, or one of our own, which `end` closes. */
async function sessionFor(
  { world, out, options }: Job<SignOptions>,
  forms: readonly Form[],
  uses: number,
): Promise<Held> {
  const earlier = await sessionFromEnvironment(world, options.session ?? world.env["SIGNET_SESSION"]);
  if (earlier !== undefined) {
    const client = await clientFor(world, options, earlier, { key: earlier.key, token: earlier.token });
    out.say("session", `${earlier.name} · of an earlier command`);
    return {
      client,
      keys: earlier.keys,
      end: () => {
        client.close();
        return Promise.resolve();
      },
    };
  }
  const names = forms.map(({ key }) => key).filter((key) => key !== undefined);
  if (names.length < forms.length)
    throw usage("which key?", "--key NAME (without a session of signet session open there is nothing to choose from)");
  const { context } = await targetOf(world, options);
  const identity = await identityOf(world, options, out);
  const { client, session, held } = await openSession(world, options, context, identity, {
    keys: [...new Set(names)],
    uses,
    reason: options.reason,
  });
  out.say("session", sessionLine(session, world));
  const end = async (): Promise<void> => {
    // What was signed stays signed: a session that does not close is over in minutes, and said so.
    await client
      .unstoppable()
      .ask("CloseSession", { input: {} })
      .catch(() => {
        out.warn(`warning  session ${session.name} could not be closed: it ends by itself at ${session.expiresAt}`);
      });
    client.close();
  };
  return { client, keys: held.keys, end };
}

const purposes: Readonly<Record<Form["kind"], Purpose>> = { statement: "ATTESTATION", blob: "BLOB" };

function keyFor({ kind, key: name }: Form, keys: readonly SessionKey[]): SessionKey {
  const purpose = purposes[kind];
  const fitting = keys.filter((key) => key.purpose === purpose && (name === undefined || key.name === name));
  const [only, more] = fitting;
  if (only !== undefined && more === undefined) return only;
  const other = keys.find((key) => key.name === name);
  const found = `the session covers ${keys.map((key) => `${key.name} (${key.purpose})`).join(", ")}`;
  if (other?.purpose === "BLOB" && kind === "statement") {
    throw usage(
      `key ${other.name} signs digests of files, not statements about them`,
      `add --detached, or name a key of purpose ATTESTATION`,
    );
  }
  if (other)
    throw usage(
      `key ${other.name} is of purpose ${other.purpose}: a ${kind} needs ${purpose}`,
      `name a key of purpose ${purpose}`,
    );
  const asked = name === undefined ? `a key of purpose ${purpose}` : `key ${name}`;
  throw new Failure({
    exit: exits.usage,
    code: "KEY_NOT_IN_SESSION",
    message: `not signed: which key?`,
    asked,
    found,
    next: "--key NAME",
  });
}

/** One request of up to 100 items: all or nothing. */
async function signPart(
  client: Client,
  key: SessionKey,
  kind: Form["kind"],
  part: readonly Artifact[],
  claim: Claim,
  job: Job<SignOptions>,
): Promise<readonly Written[]> {
  const { world, out } = job;
  const items = await Promise.all(part.map((one) => itemOf(kind, one, claim, key.algorithm, world)));
  const answer = await client.ask("Sign", {
    input: { idempotencyKey: base64url(world.random(18)), key: key.name, items },
  });
  const asked = `${part.length === 1 ? (part[0]?.name ?? "") : several(part.length, "file")}, as ${kind === "blob" ? "a detached signature" : "a statement"}, with key ${key.name}`;
  const { signatures, receipt } = granted(answer, { done: "signed", asked });
  if (signatures.length !== part.length)
    throw new Failure({
      exit: exits.unexpected,
      code: "UNREADABLE",
      message: `asked for ${several(part.length, "signature")}, the server sent ${count(signatures.length)}`,
    });
  const list = await itemList(client, receipt, items, signatures);
  if (list === "missing")
    out.warn(
      `warning  the list of the ${count(part.length)} items could not be had: ask an auditor for it, the receipts need it`,
    );
  const extra = list === "missing" ? undefined : list;
  const written: Written[] = [];
  for (const [i, artifact] of part.entries()) {
    const signature = signatures[i];
    if (signature === undefined) continue;
    const files = filesOf(kind, artifact, signature, receipt, extra);
    for (const [path, content] of files) await writeWhole(resolve(world.cwd, path), content);
    out.say("signed", `${artifact.path}   ${shortDigest(artifact.sha256)}\n${files.map(([path]) => path).join("   ")}`);
    const { key: name, number: version } = signature.keyVersion;
    written.push({
      file: artifact.path,
      digest: artifact.sha256,
      key: name,
      version,
      entry: receipt.entry,
      written: files.map(([path]) => path),
    });
  }
  logLine(out, receipt);
  return written;
}

async function itemOf(
  kind: Form["kind"],
  { name, sha256, path }: Artifact,
  claim: Claim,
  algorithm: KeyAlgorithm | undefined,
  world: World,
): Promise<SignItemInput> {
  if (kind === "statement") return { statement: { subject: [{ name, digest: sha256 }], ...claim } };
  const wide = algorithm !== undefined && hashOf(algorithm) === "sha384";
  return {
    blob: { name, digest: wide ? await digestOfFile(resolve(world.cwd, path), "sha384", world.signal) : sha256 },
  };
}

type NewFile = readonly [path: string, content: string | Uint8Array];

function filesOf(
  kind: Form["kind"],
  { stem }: Artifact,
  signature: Signature,
  receipt: SignReceipt,
  items: Uint8Array | undefined,
): readonly NewFile[] {
  const base = kind === "statement" ? `${stem}.intoto` : stem;
  const bundle =
    signature.bundle === null ? [] : [[`${base}.sigstore.json`, `${JSON.stringify(signature.bundle)}\n`] as const];
  const raw = kind === "blob" ? [[`${stem}.sig`, fromBase64(signature.value)] as const] : [];
  const list = items === undefined ? [] : [[`${base}.tlog-items.json`, items] as const];
  return [...raw, ...bundle, [`${base}.tlog-proof`, receipt.tlogProof], ...list];
}

/** What the receipt says, not yet verified: `signet verify` does that, with a key that did not come from the server. */
function logLine(out: Output, receipt: SignReceipt): void {
  const checkpoint = parseCheckpoint(parseNote(parseReceipt(receipt.tlogProof).checkpoint).body);
  out.say("log", `entry ${count(receipt.entry)} · checkpoint ${shortCheckpoint(checkpoint)}`);
}
