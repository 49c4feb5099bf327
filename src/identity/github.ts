// Which GitHub Actions job is this? (docs.github.com, "OpenID Connect reference"; GitHub Enterprise Server alike.)
// Identity is repository_id and repository_owner_id. `sub` is customisable, changed its form in July 2026 and loses
// the ref where there is an environment: it is shown, never matched. Every claim is a string, booleans too.

import {
  type Claims,
  commitId,
  decimalId,
  fullRef,
  matching,
  optional,
  optionalWord,
  printable,
  refTypeOf,
  required,
  trueOrFalse,
  Unacceptable,
  word,
  workflowAtRef,
} from "./claims.ts";
import { minutes, type Provider } from "./issuer.ts";

const owner = matching("an account name", /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/);
const repository = matching("OWNER/REPOSITORY", /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/);
const runners = { "github-hosted": "hosted", "self-hosted": "self-hosted" } as const;
const refTypes = { branch: "branch", tag: "tag" } as const;

export const github: Provider = {
  name: "github",
  algorithms: ["RS256"],
  maxLifetime: minutes(60),
  reader: (issuer) => (claims) => ({
    kind: "workload",
    principal: {
      kind: "workload",
      provider: "github",
      issuer: issuer.issuer,
      subject: required(claims, "sub", printable(1024)),
      tenantId: required(claims, "repository_owner_id", decimalId),
      tenant: required(claims, "repository_owner", owner),
      projectId: required(claims, "repository_id", decimalId),
      project: ownRepository(claims),
      ...refOf(claims),
      refProtected: optionalWord(claims, "ref_protected", trueOrFalse),
      environment: optional(claims, "environment", printable()),
      ...workflowOf(claims),
      commit: optional(claims, "sha", commitId),
      event: optional(claims, "event_name", word),
      runner: optionalWord(claims, "runner_environment", runners),
      run: optional(claims, "run_id", decimalId),
      attempt: optional(claims, "run_attempt", decimalId),
      actorId: optional(claims, "actor_id", decimalId),
      actor: optional(claims, "actor", printable()),
    },
  }),
};

function ownRepository(claims: Claims): string {
  const project = required(claims, "repository", repository);
  const tenant = required(claims, "repository_owner", owner);
  if (!project.startsWith(`${tenant}/`)) throw new Unacceptable("claims repository and repository_owner disagree");
  return project;
}

/** GitHub calls refs/pull/1/merge a branch; it is none, and gets no type. */
function refOf(claims: Claims) {
  const ref = optional(claims, "ref", fullRef);
  const said = optionalWord(claims, "ref_type", refTypes);
  const refType = refTypeOf(ref);
  if (refType && said && refType !== said) throw new Unacceptable("claims ref and ref_type disagree");
  return { ref, refType };
}

/** The workflow that holds the job: for a reusable one that is job_workflow_ref, not the workflow that called it. */
function workflowOf(claims: Claims) {
  const own = optional(claims, "job_workflow_ref", workflowAtRef);
  const ownSha = optional(claims, "job_workflow_sha", commitId);
  if (own !== undefined) return { workflow: own, workflowSha: ownSha };
  return {
    workflow: optional(claims, "workflow_ref", workflowAtRef),
    workflowSha: optional(claims, "workflow_sha", commitId),
  };
}
