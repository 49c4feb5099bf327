// The log's entries, version 1 (docs/audit-log.md). Leaves are the canonical JSON of these objects and live for ten
// years: fields are added, never renamed; readers keep and show what they do not know.

import type { Action } from "./approval.ts";
import type { Code, RefusalCode } from "./errors.ts";
import type { Decision } from "./grant.ts";
import type { ItemRecord } from "./item.ts";
import type { Ended, ExistingKey, KeyAlgorithm, KeyState, Protection, Purpose, RotationTerms } from "./key.ts";
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
  readonly code?: Code | undefined;
}
type KeyCreate = Caller & {
  readonly key: string;
  readonly purpose: Purpose;
  readonly algorithm: KeyAlgorithm;
  readonly custody: string;
};
type KeyEnroll = KeyCreate & {
  /** The custody's own name of exactly this version. */
  readonly uri: string;
  /** What the operator asked for, where the custody pinned it to another name (an alias, no version). */
  readonly asked?: string | undefined;
  /** SPKI, PEM: as described before anything was signed. */
  readonly publicKey: string;
};
/** What keeps a private key, as it was found when the key came in. */
export interface KeyEvidence {
  readonly protection?: Protection | undefined;
  /** SHA-256 (hex) over what guards it at the backend. */
  readonly guards?: string | undefined;
  /** Side blobs: DER certificates of the backend's attestation, the key's own first. */
  readonly attestation?: readonly BlobRef[] | undefined;
}
/** With `done`, what the record of the new version says beside. */
type KeyCameIn = KeyEvidence & {
  /** RFC 3339; absent in entries of older versions. */
  readonly createdAt?: string | undefined;
};
type KeyDestroy = Caller & {
  readonly key: string;
  readonly version: number;
  readonly custody: string;
  readonly uri: string;
  readonly reason: string;
  /** The pending action that a second person approved; absent in one-person mode. */
  readonly pending?: string | undefined;
  readonly onePerson?: boolean | undefined;
};
/** Which rotation of which key. */
interface Rotating {
  readonly key: string;
  /** `ro_…` */
  readonly rotation: string;
  readonly from: number;
  readonly to: number;
}
/** One attempt to have the new version made, or to take an existing key in; the daemon's own doing. */
type KeyRotate = Rotating & {
  readonly purpose: Purpose;
  readonly algorithm: KeyAlgorithm;
  readonly custody: string;
  readonly existing?: ExistingKey | undefined;
};
/** How a key differs, at its custody, from what was recorded when it came in. */
export const driftFindings = ["vanished", "public-key", "trouble", "guards"] as const;
export type DriftFinding = (typeof driftFindings)[number];

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
      Outcome &
      KeyCameIn & {
        readonly type: "key.create.outcome";
        readonly version?: number | undefined;
        readonly publicKey?: string | undefined;
        readonly uri?: string | undefined;
      })
  | (KeyEnroll & { readonly type: "key.enroll.intent" })
  | (KeyEnroll &
      Outcome &
      KeyCameIn & {
        readonly type: "key.enroll.outcome";
        readonly version?: number | undefined;
        /** Side blobs: the challenge, and the signature over it that `publicKey` verifies. */
        readonly possession?: { readonly challenge: BlobRef; readonly signature: BlobRef } | undefined;
      })
  | (KeyDestroy & { readonly type: "key.destroy.intent" })
  | (KeyDestroy &
      Outcome & {
        readonly type: "key.destroy.outcome";
        /** Until when the backend can still take it back. RFC 3339. */
        readonly until?: string | undefined;
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
      /** With DESTROYED: whether the custody destroyed the private key, or keeps what is only forgotten here. */
      readonly backend?: "destroyed" | "kept" | undefined;
      /** With DEACTIVATED: RFC 3339, when its signing ended; absent in entries of older versions. */
      readonly endedAt?: string | undefined;
    })
  /** The daemon suspended a key by itself: the `key.drift` directly before says why. */
  | {
      readonly type: "key.state";
      readonly key: string;
      readonly version: number;
      readonly from: KeyState;
      readonly to: "SUSPENDED";
      readonly reason: string;
    }
  /** A person gives a token its PIN, which the log never sees. */
  | (Caller & { readonly type: "custody.unlock.intent"; readonly custody: string })
  | (Caller &
      Outcome & {
        readonly type: "custody.unlock.outcome";
        readonly custody: string;
        /** With `failed`, where the token or the custody did not take the PIN: why, and whether it was tried. */
        readonly refused?: string | undefined;
      })
  /** A rotation begins, by the second person where it takes two. From here on the daemon goes on by itself. */
  | (Caller &
      Omit<RotationTerms, "id"> &
      Rotating & {
        readonly type: "key.rotate.begin";
        readonly algorithm: KeyAlgorithm;
        /** True where `propagation` is shorter than the trust documents are cached, because whoever asked said so. */
        readonly beforeVerifiersKnow?: boolean | undefined;
        readonly reason: string;
        readonly pending?: string | undefined;
        readonly onePerson?: boolean | undefined;
      })
  | (KeyRotate & { readonly type: "key.rotate.intent" })
  | (KeyRotate &
      Outcome &
      KeyCameIn & {
        readonly type: "key.rotate.outcome";
        readonly publicKey?: string | undefined;
        readonly uri?: string | undefined;
        /** Side blobs: the challenge, and the signature over it that `publicKey` verifies. */
        readonly possession?: { readonly challenge: BlobRef; readonly signature: BlobRef } | undefined;
      })
  /** The new public key stands in the trust documents from here on. */
  | (Rotating & {
      readonly type: "key.rotate.publish";
      /** SHA-256 (hex) of the SPKI's DER. */
      readonly publicKey: string;
      readonly publishedAt: string;
      readonly switchAt: string;
    })
  /** `to` is ACTIVE and `from` DEACTIVATED from here on, whatever else is said of them. */
  | (Rotating & {
      readonly type: "key.rotate.switch";
      readonly endedAt: string;
      /** Until when the public key of `from` stands in the trust documents; absent where that is open, or was said before. */
      readonly trustedUntil?: string | undefined;
    })
  | (Caller &
      Rotating & {
        readonly type: "key.rotate.cancel";
        readonly endedAt: string;
        readonly reason: string;
        /** What stays at the custody: no key, a key that never signs here, or nobody knows. */
        readonly left: "nothing" | "kept" | "unknown";
      })
  /** The public key of a version that a rotation replaced has left the trust documents. */
  | {
      readonly type: "key.rotate.retire";
      readonly key: string;
      readonly version: number;
      readonly trustedUntil: string;
    }
  /** The custody tells otherwise of a key than when it came in, or, with `over`, as then again. */
  | {
      readonly type: "key.drift";
      readonly key: string;
      readonly version: number;
      readonly custody: string;
      readonly uri: string;
      readonly finding: DriftFinding;
      readonly recorded: string;
      readonly found: string;
      readonly over?: boolean | undefined;
    }
  /** A key that came along from the log that this one replaces; `from` is its state there. Written by `signetd recover`. */
  | (Pick<KeyEvidence, "protection" | "guards"> & {
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
      readonly ended?: Ended | undefined;
    })
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
