// Who watches the log from outside (C2SP tlog-witness).

/** One witness's answer to a checkpoint. */
export type Witnessed =
  | { readonly witness: string; readonly result: "cosigned" /** POSIX seconds. */; readonly time: number }
  /** It saw a larger log than ours, or another history: we were rolled back or forked. */
  | { readonly witness: string; readonly result: "ahead" | "forked"; readonly message: string }
  /** Down, slow, or it does not know us. The log goes on, unwitnessed, and says so. */
  | { readonly witness: string; readonly result: "silent"; readonly message: string };

/** What a log has to be able to say to a witness. */
export interface WitnessedLog {
  /** Signed checkpoint of `size` entries. */
  readonly note: string;
  readonly size: number;
  /** Sibling hashes from an older size to `size`. */
  readonly consistency: (from: number) => Promise<readonly Uint8Array[]>;
}

/**
 * Contract, held by test/flow/witness.test.ts against omniwitness:
 * - `submit` asks every witness at once, never throws, and is bounded in time.
 * - The note that comes back is the one given, with the verified cosignatures below it; foreign lines are left out.
 */
export interface Witnesses {
  readonly names: readonly string[];
  submit(log: WitnessedLog): Promise<{
    readonly note: string;
    readonly answers: readonly Witnessed[] /** Whether the quorum of the policy is reached. */;
    readonly quorum: boolean;
  }>;
}
