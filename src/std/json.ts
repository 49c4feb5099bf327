// JSON values, and their canonical text (RFC 8785, JCS): keys sorted by UTF-16 code units, no white space,
// numbers and strings as ECMAScript writes them. Leaves of the log are canonical, so equal facts are equal bytes.

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };
export type JsonObject = Readonly<Partial<Record<string, Json>>>;

/** Canonical texts of values that were said to last; weak, so that a text goes with its value. */
const texts = new WeakMap<object, string>();

/** Says that this plain value never changes: its canonical text is made once. For what stands in many entries. */
export function lasting<T extends object>(value: T): T {
  if (!texts.has(value)) texts.set(value, canonicalJson(value as unknown as Json)); // plain data by its type; interfaces lack the index signature
  return value;
}

/** Members that are `undefined` are left out. Throws TypeError for what JSON cannot say (NaN, lone surrogates). */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return text(value);
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  return texts.get(value) ?? object(value);
}

const isArray = (value: Json): value is readonly Json[] => Array.isArray(value);

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function number(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError(`${String(value)} is not a JSON number`);
  return JSON.stringify(value);
}

function text(value: string): string {
  if (!value.isWellFormed()) throw new TypeError("a string with a lone surrogate has no canonical JSON");
  return JSON.stringify(value);
}

/** Members of entries have some hundred names between them; a stranger's do not get to fill the memory. */
const names = new Map<string, string>();
const mostNames = 1000;

function name(key: string): string {
  const known = names.get(key);
  if (known !== undefined) return known;
  const made = text(key);
  if (names.size < mostNames && key.length <= 64) names.set(key, made);
  return made;
}

function object(value: JsonObject): string {
  let out = "{";
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    out += `${out.length > 1 ? "," : ""}${name(key)}:${canonicalJson(member)}`;
  }
  return `${out}}`;
}
