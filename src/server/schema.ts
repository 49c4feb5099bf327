// The contract in schema/*.graphql, read once at start and joined to its resolvers.

import { readdirSync, readFileSync } from "node:fs";
import { makeExecutableSchema } from "@graphql-tools/schema";
import type { GraphQLSchema } from "graphql";
import { allResolvers } from "./resolvers/index.ts";

/** Beside src/ and beside dist/. */
const folder = new URL("../../schema/", import.meta.url);

/** File name without its ending, and text, of each .graphql file. */
export function documentsIn(path: string): readonly (readonly [name: string, text: string])[] {
  const place = new URL(path, folder);
  const files = readdirSync(place).filter((file) => file.endsWith(".graphql"));
  return files.sort().map((file) => [file.slice(0, -".graphql".length), readFileSync(new URL(file, place), "utf8")]);
}

let built: GraphQLSchema | undefined;

/** Built once: the files do not change while the daemon runs. Throws where a resolver has no field in the schema. */
export const executableSchema = (): GraphQLSchema =>
  (built ??= makeExecutableSchema({
    typeDefs: documentsIn("./").map(([, text]) => text),
    resolvers: allResolvers() as never, // typed one by one in resolvers/
    resolverValidationOptions: { requireResolversForResolveType: "error", requireResolversToMatchSchema: "error" },
  }));
