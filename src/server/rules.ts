// What a stranger's document may look like, before anything in it runs: bounded in tokens, depth, aliases and directives,
// one mutation at a time, no introspection and no suggestions.

import { maxAliasesPlugin } from "@escape.tech/graphql-armor-max-aliases";
import { maxDepthPlugin } from "@escape.tech/graphql-armor-max-depth";
import { maxDirectivesPlugin } from "@escape.tech/graphql-armor-max-directives";
import { maxTokensPlugin } from "@escape.tech/graphql-armor-max-tokens";
import {
  type ASTVisitor,
  type GraphQLError,
  Kind,
  NoSchemaIntrospectionCustomRule,
  OperationTypeNode,
  type SelectionSetNode,
  type ValidationContext,
} from "graphql";
import type { Plugin } from "graphql-yoga";
import { overLimit } from "./errors.ts";
import type { Limits } from "./limits.ts";

export function documentRules(limits: Limits, introspection: boolean): Plugin[] {
  const bounded = (n: number) => ({ n, onReject: [refuseLimit] });
  return [
    maxTokensPlugin(bounded(limits.tokens)),
    maxDepthPlugin({ ...bounded(limits.depth), flattenFragments: true, ignoreIntrospection: introspection }),
    maxAliasesPlugin(bounded(limits.aliases)),
    maxDirectivesPlugin(bounded(limits.directives)),
    {
      onValidate({ addValidationRule }) {
        addValidationRule(oneMutation);
        if (!introspection) addValidationRule(NoSchemaIntrospectionCustomRule);
      },
    },
  ];
}

function refuseLimit(_: unknown, error: GraphQLError): never {
  throw overLimit(error.message.replace("Syntax Error: ", ""));
}

/** One effect, one request: one intent in the log, one answer that can be repeated. */
function oneMutation(context: ValidationContext): ASTVisitor {
  return {
    OperationDefinition({ operation, selectionSet }) {
      if (operation !== OperationTypeNode.MUTATION) return;
      const fields = rootFields(selectionSet, context, new Set());
      if (fields > 1) throw overLimit(`one operation has one mutation, this one ${String(fields)}`);
    },
  };
}

/** Fields but `__typename`, through fragments; each fragment counts where it is spread first, as in execution. */
function rootFields(set: SelectionSetNode, context: ValidationContext, seen: Set<string>): number {
  let fields = 0;
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) {
      if (selection.name.value !== "__typename") fields += 1;
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      fields += rootFields(selection.selectionSet, context, seen);
    } else if (!seen.has(selection.name.value)) {
      seen.add(selection.name.value);
      const fragment = context.getFragment(selection.name.value);
      if (fragment) fields += rootFields(fragment.selectionSet, context, seen);
    }
  }
  return fields;
}
