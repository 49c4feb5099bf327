// All resolvers, and the one door before every field of Query and Mutation.

import type { GraphQLFieldResolver } from "graphql";
import { isRefusal } from "../../model/errors.ts";
import type { RequestContext } from "../context.ts";
import { Refused } from "../errors.ts";
import type { Resolvers } from "../generated.ts";
import { argumentProblem } from "../limits.ts";
import { scalars } from "../scalars.ts";
import { approval } from "./approval.ts";
import { audit } from "./audit.ts";
import { custody } from "./custody.ts";
import { key } from "./key.ts";
import { node } from "./node.ts";
import { principal } from "./principal.ts";
import { rotate } from "./rotate.ts";
import { session } from "./session.ts";
import { signing } from "./signing.ts";

const subjects: readonly Resolvers[] = [node, principal, key, rotate, session, signing, approval, audit, custody];

type Field = GraphQLFieldResolver<unknown, RequestContext>;

/** Arguments are bounded when the field runs, not when the document is validated: variables are new each time. */
const query =
  (field: Field): Field =>
  (parent, input, context, info) => {
    const problem = argumentProblem(input, context.list);
    if (problem === undefined) return field(parent, input, context, info);
    context.metrics.refused(problem.refusal);
    throw new Refused(problem);
  };

/** A mutation answers with its refusal: it is a member of every result's union. */
const mutation =
  (field: Field): Field =>
  async (parent, input, context, info) => {
    const problem = argumentProblem(input, context.list);
    const answer: unknown = problem
      ? await context.broker.turnedAway(context.call, info.fieldName, problem)
      : await field(parent, input, context, info);
    if (isRefusal(answer)) context.refused = answer.refusal;
    return answer;
  };

const doorOf = (type: string) => (type === "Mutation" ? mutation : type === "Query" ? query : undefined);

/** One map for the schema: type, field, function. */
export function allResolvers(): Record<string, object> {
  const all: Record<string, Record<string, unknown>> = {};
  for (const [type, fields] of subjects.flatMap((subject): [string, object][] => Object.entries(subject))) {
    const door = doorOf(type);
    const guarded = Object.entries(fields).map(([name, field]: [string, unknown]): [string, unknown] => [
      name,
      door === undefined ? field : door(field as Field), // fields of Query and Mutation are functions
    ]);
    all[type] = { ...all[type], ...Object.fromEntries<unknown>(guarded) };
  }
  return { ...all, ...scalars };
}
