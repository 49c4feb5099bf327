// What the broker asks of the place that holds the truth: the ordered leaves, and whatever must become true with them.
//
// Contract, held by test/contract/log.test.ts against every dialect:
// - A Write becomes true as a whole or not at all; `append` resolves only after fsync. Whatever waits shares a commit.
// - Where a condition does not hold, nothing of that Write happened and the Conflict says which; others are not affected.
// - A rejected `append` is Fault LOG_NOT_DURABLE: whether it happened is unknown until the log has reopened itself and
//   read its head again, which it does by itself before it takes the next Write. It recovers when the cause is gone.
// - Leaf indices are dense and follow the order of commits. The head moves by compare-and-swap.

import type { PendingAction } from "../model/approval.ts";
import type { Entry } from "../model/entry.ts";
import type { Key } from "../model/key.ts";
import type { Person } from "../model/principal.ts";
import type { SigningSession } from "../model/session.ts";

/** State that lives beside the leaves and can be rebuilt from them. */
export interface Records {
  readonly key: Key;
  readonly person: Person;
  readonly pending: PendingAction;
  /** One record, id "current": the policy set in force. */
  readonly policy: { readonly hash: string };
}
export type RecordKind = keyof Records;

export type Put = {
  readonly [K in RecordKind]: {
    readonly kind: K;
    readonly id: string;
    readonly value: Records[K] | undefined;
    /** Condition: the revision read before; 0 for "there is none". */
    readonly expects: number;
  };
}[RecordKind];

export interface Stored<T> {
  readonly value: T;
  readonly revision: number;
}

/** Spends `uses` of a session, all or none. */
export interface Spend {
  readonly session: string;
  readonly uses: number;
  /** Conditions, checked in the same transaction. */
  readonly at: number;
  readonly key: string;
  readonly number: number;
  readonly policy: string;
}

/** Something that may happen once: a proof's `jti`, an idempotency key, an identity token, a public key that comes in. */
export interface Mark {
  readonly kind: "proof" | "idempotency" | "token" | "key";
  /** SHA-256 of whatever identifies it. */
  readonly id: Uint8Array;
  /** Milliseconds since the epoch; forgotten some time after. */
  readonly expiresAt: number;
}

/** The stored beginning and end of one idempotent request. */
export interface Attempt {
  /** SHA-256 over session and idempotency key. */
  readonly id: Uint8Array;
  /** SHA-256 (hex) of the parsed request. */
  readonly request: string;
  readonly expiresAt: number;
}

export interface Write {
  /** Leaf index and the facts of this transaction go in, the entry comes out. Called inside the transaction: pure and quick. */
  readonly entry: (facts: Facts) => Entry;
  /** Further entries of the same transaction, placed before `entry` in this order; all become true together. */
  readonly alongside?: readonly Entry[] | undefined;
  /** Side blobs that the entries name. */
  readonly blobs?: readonly Uint8Array[] | undefined;
  readonly spend?: Spend | undefined;
  /** Not a condition: asks for `facts.holds`, whether inside this transaction the key version is ACTIVE, or was until a rotation replaced it, and the session not REVOKED. */
  readonly watch?: { readonly session: string; readonly key: string; readonly number: number } | undefined;
  readonly marks?: readonly Mark[] | undefined;
  /** Condition: no attempt of this id. */
  readonly begin?: Attempt | undefined;
  /** Keeps the answer of an attempt (for `sign`: the signatures), with the leaf index of this entry. */
  readonly finish?: { readonly id: Uint8Array; readonly answer: Uint8Array } | undefined; // dropped where `watch` does not hold
  /** Forgets an attempt that came to nothing: its idempotency key may be used again. */
  readonly abandon?: Uint8Array | undefined;
  readonly puts?: readonly Put[] | undefined;
  /** Condition: records that this Write relies on and does not change, as they were read. */
  readonly unchanged?:
    | readonly { readonly kind: RecordKind; readonly id: string; readonly expects: number }[]
    | undefined;
  /** Condition: fewer than `most` open sessions of this principal under this grant. */
  readonly open?:
    | { readonly session: SigningSession; readonly token: Uint8Array; readonly most?: number | undefined }
    | undefined;
  /** A further token (SHA-256) of an open session. */
  readonly token?: { readonly session: string; readonly token: Uint8Array } | undefined;
  readonly close?: { readonly session: string; readonly state: "CLOSED" | "REVOKED"; readonly at: number } | undefined;
  /** Ends every session that is open at `at` and covers `key`, each with an entry of its own, placed before `entry`. */
  readonly closeAll?:
    | {
        readonly key: string;
        readonly state: "REVOKED";
        readonly at: number;
        /** Called inside the transaction, once for each: pure and quick. */
        readonly entry: (session: string, uses: NonNullable<Facts["uses"]>) => Entry;
      }
    | undefined;
  /** Re-decided sessions: id and the policy hash that permits it now. */
  readonly repolicy?: readonly { readonly session: string; readonly policy: string }[] | undefined;
}

export interface Facts {
  readonly index: number;
  /** After this Write's own spending. Present with `spend`, `close` and `token`. */
  readonly uses?: { readonly granted: number; readonly left: number } | undefined;
  /** Present with `watch`. A change earlier in the same transaction counts. */
  readonly holds?: boolean | undefined;
}

export type Conflict =
  | {
      readonly conflict: "session-ended" | "session-spent" | "key-not-active" | "policy-changed";
      readonly usesLeft?: number;
    }
  | { readonly conflict: "mark"; readonly mark: Mark["kind"] }
  | { readonly conflict: "attempt" }
  | { readonly conflict: "session-limit" }
  | { readonly conflict: "revision"; readonly kind: RecordKind; readonly id: string };

export interface Appended {
  readonly index: number;
  /** Exact bytes of the leaf. */
  readonly leaf: Uint8Array;
  /** RFC 6962 leaf hash. */
  readonly hash: Uint8Array;
  /** Size of the log at the commit that holds this leaf: receipts prove against that checkpoint. */
  readonly size: number;
  /** Makes the receipt (C2SP tlog-proof) of this leaf against the checkpoint of its commit, its leaf bytes in `extra`. */
  readonly receipt: () => string;
  readonly entry: Entry;
}

export interface Head {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** Where a leaf is wanted together with what the view row said of it. */
export interface EntryFilter {
  readonly keys?: readonly string[] | undefined;
  readonly types?: readonly string[] | undefined;
  /** `sha256:<hex>` of an artifact. */
  readonly digest?: string | undefined;
  /** Immutable project id, or person id. */
  readonly principal?: string | undefined;
  readonly session?: string | undefined;
  readonly code?: string | undefined;
  /** done, withheld, failed, unknown, refused */
  readonly result?: string | undefined;
  /** Milliseconds since the epoch; from inclusive, to exclusive. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

export interface Page {
  /** Newest first when `backward`. At most 1000. */
  readonly limit: number;
  readonly backward: boolean;
  /** Exclusive leaf index to go on from. */
  readonly after?: number | undefined;
}

export interface LogEntry {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly entry: Entry;
  /** Size of the checkpoint that its receipt is wanted against; the newest where absent. */
  readonly size?: number | undefined;
  /** What the view row says differently from its leaf: the leaf is the fact. */
  readonly disagreement?: string | undefined;
}

export interface Log extends AsyncDisposable {
  append(write: Write): Promise<Appended | Conflict>;
  head(): Head;
  /** Signed checkpoint of the current head, made if there is none yet of this size. */
  checkpoint(): Promise<string>;
  /** A signed checkpoint of a size that was published or receipted; undefined if none was. */
  checkpointAt(size: number): Promise<string | undefined>;
  leaf(index: number): Promise<Uint8Array | undefined>;
  blob(sha256: string): Promise<Uint8Array | undefined>;
  entries(filter: EntryFilter, page: Page): Promise<{ readonly entries: readonly LogEntry[]; readonly more: boolean }>;
  /** How many entries there are of a filter. */
  count(filter: EntryFilter): Promise<number>;
  /** Receipt of any leaf against the checkpoint of a size, by default the newest. */
  receipt(index: number, size?: number): Promise<string | undefined>;
  /** Sibling hashes, C2SP order. */
  consistency(from: number, to: number): Promise<readonly Uint8Array[]>;
  /** A path of the tlog-tiles tree (`checkpoint`, `tile/…`), undefined if there is no such tile for a signed checkpoint. */
  tile(path: string): Promise<Uint8Array | undefined>;
  /** Oldest first, from `from`; for replay at start and for fsck. */
  leaves(from: number, to: number): AsyncIterable<{ readonly index: number; readonly leaf: Uint8Array }>;
}

/** The static tlog-tiles tree on disk, a view that strangers' tools read. */
export interface LogTree {
  /** Writes every tile that `checkpoint` needs and is not there yet, then the checkpoint: whole files by rename, never a smaller over a larger one. */
  publish(checkpoint: string): Promise<void>;
}

export interface SessionFilter {
  readonly open?: boolean | undefined;
  readonly key?: string | undefined;
  /** principalKey, or immutable project id. */
  readonly principal?: string | undefined;
  /** Milliseconds since the epoch: what counts as expired. */
  readonly at: number;
}

/** A session with the leaf index of its `session.open`. */
export type ListedSession = SigningSession & { readonly entry: number };

/** Reads of state; what is durable, or about to be. Synchronous reads come from memory that this daemon alone writes. */
export interface State {
  record<K extends RecordKind>(kind: K, id: string): Stored<Records[K]> | undefined;
  records<K extends RecordKind>(kind: K): readonly Stored<Records[K]>[];
  session(id: string): Promise<SigningSession | undefined>;
  /** By SHA-256 of the session token. Undefined for a token that was never issued; closed sessions are returned. */
  sessionByToken(token: Uint8Array): Promise<SigningSession | undefined>;
  sessionByIdentityToken(identityToken: string): Promise<SigningSession | undefined>;
  /** Newest first when `backward`; `page.after` is the `entry` of the last one seen. */
  sessions(filter: SessionFilter, page: Page): Promise<readonly ListedSession[]>;
  openSessionsOf(principal: string, grant: string, at: number): Promise<number>;
  attempt(
    id: Uint8Array,
  ): Promise<{ readonly request: string; readonly answer?: Uint8Array; readonly outcome?: number } | undefined>;
  /** Whether an earlier write carried this mark. */
  marked(mark: Pick<Mark, "kind" | "id">): Promise<boolean>;
}
