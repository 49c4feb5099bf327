// A monitor: remembers the newest checkpoint seen, asks for the proof that the log continues it, and shouts when there
// is none. It ends with exit code 13 then, and never before it is told to.

import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { type Client, RemoteFault } from "../client/connect.ts";
import { base64 } from "../std/base64.ts";
import { rfc3339 } from "../std/clock.ts";
import { exits, granted, notFound, textOf } from "./failure.ts";
import type { Job } from "./job.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { wholeNumber } from "./session.ts";
import {
  continueFrom,
  rememberedFile,
  type Trust,
  type TrustOptions,
  trustFor,
  verified,
  witnessLine,
} from "./trust.ts";
import { shortCheckpoint } from "./words.ts";

interface WatchOptions extends GlobalOptions, TrustOptions {
  readonly every: string;
  readonly once?: boolean;
  readonly state?: string;
}

export async function watch(job: Job<WatchOptions>): Promise<number> {
  const { world, out, options } = job;
  const every = wholeNumber("--every", options.every) * 1000;
  const { client, target } = await connectedClient(world, options);
  try {
    const trust = await trustFor(world, out, options, client, target);
    const path = options.state === undefined ? rememberedFile(target, trust) : resolve(world.cwd, options.state);
    for (;;) {
      await look(job, client, trust, path);
      if (options.once) return exits.ok;
      await pause(every, undefined, { signal: world.signal });
    }
  } finally {
    client.close();
  }
}

async function look(
  { world, out, options }: Job<WatchOptions>,
  client: Client,
  trust: Trust,
  path: string,
): Promise<void> {
  const at = rfc3339(world.clock());
  try {
    const answer = granted(await client.ask("Checkpoint", {}), { done: "watched", asked: "the newest checkpoint" });
    if (answer === null) throw notFound("the log has no checkpoint yet");
    const now = verified(answer.note, trust);
    const seen = await continueFrom(path, now, trust, client);
    const { origin, size, root } = now.checkpoint;
    const line = `${at}  ${shortCheckpoint(now.checkpoint)}  ${seen}  ${witnessLine(now, trust, answer.witnesses, world.clock())}`;
    if (out.format === "table") out.print(line);
    else out.print(JSON.stringify({ at, origin, size, root: base64(root), seen, witnesses: answer.witnesses }));
  } catch (error) {
    // Out of reach is not rewritten: say so and look again. Everything else ends the watch.
    if (!(error instanceof RemoteFault) || options.once || world.signal.aborted) throw error;
    out.warn(`${at}  ${textOf(error).message}; looking again`);
  }
}
