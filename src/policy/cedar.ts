// Cedar decides who may open a session (docs/adr/0003-cedar-and-typed-limits.md). Each grant becomes one `permit` in
// Cedar's JSON form, so that no text of a grant is ever parsed as policy; an organisation's ceiling is `forbid` beside
// them. Whatever goes wrong in here (an error in any policy, a request that does not fit the schema) is a no.

import type { CedarValueJson, DetailedError, EntityJson, Expr, PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import {
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  preparseSchema,
  statefulIsAuthorized,
  validate,
} from "@cedar-policy/cedar-wasm/nodejs";
import type { GrantLimits } from "../model/grant.ts";
import type { Purpose } from "../model/key.ts";
import type { Workload } from "../model/principal.ts";
import { principalKey } from "../model/principal.ts";
import { rfc3339 } from "../std/clock.ts";
import type { Place, Problem } from "./error.ts";
import { globFact, grantedPurposes, isGlobText, matchedGlobs } from "./fit.ts";
import type { Ceiling, ClaimRule, Grant, PolicySet } from "./grant.ts";
import { isOpenAt } from "./window.ts";

/** What a ceiling can speak of; printed in docs/guide/policy.md. The token's `sub` is missing on purpose. */
export const schema = `entity Workload = {
  issuer: String,
  tenantId: String,
  tenant: String,
  projectId: String,
  project: String,
  ref?: String,
  refType?: String,
  refProtected?: Bool,
  environment?: String,
  workflow?: String,
  workflowSha?: String,
  commit?: String,
  event?: String,
  runner?: String,
  actorId?: String,
};
entity Key = {
  name: String,
  purpose: String,
};
action openSession appliesTo {
  principal: Workload,
  resource: Key,
  context: {
    grant: String,
    uses: Long,
    ttl: duration,
    at: datetime,
    matched: Set<String>,
    withinWindow: Bool,
  },
};
`;

const openSession = { type: "Action", id: "openSession" };

/* ---- grants to permits ---- */

function permitOf(grant: Grant): PolicyJson {
  const conditions: readonly Expr[] = [
    equal(attribute("context", "grant"), value(grant.name)),
    isOneOf(attribute("resource", "name"), grant.keys),
    isOneOf(attribute("resource", "purpose"), grantedPurposes(grant.limits)),
    equal(attribute("principal", "issuer"), value(grant.issuer)),
    ...grant.rules.map(ruleOf),
    ...(grant.needs.protectedRef ? [ifPresent("refProtected", attribute("principal", "refProtected"))] : []),
    ...(grant.needs.hostedRunner
      ? [ifPresent("runner", equal(attribute("principal", "runner"), value("hosted")))]
      : []),
    attribute("context", "withinWindow"),
  ];
  return {
    effect: "permit",
    principal: { op: "is", entity_type: "Workload" },
    action: { op: "==", entity: openSession },
    resource: { op: "is", entity_type: "Key" },
    conditions: conditions.map((body) => ({ kind: "when", body })),
  };
}

/** Globs are matched in glob.ts, because Cedar's `like` crosses "/" and line breaks; Cedar is told which ones did. */
function ruleOf(rule: ClaimRule): Expr {
  const found = attribute("principal", rule.claim);
  const ways = rule.anyOf.map((wanted) =>
    isGlobText(wanted)
      ? ({
          contains: { left: attribute("context", "matched"), right: value(globFact(rule.claim, wanted)) },
        } satisfies Expr)
      : equal(found, value(wanted)),
  );
  const any = ways.reduce((left, right) => ({ "||": { left, right } }));
  if (rule.claim === "tenantId" || rule.claim === "projectId" || rule.claim === "tenant" || rule.claim === "project")
    return any;
  return rule.implied
    ? // biome-ignore lint/suspicious/noThenProperty: the name that Cedar's JSON form gives it
      { "if-then-else": { if: has(rule.claim), then: any, else: value(true) } }
    : ifPresent(rule.claim, any);
}

const value = (json: CedarValueJson): Expr => ({ Value: json });
const attribute = (of: "principal" | "resource" | "context", attr: string): Expr => ({
  ".": { left: { Var: of }, attr },
});
const has = (attr: string): Expr => ({ has: { left: { Var: "principal" }, attr } });
const ifPresent = (attr: string, then: Expr): Expr => ({ "&&": { left: has(attr), right: then } });
const equal = (left: Expr, right: Expr): Expr => ({ "==": { left, right } });
const isOneOf = (item: Expr, texts: readonly string[]): Expr => ({
  contains: { left: value([...texts]), right: item },
});

/* ---- ceilings from text ---- */

/** Place of an offset in the block of Cedar text. */
export type PlaceInCedar = (offset: number) => Place;

/** The forbids of one file's `cedar:` block, or what is wrong with it. They stay text: Cedar's JSON form would round large numbers. */
export function readCeilings(text: string, place: PlaceInCedar): readonly Ceiling[] | readonly Problem[] {
  const parts = policySetTextToParts(text);
  if (parts.type === "failure") return parts.errors.map((error) => cedarProblem(error, place));
  const problems = parts.policy_templates.map((template) => ({
    ...place(Math.max(0, text.indexOf(template))),
    message: "cedar: is a template (`?principal`, `?resource`); write a plain forbid",
  }));
  let from = 0;
  const read = parts.policies.map((policy) => {
    const start = Math.max(0, text.indexOf(policy, from));
    from = start + 1;
    return readCeiling(policy, place, start);
  });
  const bad = [...problems, ...read.filter((one) => "message" in one)];
  return bad.length > 0 ? bad : read.filter((one) => "id" in one);
}

function readCeiling(text: string, place: PlaceInCedar, start: number): Ceiling | Problem {
  const { file, line, column } = place(start);
  const parsed = policyToJson(text);
  if (parsed.type === "failure")
    return { file, line, column, message: `cedar: ${parsed.errors.map((error) => error.message).join("; ")}` };
  const { effect, annotations } = parsed.json;
  if (effect !== "forbid") {
    return {
      file,
      line,
      column,
      message: "cedar: is a permit; a ceiling only forbids. What is allowed is written under `grants:`",
    };
  }
  const at = `${file}:${String(line)}:${String(column)}`;
  return {
    id: `ceiling ${at}`,
    name: annotations?.["id"] ?? `${file}:${String(line)}`,
    reason: annotations?.["reason"],
    file,
    line,
    text,
  };
}

const cedarProblem = (error: DetailedError, place: PlaceInCedar): Problem => {
  const [source] = error.sourceLocations ?? [];
  const detail = [error.message, source?.label, error.help].filter(Boolean).join("; ");
  return { ...place(source?.start ?? 0), message: `cedar: ${detail}` };
};

/* ---- validation and preparing ---- */

type Rules = Pick<PolicySet, "grants" | "ceilings">;

const grantId = (grant: Grant): string => `grant ${grant.name}`;

function policiesOf({ grants, ceilings }: Rules) {
  return {
    staticPolicies: Object.fromEntries<string | PolicyJson>([
      ...grants.map((grant) => [grantId(grant), permitOf(grant)] as const),
      ...ceilings.map((ceiling) => [ceiling.id, ceiling.text] as const),
    ]),
  };
}

/** Strict, and a warning counts: a forbid that can never apply is a hole that looks like a wall. */
export function cedarProblems(rules: Rules): readonly Problem[] {
  const answer = validate({ validationSettings: { mode: "strict" }, schema, policies: policiesOf(rules) });
  if (answer.type === "failure")
    return answer.errors.map((error) => ({ ...sourceOf("", rules), message: `cedar: ${error.message}` }));
  return [...answer.validationErrors, ...answer.validationWarnings].map(({ policyId, error }) => ({
    ...sourceOf(policyId, rules),
    message: `cedar: ${[error.message.replace(/^for policy `[^`]*`, /, ""), error.help].filter(Boolean).join("; ")}`,
  }));
}

function sourceOf(policyId: string, { grants, ceilings }: Rules): Place {
  const source =
    ceilings.find((ceiling) => ceiling.id === policyId) ?? grants.find((grant) => grantId(grant) === policyId);
  return { file: source?.file ?? "policy", line: source?.line ?? 1, column: 1 };
}

/** Cedar never forgets a prepared set, so sets take turns in a few slots: the one in force, one being loaded, and two more. */
const slots = ["set 0", "set 1", "set 2", "set 3"];
const inSlot = new Map<Rules, string>();
let schemaPrepared = false;

function prepared(rules: Rules): string {
  const known = inSlot.get(rules);
  if (known !== undefined) return known;
  if (!schemaPrepared) must(preparseSchema("signet", schema));
  schemaPrepared = true;
  const slot = freeSlot();
  must(preparsePolicySet(slot, policiesOf(rules)));
  inSlot.set(rules, slot);
  return slot;
}

/** A Map keeps the order of insertion: its first entry is the set prepared longest ago. */
function freeSlot(): string {
  const taken = [...inSlot.values()];
  const free = slots.find((slot) => !taken.includes(slot));
  if (free !== undefined) return free;
  const [[oldest, slot] = []] = inSlot;
  if (oldest === undefined || slot === undefined) throw new Error("no slot for a policy set");
  inSlot.delete(oldest);
  return slot;
}

function must(answer: { type: "success" } | { type: "failure"; errors: DetailedError[] }): void {
  if (answer.type === "failure") throw new Error(answer.errors.map((error) => error.message).join("; "));
}

/* ---- the question ---- */

export interface Question {
  readonly principal: Workload;
  readonly key: string;
  readonly purpose: Purpose;
  readonly grant: Grant;
  /** As the session would get them. */
  readonly limits: GrantLimits;
  readonly at: number;
}

export type Verdict =
  | { readonly kind: "allowed" }
  | { readonly kind: "forbidden"; readonly by: readonly Ceiling[] }
  /** Something in Cedar failed: nothing may be opened until an operator has looked. */
  | { readonly kind: "error"; readonly message: string };

/** May this job open a session with this key under this grant? */
export function askCedar(policy: PolicySet, question: Question): Verdict {
  try {
    return verdict(policy, question);
  } catch (error) {
    return { kind: "error", message: error instanceof Error ? error.message : String(error) };
  }
}

function verdict(policy: PolicySet, question: Question): Verdict {
  const answer = statefulIsAuthorized({
    ...requestOf(question),
    preparsedPolicySetId: prepared(policy),
    preparsedSchemaName: "signet",
    validateRequest: true,
  });
  if (answer.type === "failure")
    return { kind: "error", message: answer.errors.map((error) => error.message).join("; ") };
  const { decision, diagnostics } = answer.response;
  // Cedar skips a policy that errs, so that a forbid which errs would allow. Here an error is a no.
  const [error] = diagnostics.errors;
  if (error) return { kind: "error", message: `${error.policyId}: ${error.error.message}` };
  if (decision === "allow" && diagnostics.reason.includes(grantId(question.grant))) return { kind: "allowed" };
  const by = policy.ceilings.filter((ceiling) => diagnostics.reason.includes(ceiling.id));
  if (by.length > 0) return { kind: "forbidden", by };
  return { kind: "error", message: `the grant fits, but its Cedar permit does not` };
}

function requestOf({ principal, key, purpose, grant, limits, at }: Question) {
  const caller = { type: "Workload", id: principalKey(principal) };
  const resource = { type: "Key", id: key };
  const entities: EntityJson[] = [
    { uid: caller, attrs: claimsOf(principal), parents: [] },
    { uid: resource, attrs: { name: key, purpose }, parents: [] },
  ];
  const context = {
    grant: grant.name,
    uses: limits.uses,
    ttl: { __extn: { fn: "duration", arg: `${String(limits.ttl)}ms` } },
    at: { __extn: { fn: "datetime", arg: rfc3339(at) } },
    matched: [...matchedGlobs(grant, principal)],
    withinWindow: isOpenAt(limits.windows, at),
  };
  return { principal: caller, action: openSession, resource, context, entities };
}

/** The claims as they are; one of a wrong type fails the schema and with it the request. */
function claimsOf(principal: Workload): Record<string, CedarValueJson> {
  const { issuer, tenantId, tenant, projectId, project } = principal;
  const { ref, refType, refProtected, environment, workflow, workflowSha, commit, event, runner, actorId } = principal;
  const optional = { ref, refType, refProtected, environment, workflow, workflowSha, commit, event, runner, actorId };
  const present = Object.entries(optional).filter(
    (entry): entry is [string, string | boolean] => entry[1] !== undefined,
  );
  return { issuer, tenantId, tenant, projectId, project, ...Object.fromEntries(present) };
}
