// A grant after parsing: who may open a session with which keys, and the limits that the session then carries.

import type { Glob, GrantLimits } from "../model/grant.ts";
import type { Workload } from "../model/principal.ts";

/** Claims that are compared exactly: ids, hashes and small sets of words. */
export const exactClaims = ["tenantId", "projectId", "workflowSha", "commit", "actorId", "refType", "runner"] as const;
/** Claims in which `*` is allowed. `tenant` and `project` are recyclable names: they narrow a grant, they never make one. */
export const globClaims = ["tenant", "project", "ref", "environment", "workflow", "event"] as const;
export type Claim = (typeof exactClaims)[number] | (typeof globClaims)[number] | "refProtected";

/** The claim has to be there and to be one of these. */
export interface ClaimRule {
  readonly claim: Claim;
  readonly anyOf: readonly (Glob | boolean)[];
  /** Put in by us because the grant is silent: then a provider without this claim fits as well. */
  readonly implied?: true | undefined;
}

/** Where the grant names no event: a push. Other events may run a stranger's code or inputs, and have to be listed. */
export const impliedEvent: ClaimRule = { claim: "event", anyOf: ["push"], implied: true };

export interface Grant {
  readonly name: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** Compared exactly. */
  readonly issuer: string;
  /** At least one of them names `tenantId` or `projectId`. */
  readonly rules: readonly ClaimRule[];
  readonly keys: readonly string[];
  readonly limits: GrantLimits;
  readonly needs: { readonly protectedRef: boolean; readonly hostedRunner: boolean };
}

/** One `forbid` of an organisation's ceiling, in Cedar's own words. */
export interface Ceiling {
  /** Unique in the set. */
  readonly id: string;
  /** The policy's `@id`, else its place. */
  readonly name: string;
  /** The policy's `@reason`, shown to callers. */
  readonly reason?: string | undefined;
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** A policy file as it stands in the directory or the database. */
export interface PolicyFile {
  readonly path: string;
  readonly text: string;
}

/** Everything in force at once: immutable, checked, its cases passed. */
export interface PolicySet {
  /** `sha256:<hex>` over the canonical JSON of [{path, text}] in order of path. */
  readonly hash: string;
  /** In order of path (code units), which is the order in which grants are tried. */
  readonly files: readonly PolicyFile[];
  readonly grants: readonly Grant[];
  readonly ceilings: readonly Ceiling[];
  /** How many mustAllow and mustDeny cases passed. */
  readonly cases: number;
}

/** Is this job's tenant or project named by the grant, whatever else the grant asks? */
export const namesTenantOf = (grant: Grant, principal: Workload): boolean =>
  grant.issuer === principal.issuer &&
  grant.rules.some(
    ({ claim, anyOf }) => (claim === "tenantId" || claim === "projectId") && anyOf.includes(principal[claim]),
  );
