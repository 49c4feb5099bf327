// Entries live for ten years: their bytes are compared with golden ones, and their fields with the published schema.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";

import type { EntryType } from "../../src/model/entry.ts";
import { fromUtf8, hex, utf8 } from "../../src/std/bytes.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { canonicalJson, isJsonObject, type Json, type JsonObject } from "../../src/std/json.ts";
import { verifyReceipt } from "../../src/tlog/proof.ts";
import { parseVkey } from "../../src/tlog/vkey.ts";
import { type GoldenLog, goldenLog, vkey } from "./golden-log.ts";

/** The compiler asks for a line here when a type is added. */
const types: Record<EntryType, true> = {
  "session.open": true,
  "session.close": true,
  "session.revoke": true,
  "sign.intent": true,
  "sign.outcome": true,
  refusal: true,
  "key.create.intent": true,
  "key.create.outcome": true,
  "key.enroll.intent": true,
  "key.enroll.outcome": true,
  "key.destroy.intent": true,
  "key.destroy.outcome": true,
  "key.drift": true,
  "key.state": true,
  "key.adopt": true,
  "key.rotate.begin": true,
  "key.rotate.intent": true,
  "key.rotate.outcome": true,
  "key.rotate.publish": true,
  "key.rotate.switch": true,
  "key.rotate.cancel": true,
  "key.rotate.retire": true,
  "custody.unlock.intent": true,
  "custody.unlock.outcome": true,
  "approval.request": true,
  "approval.decide": true,
  "operator.change": true,
  "operator.login": true,
  "policy.change": true,
  "audit.read": true,
  "audit.export": true,
  "daemon.start": true,
  "daemon.stop": true,
  "incident.unfinished": true,
  "incident.token-replayed": true,
  "incident.clock": true,
  "incident.witness": true,
};

const here = import.meta.dirname;
const schemaText = readFileSync(join(here, "../../docs/reference/entries.schema.json"), "utf8");
const entriesDoc = readFileSync(join(here, "../../docs/audit-log.md"), "utf8");
const schema = JSON.parse(schemaText) as JsonObject & { readonly $defs: Readonly<Record<string, JsonObject>> };

const published = schemaOf(schema);
const strict = schemaOf(closed(schema));
const typed = (type: string) => schemaOf({ $defs: closed(schema.$defs), $ref: `#/$defs/${type}` });

/** Zod reads draft 2020-12. */
function schemaOf(json: Json): z.ZodType {
  return z.fromJSONSchema(json as Parameters<typeof z.fromJSONSchema>[0]); // a schema is plain JSON
}

/** The published schema lets readers meet fields of later versions; what we write ourselves has none. */
function closed(part: Json): Json {
  if (Array.isArray(part)) return (part as readonly Json[]).map(closed);
  if (!isJsonObject(part)) return part;
  const inside = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, closed(value ?? null)]));
  return isJsonObject(part["properties"]) ? { ...inside, additionalProperties: false } : inside;
}

let folder: string;
let golden: GoldenLog;
let entries: readonly JsonObject[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "signet-golden-"));
  golden = await goldenLog(folder);
  entries = golden.leaves.map((leaf) => JSON.parse(fromUtf8(leaf)) as JsonObject);
});
afterAll(async () => {
  await golden[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

describe("golden entries", () => {
  test("the journal writes the same bytes as ever", async () => {
    same("entries.jsonl", golden.leaves.map((leaf) => `${fromUtf8(leaf)}\n`).join(""));
    same("blobs.jsonl", golden.blobs.map((blob) => `${JSON.stringify(fromUtf8(blob))}\n`).join(""));
    same("checkpoint", await golden.log.checkpoint());
    same("log.vkey", `${vkey}\n`);
    same("entry-12.tlog-proof", (await golden.log.receipt(12)) ?? "");
  });

  test("each type is among them", () => {
    expect(new Set(entries.map((entry) => entry["type"]))).toEqual(new Set(Object.keys(types)));
  });

  test("a leaf is its own canonical form", () => {
    for (const [index, entry] of entries.entries()) expect(utf8(canonicalJson(entry))).toEqual(utf8(text(index)));
  });

  test("every side blob that an entry names is there, under its hash", () => {
    const names = new Set(golden.blobs.map((blob) => `sha256:${sha256Hex(blob)}`));
    const named = golden.leaves.flatMap((_, index) =>
      [...text(index).matchAll(/"blob":"([^"]+)"/g)].map(([, name]) => name),
    );
    expect(named.length).toBeGreaterThan(3);
    for (const name of named) expect(names).toContain(name);
  });

  test("the receipt proves its entry with nothing but the log's vkey", async () => {
    const receipt = (await golden.log.receipt(12)) ?? "";
    const verdict = verifyReceipt({ receipt, logs: [parseVkey(vkey)] });
    expect(verdict).toMatchObject({ verdict: "in-log", facts: { index: 12 } });
    if (verdict.verdict === "in-log") expect(hex(verdict.facts.leaf)).toBe(hex(utf8(text(12))));
  });
});

describe("the published schema", () => {
  test("defines each type, and the page explains each", () => {
    for (const type of Object.keys(types)) {
      expect(Object.keys(schema.$defs)).toContain(type);
      expect(entriesDoc, `docs/audit-log.md says nothing of ${type}`).toContain(`\`${type}\``);
    }
    const alternatives = schema["oneOf"] as readonly { readonly $ref: string }[];
    expect(alternatives.map(({ $ref }) => $ref.slice("#/$defs/".length)).sort()).toEqual(Object.keys(types).sort());
  });

  test("fits every entry that we write, and names every field in it", () => {
    for (const entry of entries) {
      expect(problems(published, entry), typeOf(entry)).toEqual([]);
      expect(problems(strict, entry), typeOf(entry)).toEqual([]);
    }
  });

  test("lets readers meet fields that a later version adds", () => {
    for (const entry of entries) expect(problems(published, { ...entry, later: { on: 1 } })).toEqual([]);
  });

  test("every field that it asks for is missed, and every other may be absent", () => {
    for (const entry of entries) {
      const type = typeOf(entry);
      const against = typed(type);
      const required = schema.$defs[type]?.["required"] as readonly string[];
      for (const field of Object.keys(entry)) {
        const without = { ...entry, [field]: undefined };
        const found = problems(against, JSON.parse(canonicalJson(without)) as JsonObject);
        expect(found.length > 0, `${type} without ${field}`).toBe(required.includes(field));
      }
    }
  });

  test.each([
    ["a time without milliseconds", { at: "2026-01-15T09:30:00Z" }],
    ["a version that is none", { v: 2 }],
    ["an epoch of text", { epoch: "1" }],
    ["a principal of no kind", { by: { kind: "wizard" } }],
    ["a binding of no kind", { cnf: { trust: "me" } }],
    ["a result of no kind", { result: "maybe" }],
    ["an upper-case hash", { intent: { index: 1, hash: "A".repeat(64) } }],
    ["eleven items in the entry", { items: Array.from({ length: 11 }, () => ({})) }],
  ])("refuses %s", (_, change: JsonObject) => {
    const outcome = entries.find((entry) => entry["type"] === "sign.outcome") ?? {};
    expect(problems(published, outcome)).toEqual([]);
    expect(problems(published, { ...outcome, ...change })).not.toEqual([]);
  });
});

const typeOf = (entry: JsonObject): string => (typeof entry["type"] === "string" ? entry["type"] : "no type");
const text = (index: number): string => fromUtf8(golden.leaves[index] ?? new Uint8Array());

function problems(against: z.ZodType, entry: JsonObject): readonly string[] {
  const found = against.safeParse(entry);
  return found.success ? [] : found.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
}

/** `SIGNET_WRITE_GOLDEN=1` writes what is not there yet. What is there is never written again: the format is fixed. */
function same(name: string, found: string): void {
  const file = join(here, "golden", name);
  if (!existsSync(file) && process.env["SIGNET_WRITE_GOLDEN"] === "1") writeFileSync(file, found);
  expect(found, name).toBe(readFileSync(file, "utf8"));
}
