// The journal: every effect stands between two durable entries, and every "no" that concerns somebody is one.
//
// Nothing here decides. `append` puts the frame around an entry and hands it to the log with whatever must become true
// in the same transaction; `refused` turns a refusal into an entry, unless the principal is a stranger to every grant
// and role: strangers are counted, not logged, so that they cannot fill the disk. More than ten refusals of one
// principal in a minute fold into one entry with a count.

import type { EntryBody, Frame } from "../model/entry.ts";
import type { Refusal } from "../model/errors.ts";
import type { Decision } from "../model/grant.ts";
import type { ItemRecord } from "../model/item.ts";
import { type Principal, principalKey } from "../model/principal.ts";
import type { Appended, Conflict, Facts, Log, Write } from "../ports/log.ts";
import type { Metrics } from "../ports/metrics.ts";
import { utf8 } from "../std/bytes.ts";
import { type Clock, rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson } from "../std/json.ts";
import { callerFields, type Presented } from "./call.ts";

/** What was refused, as far as it is known. */
export interface About {
  readonly request: string;
  /** The use case. */
  readonly action: string;
  readonly by: Principal | undefined;
  readonly presented?: Presented | undefined;
  readonly identityToken?: string | undefined;
  readonly session?: string | undefined;
  readonly keys?: readonly string[] | undefined;
  readonly items?: readonly ItemRecord[] | undefined;
  readonly decision?: Decision | undefined;
}

/** What becomes true together with an entry. */
export type Along = Omit<Write, "entry" | "alongside" | "closeAll"> & {
  readonly alongside?: readonly EntryBody[] | undefined;
  readonly closeAll?:
    | (Omit<NonNullable<Write["closeAll"]>, "entry"> & {
        readonly body: (session: string, uses: NonNullable<Facts["uses"]>) => EntryBody;
      })
    | undefined;
};

export interface Journal {
  /** Resolves when durable. A rejected promise is Fault LOG_NOT_DURABLE and means: do not go on. */
  append(request: string | undefined, body: (facts: Facts) => EntryBody, write?: Along): Promise<Appended | Conflict>;
  /** The same refusal, with the index of its entry where it was recorded. */
  refused(refusal: Refusal, about: About): Promise<Refusal>;
  /** Writes what was folded and is due. Called by the clock and before the daemon stops. */
  flush(everything: boolean): Promise<void>;
}

export interface JournalParts {
  readonly log: Pick<Log, "append">;
  readonly clock: Clock;
  readonly node: string;
  readonly epoch: number;
  readonly metrics: Metrics;
  /** Whether some grant or role names this principal. */
  readonly known: (principal: Principal) => boolean;
}

const refusalsPerMinute = 10;
const minute = 60_000;
/** Characters of a refusal's message in its entry. */
const longestMessage = 2000;
const inlineItems = 10;
/** Characters of names in inline items: entries aim at 16 KiB, and a leaf cannot have more than 65,535 bytes. */
const inlineNames = 4096;

interface Folded {
  since: number;
  count: number;
  /** Not yet written: the newest one stands for all. */
  waiting: { readonly refusal: Refusal; readonly about: About; readonly count: number } | undefined;
}

export function journal(parts: JournalParts): Journal {
  const folds = new Map<string, Folded>();
  const frame = (request: string | undefined): Frame => ({
    v: 1,
    at: rfc3339(parts.clock()),
    node: parts.node,
    epoch: parts.epoch,
    request,
  });

  const append: Journal["append"] = (request, body, { closeAll, ...write } = {}) =>
    parts.log.append({
      ...write,
      closeAll: closeAll && {
        key: closeAll.key,
        state: closeAll.state,
        at: closeAll.at,
        entry: (session, uses) => ({ ...frame(request), ...closeAll.body(session, uses) }),
      },
      alongside: write.alongside?.map((one) => ({ ...frame(request), ...one })),
      entry: (facts) => ({ ...frame(request), ...body(facts) }),
    });

  async function record(refusal: Refusal, about: About, by: Principal, count: number): Promise<number> {
    const { fields, blobs } = callerFields(by, about.presented, about.identityToken);
    const items = about.items && recordItems(about.items);
    const appended = await append(
      about.request,
      () => ({
        type: "refusal",
        ...fields,
        code: refusal.refusal,
        message: refusal.message.slice(0, longestMessage),
        action: about.action,
        session: about.session,
        keys: about.keys,
        items: items?.items,
        decision: about.decision,
        count: count > 1 ? count : undefined,
      }),
      { blobs: [...blobs, ...(items?.blobs ?? [])] },
    );
    if ("conflict" in appended) throw new Error(`a refusal has no conditions, yet: ${appended.conflict}`);
    return appended.index;
  }

  async function refused(refusal: Refusal, about: About): Promise<Refusal> {
    parts.metrics.refused(refusal.refusal);
    if (refusal.refusal === "PROOF_NONCE") return refusal;
    // A session was opened by somebody whom a grant named, even where no grant does any more.
    if (!about.by || (about.session === undefined && !parts.known(about.by))) {
      parts.metrics.stranger(refusal.refusal);
      return refusal;
    }
    if (!takesPlace(folds, foldOf(refusal, about, about.by), parts.clock(), refusal, about)) return refusal;
    return { ...refusal, entry: await record(refusal, about, about.by, 1) };
  }

  async function flush(everything: boolean): Promise<void> {
    for (const [id, fold] of folds) {
      if (!everything && Math.abs(parts.clock() - fold.since) < minute) continue;
      const { waiting } = fold;
      if (waiting?.about.by) await record(waiting.refusal, waiting.about, waiting.about.by, waiting.count);
      if (folds.get(id)?.waiting === waiting) folds.delete(id);
      else fold.waiting = undefined;
    }
  }

  return { append, refused, flush };
}

/** Alike is what the same principal was refused for in the same way: one kind cannot hide another. */
const foldOf = (refusal: Refusal, about: About, by: Principal): string =>
  `${refusal.refusal} ${about.action} ${principalKey(by)}`;

/** True while refusals of one fold in this minute are few enough to be written one by one. */
function takesPlace(folds: Map<string, Folded>, id: string, now: number, refusal: Refusal, about: About): boolean {
  let fold = folds.get(id);
  if (!fold || (Math.abs(now - fold.since) >= minute && !fold.waiting)) {
    fold = { since: now, count: 0, waiting: undefined };
    folds.set(id, fold);
  }
  fold.count += 1;
  if (fold.count <= refusalsPerMinute) return true;
  fold.waiting = { refusal, about, count: (fold.waiting?.count ?? 0) + 1 };
  return false;
}

/** Up to ten small items stand in the entry; more go to a side blob that the entry names by its hash. */
export function recordItems(items: readonly ItemRecord[]): {
  readonly items: readonly ItemRecord[] | { readonly blob: string; readonly count: number };
  readonly blobs: readonly Uint8Array[];
} {
  if (items.length <= inlineItems && nameLength(items) <= inlineNames) return { items, blobs: [] };
  const bytes = utf8(canonicalJson(items as never)); // records are plain JSON; the interface lacks an index signature
  return { items: { blob: `sha256:${sha256Hex(bytes)}`, count: items.length }, blobs: [bytes] };
}

/** Each artifact counts its digest too. */
function nameLength(items: readonly ItemRecord[]): number {
  let length = 0;
  for (const { artifacts } of items) for (const { name } of artifacts) length += (name?.length ?? 0) + 80;
  return length;
}
