import type { Json } from '../std/json.ts';
import type { GraphQLResolveInfo, GraphQLScalarType, GraphQLScalarTypeConfig } from 'graphql';
import type { Checkpoint as CheckpointOf, CustodyStatus, Receipt as ReceiptOf, Signed } from '../broker/index.ts';
import type { Ended as EndedOf, Key as KeyOf, KeyVersion as KeyVersionOf } from '../model/key.ts';
import type { LogEntry } from '../ports/log.ts';
import type { Explained, Pending, RotationOf, SignatureOf, RequestContext } from './context.ts';
import type { Person, Principal as PrincipalOf } from '../model/principal.ts';
import type { PolicySet } from '../policy/index.ts';
import type { Refusal as RefusalOf } from '../model/errors.ts';
import type { SigningSession as SigningSessionOf } from '../model/session.ts';
export type Maybe<T> = T | null | undefined;
export type InputMaybe<T> = T | null | undefined;
export type Omit<T, K extends keyof T> = Pick<T, Exclude<keyof T, K>>;
export type RequireFields<T, K extends keyof T> = Omit<T, K> & { [P in K]-?: NonNullable<T[P]> };
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string; }
  String: { input: string; output: string; }
  Boolean: { input: boolean; output: boolean; }
  Int: { input: number; output: number; }
  Float: { input: number; output: number; }
  /** Standard base64 (RFC 4648, section 4) with padding. */
  Base64: { input: Uint8Array; output: Uint8Array; }
  /** RFC 3339, UTC, milliseconds. */
  DateTime: { input: number; output: number; }
  /** `sha256:` or `sha384:` followed by lower-case hexadecimal. */
  Digest: { input: string; output: string; }
  /** ISO 8601 duration of fixed length, such as PT10M. */
  Duration: { input: number; output: number; }
  /** Any JSON value. */
  JSON: { input: Json; output: Json; }
  /** Index of a leaf, or a size, of the log: an integer up to 2^53 - 1. */
  LeafIndex: { input: number; output: number; }
  /** PEM text. */
  Pem: { input: string; output: string; }
};

export type AddOperatorInput = {
  /** An OIDC issuer, or `key` with an RFC 7638 thumbprint, or `mtls` with a certificate thumbprint as subject. */
  readonly issuer: Scalars['String']['input'];
  readonly name: Scalars['String']['input'];
  readonly roles: ReadonlyArray<Role>;
  readonly subject: Scalars['String']['input'];
};

export type AddOperatorResult = OperatorSuccess | Refusal;

/** A detached signature of a file whose digest the caller computed: digest form, granted apart. */
export type BlobItem = {
  readonly digest: Scalars['Digest']['input'];
  readonly name: Scalars['String']['input'];
};

export type CancelRotationInput = {
  readonly key: Scalars['String']['input'];
  readonly reason: Scalars['String']['input'];
};

export type CancelRotationResult = KeySuccess | Refusal;

export type ChangeKeyStateInput = {
  readonly key: Scalars['String']['input'];
  /** The newest version that can change so, where absent; reportKeyCompromised takes the one that signs. */
  readonly number?: InputMaybe<Scalars['Int']['input']>;
  readonly reason: Scalars['String']['input'];
};

export type ChangeKeyStateResult = KeySuccess | Refusal;

export type Checkpoint = {
  readonly __typename?: 'Checkpoint';
  /** The signed note (C2SP tlog-checkpoint), with cosignatures where witnesses gave them. */
  readonly note: Scalars['String']['output'];
  readonly origin: Scalars['String']['output'];
  readonly root: Scalars['Base64']['output'];
  readonly size: Scalars['LeafIndex']['output'];
  /** Names of the witnesses that cosigned it. */
  readonly witnesses: ReadonlyArray<Scalars['String']['output']>;
};

export type CloseSigningSessionInput = {
  /** The caller's own, where absent. */
  readonly session?: InputMaybe<Scalars['ID']['input']>;
};

export type CloseSigningSessionResult = Refusal | SessionSuccess;

export type ConsistencyProof = {
  readonly __typename?: 'ConsistencyProof';
  readonly from: Scalars['LeafIndex']['output'];
  readonly hashes: ReadonlyArray<Scalars['Base64']['output']>;
  readonly to: Scalars['LeafIndex']['output'];
};

export type CreateKeyInput = {
  readonly algorithm: KeyAlgorithm;
  readonly custody: Scalars['String']['input'];
  /** Lower case, digits, inner hyphens. */
  readonly name: Scalars['String']['input'];
  readonly purpose: Purpose;
};

export type CreateKeyResult = KeySuccess | Refusal;

/** A place where keys live, as configured. */
export type Custody = {
  readonly __typename?: 'Custody';
  readonly hint?: Maybe<Scalars['String']['output']>;
  readonly kind: Scalars['String']['output'];
  readonly message: Scalars['String']['output'];
  readonly name: Scalars['String']['output'];
  /** ok, warn or fail. */
  readonly status: Scalars['String']['output'];
  /** Whether a person may have to give it a PIN. */
  readonly unlockable: Scalars['Boolean']['output'];
};

export type CustodySuccess = {
  readonly __typename?: 'CustodySuccess';
  readonly custody: Custody;
  readonly receipt: Receipt;
};

export type DecideInput = {
  /** The hash that the approver saw. */
  readonly hash: Scalars['String']['input'];
  readonly pending: Scalars['ID']['input'];
};

export type DecideResult = DecideSuccess | Refusal;

export type DecideSuccess = {
  readonly __typename?: 'DecideSuccess';
  readonly pending: PendingAction;
  readonly receipt: Receipt;
};

export type DestroyKeyInput = {
  /** Whether the custody destroys the private key; otherwise it is only forgotten here, and the log says so. */
  readonly backend: Scalars['Boolean']['input'];
  readonly key: Scalars['String']['input'];
  /** The newest version that can be destroyed, where absent. */
  readonly number?: InputMaybe<Scalars['Int']['input']>;
  readonly reason: Scalars['String']['input'];
};

export type DestroyKeyResult = KeySuccess | Refusal;

export type Ended = {
  readonly __typename?: 'Ended';
  readonly at: Scalars['DateTime']['output'];
  readonly why: EndedWhy;
};

export type EndedWhy =
  /** Its rotation was rolled back: it never signs. */
  | 'CANCELLED'
  | 'COMPROMISED'
  /** Somebody stopped it. */
  | 'DEACTIVATED'
  /** It signed until the switch of a rotation. */
  | 'ROTATED';

/** The identity is the key that signs the request's DPoP proof, unless an OIDC issuer and subject are named. */
export type EnrolFirstOperatorInput = {
  readonly issuer?: InputMaybe<Scalars['String']['input']>;
  readonly name: Scalars['String']['input'];
  readonly subject?: InputMaybe<Scalars['String']['input']>;
};

export type EnrolFirstOperatorResult = OperatorSuccess | Refusal;

export type EnrollKeyInput = {
  readonly custody: Scalars['String']['input'];
  /** Lower case, digits, inner hyphens. */
  readonly name: Scalars['String']['input'];
  readonly purpose: Purpose;
  /** As the custody names its keys; an alias is pinned to what it names now. Never with a PIN. */
  readonly uri: Scalars['String']['input'];
};

export type EnrollKeyResult = KeySuccess | Refusal;

/** One entry of the log. The leaf is the fact; the named fields are read from it. */
export type Entry = {
  readonly __typename?: 'Entry';
  readonly at: Scalars['DateTime']['output'];
  /** The whole entry as JSON. */
  readonly body: Scalars['JSON']['output'];
  readonly by?: Maybe<Principal>;
  /** Set where the query index said otherwise than the leaf: somebody edited the index. */
  readonly disagreement?: Maybe<Scalars['String']['output']>;
  /** RFC 6962 leaf hash, base64. */
  readonly hash: Scalars['Base64']['output'];
  readonly index: Scalars['LeafIndex']['output'];
  /** Exact bytes. */
  readonly leaf: Scalars['Base64']['output'];
  /** C2SP tlog-proof against the newest checkpoint. */
  readonly receipt: Scalars['String']['output'];
  readonly type: Scalars['String']['output'];
};

export type EntryConnection = {
  readonly __typename?: 'EntryConnection';
  /** Of the size that all returned entries can be proved against. */
  readonly checkpoint: Checkpoint;
  readonly edges: ReadonlyArray<EntryEdge>;
  readonly nodes: ReadonlyArray<Entry>;
  readonly pageInfo: PageInfo;
};

export type EntryEdge = {
  readonly __typename?: 'EntryEdge';
  readonly cursor: Scalars['String']['output'];
  readonly node: Entry;
};

export type EntryFilter = {
  /** A code of the error table. */
  readonly code?: InputMaybe<Scalars['String']['input']>;
  /** Of an artifact. */
  readonly digest?: InputMaybe<Scalars['Digest']['input']>;
  /** From inclusive, to exclusive. */
  readonly from?: InputMaybe<Scalars['DateTime']['input']>;
  readonly keys?: InputMaybe<ReadonlyArray<Scalars['String']['input']>>;
  /** Immutable id of a project or a person. */
  readonly principal?: InputMaybe<Scalars['String']['input']>;
  /** done, withheld, failed, unknown or refused. */
  readonly result?: InputMaybe<Scalars['String']['input']>;
  readonly session?: InputMaybe<Scalars['String']['input']>;
  readonly to?: InputMaybe<Scalars['DateTime']['input']>;
  readonly types?: InputMaybe<ReadonlyArray<Scalars['String']['input']>>;
};

export type ExplainInput =
  /** A past session.open, sign or refusal entry. */
  { readonly entry: Scalars['LeafIndex']['input']; readonly hypothetical?: never; }
  |  { readonly entry?: never; readonly hypothetical: HypotheticalInput; };

/** Why a request would be allowed or refused, or why a past entry was. */
export type Explanation = {
  readonly __typename?: 'Explanation';
  readonly effect: Scalars['String']['output'];
  /** Every grant, each condition with what was asked, what is needed, whether it fits. */
  readonly grants: Scalars['JSON']['output'];
  /** Whether `policy` is the set in force now. */
  readonly inForce: Scalars['Boolean']['output'];
  readonly policy: Scalars['String']['output'];
  /** For people, line by line. */
  readonly text: ReadonlyArray<Scalars['String']['output']>;
};

export type Exportable =
  | 'NO'
  | 'UNKNOWN'
  | 'YES';

/** What `signet doctor` shows. */
export type Health = {
  readonly __typename?: 'Health';
  readonly checks: ReadonlyArray<HealthCheck>;
  readonly status: Scalars['String']['output'];
};

export type HealthCheck = {
  readonly __typename?: 'HealthCheck';
  readonly hint?: Maybe<Scalars['String']['output']>;
  readonly message: Scalars['String']['output'];
  readonly name: Scalars['String']['output'];
  /** ok, warn or fail. */
  readonly status: Scalars['String']['output'];
};

export type HypotheticalInput = {
  /** Fields of a workload principal as grants name them: issuer, provider, tenantId, projectId, ref, … */
  readonly identity: Scalars['JSON']['input'];
  readonly items?: InputMaybe<ReadonlyArray<SignItem>>;
  readonly keys: ReadonlyArray<Scalars['String']['input']>;
  readonly ttl?: InputMaybe<Scalars['Duration']['input']>;
  readonly uses?: InputMaybe<Scalars['Int']['input']>;
};

/** A container image, signed as cosign does (DSSE, predicate type https://sigstore.dev/cosign/sign/v1). */
export type ImageItem = {
  readonly annotations?: InputMaybe<Scalars['JSON']['input']>;
  readonly digest: Scalars['Digest']['input'];
  readonly repository: Scalars['String']['input'];
};

/** A compact JWS (RFC 7515) over a JSON payload. */
export type JwsItem = {
  readonly payload: Scalars['JSON']['input'];
  /** The protected header's `typ`. */
  readonly type: Scalars['String']['input'];
};

/** A role, such as `release`. */
export type Key = Node & {
  readonly __typename?: 'Key';
  /** The versions that sign now. */
  readonly current: ReadonlyArray<KeyVersion>;
  /** Entries of the log that name this key, whatever its version. For people with a role. */
  readonly entries: EntryConnection;
  readonly id: Scalars['ID']['output'];
  readonly name: Scalars['String']['output'];
  readonly purpose: Purpose;
  /** How many requests got signatures of any of its versions: `entries` of type sign.outcome and result done. For people with a role. */
  readonly released: Scalars['LeafIndex']['output'];
  readonly rotation?: Maybe<Rotation>;
  readonly versions: ReadonlyArray<KeyVersion>;
};


/** A role, such as `release`. */
export type KeyEntriesArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  before?: InputMaybe<Scalars['String']['input']>;
  filter: EntryFilter;
  first?: InputMaybe<Scalars['Int']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
};

export type KeyAlgorithm =
  | 'EC_P256'
  | 'EC_P384'
  | 'ED25519'
  | 'RSA_3072'
  /** RSASSA-PSS with SHA-256 and a salt of 32 bytes. Messages only, no digests. */
  | 'RSA_3072_PSS'
  | 'RSA_4096'
  /** RSASSA-PSS with SHA-256 and a salt of 32 bytes. Messages only, no digests. */
  | 'RSA_4096_PSS';

/** NIST SP 800-57 Part 1, section 7. */
export type KeyState =
  | 'ACTIVE'
  | 'COMPROMISED'
  | 'DEACTIVATED'
  | 'DESTROYED'
  | 'PRE_ACTIVATION'
  | 'SUSPENDED';

export type KeySuccess = {
  readonly __typename?: 'KeySuccess';
  readonly key: Key;
  readonly receipt: Receipt;
};

export type KeyVersion = Node & {
  readonly __typename?: 'KeyVersion';
  readonly algorithm: KeyAlgorithm;
  readonly createdAt: Scalars['DateTime']['output'];
  /** Name of the custody that holds the private key; its kind where it has no name of its own. */
  readonly custody: Scalars['String']['output'];
  /** How its signing ended, or that it never signs; absent where it may sign, and where an older version ended it. */
  readonly ended?: Maybe<Ended>;
  /** Lower-case hex SHA-256 of the public key's SPKI DER. */
  readonly fingerprint: Scalars['String']['output'];
  readonly id: Scalars['ID']['output'];
  readonly key: Scalars['String']['output'];
  readonly number: Scalars['Int']['output'];
  /** As it was found when the key came in; absent where an older version took it in. */
  readonly protection?: Maybe<Protection>;
  readonly publicKey: Scalars['Pem']['output'];
  readonly state: KeyState;
  /** From then on the public key is in no trust document any more, where a rotation set an end. */
  readonly trustedUntil?: Maybe<Scalars['DateTime']['output']>;
  readonly uri: Scalars['String']['output'];
};

export type Mutation = {
  readonly __typename?: 'Mutation';
  /** From PRE_ACTIVATION to ACTIVE. Takes two people unless the configuration says one. */
  readonly activateKey: ChangeKeyStateResult;
  /** Takes two people unless the configuration says one. */
  readonly addOperator: AddOperatorResult;
  /** By somebody other than the requester; the action then takes effect. */
  readonly approve: DecideResult;
  /** Before the switch: the old version goes on, and the new one never signs. */
  readonly cancelRotation: CancelRotationResult;
  /** By its holder. */
  readonly closeSigningSession: CloseSigningSessionResult;
  /** A new key, in PRE_ACTIVATION. */
  readonly createKey: CreateKeyResult;
  readonly deactivateKey: ChangeKeyStateResult;
  readonly deny: DecideResult;
  /** Takes two people unless the configuration says one. Never silent at the backend: `backend` says whether it destroys the private key. */
  readonly destroyKey: DestroyKeyResult;
  /** Enrols the first operator. Works over the local socket only, and only while there is none. */
  readonly enrolFirstOperator: EnrolFirstOperatorResult;
  /** An existing key of a custody comes in, in PRE_ACTIVATION, after it proved that it is there. */
  readonly enrollKey: EnrollKeyResult;
  /** A person's session, bound to the key of the request's DPoP proof or to the client certificate. */
  readonly openOperatorSession: OpenOperatorSessionResult;
  readonly openSigningSession: OpenSigningSessionResult;
  readonly removeOperator: RemoveOperatorResult;
  /** Stops a version at once and revokes every open session that covers the key, in one transaction. Without `number` the version that signs; where several could be meant, it is refused. */
  readonly reportKeyCompromised: ChangeKeyStateResult;
  /** From SUSPENDED back to ACTIVE. Takes two people unless the configuration says one. */
  readonly resumeKey: ChangeKeyStateResult;
  /** By an operator. */
  readonly revokeSigningSession: RevokeSigningSessionResult;
  /** A new version is made, published, and signs when its propagation time is over. Takes two people unless the configuration says one. */
  readonly rotateKey: RotateKeyResult;
  readonly sign: SignResult;
  readonly suspendKey: ChangeKeyStateResult;
  /** Gives a token its PIN, once. The PIN stays in the daemon's memory until it ends, and is written nowhere. */
  readonly unlockCustody: UnlockCustodyResult;
};


export type MutationActivateKeyArgs = {
  input: ChangeKeyStateInput;
};


export type MutationAddOperatorArgs = {
  input: AddOperatorInput;
};


export type MutationApproveArgs = {
  input: DecideInput;
};


export type MutationCancelRotationArgs = {
  input: CancelRotationInput;
};


export type MutationCloseSigningSessionArgs = {
  input: CloseSigningSessionInput;
};


export type MutationCreateKeyArgs = {
  input: CreateKeyInput;
};


export type MutationDeactivateKeyArgs = {
  input: ChangeKeyStateInput;
};


export type MutationDenyArgs = {
  input: DecideInput;
};


export type MutationDestroyKeyArgs = {
  input: DestroyKeyInput;
};


export type MutationEnrolFirstOperatorArgs = {
  input: EnrolFirstOperatorInput;
};


export type MutationEnrollKeyArgs = {
  input: EnrollKeyInput;
};


export type MutationOpenOperatorSessionArgs = {
  input: OpenOperatorSessionInput;
};


export type MutationOpenSigningSessionArgs = {
  input: OpenSigningSessionInput;
};


export type MutationRemoveOperatorArgs = {
  input: RemoveOperatorInput;
};


export type MutationReportKeyCompromisedArgs = {
  input: ChangeKeyStateInput;
};


export type MutationResumeKeyArgs = {
  input: ChangeKeyStateInput;
};


export type MutationRevokeSigningSessionArgs = {
  input: RevokeSigningSessionInput;
};


export type MutationRotateKeyArgs = {
  input: RotateKeyInput;
};


export type MutationSignArgs = {
  input: SignInput;
};


export type MutationSuspendKeyArgs = {
  input: ChangeKeyStateInput;
};


export type MutationUnlockCustodyArgs = {
  input: UnlockCustodyInput;
};

export type Node = {
  /** Opaque; typed. */
  readonly id: Scalars['ID']['output'];
};

/** Without an identity token the enrolled key or certificate is the identity. */
export type OpenOperatorSessionInput = {
  readonly identityToken?: InputMaybe<Scalars['String']['input']>;
};

export type OpenOperatorSessionResult = OpenOperatorSessionSuccess | Refusal;

export type OpenOperatorSessionSuccess = {
  readonly __typename?: 'OpenOperatorSessionSuccess';
  readonly expiresAt: Scalars['DateTime']['output'];
  readonly operator: Operator;
  /** `sgo_…`, sender-constrained. Shown once. */
  readonly token: Scalars['String']['output'];
};

export type OpenSigningSessionInput = {
  /** The job's OIDC token; bound to the caller's key at first use. Asked again with the same key: the same session, a fresh session token. */
  readonly identityToken: Scalars['String']['input'];
  readonly keys: ReadonlyArray<Scalars['String']['input']>;
  /** Shown in the log. */
  readonly reason?: InputMaybe<Scalars['String']['input']>;
  /** As long as the grant gives, where absent. */
  readonly ttl?: InputMaybe<Scalars['Duration']['input']>;
  /** As many as the grant gives, where absent. */
  readonly uses?: InputMaybe<Scalars['Int']['input']>;
};

export type OpenSigningSessionResult = OpenSigningSessionSuccess | Refusal;

export type OpenSigningSessionSuccess = {
  readonly __typename?: 'OpenSigningSessionSuccess';
  readonly receipt: Receipt;
  readonly session: SigningSession;
  /** `sgs_…`, sender-constrained. Shown once. */
  readonly token: Scalars['String']['output'];
};

/** A person who may change, approve or read. */
export type Operator = Node & {
  readonly __typename?: 'Operator';
  readonly id: Scalars['ID']['output'];
  /** An OIDC issuer, or `key` or `mtls` where the person's own key or certificate is the identity. */
  readonly issuer: Scalars['String']['output'];
  readonly name: Scalars['String']['output'];
  readonly roles: ReadonlyArray<Role>;
  readonly subject: Scalars['String']['output'];
};

export type OperatorSuccess = {
  readonly __typename?: 'OperatorSuccess';
  readonly operator: Operator;
  readonly receipt: Receipt;
};

export type PageInfo = {
  readonly __typename?: 'PageInfo';
  readonly endCursor?: Maybe<Scalars['String']['output']>;
  readonly hasNextPage: Scalars['Boolean']['output'];
  readonly hasPreviousPage: Scalars['Boolean']['output'];
  readonly startCursor?: Maybe<Scalars['String']['output']>;
};

/** An action that waits for a second person, bound to the hash of exactly that action. */
export type PendingAction = Node & {
  readonly __typename?: 'PendingAction';
  readonly action: Scalars['JSON']['output'];
  readonly expiresAt: Scalars['DateTime']['output'];
  /** SHA-256 of the action's canonical JSON: what the approver approves. */
  readonly hash: Scalars['String']['output'];
  readonly id: Scalars['ID']['output'];
  /** `pa_…` */
  readonly name: Scalars['String']['output'];
  readonly requestedAt: Scalars['DateTime']['output'];
  readonly requester: Scalars['String']['output'];
  readonly state: PendingState;
};

export type PendingState =
  | 'APPROVED'
  | 'DENIED'
  | 'EXPIRED'
  | 'PENDING'
  | 'WITHDRAWN';

export type Policy = {
  readonly __typename?: 'Policy';
  /** mustAllow and mustDeny cases that ran before it took effect. */
  readonly cases: Scalars['Int']['output'];
  readonly files: ReadonlyArray<PolicyFile>;
  readonly grants: Scalars['JSON']['output'];
  readonly hash: Scalars['String']['output'];
};

export type PolicyFile = {
  readonly __typename?: 'PolicyFile';
  readonly path: Scalars['String']['output'];
  readonly text: Scalars['String']['output'];
};

/** A CI job that its provider vouches for, a person, or the local socket. */
export type Principal = {
  readonly __typename?: 'Principal';
  /** All that is known of the principal, as it stands in the log. */
  readonly details: Scalars['JSON']['output'];
  /** Immutable id of the repository, project or service account; for people our own id. */
  readonly immutableId?: Maybe<Scalars['String']['output']>;
  readonly issuer?: Maybe<Scalars['String']['output']>;
  /** workload, person or socket. */
  readonly kind: Scalars['String']['output'];
  /** One line for people. */
  readonly label: Scalars['String']['output'];
  readonly roles: ReadonlyArray<Role>;
  readonly subject?: Maybe<Scalars['String']['output']>;
};

/** What keeps a private key, and how that is known. */
export type Protection = {
  readonly __typename?: 'Protection';
  /** What the backend only says of itself. */
  readonly claimed: ReadonlyArray<Scalars['String']['output']>;
  readonly exportable: Exportable;
  readonly level: ProtectionLevel;
  /** What there is evidence for. */
  readonly proved: ReadonlyArray<Scalars['String']['output']>;
};

export type ProtectionLevel =
  /** Inside a device that attested it. */
  | 'DEVICE'
  /** In this daemon's process. */
  | 'PROCESS'
  /** Behind a service. */
  | 'SERVICE';

/** One purpose per key. BLOB and RAW_DIGEST sign a digest that the caller computed: granted apart, shown apart. */
export type Purpose =
  | 'ATTESTATION'
  | 'BLOB'
  | 'IMAGE'
  | 'RAW_DIGEST'
  | 'TOKEN';

export type Query = {
  readonly __typename?: 'Query';
  readonly blob?: Maybe<Scalars['Base64']['output']>;
  readonly checkpoint?: Maybe<Checkpoint>;
  readonly consistency: ConsistencyProof;
  readonly custodies: ReadonlyArray<Custody>;
  readonly entries: EntryConnection;
  readonly entry?: Maybe<Entry>;
  readonly explain: Explanation;
  readonly health: Health;
  readonly key?: Maybe<Key>;
  readonly keys: ReadonlyArray<Key>;
  readonly node?: Maybe<Node>;
  readonly operators: ReadonlyArray<Operator>;
  readonly pendingAction?: Maybe<PendingAction>;
  readonly pendingActions: ReadonlyArray<PendingAction>;
  readonly policy: Policy;
  /** From one day inclusive to another exclusive, `YYYY-MM-DD` in UTC; of one key or all. For people with a role; itself an entry. */
  readonly reconcile: Reconciliation;
  readonly session?: Maybe<SigningSession>;
  readonly sessions: SigningSessionConnection;
  /** Who you are to Signet. */
  readonly viewer: Principal;
  /** The log's verification key (C2SP signed-note). */
  readonly vkey: Scalars['String']['output'];
};


export type QueryBlobArgs = {
  sha256: Scalars['String']['input'];
};


export type QueryCheckpointArgs = {
  size?: InputMaybe<Scalars['LeafIndex']['input']>;
};


export type QueryConsistencyArgs = {
  from: Scalars['LeafIndex']['input'];
  to: Scalars['LeafIndex']['input'];
};


export type QueryEntriesArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  before?: InputMaybe<Scalars['String']['input']>;
  filter: EntryFilter;
  first?: InputMaybe<Scalars['Int']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
};


export type QueryEntryArgs = {
  index: Scalars['LeafIndex']['input'];
};


export type QueryExplainArgs = {
  input: ExplainInput;
};


export type QueryKeyArgs = {
  name: Scalars['String']['input'];
};


export type QueryNodeArgs = {
  id: Scalars['ID']['input'];
};


export type QueryPendingActionArgs = {
  id: Scalars['ID']['input'];
};


export type QueryPendingActionsArgs = {
  state?: InputMaybe<PendingState>;
};


export type QueryReconcileArgs = {
  from: Scalars['String']['input'];
  key?: InputMaybe<Scalars['String']['input']>;
  to: Scalars['String']['input'];
};


export type QuerySessionArgs = {
  id: Scalars['ID']['input'];
};


export type QuerySessionsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<SessionFilter>;
  first?: InputMaybe<Scalars['Int']['input']>;
};

/** A bare digest, of the broker knows not what: digest form, granted apart. */
export type RawDigestItem = {
  readonly digest: Scalars['Digest']['input'];
};

/** Verifiable offline with the log's vkey alone. */
export type Receipt = {
  readonly __typename?: 'Receipt';
  /** Leaf index of the entry. */
  readonly entry: Scalars['LeafIndex']['output'];
  /** The entry's exact bytes. */
  readonly leaf: Scalars['Base64']['output'];
  /** C2SP tlog-proof; its `extra` line holds the leaf. */
  readonly tlogProof: Scalars['String']['output'];
};

export type ReconcileVerdict =
  | 'AGREES'
  /** Fewer than were recorded: nothing is proved until the custody's account is complete. */
  | 'MISSING'
  /** Not compared: the custody keeps no account, or could not be asked. */
  | 'NOT_TOLD'
  /** More than `unknown` explains: the key was used past Signet, or the day turned in between. */
  | 'SURPLUS';

export type ReconciledDay = {
  readonly __typename?: 'ReconciledDay';
  /** Signatures as the custody counted them; null where it cannot tell. */
  readonly backend?: Maybe<Scalars['Int']['output']>;
  readonly custody: Scalars['String']['output'];
  /** `YYYY-MM-DD`; null where it is about all the days asked for: nothing was recorded, and the custody cannot tell. */
  readonly day?: Maybe<Scalars['String']['output']>;
  /** `backend` less what was done or withheld. */
  readonly difference?: Maybe<Scalars['Int']['output']>;
  /** Signatures by the log: released; made and not released; perhaps made. */
  readonly done: Scalars['Int']['output'];
  readonly key: Scalars['String']['output'];
  readonly meaning: Scalars['String']['output'];
  readonly number: Scalars['Int']['output'];
  readonly unknown: Scalars['Int']['output'];
  readonly verdict: ReconcileVerdict;
  readonly withheld: Scalars['Int']['output'];
};

/** What was recorded of keys beside what their custodies counted. */
export type Reconciliation = {
  readonly __typename?: 'Reconciliation';
  /** By key, version and day (UTC); days without any use are left out, a version of which its custody cannot tell is not. */
  readonly days: ReadonlyArray<ReconciledDay>;
  readonly from: Scalars['String']['output'];
  readonly to: Scalars['String']['output'];
};

/** An expected no: the caller's doing, with what to do next. */
export type Refusal = {
  readonly __typename?: 'Refusal';
  /** A code of the one error table; `signet explain CODE` says more. */
  readonly code: Scalars['String']['output'];
  /** Where the docs explain the code. */
  readonly docs: Scalars['String']['output'];
  /** Leaf index of this refusal in the log, where it was recorded. */
  readonly entry?: Maybe<Scalars['LeafIndex']['output']>;
  /** What to do next. */
  readonly hint?: Maybe<Scalars['String']['output']>;
  /** What was asked and what was found. */
  readonly message: Scalars['String']['output'];
  /** `SGN-…`, the code's stable number. */
  readonly number: Scalars['String']['output'];
  /** The pending action that now waits for a second person. */
  readonly pending?: Maybe<Scalars['ID']['output']>;
  /** Seconds. */
  readonly retryAfter?: Maybe<Scalars['Float']['output']>;
};

export type RemoveOperatorInput = {
  readonly operator: Scalars['ID']['input'];
};

export type RemoveOperatorResult = OperatorSuccess | Refusal;

export type RevokeSigningSessionInput = {
  readonly reason: Scalars['String']['input'];
  readonly session: Scalars['ID']['input'];
};

export type RevokeSigningSessionResult = Refusal | SessionSuccess;

export type Role =
  /** Approves what others asked for. */
  | 'APPROVER'
  /** Reads everything, changes nothing. */
  | 'AUDITOR'
  /** Changes: keys, sessions, operators. */
  | 'OPERATOR';

export type RotateKeyInput = {
  /**
   * Takes a propagation below PT5M while the old version signs: for as long as /trust is cached, verifiers may meet
   * signatures of a public key that they do not have. The log says so.
   */
  readonly beforeVerifiersKnow?: InputMaybe<Scalars['Boolean']['input']>;
  /** Where the new version is to live; where the old one does, where absent. */
  readonly custody?: InputMaybe<Scalars['String']['input']>;
  /** Asked again under the same one, the answer is the rotation that there is. */
  readonly idempotencyKey: Scalars['ID']['input'];
  readonly key: Scalars['String']['input'];
  /** PT5M to P90D; the configuration's, where absent. */
  readonly propagation?: InputMaybe<Scalars['Duration']['input']>;
  readonly reason: Scalars['String']['input'];
  /** At most P3650D; the configuration's, where absent. */
  readonly retireAfter?: InputMaybe<Scalars['Duration']['input']>;
  /** An existing key at that custody; the custody makes one, where absent. */
  readonly uri?: InputMaybe<Scalars['String']['input']>;
};

export type RotateKeyResult = KeySuccess | Refusal;

/** The newest rotation of a key, under way or over: publish before sign. */
export type Rotation = {
  readonly __typename?: 'Rotation';
  readonly begunAt: Scalars['DateTime']['output'];
  /** Custody of the new version. */
  readonly custody: Scalars['String']['output'];
  readonly endedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly from: Scalars['Int']['output'];
  /** `ro_…` */
  readonly name: Scalars['String']['output'];
  /** How long the new public key is published before it signs. */
  readonly propagation: Scalars['Duration']['output'];
  readonly publishedAt?: Maybe<Scalars['DateTime']['output']>;
  /** How long the old one stays published after the switch; for good where absent. */
  readonly retireAfter?: Maybe<Scalars['Duration']['output']>;
  readonly step: RotationStep;
  /** When the switch is due. */
  readonly switchAt?: Maybe<Scalars['DateTime']['output']>;
  readonly to: Scalars['Int']['output'];
  /** Why it does not go on, in words; absent where it does. */
  readonly trouble?: Maybe<Scalars['String']['output']>;
};

export type RotationStep =
  /** The custody is being asked for the new version. */
  | 'BEGUN'
  | 'CANCELLED'
  | 'MADE'
  /** The new public key stands in the trust documents, and does not sign yet. */
  | 'PUBLISHED'
  /** The new version signs, the old one verifies only. */
  | 'SWITCHED';

export type SessionFilter = {
  readonly key?: InputMaybe<Scalars['String']['input']>;
  readonly open?: InputMaybe<Scalars['Boolean']['input']>;
  /** Immutable id. */
  readonly principal?: InputMaybe<Scalars['String']['input']>;
};

export type SessionState =
  | 'CLOSED'
  | 'EXPIRED'
  | 'OPEN'
  | 'REVOKED';

export type SessionSuccess = {
  readonly __typename?: 'SessionSuccess';
  readonly receipt: Receipt;
  readonly session: SigningSession;
};

/** 1 to 100 items, one key, one use per item, all or nothing: one refused item refuses the request. */
export type SignInput = {
  /** Unique per session. Repeated with the same request: the same answer, nothing spent. */
  readonly idempotencyKey: Scalars['ID']['input'];
  readonly items: ReadonlyArray<SignItem>;
  readonly key: Scalars['String']['input'];
};

/** Payloads are small and parsed by the broker, which computes what is signed. Files never travel. */
export type SignItem =
  { readonly blob: BlobItem; readonly digest?: never; readonly image?: never; readonly jws?: never; readonly statement?: never; }
  |  { readonly blob?: never; readonly digest: RawDigestItem; readonly image?: never; readonly jws?: never; readonly statement?: never; }
  |  { readonly blob?: never; readonly digest?: never; readonly image: ImageItem; readonly jws?: never; readonly statement?: never; }
  |  { readonly blob?: never; readonly digest?: never; readonly image?: never; readonly jws: JwsItem; readonly statement?: never; }
  |  { readonly blob?: never; readonly digest?: never; readonly image?: never; readonly jws?: never; readonly statement: StatementItem; };

export type SignResult = Refusal | SignSuccess;

export type SignSuccess = {
  readonly __typename?: 'SignSuccess';
  readonly receipt: Receipt;
  /** In the order asked. */
  readonly signatures: ReadonlyArray<Signature>;
  readonly usesLeft: Scalars['Int']['output'];
};

export type Signature = {
  readonly __typename?: 'Signature';
  /** ecdsa-sha2-256, ecdsa-sha2-384, ed25519, rsa-pkcs1v15-sha2-256 or rsa-pss-sha2-256 (salt of 32 bytes). */
  readonly algorithm: Scalars['String']['output'];
  /** Sigstore bundle v0.3. */
  readonly bundle?: Maybe<Scalars['JSON']['output']>;
  /** DSSE envelope. */
  readonly envelope?: Maybe<Scalars['JSON']['output']>;
  /** Compact JWS. */
  readonly jws?: Maybe<Scalars['String']['output']>;
  readonly keyVersion: KeyVersion;
  /** ECDSA as DER (in a JWS as r‖s), RSA and Ed25519 as they are. */
  readonly value: Scalars['Base64']['output'];
};

/** The right of one principal to sign, for minutes, with named keys, a counted number of times. */
export type SigningSession = Node & {
  readonly __typename?: 'SigningSession';
  /** jkt, x5t#S256 or bearer, and its value. */
  readonly binding: Scalars['JSON']['output'];
  readonly expiresAt: Scalars['DateTime']['output'];
  readonly grant: Scalars['String']['output'];
  readonly id: Scalars['ID']['output'];
  readonly keys: ReadonlyArray<Key>;
  /** `ss_…` */
  readonly name: Scalars['String']['output'];
  readonly openedAt: Scalars['DateTime']['output'];
  /** Hash of the policy set that permits it. */
  readonly policy: Scalars['String']['output'];
  readonly principal: Principal;
  readonly reason?: Maybe<Scalars['String']['output']>;
  readonly state: SessionState;
  readonly usesGranted: Scalars['Int']['output'];
  readonly usesLeft: Scalars['Int']['output'];
};

export type SigningSessionConnection = {
  readonly __typename?: 'SigningSessionConnection';
  readonly edges: ReadonlyArray<SigningSessionEdge>;
  readonly nodes: ReadonlyArray<SigningSession>;
  readonly pageInfo: PageInfo;
};

export type SigningSessionEdge = {
  readonly __typename?: 'SigningSessionEdge';
  readonly cursor: Scalars['String']['output'];
  readonly node: SigningSession;
};

/** An in-toto Statement v1, signed as a DSSE envelope. For SLSA provenance the broker fills in repository, ref, commit, workflow and run from the verified claims. */
export type StatementItem = {
  readonly predicate: Scalars['JSON']['input'];
  /** An absolute URI. */
  readonly predicateType: Scalars['String']['input'];
  readonly subject: ReadonlyArray<SubjectInput>;
};

export type SubjectInput = {
  readonly digest: Scalars['Digest']['input'];
  readonly name: Scalars['String']['input'];
};

export type UnlockCustodyInput = {
  /** Name of the custody. */
  readonly custody: Scalars['String']['input'];
  readonly pin: Scalars['String']['input'];
  /** At least 16 random characters: the log keeps the hash of a request, and without these a short PIN could be guessed from it. */
  readonly salt: Scalars['String']['input'];
};

export type UnlockCustodyResult = CustodySuccess | Refusal;



export type ResolverTypeWrapper<T> = Promise<T> | T;


export type ResolverWithResolve<TResult, TParent, TContext, TArgs> = {
  resolve: ResolverFn<TResult, TParent, TContext, TArgs>;
};
export type Resolver<TResult, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = ResolverFn<TResult, TParent, TContext, TArgs> | ResolverWithResolve<TResult, TParent, TContext, TArgs>;

export type ResolverFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => Promise<TResult> | TResult;

export type SubscriptionSubscribeFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => AsyncIterable<TResult> | Promise<AsyncIterable<TResult>>;

export type SubscriptionResolveFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;

export interface SubscriptionSubscriberObject<TResult, TKey extends string, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<{ [key in TKey]: TResult }, TParent, TContext, TArgs>;
  resolve?: SubscriptionResolveFn<TResult, { [key in TKey]: TResult }, TContext, TArgs>;
}

export interface SubscriptionResolverObject<TResult, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<any, TParent, TContext, TArgs>;
  resolve: SubscriptionResolveFn<TResult, any, TContext, TArgs>;
}

export type SubscriptionObject<TResult, TKey extends string, TParent, TContext, TArgs> =
  | SubscriptionSubscriberObject<TResult, TKey, TParent, TContext, TArgs>
  | SubscriptionResolverObject<TResult, TParent, TContext, TArgs>;

export type SubscriptionResolver<TResult, TKey extends string, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> =
  | ((...args: any[]) => SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>)
  | SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>;

export type TypeResolveFn<TTypes, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (
  parent: TParent,
  context: TContext,
  info: GraphQLResolveInfo
) => Maybe<TTypes> | Promise<Maybe<TTypes>>;

export type IsTypeOfResolverFn<T = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (obj: T, context: TContext, info: GraphQLResolveInfo) => boolean | Promise<boolean>;

export type NextResolverFn<T> = () => Promise<T>;

export type DirectiveResolverFn<TResult = Record<PropertyKey, never>, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = (
  next: NextResolverFn<TResult>,
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;



/** Mapping of union types */
export type ResolversUnionTypes<_RefType extends Record<string, unknown>> = {
  AddOperatorResult:
    | ( Omit<OperatorSuccess, 'operator' | 'receipt'> & { operator: _RefType['Operator'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  CancelRotationResult:
    | ( Omit<KeySuccess, 'key' | 'receipt'> & { key: _RefType['Key'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  ChangeKeyStateResult:
    | ( Omit<KeySuccess, 'key' | 'receipt'> & { key: _RefType['Key'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  CloseSigningSessionResult:
    | ( RefusalOf )
    | ( Omit<SessionSuccess, 'receipt' | 'session'> & { receipt: _RefType['Receipt'], session: _RefType['SigningSession'] } )
  ;
  CreateKeyResult:
    | ( Omit<KeySuccess, 'key' | 'receipt'> & { key: _RefType['Key'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  DecideResult:
    | ( Omit<DecideSuccess, 'pending' | 'receipt'> & { pending: _RefType['PendingAction'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  DestroyKeyResult:
    | ( Omit<KeySuccess, 'key' | 'receipt'> & { key: _RefType['Key'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  EnrolFirstOperatorResult:
    | ( Omit<OperatorSuccess, 'operator' | 'receipt'> & { operator: _RefType['Operator'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  EnrollKeyResult:
    | ( Omit<KeySuccess, 'key' | 'receipt'> & { key: _RefType['Key'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  OpenOperatorSessionResult:
    | ( Omit<OpenOperatorSessionSuccess, 'operator'> & { operator: _RefType['Operator'] } )
    | ( RefusalOf )
  ;
  OpenSigningSessionResult:
    | ( Omit<OpenSigningSessionSuccess, 'receipt' | 'session'> & { receipt: _RefType['Receipt'], session: _RefType['SigningSession'] } )
    | ( RefusalOf )
  ;
  RemoveOperatorResult:
    | ( Omit<OperatorSuccess, 'operator' | 'receipt'> & { operator: _RefType['Operator'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  RevokeSigningSessionResult:
    | ( RefusalOf )
    | ( Omit<SessionSuccess, 'receipt' | 'session'> & { receipt: _RefType['Receipt'], session: _RefType['SigningSession'] } )
  ;
  RotateKeyResult:
    | ( Omit<KeySuccess, 'key' | 'receipt'> & { key: _RefType['Key'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
  SignResult:
    | ( RefusalOf )
    | ( Signed )
  ;
  UnlockCustodyResult:
    | ( Omit<CustodySuccess, 'custody' | 'receipt'> & { custody: _RefType['Custody'], receipt: _RefType['Receipt'] } )
    | ( RefusalOf )
  ;
};

/** Mapping of interface types */
export type ResolversInterfaceTypes<_RefType extends Record<string, unknown>> = {
  Node:
    | ( KeyOf )
    | ( KeyVersionOf )
    | ( Person )
    | ( Pending )
    | ( SigningSessionOf )
  ;
};

/** Mapping between all available schema types and the resolvers types */
export type ResolversTypes = {
  AddOperatorInput: AddOperatorInput;
  AddOperatorResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['AddOperatorResult']>;
  Base64: ResolverTypeWrapper<Scalars['Base64']['output']>;
  BlobItem: BlobItem;
  Boolean: ResolverTypeWrapper<Scalars['Boolean']['output']>;
  CancelRotationInput: CancelRotationInput;
  CancelRotationResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['CancelRotationResult']>;
  ChangeKeyStateInput: ChangeKeyStateInput;
  ChangeKeyStateResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['ChangeKeyStateResult']>;
  Checkpoint: ResolverTypeWrapper<CheckpointOf>;
  CloseSigningSessionInput: CloseSigningSessionInput;
  CloseSigningSessionResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['CloseSigningSessionResult']>;
  ConsistencyProof: ResolverTypeWrapper<ConsistencyProof>;
  CreateKeyInput: CreateKeyInput;
  CreateKeyResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['CreateKeyResult']>;
  Custody: ResolverTypeWrapper<CustodyStatus>;
  CustodySuccess: ResolverTypeWrapper<Omit<CustodySuccess, 'custody' | 'receipt'> & { custody: ResolversTypes['Custody'], receipt: ResolversTypes['Receipt'] }>;
  DateTime: ResolverTypeWrapper<Scalars['DateTime']['output']>;
  DecideInput: DecideInput;
  DecideResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['DecideResult']>;
  DecideSuccess: ResolverTypeWrapper<Omit<DecideSuccess, 'pending' | 'receipt'> & { pending: ResolversTypes['PendingAction'], receipt: ResolversTypes['Receipt'] }>;
  DestroyKeyInput: DestroyKeyInput;
  DestroyKeyResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['DestroyKeyResult']>;
  Digest: ResolverTypeWrapper<Scalars['Digest']['output']>;
  Duration: ResolverTypeWrapper<Scalars['Duration']['output']>;
  Ended: ResolverTypeWrapper<EndedOf>;
  EndedWhy: EndedWhy;
  EnrolFirstOperatorInput: EnrolFirstOperatorInput;
  EnrolFirstOperatorResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['EnrolFirstOperatorResult']>;
  EnrollKeyInput: EnrollKeyInput;
  EnrollKeyResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['EnrollKeyResult']>;
  Entry: ResolverTypeWrapper<LogEntry>;
  EntryConnection: ResolverTypeWrapper<Omit<EntryConnection, 'checkpoint' | 'edges' | 'nodes'> & { checkpoint: ResolversTypes['Checkpoint'], edges: ReadonlyArray<ResolversTypes['EntryEdge']>, nodes: ReadonlyArray<ResolversTypes['Entry']> }>;
  EntryEdge: ResolverTypeWrapper<Omit<EntryEdge, 'node'> & { node: ResolversTypes['Entry'] }>;
  EntryFilter: EntryFilter;
  ExplainInput: ExplainInput;
  Explanation: ResolverTypeWrapper<Explained>;
  Exportable: Exportable;
  Float: ResolverTypeWrapper<Scalars['Float']['output']>;
  Health: ResolverTypeWrapper<Health>;
  HealthCheck: ResolverTypeWrapper<HealthCheck>;
  HypotheticalInput: HypotheticalInput;
  ID: ResolverTypeWrapper<Scalars['ID']['output']>;
  ImageItem: ImageItem;
  Int: ResolverTypeWrapper<Scalars['Int']['output']>;
  JSON: ResolverTypeWrapper<Scalars['JSON']['output']>;
  JwsItem: JwsItem;
  Key: ResolverTypeWrapper<KeyOf>;
  KeyAlgorithm: KeyAlgorithm;
  KeyState: KeyState;
  KeySuccess: ResolverTypeWrapper<Omit<KeySuccess, 'key' | 'receipt'> & { key: ResolversTypes['Key'], receipt: ResolversTypes['Receipt'] }>;
  KeyVersion: ResolverTypeWrapper<KeyVersionOf>;
  LeafIndex: ResolverTypeWrapper<Scalars['LeafIndex']['output']>;
  Mutation: ResolverTypeWrapper<Record<PropertyKey, never>>;
  Node: ResolverTypeWrapper<ResolversInterfaceTypes<ResolversTypes>['Node']>;
  OpenOperatorSessionInput: OpenOperatorSessionInput;
  OpenOperatorSessionResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['OpenOperatorSessionResult']>;
  OpenOperatorSessionSuccess: ResolverTypeWrapper<Omit<OpenOperatorSessionSuccess, 'operator'> & { operator: ResolversTypes['Operator'] }>;
  OpenSigningSessionInput: OpenSigningSessionInput;
  OpenSigningSessionResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['OpenSigningSessionResult']>;
  OpenSigningSessionSuccess: ResolverTypeWrapper<Omit<OpenSigningSessionSuccess, 'receipt' | 'session'> & { receipt: ResolversTypes['Receipt'], session: ResolversTypes['SigningSession'] }>;
  Operator: ResolverTypeWrapper<Person>;
  OperatorSuccess: ResolverTypeWrapper<Omit<OperatorSuccess, 'operator' | 'receipt'> & { operator: ResolversTypes['Operator'], receipt: ResolversTypes['Receipt'] }>;
  PageInfo: ResolverTypeWrapper<PageInfo>;
  Pem: ResolverTypeWrapper<Scalars['Pem']['output']>;
  PendingAction: ResolverTypeWrapper<Pending>;
  PendingState: PendingState;
  Policy: ResolverTypeWrapper<PolicySet>;
  PolicyFile: ResolverTypeWrapper<PolicyFile>;
  Principal: ResolverTypeWrapper<PrincipalOf>;
  Protection: ResolverTypeWrapper<Protection>;
  ProtectionLevel: ProtectionLevel;
  Purpose: Purpose;
  Query: ResolverTypeWrapper<Record<PropertyKey, never>>;
  RawDigestItem: RawDigestItem;
  Receipt: ResolverTypeWrapper<ReceiptOf>;
  ReconcileVerdict: ReconcileVerdict;
  ReconciledDay: ResolverTypeWrapper<ReconciledDay>;
  Reconciliation: ResolverTypeWrapper<Reconciliation>;
  Refusal: ResolverTypeWrapper<RefusalOf>;
  RemoveOperatorInput: RemoveOperatorInput;
  RemoveOperatorResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['RemoveOperatorResult']>;
  RevokeSigningSessionInput: RevokeSigningSessionInput;
  RevokeSigningSessionResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['RevokeSigningSessionResult']>;
  Role: Role;
  RotateKeyInput: RotateKeyInput;
  RotateKeyResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['RotateKeyResult']>;
  Rotation: ResolverTypeWrapper<RotationOf>;
  RotationStep: RotationStep;
  SessionFilter: SessionFilter;
  SessionState: SessionState;
  SessionSuccess: ResolverTypeWrapper<Omit<SessionSuccess, 'receipt' | 'session'> & { receipt: ResolversTypes['Receipt'], session: ResolversTypes['SigningSession'] }>;
  SignInput: SignInput;
  SignItem: SignItem;
  SignResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['SignResult']>;
  SignSuccess: ResolverTypeWrapper<Signed>;
  Signature: ResolverTypeWrapper<SignatureOf>;
  SigningSession: ResolverTypeWrapper<SigningSessionOf>;
  SigningSessionConnection: ResolverTypeWrapper<Omit<SigningSessionConnection, 'edges' | 'nodes'> & { edges: ReadonlyArray<ResolversTypes['SigningSessionEdge']>, nodes: ReadonlyArray<ResolversTypes['SigningSession']> }>;
  SigningSessionEdge: ResolverTypeWrapper<Omit<SigningSessionEdge, 'node'> & { node: ResolversTypes['SigningSession'] }>;
  StatementItem: StatementItem;
  String: ResolverTypeWrapper<Scalars['String']['output']>;
  SubjectInput: SubjectInput;
  UnlockCustodyInput: UnlockCustodyInput;
  UnlockCustodyResult: ResolverTypeWrapper<ResolversUnionTypes<ResolversTypes>['UnlockCustodyResult']>;
};

/** Mapping between all available schema types and the resolvers parents */
export type ResolversParentTypes = {
  AddOperatorInput: AddOperatorInput;
  AddOperatorResult: ResolversUnionTypes<ResolversParentTypes>['AddOperatorResult'];
  Base64: Scalars['Base64']['output'];
  BlobItem: BlobItem;
  Boolean: Scalars['Boolean']['output'];
  CancelRotationInput: CancelRotationInput;
  CancelRotationResult: ResolversUnionTypes<ResolversParentTypes>['CancelRotationResult'];
  ChangeKeyStateInput: ChangeKeyStateInput;
  ChangeKeyStateResult: ResolversUnionTypes<ResolversParentTypes>['ChangeKeyStateResult'];
  Checkpoint: CheckpointOf;
  CloseSigningSessionInput: CloseSigningSessionInput;
  CloseSigningSessionResult: ResolversUnionTypes<ResolversParentTypes>['CloseSigningSessionResult'];
  ConsistencyProof: ConsistencyProof;
  CreateKeyInput: CreateKeyInput;
  CreateKeyResult: ResolversUnionTypes<ResolversParentTypes>['CreateKeyResult'];
  Custody: CustodyStatus;
  CustodySuccess: Omit<CustodySuccess, 'custody' | 'receipt'> & { custody: ResolversParentTypes['Custody'], receipt: ResolversParentTypes['Receipt'] };
  DateTime: Scalars['DateTime']['output'];
  DecideInput: DecideInput;
  DecideResult: ResolversUnionTypes<ResolversParentTypes>['DecideResult'];
  DecideSuccess: Omit<DecideSuccess, 'pending' | 'receipt'> & { pending: ResolversParentTypes['PendingAction'], receipt: ResolversParentTypes['Receipt'] };
  DestroyKeyInput: DestroyKeyInput;
  DestroyKeyResult: ResolversUnionTypes<ResolversParentTypes>['DestroyKeyResult'];
  Digest: Scalars['Digest']['output'];
  Duration: Scalars['Duration']['output'];
  Ended: EndedOf;
  EnrolFirstOperatorInput: EnrolFirstOperatorInput;
  EnrolFirstOperatorResult: ResolversUnionTypes<ResolversParentTypes>['EnrolFirstOperatorResult'];
  EnrollKeyInput: EnrollKeyInput;
  EnrollKeyResult: ResolversUnionTypes<ResolversParentTypes>['EnrollKeyResult'];
  Entry: LogEntry;
  EntryConnection: Omit<EntryConnection, 'checkpoint' | 'edges' | 'nodes'> & { checkpoint: ResolversParentTypes['Checkpoint'], edges: ReadonlyArray<ResolversParentTypes['EntryEdge']>, nodes: ReadonlyArray<ResolversParentTypes['Entry']> };
  EntryEdge: Omit<EntryEdge, 'node'> & { node: ResolversParentTypes['Entry'] };
  EntryFilter: EntryFilter;
  ExplainInput: ExplainInput;
  Explanation: Explained;
  Float: Scalars['Float']['output'];
  Health: Health;
  HealthCheck: HealthCheck;
  HypotheticalInput: HypotheticalInput;
  ID: Scalars['ID']['output'];
  ImageItem: ImageItem;
  Int: Scalars['Int']['output'];
  JSON: Scalars['JSON']['output'];
  JwsItem: JwsItem;
  Key: KeyOf;
  KeySuccess: Omit<KeySuccess, 'key' | 'receipt'> & { key: ResolversParentTypes['Key'], receipt: ResolversParentTypes['Receipt'] };
  KeyVersion: KeyVersionOf;
  LeafIndex: Scalars['LeafIndex']['output'];
  Mutation: Record<PropertyKey, never>;
  Node: ResolversInterfaceTypes<ResolversParentTypes>['Node'];
  OpenOperatorSessionInput: OpenOperatorSessionInput;
  OpenOperatorSessionResult: ResolversUnionTypes<ResolversParentTypes>['OpenOperatorSessionResult'];
  OpenOperatorSessionSuccess: Omit<OpenOperatorSessionSuccess, 'operator'> & { operator: ResolversParentTypes['Operator'] };
  OpenSigningSessionInput: OpenSigningSessionInput;
  OpenSigningSessionResult: ResolversUnionTypes<ResolversParentTypes>['OpenSigningSessionResult'];
  OpenSigningSessionSuccess: Omit<OpenSigningSessionSuccess, 'receipt' | 'session'> & { receipt: ResolversParentTypes['Receipt'], session: ResolversParentTypes['SigningSession'] };
  Operator: Person;
  OperatorSuccess: Omit<OperatorSuccess, 'operator' | 'receipt'> & { operator: ResolversParentTypes['Operator'], receipt: ResolversParentTypes['Receipt'] };
  PageInfo: PageInfo;
  Pem: Scalars['Pem']['output'];
  PendingAction: Pending;
  Policy: PolicySet;
  PolicyFile: PolicyFile;
  Principal: PrincipalOf;
  Protection: Protection;
  Query: Record<PropertyKey, never>;
  RawDigestItem: RawDigestItem;
  Receipt: ReceiptOf;
  ReconciledDay: ReconciledDay;
  Reconciliation: Reconciliation;
  Refusal: RefusalOf;
  RemoveOperatorInput: RemoveOperatorInput;
  RemoveOperatorResult: ResolversUnionTypes<ResolversParentTypes>['RemoveOperatorResult'];
  RevokeSigningSessionInput: RevokeSigningSessionInput;
  RevokeSigningSessionResult: ResolversUnionTypes<ResolversParentTypes>['RevokeSigningSessionResult'];
  RotateKeyInput: RotateKeyInput;
  RotateKeyResult: ResolversUnionTypes<ResolversParentTypes>['RotateKeyResult'];
  Rotation: RotationOf;
  SessionFilter: SessionFilter;
  SessionSuccess: Omit<SessionSuccess, 'receipt' | 'session'> & { receipt: ResolversParentTypes['Receipt'], session: ResolversParentTypes['SigningSession'] };
  SignInput: SignInput;
  SignItem: SignItem;
  SignResult: ResolversUnionTypes<ResolversParentTypes>['SignResult'];
  SignSuccess: Signed;
  Signature: SignatureOf;
  SigningSession: SigningSessionOf;
  SigningSessionConnection: Omit<SigningSessionConnection, 'edges' | 'nodes'> & { edges: ReadonlyArray<ResolversParentTypes['SigningSessionEdge']>, nodes: ReadonlyArray<ResolversParentTypes['SigningSession']> };
  SigningSessionEdge: Omit<SigningSessionEdge, 'node'> & { node: ResolversParentTypes['SigningSession'] };
  StatementItem: StatementItem;
  String: Scalars['String']['output'];
  SubjectInput: SubjectInput;
  UnlockCustodyInput: UnlockCustodyInput;
  UnlockCustodyResult: ResolversUnionTypes<ResolversParentTypes>['UnlockCustodyResult'];
};

export type AddOperatorResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['AddOperatorResult'] = ResolversParentTypes['AddOperatorResult']> = {
  __resolveType: TypeResolveFn<'OperatorSuccess' | 'Refusal', ParentType, ContextType>;
};

export interface Base64ScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['Base64'], any> {
  name: 'Base64';
}

export type CancelRotationResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['CancelRotationResult'] = ResolversParentTypes['CancelRotationResult']> = {
  __resolveType: TypeResolveFn<'KeySuccess' | 'Refusal', ParentType, ContextType>;
};

export type ChangeKeyStateResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['ChangeKeyStateResult'] = ResolversParentTypes['ChangeKeyStateResult']> = {
  __resolveType: TypeResolveFn<'KeySuccess' | 'Refusal', ParentType, ContextType>;
};

export type CheckpointResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Checkpoint'] = ResolversParentTypes['Checkpoint']> = {
  note?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  origin?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  root?: Resolver<ResolversTypes['Base64'], ParentType, ContextType>;
  size?: Resolver<ResolversTypes['LeafIndex'], ParentType, ContextType>;
  witnesses?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
};

export type CloseSigningSessionResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['CloseSigningSessionResult'] = ResolversParentTypes['CloseSigningSessionResult']> = {
  __resolveType: TypeResolveFn<'Refusal' | 'SessionSuccess', ParentType, ContextType>;
};

export type ConsistencyProofResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['ConsistencyProof'] = ResolversParentTypes['ConsistencyProof']> = {
  from?: Resolver<ResolversTypes['LeafIndex'], ParentType, ContextType>;
  hashes?: Resolver<ReadonlyArray<ResolversTypes['Base64']>, ParentType, ContextType>;
  to?: Resolver<ResolversTypes['LeafIndex'], ParentType, ContextType>;
};

export type CreateKeyResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['CreateKeyResult'] = ResolversParentTypes['CreateKeyResult']> = {
  __resolveType: TypeResolveFn<'KeySuccess' | 'Refusal', ParentType, ContextType>;
};

export type CustodyResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Custody'] = ResolversParentTypes['Custody']> = {
  hint?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  kind?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  unlockable?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
};

export type CustodySuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['CustodySuccess'] = ResolversParentTypes['CustodySuccess']> = {
  custody?: Resolver<ResolversTypes['Custody'], ParentType, ContextType>;
  receipt?: Resolver<ResolversTypes['Receipt'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export interface DateTimeScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['DateTime'], any> {
  name: 'DateTime';
}

export type DecideResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['DecideResult'] = ResolversParentTypes['DecideResult']> = {
  __resolveType: TypeResolveFn<'DecideSuccess' | 'Refusal', ParentType, ContextType>;
};

export type DecideSuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['DecideSuccess'] = ResolversParentTypes['DecideSuccess']> = {
  pending?: Resolver<ResolversTypes['PendingAction'], ParentType, ContextType>;
  receipt?: Resolver<ResolversTypes['Receipt'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type DestroyKeyResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['DestroyKeyResult'] = ResolversParentTypes['DestroyKeyResult']> = {
  __resolveType: TypeResolveFn<'KeySuccess' | 'Refusal', ParentType, ContextType>;
};

export interface DigestScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['Digest'], any> {
  name: 'Digest';
}

export interface DurationScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['Duration'], any> {
  name: 'Duration';
}

export type EndedResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Ended'] = ResolversParentTypes['Ended']> = {
  at?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  why?: Resolver<ResolversTypes['EndedWhy'], ParentType, ContextType>;
};

export type EnrolFirstOperatorResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['EnrolFirstOperatorResult'] = ResolversParentTypes['EnrolFirstOperatorResult']> = {
  __resolveType: TypeResolveFn<'OperatorSuccess' | 'Refusal', ParentType, ContextType>;
};

export type EnrollKeyResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['EnrollKeyResult'] = ResolversParentTypes['EnrollKeyResult']> = {
  __resolveType: TypeResolveFn<'KeySuccess' | 'Refusal', ParentType, ContextType>;
};

export type EntryResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Entry'] = ResolversParentTypes['Entry']> = {
  at?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  body?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  by?: Resolver<Maybe<ResolversTypes['Principal']>, ParentType, ContextType>;
  disagreement?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  hash?: Resolver<ResolversTypes['Base64'], ParentType, ContextType>;
  index?: Resolver<ResolversTypes['LeafIndex'], ParentType, ContextType>;
  leaf?: Resolver<ResolversTypes['Base64'], ParentType, ContextType>;
  receipt?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  type?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type EntryConnectionResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['EntryConnection'] = ResolversParentTypes['EntryConnection']> = {
  checkpoint?: Resolver<ResolversTypes['Checkpoint'], ParentType, ContextType>;
  edges?: Resolver<ReadonlyArray<ResolversTypes['EntryEdge']>, ParentType, ContextType>;
  nodes?: Resolver<ReadonlyArray<ResolversTypes['Entry']>, ParentType, ContextType>;
  pageInfo?: Resolver<ResolversTypes['PageInfo'], ParentType, ContextType>;
};

export type EntryEdgeResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['EntryEdge'] = ResolversParentTypes['EntryEdge']> = {
  cursor?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  node?: Resolver<ResolversTypes['Entry'], ParentType, ContextType>;
};

export type ExplanationResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Explanation'] = ResolversParentTypes['Explanation']> = {
  effect?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  grants?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  inForce?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  policy?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  text?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
};

export type HealthResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Health'] = ResolversParentTypes['Health']> = {
  checks?: Resolver<ReadonlyArray<ResolversTypes['HealthCheck']>, ParentType, ContextType>;
  status?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type HealthCheckResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['HealthCheck'] = ResolversParentTypes['HealthCheck']> = {
  hint?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export interface JsonScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['JSON'], any> {
  name: 'JSON';
}

export type KeyResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Key'] = ResolversParentTypes['Key']> = {
  current?: Resolver<ReadonlyArray<ResolversTypes['KeyVersion']>, ParentType, ContextType>;
  entries?: Resolver<ResolversTypes['EntryConnection'], ParentType, ContextType, RequireFields<KeyEntriesArgs, 'filter'>>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  purpose?: Resolver<ResolversTypes['Purpose'], ParentType, ContextType>;
  released?: Resolver<ResolversTypes['LeafIndex'], ParentType, ContextType>;
  rotation?: Resolver<Maybe<ResolversTypes['Rotation']>, ParentType, ContextType>;
  versions?: Resolver<ReadonlyArray<ResolversTypes['KeyVersion']>, ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type KeySuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['KeySuccess'] = ResolversParentTypes['KeySuccess']> = {
  key?: Resolver<ResolversTypes['Key'], ParentType, ContextType>;
  receipt?: Resolver<ResolversTypes['Receipt'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type KeyVersionResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['KeyVersion'] = ResolversParentTypes['KeyVersion']> = {
  algorithm?: Resolver<ResolversTypes['KeyAlgorithm'], ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  custody?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  ended?: Resolver<Maybe<ResolversTypes['Ended']>, ParentType, ContextType>;
  fingerprint?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  key?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  number?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  protection?: Resolver<Maybe<ResolversTypes['Protection']>, ParentType, ContextType>;
  publicKey?: Resolver<ResolversTypes['Pem'], ParentType, ContextType>;
  state?: Resolver<ResolversTypes['KeyState'], ParentType, ContextType>;
  trustedUntil?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  uri?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export interface LeafIndexScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['LeafIndex'], any> {
  name: 'LeafIndex';
}

export type MutationResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Mutation'] = ResolversParentTypes['Mutation']> = {
  activateKey?: Resolver<ResolversTypes['ChangeKeyStateResult'], ParentType, ContextType, RequireFields<MutationActivateKeyArgs, 'input'>>;
  addOperator?: Resolver<ResolversTypes['AddOperatorResult'], ParentType, ContextType, RequireFields<MutationAddOperatorArgs, 'input'>>;
  approve?: Resolver<ResolversTypes['DecideResult'], ParentType, ContextType, RequireFields<MutationApproveArgs, 'input'>>;
  cancelRotation?: Resolver<ResolversTypes['CancelRotationResult'], ParentType, ContextType, RequireFields<MutationCancelRotationArgs, 'input'>>;
  closeSigningSession?: Resolver<ResolversTypes['CloseSigningSessionResult'], ParentType, ContextType, RequireFields<MutationCloseSigningSessionArgs, 'input'>>;
  createKey?: Resolver<ResolversTypes['CreateKeyResult'], ParentType, ContextType, RequireFields<MutationCreateKeyArgs, 'input'>>;
  deactivateKey?: Resolver<ResolversTypes['ChangeKeyStateResult'], ParentType, ContextType, RequireFields<MutationDeactivateKeyArgs, 'input'>>;
  deny?: Resolver<ResolversTypes['DecideResult'], ParentType, ContextType, RequireFields<MutationDenyArgs, 'input'>>;
  destroyKey?: Resolver<ResolversTypes['DestroyKeyResult'], ParentType, ContextType, RequireFields<MutationDestroyKeyArgs, 'input'>>;
  enrolFirstOperator?: Resolver<ResolversTypes['EnrolFirstOperatorResult'], ParentType, ContextType, RequireFields<MutationEnrolFirstOperatorArgs, 'input'>>;
  enrollKey?: Resolver<ResolversTypes['EnrollKeyResult'], ParentType, ContextType, RequireFields<MutationEnrollKeyArgs, 'input'>>;
  openOperatorSession?: Resolver<ResolversTypes['OpenOperatorSessionResult'], ParentType, ContextType, RequireFields<MutationOpenOperatorSessionArgs, 'input'>>;
  openSigningSession?: Resolver<ResolversTypes['OpenSigningSessionResult'], ParentType, ContextType, RequireFields<MutationOpenSigningSessionArgs, 'input'>>;
  removeOperator?: Resolver<ResolversTypes['RemoveOperatorResult'], ParentType, ContextType, RequireFields<MutationRemoveOperatorArgs, 'input'>>;
  reportKeyCompromised?: Resolver<ResolversTypes['ChangeKeyStateResult'], ParentType, ContextType, RequireFields<MutationReportKeyCompromisedArgs, 'input'>>;
  resumeKey?: Resolver<ResolversTypes['ChangeKeyStateResult'], ParentType, ContextType, RequireFields<MutationResumeKeyArgs, 'input'>>;
  revokeSigningSession?: Resolver<ResolversTypes['RevokeSigningSessionResult'], ParentType, ContextType, RequireFields<MutationRevokeSigningSessionArgs, 'input'>>;
  rotateKey?: Resolver<ResolversTypes['RotateKeyResult'], ParentType, ContextType, RequireFields<MutationRotateKeyArgs, 'input'>>;
  sign?: Resolver<ResolversTypes['SignResult'], ParentType, ContextType, RequireFields<MutationSignArgs, 'input'>>;
  suspendKey?: Resolver<ResolversTypes['ChangeKeyStateResult'], ParentType, ContextType, RequireFields<MutationSuspendKeyArgs, 'input'>>;
  unlockCustody?: Resolver<ResolversTypes['UnlockCustodyResult'], ParentType, ContextType, RequireFields<MutationUnlockCustodyArgs, 'input'>>;
};

export type NodeResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Node'] = ResolversParentTypes['Node']> = {
  __resolveType: TypeResolveFn<'Key' | 'KeyVersion' | 'Operator' | 'PendingAction' | 'SigningSession', ParentType, ContextType>;
};

export type OpenOperatorSessionResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['OpenOperatorSessionResult'] = ResolversParentTypes['OpenOperatorSessionResult']> = {
  __resolveType: TypeResolveFn<'OpenOperatorSessionSuccess' | 'Refusal', ParentType, ContextType>;
};

export type OpenOperatorSessionSuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['OpenOperatorSessionSuccess'] = ResolversParentTypes['OpenOperatorSessionSuccess']> = {
  expiresAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  operator?: Resolver<ResolversTypes['Operator'], ParentType, ContextType>;
  token?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type OpenSigningSessionResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['OpenSigningSessionResult'] = ResolversParentTypes['OpenSigningSessionResult']> = {
  __resolveType: TypeResolveFn<'OpenSigningSessionSuccess' | 'Refusal', ParentType, ContextType>;
};

export type OpenSigningSessionSuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['OpenSigningSessionSuccess'] = ResolversParentTypes['OpenSigningSessionSuccess']> = {
  receipt?: Resolver<ResolversTypes['Receipt'], ParentType, ContextType>;
  session?: Resolver<ResolversTypes['SigningSession'], ParentType, ContextType>;
  token?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type OperatorResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Operator'] = ResolversParentTypes['Operator']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  issuer?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  roles?: Resolver<ReadonlyArray<ResolversTypes['Role']>, ParentType, ContextType>;
  subject?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type OperatorSuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['OperatorSuccess'] = ResolversParentTypes['OperatorSuccess']> = {
  operator?: Resolver<ResolversTypes['Operator'], ParentType, ContextType>;
  receipt?: Resolver<ResolversTypes['Receipt'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type PageInfoResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['PageInfo'] = ResolversParentTypes['PageInfo']> = {
  endCursor?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  hasNextPage?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  hasPreviousPage?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  startCursor?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export interface PemScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['Pem'], any> {
  name: 'Pem';
}

export type PendingActionResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['PendingAction'] = ResolversParentTypes['PendingAction']> = {
  action?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  expiresAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  hash?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  requestedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  requester?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  state?: Resolver<ResolversTypes['PendingState'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type PolicyResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Policy'] = ResolversParentTypes['Policy']> = {
  cases?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  files?: Resolver<ReadonlyArray<ResolversTypes['PolicyFile']>, ParentType, ContextType>;
  grants?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  hash?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type PolicyFileResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['PolicyFile'] = ResolversParentTypes['PolicyFile']> = {
  path?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  text?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type PrincipalResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Principal'] = ResolversParentTypes['Principal']> = {
  details?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  immutableId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  issuer?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  kind?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  roles?: Resolver<ReadonlyArray<ResolversTypes['Role']>, ParentType, ContextType>;
  subject?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type ProtectionResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Protection'] = ResolversParentTypes['Protection']> = {
  claimed?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
  exportable?: Resolver<ResolversTypes['Exportable'], ParentType, ContextType>;
  level?: Resolver<ResolversTypes['ProtectionLevel'], ParentType, ContextType>;
  proved?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
};

export type QueryResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Query'] = ResolversParentTypes['Query']> = {
  blob?: Resolver<Maybe<ResolversTypes['Base64']>, ParentType, ContextType, RequireFields<QueryBlobArgs, 'sha256'>>;
  checkpoint?: Resolver<Maybe<ResolversTypes['Checkpoint']>, ParentType, ContextType, Partial<QueryCheckpointArgs>>;
  consistency?: Resolver<ResolversTypes['ConsistencyProof'], ParentType, ContextType, RequireFields<QueryConsistencyArgs, 'from' | 'to'>>;
  custodies?: Resolver<ReadonlyArray<ResolversTypes['Custody']>, ParentType, ContextType>;
  entries?: Resolver<ResolversTypes['EntryConnection'], ParentType, ContextType, RequireFields<QueryEntriesArgs, 'filter'>>;
  entry?: Resolver<Maybe<ResolversTypes['Entry']>, ParentType, ContextType, RequireFields<QueryEntryArgs, 'index'>>;
  explain?: Resolver<ResolversTypes['Explanation'], ParentType, ContextType, RequireFields<QueryExplainArgs, 'input'>>;
  health?: Resolver<ResolversTypes['Health'], ParentType, ContextType>;
  key?: Resolver<Maybe<ResolversTypes['Key']>, ParentType, ContextType, RequireFields<QueryKeyArgs, 'name'>>;
  keys?: Resolver<ReadonlyArray<ResolversTypes['Key']>, ParentType, ContextType>;
  node?: Resolver<Maybe<ResolversTypes['Node']>, ParentType, ContextType, RequireFields<QueryNodeArgs, 'id'>>;
  operators?: Resolver<ReadonlyArray<ResolversTypes['Operator']>, ParentType, ContextType>;
  pendingAction?: Resolver<Maybe<ResolversTypes['PendingAction']>, ParentType, ContextType, RequireFields<QueryPendingActionArgs, 'id'>>;
  pendingActions?: Resolver<ReadonlyArray<ResolversTypes['PendingAction']>, ParentType, ContextType, Partial<QueryPendingActionsArgs>>;
  policy?: Resolver<ResolversTypes['Policy'], ParentType, ContextType>;
  reconcile?: Resolver<ResolversTypes['Reconciliation'], ParentType, ContextType, RequireFields<QueryReconcileArgs, 'from' | 'to'>>;
  session?: Resolver<Maybe<ResolversTypes['SigningSession']>, ParentType, ContextType, RequireFields<QuerySessionArgs, 'id'>>;
  sessions?: Resolver<ResolversTypes['SigningSessionConnection'], ParentType, ContextType, RequireFields<QuerySessionsArgs, 'first'>>;
  viewer?: Resolver<ResolversTypes['Principal'], ParentType, ContextType>;
  vkey?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type ReceiptResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Receipt'] = ResolversParentTypes['Receipt']> = {
  entry?: Resolver<ResolversTypes['LeafIndex'], ParentType, ContextType>;
  leaf?: Resolver<ResolversTypes['Base64'], ParentType, ContextType>;
  tlogProof?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type ReconciledDayResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['ReconciledDay'] = ResolversParentTypes['ReconciledDay']> = {
  backend?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  custody?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  day?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  difference?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  done?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  key?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  meaning?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  number?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  unknown?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  verdict?: Resolver<ResolversTypes['ReconcileVerdict'], ParentType, ContextType>;
  withheld?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
};

export type ReconciliationResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Reconciliation'] = ResolversParentTypes['Reconciliation']> = {
  days?: Resolver<ReadonlyArray<ResolversTypes['ReconciledDay']>, ParentType, ContextType>;
  from?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  to?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type RefusalResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Refusal'] = ResolversParentTypes['Refusal']> = {
  code?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  docs?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  entry?: Resolver<Maybe<ResolversTypes['LeafIndex']>, ParentType, ContextType>;
  hint?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  number?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  pending?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  retryAfter?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type RemoveOperatorResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['RemoveOperatorResult'] = ResolversParentTypes['RemoveOperatorResult']> = {
  __resolveType: TypeResolveFn<'OperatorSuccess' | 'Refusal', ParentType, ContextType>;
};

export type RevokeSigningSessionResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['RevokeSigningSessionResult'] = ResolversParentTypes['RevokeSigningSessionResult']> = {
  __resolveType: TypeResolveFn<'Refusal' | 'SessionSuccess', ParentType, ContextType>;
};

export type RotateKeyResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['RotateKeyResult'] = ResolversParentTypes['RotateKeyResult']> = {
  __resolveType: TypeResolveFn<'KeySuccess' | 'Refusal', ParentType, ContextType>;
};

export type RotationResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Rotation'] = ResolversParentTypes['Rotation']> = {
  begunAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  custody?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  endedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  from?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  propagation?: Resolver<ResolversTypes['Duration'], ParentType, ContextType>;
  publishedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  retireAfter?: Resolver<Maybe<ResolversTypes['Duration']>, ParentType, ContextType>;
  step?: Resolver<ResolversTypes['RotationStep'], ParentType, ContextType>;
  switchAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  to?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  trouble?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type SessionSuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['SessionSuccess'] = ResolversParentTypes['SessionSuccess']> = {
  receipt?: Resolver<ResolversTypes['Receipt'], ParentType, ContextType>;
  session?: Resolver<ResolversTypes['SigningSession'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type SignResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['SignResult'] = ResolversParentTypes['SignResult']> = {
  __resolveType: TypeResolveFn<'Refusal' | 'SignSuccess', ParentType, ContextType>;
};

export type SignSuccessResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['SignSuccess'] = ResolversParentTypes['SignSuccess']> = {
  receipt?: Resolver<ResolversTypes['Receipt'], ParentType, ContextType>;
  signatures?: Resolver<ReadonlyArray<ResolversTypes['Signature']>, ParentType, ContextType>;
  usesLeft?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type SignatureResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['Signature'] = ResolversParentTypes['Signature']> = {
  algorithm?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  bundle?: Resolver<Maybe<ResolversTypes['JSON']>, ParentType, ContextType>;
  envelope?: Resolver<Maybe<ResolversTypes['JSON']>, ParentType, ContextType>;
  jws?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  keyVersion?: Resolver<ResolversTypes['KeyVersion'], ParentType, ContextType>;
  value?: Resolver<ResolversTypes['Base64'], ParentType, ContextType>;
};

export type SigningSessionResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['SigningSession'] = ResolversParentTypes['SigningSession']> = {
  binding?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  expiresAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  grant?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  keys?: Resolver<ReadonlyArray<ResolversTypes['Key']>, ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  openedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  policy?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  principal?: Resolver<ResolversTypes['Principal'], ParentType, ContextType>;
  reason?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  state?: Resolver<ResolversTypes['SessionState'], ParentType, ContextType>;
  usesGranted?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  usesLeft?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  __isTypeOf?: IsTypeOfResolverFn<ParentType, ContextType>;
};

export type SigningSessionConnectionResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['SigningSessionConnection'] = ResolversParentTypes['SigningSessionConnection']> = {
  edges?: Resolver<ReadonlyArray<ResolversTypes['SigningSessionEdge']>, ParentType, ContextType>;
  nodes?: Resolver<ReadonlyArray<ResolversTypes['SigningSession']>, ParentType, ContextType>;
  pageInfo?: Resolver<ResolversTypes['PageInfo'], ParentType, ContextType>;
};

export type SigningSessionEdgeResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['SigningSessionEdge'] = ResolversParentTypes['SigningSessionEdge']> = {
  cursor?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  node?: Resolver<ResolversTypes['SigningSession'], ParentType, ContextType>;
};

export type UnlockCustodyResultResolvers<ContextType = RequestContext, ParentType extends ResolversParentTypes['UnlockCustodyResult'] = ResolversParentTypes['UnlockCustodyResult']> = {
  __resolveType: TypeResolveFn<'CustodySuccess' | 'Refusal', ParentType, ContextType>;
};

export type Resolvers<ContextType = RequestContext> = {
  AddOperatorResult?: AddOperatorResultResolvers<ContextType>;
  Base64?: GraphQLScalarType;
  CancelRotationResult?: CancelRotationResultResolvers<ContextType>;
  ChangeKeyStateResult?: ChangeKeyStateResultResolvers<ContextType>;
  Checkpoint?: CheckpointResolvers<ContextType>;
  CloseSigningSessionResult?: CloseSigningSessionResultResolvers<ContextType>;
  ConsistencyProof?: ConsistencyProofResolvers<ContextType>;
  CreateKeyResult?: CreateKeyResultResolvers<ContextType>;
  Custody?: CustodyResolvers<ContextType>;
  CustodySuccess?: CustodySuccessResolvers<ContextType>;
  DateTime?: GraphQLScalarType;
  DecideResult?: DecideResultResolvers<ContextType>;
  DecideSuccess?: DecideSuccessResolvers<ContextType>;
  DestroyKeyResult?: DestroyKeyResultResolvers<ContextType>;
  Digest?: GraphQLScalarType;
  Duration?: GraphQLScalarType;
  Ended?: EndedResolvers<ContextType>;
  EnrolFirstOperatorResult?: EnrolFirstOperatorResultResolvers<ContextType>;
  EnrollKeyResult?: EnrollKeyResultResolvers<ContextType>;
  Entry?: EntryResolvers<ContextType>;
  EntryConnection?: EntryConnectionResolvers<ContextType>;
  EntryEdge?: EntryEdgeResolvers<ContextType>;
  Explanation?: ExplanationResolvers<ContextType>;
  Health?: HealthResolvers<ContextType>;
  HealthCheck?: HealthCheckResolvers<ContextType>;
  JSON?: GraphQLScalarType;
  Key?: KeyResolvers<ContextType>;
  KeySuccess?: KeySuccessResolvers<ContextType>;
  KeyVersion?: KeyVersionResolvers<ContextType>;
  LeafIndex?: GraphQLScalarType;
  Mutation?: MutationResolvers<ContextType>;
  Node?: NodeResolvers<ContextType>;
  OpenOperatorSessionResult?: OpenOperatorSessionResultResolvers<ContextType>;
  OpenOperatorSessionSuccess?: OpenOperatorSessionSuccessResolvers<ContextType>;
  OpenSigningSessionResult?: OpenSigningSessionResultResolvers<ContextType>;
  OpenSigningSessionSuccess?: OpenSigningSessionSuccessResolvers<ContextType>;
  Operator?: OperatorResolvers<ContextType>;
  OperatorSuccess?: OperatorSuccessResolvers<ContextType>;
  PageInfo?: PageInfoResolvers<ContextType>;
  Pem?: GraphQLScalarType;
  PendingAction?: PendingActionResolvers<ContextType>;
  Policy?: PolicyResolvers<ContextType>;
  PolicyFile?: PolicyFileResolvers<ContextType>;
  Principal?: PrincipalResolvers<ContextType>;
  Protection?: ProtectionResolvers<ContextType>;
  Query?: QueryResolvers<ContextType>;
  Receipt?: ReceiptResolvers<ContextType>;
  ReconciledDay?: ReconciledDayResolvers<ContextType>;
  Reconciliation?: ReconciliationResolvers<ContextType>;
  Refusal?: RefusalResolvers<ContextType>;
  RemoveOperatorResult?: RemoveOperatorResultResolvers<ContextType>;
  RevokeSigningSessionResult?: RevokeSigningSessionResultResolvers<ContextType>;
  RotateKeyResult?: RotateKeyResultResolvers<ContextType>;
  Rotation?: RotationResolvers<ContextType>;
  SessionSuccess?: SessionSuccessResolvers<ContextType>;
  SignResult?: SignResultResolvers<ContextType>;
  SignSuccess?: SignSuccessResolvers<ContextType>;
  Signature?: SignatureResolvers<ContextType>;
  SigningSession?: SigningSessionResolvers<ContextType>;
  SigningSessionConnection?: SigningSessionConnectionResolvers<ContextType>;
  SigningSessionEdge?: SigningSessionEdgeResolvers<ContextType>;
  UnlockCustodyResult?: UnlockCustodyResultResolvers<ContextType>;
};

