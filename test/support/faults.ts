// What the fault tests share: asking once without the client's patience, starting a daemon that will not start, and
// reading the whole log as a stranger would, held against the rules that no accident may break.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { OperationName, Operations } from "../../src/client/answers.ts";
import { documentOf } from "../../src/client/documents.ts";
import { type ProofKey, proofFor } from "../../src/client/proof.ts";
import { fromUtf8, hex, utf8 } from "../../src/std/bytes.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import type { StepName } from "../../src/std/steps.ts";
import { fsck } from "../../src/tlog/fsck.ts";
import { leafHash } from "../../src/tlog/merkle.ts";
import { parseVkey } from "../../src/tlog/vkey.ts";
import { type Finished, run } from "./command.ts";
import type { House } from "./house.ts";

/** What the daemon answered; `undefined` where it died before it could. */
export interface Heard {
  readonly data?: Record<string, unknown>;
  readonly code?: string;
  readonly number?: string;
  readonly requestId?: string;
  readonly status: number;
  /** Of a fault. */
  readonly message?: string;
  readonly custody?: string;
  readonly retryable?: boolean;
  /** Seconds. */
  readonly retryAfter?: number;
  readonly hint?: string;
}

/** One question, asked once: the real client would try again, and hide what is looked at here. */
export async function askOnce<K extends OperationName>(
  home: Pick<House, "url">,
  who: { readonly key: ProofKey; readonly token?: string },
  name: K,
  variables: Operations[K]["variables"],
): Promise<Heard | undefined> {
  const body = JSON.stringify({ query: documentOf(name), operationName: name, variables });
  let nonce: string | undefined;
  for (let again = false; ; again = true) {
    const claims = { method: "POST", url: `${home.url}/graphql`, body: utf8(body), token: who.token, nonce };
    const headers = {
      "content-type": "application/json",
      accept: "application/graphql-response+json",
      dpop: proofFor(who.key, claims, systemClock, systemRandom),
      ...(who.token === undefined ? {} : { authorization: `DPoP ${who.token}` }),
    };
    const response = await fetch(claims.url, { method: "POST", headers, body }).catch(() => undefined);
    const text = await response?.text().catch(() => undefined);
    if (response === undefined || text === undefined) return undefined;
    nonce = response.headers.get("dpop-nonce") ?? undefined;
    const heard = heardIn(JSON.parse(text) as Answered, response.status);
    if (again || heard.code !== "PROOF_NONCE") return heard;
  }
}

/** The shape of every GraphQL answer of ours. */
interface Answered {
  readonly data?: Record<string, Record<string, unknown> | null> | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions: { readonly code: string; readonly number: string; readonly requestId: string };
  }[];
}

function heardIn({ data, errors }: Answered, status: number): Heard {
  const [error] = errors ?? [];
  if (error) return { status, message: error.message, ...error.extensions };
  const field = Object.values(data ?? {})[0] ?? {};
  const refused = field["__typename"] === "Refusal";
  return { status, data: field, ...(refused && { code: String(field["code"]), number: String(field["number"]) }) };
}

/** For daemons that stand under a test: quicker after their first start. */
export const quickStart = { NODE_COMPILE_CACHE: join(tmpdir(), "signet-compile-cache") };

/** A daemon that dies on command: the environment to start it with, and the command. */
export function deathOf(home: Pick<House, "directory">): {
  readonly env: Readonly<Record<string, string>>;
  /** From now on: the `time`th time that the step is passed. */
  readonly at: (step: StepName, time?: number) => void;
} {
  let number = 0;
  const place = (): string => join(home.directory, `die-${String(number)}`);
  return {
    get env() {
      number += 1;
      return { ...quickStart, SIGNET_DANGEROUSLY_DIE_AT: `@${place()}` };
    },
    at: (step, time = 1) => {
      writeFileSync(place(), `${step} ${String(time)}\n`);
    },
  };
}

/** Starts a daemon that is expected to give up by itself, beside `home`'s own. */
export const refusedStart = (home: Pick<House, "config" | "directory">): Promise<Finished> =>
  run(process.execPath, [join(import.meta.dirname, "../../src/main.ts"), "--config", home.config], {
    cwd: home.directory,
    env: quickStart,
    timeout: 30_000,
  });

/** A leaf, parsed, with what names it. */
export type Found = Readonly<Record<string, unknown>> & { readonly index: number; readonly hash: string };

/** Every entry of the static tree, hashed up to the signed checkpoint. Throws where a stranger would find it wrong. */
export async function publishedLog(home: Pick<House, "directory" | "said">): Promise<readonly Found[]> {
  const vkey = /"vkey":"([^"]+)"/.exec(home.said())?.[1];
  if (vkey === undefined) throw new Error("the daemon never told its vkey");
  const tree = join(home.directory, "state", "log");
  const out: Found[] = [];
  const verdict = await fsck({
    read: (path) =>
      Promise.resolve(existsSync(join(tree, path)) ? new Uint8Array(readFileSync(join(tree, path))) : undefined),
    trusted: { logs: [parseVkey(vkey)] },
    onEntry: (index, leaf) => {
      out.push({ ...(JSON.parse(fromUtf8(leaf)) as Record<string, unknown>), index, hash: hex(leafHash(leaf)) });
    },
  });
  expect(verdict).toMatchObject({ verdict: "consistent" });
  return out;
}

interface LeafRef {
  readonly index: number;
  readonly hash: string;
}
const intentOf = (entry: Found): LeafRef => entry["intent"] as LeafRef; // outcomes and incident.unfinished have one
const isIntent = (entry: Found): boolean => String(entry["type"]).endsWith(".intent");
export const outcomesOf = (entries: readonly Found[], intent: number): readonly Found[] =>
  entries.filter((one) => String(one["type"]).endsWith(".outcome") && intentOf(one).index === intent);
export const incidentsOf = (entries: readonly Found[], intent: number): readonly Found[] =>
  entries.filter((one) => one["type"] === "incident.unfinished" && intentOf(one).index === intent);

/**
 * The rules of the log, whatever happened: an outcome follows its own intent, an intent has at most one, and one that
 * an earlier epoch left without is an incident, exactly once, whether or not a later epoch ends it. Returns the intents that have none.
 */
export function unfinishedIn(entries: readonly Found[]): readonly Found[] {
  for (const one of entries.filter((entry) => entry["intent"] !== undefined)) {
    const intent = entries[intentOf(one).index];
    expect(intent).toMatchObject({ hash: intentOf(one).hash });
    expect(intentOf(one).index).toBeLessThan(one.index);
    if (String(one["type"]).endsWith(".outcome"))
      expect(one["type"]).toBe(String(intent?.["type"]).replace(/intent$/, "outcome"));
  }
  const epoch = Math.max(...entries.map((one) => Number(one["epoch"])));
  for (const intent of entries.filter(isIntent)) {
    const outcomes = outcomesOf(entries, intent.index);
    expect(outcomes.length, `outcomes of intent ${String(intent.index)}`).toBeLessThanOrEqual(1);
    const reported = incidentsOf(entries, intent.index).length;
    const ended = outcomes[0] === undefined ? epoch : Number(outcomes[0]["epoch"]);
    expect(reported, `incidents of intent ${String(intent.index)}`).toBe(Number(intent["epoch"]) < ended ? 1 : 0);
  }
  return entries.filter((one) => isIntent(one) && outcomesOf(entries, one.index).length === 0);
}

/** That a signature which somebody holds stands in the log: its intent, and an outcome that names its hash. */
export function expectRecorded(entries: readonly Found[], heard: Heard | undefined): void {
  if (heard?.data?.["signatures"] === undefined) throw new Error(`no signature was released: ${String(heard?.code)}`);
  const { receipt, signatures } = heard.data as unknown as Operations["Sign"]["answer"]; // what the schema promises
  const outcome = entries[receipt.entry];
  expect(outcome).toMatchObject({ type: "sign.outcome", result: "done" });
  expect(entries[outcome ? intentOf(outcome).index : -1]).toMatchObject({ type: "sign.intent" });
  const items = outcome?.["items"] as readonly { readonly signature: string }[];
  expect(signatures.map(({ value }) => sha256Hex(Buffer.from(value, "base64")))).toEqual(
    items.map((one) => one.signature),
  );
}

/** Uses that the log has spent of a session. */
export const spentBy = (entries: readonly Found[], session: string): number =>
  entries
    .filter((one) => one["type"] === "sign.intent" && one["session"] === session)
    .reduce((sum, one) => sum + (one["uses"] as { spent: number }).spent, 0);

/** Again and again until it holds. `limit`: milliseconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limit = 15_000): Promise<void> {
  const deadline = Date.now() + limit;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${String(limit)} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
