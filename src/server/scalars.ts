// The schema's own scalars: each is checked at the door, so that the rooms behind it can trust the type.
// Input is the caller's and refused with a GraphQLError that says what is expected; output is ours, and wrong output is a bug.

import { GraphQLError, GraphQLScalarType, Kind, type ValueNode, valueFromASTUntyped } from "graphql";
import { base64, fromBase64 } from "../std/base64.ts";
import { rfc3339 } from "../std/clock.ts";
import { formatDuration, parseDuration } from "../std/duration.ts";
import type { Json } from "../std/json.ts";

const no = (message: string): GraphQLError => new GraphQLError(message);

const shown = (value: unknown): string => {
  const text = typeof value === "string" ? JSON.stringify(value) : typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};

/** A scalar that travels as a string. `parse` throws for text that is not of its kind. */
function textScalar<T>(
  name: string,
  expected: string,
  parse: (text: string) => T,
  print: (value: T) => string,
): GraphQLScalarType<T, string> {
  const read = (value: unknown): T => {
    try {
      if (typeof value === "string") return parse(value);
    } catch {
      // said below, in the same words for every wrong text
    }
    throw no(`${name} is ${expected}, not ${shown(value)}`);
  };
  return new GraphQLScalarType<T, string>({
    name,
    parseValue: read,
    parseLiteral: (node) => read(node.kind === Kind.STRING ? node.value : node.kind),
    serialize: (value) => print(value as T), // resolvers are typed: T is what the generated types say
  });
}

const matching =
  (form: RegExp) =>
  (text: string): string => {
    if (!form.test(text)) throw new SyntaxError("of another form");
    return text;
  };
const same = (text: string): string => text;

const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** RFC 3339 with a zone. Throws for what is not on the calendar. */
function parseInstant(text: string): number {
  const time = Date.parse(matching(instant)(text));
  if (!Number.isSafeInteger(time)) throw new RangeError("no such time");
  return time;
}

const dateTime = textScalar("DateTime", "RFC 3339 with a zone, such as 2026-01-31T12:00:00Z", parseInstant, rfc3339);
const duration = textScalar(
  "Duration",
  "an ISO 8601 duration such as PT10M, PT1H30M or P7D",
  parseDuration,
  formatDuration,
);
const bytes = textScalar("Base64", "standard base64 with padding", fromBase64, base64);
const digest = textScalar(
  "Digest",
  "sha256: or sha384: and lower-case hexadecimal",
  matching(/^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96})$/),
  same,
);
const pem = textScalar(
  "Pem",
  "PEM text",
  matching(/^-----BEGIN [A-Z0-9 ]+-----\n[A-Za-z0-9+/=\n]+-----END [A-Z0-9 ]+-----\n?$/),
  same,
);

const leafIndexOf = (value: unknown): number => {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw no(
    `LeafIndex is a whole number from 0 to 2^53 - 1, not ${typeof value === "number" ? String(value) : shown(value)}`,
  );
};

const leafIndex = new GraphQLScalarType<number, number>({
  name: "LeafIndex",
  parseValue: leafIndexOf,
  parseLiteral: (node) => leafIndexOf(node.kind === Kind.INT ? Number(node.value) : node.kind),
  serialize: (value) => value as number, // resolvers are typed
});

const maxDepth = 32;
const maxMembers = 20_000;

/** Plain data only, of bounded depth and size: somebody will walk it recursively, and somebody will sign it. */
function jsonOf(value: unknown): Json {
  let members = 0;
  const check = (part: unknown, depth: number): void => {
    if (++members > maxMembers) throw no(`JSON has more than ${String(maxMembers)} values`);
    if (depth > maxDepth) throw no(`JSON is nested more than ${String(maxDepth)} deep`);
    if (part === null || typeof part === "boolean") return;
    if (typeof part === "number" && Number.isFinite(part)) return;
    if (typeof part === "string" && part.isWellFormed()) return;
    if (Array.isArray(part)) {
      for (const element of part) check(element, depth + 1);
      return;
    }
    if (!isPlain(part)) throw no("JSON holds a value that JSON cannot say");
    for (const key of Object.keys(part)) {
      // `constructor` and the like are ordinary names; this one alone changes what a careless copy inherits
      if (key === "__proto__" || !key.isWellFormed()) throw no("JSON holds a member of a name that is not accepted");
      check(part[key], depth + 1);
    }
  };
  check(value, 0);
  return value as Json; // just checked
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

const json = new GraphQLScalarType<Json, Json>({
  name: "JSON",
  parseValue: jsonOf,
  parseLiteral: (node: ValueNode, variables) => jsonOf(valueFromASTUntyped(node, variables)),
  serialize: (value) => value as Json, // resolvers are typed
});

export const scalars = {
  DateTime: dateTime,
  Duration: duration,
  Base64: bytes,
  Digest: digest,
  Pem: pem,
  JSON: json,
  LeafIndex: leafIndex,
};
