// Signed checkpoints of this log. Signed only for a size that is durable, on demand, and never two of one size: kept in
// memory from the signature on and stored with the next commit, and Ed25519 gives the same text again if that was lost.

import type { Head } from "../ports/log.ts";
import { signCheckpoint } from "../tlog/checkpoint.ts";
import type { NoteSigner } from "../tlog/note.ts";
import type { Ground } from "./ground.ts";

export interface Checkpoints {
  /** The head must be committed. */
  sign(head: Head): string;
  at(ground: Ground, size: number): string | undefined;
  /** Whether some wait to be stored. */
  unstored(): boolean;
  /** Stores those that wait, in the transaction at hand. */
  store(ground: Ground): void;
  /** The transaction that stored them is durable. */
  stored(): void;
}

export function openCheckpoints(signer: NoteSigner): Checkpoints {
  const waiting = new Map<number, string>();
  let latest: { readonly size: number; readonly text: string } | undefined;
  let storing: readonly number[] = [];
  return {
    sign({ origin, size, root }) {
      const known = latest?.size === size ? latest.text : waiting.get(size);
      if (known !== undefined) return known;
      const text = signCheckpoint({ origin, size, root, extensions: [] }, signer);
      waiting.set(size, text);
      if (latest === undefined || latest.size < size) latest = { size, text };
      return text;
    },
    at(ground, size) {
      const known = latest?.size === size ? latest.text : waiting.get(size);
      if (known !== undefined) return known;
      const row = ground.db.prepare("SELECT text FROM checkpoint WHERE size = ?").get(size);
      return row && String(row["text"]);
    },
    unstored: () => waiting.size > 0,
    store(ground) {
      const insert = ground.db.prepare("INSERT OR IGNORE INTO checkpoint (size, text) VALUES (?, ?)");
      storing = [...waiting.keys()];
      for (const [size, text] of waiting) insert.run(size, text);
    },
    stored() {
      for (const size of storing) waiting.delete(size);
      storing = [];
    },
  };
}
