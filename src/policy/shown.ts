// How values that a caller chose appear in messages: short, on one line, nothing that a terminal would obey.

const invisible = /[\p{C}\u2028\u2029]/gu;

/** At most 160 characters; control, format and lone surrogate characters as `\u{…}`. */
export function shown(value: unknown): string {
  if (value === undefined) return "absent";
  const text = typeof value === "string" ? value : ((JSON.stringify(value) as string | undefined) ?? typeof value); // JSON.stringify gives undefined for functions, which its type denies
  const short = text.length > 160 ? `${text.slice(0, 160)}…` : text;
  return short.replace(invisible, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

export const quoted = (value: unknown): string => `"${shown(value)}"`;

/** `a`, `a or b`, `a, b or c`. */
export function listed(values: readonly unknown[], word: "and" | "or" = "or"): string {
  const texts = values.map(shown);
  return texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} ${word} ${texts.at(-1) ?? ""}`;
}
