// A CI job that somebody imagines, for `explain`: the fields that grants name, strictly, with nothing verified about them.

import { z } from "zod";
import { type Refusal, refuse } from "../model/errors.ts";
import type { Workload } from "../model/principal.ts";

const text = z.string().max(512);

const imagined = z.strictObject({
  provider: z.enum(["github", "gitlab", "kubernetes", "generic"]).default("generic"),
  issuer: text,
  subject: text.default(""),
  tenantId: text.default(""),
  tenant: text.default(""),
  projectId: text.default(""),
  project: text.default(""),
  ref: text.optional(),
  refType: z.enum(["branch", "tag"]).optional(),
  refProtected: z.boolean().optional(),
  environment: text.optional(),
  workflow: text.optional(),
  workflowSha: text.optional(),
  commit: text.optional(),
  event: text.optional(),
  runner: z.enum(["hosted", "self-hosted"]).optional(),
  run: text.optional(),
  attempt: text.optional(),
  actorId: text.optional(),
  actor: text.optional(),
});

/** INPUT_INVALID with the field and what is expected of it. */
export function workloadOf(identity: unknown): Workload | Refusal {
  const parsed = imagined.safeParse(identity);
  if (parsed.success) return { kind: "workload", ...parsed.data };
  const [issue] = parsed.error.issues;
  return refuse(
    "INPUT_INVALID",
    `identity.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not an identity"}`,
    "name a job's fields as grants do: issuer, projectId, ref, …",
  );
}
