// What a verified leaf of the log says. A leaf is JSON of ours, but perhaps of a newer daemon: unknown members and
// types are kept and shown, never an error.

import type { Client } from "../client/connect.ts";
import { isRefused } from "../client/connect.ts";
import { errorTable, isFaultCode, isRefusalCode } from "../model/errors.ts";
import { fromBase64 } from "../std/base64.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import { shortDigest } from "./words.ts";

/** Undefined where the bytes are no JSON object: then they are not an entry of ours. */
export function parseLeaf(leaf: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(fromUtf8(leaf));
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The SHA-256 (hex) of a side blob that this member names. */
export function blobOf(member: unknown): string | undefined {
  const name = isJsonObject(member) ? member["blob"] : undefined;
  return typeof name === "string" && /^sha256:[0-9a-f]{64}$/.test(name) ? name.slice("sha256:".length) : undefined;
}

/** All side blobs that an entry names, at any depth. */
export function blobsOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(blobsOf);
  if (!isJsonObject(value)) return [];
  const own = blobOf(value);
  return [...(own === undefined ? [] : [own]), ...Object.values(value).flatMap(blobsOf)];
}

/** A side blob, checked against its name; undefined where the server will not or cannot give it. */
export async function fetchBlob(client: Client, sha256: string): Promise<Uint8Array | undefined> {
  const answer = await client.ask("Blob", { sha256 });
  if (isRefused(answer) || answer === null) return undefined;
  const bytes = fromBase64(answer);
  return sha256Hex(bytes) === sha256 ? bytes : undefined;
}

/** Who: one line. */
export function whoOf(entry: JsonObject): string {
  const by = isJsonObject(entry["by"]) ? entry["by"] : undefined;
  if (by === undefined) return "the daemon";
  const run = text(by["run"]);
  if (by["kind"] === "person") return text(by["name"]) ?? "a person";
  if (by["kind"] !== "workload") return "local socket";
  const ref = text(by["ref"])?.replace(/^refs\/(?:heads|tags)\//, "");
  return [text(by["project"]), ref, run && `run ${run}`].filter(Boolean).join(" · ");
}

/** What it was about: one line. */
export function whatOf(entry: JsonObject): string {
  const { items, key, keys, session, pending, operator } = entry;
  if (Array.isArray(items)) return itemsLine(items);
  if (blobOf(items) !== undefined) return `${said(isJsonObject(items) ? items["count"] : undefined)} items`;
  if (isJsonObject(operator)) return `operator ${text(operator["name"]) ?? ""}`;
  if (typeof key === "string")
    return `key ${key}${typeof entry["version"] === "number" ? ` v${String(entry["version"])}` : ""}`;
  if (Array.isArray(keys)) return `${keys.length === 1 ? "key" : "keys"} ${keys.map(String).join(", ")}`;
  if (typeof entry["grants"] === "number")
    return `policy ${shortDigest(text(entry["policy"]) ?? "")} with ${String(entry["grants"])} grants`;
  return text(pending) ?? text(session) ?? "";
}

function itemsLine(items: readonly unknown[]): string {
  const artifacts = items
    .filter(isJsonObject)
    .flatMap((item) => (Array.isArray(item["artifacts"]) ? item["artifacts"].filter(isJsonObject) : []));
  const [first] = artifacts;
  if (first === undefined) return `${String(items.length)} items`;
  const line = [text(first["name"]), shortDigest(text(first["digest"]) ?? "")].filter(Boolean).join(" ");
  return artifacts.length === 1 ? line : `${line} and ${String(artifacts.length - 1)} more`;
}

/** How it ended: `signed (v3)`, `refused SGN-2101`, or what kind of entry it is. */
export function resultOf(entry: JsonObject): string {
  const { type, result, code, key } = entry;
  if (type === "refusal") return `refused ${numberOf(text(code) ?? "")}`;
  if (type === "sign.outcome" && result === "done")
    return `signed (v${said(isJsonObject(key) ? key["version"] : undefined)})`;
  if (said(type).startsWith("key.rotate.") && typeof entry["to"] === "number") return rotationResult(entry);
  if (typeof result === "string")
    return `${said(type)} ${result}${typeof code === "string" ? ` ${numberOf(code)}` : ""}`;
  if (type === "key.drift") return `${entry["over"] === true ? "drift over" : "drift"}: ${said(entry["finding"])}`;
  if (type === "key.state" || type === "key.adopt") return `${words(entry["from"])} → ${words(entry["to"])}`;
  return said(type);
}

/** `v1 → v2: publish`, `v1 → v2: outcome done` */
function rotationResult({ type, from, to, result, code }: JsonObject): string {
  const ending = typeof result === "string" ? ` ${result}` : "";
  const why = typeof code === "string" ? ` ${numberOf(code)}` : "";
  return `v${said(from)} → v${said(to)}: ${said(type).slice("key.rotate.".length)}${ending}${why}`;
}

const words = (state: unknown): string => said(state).toLowerCase().replaceAll("_", "-");
const numberOf = (code: string): string => (isRefusalCode(code) || isFaultCode(code) ? errorTable[code].number : code);
/** A value that should be text, for people. */
export const said = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value ?? null));
export const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
