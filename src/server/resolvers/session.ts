// Signing sessions: opened by a job, closed by it, revoked by an operator, listed for whoever may read.

import { isRefusal } from "../../model/errors.ts";
import { type SigningSession, stateAt } from "../../model/session.ts";
import { cursorOf, forwardPage } from "../connection.ts";
import type { RequestContext } from "../context.ts";
import { granted } from "../errors.ts";
import type { Resolvers } from "../generated.ts";
import { spend } from "../limits.ts";
import { keyOf } from "./key.ts";

/** Whoever has just opened a session reads the rest of the answer as its holder. */
function continueAs(session: SigningSession, context: RequestContext): void {
  const { caller } = context.call;
  const proof = caller.presented?.proof;
  context.call = { ...context.call, caller: { kind: "session", session, presented: { cnf: session.cnf, proof } } };
}

export const session: Resolvers = {
  Query: {
    session: (_, { id }, { broker, call }) => granted(broker.session(call, id)),
    async sessions(_, { filter, first, after }, { broker, call, budget }) {
      const { open, key, principal } = filter ?? {};
      const asked = {
        ...(open == null ? {} : { open }),
        ...(key == null ? {} : { key }),
        ...(principal == null ? {} : { principal }),
      };
      const { sessions, more } = await granted(broker.sessions(call, asked, forwardPage("session", first, after)));
      spend(budget, sessions.length);
      const edges = sessions.map((node) => ({ cursor: cursorOf("session", node.entry), node }));
      return {
        edges,
        nodes: sessions,
        pageInfo: {
          hasNextPage: more,
          hasPreviousPage: after != null,
          startCursor: edges[0]?.cursor,
          endCursor: edges.at(-1)?.cursor,
        },
      };
    },
  },
  Mutation: {
    async openSigningSession(_, { input }, context) {
      const { identityToken, keys, uses, ttl, reason } = input;
      const asked = {
        identityToken,
        keys,
        uses: uses ?? undefined,
        ttl: ttl ?? undefined,
        reason: reason ?? undefined,
      };
      const opened = await context.broker.openSession(context.call, asked);
      if (!isRefusal(opened)) continueAs(opened.session, context);
      return opened;
    },
    closeSigningSession: (_, { input }, { broker, call }) =>
      broker.closeSession(call, { session: input.session ?? undefined }),
    revokeSigningSession: (_, { input }, { broker, call }) => broker.revokeSession(call, input),
  },
  SigningSession: {
    name: ({ id }) => id,
    keys: ({ keys }, _, context) => Promise.all(keys.map((name) => keyOf(name, context))),
    binding: ({ cnf }) => ({ ...cnf }),
    state: (one, _, { clock }) => stateAt(one, clock()),
    policy: ({ policy }) => policy,
  },
};
