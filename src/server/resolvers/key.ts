// Keys: what there is, and the life of their versions.

import type { Receipt } from "../../broker/index.ts";
import { type Refusal, refuse } from "../../model/errors.ts";
import type { Ended, Key, KeyState } from "../../model/key.ts";
import type { RequestContext } from "../context.ts";
import { granted, Refused } from "../errors.ts";
import type { ChangeKeyStateInput, EndedWhy, Resolvers } from "../generated.ts";
import { keyId, keyVersionId } from "../ids.ts";
import { argumentProblem, spend } from "../limits.ts";
import { entriesOf } from "./audit.ts";

const changeTo =
  (to: KeyState, from?: KeyState) =>
  (
    _: unknown,
    { input }: { readonly input: ChangeKeyStateInput },
    { broker, call }: RequestContext,
  ): Promise<{ readonly key: Key; readonly receipt: Receipt } | Refusal> =>
    broker.changeKeyState(call, { key: input.key, number: input.number ?? undefined, from, to, reason: input.reason });

/** Read once per request, however often it is selected. */
export function keyOf(name: string, { broker, call, keys, budget }: RequestContext): Promise<Key> {
  spend(budget, 1);
  const known = keys.get(name) ?? granted(broker.key(call, name)).then(existing(name));
  keys.set(name, known);
  return known;
}

const existing =
  (name: string) =>
  (key: Key | undefined): Key => {
    if (key === undefined) throw new Refused(refuse("NOT_FOUND", `there is no key ${JSON.stringify(name)}`));
    return key;
  };

const endedWhy = {
  rotated: "ROTATED",
  deactivated: "DEACTIVATED",
  cancelled: "CANCELLED",
  compromised: "COMPROMISED",
} as const satisfies Record<Ended["why"], EndedWhy>;

export const key: Resolvers = {
  Query: {
    key: (_, { name }, { broker, call }) => granted(broker.key(call, name)),
    async keys(_, __, { broker, call, budget }) {
      const keys = await granted(broker.keys(call));
      spend(budget, keys.length);
      return keys;
    },
    async reconcile(_, { key, from, to }, { broker, call, budget }) {
      const reconciled = await granted(broker.reconcile(call, { key: key ?? undefined, from, to }));
      spend(budget, reconciled.days.length);
      return { ...reconciled, days: reconciled.days.map(({ recorded, ...day }) => ({ ...day, ...recorded })) };
    },
  },
  Mutation: {
    createKey: (_, { input }, { broker, call }) => broker.createKey(call, input),
    enrollKey: (_, { input }, { broker, call }) => broker.enrollKey(call, input),
    destroyKey: (_, { input }, { broker, call }) =>
      broker.destroyKey(call, { ...input, number: input.number ?? undefined }),
    activateKey: changeTo("ACTIVE", "PRE_ACTIVATION"),
    suspendKey: changeTo("SUSPENDED"),
    resumeKey: changeTo("ACTIVE", "SUSPENDED"),
    deactivateKey: changeTo("DEACTIVATED"),
    reportKeyCompromised: changeTo("COMPROMISED"),
  },
  Key: {
    id: ({ name }) => keyId(name),
    current: ({ versions }) => versions.filter(({ state }) => state === "ACTIVE"),
    entries({ name }, { filter, ...page }, context) {
      spend(context.budget, 4);
      const problem = argumentProblem(filter, context.list);
      if (problem) throw new Refused(problem);
      return entriesOf({ ...filter, keys: [name] }, page, context);
    },
    released({ name }, _, { broker, call, budget }) {
      spend(budget, 4);
      return granted(broker.releasedOf(call, name));
    },
  },
  KeyVersion: {
    id: keyVersionId,
    createdAt: ({ createdAt }) => Date.parse(createdAt),
  },
  Ended: {
    why: ({ why }) => endedWhy[why],
    at: ({ at }) => Date.parse(at),
  },
};
