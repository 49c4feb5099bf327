// May this session sign these items? Plain code over the limits that were fixed when the session opened, for every item
// of every request. A kind that the grant does not name, or a name that is absent, is a no.

import type { Refusal } from "../model/errors.ts";
import { refuse } from "../model/errors.ts";
import type { Glob, GrantLimits } from "../model/grant.ts";
import type { Artifact, ItemRecord } from "../model/item.ts";
import { matcher } from "./glob.ts";
import { listed, shown } from "./shown.ts";
import { describeMoment, describeWindows, isOpenAt, nextOpening } from "./window.ts";

/** The first item that is not covered, counted from 0; undefined when all are. `at` in milliseconds since the epoch. */
export function decideItems(limits: GrantLimits, items: readonly ItemRecord[], at: number): Refusal | undefined {
  if (!isOpenAt(limits.windows, at)) return outside(limits, at);
  for (const [number, item] of items.entries()) {
    const miss = missOf(limits.items, item);
    if (miss) return denied(number, item, miss);
  }
  return undefined;
}

interface Miss {
  readonly found: string;
  readonly allowed: string;
}

type ItemLimits = GrantLimits["items"];

function missOf(limits: ItemLimits, item: ItemRecord): Miss | undefined {
  switch (item.kind) {
    case "statement": {
      if (!limits.statement) return kindMiss(limits, item);
      const { predicateTypes, subjects } = limits.statement;
      return (
        exactMiss("predicate type", predicateTypes, item.predicateType) ??
        namesMiss("subject", subjects, item.artifacts)
      );
    }
    case "image":
      if (!limits.image) return kindMiss(limits, item);
      return globMiss("repository", limits.image.repositories, item.repository);
    case "jws":
      if (!limits.jws) return kindMiss(limits, item);
      return exactMiss("type", limits.jws.types, item.tokenType);
    case "blob":
      if (!limits.blob) return kindMiss(limits, item);
      return namesMiss("name", limits.blob.names, item.artifacts);
    case "digest":
      return limits.digest ? undefined : kindMiss(limits, item);
    default: {
      const unknown: never = item.kind;
      return { found: `kind ${shown(unknown)}`, allowed: listed(Object.keys(limits)) };
    }
  }
}

const kindMiss = (limits: ItemLimits, { kind }: ItemRecord): Miss => ({
  found: `an item of kind ${kind}`,
  allowed: `only ${listed(Object.entries(limits).flatMap(([name, limit]) => (limit ? [name] : [])))}`,
});

const exactMiss = (what: string, allowed: readonly string[], found: string | undefined): Miss | undefined =>
  found !== undefined && allowed.includes(found)
    ? undefined
    : { found: `${what} ${shown(found)}`, allowed: listed(allowed) };

const globMiss = (what: string, globs: readonly Glob[], found: string | undefined): Miss | undefined =>
  found !== undefined && globs.some((glob) => matcher(glob)(found))
    ? undefined
    : { found: `${what} ${shown(found)}`, allowed: listed(globs) };

/** Every artifact has to have a name that is covered, and there has to be one. */
function namesMiss(what: string, globs: readonly Glob[], artifacts: readonly Artifact[]): Miss | undefined {
  if (artifacts.length === 0) return { found: `no ${what}`, allowed: listed(globs) };
  for (const { name } of artifacts) {
    const miss = globMiss(what, globs, name);
    if (miss) return miss;
  }
  return undefined;
}

const denied = (number: number, { kind }: ItemRecord, { found, allowed }: Miss): Refusal =>
  refuse(
    "ITEM_DENIED",
    [
      `item ${String(number)} (${kind}) is not covered by the session's grant`,
      `found: ${found}`,
      `allowed: ${allowed}`,
    ].join("\n"),
    "sign what the grant covers, or ask an operator to widen it and open a new session",
  );

function outside({ windows }: GrantLimits, at: number): Refusal {
  const next = nextOpening(windows, at);
  return refuse(
    "OUTSIDE_WINDOW",
    [
      `the session's grant is not open now`,
      `asked: ${describeMoment(at)}`,
      `found: open ${describeWindows(windows)}${next === undefined ? "" : `, next ${describeMoment(next)}`}`,
    ].join("\n"),
    "wait for that time and open a new session, or ask an operator",
  );
}
