// The broker: everything that Signet does, one function per use case. Whoever calls has been authenticated by
// `authenticate` and nothing else; whoever is refused gets a Refusal as the answer; a Fault is thrown.

import type { Finished, SignItem } from "../formats/index.ts";
import type { PendingAction, PendingState } from "../model/approval.ts";
import type { Refusal } from "../model/errors.ts";
import type { Key, KeyAlgorithm, KeyState, KeyVersion, Purpose } from "../model/key.ts";
import type { Person, Principal, Role } from "../model/principal.ts";
import type { SigningSession } from "../model/session.ts";
import type { TrustSet } from "../model/trust.ts";
import type { Explanation, PolicySet } from "../policy/index.ts";
import type { CustodyHealth } from "../ports/custody.ts";
import type { EntryFilter, ListedSession, LogEntry, Page } from "../ports/log.ts";
import type { Secret } from "../std/secret.ts";
import type { Call, Caller } from "./call.ts";
import type { Receipt } from "./receipt.ts";

export type { Receipt } from "./receipt.ts";

/** What a request brought along to prove who sends it. */
export interface Credentials {
  /** The Authorization header, as it came. */
  readonly authorization: string | undefined;
  /** All DPoP headers. */
  readonly proofs: readonly string[];
  readonly method: string;
  /** As this listener is published: scheme, authority, path. */
  readonly url: string;
  /** SHA-256 of the body, made when somebody asks. */
  readonly body: () => Uint8Array;
  /** RFC 8705 thumbprint of the client certificate, where this listener verified one. */
  readonly certificate: string | undefined;
  /** True on the 0600 socket. */
  readonly socket: boolean;
  /** The listener's `dangerouslyAllowBearer`. */
  readonly bearer: boolean;
}

export interface Signed {
  readonly version: KeyVersion;
  readonly signatures: readonly Finished[];
  readonly receipt: Receipt;
  readonly usesLeft: number;
}

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly note: string;
  readonly witnesses: readonly string[];
}

export interface HealthCheck {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly message: string;
  readonly hint?: string | undefined;
}

export interface UnlockRequest {
  readonly custody: string;
  readonly pin: Secret;
  /** Random text of the caller, so that the request's hash, which the log keeps, does not give a short PIN away. */
  readonly salt: string;
}

/** A custody as people see it. */
export interface CustodyStatus extends CustodyHealth {
  readonly name: string;
  readonly kind: string;
  /** Whether a person may have to give it a PIN. */
  readonly unlockable: boolean;
}

/** Signatures that the log tells of, in items. */
export interface Recorded {
  readonly done: number;
  /** Made by the backend, and not released. */
  readonly withheld: number;
  /** Perhaps made: no outcome, or one that says so. */
  readonly unknown: number;
}

type ReconcileVerdict = "AGREES" | "SURPLUS" | "MISSING" | "NOT_TOLD";

export interface ReconciledDay {
  readonly key: string;
  readonly number: number;
  readonly custody: string;
  /** Undefined where it is about all the days asked for: nothing was recorded, and the custody cannot tell. */
  readonly day: string | undefined;
  readonly recorded: Recorded;
  /** Undefined where the custody cannot tell. */
  readonly backend: number | undefined;
  /** `backend` less what was done or withheld. */
  readonly difference: number | undefined;
  readonly verdict: ReconcileVerdict;
  /** For people. */
  readonly meaning: string;
}

export interface Reconciliation {
  readonly from: string;
  readonly to: string;
  /** By key, version and day; days without any use are left out, no version of which its custody cannot tell is. */
  readonly days: readonly ReconciledDay[];
}

/** `stateNow`: EXPIRED is nobody's entry, it follows from the time. */
export type PendingNow = PendingAction & { readonly stateNow: PendingState };

type Answer<T> = Promise<T | Refusal>;

export interface Broker {
  /** Refusal: UNAUTHENTICATED, PROOF_INVALID, PROOF_NONCE. Recorded where the token names a session. */
  authenticate(credentials: Credentials, request: string): Answer<Caller>;
  /** For the DPoP-Nonce header. */
  nonce(): string;

  /** The same refusal, recorded like those of the use cases: one that was made before any of them was reached. */
  turnedAway(call: Call, action: string, refusal: Refusal): Promise<Refusal>;

  openSession(
    call: Call,
    input: {
      readonly identityToken: string;
      readonly keys: readonly string[];
      readonly uses?: number | undefined;
      readonly ttl?: number | undefined;
      readonly reason?: string | undefined;
    },
  ): Answer<{ readonly session: SigningSession; readonly token: string; readonly receipt: Receipt }>;
  closeSession(
    call: Call,
    input: { readonly session?: string | undefined },
  ): Answer<{ readonly session: SigningSession; readonly receipt: Receipt }>;
  revokeSession(
    call: Call,
    input: { readonly session: string; readonly reason: string },
  ): Answer<{ readonly session: SigningSession; readonly receipt: Receipt }>;
  sign(
    call: Call,
    input: { readonly idempotencyKey: string; readonly key: string; readonly items: readonly SignItem[] },
  ): Answer<Signed>;

  createKey(
    call: Call,
    input: {
      readonly name: string;
      readonly purpose: Purpose;
      readonly algorithm: KeyAlgorithm;
      readonly custody: string;
    },
  ): Answer<{ readonly key: Key; readonly receipt: Receipt }>;
  enrollKey(
    call: Call,
    input: { readonly name: string; readonly purpose: Purpose; readonly custody: string; readonly uri: string },
  ): Answer<{ readonly key: Key; readonly receipt: Receipt }>;
  /** APPROVAL_PENDING where it takes a second person. */
  destroyKey(
    call: Call,
    input: {
      readonly key: string;
      readonly number?: number | undefined;
      readonly backend: boolean;
      readonly reason: string;
    },
  ): Answer<{ readonly key: Key; readonly receipt: Receipt }>;
  /** APPROVAL_PENDING where it takes a second person. */
  changeKeyState(
    call: Call,
    input: {
      readonly key: string;
      readonly number?: number | undefined;
      /** Only from this state, where one is named: to activate is not to resume. */
      readonly from?: KeyState | undefined;
      readonly to: KeyState;
      readonly reason: string;
    },
  ): Answer<{ readonly key: Key; readonly receipt: Receipt }>;

  /** PIN_REFUSED where the token did not take the PIN. */
  unlockCustody(
    call: Call,
    input: UnlockRequest,
  ): Answer<{ readonly custody: CustodyStatus; readonly receipt: Receipt }>;

  enrolFirstOperator(
    call: Call,
    input: { readonly name: string; readonly issuer?: string | undefined; readonly subject?: string | undefined },
  ): Answer<{ readonly operator: Person; readonly receipt: Receipt }>;
  openOperatorSession(
    call: Call,
    input: { readonly identityToken?: string | undefined },
  ): Answer<{ readonly operator: Person; readonly token: string; readonly expiresAt: number }>;
  addOperator(
    call: Call,
    input: {
      readonly name: string;
      readonly issuer: string;
      readonly subject: string;
      readonly roles: readonly Role[];
    },
  ): Answer<{ readonly operator: Person; readonly receipt: Receipt }>;
  removeOperator(
    call: Call,
    input: { readonly operator: string },
  ): Answer<{ readonly operator: Person; readonly receipt: Receipt }>;
  decide(
    call: Call,
    input: { readonly pending: string; readonly hash: string; readonly verdict: "approved" | "denied" },
  ): Answer<{ readonly pending: PendingAction; readonly receipt: Receipt }>;

  /** LocalSocket, workload or person; refusal for a stranger. */
  viewer(call: Call): Answer<Principal>;
  key(call: Call, name: string): Answer<Key | undefined>;
  keys(call: Call): Answer<readonly Key[]>;
  custodies(call: Call): Answer<readonly CustodyStatus[]>;
  operators(call: Call): Answer<readonly Person[]>;
  pendingAction(call: Call, id: string): Answer<PendingNow | undefined>;
  pendingActions(call: Call, state: PendingState | undefined): Answer<readonly PendingNow[]>;
  session(call: Call, id: string): Answer<SigningSession | undefined>;
  sessions(
    call: Call,
    filter: { readonly open?: boolean; readonly key?: string; readonly principal?: string },
    page: Page,
  ): Answer<{ readonly sessions: readonly ListedSession[]; readonly more: boolean }>;

  /** A rotation begins, and goes as far as it can at once. APPROVAL_PENDING where it takes a second person. */
  rotateKey(
    call: Call,
    input: {
      readonly idempotencyKey: string;
      readonly key: string;
      readonly custody?: string | undefined;
      /** An existing key at that custody. */
      readonly uri?: string | undefined;
      /** Milliseconds. */
      readonly propagation?: number | undefined;
      readonly retireAfter?: number | undefined;
      /** Takes a propagation that is shorter than the trust documents are cached. */
      readonly beforeVerifiersKnow?: boolean | undefined;
      readonly reason: string;
    },
  ): Answer<{ readonly key: Key; readonly receipt: Receipt }>;
  /** Before the switch alone. */
  cancelRotation(
    call: Call,
    input: { readonly key: string; readonly reason: string },
  ): Answer<{ readonly key: Key; readonly receipt: Receipt }>;
  /** For the clock: every step of every rotation that is due. No caller. */
  rotateDue(): Promise<void>;
  /** Why a rotation does not go on, in words. No caller: for whoever may read the key. */
  rotationTrouble(key: string): string | undefined;
  /** How many requests got signatures of this key. */
  releasedOf(call: Call, key: string): Answer<number>;
  /** What was recorded beside what the backends counted, per key version and day; each question is itself an entry. */
  reconcile(
    call: Call,
    input: { readonly key?: string | undefined; readonly from: string; readonly to: string },
  ): Answer<Reconciliation>;

  /** Auditors; each read is itself an entry. */
  entries(
    call: Call,
    filter: EntryFilter,
    page: Page,
  ): Answer<{ readonly entries: readonly LogEntry[]; readonly more: boolean; readonly checkpoint: Checkpoint }>;
  entry(call: Call, index: number): Answer<LogEntry | undefined>;
  blob(call: Call, sha256: string): Answer<Uint8Array | undefined>;
  /** Against the checkpoint of `size`, by default the newest. */
  receipt(call: Call, index: number, size?: number): Answer<string | undefined>;
  checkpoint(call: Call, size: number | undefined): Answer<Checkpoint | undefined>;
  consistency(call: Call, from: number, to: number): Answer<readonly Uint8Array[]>;
  vkey(): string;
  /** What verifiers may trust now. `open`: nobody is asked who reads; otherwise anybody with a role. */
  trust(call: Call, open: boolean): Answer<TrustSet>;
  /** A path of the tlog-tiles tree. `tile/entries/…` needs the auditor role; checkpoint and hash tiles only where the listener is not open. */
  tile(call: Call, path: string, open: boolean): Answer<Uint8Array | undefined>;

  explain(
    call: Call,
    input:
      | { readonly entry: number }
      | {
          readonly identity: unknown;
          readonly keys: readonly string[];
          readonly uses?: number | undefined;
          readonly ttl?: number | undefined;
          readonly items: readonly SignItem[];
        },
  ): Answer<Explanation & { readonly policy: string; readonly inForce: boolean }>;
  policy(call: Call): Answer<PolicySet>;
  health(call: Call): Answer<{ readonly status: HealthCheck["status"]; readonly checks: readonly HealthCheck[] }>;

  /** Ready to sign: the log is writable and proved. For /readyz; no caller. */
  ready(): { readonly ready: boolean; readonly reason: string };
}
