// The rotation of a key: begun and cancelled by people, told with the key.

import { parseDuration } from "../../std/duration.ts";
import type { Resolvers } from "../generated.ts";

export const rotate: Resolvers = {
  Mutation: {
    rotateKey: (_, { input }, { broker, call }) =>
      broker.rotateKey(call, {
        ...input,
        custody: input.custody ?? undefined,
        uri: input.uri ?? undefined,
        propagation: input.propagation ?? undefined,
        retireAfter: input.retireAfter ?? undefined,
        beforeVerifiersKnow: input.beforeVerifiersKnow ?? undefined,
      }),
    cancelRotation: (_, { input }, { broker, call }) => broker.cancelRotation(call, input),
  },
  Key: {
    rotation: ({ name, rotation }, _, { broker }) => rotation && { ...rotation, trouble: broker.rotationTrouble(name) },
  },
  KeyVersion: {
    trustedUntil: ({ ended }) => timeOf(ended?.trustedUntil),
  },
  Rotation: {
    name: ({ id }) => id,
    propagation: ({ propagation }) => parseDuration(propagation),
    retireAfter: ({ retireAfter }) => (retireAfter === undefined ? undefined : parseDuration(retireAfter)),
    begunAt: ({ begunAt }) => Date.parse(begunAt),
    publishedAt: (rotation) => timeOf("publishedAt" in rotation ? rotation.publishedAt : undefined),
    switchAt: (rotation) => timeOf("switchAt" in rotation ? rotation.switchAt : undefined),
    endedAt: (rotation) => timeOf("endedAt" in rotation ? rotation.endedAt : undefined),
  },
};

const timeOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Date.parse(text));
