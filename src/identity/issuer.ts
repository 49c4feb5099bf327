// Whom do we believe? One configured issuer: its exact name, our audience, and how its tokens are read.

import type { Workload } from "../model/principal.ts";
import type { PersonIdentity, WorkloadIdentity } from "../ports/identity.ts";
import type { Claims } from "./claims.ts";

export type ProviderName = Workload["provider"] | "person";

/** Asymmetric only: with a symmetric one, the issuer's public key would be the secret. */
export const tokenAlgorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"] as const;
export type TokenAlgorithm = (typeof tokenAlgorithms)[number];

/** Our field ← name of the issuer's top-level claim. */
export type ClaimNames = Readonly<
  { readonly tenantId: string; readonly projectId: string } & Partial<
    Record<
      Exclude<keyof Workload, "kind" | "provider" | "issuer" | "subject" | "tenantId" | "projectId">,
      string | undefined
    >
  >
>;

export interface IssuerConfig {
  /** Compared byte for byte with `iss`. */
  readonly issuer: string;
  readonly provider: ProviderName;
  /** The one audience that is accepted. */
  readonly audience: string;
  /** Where discovery is missing or points to another origin. Unless given: discovery, which must stay on the issuer's origin. */
  readonly jwksUri?: string | undefined;
  /** Unless given, the provider's own. */
  readonly algorithms?: readonly TokenAlgorithm[] | undefined;
  /** Longest `exp - iat`, milliseconds. Unless given, the provider's own. */
  readonly maxLifetime?: number | undefined;
  /** PEM roots for the issuer's TLS, instead of the system's. */
  readonly ca?: string | undefined;
  readonly allowPrivateAddresses?: boolean | undefined;
  /** For an issuer on loopback: `signet dev`. */
  readonly dangerouslyAllowHttp?: boolean | undefined;
  /** Provider generic only, and required there. */
  readonly claims?: ClaimNames | undefined;
}

/** What a token says about its holder, before the token itself is named. */
export type Caller = Omit<WorkloadIdentity, "tokenId" | "expiresAt"> | Omit<PersonIdentity, "tokenId" | "expiresAt">;

export interface Provider {
  readonly name: ProviderName;
  readonly algorithms: readonly TokenAlgorithm[];
  /** Milliseconds. */
  readonly maxLifetime: number;
  /** Throws TypeError where the configuration lacks what this provider needs. The reader throws Unacceptable. */
  reader(issuer: IssuerConfig): (claims: Claims) => Caller;
}

export const minutes = (count: number): number => count * 60_000;
