// Who calls: what the broker and the server ask of the identity room.

import type { Refusal } from "../model/errors.ts";
import type { Workload } from "../model/principal.ts";

/** A verified OIDC token of a CI job. */
export interface WorkloadIdentity {
  readonly kind: "workload";
  readonly principal: Workload;
  /** SHA-256 (hex) over issuer, a zero byte and the token's signing input: immune to changed padding bits. */
  readonly tokenId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** A verified OIDC token of a person: only an operator record gives it a name and roles. */
export interface PersonIdentity {
  readonly kind: "person";
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
  readonly methods: readonly string[];
  readonly tokenId: string;
  readonly expiresAt: number;
}

export interface IdentityTokens {
  /** Refusal TOKEN_INVALID; never says more than what an honest caller needs. Fault only where the issuer cannot be asked. */
  verify(token: string): Promise<WorkloadIdentity | PersonIdentity | Refusal>;
}

/** A verified proof that the caller holds a key (RFC 9449). */
export interface Proof {
  /** RFC 7638 thumbprint. */
  readonly jkt: string;
  /** SHA-256 over jkt and jti. */
  readonly mark: Uint8Array;
  /** Until when the mark must be remembered, milliseconds since the epoch. */
  readonly expiresAt: number;
  /** The compact JWS as it came: evidence. */
  readonly jws: string;
}

export interface ProofRequest {
  /** All values of the DPoP header. Exactly one is right. */
  readonly proofs: readonly string[];
  readonly method: string;
  /** Scheme, authority and path as this listener is published. */
  readonly url: string;
  /** SHA-256 of the body, made when somebody asks. */
  readonly body: () => Uint8Array;
  /** The access token that the request carries, if any. */
  readonly token?: string | undefined;
}

export interface Proofs {
  /** In memory, no I/O; the signature on another thread. Does not check single use; the mark does. PROOF_INVALID or PROOF_NONCE. */
  verify(request: ProofRequest): Promise<Proof | Refusal>;
  /** The current nonce, for the DPoP-Nonce header. Bound to this daemon's epoch. */
  nonce(): string;
}
