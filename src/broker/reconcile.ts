// Whether every signature that a backend counted is one of ours: what the log recorded of each key version and day beside
// what its custody can tell. A surplus that nothing explains is a use of the key that did not go through Signet.
//
// Days are UTC. We count by the day of the outcome, a backend by its own clock: around midnight one may stand on either
// side. A request whose outcome nobody knows explains as many signatures as it had items, or none.

import type { BlobRef, Entry, Result } from "../model/entry.ts";
import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { type KeyVersion, versionId } from "../model/key.ts";
import type { LogEntry } from "../ports/log.ts";
import { reader, recordRead } from "./audit.ts";
import type { Call } from "./call.ts";
import { shown } from "./guard.ts";
import { askCustody } from "./incoming-key.ts";
import type { ReconciledDay, Reconciliation, Recorded } from "./index.ts";
import type { Parts } from "./parts.ts";

export interface ReconcileRequest {
  /** All keys, where absent. */
  readonly key?: string | undefined;
  /** `YYYY-MM-DD`, UTC; from inclusive, to exclusive. */
  readonly from: string;
  readonly to: string;
}

const dayLength = 86_400_000;
const mostDays = 366;

export async function reconcile(
  call: Call,
  request: ReconcileRequest,
  parts: Parts,
): Promise<Reconciliation | Refusal> {
  const asker = await reader(call, "reconcile", parts);
  if (isRefusal(asker)) return asker;
  const asked = versionsAsked(request, parts);
  if (isRefusal(asked)) return asked;
  const { from, to } = request;
  const recorded = await recordedUses(request, asked, parts);
  const days = await Promise.all(
    asked.map(async (version) => daysOf(version, recorded, await told(version, request, parts))),
  );
  const reconciled = { from, to, days: days.flat() };
  await recordRead(call, asker, { reconcile: request.key ?? "all keys", from, to }, reconciled.days.length, parts);
  return reconciled;
}

function versionsAsked({ key, from, to }: ReconcileRequest, { state }: Parts): readonly KeyVersion[] | Refusal {
  const [first, last] = [timeOf(from), timeOf(to)];
  if (first === undefined || last === undefined)
    return refuse("INPUT_INVALID", `"${shown(first === undefined ? from : to)}" is no day`, "YYYY-MM-DD, in UTC");
  const days = (last - first) / dayLength;
  if (days < 1 || days > mostDays)
    return refuse(
      "INPUT_INVALID",
      `from ${from} to ${to} are ${String(days)} days; 1 to ${String(mostDays)} can be asked for at once`,
      "the last day is not included",
    );
  const keys = key === undefined ? state.records("key") : [state.record("key", key)];
  const found = keys.flatMap((one) => one?.value.versions ?? []);
  return key !== undefined && found.length === 0
    ? refuse("NOT_FOUND", `there is no key "${shown(key)}"`, "signet key list")
    : found;
}

/** Start of a UTC day in milliseconds since the epoch. */
function timeOf(day: string): number | undefined {
  const at = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== day ? undefined : at;
}

type Uses = Map<string, Map<string, Recorded>>;
const none: Recorded = { done: 0, withheld: 0, unknown: 0 };
const types = ["sign", "key.enroll", "key.rotate"].flatMap((effect) => [`${effect}.intent`, `${effect}.outcome`]);
const pageSize = 1000;

/** By version and day. Outcomes up to a day later are read too: they end intents of the last day. */
async function recordedUses(
  { from, to }: ReconcileRequest,
  versions: readonly KeyVersion[],
  parts: Parts,
): Promise<Uses> {
  const uses: Uses = new Map();
  const add = (id: string, at: string, more: Partial<Recorded>): void => {
    const day = at.slice(0, 10);
    if (day < from || day >= to) return;
    const ofVersion = uses.get(id) ?? new Map<string, Recorded>();
    const { done, withheld, unknown } = ofVersion.get(day) ?? none;
    ofVersion.set(day, {
      done: done + (more.done ?? 0),
      withheld: withheld + (more.withheld ?? 0),
      unknown: unknown + (more.unknown ?? 0),
    });
    uses.set(id, ofVersion);
  };
  const begun = new Map<number, Used & { readonly at: string }>();
  for (const key of new Set(versions.map((one) => one.key)))
    for await (const { index, entry } of usesOf(key, timeOf(from) ?? 0, (timeOf(to) ?? 0) + dayLength, parts)) {
      const used = usedBy(entry);
      if (!used) continue;
      if (!("intent" in entry)) begun.set(index, { ...used, at: entry.at });
      else if ("result" in entry) {
        begun.delete(entry.intent.index);
        if (entry.result !== "failed") add(used.version, entry.at, { [entry.result]: used.items } satisfies Counted);
      }
    }
  for (const { version, items, at } of begun.values()) add(version, at, { unknown: items });
  return uses;
}

type Counted = Partial<Record<Exclude<Result, "failed">, number>>;

async function* usesOf(key: string, from: number, to: number, { log }: Parts): AsyncGenerator<LogEntry> {
  for (let after: number | undefined; ; ) {
    const page = await log.entries({ keys: [key], types, from, to }, { limit: pageSize, backward: false, after });
    yield* page.entries;
    after = page.entries.at(-1)?.index;
    if (!page.more) return;
  }
}

interface Used {
  readonly version: string;
  readonly items: number;
}

/** A key that came in, by enrollment or rotation, proved that it is there by one signature. */
function usedBy(entry: Entry): Used | undefined {
  if (entry.type === "sign.intent" || entry.type === "sign.outcome")
    return { version: versionId({ key: entry.key.name, number: entry.key.version }), items: lengthOf(entry.items) };
  if (entry.type === "key.enroll.intent" || entry.type === "key.enroll.outcome")
    return { version: versionId({ key: entry.key, number: 1 }), items: 1 };
  if (entry.type === "key.rotate.intent" || entry.type === "key.rotate.outcome")
    return { version: versionId({ key: entry.key, number: entry.to }), items: 1 };
  return undefined;
}

const lengthOf = (items: readonly unknown[] | BlobRef): number => ("blob" in items ? (items.count ?? 0) : items.length);

/** Signatures per day as the backend counted them, or why it cannot tell. */
async function told(
  version: KeyVersion,
  { from, to }: ReconcileRequest,
  { custodies }: Parts,
): Promise<ReadonlyMap<string, number> | string> {
  const custody = custodies.get(version.custody);
  if (!custody) return `no custody "${version.custody}" is configured`;
  if (!custody.uses) return `custody "${version.custody}" keeps no account of uses`;
  const found = await askCustody(
    version.custody,
    async (signal) => custody.uses?.(version, { from, to }, signal) ?? [],
  );
  if (found instanceof Fault) return `custody "${version.custody}" could not be asked: ${found.message}`;
  const days = new Map<string, number>();
  for (const { day, signatures } of found)
    if (day >= from && day < to) days.set(day, (days.get(day) ?? 0) + signatures);
  return days;
}

function daysOf(
  version: KeyVersion,
  uses: Uses,
  backend: ReadonlyMap<string, number> | string,
): readonly ReconciledDay[] {
  const recorded = uses.get(versionId(version)) ?? new Map<string, Recorded>();
  const counted = typeof backend === "string" ? new Map<string, number>() : backend;
  const days = [...new Set([...recorded.keys(), ...counted.keys()])].sort();
  const { key, number, custody } = version;
  // No row would read as "not used", and nobody said so.
  if (typeof backend === "string" && days.length === 0)
    return [{ key, number, custody, day: undefined, recorded: none, ...judged(none, backend) }];
  return days
    .map((day) => {
      const ours = recorded.get(day) ?? none;
      const theirs = typeof backend === "string" ? backend : (counted.get(day) ?? 0);
      return { key, number, custody, day, recorded: ours, ...judged(ours, theirs) };
    })
    .filter((one) => one.backend !== 0 || one.recorded.done + one.recorded.withheld + one.recorded.unknown > 0);
}

/** `backend`: signatures, or why there is no number. */
export function judged(
  { done, withheld, unknown }: Recorded,
  backend: number | string,
): Pick<ReconciledDay, "backend" | "difference" | "verdict" | "meaning"> {
  if (typeof backend === "string")
    return { backend: undefined, difference: undefined, verdict: "NOT_TOLD", meaning: backend };
  const difference = backend - done - withheld;
  const found = { backend, difference };
  if (difference < 0)
    return {
      ...found,
      verdict: "MISSING",
      meaning: `the backend counted ${String(-difference)} fewer than were recorded: its account is late or incomplete, or the day turned in between`,
    };
  if (difference > unknown)
    return {
      ...found,
      verdict: "SURPLUS",
      meaning: `${String(difference - unknown)} signatures that Signet knows nothing of: somebody used the key past it, or the day turned in between; look at the backend's own log of that day`,
    };
  const meaning =
    difference === 0
      ? "as recorded"
      : `${String(difference)} of ${String(unknown)} whose outcome was unknown were made`;
  return { ...found, verdict: "AGREES", meaning };
}
