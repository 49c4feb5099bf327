// Policy: grants from files, decided by Cedar when a session opens and by typed limits on every item (docs/guide/policy.md).

export { PolicyError } from "./error.ts";
export type { Explanation } from "./explain.ts";
export { explain } from "./explain.ts";
export type { OpenRequest } from "./fit.ts";
export type { PolicyFile, PolicySet } from "./grant.ts";
export { decideItems } from "./items.ts";
export { loadPolicy } from "./load.ts";
export type { OpenDecision } from "./open.ts";
export { decideOpen, namesTenant } from "./open.ts";
export { workloadOf } from "./workload.ts";
