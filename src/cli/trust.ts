// Whose word counts for the log: its verification key, pinned when it was seen first or given, and the newest
// checkpoint seen, so that a rewritten past is caught.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";

import type { Client } from "../client/connect.ts";
import { readIfThere, writePrivate } from "../client/files.ts";
import { base64, fromBase64 } from "../std/base64.ts";
import { equalBytes } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { type Checkpoint, type Cosignature, verifyCheckpoint } from "../tlog/checkpoint.ts";
import { verifyConsistency } from "../tlog/merkle.ts";
import { type Policy, parsePolicy, satisfied } from "../tlog/policy.ts";
import { formatVkey, parseVkey, type Vkey } from "../tlog/vkey.ts";
import { granted, proofBad, usage } from "./failure.ts";
import type { Output } from "./output.ts";
import { keepContext, type Target } from "./server.ts";
import { several, shortCheckpoint, when } from "./words.ts";
import type { World } from "./world.ts";

export interface TrustOptions {
  readonly vkey?: string;
  readonly witnessPolicy?: string;
}

export interface Trust {
  readonly vkey: Vkey;
  readonly policy: Policy | undefined;
}

/** A checkpoint whose signature by a trusted key was verified. */
export interface Verified {
  readonly checkpoint: Checkpoint;
  /** The signed note. */
  readonly note: string;
  /** Of the policy's witnesses. */
  readonly cosignatures: readonly Cosignature[];
}

/** From --vkey or SIGNET_VKEY: the key itself, or a file that holds it. Undefined where neither is given. */
export async function givenVkey(world: World, options: TrustOptions): Promise<Vkey | undefined> {
  const given = options.vkey ?? world.env["SIGNET_VKEY"];
  if (!given) return undefined;
  const text = /^[^+/]+[^+]*\+[0-9a-f]{8}\+/.test(given)
    ? given
    : (await readFile(resolve(world.cwd, given), "utf8")).trim();
  try {
    return parseVkey(text);
  } catch (error) {
    throw usage(
      `--vkey: ${error instanceof Error ? error.message : "not a key"}`,
      "it looks like example.com/log+1a2b3c4d+AbCd…, one line",
    );
  }
}

export async function witnessPolicy(world: World, options: TrustOptions): Promise<Policy | undefined> {
  const { witnessPolicy: path } = options;
  return path === undefined ? undefined : parsePolicy(await readFile(resolve(world.cwd, path), "utf8"));
}

/** The key to hold this server's log against: given, pinned, or seen now for the first time, and then pinned. */
export async function trustFor(
  world: World,
  out: Output,
  options: TrustOptions,
  client: Client,
  target: Target,
): Promise<Trust> {
  const policy = await witnessPolicy(world, options);
  const vkey =
    (await givenVkey(world, options)) ??
    (target.context.vkey === undefined ? undefined : parseVkey(target.context.vkey));
  if (vkey !== undefined) return { vkey, policy };
  const text = granted(await client.ask("Vkey", {}), { done: "verified", asked: "the log's verification key" });
  const seen = parseVkey(text);
  out.warn(`the log's key was not known here; now it is ${formatVkey(seen)}`);
  out.warn("compare it with one that did not come from this server, or give it with --vkey");
  if (target.known) await keepContext(target, { ...target.context, vkey: formatVkey(seen) }, false);
  return { vkey: seen, policy };
}

/** The note of a checkpoint, verified. Throws a Failure that ends in exit code 13. */
export function verified(note: string, { vkey, policy }: Trust): Verified {
  const verdict = verifyCheckpoint(note, { logs: [vkey], witnesses: policy?.witnesses.map((one) => one.vkey) ?? [] });
  if (verdict.verdict === "rejected") {
    throw proofBad(
      "the checkpoint is not this log's",
      `${verdict.message} (expected key ${vkey.name})`,
      "if the log's key was changed lawfully, an entry of the old log says so; else somebody answers in its place",
    );
  }
  return { checkpoint: verdict.checkpoint, note, cosignatures: verdict.cosignatures };
}

/** One file per log, named by the hash of its origin. */
export const rememberedFile = (target: Target, trust: Trust): string =>
  join(target.places.state, "checkpoints", `${sha256Hex(trust.vkey.name)}.checkpoint`);

export async function remembered(path: string, trust: Trust): Promise<Verified | undefined> {
  const bytes = await readIfThere(path);
  return bytes === undefined ? undefined : verified(bytes.toString("utf8"), { ...trust, policy: undefined });
}

/** Proves that the log still holds all that was seen before, and remembers where it is now. Failure with exit code 13. */
export async function continueFrom(
  path: string,
  now: Verified,
  trust: Trust,
  client: Client,
): Promise<"first" | "same" | "grown"> {
  const before = await remembered(path, trust);
  if (before !== undefined) await proveContinues(before.checkpoint, now.checkpoint, client);
  if (before === undefined || before.checkpoint.size < now.checkpoint.size) await writePrivate(path, now.note);
  if (before === undefined) return "first";
  return before.checkpoint.size === now.checkpoint.size ? "same" : "grown";
}

/**
 * The newest of several checkpoints, each proved to be a past of it: entries of one answer may be proved against the
 * heads of a log that grew meanwhile. Failure with exit code 13.
 */
export async function newestOf(all: readonly Verified[], client: Client): Promise<Verified | undefined> {
  const bySize = all.toSorted((a, b) => b.checkpoint.size - a.checkpoint.size);
  const [newest] = bySize;
  if (newest === undefined) return undefined;
  const proved = new Set<string>();
  for (const { checkpoint } of bySize) {
    const root = base64(checkpoint.root);
    if (proved.has(`${String(checkpoint.size)} ${root}`)) continue;
    await proveContinues(checkpoint, newest.checkpoint, client);
    proved.add(`${String(checkpoint.size)} ${root}`);
  }
  return newest;
}

async function proveContinues(before: Checkpoint, now: Checkpoint, client: Client): Promise<void> {
  const found = `seen before: ${shortCheckpoint(before)}, shown now: ${shortCheckpoint(now)}`;
  const next =
    "keep both checkpoints, show them to the other auditors and the witnesses, and trust nothing signed since";
  if (now.size < before.size) throw proofBad("THE LOG WAS ROLLED BACK", found, next);
  if (now.size === before.size) {
    if (!equalBytes(now.root, before.root)) throw proofBad("THE LOG WAS REWRITTEN", found, next);
    return;
  }
  const answer = granted(await client.ask("Consistency", { from: before.size, to: now.size }), {
    done: "proved",
    asked: `that the log of ${String(now.size)} entries continues that of ${String(before.size)}`,
  });
  const claim = {
    from: before.size,
    fromRoot: before.root,
    to: now.size,
    toRoot: now.root,
    proof: answer.hashes.map(fromBase64),
  };
  if (!verifyConsistency(claim))
    throw proofBad("THE LOG WAS REWRITTEN", `${found}; its proof does not lead from one to the other`, next);
}

/** `witnessed by w1.example at 14:05:41Z`, `not witnessed`, or who is said to have witnessed it. */
export function witnessLine(
  { cosignatures }: Pick<Verified, "cosignatures">,
  { policy }: Trust,
  said: readonly string[],
  now: number,
): string {
  if (policy === undefined) {
    return said.length === 0
      ? "not witnessed"
      : `the server names ${several(said.length, "witness", "witnesses")}: check with --witness-policy`;
  }
  if (cosignatures.length === 0) return "not witnessed";
  return `witnessed by ${cosignatures.map(({ vkey, time }) => `${vkey.name} at ${when(rfc3339(time * 1000), now)}`).join(", ")}`;
}

/** Where a policy was given, its quorum must have cosigned. Failure with exit code 13. */
export function requireWitnesses({ cosignatures }: Pick<Verified, "cosignatures">, { policy }: Trust): void {
  if (
    policy === undefined ||
    satisfied(
      policy,
      cosignatures.map((one) => one.vkey),
    )
  )
    return;
  throw proofBad(
    "the checkpoint is not witnessed",
    `the quorum ${policy.quorum} of --witness-policy has not cosigned it`,
    "wait a moment: cosigning happens apart from signing; signet doctor shows the witnesses",
  );
}
