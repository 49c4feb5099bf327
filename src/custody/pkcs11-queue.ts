// Whose turn is it at a token? Every key has a lane; lanes take turns, and so do the calls in a lane, a slice at a time:
// a batch of a hundred makes nobody wait for all of it.

/** Items `from` until `until` of a call. */
export interface Slice<Call> {
  readonly call: Call;
  readonly from: number;
  readonly until: number;
}

export interface FairQueue<Call> {
  /** Items that wait. */
  readonly size: number;
  /** Lanes and the items that wait in each. */
  waiting(): Iterable<readonly [lane: string, items: number]>;
  /** Items that have their turn before the next of a call in this lane, or before one that would come now. */
  before(lane: string, most: (lane: string) => number, call?: Call): number;
  push(lane: string, slice: Slice<Call>): void;
  /** The next slice: at most so many items as `most` says for its lane. */
  take(most: (lane: string) => number): Slice<Call> | undefined;
  /** Takes a call out. */
  drop(call: Call): void;
  /** Takes everything out: every call that waited, once. */
  clear(): readonly Call[];
}

interface Lane<Call> {
  readonly slices: Slice<Call>[];
  size: number;
}

export function fairQueue<Call>(): FairQueue<Call> {
  const lanes = new Map<string, Lane<Call>>(); // the order of insertion is the order of turns
  let size = 0;

  function push(name: string, slice: Slice<Call>): void {
    const lane = lanes.get(name) ?? { slices: [], size: 0 };
    lanes.set(name, lane);
    lane.slices.push(slice);
    count(lane, lengthOf(slice));
  }

  function count(lane: Lane<Call>, items: number): void {
    lane.size += items;
    size += items;
  }

  return {
    get size() {
      return size;
    },
    waiting: () => [...lanes].map(([name, lane]) => [name, lane.size] as const),
    before(name, most, call) {
      const own = lanes.get(name)?.slices ?? [];
      const rounds = call === undefined ? own.length : own.findIndex((slice) => slice.call === call);
      if (rounds < 0) return 0; // it has its turn now
      let passed = false; // lanes up to its own have one turn more
      let sum = 0;
      for (const [other, { slices }] of lanes) {
        passed ||= other === name;
        sum += taken(slices.map(lengthOf), passed ? rounds : rounds + 1, Math.max(1, most(other)));
      }
      return sum;
    },
    push,
    take(most) {
      const [turn] = lanes;
      if (turn === undefined) return undefined;
      const [name, lane] = turn;
      lanes.delete(name);
      const slice = lane.slices.shift();
      if (slice === undefined) return undefined;
      const until = Math.min(slice.until, slice.from + Math.max(1, most(name)));
      count(lane, slice.from - until);
      if (until < slice.until) lane.slices.push({ ...slice, from: until });
      if (lane.slices.length > 0) lanes.set(name, lane);
      return { ...slice, until };
    },
    drop(call) {
      for (const [name, lane] of lanes) {
        for (let at = lane.slices.length - 1; at >= 0; at -= 1) {
          const slice = lane.slices[at];
          if (slice?.call !== call) continue;
          lane.slices.splice(at, 1);
          count(lane, -lengthOf(slice));
        }
        if (lane.slices.length === 0) lanes.delete(name);
      }
    },
    clear() {
      const calls = new Set([...lanes.values()].flatMap(({ slices }) => slices.map(({ call }) => call)));
      lanes.clear();
      size = 0;
      return [...calls];
    },
  };
}

/** Items that a lane of so long slices gives in so many turns. */
function taken(lengths: number[], turns: number, most: number): number {
  let sum = 0;
  for (let turn = 0; turn < turns; turn += 1) {
    const length = lengths.shift();
    if (length === undefined) break;
    const some = Math.min(length, most);
    sum += some;
    if (some < length) lengths.push(length - some);
  }
  return sum;
}

const lengthOf = ({ from, until }: Slice<unknown>): number => until - from;
