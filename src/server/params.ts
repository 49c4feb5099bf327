// The parameters of a GraphQL request out of its body (GraphQL over HTTP, "JSON encoding"). One operation per request.

import { type Refusal, refuse } from "../model/errors.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import type { Params } from "./graphql.ts";

const members = new Set(["query", "variables", "operationName", "extensions"]);

export function paramsOf(body: Uint8Array): Params | Refusal {
  const value = jsonOf(body);
  if (Array.isArray(value)) return refuse("INPUT_INVALID", "a request has one operation: batches are not accepted");
  if (!isJsonObject(value)) return refuse("INPUT_INVALID", "the body is not a JSON object in UTF-8");
  const unknown = Object.keys(value).find((name) => !members.has(name));
  if (unknown !== undefined)
    return refuse(
      "INPUT_INVALID",
      `the body has a member ${JSON.stringify(unknown.slice(0, 40))}, which GraphQL over HTTP does not know`,
    );
  const { query, operationName } = value;
  if (typeof query !== "string") return refuse("INPUT_INVALID", 'the body needs a member "query", a string');
  if (operationName != null && typeof operationName !== "string")
    return refuse("INPUT_INVALID", '"operationName" is not a string');
  const variables = optionalObject(value, "variables");
  if (variables === "wrong" || optionalObject(value, "extensions") === "wrong") {
    return refuse("INPUT_INVALID", '"variables" and "extensions" are JSON objects where they are present');
  }
  return { query, variables, operationName: operationName ?? undefined };
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(body));
  } catch {
    return undefined;
  }
}

function optionalObject(body: JsonObject, name: string): JsonObject | undefined | "wrong" {
  const value = body[name];
  if (value == null) return undefined;
  return isJsonObject(value) ? value : "wrong";
}
