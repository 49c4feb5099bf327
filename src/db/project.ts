// What the views say of one leaf: the columns people search by. Pure, so that a row can be checked against its leaf.
// Leaves may come from a newer version with fields and types that we do not know: nothing here throws for those.

import { isJsonObject, type Json, type JsonObject } from "../std/json.ts";

export interface Row {
  readonly at: number;
  readonly type: string;
  /** Names of keys, joined by one space. */
  readonly key: string | null;
  readonly session: string | null;
  /** Immutable project id, or person id. */
  readonly principal: string | null;
  readonly result: string | null;
  readonly code: string | null;
}

export interface Projection {
  readonly row: Row;
  readonly keys: readonly string[];
  /** `sha256:<hex>` or `sha384:<hex>` of artifacts. */
  readonly digests: readonly string[];
}

/** `sha256:<hex>` to bytes; undefined where there is no such blob. */
export type ReadBlob = (name: string) => Uint8Array | undefined;

/** A leaf that is no JSON object is none of ours: it gets a row without a type, and `verify` finds the damage. */
export const project = (leaf: Uint8Array, blob: ReadBlob): Projection => projectEntry(readable(leaf), blob);

/** The same of a leaf that was parsed already. */
export function projectEntry(entry: JsonObject, blob: ReadBlob): Projection {
  const keys = keysOf(entry);
  const row = {
    at: timeOf(entry["at"]),
    type: text(entry["type"]) ?? "",
    key: keys.length > 0 ? keys.join(" ") : null,
    session: text(entry["session"]),
    principal: principalOf(entry["by"]),
    result: entry["type"] === "refusal" ? "refused" : text(entry["result"]),
    code: text(entry["code"]),
  };
  return { row, keys, digests: digestsOf(entry["items"], blob) };
}

/** In words, where a row says something else than its leaf. */
export function disagreement(row: Row, leaf: Row): string | undefined {
  const names = ["at", "type", "key", "session", "principal", "result", "code"] as const;
  const wrong = names.filter((name) => row[name] !== leaf[name]);
  if (wrong.length === 0) return undefined;
  return wrong.map((name) => `${name}: the view says ${shown(row[name])}, the leaf ${shown(leaf[name])}`).join("; ");
}

function readable(leaf: Uint8Array): JsonObject {
  try {
    return parseLeaf(leaf);
  } catch {
    return {};
  }
}

/** Throws SyntaxError where the leaf is no JSON object. */
export function parseLeaf(leaf: Uint8Array): JsonObject {
  const entry: unknown = JSON.parse(Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength).toString("utf8"));
  if (!isJsonObject(entry)) throw new SyntaxError("a leaf is a JSON object");
  return entry;
}

function keysOf(entry: JsonObject): readonly string[] {
  const { key, keys, action } = entry;
  if (typeof key === "string") return [key];
  if (isJsonObject(key)) return names([key["name"]]);
  if (Array.isArray(keys)) return names(keys);
  return isJsonObject(action) ? names([action["key"]]) : [];
}

function principalOf(by: Json | undefined): string | null {
  if (!isJsonObject(by)) return null;
  return text(by["kind"] === "workload" ? by["projectId"] : by["id"]);
}

function digestsOf(items: Json | undefined, blob: ReadBlob): readonly string[] {
  if (Array.isArray(items)) return names(items.flatMap(artifactDigests));
  const name = itemsBlob({ items });
  const bytes = name === undefined ? undefined : blob(name);
  const list: unknown = bytes === undefined ? [] : JSON.parse(Buffer.from(bytes).toString("utf8"));
  return Array.isArray(list) ? names(list.flatMap(artifactDigests)) : [];
}

/** The side blob that holds an entry's items, where one does. */
export function itemsBlob({ items }: JsonObject): string | undefined {
  return isJsonObject(items) && typeof items["blob"] === "string" ? items["blob"] : undefined;
}

const artifactDigests = (item: unknown): unknown[] => {
  const artifacts = isJsonObject(item) ? item["artifacts"] : undefined;
  return Array.isArray(artifacts)
    ? artifacts.map((one: unknown) => (isJsonObject(one) ? one["digest"] : undefined))
    : [];
};

const names = (values: readonly unknown[]): readonly string[] => [
  ...new Set(values.filter((one) => typeof one === "string")),
];
const text = (value: Json | undefined): string | null => (typeof value === "string" ? value : null);
const timeOf = (value: Json | undefined): number => (typeof value === "string" ? Date.parse(value) || 0 : 0);
const shown = (value: string | number | null): string => (value === null ? "nothing" : String(value));
