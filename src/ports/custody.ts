// What the broker asks of a place where keys live. A custody never learns who asks, and never decides.

import type { Fault } from "../model/errors.ts";
import type { ToBeSigned } from "../model/item.ts";
import type { KeyAlgorithm, KeyVersion, Protection } from "../model/key.ts";

import type { Secret } from "../std/secret.ts";

export type { ToBeSigned } from "../model/item.ts";

export interface NewKey {
  /** SPKI, PEM. */
  readonly publicKey: string;
  /** Names exactly this version at the backend, for as long as it lives there: no alias, no "latest". */
  readonly uri: string;
}

/** Which key version is to be made. */
export type Wanted = Pick<KeyVersion, "key" | "number" | "purpose" | "algorithm"> & {
  /** URI of the version before it, where there is one: a backend with versions of its own makes the next of those. */
  readonly after?: string | undefined;
  /** URIs of all versions of this key at that custody, also of those that never signed: the one that is made is none of them. */
  readonly ours?: readonly string[] | undefined;
  /** RFC 3339: when it was first decided to make it. What its backend made before that is somebody else's. */
  readonly since?: string | undefined;
};

/** A key as its backend tells of it now. */
export interface KeyDescription extends NewKey {
  readonly algorithm: KeyAlgorithm;
  readonly protection: Protection;
  /** Why the backend would not sign with it now (disabled, waiting for its deletion, …); undefined where it would. */
  readonly trouble?: string | undefined;
  /** SHA-256 (hex) over what guards it there (key policy, attributes, flags), canonically; undefined where none is told. */
  readonly guards?: string | undefined;
  /** DER certificates of the backend's attestation, the key's own first; empty or absent where it gives none. */
  readonly attestation?: readonly Uint8Array[] | undefined;
}

/** Signatures that a backend says it made with one key version on one day (UTC, `YYYY-MM-DD`). */
export interface DailyUse {
  readonly day: string;
  readonly signatures: number;
}

/**
 * Contract, held by test/contract/custody.test.ts against every kind:
 * - Many calls may run at once. Each settles before `signal` fires, or soon after with Fault CUSTODY_TIMEOUT.
 * - A rejected `sign` may have signed all the same unless its Fault says `nothingHappened`: nobody retries it blindly.
 * - Every Fault names the custody (`custody`), and says in `retryAfter` when it is worth to ask again, if ever. A Fault
 *   with `nothingHappened` and without `retryAfter` is about this key or this request (no such key, not permitted): the
 *   backend itself is well. Any other tells that the backend is away, and some of these in a row open the breaker that
 *   stands around every custody outside the process (src/custody/bulkhead.ts); OVERLOADED only tells that it is busy.
 * - Signatures come back in the order asked; ECDSA as DER (RFC 3279, 2.2.3), RSA as PKCS#1 v1.5 or PSS (salt as long as
 *   the hash) by the key's algorithm, Ed25519 raw (RFC 8032).
 * - A digest for Ed25519 or PSS, or one whose length is not its hash's, is Fault CUSTODY_DOWN with `nothingHappened`:
 *   the broker refuses it earlier, so it is our own mistake.
 * - It signs with exactly the version that `uri` names, or not at all. It may return garbage all the same: the broker
 *   verifies what comes from outside the process.
 * - It recovers by itself when its backend does: no call leaves it unusable.
 */
export interface Custody extends AsyncDisposable {
  readonly kind: string;
  /** False only where key and broker share a process and a verified library. */
  readonly outside: boolean;
  /** Algorithms it can hold. */
  readonly algorithms: readonly KeyAlgorithm[];
  /** Bytes of a message, for algorithms with which it takes fewer than the formats make. Longer: Fault, `nothingHappened`. */
  readonly longest?: Readonly<Partial<Record<KeyAlgorithm, number>>> | undefined;
  sign(key: KeyVersion, items: readonly ToBeSigned[], signal: AbortSignal): Promise<readonly Uint8Array[]>;
  /**
   * What the backend says of the key under this URI; undefined where it says that there is none. An alias or a name
   * without a version is resolved: the `uri` that comes back is pinned. Rejects where the backend cannot be asked.
   * `known` is the version as it was recorded, where it is one of ours already.
   */
  describe(uri: string, signal: AbortSignal, known?: KeyVersion): Promise<KeyDescription | undefined>;
  /** Absent where the backend cannot make keys. Durable on return. Repeated for the same version: the same key. */
  create?(version: Wanted, signal: AbortSignal): Promise<NewKey>;
  /**
   * Absent where the backend cannot destroy one version. Repeated: the same answer. `until` where it can still be
   * taken back at the backend (RFC 3339); by then nobody signs with it any more.
   */
  destroy?(version: KeyVersion, signal: AbortSignal): Promise<{ readonly until?: string | undefined }>;
  /** Absent where the backend keeps no account of uses. Days from inclusive, to exclusive; days without use may be left out. */
  uses?(
    version: KeyVersion,
    days: { readonly from: string; readonly to: string },
    signal: AbortSignal,
  ): Promise<readonly DailyUse[]>;
  /** Absent where nobody has to. Gives the PIN to a token that was started without; once: a wrong PIN is not tried again. */
  unlock?(pin: Secret, signal: AbortSignal): Promise<Unlocking>;
  /** How the backend is, for `signet doctor`; from what was seen last, without asking it. */
  health?(): CustodyHealth;
  /**
   * Why a call would not even be tried now, with `nothingHappened`: asked before an intent is written, so that what
   * cannot work costs no use. Undefined where it would be tried. Absent where a custody cannot know.
   */
  turnsAway?(): Fault | undefined;
}

/** What can be asked of a custody, for those who count. */
export const custodyCalls = ["sign", "describe", "create", "destroy", "uses", "unlock"] as const;
export type CustodyCall = (typeof custodyCalls)[number];

export interface CustodyLoad {
  /** Calls. */
  readonly running: number;
  readonly waiting: number;
  readonly breaker: "closed" | "open" | "half-open";
}

/** Whether the token took its PIN. `refused`: why not, and whether it was tried at all; one line, never a secret. */
export type Unlocking = { readonly ready: true } | { readonly refused: string };

export interface CustodyHealth {
  readonly status: "ok" | "warn" | "fail";
  /** One line; never a secret. */
  readonly message: string;
  readonly hint?: string | undefined;
}
