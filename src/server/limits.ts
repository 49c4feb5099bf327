// How much one request may ask for. What a document says is bounded before it is validated; what its variables say is
// bounded here, when a field is about to run, because the same document may come again with other variables.

import { type Refusal, refuse } from "../model/errors.ts";
import { Refused } from "./errors.ts";

export interface Limits {
  /** Bytes of a request's body. */
  readonly body: number;
  /** Bytes of all bodies that are being read or answered, beyond the first of each; the rest is turned away with 503. */
  readonly bodies: number;
  /** Characters of a document that is not one of ours. */
  readonly document: number;
  readonly tokens: number;
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
  /** Elements of any list in an argument. */
  readonly list: number;
  /** What one operation may cost: a node of a list is 1, a proof made for it 4. */
  readonly cost: number;
  /** Requests that are being answered; the rest is turned away with 503. */
  readonly concurrent: number;
  /** Open connections of one listener. */
  readonly connections: number;
  /** Milliseconds until the headers, and until the whole request, must have arrived. */
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  /** Milliseconds until a call's signal fires. */
  readonly deadline: number;
  /** Milliseconds that accepted requests get to finish when the daemon stops. */
  readonly drain: number;
}

export const defaultLimits: Limits = {
  body: 1_048_576,
  bodies: 67_108_864,
  document: 32_768,
  tokens: 1000, // the parser recurses: twice as many nested lists overflow its stack
  depth: 12,
  aliases: 15,
  directives: 20,
  list: 1024,
  cost: 10_000,
  concurrent: 1024,
  connections: 4096,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  deadline: 30_000,
  drain: 20_000,
};

/** Of a page of a connection. */
export const maxPage = 1000;
const defaultPage = 50;

/** What an operation may still cost. */
export interface Budget {
  left: number;
}

/** Throws Refused TOO_LARGE. */
export function spend(budget: Budget, cost: number): void {
  budget.left -= cost;
  if (budget.left < 0)
    throw new Refused(
      refuse(
        "TOO_LARGE",
        "the query costs more than one request may",
        "Ask for smaller pages, or for fewer proofs at once.",
      ),
    );
}

/** Lists within bounds, and every string one that JSON and UTF-8 can say. Undefined where all is well. */
export function argumentProblem(value: unknown, limit: number): Refusal | undefined {
  return isFine(value, limit) ? undefined : problemAt(value, limit, "arguments");
}

/** On the path of every signature: no texts are made here. */
function isFine(value: unknown, limit: number): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return true;
  if (Array.isArray(value)) return value.length <= limit && value.every((element) => isFine(element, limit));
  for (const key in value) {
    if (!isFine((value as Record<string, unknown>)[key], limit)) return false; // coerced input: plain, without a prototype
  }
  return true;
}

function problemAt(value: unknown, limit: number, path: string): Refusal | undefined {
  if (typeof value === "string") {
    return value.isWellFormed()
      ? undefined
      : refuse("INPUT_INVALID", `${path} holds half of a character (a lone surrogate)`);
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return undefined;
  if (Array.isArray(value) && value.length > limit) {
    return refuse("TOO_LARGE", `${path} has ${String(value.length)} elements, at most ${String(limit)} fit`);
  }
  for (const [key, member] of Object.entries(value) as [string, unknown][]) {
    const problem = problemAt(member, limit, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** How many nodes a page has. Throws Refused INPUT_INVALID. */
export function pageSize(asked: number | null | undefined): number {
  const size = asked ?? defaultPage;
  if (size < 1 || size > maxPage) {
    throw new Refused(refuse("INPUT_INVALID", `a page has 1 to ${String(maxPage)} nodes, not ${String(size)}`));
  }
  return size;
}
