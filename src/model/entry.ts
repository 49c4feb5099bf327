// The log's entries, version 1 (docs/audit-log.md). Leaves are the canonical JSON of these objects and live for ten
// years: fields are added, never renamed; readers keep and show what they do not know.

import type { Action } from "./approval.ts";
import type { FaultCode, RefusalCode } from "./errors.ts";
import type { Decision } from "./grant.ts";
import type { ItemRecord } from "./item.ts";
import type { KeyAlgorithm, KeyState, Purpose } from "./key.ts";
import type { Confirmation, Principal, Role } from "./principal.ts";

/** A side blob, named by the SHA-256 of its bytes: `sha256:<hex>`. */
export interface BlobRef {
  readonly blob: string;
  /** Number of elements, where the blob is the canonical JSON of an array. */
  readonly count?: number | undefined;
}

/** Who called and how they proved it. */
export interface Caller {
  readonly by: Principal;
  readonly cnf?: Confirmation | undefined;
  readonly evidence?: Evidence | undefined;
}

export interface Evidence {
  /** Side blob: the DPoP proof as it came. No secret once used; it names the body's hash. */
  readonly proof?: BlobRef | undefined;
  /** SHA-256 (hex) of (issuer, signing input of the identity token). */
  readonly identityToken?: string | undefined;
}

/** A key in use, without anything secret. */
export interface KeyUse {
  readonly name: string;
  readonly version: number;
  readonly custody: string;
  readonly uri: string;
  /** SHA-256 (hex) of the public key's SPKI DER. */
  readonly publicKey: string;
}

/** A leaf named by its place and by its bytes. `hash` is the RFC 6962 leaf hash, hex. */
export interface LeafRef {
  readonly index: number;
  readonly hash: string;
}

export type Result = "done" | "withheld" | "failed" | "unknown";
export interface Uses {
  readonly granted: number;
  readonly spent: number;
  readonly left: number;
}

/** A person as the log names them. */
export interface OperatorRecord {
  readonly id: string;
  readonly name: string;
  readonly issuer: string;
  readonly subject: string;
  readonly roles: readonly Role[];
}

type SignSubject = Caller & {
  readonly session: string;
  readonly key: KeyUse;
  /** In the entry up to ten; beyond that a side blob of their canonical JSON. */
  readonly items: readonly ItemRecord[] | BlobRef;
};
interface Outcome {
  readonly intent: LeafRef;
  readonly result: Result;
  readonly code?: FaultCode | undefined;
}
type KeyCreate = Caller & {
  readonly key: string;
  readonly purpose: Purpose;
  readonly algorithm: KeyAlgorithm;
  readonly custody: string;
};

/** What happened, without the frame that the journal puts around it. */
export type EntryBody =
  | (Caller & {
      readonly type: "session.open";
      readonly session: string;
      readonly keys: readonly string[];
      readonly decision: Decision;
      readonly uses: Uses;
      readonly expiresAt: string;
      /** SHA-256 (hex) of the canonical JSON of the limits that were fixed into the session; absent with `again`. */
      readonly limits?: string | undefined;
      readonly reason?: string | undefined;
      /** The same identity token and key asked again: a fresh session token, nothing else changed. */
      readonly again?: boolean | undefined;
    })
  | (Caller & { readonly type: "session.close"; readonly session: string; readonly uses: Uses })
  | (Caller & {
      readonly type: "session.revoke";
      readonly session: string;
      readonly uses: Uses;
      readonly reason?: string | undefined;
    })
  | (SignSubject & { readonly type: "sign.intent"; readonly decision: Decision; readonly uses: Uses })
  | (SignSubject & Outcome & { readonly type: "sign.outcome" })
  | (Caller & {
      readonly type: "refusal";
      readonly code: RefusalCode;
      /** As the caller saw it. */
      readonly message: string;
      /** What was tried: the name of the use case. */
      readonly action: string;
      readonly session?: string | undefined;
      /** Names of keys asked for. */
      readonly keys?: readonly string[] | undefined;
      readonly items?: readonly ItemRecord[] | BlobRef | undefined;
      readonly decision?: Decision | undefined;
      /** More than one where refusals of one principal were folded. */
      readonly count?: number | undefined;
    })
  | (KeyCreate & { readonly type: "key.create.intent" })
  | (KeyCreate &
      Outcome & {
        readonly type: "key.create.outcome";
        readonly version?: number | undefined;
        readonly publicKey?: string | undefined;
        readonly uri?: string | undefined;
      })
  | (Caller & {
      readonly type: "key.state";
      readonly key: string;
      readonly version: number;
      readonly from: KeyState;
      readonly to: KeyState;
      readonly reason: string;
      /** The pending action that a second person approved; absent in one-person mode. */
      readonly pending?: string | undefined;
      /** True where the configuration lets one person do what otherwise takes two. */
      readonly onePerson?: boolean | undefined;
    })
  /** A key that came along from the log that this one replaces; `from` is its state there. Written by `signetd recover`. */
  | {
      readonly type: "key.adopt";
      readonly key: string;
      readonly version: number;
      readonly purpose: Purpose;
      readonly algorithm: KeyAlgorithm;
      readonly custody: string;
      readonly uri: string;
      /** SPKI, PEM. */
      readonly publicKey: string;
      readonly createdAt: string;
      readonly from: KeyState;
      /** Never ACTIVE: somebody has to look first. */
      readonly to: KeyState;
    }
  | (Caller & {
      readonly type: "approval.request";
      readonly pending: string;
      readonly action: Action;
      readonly hash: string;
      readonly expiresAt: string;
    })
  | (Caller & {
      readonly type: "approval.decide";
      readonly pending: string;
      readonly hash: string;
      readonly verdict: "approved" | "denied" | "withdrawn";
    })
  | (Caller & {
      readonly type: "operator.change";
      readonly change: "enrolled-first" | "added" | "removed";
      readonly operator: OperatorRecord;
      readonly pending?: string | undefined;
      readonly onePerson?: boolean | undefined;
    })
  /** A person who came along from the log that this one replaces. */
  | { readonly type: "operator.change"; readonly change: "adopted"; readonly operator: OperatorRecord }
  | (Caller & { readonly type: "operator.login"; readonly expiresAt: string })
  /** `policy` is the hash of the set now in force; `files` a side blob of the exact texts. */
  | {
      readonly type: "policy.change";
      readonly policy: string;
      readonly before?: string | undefined;
      readonly files: BlobRef;
      /** Ids of the open sessions that go on under this set; up to 200, beyond that a side blob. All others sign no more. */
      readonly sessions?: readonly string[] | BlobRef | undefined;
      readonly grants: number;
      readonly cases: number;
    }
  | (Caller & { readonly type: "audit.read" | "audit.export"; readonly query: string; readonly count: number })
  | {
      readonly type: "daemon.start";
      readonly version: string;
      readonly vkey: string;
      /** Of the log that this one lawfully replaces. */
      readonly replaces?: { readonly origin: string; readonly checkpoint: string } | undefined;
      readonly dangerous?: readonly string[] | undefined;
    }
  | { readonly type: "daemon.stop" }
  | { readonly type: "incident.unfinished"; readonly intent: LeafRef; readonly session?: string | undefined }
  | (Caller & { readonly type: "incident.token-replayed"; readonly session: string })
  | { readonly type: "incident.clock"; readonly message: string }
  | { readonly type: "incident.witness"; readonly witness: string; readonly message: string };

/** Put around every body by the journal. */
export interface Frame {
  readonly v: 1;
  /** RFC 3339 UTC, milliseconds. Order never depends on it. */
  readonly at: string;
  readonly node: string;
  /** Raised by each daemon.start. */
  readonly epoch: number;
  /** Correlation id given to the caller, to logs and traces. */
  readonly request?: string | undefined;
}

export type Entry = Frame & EntryBody;
export type EntryType = EntryBody["type"];

/** C2SP tlog-tiles limits an entry bundle's entry to what a uint16 counts. */
export const maxLeafBytes = 65_535;
