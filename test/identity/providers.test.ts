// Which job is this? Each provider's real claims, and what is not one: attacks 15 to 21 as far as claims go.

import { describe, expect, test } from "vitest";
import {
  githubClaims,
  gitlabClaims,
  kubernetesClaims,
  personClaims,
  type TokenClaims,
} from "../../src/cli/dev/claims.ts";
import { type Claims, Unacceptable } from "../../src/identity/claims.ts";
import { type IssuerConfig, providers } from "../../src/identity/index.ts";

const generic = { org: "o-1", pipeline: "p-1", slug: "acme/app", branch: "main", kind: "branch", sub: "job" };
const genericNames = {
  tenantId: "org",
  projectId: "pipeline",
  project: "slug",
  ref: "branch",
  refType: "kind",
  refProtected: "protected",
};

function read(provider: IssuerConfig["provider"], claims: Claims, config: Partial<IssuerConfig> = {}) {
  const adapter = providers.find(({ name }) => name === provider);
  const caller = adapter?.reader({ issuer: "https://issuer.example.com", audience: "signet", provider, ...config })(
    claims,
  );
  if (!caller) throw new Error(`no provider ${provider}`);
  return caller.kind === "workload" ? caller.principal : caller;
}

test("a GitHub job", () => {
  expect(read("github", githubClaims({ environment: "production" }))).toEqual({
    kind: "workload",
    provider: "github",
    issuer: "https://issuer.example.com",
    subject: "repo:acme/app:ref:refs/tags/v1.4.0",
    tenantId: "9876",
    tenant: "acme",
    projectId: "123456",
    project: "acme/app",
    ref: "refs/tags/v1.4.0",
    refType: "tag",
    refProtected: true,
    environment: "production",
    workflow: "acme/app/.github/workflows/release.yml@refs/tags/v1.4.0",
    workflowSha: "5f2c1e0b9a8d7c6b5a4f3e2d1c0b9a8d7c6b5a4f",
    commit: "5f2c1e0b9a8d7c6b5a4f3e2d1c0b9a8d7c6b5a4f",
    event: "push",
    runner: "hosted",
    run: "987",
    attempt: "1",
    actorId: "4242",
    actor: "alex",
  });
});

test("attack 17: the old and the new form of sub are one identity", () => {
  const young = read("github", githubClaims({ sub: "repo:acme@9876/app@123456:ref:refs/tags/v1.4.0" }));
  expect({ ...young, subject: "" }).toEqual({ ...read("github", githubClaims()), subject: "" });
});

test("a pull request at GitHub has a ref and is no branch", () => {
  const claims = githubClaims({ ref: "refs/pull/7/merge", ref_type: "branch", event_name: "pull_request" });
  expect(read("github", claims)).toMatchObject({ ref: "refs/pull/7/merge", refType: undefined, event: "pull_request" });
});

test("a reusable workflow is the one that holds the job", () => {
  const job_workflow_ref = "acme/build/.github/workflows/sign.yml@refs/tags/v3";
  expect(read("github", githubClaims({ job_workflow_ref, job_workflow_sha: "a".repeat(40) }))).toMatchObject({
    workflow: job_workflow_ref,
    workflowSha: "a".repeat(40),
  });
});

test("a GitLab job, its ref made full", () => {
  expect(read("gitlab", gitlabClaims())).toMatchObject({
    tenantId: "72",
    tenant: "acme",
    projectId: "20",
    project: "acme/app",
    ref: "refs/tags/v1.4.0",
    refType: "tag",
    refProtected: true,
    runner: "hosted",
    event: "push",
    run: "574",
  });
  expect(
    read("gitlab", gitlabClaims({ ref: "main", ref_type: "branch", ref_path: undefined, ref_protected: "false" })),
  ).toMatchObject({
    ref: "refs/heads/main",
    refType: "branch",
    refProtected: false,
  });
  expect(read("gitlab", gitlabClaims({ ci_config_ref_uri: null, ci_config_sha: null }))).toMatchObject({
    workflow: undefined,
  });
});

test("attack 18: a merge request's pipeline at GitLab is on no branch, whatever ref says", () => {
  const request = { ref: "main", ref_type: "branch", pipeline_source: "merge_request_event" };
  expect(read("gitlab", gitlabClaims({ ...request, ref_path: "refs/merge-requests/1/head" }))).toMatchObject({
    ref: "refs/merge-requests/1/head",
    refType: undefined,
  });
  expect(read("gitlab", gitlabClaims({ ...request, ref_path: undefined }))).not.toHaveProperty("ref");
});

test("a Kubernetes service account", () => {
  expect(read("kubernetes", kubernetesClaims())).toEqual({
    kind: "workload",
    provider: "kubernetes",
    issuer: "https://issuer.example.com",
    subject: "system:serviceaccount:ci:release",
    tenantId: "ci",
    tenant: "ci",
    projectId: "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798",
    project: "ci/release",
    run: "5e0bd49b-f040-43b0-99b7-22765a53f7f3",
  });
});

test("a job of another issuer, read by the names the operator gave", () => {
  expect(read("generic", generic, { claims: genericNames })).toMatchObject({
    tenantId: "o-1",
    tenant: "o-1",
    projectId: "p-1",
    project: "acme/app",
    ref: "refs/heads/main",
    refType: "branch",
  });
  expect(read("generic", { ...generic, protected: true }, { claims: genericNames })).toMatchObject({
    refProtected: true,
  });
  expect(read("generic", { ...generic, protected: "false" }, { claims: genericNames })).toMatchObject({
    refProtected: false,
  });
  expect(() => read("generic", generic)).toThrow(TypeError);
});

test("a person, by the name that the issuer gives", () => {
  expect(read("person", personClaims())).toMatchObject({
    kind: "person",
    subject: "dev-person",
    name: "dev",
    methods: ["pwd", "otp"],
  });
  expect(read("person", { sub: "1", email: "alex@example.com" })).toMatchObject({
    name: "alex@example.com",
    methods: [],
  });
  expect(read("person", { sub: "1" })).toMatchObject({ name: "1" });
});

const bidi = "\u202e";
const wrong: Readonly<Record<string, readonly TokenClaims[]>> = {
  github: [
    { repository_id: undefined },
    { repository_owner_id: undefined },
    { repository_id: 123456 },
    { repository_id: "0123" },
    { repository_id: "12e3" },
    { repository_id: "" },
    { repository: "other/app" },
    { repository: "acme/app/x" },
    { repository: "acme/.." },
    { repository: "acme/\u212aube" },
    { repository_owner: "acme\u200b", repository: "acme\u200b/app" },
    { repository: ["acme/app"] },
    { sub: 7 },
    { sub: "" },
    { ref_protected: true },
    { ref_protected: "True" },
    { ref_protected: "1" },
    { ref_type: "branch" },
    { ref_type: "commit" },
    { ref: "v1.4.0" },
    { ref: "refs/tags/v1\nrefs/heads/x" },
    { ref: "refs/tags/v1/../.." },
    { ref: "refs/tags/v1.lock" },
    { ref: "refs/tags//v1" },
    { ref: "refs/tags/.v1" },
    { ref: "refs/tags/v1@{0}" },
    { ref: "refs/tags/v 1" },
    { ref: "refs/tags/v*" },
    { ref: `refs/tags/${bidi}v1` },
    { ref: "refs/tags/cafe\u0301" },
    { ref: `refs/tags/${"x".repeat(2000)}` },
    { ref: "" },
    { environment: ["production"] },
    { environment: {} },
    { environment: "production\u200d" },
    { environment: " production" },
    { environment: "pro\u00a0duction" },
    { environment: "x".repeat(256) },
    { environment: "\ud800" },
    { environment: null },
    { event_name: "Push" },
    { runner_environment: "cloud" },
    { run_id: 987 },
    { run_attempt: 1 },
    { actor_id: 4242 },
    { actor: "alex\u001b[31m" },
    { sha: "5F2C" },
    { sha: "main" },
    { job_workflow_ref: "acme/app/.github/workflows/release.yml" },
    { job_workflow_ref: "@refs/heads/main" },
    { job_workflow_ref: "acme/app/x.yml@main" },
  ],
  gitlab: [
    { project_id: 20 },
    { project_id: undefined },
    { namespace_id: undefined },
    { project_path: "other/app" },
    { project_path: "acme//app", namespace_path: "acme" },
    { ref_protected: true },
    { ref_type: undefined },
    { ref_type: "workspace" },
    { ref: "v1/../x", ref_path: undefined },
    { ref: "v2" },
    { ref_path: "v1.4.0" },
    { pipeline_id: 574 },
    { runner_environment: true },
    { environment: null },
    { ci_config_sha: 1 },
  ],
  kubernetes: [
    { "kubernetes.io": undefined },
    { "kubernetes.io": "ci" },
    { "kubernetes.io": { namespace: "ci" } },
    { "kubernetes.io": { namespace: "ci", serviceaccount: { name: "release" } } },
    { "kubernetes.io": { namespace: "ci", serviceaccount: { name: "release", uid: 7 } } },
    { "kubernetes.io": { namespace: "ci", serviceaccount: [] } },
    { sub: "system:serviceaccount:ci:other" },
    { sub: "system:node:node-1" },
  ],
  generic: [
    { org: undefined },
    { org: 7 },
    { pipeline: "a b" },
    { slug: 7 },
    { branch: "refs/tags/v1" },
    { branch: "a..b" },
    { kind: undefined },
    { protected: "yes" },
    { protected: 1 },
  ],
  person: [
    { sub: undefined },
    { sub: 7 },
    { preferred_username: `a${bidi}b` },
    { amr: "pwd" },
    { amr: [1] },
    { amr: Array(17).fill("x") },
  ],
};
const base: Readonly<Record<string, TokenClaims>> = {
  github: githubClaims(),
  gitlab: gitlabClaims(),
  kubernetes: kubernetesClaims(),
  generic,
  person: personClaims(),
};

describe.each(providers.map(({ name }) => name))("attacks 19 to 21 on %s: refused, never coerced", (name) => {
  test.each(wrong[name] ?? [])("%j", (changes) => {
    const claims = Object.fromEntries(
      Object.entries({ ...base[name], ...changes }).filter(([, value]) => value !== undefined),
    );
    expect(() => read(name, claims, { claims: genericNames })).toThrow(Unacceptable);
  });
});

test("a refusal shows what was found in plain ASCII on one line", () => {
  expect(() => read("github", githubClaims({ environment: `x\n\u001b[31m${bidi}` }))).toThrow(
    /^claim "environment" is "x\\n\\u001b\[31m\\u202e"; expected [ -~]+$/,
  );
});

test("claims are read from the token alone, not from what every object inherits", () => {
  expect(() => read("generic", { sub: "job" }, { claims: { tenantId: "constructor", projectId: "toString" } })).toThrow(
    /no claim "constructor"/,
  );
});
