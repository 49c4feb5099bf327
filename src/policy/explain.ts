// Why would this be allowed or refused? Every grant with each of its conditions, what Cedar said to those that fit, and
// what the grant's limits say to the items. The final effect is that of decideOpen and decideItems, nobody else's.

import type { Refusal } from "../model/errors.ts";
import type { ItemRecord } from "../model/item.ts";
import type { Condition, OpenRequest } from "./fit.ts";
import { fitOf, strictest } from "./fit.ts";
import type { Grant, PolicySet } from "./grant.ts";
import { decideItems } from "./items.ts";
import { askForAllKeys, decideOpen, why } from "./open.ts";

export interface GrantExplanation {
  readonly grant: string;
  readonly file: string;
  readonly line: number;
  /** In the order in which they are looked at; the last ones, `ceiling` and `items`, only where the others fit. */
  readonly conditions: readonly Condition[];
  readonly fits: boolean;
}

export interface Explanation {
  readonly effect: "permit" | "deny";
  /** The grant that the session would have; items may still be refused under it. */
  readonly grant?: string | undefined;
  readonly refusal?: Refusal | undefined;
  /** `sha256:<hex>`. */
  readonly policy: string;
  /** All of the set, in the order in which they are tried. */
  readonly grants: readonly GrantExplanation[];
}

/** Items may be empty: then only the opening of the session is explained. */
export function explain(policy: PolicySet, request: OpenRequest, items: readonly ItemRecord[]): Explanation {
  const opened = decideOpen(policy, request);
  const refusal = opened.effect === "permit" ? decideItems(opened.limits, items, request.at) : opened.refusal;
  return {
    effect: refusal === undefined ? "permit" : "deny",
    ...(opened.effect === "permit" ? { grant: opened.grant } : {}),
    ...(refusal === undefined ? {} : { refusal }),
    policy: policy.hash,
    grants: policy.grants.map((grant) => explainGrant(policy, grant, request, items)),
  };
}

function explainGrant(
  policy: PolicySet,
  grant: Grant,
  request: OpenRequest,
  items: readonly ItemRecord[],
): GrantExplanation {
  const fit = fitOf(grant, request);
  const conditions = fit.fits ? [...fit.conditions, ...deeper(policy, grant, request, items)] : fit.conditions;
  return {
    grant: grant.name,
    file: grant.file,
    line: grant.line,
    conditions,
    fits: conditions.every((condition) => condition.fits),
  };
}

function deeper(
  policy: PolicySet,
  grant: Grant,
  request: OpenRequest,
  items: readonly ItemRecord[],
): readonly Condition[] {
  const verdict = askForAllKeys(policy, grant, request);
  const allowed = verdict.kind === "allowed";
  const ceiling = {
    name: "ceiling",
    needed: "no forbid applies",
    asked: allowed ? "none does" : why(verdict),
    fits: allowed,
  };
  if (items.length === 0) return [ceiling];
  const miss = decideItems(strictest(grant.limits, request), items, request.at);
  return [
    ceiling,
    {
      name: "items",
      needed: "every item within the limits",
      asked: miss?.message ?? `${String(items.length)} within`,
      fits: miss === undefined,
    },
  ];
}
