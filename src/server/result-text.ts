// The text of an answer. Signed notes hold an em dash (C2SP signed-note), and one character beyond Latin-1 makes V8 keep
// the whole text at two bytes a character and encode it one by one: half the price of a batch. So texts that hold one
// are escaped by themselves, before the whole is put together.

/** JSON.rawJSON of ECMAScript, which TypeScript's library does not know yet: text that stringify takes over as it is. */
const { rawJSON } = JSON as typeof JSON & { readonly rawJSON: (text: string) => object };

export const resultText = (result: object): string => JSON.stringify(narrowed(result));

/** The same value, or a copy where something in it was escaped. Plain data without cycles. */
function narrowed(value: unknown): unknown {
  if (typeof value === "string") return value.includes("\u2014") ? escaped(value) : value; // at once where a text is Latin-1
  if (typeof value !== "object" || value === null) return value;
  return Array.isArray(value) ? narrowedList(value) : narrowedObject(value as Readonly<Record<string, unknown>>); // plain data
}

const escaped = (text: string): object => rawJSON(JSON.stringify(text).replace(/[^\0-\xff]/g, inHex));
const inHex = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

function narrowedList(list: readonly unknown[]): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (const [index, value] of list.entries()) {
    const narrow = narrowed(value);
    if (narrow === value) continue;
    copy ??= [...list];
    copy[index] = narrow;
  }
  return copy ?? list;
}

function narrowedObject(object: Readonly<Record<string, unknown>>): object {
  let copy: Record<string, unknown> | undefined;
  for (const name of Object.keys(object)) {
    const value = object[name];
    const narrow = narrowed(value);
    if (narrow === value) continue;
    copy ??= { ...object };
    copy[name] = narrow;
  }
  return copy ?? object;
}
