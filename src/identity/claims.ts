// Is this claim what it should be? Types are never coerced, alphabets and lengths never stretched: a claim that is
// not exactly of its provider's form refuses the whole token. Everything here is attacker-chosen text, even in a
// token with a good signature: branch names, environments and file names are written by whoever can push.

import { isRefName } from "../model/ref.ts";

/** A verified token's payload. */
export type Claims = Readonly<Record<string, unknown>>;

/** Thrown by readers of claims, caught once in tokens.ts, where it becomes a Refusal. Its message is for the caller. */
export class Unacceptable extends Error {
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.name = "Unacceptable";
    this.hint = hint;
  }
}

export interface Rule {
  /** Completes "expected …". */
  readonly expects: string;
  readonly fits: (text: string) => boolean;
}

export function required(claims: Claims, name: string, rule: Rule): string {
  const value = optional(claims, name, rule);
  if (value === undefined) throw new Unacceptable(`the token has no claim ${quote(name)}; expected ${rule.expects}`);
  return value;
}

export function optional(claims: Claims, name: string, rule: Rule): string | undefined {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  if (value === undefined) return undefined;
  if (typeof value !== "string") {
    throw new Unacceptable(`claim ${quote(name)} is ${typeName(value)}; expected ${rule.expects} as a string`);
  }
  if (!rule.fits(value)) throw new Unacceptable(`claim ${quote(name)} is ${quote(value)}; expected ${rule.expects}`);
  return value;
}

/** One of the words of a table; gives what the word stands for. */
export function optionalWord<T>(claims: Claims, name: string, words: Readonly<Record<string, T>>): T | undefined {
  const expects = `one of ${Object.keys(words).map(quote).join(", ")}`;
  const word = optional(claims, name, { expects, fits: (text) => Object.hasOwn(words, text) });
  return word === undefined ? undefined : words[word];
}

/** GitHub and GitLab write booleans as strings; a JSON boolean did not come from them. */
export const trueOrFalse = { true: true, false: false } as const;

/** For messages: JSON quoting, ASCII only, at most 120 characters of the value. */
export function quote(value: string): string {
  const shown = value.length > 120 ? `${value.slice(0, 120)}…` : value;
  return JSON.stringify(shown).replace(/[^\x20-\x7e…]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const typeName = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "an array"
      : typeof value === "object"
        ? "an object"
        : `a ${typeof value}`;

export const matching = (expects: string, form: RegExp, maxLength = 255): Rule => ({
  expects,
  fits: (text) => text.length <= maxLength && form.test(text),
});

/** Immutable ids of GitHub and GitLab, run numbers: decimal, no leading zero. */
export const decimalId = matching("a decimal id", /^[1-9][0-9]{0,19}$/);
/** SHA-1 or SHA-256, lower-case. */
export const commitId = matching("a commit id", /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
export const word = matching("a lower-case word", /^[a-z][a-z0-9_]{0,63}$/);

/** Unassigned, private, control, format (bidi, zero-width), separators, and what renderers skip. */
const unseen = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/u;

export const printable = (maxLength = 255): Rule => ({
  expects: `1 to ${String(maxLength)} visible characters in Unicode NFC`,
  fits: (text) => text.length > 0 && text.length <= maxLength && isVisible(text) && text.trim() === text,
});

const isVisible = (text: string): boolean =>
  text.isWellFormed() && !unseen.test(text) && text.normalize("NFC") === text;

/** A full ref that git itself would take, with nothing in it that cannot be seen. */
export const fullRef: Rule = {
  expects: "a full Git ref such as refs/tags/v1.2.3",
  fits: (text) => isRefName(text) && isVisible(text),
};

/** `path@refs/…`: a workflow file and the ref it was read from. */
export const workflowAtRef: Rule = {
  expects: "a workflow file and its ref, PATH@refs/…",
  fits: (text) => {
    const at = text.indexOf("@");
    return at > 0 && text.length <= 1024 && isVisible(text) && isWorkflowVersion(text.slice(at + 1));
  },
};

/** A reusable workflow may also be called by commit id. */
const isWorkflowVersion = (text: string): boolean => fullRef.fits(text) || commitId.fits(text);

/** Type of a ref by its own name; merge and pull requests have none. */
export function refTypeOf(ref: string | undefined): "branch" | "tag" | undefined {
  if (ref?.startsWith("refs/heads/")) return "branch";
  return ref?.startsWith("refs/tags/") ? "tag" : undefined;
}
