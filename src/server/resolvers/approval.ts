// Actions that wait for a second person.

import { granted } from "../errors.ts";
import type { Resolvers } from "../generated.ts";
import { spend } from "../limits.ts";

export const approval: Resolvers = {
  Query: {
    pendingAction: (_, { id }, { broker, call }) => granted(broker.pendingAction(call, id)),
    async pendingActions(_, { state }, { broker, call, budget }) {
      const actions = await granted(broker.pendingActions(call, state ?? undefined));
      spend(budget, actions.length);
      return actions;
    },
  },
  Mutation: {
    approve: (_, { input }, { broker, call }) => broker.decide(call, { ...input, verdict: "approved" }),
    deny: (_, { input }, { broker, call }) => broker.decide(call, { ...input, verdict: "denied" }),
  },
  PendingAction: {
    name: ({ id }) => id,
    action: ({ action }) => ({ ...action }),
    requester: ({ requesterName }) => requesterName,
    state: ({ state, stateNow }) => stateNow ?? state,
  },
};
