// Is the log whole? Everything is hashed again, from a folder or over the wire, up to a checkpoint of the trusted key.

import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";

import { readIfThere } from "../client/files.ts";
import { placesOf } from "../client/places.ts";
import { base64 } from "../std/base64.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { parseCheckpoint } from "../tlog/checkpoint.ts";
import { type FsckVerdict, fsck, type ReadFile } from "../tlog/fsck.ts";
import { parseNote } from "../tlog/note.ts";
import { parseVkey } from "../tlog/vkey.ts";
import { exits, proofBad, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { connectedClient, type GlobalOptions, type Target } from "./server.ts";
import { filesIn, filesOf } from "./tree.ts";
import {
  givenVkey,
  remembered,
  rememberedFile,
  requireWitnesses,
  type Trust,
  type TrustOptions,
  trustFor,
  witnessLine,
  witnessPolicy,
} from "./trust.ts";
import { count, shortCheckpoint } from "./words.ts";

type Options = GlobalOptions & TrustOptions;

export async function fsckLog(job: Job<Options>): Promise<number> {
  const [folder] = job.words;
  return folder === undefined ? fsckServer(job) : fsckFolder(job, resolve(job.world.cwd, folder), folder);
}

async function fsckServer(job: Job<Options>): Promise<number> {
  const { client, target } = await connectedClient(job.world, job.options);
  try {
    const trust = await trustFor(job.world, job.out, job.options, client, target);
    return await examine(job, filesOf(client), trust, target, target.context.server, true);
  } finally {
    client.close();
  }
}

async function fsckFolder(job: Job<Options>, folder: string, name: string): Promise<number> {
  const { world, options } = job;
  if (!(await stat(folder)).isDirectory())
    throw usage(`${name} is not a folder`, "give the one that holds checkpoint and tile/");
  const vkey = (await givenVkey(world, options)) ?? (await vkeyBeside(folder));
  if (vkey === undefined)
    throw usage(
      "which key signed this log?",
      "--vkey KEY or FILE (an export holds it in log.vkey, but take it from elsewhere if you can)",
    );
  const trust = { vkey, policy: await witnessPolicy(world, options) };
  const target = { places: placesOf(world.env), context: { name: "folder", server: "" }, known: false };
  return examine(job, filesIn(folder), trust, target, name, false);
}

/** As `signet audit export` leaves it: proves that the folder agrees with itself, not whose log it is. */
async function vkeyBeside(folder: string) {
  for (const path of [join(folder, "log.vkey"), join(folder, "..", "log.vkey")]) {
    const bytes = await readIfThere(path);
    if (bytes !== undefined) return parseVkey(bytes.toString("utf8").trim());
  }
  return undefined;
}

async function examine(
  { world, out }: Job<Options>,
  read: ReadFile,
  trust: Trust,
  target: Target,
  name: string,
  living: boolean,
): Promise<number> {
  const seen = await remembered(rememberedFile(target, trust), trust);
  // A copy may lawfully be older than what was seen of the living log: then the two cannot be compared here.
  const older = !living && seen !== undefined && (await sizeOf(read)) < seen.checkpoint.size;
  const before = older ? undefined : seen;
  const progress = out.progress(`fsck ${name}`);
  const verdict = await fsck({
    read,
    trusted: { logs: [trust.vkey], witnesses: trust.policy?.witnesses.map((one) => one.vkey) ?? [] },
    ...(before === undefined ? {} : { remembered: before.checkpoint }),
    onProgress: (done, size) => {
      world.signal.throwIfAborted();
      progress.at(done, size);
    },
  }).finally(progress.end);
  throwUnlessConsistent(verdict, name);
  const { origin, size, root, cosignatures } = verdict;
  out.one(
    [
      ["consistent", `${count(size)} entries of ${origin}`],
      ["checkpoint", shortCheckpoint({ size, root })],
      [
        "past",
        before === undefined
          ? older
            ? "older than what was seen of this log: not compared"
            : "no checkpoint was remembered to compare with"
          : `holds checkpoint ${shortCheckpoint(before.checkpoint)}, seen before`,
      ],
      ["witnesses", witnessLine({ cosignatures }, trust, [], world.clock())],
    ],
    {
      verdict: "consistent",
      origin,
      size,
      root: base64(root),
      remembered: before?.checkpoint.size ?? null,
      cosignatures: cosignatures.map(({ vkey, time }) => ({ witness: vkey.name, at: rfc3339(time * 1000) })),
    },
  );
  requireWitnesses({ cosignatures }, trust);
  return exits.ok;
}

/** As the checkpoint says, which fsck verifies; 0 where there is none that can be read. */
async function sizeOf(read: ReadFile): Promise<number> {
  const bytes = await read("checkpoint");
  try {
    return bytes === undefined ? 0 : parseCheckpoint(parseNote(fromUtf8(bytes)).body).size;
  } catch {
    return 0;
  }
}

export function throwUnlessConsistent(
  verdict: FsckVerdict,
  name: string,
): asserts verdict is Extract<FsckVerdict, { verdict: "consistent" }> {
  if (verdict.verdict === "damaged") {
    const index = verdict.index === undefined ? "" : `, from entry ${count(verdict.index)}`;
    throw proofBad(
      "the log is damaged",
      `${name}: ${verdict.path}${index}: ${verdict.what}`,
      "compare with another copy; keep this one as it is",
    );
  }
  if (verdict.verdict === "rewritten")
    throw proofBad(
      "THE LOG WAS REWRITTEN",
      `${name}: ${verdict.what}`,
      "keep it as it is, and show it to the other auditors and the witnesses",
    );
}
