// Keys: what there is, and the life of their versions.

import type { Receipt } from "../../broker/index.ts";
import { type Refusal, refuse } from "../../model/errors.ts";
import type { Key, KeyState } from "../../model/key.ts";
import type { RequestContext } from "../context.ts";
import { granted, Refused } from "../errors.ts";
import type { ChangeKeyStateInput, Resolvers } from "../generated.ts";
import { keyId, keyVersionId } from "../ids.ts";
import { spend } from "../limits.ts";

const changeTo =
  (to: KeyState) =>
  (
    _: unknown,
    { input }: { readonly input: ChangeKeyStateInput },
    { broker, call }: RequestContext,
  ): Promise<{ readonly key: Key; readonly receipt: Receipt } | Refusal> =>
    broker.changeKeyState(call, { key: input.key, number: input.number ?? undefined, to, reason: input.reason });

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

export const key: Resolvers = {
  Query: {
    key: (_, { name }, { broker, call }) => granted(broker.key(call, name)),
    async keys(_, __, { broker, call, budget }) {
      const keys = await granted(broker.keys(call));
      spend(budget, keys.length);
      return keys;
    },
  },
  Mutation: {
    createKey: (_, { input }, { broker, call }) => broker.createKey(call, input),
    activateKey: changeTo("ACTIVE"),
    suspendKey: changeTo("SUSPENDED"),
    resumeKey: changeTo("ACTIVE"),
    deactivateKey: changeTo("DEACTIVATED"),
    reportKeyCompromised: changeTo("COMPROMISED"),
  },
  Key: {
    id: ({ name }) => keyId(name),
    current: ({ versions }) => versions.filter(({ state }) => state === "ACTIVE"),
  },
  KeyVersion: {
    id: keyVersionId,
    createdAt: ({ createdAt }) => Date.parse(createdAt),
  },
};
