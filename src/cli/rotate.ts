// The rotation of a key, for operators: begun, continued and rolled back.

import type { RotatedKey } from "../client/answers.ts";
import type { Client } from "../client/connect.ts";
import { base64url } from "../std/base64.ts";
import { parseDuration } from "../std/duration.ts";
import { exits, granted, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { keyName } from "./key.ts";
import { rotationLines } from "./rotation-lines.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { shownUri } from "./words.ts";

interface RotateOptions extends GlobalOptions {
  readonly cancel?: boolean;
  readonly to?: string;
  readonly custody?: string;
  readonly propagation?: string;
  readonly retireAfter?: string;
  readonly beforeVerifiersKnow?: boolean;
  readonly idempotencyKey?: string;
  readonly reason?: string;
}

export async function rotate(job: Job<RotateOptions>): Promise<number> {
  const { world, out, words, options } = job;
  const name = keyName(words[0]);
  const change = options.cancel === true ? cancelling(job, name) : beginning(job, name);
  const { client } = await connectedClient(world, options);
  try {
    const key = await change(client);
    for (const [label, text] of key.rotation ? rotationLines(key.rotation, world.clock()) : []) out.say(label, text);
    if (out.format !== "table") out.one([], key);
    return exits.ok;
  } finally {
    client.close();
  }
}

type Change = (client: Client) => Promise<RotatedKey>;

function beginning({ world, out, options }: Job<RotateOptions>, name: string): Change {
  const { to: uri, custody } = options;
  const input = {
    idempotencyKey: options.idempotencyKey ?? base64url(world.random(18)),
    key: name,
    custody,
    uri,
    propagation: duration("--propagation", options.propagation),
    retireAfter: duration("--retire-after", options.retireAfter),
    beforeVerifiersKnow: options.beforeVerifiersKnow,
    reason: options.reason ?? "signet key rotate",
  };
  const asked = `rotate key ${name}${uri === undefined ? "" : ` to ${shownUri(uri)}`}${custody === undefined ? "" : ` in ${custody}`}`;
  return async (client) => {
    // Said before: an answer that is lost is asked for again under it.
    if (options.idempotencyKey === undefined) out.say("request", `--idempotency-key ${input.idempotencyKey}`);
    return granted(await client.ask("RotateKey", { input }), { done: "rotated", asked }).key;
  };
}

function cancelling({ options }: Job<RotateOptions>, name: string): Change {
  for (const other of ["to", "custody", "propagation", "retireAfter", "beforeVerifiersKnow"] as const)
    if (options[other] !== undefined)
      throw usage("--cancel takes --reason alone", `signet key rotate ${name} --cancel`);
  const input = { key: name, reason: options.reason ?? "signet key rotate --cancel" };
  const asked = `cancel the rotation of key ${name}`;
  return async (client) => granted(await client.ask("CancelRotation", { input }), { done: "cancelled", asked }).key;
}

function duration(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    parseDuration(text);
    return text;
  } catch (error) {
    throw usage(`${option}: ${error instanceof Error ? error.message : text}`);
  }
}
