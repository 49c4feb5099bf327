// Who signed what? Entries of the log, each proved against one checkpoint before it is shown: what is printed comes from
// the leaf's own bytes, never from the server's reading of them.

import type { EntryFilter, ListedEntry } from "../client/answers.ts";
import type { Client } from "../client/connect.ts";
import { base64 } from "../std/base64.ts";
import { rfc3339 } from "../std/clock.ts";
import type { JsonObject } from "../std/json.ts";
import { parseReceipt, verifyReceipt } from "../tlog/proof.ts";
import { codeNamed, exits, granted, proofBad, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { parseLeaf, resultOf, text, whatOf, whoOf } from "./leaf.ts";
import { connectedClient, type GlobalOptions, type Target } from "./server.ts";
import { wholeNumber } from "./session.ts";
import {
  continueFrom,
  newestOf,
  rememberedFile,
  requireWitnesses,
  type Trust,
  type TrustOptions,
  trustFor,
  type Verified,
  verified,
  witnessLine,
} from "./trust.ts";
import { count, several, shortCheckpoint, when } from "./words.ts";

export interface FilterOptions extends GlobalOptions, TrustOptions {
  readonly key?: readonly string[];
  readonly type?: readonly string[];
  readonly digest?: string;
  readonly principal?: string;
  readonly session?: string;
  readonly code?: string;
  readonly result?: string;
  readonly since?: string;
  readonly until?: string;
}
interface ListOptions extends FilterOptions {
  readonly all?: boolean;
  readonly allTypes?: boolean;
  readonly limit: string;
}

/** An entry whose leaf is proved to be in the log. */
export interface Proved {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly entry: JsonObject;
  /** What its proof leads to. */
  readonly at: Verified;
  /** What the server's view said otherwise. */
  readonly disagreement: string | null;
}

interface Page {
  readonly entries: readonly Proved[];
  readonly at: Verified;
  readonly said: readonly string[];
  readonly more: string | undefined;
}

/** The server's own bound. */
const mostAtOnce = 1000;
const pageSize = 500;
/** What people ask for first: what was done or refused. Intents and the log's own entries come with --all-types. */
const telling = [
  "session.open",
  "session.revoke",
  "sign.outcome",
  "refusal",
  "key.create.outcome",
  "key.enroll.outcome",
  "key.destroy.outcome",
  "key.state",
  "key.rotate.begin",
  "key.rotate.outcome",
  "key.rotate.publish",
  "key.rotate.switch",
  "key.rotate.cancel",
  "key.rotate.retire",
  "key.drift",
  "key.adopt",
  "approval.decide",
  "operator.change",
  "policy.change",
];

export async function list({ world, out, options }: Job<ListOptions>): Promise<number> {
  const limit = wholeNumber("--limit", options.limit);
  if (limit > mostAtOnce) throw usage(`--limit is at most ${String(mostAtOnce)}`, "--all lists every entry");
  const filter = filterOf(options, world.clock(), options.allTypes ? undefined : telling);
  const { client, target } = await connectedClient(world, options);
  try {
    const trust = await trustFor(world, out, options, client, target);
    const page = options.all ? await everyEntry(client, filter, trust) : await newest(client, filter, limit, trust);
    await continueFrom(rememberedFile(target, trust), page.at, trust, client);
    const now = world.clock();
    out.list(
      "entries",
      page.entries,
      [
        { title: "INDEX", cell: ({ index }) => String(index), right: true },
        { title: "WHEN", cell: ({ entry }) => when(text(entry["at"]) ?? "", now) },
        { title: "WHO", cell: ({ entry }) => whoOf(entry) },
        { title: "WHAT", cell: ({ entry }) => whatOf(entry) },
        { title: "RESULT", cell: ({ entry }) => resultOf(entry) },
      ],
      ({ index, entry }) => ({ index, ...entry }),
    );
    for (const { index, disagreement } of page.entries)
      if (disagreement !== null)
        out.warn(`warning  entry ${count(index)}: the server's view said otherwise: ${disagreement}`);
    out.tell(
      `${count(page.entries.length)} shown${page.more === undefined ? "" : ", there are older ones (--all)"} · verified against checkpoint ${shortCheckpoint(page.at.checkpoint)} (${witnessLine(page.at, trust, page.said, now)})`,
    );
    return exits.ok;
  } finally {
    client.close();
  }
}

export async function verify({ world, out, options }: Job<FilterOptions>): Promise<number> {
  const filter = filterOf(options, world.clock(), undefined);
  const { client, target } = await connectedClient(world, options);
  const progress = out.progress("verifying");
  try {
    const trust = await trustFor(world, out, options, client, target);
    const found = await everyPage(client, filter, trust, (done) => {
      progress.at(done, done);
    });
    progress.end();
    const seen = await continueFrom(rememberedFile(target, trust), found.at, trust, client);
    return conclude({ world, out, options, words: [] }, found, trust, seen, target);
  } finally {
    progress.end();
    client.close();
  }
}

interface Everything {
  readonly entries: number;
  readonly disagreements: readonly string[];
  readonly at: Verified;
  readonly said: readonly string[];
}

function conclude(
  { world, out }: Job<FilterOptions>,
  found: Everything,
  trust: Trust,
  seen: string,
  target: Target,
): number {
  for (const line of found.disagreements) out.warn(`warning  ${line}`);
  const past = {
    first: "seen for the first time, remembered from now on",
    same: "the same as seen before",
    grown: "continues what was seen before",
  }[seen];
  out.one(
    [
      ["verified", `${several(found.entries, "entry", "entries")}, each proved to be in the log`],
      ["checkpoint", `${shortCheckpoint(found.at.checkpoint)} of ${found.at.checkpoint.origin}`],
      ["past", past],
      ["witnesses", witnessLine(found.at, trust, found.said, world.clock())],
    ],
    {
      entries: found.entries,
      disagreements: found.disagreements,
      origin: found.at.checkpoint.origin,
      size: found.at.checkpoint.size,
      root: base64(found.at.checkpoint.root),
      past: seen,
      context: target.context.name,
      cosignatures: found.at.cosignatures.map(({ vkey, time }) => ({ witness: vkey.name, at: rfc3339(time * 1000) })),
    },
  );
  requireWitnesses(found.at, trust);
  return found.disagreements.length > 0 ? exits.proofBad : exits.ok;
}

async function everyPage(
  client: Client,
  filter: EntryFilter,
  trust: Trust,
  onProgress: (done: number) => void,
): Promise<Everything> {
  let entries = 0;
  const disagreements: string[] = [];
  for (let before: Page | undefined; ; ) {
    const page = await nextPage(client, filter, before, trust);
    entries += page.entries.length;
    disagreements.push(
      ...page.entries.flatMap(({ index, disagreement }) =>
        disagreement === null ? [] : [`entry ${count(index)}: the server's view said otherwise: ${disagreement}`],
      ),
    );
    onProgress(entries);
    if (page.more === undefined) return { entries, disagreements, at: page.at, said: page.said };
    before = page;
  }
}

/** Oldest first. Held in memory: some kilobytes for each. */
async function everyEntry(client: Client, filter: EntryFilter, trust: Trust): Promise<Page> {
  const entries: Proved[] = [];
  for (let before: Page | undefined; ; ) {
    const page = await nextPage(client, filter, before, trust);
    entries.push(...page.entries);
    if (page.more === undefined) return { ...page, entries };
    before = page;
  }
}

/** Oldest first, of a log that continues the one of the page before. */
async function nextPage(client: Client, filter: EntryFilter, before: Page | undefined, trust: Trust): Promise<Page> {
  const page = await ask(client, { filter, first: pageSize, after: before?.more }, trust);
  return before === undefined ? page : { ...page, at: (await newestOf([before.at, page.at], client)) ?? page.at };
}

/** The newest entries of a filter, oldest of them first. */
async function newest(client: Client, filter: EntryFilter, limit: number, trust: Trust): Promise<Page> {
  const page = await ask(client, { filter, last: limit }, trust);
  return { ...page, entries: [...page.entries].sort((a, b) => a.index - b.index) };
}

type Question = Parameters<typeof askRaw>[1];
const askRaw = (
  client: Client,
  variables: { filter: EntryFilter; first?: number; after?: string | undefined; last?: number },
) => client.ask("AuditList", variables);

async function ask(client: Client, question: Question, trust: Trust): Promise<Page> {
  const answer = granted(await askRaw(client, question), { done: "listed", asked: "entries of the log" });
  const entries = answer.nodes.map((node) => proved(node, trust));
  const stated = verified(answer.checkpoint.note, trust);
  const at = (await newestOf([stated, ...entries.map((one) => one.at)], client)) ?? stated;
  const more = question.last === undefined ? answer.pageInfo.hasNextPage : answer.pageInfo.hasPreviousPage;
  return {
    entries,
    at,
    said: answer.checkpoint.witnesses,
    more: more ? (answer.pageInfo.endCursor ?? undefined) : undefined,
  };
}

/** Throws a Failure (exit code 13) unless the leaf is in the log. */
export function proved(node: ListedEntry, trust: Trust): Proved {
  const verdict = verifyReceipt({ receipt: node.receipt, logs: [trust.vkey] });
  const wrong = (found: string) =>
    proofBad(
      `entry ${count(node.index)} is not proved to be in the log`,
      found,
      "show this to the other auditors: signet audit fsck says more",
    );
  if (verdict.verdict === "rejected") throw wrong(verdict.message);
  if (verdict.facts.index !== node.index) throw wrong(`its proof is that of entry ${count(verdict.facts.index)}`);
  const { leaf } = verdict.facts;
  const entry = parseLeaf(leaf);
  if (entry === undefined) throw wrong("the leaf is not an entry in JSON");
  const at = verified(parseReceipt(node.receipt).checkpoint, trust);
  return { index: node.index, leaf, entry, at, disagreement: node.disagreement };
}

const results = ["done", "withheld", "failed", "unknown", "refused"];

export function filterOf(options: FilterOptions, now: number, usual: readonly string[] | undefined): EntryFilter {
  const { digest, result } = options;
  if (digest !== undefined && !/^sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96})$/.test(digest))
    throw usage(`--digest ${JSON.stringify(digest)} is not sha256: and 64 lower-case hexadecimal digits`);
  if (result !== undefined && !results.includes(result))
    throw usage(`--result ${JSON.stringify(result)} is none`, `one of ${results.join(", ")}`);
  return {
    keys: options.key,
    types: options.type ?? (result === undefined && options.code === undefined ? usual : undefined),
    digest,
    principal: options.principal,
    session: options.session,
    code: options.code === undefined ? undefined : codeOf(options.code),
    result,
    from: timeOf("--since", options.since, now),
    to: timeOf("--until", options.until, now),
  };
}

function codeOf(name: string): string {
  const code = codeNamed(name);
  if (code === undefined) throw usage(`--code ${JSON.stringify(name)} is no error code`, "signet explain lists them");
  return code;
}

const units = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `7d`, or a date or time in UTC; RFC 3339. */
function timeOf(option: string, given: string | undefined, now: number): string | undefined {
  if (given === undefined) return undefined;
  const [, amount, unit] = /^(\d{1,5})([mhd])$/.exec(given) ?? [];
  if (amount !== undefined) return rfc3339(now - Number(amount) * units[unit as keyof typeof units]); // the expression allows no other
  const at = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?Z)?$/.test(given) ? Date.parse(given) : Number.NaN;
  if (Number.isNaN(at))
    throw usage(`${option} ${JSON.stringify(given)} is not a time`, "7d, 12h, 30m, 2026-11-21 or 2026-11-21T14:00Z");
  return rfc3339(at);
}
