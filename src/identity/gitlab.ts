// Which GitLab CI job is this? (docs.gitlab.com, "ID token payload".) Identity is project_id and namespace_id.
// `ref` comes without its prefix, so the full ref is built from ref and ref_type; a merge request's pipeline has
// neither branch nor tag, whatever it claims. Every claim we read is a string, booleans too.

import {
  type Claims,
  commitId,
  decimalId,
  fullRef,
  matching,
  optional,
  optionalWord,
  printable,
  quote,
  refTypeOf,
  required,
  trueOrFalse,
  Unacceptable,
  word,
  workflowAtRef,
} from "./claims.ts";
import { minutes, type Provider } from "./issuer.ts";

const path = matching(
  "a path of groups and projects",
  /^[A-Za-z0-9_.][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*$/,
  512,
);
const runners = { "gitlab-hosted": "hosted", "self-hosted": "self-hosted" } as const;
const prefixes = { branch: "refs/heads/", tag: "refs/tags/" } as const;

export const gitlab: Provider = {
  name: "gitlab",
  algorithms: ["RS256"],
  // A token lives as long as its job may run: one hour unless the project says otherwise.
  maxLifetime: minutes(120),
  reader: (issuer) => (claims) => ({
    kind: "workload",
    principal: {
      kind: "workload",
      provider: "gitlab",
      issuer: issuer.issuer,
      subject: required(claims, "sub", printable(1024)),
      tenantId: required(claims, "namespace_id", decimalId),
      tenant: required(claims, "namespace_path", path),
      projectId: required(claims, "project_id", decimalId),
      project: ownProject(claims),
      ...refOf(claims),
      refProtected: optionalWord(claims, "ref_protected", trueOrFalse),
      environment: optional(claims, "environment", printable()),
      workflow: optional(withoutNull(claims), "ci_config_ref_uri", workflowAtRef),
      workflowSha: optional(withoutNull(claims), "ci_config_sha", commitId),
      commit: optional(claims, "sha", commitId),
      event: optional(claims, "pipeline_source", word),
      runner: optionalWord(claims, "runner_environment", runners),
      run: optional(claims, "pipeline_id", decimalId),
      actorId: optional(claims, "user_id", decimalId),
      actor: optional(claims, "user_login", printable()),
    },
  }),
};

function ownProject(claims: Claims): string {
  const project = required(claims, "project_path", path);
  const namespace = required(claims, "namespace_path", path);
  if (!project.startsWith(`${namespace}/`)) throw new Unacceptable("claims project_path and namespace_path disagree");
  return project;
}

function refOf(claims: Claims) {
  const prefix = optionalWord(claims, "ref_type", prefixes);
  const name = optional(claims, "ref", printable(500));
  const path = optional(claims, "ref_path", fullRef);
  if (path !== undefined && refTypeOf(path) === undefined) return { ref: path, refType: undefined };
  if (name === undefined) return {};
  if (prefix === undefined) throw new Unacceptable("the token has a ref without ref_type");
  const ref = `${prefix}${name}`;
  if (!fullRef.fits(ref)) throw new Unacceptable(`claim "ref" is ${quote(name)}; expected the name of a branch or tag`);
  if (path !== undefined && path !== ref) throw new Unacceptable("claims ref and ref_path disagree");
  // Older instances send no ref_path: then only the source tells that this is no push to the branch.
  if (path === undefined && claims["pipeline_source"] === "merge_request_event") return {};
  return { ref, refType: refTypeOf(ref) };
}

/** The two ci_config claims, and only they, are null where the pipeline's definition lies in another project. */
function withoutNull(claims: Claims): Claims {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null));
}
