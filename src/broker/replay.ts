// Proofs that come without an entry (reads, repeated requests) are single-use too: this daemon gave their nonce, so
// its memory is enough. Proofs of mutations are marked in the log's own transaction instead.

import type { Proof } from "../ports/identity.ts";
import type { Clock } from "../std/clock.ts";

export interface Replay {
  /** True for one request, however often that request asks. Without a proof (mTLS, bearer) there is nothing to replay. */
  once(proof: Proof | undefined, request: string): boolean;
  /** Whether another request has used it, as far as this memory was told. */
  used(proof: Proof | undefined, request: string): boolean;
}

/** A full memory refuses: forgetting would let a proof pass twice. */
const capacity = 500_000;

export function replayMemory(clock: Clock): Replay {
  const seen = new Map<string, Seen>();
  return {
    once(proof, request) {
      if (!proof) return true;
      const mark = Buffer.from(proof.mark).toString("latin1");
      const before = seen.get(mark);
      if (before) return before.request === request;
      if (seen.size >= capacity) forget(seen, clock());
      if (seen.size >= capacity) return false;
      seen.set(mark, { request, expiresAt: proof.expiresAt });
      return true;
    },
    used(proof, request) {
      const before = proof && seen.get(Buffer.from(proof.mark).toString("latin1"));
      return before !== undefined && before.request !== request;
    },
  };
}

interface Seen {
  readonly request: string;
  readonly expiresAt: number;
}

function forget(seen: Map<string, Seen>, now: number): void {
  for (const [mark, { expiresAt }] of seen) if (expiresAt <= now) seen.delete(mark);
}
