// Everything a stranger needs to check the log without us: the static tree, the log's key, the side blobs that entries
// name (policy sets among them), and a page that says how. What was written is checked from the disk before we say so.

import { mkdir, readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

import { isSystemError, writeWhole } from "../client/files.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { fsck } from "../tlog/fsck.ts";
import { formatTilePath, tilesOf } from "../tlog/tile.ts";
import { formatVkey } from "../tlog/vkey.ts";
import { throwUnlessConsistent } from "./audit-fsck.ts";
import { exits, Failure, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { blobOf, blobsOf, fetchBlob, parseLeaf } from "./leaf.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { filesIn, filesOf } from "./tree.ts";
import { continueFrom, rememberedFile, type TrustOptions, trustFor, verified } from "./trust.ts";
import { count, several, shortCheckpoint } from "./words.ts";

const together = 8; // files under way at once

export async function exportLog({ world, out, words, options }: Job<GlobalOptions & TrustOptions>): Promise<number> {
  const folder = resolve(world.cwd, words[0] ?? "");
  await emptyFolder(folder, words[0] ?? "");
  const { client, target } = await connectedClient(world, options);
  try {
    const trust = await trustFor(world, out, options, client, target);
    const read = filesOf(client);
    const note = await read("checkpoint");
    if (note === undefined)
      throw new Failure({ exit: exits.notFound, code: "NOT_FOUND", message: "the log has no checkpoint yet" });
    const at = verified(fromUtf8(note), trust);
    const { size, origin } = at.checkpoint;
    await continueFrom(rememberedFile(target, trust), at, trust, client);

    const tiles = [...tilesOf(size)].map(formatTilePath);
    await each(tiles, "files", async (path) => {
      const bytes = await read(path);
      if (bytes === undefined)
        throw new Failure({
          exit: exits.proofBad,
          code: "LOG_PROOF_BAD",
          message: `the server does not show ${path} of its own log`,
        });
      await put(folder, path, bytes);
    });
    await put(folder, "checkpoint", note);
    await put(folder, "log.vkey", `${formatVkey(trust.vkey)}\n`);

    const blobs = new Map<string, "blobs" | "policies">();
    const progress = out.progress("checking");
    const verdict = await fsck({
      read: filesIn(folder),
      trusted: { logs: [trust.vkey] },
      onEntry: (_, leaf) => {
        const entry = parseLeaf(leaf);
        for (const blob of blobsOf(entry)) if (!blobs.has(blob)) blobs.set(blob, "blobs");
        const policy = entry?.["type"] === "policy.change" ? blobOf(entry["files"]) : undefined;
        if (policy !== undefined) blobs.set(policy, "policies");
      },
      onProgress: progress.at,
    }).finally(progress.end);
    throwUnlessConsistent(verdict, words[0] ?? "");

    const missing: string[] = [];
    await each([...blobs], "side blobs", async ([sha256, kind]) => {
      const bytes = await fetchBlob(client, sha256);
      if (bytes === undefined) missing.push(sha256);
      else await put(folder, `${kind}/${sha256}`, bytes);
    });
    await put(folder, "README.md", readme(origin, size, formatVkey(trust.vkey)));
    out.one(
      [
        [
          "exported",
          `${several(size, "entry", "entries")} and ${several(blobs.size - missing.length, "side blob")} to ${words[0] ?? ""}`,
        ],
        ["checkpoint", `${shortCheckpoint(at.checkpoint)} of ${origin}`],
        ["checked", "consistent, read again from the disk"],
      ],
      { folder, origin, entries: size, blobs: blobs.size - missing.length, missing },
    );
    for (const sha256 of missing) out.warn(`warning  the server does not give side blob sha256:${sha256}`);
    return missing.length > 0 ? exits.proofBad : exits.ok;
  } finally {
    client.close();
  }

  async function each<T>(all: readonly T[], what: string, work: (one: T) => Promise<void>): Promise<void> {
    const progress = out.progress(`exporting ${what}`);
    let done = 0;
    const queue = all.values();
    const worker = async (): Promise<void> => {
      for (const one of queue) {
        world.signal.throwIfAborted();
        await work(one);
        done += 1;
        progress.at(done, all.length);
      }
    };
    await Promise.all(Array.from({ length: together }, worker)).finally(progress.end);
  }
}

/** An export never mixes with what is there: two logs in one folder are none. */
async function emptyFolder(folder: string, name: string): Promise<void> {
  try {
    if ((await readdir(folder)).length > 0) throw usage(`${name} is not empty`, "name a new folder");
  } catch (error) {
    if (!isSystemError(error) || error.code !== "ENOENT") throw error;
    await mkdir(folder, { recursive: true });
  }
}

async function put(folder: string, path: string, bytes: Uint8Array | string): Promise<void> {
  const full = join(folder, path);
  await mkdir(dirname(full), { recursive: true });
  await writeWhole(full, bytes);
}

const readme = (origin: string, size: number, vkey: string): string => `# The log ${origin}, ${count(size)} entries

This folder is a C2SP tlog-tiles log (https://c2sp.org/tlog-tiles) and can be checked without Signet.

- \`checkpoint\`: a signed note (https://c2sp.org/tlog-checkpoint): name, number of entries, Merkle root.
- \`tile/entries/…\`: the entries, 256 to a file, each with its length in two bytes before it. An entry is canonical
  JSON (RFC 8785); its fields are told in docs/audit-log.md of Signet.
- \`tile/0/…\`, \`tile/1/…\`: the hashes of the Merkle tree (RFC 6962).
- \`blobs/\`, \`policies/\`: what entries name as \`sha256:…\`; each file is named by its own SHA-256. Those in
  \`policies/\` are the policy files that were in force.
- \`log.vkey\`: the log's key, as the exporter trusted it. Take it from elsewhere if you can:

      ${vkey}

To check everything, serve the folder over HTTP and run tessera's fsck
(https://github.com/transparency-dev/tessera, cmd/fsck):

    go run github.com/transparency-dev/tessera/cmd/fsck@latest --storage_url=http://127.0.0.1:8000/ --public_key=log.vkey

or, with Signet: \`signet audit fsck . --vkey log.vkey\`. Side blobs: \`sha256sum blobs/* policies/*\`.
A log that was cut back to an older checkpoint agrees with itself: compare the checkpoint's size and root with those
that others have seen.
`;
