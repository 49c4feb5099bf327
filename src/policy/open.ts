// May this job open a session, and with which limits? A session is permitted when one grant fits the request as a whole
// (all keys, all claims) and Cedar agrees for every key, with the organisation's ceiling in view. Grants are tried by
// file and order; the first that passes both is the session's grant, so that the same request always gets the same one.

import type { Refusal } from "../model/errors.ts";
import { refuse } from "../model/errors.ts";
import type { Decision, GrantLimits } from "../model/grant.ts";
import type { Workload } from "../model/principal.ts";
import type { Verdict } from "./cedar.ts";
import { askCedar } from "./cedar.ts";
import type { Condition, Fit, OpenRequest } from "./fit.ts";
import { fitOf, flawOf, purposeAsked, strictest } from "./fit.ts";
import type { Grant, PolicySet } from "./grant.ts";
import { namesTenantOf } from "./grant.ts";
import { listed, shown } from "./shown.ts";
import { describeMoment, nextOpening } from "./window.ts";

export type OpenDecision =
  | { readonly effect: "permit"; readonly decision: Decision; readonly grant: string; readonly limits: GrantLimits }
  | { readonly effect: "deny"; readonly decision: Decision; readonly refusal: Refusal };

export function decideOpen(policy: PolicySet, request: OpenRequest): OpenDecision {
  const flaw = flawOf(request);
  if (flaw !== undefined) return deny(policy, refuse("POLICY_DENIED", `no session can be opened: ${flaw}`));
  const fits = policy.grants.map((grant) => fitOf(grant, request));
  const vetoes: Veto[] = [];
  for (const { grant } of fits.filter((fit) => fit.fits)) {
    const verdict = askForAllKeys(policy, grant, request);
    if (verdict.kind === "allowed") return permit(policy, grant, request);
    vetoes.push({ grant, verdict });
    if (verdict.kind === "error") break;
  }
  return deny(policy, vetoes.length > 0 ? vetoed(vetoes, request) : nothingFits(policy, fits, request));
}

/** Is this principal's tenant or project named by some grant? Refusals of others are counted, not logged. */
export const namesTenant = (policy: PolicySet, principal: Workload): boolean =>
  policy.grants.some((grant) => namesTenantOf(grant, principal));

export type Refused = Exclude<Verdict, { readonly kind: "allowed" }>;
interface Veto {
  readonly grant: Grant;
  readonly verdict: Refused;
}

/** The first no of any key, else a yes. */
export function askForAllKeys(policy: PolicySet, grant: Grant, request: OpenRequest): Verdict {
  const limits = strictest(grant.limits, request);
  for (const key of request.keys) {
    const purpose = purposeAsked(request, key);
    if (purpose === undefined) return { kind: "error", message: `the purpose of key ${shown(key)} is not known` };
    const verdict = askCedar(policy, { principal: request.principal, key, purpose, grant, limits, at: request.at });
    if (verdict.kind !== "allowed") return verdict;
  }
  return { kind: "allowed" };
}

const permit = (policy: PolicySet, grant: Grant, request: OpenRequest): OpenDecision => ({
  effect: "permit",
  decision: {
    effect: "permit",
    grant: grant.name,
    policy: policy.hash,
    reasons: [`grant "${grant.name}" (${grant.file}:${String(grant.line)}) fits`],
  },
  grant: grant.name,
  limits: strictest(grant.limits, request),
});

const deny = (policy: PolicySet, refusal: Refusal): OpenDecision => ({
  effect: "deny",
  decision: { effect: "deny", policy: policy.hash, reasons: refusal.message.split("\n") },
  refusal,
});

/* ---- words for the one who was refused: what was asked, what was found, what to do next ---- */

function nothingFits(policy: PolicySet, fits: readonly Fit[], request: OpenRequest): Refusal {
  const { principal } = request;
  const named = fits.filter((fit) => namesTenantOf(fit.grant, principal));
  const closest = named.toSorted((a, b) => distance(a) - distance(b))[0];
  const miss = closest?.conditions.find((condition) => !condition.fits);
  if (closest === undefined || miss === undefined) return stranger(policy, request);
  const onlyTime = named.filter((fit) =>
    fit.conditions.every((condition) => condition.fits || condition.name === "when"),
  );
  if (onlyTime.length > 0)
    return closed(
      onlyTime.map((fit) => fit.grant),
      request,
    );
  return refuse(
    "POLICY_DENIED",
    lines(request, `grant "${closest.grant.name}" ${wants(miss)}`),
    nextStep(miss, closest.grant, request),
  );
}

/** Fewer misses are closer; a wrong id or issuer is far, a wrong key less so. */
const distance = (fit: Fit): number =>
  fit.conditions.filter((condition) => !condition.fits).reduce((sum, { name }) => sum + (weights[name] ?? 1), 0);
const weights: Readonly<Partial<Record<string, number>>> = {
  issuer: 10_000,
  tenantId: 10_000,
  projectId: 10_000,
  keys: 100,
  what: 100,
};

const lines = (request: OpenRequest, found: string): string =>
  [`no grant lets this job use ${keysOf(request)}`, `asked: ${askedOf(request.principal)}`, `found: ${found}`].join(
    "\n",
  );

const keysOf = ({ keys }: OpenRequest): string =>
  keys.length === 1
    ? `key "${shown(keys[0])}"`
    : `the keys ${listed(
        keys.map((key) => `"${key}"`),
        "and",
      )} in one session`;

/** `acme/app, refs/heads/feature-x, workflow ci.yml`. */
function askedOf({ project, projectId, ref, workflow, environment, event }: Workload): string {
  return [
    project || projectId,
    ref,
    workflow !== undefined && `workflow ${workflow}`,
    environment !== undefined && `environment ${environment}`,
    event !== undefined && event !== "push" && `event ${event}`,
  ]
    .filter((part) => typeof part === "string")
    .map(shown)
    .join(", ");
}

function wants({ name, needed, asked }: Condition): string {
  switch (name) {
    case "keys":
      return `lends ${needed}`;
    case "what":
      return `lends keys of ${needed} (yours: ${asked})`;
    case "when":
      return `is open ${needed} (now: ${asked})`;
    case "needs.protectedRef":
    case "needs.hostedRunner":
      return `needs ${needed} (yours: ${asked})`;
    default:
      return `needs ${name} ${needed} (yours is ${asked})`;
  }
}

const nextSteps: Readonly<Partial<Record<string, string>>> = {
  ref: "run the job on a ref that fits",
  refType: "run the job on a ref of that type",
  refProtected: "protect the branch or tag at your CI provider",
  environment: "run the job in that environment",
  workflow: "sign from that workflow",
  event: "let that event start the job",
  runner: "use such a runner",
  "needs.protectedRef": "protect the branch or tag at your CI provider",
  "needs.hostedRunner": "use the provider's hosted runner",
};

function nextStep(miss: Condition, grant: Grant, { keys }: OpenRequest): string {
  if (miss.name === "keys" && keys.length > 1)
    return "one grant has to cover every key of a session: open one session for each key";
  const step = nextSteps[miss.name];
  const operator = `ask an operator to change grant "${grant.name}" (${grant.file}:${String(grant.line)}) or to add one`;
  return step === undefined ? operator : `${step}, or ${operator}`;
}

/** A stranger learns nothing about the grants of others. */
function stranger(policy: PolicySet, request: OpenRequest): Refusal {
  const { issuer, tenantId, projectId } = request.principal;
  const found = policy.grants.length === 0 ? "there are no grants at all" : "no grant names this project or its owner";
  const ids = `issuer ${shown(issuer)}, tenantId ${shown(tenantId)}, projectId ${shown(projectId)}`;
  return refuse("POLICY_DENIED", lines(request, `${found} (${ids})`), "ask an operator to add a grant with these ids");
}

function closed(grants: readonly Grant[], request: OpenRequest): Refusal {
  const openings = grants.flatMap(({ limits }) => nextOpening(limits.windows, request.at) ?? []);
  const next = openings.length > 0 ? `it opens ${describeMoment(Math.min(...openings))}` : "it never opens again";
  const names = listed(grants.map((grant) => `"${grant.name}"`));
  return refuse(
    "OUTSIDE_WINDOW",
    [`grant ${names} would fit, but is not open now`, `asked: ${describeMoment(request.at)}`, `found: ${next}`].join(
      "\n",
    ),
    "wait for that time, or ask an operator",
  );
}

/** Grants fit, and yet no: by the ceiling, or because policy itself failed. */
function vetoed(vetoes: readonly Veto[], request: OpenRequest): Refusal {
  const broken = vetoes.find(({ verdict }) => verdict.kind === "error");
  if (broken) {
    return refuse(
      "POLICY_DENIED",
      lines(
        request,
        `grant "${broken.grant.name}" fits, but policy could not be evaluated, and an error is a no (${why(broken.verdict)})`,
      ),
      "tell an operator: `signet policy explain` shows the same",
    );
  }
  const [first] = vetoes;
  const found = first ? `grant "${first.grant.name}" fits, but ${why(first.verdict)}` : "nothing";
  return refuse(
    "POLICY_DENIED",
    lines(request, found),
    "the organisation's ceiling stands above grants: ask an operator",
  );
}

export function why(verdict: Refused): string {
  if (verdict.kind === "error") return shown(verdict.message);
  return verdict.by
    .map(
      ({ name, reason, file, line }) =>
        `the ceiling "${shown(name)}" (${file}:${String(line)}) forbids it${reason === undefined ? "" : `: ${shown(reason)}`}`,
    )
    .join("; ");
}
