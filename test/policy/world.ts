// A release job of acme/app and grants around it, in as few words as a test needs.

import type { ItemRecord } from "../../src/model/item.ts";
import type { Workload } from "../../src/model/principal.ts";
import type { OpenRequest, PolicySet } from "../../src/policy/index.ts";
import { loadPolicy, PolicyError } from "../../src/policy/index.ts";

export const github = "https://token.actions.githubusercontent.com";

export const job: Workload = {
  kind: "workload",
  provider: "github",
  issuer: github,
  subject: "repo:acme/app:environment:release",
  tenantId: "815",
  tenant: "acme",
  projectId: "4711",
  project: "acme/app",
  ref: "refs/tags/v1.4.0",
  refType: "tag",
  refProtected: true,
  environment: "release",
  workflow: "acme/app/.github/workflows/release.yml@refs/tags/v1.4.0",
  event: "push",
  runner: "hosted",
};

/** A Wednesday at noon UTC. */
export const noon = Date.UTC(2026, 0, 7, 12);

export const asking = (principal: Partial<Workload> = {}, more: Partial<OpenRequest> = {}): OpenRequest => ({
  principal: { ...job, ...principal },
  keys: ["release"],
  purposes: { release: "BLOB", attest: "ATTESTATION", other: "BLOB" },
  at: noon,
  ...more,
});

export interface GrantText {
  readonly name?: string;
  /** Further lines of `who`, YAML flow members. */
  readonly who?: string;
  readonly ids?: string;
  readonly keys?: string;
  readonly what?: string;
  readonly limits?: string;
  /** Further YAML flow members of the grant. */
  readonly more?: string;
}

export const grantText = (grant: GrantText = {}): string =>
  `  - { name: ${grant.name ?? "release-tags"}, who: { issuer: "${github}", ${grant.ids ?? 'tenantId: "815", projectId: "4711"'}, ${grant.who ?? "ref: refs/tags/v*"} }, keys: ${grant.keys ?? "[release, attest]"}, what: ${grant.what ?? '{ blob: { names: ["*.tgz"] }, statement: { predicateTypes: ["https://slsa.dev/provenance/v1"], subjects: ["*.tgz"] } }'}, limits: ${grant.limits ?? "{ uses: 20, ttl: PT10M }"}${grant.more === undefined ? "" : `, ${grant.more}`} }\n`;

/** Without arguments: the one grant that fits the job. */
export const policyText = (...grants: readonly GrantText[]): string =>
  `grants:\n${(grants.length === 0 ? [{}] : grants).map(grantText).join("")}`;

export const load = (text: string): PolicySet => loadPolicy([{ path: "policy.yaml", text }]);

export const policy = (...grants: readonly GrantText[]): PolicySet => load(policyText(...grants));

/** The PolicyError that loading ends with. */
export function errorOf(text: string): PolicyError {
  try {
    load(text);
  } catch (error) {
    if (error instanceof PolicyError) return error;
    throw error;
  }
  throw new Error("the policy loaded, but should not have");
}

const digest = `sha256:${"ab".repeat(32)}`;

export const blob = (name?: string): ItemRecord => ({
  kind: "blob",
  artifacts: [name === undefined ? { digest } : { name, digest }],
  format: "raw",
  form: "digest",
  signed: "ab".repeat(32),
});

export const statement = (predicateType: string | undefined, ...names: readonly string[]): ItemRecord => ({
  kind: "statement",
  artifacts: names.map((name) => ({ name, digest })),
  predicateType,
  format: "dsse",
  form: "message",
  signed: "ab".repeat(32),
});
