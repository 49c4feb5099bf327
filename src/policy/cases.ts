// mustAllow and mustDeny: what the author of a policy expects of it, tried on the whole set before it takes effect.

import { isRefusalCode } from "../model/errors.ts";
import type { ItemRecord } from "../model/item.ts";
import type { Purpose } from "../model/key.ts";
import { purposes } from "../model/key.ts";
import type { ParsedCase, ParsedItem } from "./file.ts";
import type { OpenRequest } from "./fit.ts";
import { grantedPurposes } from "./fit.ts";
import type { PolicySet } from "./grant.ts";
import { decideItems } from "./items.ts";
import { decideOpen } from "./open.ts";

/** What went otherwise than the case expects; undefined when nothing did. */
export function failureOf(policy: PolicySet, kind: "mustAllow" | "mustDeny", one: ParsedCase): string | undefined {
  const request = requestOf(policy, one);
  const opened = decideOpen(policy, request);
  const refusal =
    opened.effect === "deny" ? opened.refusal : decideItems(opened.limits, (one.items ?? []).map(recordOf), request.at);
  const name = `${kind} case "${one.name}"`;
  if (kind === "mustAllow") {
    if (refusal) return `${name} is refused: ${refusal.refusal}, ${refusal.message.replaceAll("\n", "; ")}`;
    const wanted = "grant" in one ? one.grant : undefined;
    const got = opened.effect === "permit" ? opened.grant : undefined;
    return wanted === undefined || wanted === got
      ? undefined
      : `${name} is allowed by grant "${got ?? ""}"; expected "${wanted}"`;
  }
  if (!refusal) return `${name} is allowed${opened.effect === "permit" ? ` by grant "${opened.grant}"` : ""}`;
  const reason = "reason" in one ? one.reason : undefined;
  if (reason === undefined || (isRefusalCode(reason) ? refusal.refusal === reason : refusal.message.includes(reason)))
    return undefined;
  return `${name} is refused, but not for "${reason}": ${refusal.refusal}, ${refusal.message.replaceAll("\n", "; ")}`;
}

/** A Wednesday at noon UTC: inside the windows that most people write. */
const usualMoment = Date.UTC(2026, 0, 7, 12);

function requestOf(policy: PolicySet, one: ParsedCase): OpenRequest {
  return {
    principal: {
      kind: "workload",
      provider: "generic",
      subject: "case",
      ...one.who,
      tenantId: one.who.tenantId ?? "",
      tenant: one.who.tenant ?? "",
      projectId: one.who.projectId ?? "",
      project: one.who.project ?? "",
    },
    keys: one.keys,
    purposes: Object.fromEntries(one.keys.map((key) => [key, one.purposes?.[key] ?? usualPurpose(policy, key)])),
    uses: one.uses,
    ttl: one.ttl,
    at: one.at ?? usualMoment,
  };
}

/** A case that names no purpose takes the one under which the first grant lends the key. Without a grant it is denied anyway. */
function usualPurpose(policy: PolicySet, key: string): Purpose {
  const grant = policy.grants.find(({ keys }) => keys.includes(key));
  return (grant && grantedPurposes(grant.limits)[0]) ?? purposes[0];
}

/** As the broker would record it; what was signed does not matter to policy. */
function recordOf(item: ParsedItem): ItemRecord {
  const digest = `sha256:${"0".repeat(64)}`;
  const signed = "0".repeat(64);
  if ("statement" in item) {
    const { predicateType, subjects } = item.statement;
    return {
      kind: "statement",
      artifacts: subjects.map((name) => ({ name, digest })),
      predicateType,
      format: "dsse",
      form: "message",
      signed,
    };
  }
  if ("image" in item) {
    return {
      kind: "image",
      artifacts: [{ digest }],
      repository: item.image.repository,
      format: "raw",
      form: "message",
      signed,
    };
  }
  if ("jws" in item)
    return { kind: "jws", artifacts: [], tokenType: item.jws.type, format: "jws", form: "message", signed };
  if ("blob" in item)
    return { kind: "blob", artifacts: [{ name: item.blob.name, digest }], format: "raw", form: "digest", signed };
  return { kind: "digest", artifacts: [{ digest }], format: "raw", form: "digest", signed };
}
