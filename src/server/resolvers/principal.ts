// Who calls, and the people who may change, approve or read.

import { type Principal, principalLabel, type Role, roles } from "../../model/principal.ts";
import { granted } from "../errors.ts";
import type { Resolvers, Role as RoleName } from "../generated.ts";
import { spend } from "../limits.ts";

const nameOf = { operator: "OPERATOR", approver: "APPROVER", auditor: "AUDITOR" } as const satisfies Record<
  Role,
  RoleName
>;
const namesOf = (held: readonly Role[]): readonly RoleName[] => held.map((role) => nameOf[role]);
const rolesOf = (names: readonly RoleName[]): readonly Role[] => roles.filter((role) => names.includes(nameOf[role]));

/** Of the repository, project or service account; of people our own id. */
function immutableId(principal: Principal): string | undefined {
  switch (principal.kind) {
    case "workload":
      return principal.projectId;
    case "person":
      return principal.id;
    case "socket":
      return undefined;
  }
}

export const principal: Resolvers = {
  Query: {
    viewer: (_, __, { broker, call }) => granted(broker.viewer(call)),
    async operators(_, __, { broker, call, budget }) {
      const people = await granted(broker.operators(call));
      spend(budget, people.length);
      return people;
    },
  },
  Mutation: {
    enrolFirstOperator: (_, { input }, { broker, call }) =>
      broker.enrolFirstOperator(call, {
        name: input.name,
        issuer: input.issuer ?? undefined,
        subject: input.subject ?? undefined,
      }),
    openOperatorSession: (_, { input }, { broker, call }) =>
      broker.openOperatorSession(call, { identityToken: input.identityToken ?? undefined }),
    addOperator: (_, { input }, { broker, call }) =>
      broker.addOperator(call, { ...input, roles: rolesOf(input.roles) }),
    removeOperator: (_, { input }, { broker, call }) => broker.removeOperator(call, input),
  },
  Principal: {
    label: principalLabel,
    issuer: (one) => (one.kind === "socket" ? undefined : one.issuer),
    subject: (one) => (one.kind === "socket" ? undefined : one.subject),
    immutableId,
    roles: (one) => (one.kind === "person" ? namesOf(one.roles) : []),
    details: (one) => ({ ...one }),
  },
  Operator: {
    roles: (one) => namesOf(one.roles),
  },
};
