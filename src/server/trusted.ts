// Our own operations (schema/operations/*.graphql, which our client carries too): parsed and validated once at start,
// then executed without asking again. They are no privilege: every other document gets the same answers, more slowly.

import { type DocumentNode, type GraphQLSchema, parse, validate } from "graphql";
import { documentsIn } from "./schema.ts";

export interface TrustedDocument {
  /** The file's name, and its one operation's: a bounded label for metrics. */
  readonly name: string;
  readonly document: DocumentNode;
}

/** By exact text. Throws where one of our own documents does not fit the schema. */
export function trustedDocuments(schema: GraphQLSchema): ReadonlyMap<string, TrustedDocument> {
  const found = new Map<string, TrustedDocument>();
  for (const [name, text] of documentsIn("operations/")) {
    const document = parse(text);
    const [error] = validate(schema, document);
    if (error !== undefined) throw new Error(`schema/operations/${name}.graphql: ${error.message}`);
    found.set(text, { name, document }).set(text.trim(), { name, document });
  }
  return found;
}
