// Who calls? Everything that the daemon needs to answer it: tokens of issuers, proofs of possession, certificates.

import type { GuardedFetch } from "../clients/fetch.ts";
import type { IdentityTokens, Proofs } from "../ports/identity.ts";
import type { Clock, Random } from "../std/clock.ts";
import { Secret } from "../std/secret.ts";
import { proofs } from "./dpop.ts";
import type { IssuerConfig } from "./issuer.ts";
import { identityTokens } from "./tokens.ts";

export type { ClaimNames, IssuerConfig } from "./issuer.ts";
export { tokenAlgorithms } from "./issuer.ts";
export { providers } from "./providers.ts";

export interface IdentityParts {
  readonly issuers: readonly IssuerConfig[];
  /** This start of the daemon: nonces of another are not good. */
  readonly epoch: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly fetch: GuardedFetch;
}

/** Throws TypeError where the configuration of the issuers contradicts itself. Nothing is fetched before the first token. */
export function identity({ issuers, epoch, clock, random, fetch }: IdentityParts): {
  readonly tokens: IdentityTokens;
  readonly proofs: Proofs;
} {
  return {
    tokens: identityTokens({ issuers, clock, fetch }),
    proofs: proofs({ clock, secret: new Secret(random(32)), epoch }),
  };
}
