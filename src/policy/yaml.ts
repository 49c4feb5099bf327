// YAML without its surprises: plain maps, lists and scalars of the core schema, and the place of each. No anchors or
// aliases (no bombs), no tags, no merge keys, no key twice, no `__proto__`: a policy says what it says, once.

import type { Document, Node, Scalar, YAMLMap, YAMLSeq } from "yaml";
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Place, Problem } from "./error.ts";

export type Path = readonly PropertyKey[];

export interface PlainYaml {
  /** Objects without prototype, arrays, strings, numbers, booleans, null. */
  readonly value: unknown;
  /** Of the value at the path, or of the nearest thing around it that is there. */
  placeOf(path: Path): Place;
  /** Of the field's name. */
  placeOfKey(path: Path): Place;
  /** For a block scalar (`|`): the place of a line and column (from 0) of its text; else that of the scalar. */
  placeInText(path: Path, line: number, column: number): Place;
}

const maxFile = 256 * 1024;
const maxDepth = 16;

/** The problems, where there are any; the value only where there are none. */
export function readYaml(file: string, text: string): PlainYaml | readonly Problem[] {
  const start: Place = { file, line: 1, column: 1 };
  if (text.length > maxFile)
    return [{ ...start, message: `has ${String(text.length)} characters; ${String(maxFile)} are allowed` }];
  if (!text.isWellFormed()) return [{ ...start, message: "is not valid Unicode text" }];
  if (isAbsurdlyNested(text)) return [{ ...start, message: "is nested too deeply to be read" }];
  const lines = new LineCounter();
  const document = parsed(text, lines);
  if (document === undefined) return [{ ...start, message: "is nested too deeply to be read" }];
  const wrong = document.errors.concat(document.warnings);
  if (wrong.length > 0)
    return wrong.map((error) => ({ ...placeAt(file, lines, error.pos[0]), message: error.message }));
  return new Walk(file, text, lines).read(document.contents);
}

/** The parser takes seconds over what nobody writes: a hundred thousand open brackets, or as many dashes in a row. */
export function isAbsurdlyNested(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth = Math.max(0, depth - 1);
    if (depth > 64) return true;
  }
  return /(?:[-?:][ \t]+){64}/.test(text);
}

/** undefined where the parser ran out of stack: only absurd nesting does that to it. */
function parsed(text: string, lineCounter: LineCounter): Document.Parsed | undefined {
  try {
    return parseDocument(text, {
      version: "1.2",
      schema: "core",
      strict: true,
      uniqueKeys: true,
      merge: false,
      prettyErrors: false,
      lineCounter,
    });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function placeAt(file: string, lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { file, line: Math.max(1, line), column: Math.max(1, col) };
}

class Walk {
  readonly #file: string;
  readonly #text: string;
  readonly #lines: LineCounter;
  readonly #offsets = new Map<string, number>();
  readonly #keyOffsets = new Map<string, number>();
  readonly #blocks = new Set<string>();
  readonly #problems: Problem[] = [];

  constructor(file: string, text: string, lines: LineCounter) {
    this.#file = file;
    this.#text = text;
    this.#lines = lines;
  }

  read(contents: Node | null): PlainYaml | readonly Problem[] {
    const value = this.#plain(contents, []);
    if (this.#problems.length > 0) return this.#problems;
    return {
      value,
      placeOf: (path) => this.#place(this.#nearest(path)),
      placeOfKey: (path) => this.#place(this.#keyOffsets.get(name(path)) ?? this.#nearest(path)),
      placeInText: (path, line, column) => this.#inText(path, line, column),
    };
  }

  #plain(node: unknown, path: Path): unknown {
    if (node === null || node === undefined) return null;
    const flaw = flawOf(node, path);
    if (flaw !== undefined || !isPlain(node)) {
      this.#refuse(node, flaw ?? "is not a map, a list or a plain value");
      return undefined;
    }
    this.#offsets.set(name(path), node.range?.[0] ?? 0);
    if (isSeq(node)) return node.items.map((item, at) => this.#plain(item, [...path, at]));
    if (isMap(node)) return this.#map(node.items, path);
    if (node.type === "BLOCK_LITERAL") this.#blocks.add(name(path));
    return node.value;
  }

  #map(pairs: readonly { readonly key: unknown; readonly value: unknown }[], path: Path): unknown {
    const map = Object.create(null) as Record<string, unknown>; // Object.create is typed `any`
    for (const { key, value } of pairs) {
      if (!isScalar(key) || typeof key.value !== "string") {
        this.#refuse(key, "is a field name that is not plain text");
      } else if (key.value === "__proto__") {
        this.#refuse(key, 'unknown field "__proto__"');
      } else if (key.anchor !== undefined || key.tag !== undefined) {
        this.#refuse(key, "is a field name with an anchor or a tag; write the name alone");
      } else {
        this.#keyOffsets.set(name([...path, key.value]), key.range?.[0] ?? 0);
        map[key.value] = this.#plain(value, [...path, key.value]);
      }
    }
    return map;
  }

  #refuse(node: unknown, message: string): void {
    // Every parsed node has a range; `unknown` because a key may be any of them.
    const range = (node as { readonly range?: readonly number[] | null } | null)?.range;
    this.#problems.push({ ...this.#place(range?.[0] ?? 0), message });
  }

  #nearest(path: Path): number {
    for (let length = path.length; length >= 0; length--) {
      const offset = this.#offsets.get(name(path.slice(0, length)));
      if (offset !== undefined) return offset;
    }
    return 0;
  }

  #inText(path: Path, line: number, column: number): Place {
    const place = this.#place(this.#nearest(path));
    if (!this.#blocks.has(name(path))) return place;
    const at = place.line + 1 + line;
    const indent = /^ */.exec(this.#text.split("\n")[place.line] ?? "")?.[0].length ?? 0;
    return { ...place, line: at, column: indent + column + 1 };
  }

  #place = (offset: number): Place => placeAt(this.#file, this.#lines, offset);
}

const name = (path: Path): string => JSON.stringify(path);

const isPlain = (node: unknown): node is YAMLMap | YAMLSeq | Scalar => isMap(node) || isSeq(node) || isScalar(node);

function flawOf(node: unknown, path: Path): string | undefined {
  if (isAlias(node)) return "is an alias; write the value out, so that a policy reads as it acts";
  if (!isPlain(node)) return undefined;
  if (node.anchor !== undefined) return "has an anchor; write the value out where it is needed";
  if (node.tag !== undefined) return `has the tag ${node.tag}; write the value without it`;
  return path.length > maxDepth ? "is nested too deeply" : undefined;
}
