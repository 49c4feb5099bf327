// The policy file: what an operator writes, strictly. Unknown fields, numbers where text belongs, patterns that look
// like regular expressions: each is a problem with its line. The format is told in docs/guide/policy.md.

import { z } from "zod";
import { isKeyName, purposes } from "../model/key.ts";
import { parseDuration } from "../std/duration.ts";
import type { Problem } from "./error.ts";
import { exactFlaw, patternFlaw, textFlaw } from "./glob.ts";
import { listed, quoted, shown } from "./shown.ts";
import { dayNames } from "./window.ts";
import type { Path, PlainYaml } from "./yaml.ts";
import { readYaml } from "./yaml.ts";

const checked = (flaw: (text: string) => string | undefined) =>
  z.string().superRefine((text, context) => {
    const found = flaw(text);
    if (found !== undefined) context.addIssue({ code: "custom", message: `${quoted(text)} ${found}` });
  });

const exact = checked(exactFlaw);
const pattern = checked(patternFlaw);
const label = checked((text) =>
  isKeyName(text) ? undefined : "is no name: lower-case letters, digits and inner hyphens, at most 63",
);
const issuer = checked((text) =>
  /^https?:\/\/[a-z0-9[]/.test(text) && URL.canParse(text) && !/[?#@]/.test(text)
    ? exactFlaw(text)
    : "is no issuer: write the token's `iss` exactly, such as https://token.actions.githubusercontent.com",
);

const oneOrMore = <T extends z.ZodType>(value: T) =>
  z
    .union([value, z.array(value).min(1)])
    .transform((given): z.output<T>[] => (Array.isArray(given) ? given : [given]) as z.output<T>[]); // Array.isArray does not narrow a type parameter

const who = z
  .strictObject({
    issuer,
    tenantId: oneOrMore(exact).optional(),
    projectId: oneOrMore(exact).optional(),
    tenant: oneOrMore(pattern).optional(),
    project: oneOrMore(pattern).optional(),
    ref: oneOrMore(pattern).optional(),
    refType: oneOrMore(z.enum(["branch", "tag"])).optional(),
    refProtected: z.boolean().optional(),
    environment: oneOrMore(pattern).optional(),
    workflow: oneOrMore(pattern).optional(),
    workflowSha: oneOrMore(exact).optional(),
    commit: oneOrMore(exact).optional(),
    event: oneOrMore(pattern).optional(),
    runner: oneOrMore(z.enum(["hosted", "self-hosted"])).optional(),
    actorId: oneOrMore(exact).optional(),
  })
  .superRefine((given, context) => {
    if (given.tenantId === undefined && given.projectId === undefined) {
      context.addIssue({
        code: "custom",
        message: "names no immutable id: give `tenantId` or `projectId`, because names can be taken over by others",
      });
    }
  });

const what = z
  .strictObject({
    statement: z.strictObject({ predicateTypes: z.array(exact).min(1), subjects: z.array(pattern).min(1) }).optional(),
    image: z.strictObject({ repositories: z.array(pattern).min(1) }).optional(),
    jws: z.strictObject({ types: z.array(exact).min(1) }).optional(),
    blob: z.strictObject({ names: z.array(pattern).min(1) }).optional(),
    digest: z.strictObject({}).optional(),
  })
  .superRefine((given, context) => {
    if (Object.keys(given).length === 0) {
      context.addIssue({
        code: "custom",
        message: "is empty: name at least one of statement, image, jws, blob, digest",
      });
    }
  });

const day = 24 * 60 * 60 * 1000;

/** Milliseconds. */
const duration = z.string().transform((text, context) => {
  try {
    const milliseconds = parseDuration(text);
    if (milliseconds >= 1000 && milliseconds <= day) return milliseconds;
    context.addIssue({ code: "custom", message: `${quoted(text)} is out of range: PT1S to P1D` });
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof SyntaxError ? error.message : String(error) });
  }
  return z.NEVER;
});

const clock = /^([01]\d|2[0-3]):([0-5]\d)$/;

/** Minutes since midnight. */
const timeOfDay = z.string().transform((text, context) => {
  const match = clock.exec(text);
  if (match) return Number(match[1]) * 60 + Number(match[2]);
  if (text === "24:00") return 24 * 60;
  context.addIssue({
    code: "custom",
    message: `${quoted(text)} is no time of day such as "08:00" (UTC)`,
  });
  return z.NEVER;
});

const window = z
  .strictObject({ days: z.array(z.enum(dayNames)).min(1), from: timeOfDay, to: timeOfDay })
  .superRefine(({ from, to }, context) => {
    if (from >= to) {
      context.addIssue({
        code: "custom",
        path: ["to"],
        message: "is not after `from`; a window over midnight is two windows",
      });
    }
  });

const count = (most: number) => z.int().min(1).max(most);
const grant = z.strictObject({
  name: label,
  who,
  keys: z.array(label).min(1),
  what,
  limits: z.strictObject({
    uses: count(100_000),
    ttl: duration,
    sessions: count(100_000).optional(),
    ratePerMinute: count(1_000_000).optional(),
  }),
  when: z.array(window).min(1).optional(),
  needs: z
    .strictObject({ protectedRef: z.literal(true).optional(), hostedRunner: z.literal(true).optional() })
    .optional(),
});

/** Any text: a mustDeny case may well hold what no grant may. */
const given = z.string();
const item = z.union([
  z.strictObject({ statement: z.strictObject({ predicateType: given, subjects: z.array(given) }) }),
  z.strictObject({ image: z.strictObject({ repository: given }) }),
  z.strictObject({ jws: z.strictObject({ type: given }) }),
  z.strictObject({ blob: z.strictObject({ name: given }) }),
  z.strictObject({ digest: z.strictObject({}) }),
]);
const moment = z.iso.datetime().transform((text) => Date.parse(text));
const asked = {
  name: checked(textFlaw),
  who: z.strictObject({
    issuer: given,
    tenantId: given.optional(),
    projectId: given.optional(),
    tenant: given.optional(),
    project: given.optional(),
    ref: given.optional(),
    refType: z.enum(["branch", "tag"]).optional(),
    refProtected: z.boolean().optional(),
    environment: given.optional(),
    workflow: given.optional(),
    workflowSha: given.optional(),
    commit: given.optional(),
    event: given.optional(),
    runner: z.enum(["hosted", "self-hosted"]).optional(),
    actorId: given.optional(),
  }),
  keys: z.array(label).min(1),
  purposes: z.record(label, z.enum(purposes)).optional(),
  uses: count(100_000).optional(),
  ttl: duration.optional(),
  at: moment.optional(),
  items: z.array(item).min(1).max(100).optional(),
};
const mustAllow = z.strictObject({ ...asked, grant: label.optional() });
const mustDeny = z.strictObject({ ...asked, reason: checked(textFlaw).optional() });

const file = z.strictObject({
  grants: z.array(grant).optional(),
  cedar: z.string().min(1).max(65_536).optional(),
  mustAllow: z.array(mustAllow).optional(),
  mustDeny: z.array(mustDeny).optional(),
});

export type ParsedFile = z.output<typeof file>;
export type ParsedGrant = z.output<typeof grant>;
export type ParsedCase = z.output<typeof mustAllow> | z.output<typeof mustDeny>;
export type ParsedItem = z.output<typeof item>;

export interface ReadFile {
  readonly yaml: PlainYaml;
  readonly content: ParsedFile;
}

/** The file's content, or everything that is wrong with it. */
export function readPolicyFile(path: string, text: string): ReadFile | readonly Problem[] {
  const yaml = readYaml(path, text);
  if (!("value" in yaml)) return yaml;
  const result = file.safeParse(yaml.value);
  if (result.success) return { yaml, content: result.data };
  return result.error.issues.flatMap((issue) => problemsOf(issue, yaml, []));
}

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue, yaml: PlainYaml, around: Path): readonly Problem[] {
  const path = [...around, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ ...yaml.placeOfKey([...path, key]), message: unknownField(key, path) }));
  }
  if (issue.code === "invalid_union") return likeliest(issue.errors, yaml, path);
  const found = valueAt(yaml.value, path);
  if (found === undefined && issue.code === "invalid_type") {
    return [{ ...yaml.placeOf(path), message: `${fieldName(path)} is missing: expected ${typeWord(issue.expected)}` }];
  }
  return [{ ...yaml.placeOf(path), message: `${fieldName(path)} ${complaint(issue, found)}` }];
}

/** Of a union's branches, the one that came closest: whose first complaint lies deepest, then the one with the fewest. */
function likeliest(branches: readonly (readonly Issue[])[], yaml: PlainYaml, path: Path): readonly Problem[] {
  const depth = (issues: readonly Issue[]) => Math.max(...issues.map((issue) => issue.path.length));
  const [closest] = branches
    .filter((issues) => issues.length > 0)
    .sort((a, b) => depth(b) - depth(a) || a.length - b.length);
  return (closest ?? []).flatMap((issue) => problemsOf(issue, yaml, path));
}

function complaint(issue: Issue, found: unknown): string {
  if (issue.code === "custom") return issue.message;
  if (issue.code === "invalid_type") {
    return `is ${kindOf(found)}; expected ${typeWord(issue.expected)}${quoteHint(issue.expected, found)}`;
  }
  if (issue.code === "invalid_value") return `is ${kindOf(found)}; expected ${listed(issue.values)}`;
  if (issue.code === "too_small") return `is too small or empty; expected at least ${String(issue.minimum)}`;
  if (issue.code === "too_big") return `is too large; expected at most ${String(issue.maximum)}`;
  return `is ${kindOf(found)}: ${issue.message}`;
}

function unknownField(key: string, path: Path): string {
  const hint = hints.get(key);
  const place = path.length === 0 ? "of the file" : `of ${fieldName(path)}`;
  const fields = fieldsAt(file, path);
  return `unknown field ${quoted(key)} ${place}; ${hint ?? (fields.length > 0 ? `expected ${listed(fields)}` : "expected none")}`;
}

const noSub =
  "the token's `sub` is never matched: it is joined from recyclable names; use tenantId, projectId, ref, environment";
const hints: ReadonlyMap<string, string> = new Map([
  ["sub", noSub],
  ["subject", noSub],
  ["actor", "names of actors can be taken over by others; use actorId"],
  ["repository", "use project (a name) together with projectId (the immutable id)"],
  ["repository_id", "use projectId"],
  ["repository_owner_id", "use tenantId"],
]);

const fieldName = (path: Path): string =>
  path.length === 0
    ? "the file"
    : path
        .map((part, at) => (typeof part === "number" ? `[${String(part)}]` : `${at > 0 ? "." : ""}${String(part)}`))
        .join("");

function kindOf(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map of fields";
  return typeof value === "string" ? `the text ${quoted(value)}` : `the ${typeof value} ${shown(value)}`;
}

const words: Readonly<Record<string, string | undefined>> = {
  string: "text",
  array: "a list",
  object: "a map of fields",
  int: "a whole number",
  boolean: "true or false",
};
const typeWord = (expected: string): string => words[expected] ?? expected;

const quoteHint = (expected: string, found: unknown): string =>
  expected === "string" && (typeof found === "number" || typeof found === "boolean")
    ? " (write it in quotes, exactly as the token has it)"
    : "";

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, part) => {
    if (typeof inner !== "object" || inner === null || !Object.hasOwn(inner, part)) return undefined;
    return (inner as Readonly<Record<PropertyKey, unknown>>)[part]; // hasOwn has just said so
  }, value);
}

/** The fields that the schema knows at a path; none where it is no map. */
function fieldsAt(schema: z.core.$ZodType, path: Path): readonly string[] {
  const inner = bare(schema);
  if (inner instanceof z.ZodArray) return fieldsAt(inner.element, path.slice(1));
  if (inner instanceof z.ZodUnion) return inner.options.flatMap((option) => fieldsAt(option, path));
  if (!(inner instanceof z.ZodObject)) return [];
  const shape: Readonly<Record<string, z.core.$ZodType>> = inner.shape;
  const [first, ...rest] = path;
  if (first === undefined) return Object.keys(shape);
  const next = shape[String(first)];
  return next ? fieldsAt(next, rest) : [];
}

function bare(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional) return bare(schema.unwrap());
  if (schema instanceof z.ZodPipe) return bare(schema.in);
  return schema;
}
