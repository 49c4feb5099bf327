// What a CI provider's verified claims say in the words of SLSA provenance: one row per provider.

import type { Workload } from "../model/principal.ts";

export interface Facts {
  readonly provider: Workload["provider"];
  /** What `buildType` is where the caller names none; absent where nobody has described such builds. */
  readonly buildType: string | undefined;
  /** URL, without `.git` and slash at its end. */
  readonly repository: string | undefined;
  readonly ref: string | undefined;
  readonly commit: string | undefined;
  /** Inside `repository`. */
  readonly workflowPath: string | undefined;
  readonly builder: string;
  /** URI of the run and attempt. */
  readonly invocation: string | undefined;
  readonly internal: Readonly<Record<string, string>>;
}

export function factsOf(by: Workload): Facts {
  const row = providers[by.provider](by);
  return { ...row, provider: by.provider, ref: by.ref, commit: by.commit };
}

type Row = Omit<Facts, "provider" | "ref" | "commit">;

const providers: Readonly<Record<Workload["provider"], (by: Workload) => Row>> = {
  // As https://actions.github.io/buildtypes/workflow/v1 describes them and actions/attest-build-provenance writes them.
  github: (by) => {
    const server = githubServer(by.issuer);
    const repository = `${server}/${by.project}`;
    return {
      buildType: "https://actions.github.io/buildtypes/workflow/v1",
      repository,
      workflowPath: workflowPath(by.workflow, `${by.project}/`),
      builder: by.workflow === undefined ? by.issuer : `${server}/${by.workflow}`,
      invocation: invocation(`${repository}/actions/runs/`, by, "/attempts/"),
      internal: present({
        event_name: by.event,
        repository_id: by.projectId,
        repository_owner_id: by.tenantId,
        runner_environment: by.runner === "hosted" ? "github-hosted" : by.runner,
      }),
    };
  },
  // `workflow` is the claim ci_config_ref_uri: gitlab.example/group/project//.gitlab-ci.yml@refs/heads/main
  gitlab: (by) => {
    const repository = `${by.issuer}/${by.project}`;
    const scheme = by.issuer.slice(0, by.issuer.indexOf("//") + 2);
    return {
      buildType: "https://docs.gitlab.com/ci/pipelines/",
      repository,
      workflowPath: workflowPath(by.workflow, `${repository.slice(scheme.length)}//`),
      builder: by.workflow === undefined ? by.issuer : `${scheme}${by.workflow}`,
      invocation: invocation(`${repository}/-/pipelines/`, by, "#"),
      internal: present({
        pipeline_source: by.event,
        project_id: by.projectId,
        namespace_id: by.tenantId,
        runner_environment: by.runner === "hosted" ? "gitlab-hosted" : by.runner,
      }),
    };
  },
  // A service account has no repository. `run` is the UID of the pod, where the token is bound to one.
  kubernetes: (by) => ({
    buildType: undefined,
    repository: undefined,
    workflowPath: undefined,
    builder: by.issuer,
    invocation: by.run === undefined ? undefined : `urn:uuid:${by.run}`,
    internal: { namespace: by.tenant, service_account: by.project, service_account_uid: by.projectId },
  }),
  generic: (by) => {
    const repository = by.project.startsWith("https://") ? by.project : `${by.issuer}/${by.project}`;
    return {
      buildType: undefined,
      repository,
      workflowPath: workflowPath(by.workflow, `${by.project}/`),
      builder: by.issuer,
      invocation: invocation(`${repository}/runs/`, by, "/attempts/"),
      internal: present({
        event: by.event,
        project_id: by.projectId,
        tenant_id: by.tenantId,
        runner_environment: by.runner,
      }),
    };
  },
};

/** github.com, an Enterprise Server (`https://HOST/_services/token`), or data residency (`https://token.actions.SUB.ghe.com`). */
function githubServer(issuer: string): string {
  const [, own] = /^(https:\/\/[^/]+)\/_services\/token$/.exec(issuer) ?? [];
  if (own !== undefined) return own;
  const [, resident] = /^https:\/\/token\.actions\.([a-z0-9-]+\.ghe\.com)$/.exec(issuer) ?? [];
  return resident === undefined ? "https://github.com" : `https://${resident}`;
}

/** Undefined where the workflow lies in another repository than the job's own. */
function workflowPath(workflow: string | undefined, own: string): string | undefined {
  if (workflow?.startsWith(own) !== true) return undefined;
  const [path] = workflow.slice(own.length).split("@");
  return path === "" ? undefined : path;
}

const invocation = (base: string, by: Workload, attempt: string): string | undefined =>
  by.run === undefined ? undefined : `${base}${by.run}${by.attempt === undefined ? "" : `${attempt}${by.attempt}`}`;

/** Without the claims that the token did not carry. */
function present(claims: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(claims)) if (value !== undefined) out[name] = value;
  return out;
}
