// signetd recover: when a log is damaged, cut off, rolled back or forked and no backup helps, a new log under a new name
// begins lawfully. Its first entry names the old one's newest known checkpoint; the old log is never continued, and its
// files are kept as they are. Without --accept-loss nothing changes: it says what would come along and what would not.

import { createPublicKey } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { journal } from "./broker/journal.ts";
import { type Adoption, adopt, adoption, type Replaced } from "./broker/recover.ts";
import { type Config, thisHost } from "./config.ts";
import { logKey } from "./custody/log-key.ts";
import { unseal } from "./custody/software-seal.ts";
import { lockDirectory } from "./db/lock.ts";
import {
  finishReplacement,
  prepareReplacement,
  replacedLogs,
  replaceLog,
  unfinishedReplacement,
} from "./db/replace.ts";
import { type Salvage, salvage } from "./db/salvage.ts";
import { openSqlite } from "./db/sqlite.ts";
import type { Entry } from "./model/entry.ts";
import { Fault } from "./model/errors.ts";
import { type KeyState, type KeyVersion, versionId } from "./model/key.ts";
import { type Replay, type Replayed, replay } from "./model/replay.ts";
import { noMetrics } from "./ports/metrics.ts";
import { equalBytes, fromUtf8, hex } from "./std/bytes.ts";
import { type Clock, type Random, rfc3339 } from "./std/clock.ts";
import { sha256Hex } from "./std/digest.ts";
import { noStep, type Step } from "./std/steps.ts";
import { parseCheckpoint, verifyCheckpoint } from "./tlog/checkpoint.ts";
import { fsck } from "./tlog/fsck.ts";
import { append, emptyFrontier, type Frontier, leafHash, rootOf } from "./tlog/merkle.ts";
import { parseNote } from "./tlog/note.ts";
import { Malformed } from "./tlog/text.ts";
import { formatVkey, type Vkey } from "./tlog/vkey.ts";

export interface RecoverParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly step: Step;
  readonly version: string;
  readonly acceptLoss: boolean;
}

export interface Recovery {
  /** Whether a new log stands in the old one's place now. */
  readonly done: boolean;
  /** For the operator, several lines. */
  readonly text: string;
}

/** Throws Fault LOG_NOT_DURABLE where a daemon runs in the state directory or it cannot be written. */
export async function recover(parts: RecoverParts): Promise<Recovery> {
  const { config, clock, step, acceptLoss } = parts;
  const directory = config.stateDirectory;
  if (!existsSync(directory)) return refused(`there is no state directory ${directory}: nothing to recover`);
  using held = new DisposableStack();
  held.use(lockDirectory(directory));
  if (unfinishedReplacement(directory)) {
    if (!acceptLoss)
      return refused(`an earlier run was interrupted. Run it again with --accept-loss: it goes on where it stopped`);
    const aside = await finishReplacement(directory, step);
    return { done: true, text: `the earlier run is finished. The old log is in ${aside ?? directory}\n${afterwards}` };
  }

  const tables = held.use(salvage(directory, clock()));
  const old = await judged(tables, parts);
  if ("refusal" in old) return refused(old.refusal);
  const named = newName(old, config);
  const loss = described(old, tables, config);
  if (!acceptLoss)
    return {
      done: false,
      text: `nothing is changed yet. This is what a new log would mean:\n\n${loss}\n\n  next        ${named ?? ""}${named === undefined ? "" : ", then "}copy ${directory} to a safe place, try the newest backup first,\n              and where none helps: signetd --config ${config.file} recover --accept-loss`,
    };
  if (named !== undefined) return refused(`${named}. One name never stands for two logs`);

  const vkey = await prepare(old, tables, parts);
  const aside = await replaceLog(directory, rfc3339(clock()).replaceAll(":", "-"), step);
  return {
    done: true,
    text: `a new log takes the old one's place. The old files are in ${aside}\n\n${loss}\n  vkey        ${vkey}\n\n${afterwards}`,
  };
}

const afterwards =
  "  next        start the daemon; log in and look at `signet operator list` and `signet key list`;\n" +
  "              resume each key that may sign again: signet key resume NAME --reason TEXT;\n" +
  "              give the new log's vkey to auditors, verifiers and witnesses, beside the old one";

const refused = (why: string): Recovery => ({ done: false, text: `${why}.` });

/** What was found of the old log. */
interface Old extends Adoption {
  readonly replaces: Replaced;
  /** Every name that a log ever had here. */
  readonly origins: ReadonlySet<string>;
  readonly newest: Note;
  readonly found: readonly string[];
}

async function judged(tables: Salvage, parts: RecoverParts): Promise<Old | { readonly refusal: string }> {
  const { config } = parts;
  const directory = config.stateDirectory;
  const found: string[] = [];
  const published = readIfThere(join(directory, "log", "checkpoint"));
  const texts = [published, readIfThere(join(directory, "remembered")), ...tables.checkpoints];
  const notes = texts.flatMap((text) => (text === undefined ? [] : (headed(text) ?? [])));
  const origin = notes[0]?.origin ?? tables.head?.origin;
  if (origin === undefined)
    return { refusal: `nothing in ${directory} names an old log: neither its database nor a checkpoint can be read` };
  const vkey = oldVkey(origin, parts, found);
  const proved = notes.filter((one) => one.origin === origin && (!vkey || isSigned(one.text, vkey)));
  const newest = proved.toSorted((a, b) => b.size - a.size)[0];
  if (!newest)
    return {
      refusal: `no checkpoint that the log ${origin} signed is left in ${directory}. Put the newest one, from a backup, a witness or an auditor, into ${join(directory, "remembered")}`,
    };
  if (vkey === undefined) found.push("no signature of the old log could be verified: look twice at what comes along");

  const { said, origins } = await retold(tables, vkey, newest, found, directory);
  const adopted = adoption({
    keys: tables.keys,
    people: tables.people,
    said,
    missing: (version, told) => missing(version, told, tables, config),
    at: rfc3339(parts.clock()),
  });
  for (const text of tables.complaints()) found.push(text);
  if (found.length === 0 && adopted.lost.length === 0) found.push(nothingWrong);
  const before = replacedLogs(directory).flatMap(
    (folder) =>
      headed(readIfThere(join(folder, "remembered")) ?? readIfThere(join(folder, "log", "checkpoint")) ?? "")?.origin ??
      [],
  );
  return {
    ...adopted,
    replaces: { origin, checkpoint: newest.text },
    origins: new Set([
      origin,
      ...notes.map((one) => one.origin),
      ...(tables.head ? [tables.head.origin] : []),
      ...origins,
      ...before,
    ]),
    newest,
    found,
  };
}

const nothingWrong =
  "the log here holds against its newest checkpoint. Unless a witness or an auditor proved that it was rolled back, go on with it under its old name";

interface Note {
  readonly text: string;
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

function headed(text: string): Note | undefined {
  try {
    return { text, ...parseCheckpoint(parseNote(text).body) };
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

const isSigned = (note: string, vkey: Vkey): boolean => verifyCheckpoint(note, { logs: [vkey] }).verdict === "verified";

function oldVkey(origin: string, { config, random }: RecoverParts, found: string[]): Vkey | undefined {
  const file = join(config.stateDirectory, "log.key");
  if (!existsSync(file)) {
    found.push(`${file} is not there`);
    return undefined;
  }
  try {
    return logKey({ file, origin, masterKey: config.masterKey, random }).vkey;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    found.push(error.message);
    return undefined;
  }
}

/**
 * The old leaves, told again: the published tree as far as it is true to its signed checkpoint, then the database as far
 * as it goes on from there; the database alone where no tree can be proved. Says in `found` what is wrong with them.
 */
async function retold(
  tables: Salvage,
  vkey: Vkey | undefined,
  newest: Note,
  found: string[],
  directory: string,
): Promise<{ readonly said: Replayed; readonly origins: ReadonlySet<string> }> {
  const origins = new Set<string>();
  const told = vkey && (await publishedTold(join(directory, "log"), vkey, origins));
  if (vkey && !told) found.push("the published tree is not true to its checkpoint, or not there");
  const { stored, atNewest } = hashed(tables, newest.size);
  const head = tables.head;
  const size = head?.size ?? 0;
  if (head && size < newest.size)
    found.push(
      `the database holds ${String(size)} entries, ${String(newest.size)} were published: it was rolled back or cut off`,
    );
  else if (head && !(atNewest && equalBytes(atNewest, newest.root)))
    found.push(
      `the first ${String(newest.size)} entries of the database are not those of the checkpoint that was published`,
    );
  else if (head && !(stored.size === size && equalBytes(rootOf(stored), head.root)))
    found.push("the newest entries of the database are not those that were hashed when they were written");

  if (!told) return { said: toldBy(tables, 0, replay(), found, origins).result(), origins };
  if (size > told.frontier.size && goesOn(tables, told.frontier))
    toldBy(tables, told.frontier.size, told.telling, found, origins);
  return { said: told.telling.result(), origins };
}

interface PublishedTold {
  readonly telling: Replay;
  readonly frontier: Frontier;
}

async function publishedTold(tree: string, vkey: Vkey, origins: Set<string>): Promise<PublishedTold | undefined> {
  const telling = replay();
  let frontier = emptyFrontier;
  const verdict = await fsck({
    read: (path) =>
      Promise.resolve(existsSync(join(tree, path)) ? new Uint8Array(readFileSync(join(tree, path))) : undefined),
    trusted: { logs: [vkey] },
    onEntry: (index, leaf) => {
      const hash = leafHash(leaf);
      tell(telling, index, leaf, hash, origins);
      frontier = append(frontier, [hash]);
    },
  });
  return verdict.verdict === "consistent" ? { telling, frontier } : undefined;
}

/** All leaves of the database up to the first gap, hashed again. */
function hashed(
  tables: Salvage,
  size: number,
): { readonly stored: Frontier; readonly atNewest: Uint8Array | undefined } {
  let stored = emptyFrontier;
  let atNewest: Uint8Array | undefined;
  for (const { index, leaf } of tables.leaves(0)) {
    if (index !== stored.size || index >= (tables.head?.size ?? 0)) break;
    stored = append(stored, [leafHash(leaf)]);
    if (stored.size === size) atNewest = rootOf(stored);
  }
  return { stored, atNewest };
}

/** Whether the database's head is the published tree with the database's further leaves behind it. */
function goesOn(tables: Salvage, published: Frontier): boolean {
  let frontier = published;
  const size = tables.head?.size ?? 0;
  for (const { index, leaf } of tables.leaves(published.size)) {
    if (index !== frontier.size || index >= size) break;
    frontier = append(frontier, [leafHash(leaf)]);
  }
  return frontier.size === size && tables.head !== undefined && equalBytes(rootOf(frontier), tables.head.root);
}

function toldBy(tables: Salvage, from: number, telling: Replay, found: string[], origins: Set<string>): Replay {
  for (const { index, leaf } of tables.leaves(from))
    if (!tell(telling, index, leaf, leafHash(leaf), origins))
      found.push(`leaf ${String(index)} is not an entry any more`);
  return telling;
}

/** False where the bytes are no entry: they may be anything. */
function tell(telling: Replay, index: number, leaf: Uint8Array, hash: Uint8Array, origins: Set<string>): boolean {
  try {
    const entry = JSON.parse(fromUtf8(leaf)) as Entry; // as far as it was not damaged
    if (entry.type === "daemon.start" && entry.replaces) origins.add(entry.replaces.origin);
    telling.entry(index, hex(hash), entry);
    return true;
  } catch {
    return false;
  }
}

/** The custody's word: of the embedded one, whether the sealed key opens and is the private half. Others hold theirs. */
function missing(version: KeyVersion, told: boolean, tables: Salvage, { masterKey }: Config): string | undefined {
  try {
    const stated = createPublicKey(version.publicKey);
    if (sha256Hex(stated.export({ format: "der", type: "spki" })) !== version.fingerprint)
      return "has a public key that is not the one of its fingerprint";
    if (version.custody !== "software" || version.state === "DESTROYED")
      return told ? undefined : "is not in the leaves that can be read";
    if (version.uri !== `software:${versionId(version)}`) return "names the private key of another one";
    const sealed = tables.sealed(version.key, version.number);
    if (sealed === undefined) return "has no sealed private key any more";
    return createPublicKey(unseal(sealed, version, masterKey)).equals(stated) ? undefined : "has another private key";
  } catch (error) {
    return `cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Where the configuration still names a log that was here, what to do. */
function newName({ origins, replaces }: Old, { origin, file }: Config): string | undefined {
  if (!origins.has(origin)) return undefined;
  return `choose a new name for the new log: in ${file}, origin is still ${origin}, a log that was here before; write one such as ${nextName(replaces.origin)}`;
}

const nextName = (origin: string): string => {
  const [, stem = origin, number = "1"] = /^(.*?)(?:-(\d+))?$/.exec(origin) ?? [];
  return `${stem}-${String(Number(number) + 1)}`;
};

/** The new log, whole and closed, in a directory beside. Returns its vkey. */
async function prepare(old: Old, tables: Salvage, { config, clock, random, version }: RecoverParts): Promise<string> {
  const fresh = prepareReplacement(config.stateDirectory);
  const signer = logKey({ file: join(fresh, "log.key"), origin: config.origin, masterKey: config.masterKey, random });
  await using db = await openSqlite({ directory: fresh, origin: config.origin, signer, clock, step: noStep });
  for (const { key, from } of old.keys)
    for (const [i, one] of key.versions.entries()) {
      const sealed = tables.sealed(one.key, one.number);
      if (sealed && (one.state !== "DESTROYED" || from[i] === "DESTROYED"))
        await db.sealedKeys.keep(one.key, one.number, sealed);
    }
  const journaling = journal({
    log: db,
    clock,
    node: config.node ?? thisHost(),
    epoch: 1,
    metrics: noMetrics,
    known: () => true,
  });
  const vkey = formatVkey(signer.vkey);
  await adopt(old, old.replaces, { version, vkey }, journaling);
  return vkey;
}

function described({ replaces, newest, found, keys, people, lost }: Old, tables: Salvage, { origin }: Config): string {
  const states = keys.flatMap(({ key, from }) =>
    key.versions.map((one, i) => {
      const before = from[i] ?? one.state;
      return `key ${versionId(one)}: ${one.state}${before === one.state ? "" : `, was ${before}: ${because(one.state)}`}`;
    }),
  );
  const operators = people.map((one) => `operator ${one.name} (${one.roles.join(", ")}): ${one.issuer} ${one.subject}`);
  return [
    `  old log     ${replaces.origin}, ${String(newest.size)} entries published, root ${hex(newest.root).slice(0, 8)}`,
    ...(origin === replaces.origin ? [] : [`  new log     ${origin}`]),
    ...listed("found", found),
    ...listed("comes along", [...operators, ...states]),
    ...listed("is lost", [
      ...lost,
      `every session (${String(tables.openSessions)} open), every pending approval (${String(tables.pending)}), and the memory of requests that may be repeated`,
      "the old log's continuation: nothing is ever added to it again; its files and receipts stay as they are",
    ]),
  ].join("\n");
}

function because(state: KeyState): string {
  if (state === "SUSPENDED") return "signs again when somebody resumes it";
  return state === "DESTROYED"
    ? "its private key does not come along, and its public key never comes in again"
    : "its rotation ends with the old log, and it never signs";
}

const listed = (title: string, lines: readonly string[]): readonly string[] =>
  (lines.length > 0 ? lines : ["nothing"]).map((line, i) => `  ${(i === 0 ? title : "").padEnd(12)}${line}`);

const readIfThere = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, "utf8") : undefined);
