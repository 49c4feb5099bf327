// Who calls: a CI job that its provider vouches for, a person with roles, or the local socket before anybody is enrolled.

/** A CI job. Ids are the provider's immutable ones; names are for reading and may be recycled by others. */
export interface Workload {
  readonly kind: "workload";
  readonly provider: "github" | "gitlab" | "kubernetes" | "generic";
  /** Exact configured issuer string. */
  readonly issuer: string;
  /** The token's `sub`, as it came: shown, never matched. */
  readonly subject: string;
  /** Immutable id of organisation, group or namespace. */
  readonly tenantId: string;
  readonly tenant: string;
  /** Immutable id of repository, project or service account. */
  readonly projectId: string;
  readonly project: string;
  /** Full ref, `refs/tags/v1.2.3`; checked against git's rules for ref names. */
  readonly ref?: string | undefined;
  readonly refType?: "branch" | "tag" | undefined;
  readonly refProtected?: boolean | undefined;
  readonly environment?: string | undefined;
  /** Path and ref of the workflow that holds the job, as the provider names it. */
  readonly workflow?: string | undefined;
  readonly workflowSha?: string | undefined;
  /** The commit that the job builds. */
  readonly commit?: string | undefined;
  readonly event?: string | undefined;
  readonly runner?: "hosted" | "self-hosted" | undefined;
  readonly run?: string | undefined;
  readonly attempt?: string | undefined;
  readonly actorId?: string | undefined;
  readonly actor?: string | undefined;
}

export const roles = ["operator", "approver", "auditor"] as const;
export type Role = (typeof roles)[number];

/** A person. `issuer` is an OIDC issuer, or "key" / "mtls" where the person's own enrolled key or certificate is the identity. */
export interface Person {
  readonly kind: "person";
  /** Ours, immutable: `op_…`. */
  readonly id: string;
  readonly name: string;
  readonly issuer: string;
  /** OIDC `sub`, RFC 7638 thumbprint, or RFC 8705 certificate thumbprint. */
  readonly subject: string;
  readonly roles: readonly Role[];
  /** OIDC `amr` of this login, where the issuer said. */
  readonly methods?: readonly string[] | undefined;
}

/** Whoever can open the 0600 socket, before the first operator exists. */
export interface LocalSocket {
  readonly kind: "socket";
}

export type Principal = Workload | Person | LocalSocket;

/** How the caller's key binds the request (RFC 7800 `cnf`). */
export type Confirmation = { readonly jkt: string } | { readonly "x5t#S256": string } | { readonly bearer: true };

/** One identity, one text: what two-person rules, replay marks and rate limits compare. Built from immutable parts only. */
export function principalKey(principal: Principal): string {
  switch (principal.kind) {
    case "workload":
      return JSON.stringify([principal.issuer, principal.tenantId, principal.projectId]);
    case "person":
      return JSON.stringify([principal.issuer, principal.subject]);
    case "socket":
      return "socket";
  }
}

/** For people: `acme/app · refs/tags/v1.4.0 · run 987`. */
export function principalLabel(principal: Principal): string {
  switch (principal.kind) {
    case "workload":
      return [principal.project, principal.ref, principal.run && `run ${principal.run}`].filter(Boolean).join(" · ");
    case "person":
      return principal.name;
    case "socket":
      return "local socket";
  }
}
