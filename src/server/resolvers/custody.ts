// The places where keys live, and the PINs that some of them wait for.

import { utf8 } from "../../std/bytes.ts";
import { Secret } from "../../std/secret.ts";
import { granted } from "../errors.ts";
import type { Resolvers } from "../generated.ts";

export const custody: Resolvers = {
  Query: {
    custodies: (_, __, { broker, call }) => granted(broker.custodies(call)),
  },
  Mutation: {
    unlockCustody: (_, { input: { custody: name, pin, salt } }, { broker, call }) =>
      broker.unlockCustody(call, { custody: name, pin: new Secret(utf8(pin)), salt }),
  },
};
