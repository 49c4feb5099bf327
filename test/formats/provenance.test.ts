// What a provenance says because of our key comes from the job's verified identity, whatever the job itself says.

import { describe, expect, test } from "vitest";

import { prepare } from "../../src/formats/index.ts";
import { isRefusal } from "../../src/model/errors.ts";
import type { Workload } from "../../src/model/principal.ts";
import type { JsonObject } from "../../src/std/json.ts";
import { githubJob, gitlabJob, keyOf, kubernetesJob } from "./jobs.ts";

const key = keyOf("EC_P256").version;
const subject = [{ name: "app-1.4.0.tgz", digest: `sha256:${"5f".repeat(32)}` }];
const own = "git+https://github.com/acme/app@refs/tags/v1.4.0";

test("an empty predicate of a GitHub job becomes the provenance that GitHub's own attestations have", () => {
  expect(provenanceOf({}, githubJob)).toEqual({
    buildDefinition: {
      buildType: "https://actions.github.io/buildtypes/workflow/v1",
      externalParameters: {
        workflow: {
          ref: "refs/tags/v1.4.0",
          repository: "https://github.com/acme/app",
          path: ".github/workflows/release.yml",
        },
      },
      internalParameters: {
        github: {
          event_name: "push",
          repository_id: "123456",
          repository_owner_id: "1001",
          runner_environment: "github-hosted",
        },
      },
      resolvedDependencies: [{ uri: own, digest: { gitCommit: githubJob.commit } }],
    },
    runDetails: {
      builder: { id: "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.4.0" },
      metadata: { invocationId: "https://github.com/acme/app/actions/runs/987/attempts/1" },
    },
  });
});

test("a GitLab job is described by its own instance's URLs", () => {
  expect(provenanceOf({}, gitlabJob)).toMatchObject({
    buildDefinition: {
      externalParameters: {
        workflow: { ref: "refs/heads/main", repository: "https://gitlab.example/tools/app", path: ".gitlab-ci.yml" },
      },
      internalParameters: { gitlab: { project_id: "20", runner_environment: "self-hosted" } },
      resolvedDependencies: [
        { uri: "git+https://gitlab.example/tools/app@refs/heads/main", digest: { gitCommit: gitlabJob.commit } },
      ],
    },
    runDetails: {
      builder: { id: "https://gitlab.example/tools/app//.gitlab-ci.yml@refs/heads/main" },
      metadata: { invocationId: "https://gitlab.example/tools/app/-/pipelines/574" },
    },
  });
});

test("a job in Kubernetes has no repository: none is made up, and the kind of build is the caller's to name", () => {
  expect(refusalOf({}, kubernetesJob)).toContain("buildDefinition.buildType is missing");
  const predicate = provenanceOf({ buildDefinition: { buildType: "https://acme.example/build/v1" } }, kubernetesJob);
  expect(predicate).toMatchObject({
    buildDefinition: {
      externalParameters: {},
      internalParameters: { kubernetes: { namespace: "builds", service_account: "builds/packer" } },
      resolvedDependencies: [],
    },
    runDetails: {
      builder: { id: "https://kubernetes.default.svc" },
      metadata: { invocationId: `urn:uuid:${kubernetesJob.run ?? ""}` },
    },
  });
});

test.each([
  ["https://ghes.example/_services/token", "https://ghes.example/acme/app"],
  ["https://token.actions.octo.ghe.com", "https://octo.ghe.com/acme/app"],
  ["https://token.actions.githubusercontent.com", "https://github.com/acme/app"],
])("a GitHub job from %s belongs to %s", (issuer, repository) => {
  expect(provenanceOf({}, { ...githubJob, issuer })).toMatchObject({
    buildDefinition: { externalParameters: { workflow: { repository } } },
  });
});

test("a job that runs another repository's workflow names it as builder, and claims no path in its own", () => {
  const workflow = "acme/shared/.github/workflows/build.yml@refs/heads/main";
  const predicate = provenanceOf({}, { ...githubJob, workflow });
  expect(predicate).toMatchObject({ runDetails: { builder: { id: `https://github.com/${workflow}` } } });
  expect(JSON.stringify(predicate["buildDefinition"])).not.toContain("build.yml");
});

test("what the caller adds stays, and what it repeats correctly is no mistake", () => {
  const given = provenanceOf({}, githubJob);
  const definition = given["buildDefinition"] as JsonObject;
  const details = given["runDetails"] as JsonObject;
  const toolchain = { uri: "pkg:npm/typescript@6.0.3" };
  const byproducts = [{ content: "bG9n", name: "log" }];
  const predicate = provenanceOf(
    {
      buildDefinition: {
        ...definition,
        externalParameters: { ...(definition["externalParameters"] as JsonObject), inputs: { level: "minor" } },
        resolvedDependencies: [toolchain, { uri: own, digest: { gitCommit: githubJob.commit } }],
      },
      runDetails: { ...details, byproducts, metadata: { startedOn: "2026-01-31T12:00:00Z" } },
    },
    githubJob,
  );
  expect(predicate).toMatchObject({
    buildDefinition: {
      externalParameters: { inputs: { level: "minor" }, workflow: { ref: githubJob.ref } },
      resolvedDependencies: [{ uri: own }, toolchain],
    },
    runDetails: {
      byproducts,
      metadata: { startedOn: "2026-01-31T12:00:00Z", invocationId: expect.any(String) as string },
    },
  });
});

test("the same request gives the same bytes", () => {
  const bytes = () => {
    const prepared = prepare({ kind: "statement", subject, predicateType, predicate: {} }, githubJob, key);
    return isRefusal(prepared) ? undefined : prepared.record.signed;
  };
  expect(bytes()).toBe(bytes());
});

describe("a predicate that claims what the identity token does not say is refused", () => {
  const definition = (members: JsonObject): JsonObject => ({ buildDefinition: members });
  const workflow = (members: JsonObject): JsonObject => definition({ externalParameters: { workflow: members } });
  const depends = (...all: JsonObject[]): JsonObject => definition({ resolvedDependencies: all });
  const commit = { gitCommit: githubJob.commit };
  test.each<[string, JsonObject, string]>([
    [
      "another ref",
      workflow({ ref: "refs/heads/main" }),
      '"refs/heads/main", but the job\'s identity says "refs/tags/v1.4.0"',
    ],
    ["another repository", workflow({ repository: "https://github.com/acme/other" }), "workflow.repository is"],
    ["another workflow", workflow({ path: ".github/workflows/ci.yml" }), "workflow.path is"],
    ["a ref that is no text", workflow({ ref: ["refs/tags/v1.4.0"] }), "workflow.ref is"],
    [
      "another event",
      definition({ internalParameters: { github: { event_name: "workflow_dispatch" } } }),
      "github.event_name",
    ],
    [
      "an internal parameter",
      definition({ internalParameters: { github: { admin: true } } }),
      "github.admin would be believed",
    ],
    [
      "another provider",
      definition({ internalParameters: { gitlab: {} } }),
      "internalParameters.gitlab would be believed",
    ],
    ["another builder", { runDetails: { builder: { id: "https://builder.example" } } }, "builder.id is"],
    [
      "another run",
      { runDetails: { metadata: { invocationId: "https://github.com/acme/app/actions/runs/1/attempts/1" } } },
      "invocationId is",
    ],
    ["another commit", depends({ uri: own, digest: { gitCommit: "0".repeat(40) } }), "digest.gitCommit is"],
    [
      "another ref of its source",
      depends({ uri: "git+https://github.com/acme/app@refs/heads/main", digest: commit }),
      "[0].uri is",
    ],
    [
      "its source in other letters",
      depends({ uri: "git+https://GitHub.com/Acme/App.git@refs/heads/main" }),
      "[0].uri is",
    ],
    ["its source without git+", depends({ uri: "pkg:x/y" }, { uri: "https://github.com/acme/app" }), "[1].uri is"],
  ])("%s", (_what, predicate, message) => {
    expect(refusalOf(predicate, githubJob)).toContain(message);
  });

  test("a field that this token is silent about", () => {
    const silent = { ...githubJob, run: undefined, ref: undefined };
    expect(refusalOf(workflow({ ref: "refs/tags/v1.4.0" }), silent)).toContain("workflow.ref would be believed");
    expect(refusalOf({ runDetails: { metadata: { invocationId: "x" } } }, silent)).toContain("would be believed");
  });
});

test.each<[string, JsonObject, string]>([
  ["buildDefinition", { buildDefinition: [] }, "predicate.buildDefinition is not an object"],
  [
    "workflow",
    { buildDefinition: { externalParameters: { workflow: "x" } } },
    "externalParameters.workflow is not an object",
  ],
  ["dependencies", { buildDefinition: { resolvedDependencies: {} } }, "resolvedDependencies is not an array"],
  [
    "a dependency",
    { buildDefinition: { resolvedDependencies: [{ name: "x" }] } },
    "an entry without uri, digest and content",
  ],
  ["byproducts", { runDetails: { byproducts: [1] } }, "byproducts has an entry without"],
  ["buildType", { buildDefinition: { buildType: "make" } }, 'buildType is "make"'],
  ["a time", { runDetails: { metadata: { finishedOn: "yesterday" } } }, 'metadata.finishedOn is "yesterday"'],
])("%s must have the shape of SLSA provenance v1", (_what, predicate, message) => {
  expect(refusalOf(predicate, githubJob)).toContain(message);
});

test("a predicate of another type is the caller's own word, untouched", () => {
  const item = {
    kind: "statement",
    subject,
    predicateType: "https://cyclonedx.org/bom",
    predicate: { refusal: 1 },
  } as const;
  const prepared = prepare(item, githubJob, key);
  if (isRefusal(prepared)) throw new Error(prepared.message);
  expect(payloadOf(prepared.tbs.bytes)["predicate"]).toEqual({ refusal: 1 });
});

const predicateType = "https://slsa.dev/provenance/v1";

function provenanceOf(predicate: JsonObject, by: Workload): JsonObject {
  const prepared = prepare({ kind: "statement", subject, predicateType, predicate }, by, key);
  if (isRefusal(prepared)) throw new Error(prepared.message);
  return payloadOf(prepared.tbs.bytes)["predicate"] as JsonObject;
}

function refusalOf(predicate: JsonObject, by: Workload): string {
  const prepared = prepare({ kind: "statement", subject, predicateType, predicate }, by, key);
  if (!isRefusal(prepared)) throw new Error("accepted");
  expect(prepared).toMatchObject({ refusal: "ITEM_INVALID", hint: expect.stringContaining("leave out") as string });
  return prepared.message;
}

function payloadOf(pae: Uint8Array): JsonObject {
  const text = Buffer.from(pae).toString();
  return JSON.parse(text.slice(text.indexOf("{"))) as JsonObject;
}
