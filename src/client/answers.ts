// What each operation of schema/operations takes and answers, in types. The documents say the same in GraphQL, and
// test/cli/operations.test.ts holds them against the schema; the server checks every answer against it too.

import type { PendingState } from "../model/approval.ts";
import type { KeyAlgorithm, KeyState, Protection, Purpose, rotationSteps } from "../model/key.ts";
import type { SessionState } from "../model/session.ts";
import type { Json, JsonObject } from "../std/json.ts";

export type RoleName = "OPERATOR" | "APPROVER" | "AUDITOR";

export interface Receipt {
  /** Leaf index. */
  readonly entry: number;
  /** Exact bytes, base64. */
  readonly leaf: string;
  readonly tlogProof: string;
}

/** Signing is asked for by the thousand: the leaf comes once, inside the proof. */
export type SignReceipt = Omit<Receipt, "leaf">;

export interface Session {
  readonly id: string;
  /** `ss_…` */
  readonly name: string;
  readonly principal: { readonly label: string };
  readonly keys: readonly {
    readonly name: string;
    readonly purpose: Purpose;
    readonly current: readonly { readonly number: number; readonly algorithm: KeyAlgorithm }[];
  }[];
  readonly openedAt: string;
  readonly expiresAt: string;
  readonly usesGranted: number;
  readonly usesLeft: number;
  readonly state: SessionState;
  readonly grant: string;
}

export interface KeyVersion {
  readonly number: number;
  readonly state: KeyState;
  readonly algorithm: KeyAlgorithm;
  readonly custody: string;
  readonly uri: string;
  readonly fingerprint: string;
  readonly publicKey: string;
  readonly createdAt: string;
  /** Where it was asked for; null where the log does not say. */
  readonly protection?: Protection | null;
  /** Where they were asked for. RFC 3339. */
  readonly trustedUntil?: string | null;
  readonly ended?: { readonly why: string; readonly at: string } | null;
}

export interface ReconciledDay {
  readonly key: string;
  readonly number: number;
  readonly custody: string;
  /** Null where it is about all the days asked for. */
  readonly day: string | null;
  readonly done: number;
  readonly withheld: number;
  readonly unknown: number;
  readonly backend: number | null;
  readonly difference: number | null;
  readonly verdict: string;
  readonly meaning: string;
}

export interface Key {
  readonly name: string;
  readonly purpose: Purpose;
  readonly versions: readonly KeyVersion[];
}

export interface Rotation {
  /** `ro_…` */
  readonly name: string;
  readonly step: (typeof rotationSteps)[number];
  readonly from: number;
  readonly to: number;
  readonly custody: string;
  /** ISO 8601. */
  readonly propagation: string;
  readonly retireAfter: string | null;
  readonly begunAt: string;
  readonly publishedAt: string | null;
  readonly switchAt: string | null;
  readonly endedAt: string | null;
  readonly trouble: string | null;
}
export type RotatedKey = Key & { readonly rotation: Rotation | null };

export interface Custody {
  readonly name: string;
  readonly kind: string;
  /** ok, warn or fail. */
  readonly status: string;
  readonly message: string;
  readonly hint: string | null;
  readonly unlockable: boolean;
}

export interface Operator {
  readonly id: string;
  readonly name: string;
  readonly issuer: string;
  readonly subject: string;
  readonly roles: readonly RoleName[];
}

export interface Pending {
  readonly id: string;
  readonly name: string;
  readonly action: JsonObject;
  /** What an approver approves. */
  readonly hash: string;
  readonly requester: string;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly state: PendingState;
}

export interface Entry {
  readonly index: number;
  readonly hash: string;
  /** Exact bytes, base64: the fact. */
  readonly leaf: string;
  readonly type: string;
  readonly at: string;
  readonly by: { readonly label: string } | null;
  readonly body: JsonObject;
  readonly disagreement: string | null;
  readonly receipt: string;
}

/** In lists the leaf comes once, inside its proof. */
export type ListedEntry = Pick<Entry, "index" | "disagreement" | "receipt">;

interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  readonly note: string;
  readonly witnesses: readonly string[];
}

export interface Signature {
  readonly keyVersion: { readonly key: string; readonly number: number; readonly fingerprint: string };
  readonly algorithm: string;
  /** Base64. */
  readonly value: string;
  readonly bundle: JsonObject | null;
  readonly jws: string | null;
}

/** Exactly one member. */
export type SignItemInput =
  | {
      readonly statement: {
        readonly subject: readonly { readonly name: string; readonly digest: string }[];
        readonly predicateType: string;
        readonly predicate: Json;
      };
    }
  | { readonly blob: { readonly name: string; readonly digest: string } }
  | { readonly image: { readonly repository: string; readonly digest: string; readonly annotations?: JsonObject } }
  | { readonly jws: { readonly type: string; readonly payload: Json } }
  | { readonly digest: { readonly digest: string } };

export interface EntryFilter {
  readonly keys?: readonly string[] | undefined;
  readonly types?: readonly string[] | undefined;
  readonly digest?: string | undefined;
  readonly principal?: string | undefined;
  readonly session?: string | undefined;
  readonly code?: string | undefined;
  readonly result?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

interface PageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

type ChangeKeyState = Input<
  { readonly key: string; readonly number?: number | undefined; readonly reason: string },
  { readonly key: Key; readonly receipt: Receipt }
>;
type Decide = Input<
  { readonly pending: string; readonly hash: string },
  { readonly pending: Pending; readonly receipt: Receipt }
>;
type OperatorChange<Variables> = Input<Variables, { readonly operator: Operator; readonly receipt: Receipt }>;

/** A mutation takes one input. */
interface Input<Variables, Answer> {
  readonly variables: { readonly input: Variables };
  readonly answer: Answer;
}
interface Question<Variables, Answer> {
  readonly variables: Variables;
  readonly answer: Answer;
}
type Nothing = Readonly<Record<string, never>>;

/** By the name of the document. `answer` is the operation's one root field. */
export interface Operations {
  OpenSession: Input<
    {
      readonly identityToken: string;
      readonly keys: readonly string[];
      readonly uses?: number | undefined;
      readonly ttl?: string | undefined;
      readonly reason?: string | undefined;
    },
    { readonly session: Session; readonly token: string; readonly receipt: Receipt }
  >;
  CloseSession: Input<{ readonly session?: string }, { readonly session: Session; readonly receipt: Receipt }>;
  RevokeSession: Input<
    { readonly session: string; readonly reason: string },
    { readonly session: Session; readonly receipt: Receipt }
  >;
  Sign: Input<
    { readonly idempotencyKey: string; readonly key: string; readonly items: readonly SignItemInput[] },
    { readonly signatures: readonly Signature[]; readonly receipt: SignReceipt; readonly usesLeft: number }
  >;
  CreateKey: Input<
    { readonly name: string; readonly purpose: Purpose; readonly algorithm: KeyAlgorithm; readonly custody: string },
    { readonly key: Key; readonly receipt: Receipt }
  >;
  ActivateKey: ChangeKeyState;
  SuspendKey: ChangeKeyState;
  ResumeKey: ChangeKeyState;
  DeactivateKey: ChangeKeyState;
  ReportKeyCompromised: Input<
    ChangeKeyState["variables"]["input"],
    { readonly key: Key & { readonly released: number }; readonly receipt: Receipt }
  >;
  EnrollKey: Input<
    { readonly name: string; readonly purpose: Purpose; readonly custody: string; readonly uri: string },
    { readonly key: Key; readonly receipt: Receipt }
  >;
  DestroyKey: Input<
    {
      readonly key: string;
      readonly number?: number | undefined;
      readonly backend: boolean;
      readonly reason: string;
    },
    { readonly key: Key; readonly receipt: Receipt }
  >;
  RotateKey: Input<
    {
      readonly idempotencyKey: string;
      readonly key: string;
      readonly custody?: string | undefined;
      readonly uri?: string | undefined;
      /** ISO 8601. */
      readonly propagation?: string | undefined;
      readonly retireAfter?: string | undefined;
      readonly beforeVerifiersKnow?: boolean | undefined;
      readonly reason: string;
    },
    { readonly key: RotatedKey; readonly receipt: Receipt }
  >;
  CancelRotation: Input<
    { readonly key: string; readonly reason: string },
    { readonly key: RotatedKey; readonly receipt: Receipt }
  >;
  UnlockCustody: Input<
    { readonly custody: string; readonly pin: string; readonly salt: string },
    { readonly custody: Custody; readonly receipt: Receipt }
  >;
  EnrolFirstOperator: OperatorChange<{
    readonly name: string;
    readonly issuer?: string | undefined;
    readonly subject?: string | undefined;
  }>;
  AddOperator: OperatorChange<{
    readonly name: string;
    readonly issuer: string;
    readonly subject: string;
    readonly roles: readonly RoleName[];
  }>;
  RemoveOperator: OperatorChange<{ readonly operator: string }>;
  OpenOperatorSession: Input<
    { readonly identityToken?: string | undefined },
    { readonly operator: Operator; readonly token: string; readonly expiresAt: string }
  >;
  Approve: Decide;
  Deny: Decide;
  Reconcile: Question<
    { readonly key?: string | undefined; readonly from: string; readonly to: string },
    { readonly from: string; readonly to: string; readonly days: readonly ReconciledDay[] }
  >;
  Keys: Question<Nothing, readonly Key[]>;
  Key: Question<{ readonly name: string }, RotatedKey | null>;
  Sessions: Question<
    {
      readonly filter?: {
        readonly open?: boolean | undefined;
        readonly key?: string | undefined;
        readonly principal?: string | undefined;
      };
      readonly first?: number;
      readonly after?: string | undefined;
    },
    { readonly nodes: readonly Session[]; readonly pageInfo: Pick<PageInfo, "hasNextPage" | "endCursor"> }
  >;
  Operators: Question<Nothing, readonly Operator[]>;
  Custodies: Question<Nothing, readonly Custody[]>;
  PendingAction: Question<{ readonly id: string }, Pending | null>;
  PendingActions: Question<{ readonly state?: PendingState | undefined }, readonly Pending[]>;
  AuditList: Question<
    {
      readonly filter: EntryFilter;
      readonly first?: number | undefined;
      readonly after?: string | undefined;
      readonly last?: number | undefined;
      readonly before?: string | undefined;
    },
    { readonly nodes: readonly ListedEntry[]; readonly pageInfo: PageInfo; readonly checkpoint: Checkpoint }
  >;
  AuditShow: Question<{ readonly index: number }, Entry | null>;
  Blob: Question<{ readonly sha256: string }, string | null>;
  Checkpoint: Question<{ readonly size?: number | undefined }, Checkpoint | null>;
  Consistency: Question<
    { readonly from: number; readonly to: number },
    { readonly from: number; readonly to: number; readonly hashes: readonly string[] }
  >;
  Vkey: Question<Nothing, string>;
  Explain: Question<
    {
      readonly input:
        | { readonly entry: number }
        | {
            readonly hypothetical: {
              readonly identity: Json;
              readonly keys: readonly string[];
              readonly uses?: number | undefined;
              readonly ttl?: string | undefined;
              readonly items?: readonly SignItemInput[] | undefined;
            };
          };
    },
    {
      readonly effect: string;
      readonly policy: string;
      readonly inForce: boolean;
      readonly text: readonly string[];
      readonly grants: Json;
    }
  >;
  Policy: Question<
    Nothing,
    {
      readonly hash: string;
      readonly files: readonly { readonly path: string; readonly text: string }[];
      readonly grants: Json;
      readonly cases: number;
    }
  >;
  Health: Question<
    Nothing,
    {
      readonly status: string;
      readonly checks: readonly {
        readonly name: string;
        readonly status: string;
        readonly message: string;
        readonly hint: string | null;
      }[];
    }
  >;
  Viewer: Question<
    Nothing,
    {
      readonly kind: string;
      readonly label: string;
      readonly issuer: string | null;
      readonly subject: string | null;
      readonly immutableId: string | null;
      readonly roles: readonly RoleName[];
      readonly details: Json;
    }
  >;
}
export type OperationName = keyof Operations;
