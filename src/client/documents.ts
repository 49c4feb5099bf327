// The text of each operation, from schema/operations: the very documents that the server trusts.

import { readFileSync } from "node:fs";

import type { OperationName } from "./answers.ts";

// The same two steps up from src/client in a checkout and from dist/client in the package.
const folder = new URL("../../schema/operations/", import.meta.url);
const texts = new Map<OperationName, string>();

export function documentOf(name: OperationName): string {
  let text = texts.get(name);
  if (text === undefined) {
    text = readFileSync(new URL(`${name}.graphql`, folder), "utf8");
    texts.set(name, text);
  }
  return text;
}
