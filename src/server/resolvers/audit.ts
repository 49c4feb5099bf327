// The log, the policy and the daemon's health, for auditors and for whoever asks why.

import { isRefusal, refuse } from "../../model/errors.ts";
import type { EntryFilter as Filter } from "../../ports/log.ts";
import type { Json } from "../../std/json.ts";
import { leafHash } from "../../tlog/merkle.ts";
import { cursorOf, edgesInOrder, entryPage } from "../connection.ts";
import type { Explained, RequestContext } from "../context.ts";
import { granted, Refused } from "../errors.ts";
import type { EntryFilter, ExplainInput, Resolvers } from "../generated.ts";
import { spend } from "../limits.ts";
import { itemsOf } from "./item.ts";

const filterOf = (filter: EntryFilter): Filter => ({
  keys: filter.keys ?? undefined,
  types: filter.types ?? undefined,
  digest: filter.digest ?? undefined,
  principal: filter.principal ?? undefined,
  session: filter.session ?? undefined,
  code: filter.code ?? undefined,
  result: filter.result ?? undefined,
  from: filter.from ?? undefined,
  to: filter.to ?? undefined,
});

export async function entriesOf(
  filter: EntryFilter,
  { first, after, last, before }: Partial<Parameters<typeof entryPage>[0]>,
  { broker, call, budget }: RequestContext,
) {
  const page = entryPage({ first, after, last, before });
  const { entries, more, checkpoint } = await granted(broker.entries(call, filterOf(filter), page));
  spend(budget, entries.length);
  return { checkpoint, ...edgesInOrder(entries, page, more, ({ index }) => cursorOf("entry", index)) };
}

function explained({ entry, hypothetical }: ExplainInput, { broker, call }: RequestContext): Promise<Explained> {
  if (entry !== undefined) return granted(broker.explain(call, { entry }));
  const { identity, keys, uses, ttl } = hypothetical;
  const items = itemsOf(hypothetical.items ?? []);
  if (isRefusal(items)) throw new Refused(items);
  return granted(broker.explain(call, { identity, keys, uses: uses ?? undefined, ttl: ttl ?? undefined, items }));
}

/** One line for each condition, after the verdict. */
const explainedText = ({ effect, grant, refusal, grants }: Explained): readonly string[] => [
  effect === "permit" ? `permit, under grant ${grant ?? ""}` : `deny: ${refusal?.message ?? ""}`,
  ...grants.flatMap((one) => [
    `grant ${one.grant} (${one.file}:${String(one.line)}) ${one.fits ? "fits" : "does not fit"}`,
    ...one.conditions.map(
      ({ name, needed, asked, fits }) => `  ${fits ? "ok" : "no"}  ${name}: needs ${needed}, asked ${asked}`,
    ),
  ]),
];

export const audit: Resolvers = {
  Query: {
    entries: (_, { filter, ...page }, context) => entriesOf(filter, page, context),
    entry: (_, { index }, { broker, call }) => granted(broker.entry(call, index)),
    blob: (_, { sha256 }, { broker, call }) => granted(broker.blob(call, sha256)),
    checkpoint: (_, { size }, { broker, call }) => granted(broker.checkpoint(call, size ?? undefined)),
    async consistency(_, { from, to }, { broker, call }) {
      return { from, to, hashes: await granted(broker.consistency(call, from, to)) };
    },
    vkey: (_, __, { broker }) => broker.vkey(),
    explain: (_, { input }, context) => explained(input, context),
    policy: (_, __, { broker, call }) => granted(broker.policy(call)),
    health: (_, __, { broker, call }) => granted(broker.health(call)),
  },
  Entry: {
    hash: ({ leaf }) => leafHash(leaf),
    type: ({ entry }) => entry.type,
    at: ({ entry }) => Date.parse(entry.at),
    by: ({ entry }) => ("by" in entry ? entry.by : undefined),
    body: ({ entry }) => entry as unknown as Json, // it was read from the leaf's JSON
    async receipt({ index, size }, _, { broker, call, budget }) {
      spend(budget, 4);
      const receipt = await granted(broker.receipt(call, index, size));
      if (receipt === undefined) throw new Refused(refuse("NOT_FOUND", `the log has no entry ${String(index)}`));
      return receipt;
    },
  },
  Explanation: {
    text: explainedText,
    grants: ({ grants }) => grants as unknown as Json, // texts, numbers and booleans only
  },
  Policy: {
    grants: ({ grants }) => grants as unknown as Json, // read from YAML of a strict schema
  },
};
