// Which names a pattern covers. A pattern is plain text cut at "/": `*` stands for any characters within one segment,
// `**` as a whole segment for any number of segments (at the end: at least one). Never a regular expression: matching
// takes at most (pattern × name) steps, whatever a caller sends.

import type { Glob } from "../model/grant.ts";

export type Matches = (name: string) => boolean;

const compiled = new Map<Glob, Matches>();
const cacheLimit = 4096;

/** The matcher of a pattern, made once per text. Pattern texts come from loaded grants, never from callers. */
export function matcher(pattern: Glob): Matches {
  const known = compiled.get(pattern);
  if (known) return known;
  if (compiled.size >= cacheLimit) compiled.clear();
  const made = compile(pattern);
  compiled.set(pattern, made);
  return made;
}

export const isGlob = (pattern: string): boolean => pattern.includes("*");

/** Without a star a pattern is the name itself, code unit for code unit. */
function compile(pattern: Glob): Matches {
  if (!isGlob(pattern)) return (name) => name === pattern;
  const segments = pattern
    .split("/")
    .flatMap((segment, at, all) => (segment === "**" && at === all.length - 1 ? ["*", "**"] : [segment]));
  const tests = segments.map((segment) => (segment === "**" ? "any" : segmentTest(segment)));
  return (name) => {
    const found = segmentsOf(name);
    return found !== undefined && matchesSegments(tests, found);
  };
}

type Test = "any" | Matches;

const segmentTest = (segment: string): Matches =>
  isGlob(segment) ? starTest(segment.split("*")) : (text) => text === segment;

/** `pieces` are what stands between the stars: the first anchors at the start, the last at the end, the others in order. */
function starTest(pieces: readonly string[]): Matches {
  const [first = "", last = "", middle] = [pieces[0], pieces.at(-1), pieces.slice(1, -1)];
  return (text) => {
    if (text === "" || text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
      return false;
    let from = first.length;
    for (const piece of middle) {
      const found = text.indexOf(piece, from);
      if (found < 0) return false;
      from = found + piece.length;
    }
    return from <= text.length - last.length;
  };
}

/** Two pointers; when a segment does not fit, the newest `**` takes one more. Going back further never helps. */
function matchesSegments(tests: readonly Test[], segments: readonly string[]): boolean {
  let [test, at, lastAny, takenTo] = [0, 0, -1, 0];
  while (at < segments.length) {
    const now = tests[test];
    if (now === "any") {
      lastAny = test++;
      takenTo = at;
    } else if (now?.(segments[at] ?? "")) {
      test++;
      at++;
    } else if (lastAny >= 0) {
      test = lastAny + 1;
      at = ++takenTo;
    } else return false;
  }
  while (tests[test] === "any") test++;
  return test === tests.length;
}

/** The segments of a name; none for names that could mean another place or that hide characters (`a//b`, `a/../b`, line breaks). */
function segmentsOf(name: string): readonly string[] | undefined {
  if (!isPrintable(name)) return undefined;
  const segments = name.split("/");
  return hasOddSegment(segments) ? undefined : segments;
}

const unprintable = /[\p{C}\u2028\u2029]/u;

/** Nearly all names are ASCII, and for them the short test is enough. */
const isPrintable = (text: string): boolean => /^[\x20-\x7e]*$/.test(text) || !unprintable.test(text);

/** An empty, `.` or `..` segment; the double slash after a URL's scheme is none. */
const hasOddSegment = (segments: readonly string[]): boolean =>
  segments.some(
    (segment, at) => segment === "." || segment === ".." || (segment === "" && !(at === 1 && isScheme(segments[0]))),
  );

const isScheme = (segment = ""): boolean => /^[a-z][a-z0-9+.-]*:$/.test(segment);

/** What is wrong with a pattern's text, for the operator who wrote it; undefined when nothing is. */
export function patternFlaw(pattern: string): string | undefined {
  const odd = /[|^$()[\]{}\\?]/.exec(pattern)?.[0];
  if (odd !== undefined) {
    return `has "${odd}", but patterns are not regular expressions: write the text itself, \`*\` for any characters within one segment, \`**\` for whole segments, and a list for alternatives`;
  }
  if (pattern.split("/").some((segment) => segment.includes("**") && segment !== "**")) {
    return "has `**` inside a segment: `**` stands for whole segments (`refs/heads/**`), `*` for characters within one";
  }
  if (hasOddSegment(pattern.split("/"))) return "has an empty, `.` or `..` segment, which no name may have";
  return textFlaw(pattern);
}

/** Text that a grant compares: visible, and written in one way only. */
export function textFlaw(text: string): string | undefined {
  if (text === "") return "is empty, which would fit nothing";
  if (text.length > 1024) return `has ${String(text.length)} characters; 1024 are allowed`;
  if (!isPrintable(text)) return "has control or invisible characters";
  if (text !== text.trim()) return "begins or ends with white space";
  if (text !== text.normalize("NFKC"))
    return `has characters that look like others (write it as ${JSON.stringify(text.normalize("NFKC"))} if that is meant)`;
  return undefined;
}

/** An id or another exact value: printable ASCII without spaces and stars. */
export function exactFlaw(text: string): string | undefined {
  if (text.includes("*")) return "has `*`, but this is compared exactly: write the value itself, or a list of values";
  if (text !== "" && !/^[\x21-\x7e]*$/.test(text)) return "has characters other than printable ASCII without spaces";
  return textFlaw(text);
}
