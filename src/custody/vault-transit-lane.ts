// How do signatures that are asked for one by one share a request? Those of the same turn of the event loop go together,
// and so do those that come while enough requests are under way: alone, a caller waits for nobody.
//
// What is refused for one is refused for that one. A request that is refused as a whole, which proves that nothing was
// signed, is asked again one by one, so that nobody suffers for a neighbour.

import { Fault } from "../model/errors.ts";

/** A signature, or why there is none. */
export type Element = Uint8Array | Fault;

/** Asks for these together; the elements in their order. Rejects with a Fault where the request as a whole failed. */
export type SendTogether = (inputs: readonly Uint8Array[], signal: AbortSignal) => Promise<readonly Element[]>;

export interface LaneParts {
  readonly send: SendTogether;
  /** Requests at once; what comes meanwhile waits for one of them. */
  readonly width: number;
  /** Inputs of one request. */
  readonly most: number;
  /** Bytes of these inputs, unless one alone has more. */
  readonly heaviest: number;
  /** Inputs that may wait; more are refused. */
  readonly longest: number;
  readonly fault: (code: "CUSTODY_TIMEOUT" | "OVERLOADED", nothingHappened: boolean) => Fault;
  /** A request was refused before any work, for reasons that can lie in one of its inputs. */
  readonly mayBeOnes: (fault: Fault) => boolean;
}

interface Waiting {
  readonly input: Uint8Array;
  readonly done: (element: Element) => void;
  /** Set as soon as its request is under way. */
  group: Group | undefined;
  /** Its caller gave up: for it nothing more is asked. */
  left: boolean;
}

interface Group {
  readonly ending: AbortController;
  left: number;
}

export type Lane = (input: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

export function lane({ send, width, most, heaviest, longest, fault, mayBeOnes }: LaneParts): Lane {
  const waiting = new Set<Waiting>();
  let flying = 0;
  let scheduled = false;

  function schedule(): void {
    if (scheduled || flying >= width || waiting.size === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      while (flying < width && waiting.size > 0) void fly(next());
    });
  }

  function next(): readonly Waiting[] {
    const group: Waiting[] = [];
    let weight = 0;
    for (const one of waiting) {
      weight += one.input.length;
      if (group.length === most || (group.length > 0 && weight > heaviest)) break;
      group.push(one);
    }
    return group;
  }

  /** Never rejects. */
  async function fly(together: readonly Waiting[]): Promise<void> {
    flying += 1;
    const group: Group = { ending: new AbortController(), left: together.length };
    for (const one of together) {
      waiting.delete(one);
      one.group = group;
    }
    try {
      await settle(together, group);
    } finally {
      flying -= 1;
      schedule();
    }
  }

  async function settle(together: readonly Waiting[], { ending }: Group): Promise<void> {
    try {
      const elements = await send(
        together.map((one) => one.input),
        ending.signal,
      );
      for (const [at, one] of together.entries()) one.done(elements[at] ?? fault("CUSTODY_TIMEOUT", false));
    } catch (cause) {
      const failed = cause instanceof Fault ? cause : new Fault("CUSTODY_DOWN", "the request failed", { cause });
      if (together.length === 1 || !mayBeOnes(failed)) {
        for (const one of together) one.done(failed);
        return;
      }
      for (const one of together) if (!one.left) await settle([one], { ending, left: 1 });
    }
  }

  return (input, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(fault("CUSTODY_TIMEOUT", true));
        return;
      }
      if (waiting.size >= longest) {
        reject(fault("OVERLOADED", true));
        return;
      }
      const one: Waiting = { input, done, group: undefined, left: false };
      const late = (): void => {
        const { group } = one;
        one.left = true;
        waiting.delete(one);
        reject(fault("CUSTODY_TIMEOUT", group === undefined));
        if (group === undefined) return;
        group.left -= 1;
        if (group.left === 0) group.ending.abort();
      };
      function done(element: Element): void {
        signal.removeEventListener("abort", late);
        if (element instanceof Fault) reject(element);
        else resolve(element);
      }
      signal.addEventListener("abort", late, { once: true });
      waiting.add(one);
      schedule();
    });
}
