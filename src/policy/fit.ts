// Does a grant fit a request? Every condition of the grant with what it needs and what was found, in the order in which
// a person would look. This is the half of a decision that explains; cedar.ts is the half that decides.

import type { GrantLimits } from "../model/grant.ts";
import { purposeOf } from "../model/item.ts";
import type { Purpose } from "../model/key.ts";
import type { Workload } from "../model/principal.ts";
import { isRefName } from "../model/ref.ts";
import { isGlob, matcher } from "./glob.ts";
import type { ClaimRule, Grant } from "./grant.ts";
import { listed, quoted, shown } from "./shown.ts";
import { describeMoment, describeWindows, isOpenAt } from "./window.ts";

export interface OpenRequest {
  readonly principal: Workload;
  /** Names of keys: one session, one grant that covers them all. */
  readonly keys: readonly string[];
  /** Of each key asked for. A key without purpose is covered by nothing. */
  readonly purposes: Readonly<Record<string, Purpose>>;
  /** Asking for more than the grant has is no mistake: the strictest number counts. */
  readonly uses?: number | undefined;
  /** Milliseconds. */
  readonly ttl?: number | undefined;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface Condition {
  /** A field of the grant: "issuer", "projectId", "keys", "what", "ref", "needs.protectedRef", "when", … */
  readonly name: string;
  readonly needed: string;
  /** What the request has, for people. */
  readonly asked: string;
  readonly fits: boolean;
}

export interface Fit {
  readonly grant: Grant;
  readonly conditions: readonly Condition[];
  readonly fits: boolean;
}

export function fitOf(grant: Grant, request: OpenRequest): Fit {
  const { principal } = request;
  const conditions = [
    { name: "issuer", needed: grant.issuer, asked: shown(principal.issuer), fits: principal.issuer === grant.issuer },
    ...grant.rules.filter(isIdRule).map((rule) => claimCondition(rule, principal)),
    keysCondition(grant, request),
    purposeCondition(grant, request),
    ...grant.rules.filter((rule) => !isIdRule(rule)).map((rule) => claimCondition(rule, principal)),
    ...needConditions(grant, principal),
    ...windowCondition(grant.limits, request.at),
  ];
  return { grant, conditions, fits: conditions.every((condition) => condition.fits) };
}

export const isIdRule = (rule: ClaimRule): boolean => rule.claim === "tenantId" || rule.claim === "projectId";

function keysCondition(grant: Grant, request: OpenRequest): Condition {
  return {
    name: "keys",
    needed: listed(grant.keys),
    asked: listed(request.keys, "and"),
    fits: request.keys.length > 0 && request.keys.every((key) => grant.keys.includes(key)),
  };
}

function purposeCondition(grant: Grant, request: OpenRequest): Condition {
  const granted = grantedPurposes(grant.limits);
  const asked = request.keys.map((key) => purposeAsked(request, key));
  return {
    name: "what",
    needed: `purpose ${listed(granted)}`,
    asked: listed([...new Set(asked)], "and"),
    fits: asked.every((purpose) => purpose !== undefined && granted.includes(purpose)),
  };
}

export const purposeAsked = (request: OpenRequest, key: string): Purpose | undefined =>
  Object.hasOwn(request.purposes, key) ? request.purposes[key] : undefined;

/** One kind of item, one purpose of key: what a grant lets sign says which keys it can lend. */
export function grantedPurposes(limits: GrantLimits): readonly Purpose[] {
  const { statement, image, jws, blob, digest } = limits.items;
  return [
    ...(statement ? [purposeOf.statement] : []),
    ...(image ? [purposeOf.image] : []),
    ...(jws ? [purposeOf.jws] : []),
    ...(blob ? [purposeOf.blob] : []),
    ...(digest ? [purposeOf.digest] : []),
  ];
}

function claimCondition(rule: ClaimRule, principal: Workload): Condition {
  const found = principal[rule.claim];
  return {
    name: rule.claim,
    needed: listed(rule.anyOf) + (rule.implied ? ", because the grant lists no other" : ""),
    asked: shown(found),
    fits: (rule.implied === true && found === undefined) || rule.anyOf.some((wanted) => claimFits(wanted, found)),
  };
}

/** Never coerced: the text "true" is not true, and what is absent fits nothing. */
const claimFits = (wanted: string | boolean, found: string | boolean | undefined): boolean =>
  typeof wanted === "string" && typeof found === "string" ? matcher(wanted)(found) : wanted === found;

/** The globs of a grant that the principal's claims match, as Cedar is told them: `ref refs/tags/v*`. */
export function matchedGlobs(grant: Grant, principal: Workload): readonly string[] {
  return grant.rules.flatMap((rule) =>
    rule.anyOf
      .filter((wanted) => isGlobText(wanted) && claimFits(wanted, principal[rule.claim]))
      .map((wanted) => globFact(rule.claim, String(wanted))),
  );
}

export const isGlobText = (wanted: string | boolean): wanted is string => typeof wanted === "string" && isGlob(wanted);
export const globFact = (claim: string, glob: string): string => `${claim} ${glob}`;

function needConditions(grant: Grant, principal: Workload): readonly Condition[] {
  const { protectedRef, hostedRunner } = grant.needs;
  return [
    ...(protectedRef
      ? [
          {
            name: "needs.protectedRef",
            needed: "a protected ref",
            asked: `refProtected ${shown(principal.refProtected)}`,
            fits: principal.refProtected === true,
          },
        ]
      : []),
    ...(hostedRunner
      ? [
          {
            name: "needs.hostedRunner",
            needed: "a hosted runner",
            asked: `runner ${shown(principal.runner)}`,
            fits: principal.runner === "hosted",
          },
        ]
      : []),
  ];
}

function windowCondition({ windows }: GrantLimits, at: number): readonly Condition[] {
  if (windows.length === 0) return [];
  return [{ name: "when", needed: describeWindows(windows), asked: describeMoment(at), fits: isOpenAt(windows, at) }];
}

/** What makes a request unfit for any decision. Callers upstream check these as well; policy trusts nobody. */
export function flawOf({ principal, keys, uses, ttl, at }: OpenRequest): string | undefined {
  if (keys.length === 0) return "no key was asked for";
  if (uses !== undefined && !(Number.isSafeInteger(uses) && uses > 0))
    return `uses is ${String(uses)}; expected a whole number from 1`;
  if (ttl !== undefined && !(Number.isSafeInteger(ttl) && ttl > 0))
    return `ttl is ${String(ttl)} ms; expected a whole number from 1`;
  if (!Number.isSafeInteger(at)) return "the time is not known";
  if (principal.ref !== undefined && !(typeof principal.ref === "string" && isRefName(principal.ref))) {
    return `the job's ref ${quoted(principal.ref)} is no valid git ref`;
  }
  return undefined;
}

/** The session's limits: the grant's, or what was asked where that is less. */
export const strictest = (limits: GrantLimits, request: OpenRequest): GrantLimits => ({
  ...limits,
  uses: Math.min(limits.uses, request.uses ?? limits.uses),
  ttl: Math.min(limits.ttl, request.ttl ?? limits.ttl),
});
