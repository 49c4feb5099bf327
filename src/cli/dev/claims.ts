// What do tokens of the great CI providers look like? Claims in their real shapes, for an issuer that stands for them.

export type TokenClaims = Readonly<Record<string, unknown>>;

const commit = "5f2c1e0b9a8d7c6b5a4f3e2d1c0b9a8d7c6b5a4f";

/** GitHub Actions: every value a string. */
export const githubClaims = (claims: TokenClaims = {}): TokenClaims => ({
  sub: "repo:acme/app:ref:refs/tags/v1.4.0",
  repository: "acme/app",
  repository_id: "123456",
  repository_owner: "acme",
  repository_owner_id: "9876",
  repository_visibility: "private",
  ref: "refs/tags/v1.4.0",
  ref_type: "tag",
  ref_protected: "true",
  base_ref: "",
  head_ref: "",
  sha: commit,
  event_name: "push",
  workflow: "release",
  workflow_ref: "acme/app/.github/workflows/release.yml@refs/tags/v1.4.0",
  workflow_sha: commit,
  job_workflow_ref: "acme/app/.github/workflows/release.yml@refs/tags/v1.4.0",
  job_workflow_sha: commit,
  runner_environment: "github-hosted",
  run_id: "987",
  run_number: "12",
  run_attempt: "1",
  actor: "alex",
  actor_id: "4242",
  ...claims,
});

/** GitLab CI: strings, but for runner_id; the ref without its prefix. */
export const gitlabClaims = (claims: TokenClaims = {}): TokenClaims => ({
  sub: "project_path:acme/app:ref_type:tag:ref:v1.4.0",
  namespace_id: "72",
  namespace_path: "acme",
  project_id: "20",
  project_path: "acme/app",
  user_id: "1",
  user_login: "alex",
  user_email: "alex@example.com",
  pipeline_id: "574",
  pipeline_source: "push",
  job_id: "302",
  ref: "v1.4.0",
  ref_type: "tag",
  ref_path: "refs/tags/v1.4.0",
  ref_protected: "true",
  runner_id: 1,
  runner_environment: "gitlab-hosted",
  sha: commit,
  project_visibility: "private",
  ci_config_ref_uri: "gitlab.example.com/acme/app//.gitlab-ci.yml@refs/tags/v1.4.0",
  ci_config_sha: commit,
  ...claims,
});

/** A Kubernetes service account's bound token. */
export const kubernetesClaims = (claims: TokenClaims = {}): TokenClaims => ({
  sub: "system:serviceaccount:ci:release",
  "kubernetes.io": {
    namespace: "ci",
    node: { name: "node-1", uid: "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1" },
    pod: { name: "release-x7k2p", uid: "5e0bd49b-f040-43b0-99b7-22765a53f7f3" },
    serviceaccount: { name: "release", uid: "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" },
  },
  ...claims,
});

/** A person at an OpenID provider. */
export const personClaims = (claims: TokenClaims = {}): TokenClaims => ({
  sub: "dev-person",
  preferred_username: "dev",
  amr: ["pwd", "otp"],
  ...claims,
});
