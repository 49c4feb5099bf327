// A file, its signature, its receipt, a public key and the log's key: enough to know who signed what, when, and that it
// is in the log. Nobody is asked.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { readContexts } from "../client/contexts.ts";
import { readIfThere } from "../client/files.ts";
import { placesOf } from "../client/places.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import { type ReceiptFacts, verifyReceipt } from "../tlog/proof.ts";
import { parseVkey, type Vkey } from "../tlog/vkey.ts";
import { exits, Failure, proofBad, usage } from "./failure.ts";
import { digestOfFile } from "./hash-file.ts";
import type { Job } from "./job.ts";
import { blobOf, parseLeaf, said, text, whoOf } from "./leaf.ts";
import {
  type Evidence,
  hintOf,
  type PublicKey,
  parseBundle,
  parsePublicKey,
  signerOf,
  subjectsOf,
} from "./signature.ts";
import { givenVkey, type Trust, type TrustOptions, witnessLine, witnessPolicy } from "./trust.ts";
import { count, shortCheckpoint, when } from "./words.ts";
import type { World } from "./world.ts";

interface VerifyOptions extends TrustOptions {
  readonly key: readonly string[];
  readonly bundle?: string;
  readonly signature?: string;
  readonly proof?: string;
  /** False with --no-log. */
  readonly log: boolean;
}

/** A signature beside its receipt, as files. */
interface Found {
  readonly evidence: Evidence;
  /** The file that holds it. */
  readonly path: string;
  /** Where the receipt is looked for. */
  readonly proof: string;
  /** Where the list of items is, when the log holds only its hash. */
  readonly items: string;
}

interface Fact {
  readonly signature: string;
  readonly kind: Evidence["kind"];
  readonly predicateType: string | undefined;
  readonly key: PublicKey;
  readonly logged: Logged | undefined;
}

interface Logged {
  readonly facts: ReceiptFacts;
  readonly entry: JsonObject;
  readonly witnesses: string;
}

export async function verify(job: Job<VerifyOptions>): Promise<number> {
  const { world, words, options } = job;
  const [name = ""] = words;
  const file = resolve(world.cwd, name);
  const keys = await keysOf(world, options.key);
  const trust = options.log ? await trustOf(world, options) : undefined;
  const digest = await digestOfFile(file, "sha256", world.signal);
  const found = await evidenceOf(name, world, options);
  const facts: Fact[] = [];
  for (const one of found) facts.push(await verifyOne(one, { file, name, digest, keys, trust }, world));
  show(job, name, digest, facts);
  return exits.ok;
}

async function keysOf(world: World, paths: readonly string[]): Promise<readonly PublicKey[]> {
  if (paths.length === 0)
    throw usage(
      "which public key do you trust?",
      "--key FILE.pem; its owner gives it to you, or: signet key show NAME --pem",
    );
  return Promise.all(
    paths.map(async (path) => {
      try {
        return parsePublicKey(path, await readFile(resolve(world.cwd, path), "utf8"));
      } catch (error) {
        if (error instanceof TypeError) throw usage(`--key ${path}: ${error.message}`);
        throw error;
      }
    }),
  );
}

async function trustOf(world: World, options: VerifyOptions): Promise<Trust> {
  const vkey = (await givenVkey(world, options)) ?? (await pinned(world));
  if (vkey === undefined)
    throw usage("which log do you trust?", "--vkey KEY or FILE, or --no-log to check the signature alone");
  return { vkey, policy: await witnessPolicy(world, options) };
}

/** Of the current context. */
async function pinned(world: World): Promise<Vkey | undefined> {
  const { current, contexts } = await readContexts(placesOf(world.env).config);
  const vkey = contexts.find((one) => one.name === (world.env["SIGNET_CONTEXT"] ?? current))?.vkey;
  return vkey === undefined ? undefined : parseVkey(vkey);
}

async function evidenceOf(name: string, world: World, options: VerifyOptions): Promise<readonly Found[]> {
  const { bundle, signature, proof } = options;
  if (bundle !== undefined && signature !== undefined)
    throw usage("--bundle and --signature are two ways to say the same", "give one of them");
  const read = (path: string): Promise<Buffer | undefined> => readIfThere(resolve(world.cwd, path));
  const found: Found[] = [];
  const named = bundle ?? signature;
  for (const path of named === undefined
    ? [`${name}.sigstore.json`, `${name}.intoto.sigstore.json`, `${name}.sig`]
    : [named]) {
    const bytes = await read(path);
    if (bytes === undefined) continue;
    if (path.endsWith(".sig") && named === undefined && found.some((one) => one.evidence.kind === "blob")) continue; // the bundle holds it too
    const isRaw = signature !== undefined || path.endsWith(".sig");
    const evidence: Evidence = isRaw
      ? { kind: "blob", signature: bytes, digest: undefined, hint: undefined }
      : bundleIn(path, bytes);
    const stem = evidence.kind === "statement" ? `${name}.intoto` : name;
    found.push({ evidence, path, proof: proof ?? `${stem}.tlog-proof`, items: `${stem}.tlog-items.json` });
  }
  if (found.length > 0) return found;
  throw new Failure({
    exit: exits.noSignature,
    code: "NO_SIGNATURE",
    message: `no signature of ${name} was found`,
    found:
      named === undefined
        ? `neither ${name}.sigstore.json, ${name}.intoto.sigstore.json nor ${name}.sig is there`
        : `${named} is not there`,
    next: "get it from where the file came from, or name it: --bundle FILE",
  });
}

function bundleIn(path: string, bytes: Buffer): Evidence {
  try {
    return parseBundle(bytes.toString("utf8"));
  } catch (error) {
    const found = error instanceof Error ? (error.message.split("\n")[0] ?? "") : "unreadable";
    throw new Failure(
      { exit: exits.noSignature, code: "NO_SIGNATURE", message: `${path} is not a Sigstore bundle`, found },
      error,
    );
  }
}

interface Question {
  readonly file: string;
  readonly name: string;
  readonly digest: string;
  readonly keys: readonly PublicKey[];
  /** Undefined with --no-log. */
  readonly trust: Trust | undefined;
}

async function verifyOne(found: Found, question: Question, world: World): Promise<Fact> {
  const { evidence, path } = found;
  checkSubject(evidence, path, question, await wideDigest(evidence, question, world));
  const key = await signerOf(evidence, question.file, question.keys);
  if (key === undefined) throw notSignedBy(evidence, path, question);
  const logged =
    question.trust === undefined ? undefined : await verifyLogged(found, key, question, question.trust, world);
  const predicateType = evidence.kind === "statement" ? text(evidence.statement["predicateType"]) : undefined;
  return { signature: path, kind: evidence.kind, predicateType, key, logged };
}

const wideDigest = (evidence: Evidence, { file }: Question, world: World): Promise<string | undefined> =>
  evidence.kind === "blob" && evidence.digest?.startsWith("sha384:")
    ? digestOfFile(file, "sha384", world.signal)
    : Promise.resolve(undefined);

/** That the signature speaks of this file at all; whose it is comes next. */
function checkSubject(evidence: Evidence, path: string, { name, digest }: Question, wide: string | undefined): void {
  const names =
    evidence.kind === "statement"
      ? subjectsOf(evidence.statement)
      : evidence.digest === undefined
        ? []
        : [evidence.digest];
  const fits =
    evidence.kind === "blob" && evidence.digest === undefined
      ? true
      : names.includes(digest) || (wide !== undefined && names.includes(wide));
  if (!fits)
    throw noMatch(
      `${path} speaks of another file than ${name}`,
      `the file is ${digest}\nsigned is ${names.join(", ") || "nothing with a SHA-256"}`,
    );
}

const noMatch = (message: string, found: string): Failure =>
  new Failure({
    exit: exits.noMatch,
    code: "NO_MATCH",
    message,
    found,
    next: "do not use the file: get it, or its signature, again",
  });

function notSignedBy({ hint }: Evidence, path: string, { name, keys }: Question): Failure {
  const given = keys.map((key) => `${key.name} (${key.fingerprint.slice(0, 16)}…)`).join(", ");
  if (hint && !keys.some((key) => hintOf(key.fingerprint) === hint)) {
    return new Failure({
      exit: exits.untrusted,
      code: "KEY_UNTRUSTED",
      message: `${path} was made with a key that you did not name`,
      found: `it names key ${Buffer.from(hint, "base64").toString("hex").slice(0, 16)}…; you trust ${given}`,
      next: "if you trust that key, add --key FILE.pem; else do not use the file",
    });
  }
  return noMatch(`${path} is not a signature of ${name} by a key that you trust`, `you trust ${given}`);
}

async function verifyLogged(
  found: Found,
  key: PublicKey,
  question: Question,
  trust: Trust,
  world: World,
): Promise<Logged> {
  const bytes = await readIfThere(resolve(world.cwd, found.proof));
  if (bytes === undefined)
    throw proofBad(
      `no receipt of ${question.name} was found`,
      `${found.proof} is not there`,
      "get it from where the file came from, name it with --proof, or check the signature alone: --no-log",
    );
  const verdict = verifyReceipt({
    receipt: bytes.toString("utf8"),
    logs: [trust.vkey],
    ...(trust.policy === undefined ? {} : { policy: trust.policy }),
  });
  if (verdict.verdict === "rejected")
    throw proofBad(`${found.proof} does not prove anything in the log ${trust.vkey.name}`, verdict.message);
  const { facts } = verdict;
  const entry = parseLeaf(facts.leaf);
  if (entry === undefined)
    throw proofBad(
      `${found.proof} is of something that is no entry of Signet`,
      `its leaf has ${count(facts.leaf.length)} bytes and is not JSON`,
    );
  checkEntry(entry, await itemsOf(entry, found, world), key, found, question);
  return { facts, entry, witnesses: witnessLine(facts, trust, [], world.clock()) };
}

/** The items of the entry: in it, or beside the receipt under the hash that it names. */
async function itemsOf(entry: JsonObject, found: Found, world: World): Promise<readonly JsonObject[]> {
  const items = entry["items"];
  if (Array.isArray(items)) return items.filter(isJsonObject);
  const sha256 = blobOf(items);
  if (sha256 === undefined) return [];
  const bytes = await readIfThere(resolve(world.cwd, found.items));
  if (bytes === undefined || sha256Hex(bytes) !== sha256) {
    throw proofBad(
      `${found.proof} speaks of many items, and their list is missing`,
      `${found.items} ${bytes === undefined ? "is not there" : "is another list"}; the log names it sha256:${sha256}`,
      "get it from where the receipt came from; an auditor finds it in the log",
    );
  }
  const list: unknown = JSON.parse(bytes.toString("utf8"));
  return Array.isArray(list) ? list.filter(isJsonObject) : [];
}

function checkEntry(
  entry: JsonObject,
  items: readonly JsonObject[],
  key: PublicKey,
  found: Found,
  { digest, name }: Question,
): void {
  const wrong = (what: string) =>
    proofBad(`${found.proof} is of another signature`, what, `take the receipt that came with ${found.path}`);
  if (entry["type"] !== "sign.outcome") throw wrong(`the entry is of type ${said(entry["type"])}, not sign.outcome`);
  if (entry["result"] !== "done")
    throw wrong(`the log says that this signature was ${said(entry["result"])}, not released`);
  const used = entry["key"];
  if (!isJsonObject(used) || used["publicKey"] !== key.fingerprint)
    throw wrong(`the log says that another key was used than ${key.name}`);
  const item = items.find((one) => one["signature"] === sha256Hex(found.evidence.signature));
  if (item === undefined)
    throw wrong(`the log does not name this signature (SHA-256 ${sha256Hex(found.evidence.signature).slice(0, 16)}…)`);
  const artifacts = Array.isArray(item["artifacts"]) ? item["artifacts"].filter(isJsonObject) : [];
  const wide = found.evidence.kind === "blob" ? found.evidence.digest : undefined;
  if (!artifacts.some((one) => one["digest"] === digest || (wide !== undefined && one["digest"] === wide)))
    throw wrong(`the log speaks of another file than ${name}`);
}

function show({ out, world }: Job<VerifyOptions>, name: string, digest: string, facts: readonly Fact[]): void {
  if (out.format !== "table") {
    out.list("verified", facts, [], (fact) => jsonOf(fact, name, digest));
    return;
  }
  for (const fact of facts) {
    const { logged, key } = fact;
    const used = isJsonObject(logged?.entry["key"])
      ? `${said(logged.entry["key"]["name"])} v${said(logged.entry["key"]["version"])} · `
      : "";
    out.one(
      [
        [out.style("green", "verified"), `${name}   ${digest}`],
        [
          "signed",
          `${fact.kind === "statement" ? `as a statement, ${fact.predicateType ?? ""}` : "as it is"} · ${fact.signature}`,
        ],
        ["key", `${used}${key.name} · SHA-256 ${key.fingerprint.slice(0, 16)}…`],
        ["who", logged && `${whoOf(logged.entry)}${issuerOf(logged.entry)}`],
        ["when", logged && when(text(logged.entry["at"]) ?? "", world.clock())],
        [
          "log",
          logged &&
            `entry ${count(logged.facts.index)} of ${logged.facts.checkpoint.origin} · checkpoint ${shortCheckpoint(logged.facts.checkpoint)}`,
        ],
        ["witnesses", logged?.witnesses],
      ],
      {},
    );
  }
}

function issuerOf(entry: JsonObject): string {
  const by = isJsonObject(entry["by"]) ? entry["by"] : {};
  const id = text(by["projectId"]);
  const issuer = text(by["issuer"]);
  return `${id === undefined ? "" : ` (id ${id})`}${issuer === undefined ? "" : ` · as ${issuer} says`}`;
}

const jsonOf = ({ signature, kind, predicateType, key, logged }: Fact, file: string, digest: string): object => ({
  file,
  digest,
  signature,
  kind,
  predicateType,
  key: {
    file: key.name,
    fingerprint: key.fingerprint,
    ...(isJsonObject(logged?.entry["key"])
      ? { name: logged.entry["key"]["name"], version: logged.entry["key"]["version"] }
      : {}),
  },
  log: logged && {
    origin: logged.facts.checkpoint.origin,
    entry: logged.facts.index,
    size: logged.facts.checkpoint.size,
    at: logged.entry["at"],
    by: logged.entry["by"],
    cosignatures: logged.facts.cosignatures.map(({ vkey, time }) => ({ witness: vkey.name, at: rfc3339(time * 1000) })),
  },
});
