// What `signet doctor` shows: every part says of itself whether it works, and what to do where it does not.

import type { Custody, CustodyHealth } from "../ports/custody.ts";
import type { HealthCheck } from "./index.ts";
import type { Parts } from "./parts.ts";
import type { Rotations } from "./rotation.ts";
import { wrongSignatures } from "./wrong-signatures.ts";

export async function health(
  parts: Parts,
  rotations: Pick<Rotations, "checks">,
): Promise<{
  readonly status: HealthCheck["status"];
  readonly checks: readonly HealthCheck[];
}> {
  const checks = [
    logCheck(parts),
    unfinishedCheck(parts),
    policyCheck(parts),
    ...custodyChecks(parts),
    ...parts.drift(),
    ...(await wrongSignatures(parts)),
    ...rotations.checks(),
    ...parts.checks(),
  ];
  return { status: worst(checks), checks };
}

function logCheck(parts: Parts): HealthCheck {
  const stopped = parts.stopped();
  if (stopped !== undefined) return { name: "log", status: "fail", message: stopped };
  const { origin, size } = parts.log.head();
  return { name: "log", status: "ok", message: `${origin}, ${String(size)} entries` };
}

function unfinishedCheck(parts: Parts): HealthCheck {
  const waiting = parts.unfinished.waiting();
  if (waiting === 0) return { name: "outcomes", status: "ok", message: "none waits to be written" };
  return {
    name: "outcomes",
    status: "warn",
    message: `${String(waiting)} outcomes wait until the log can be written`,
    hint: "mend the disk; nothing to restart",
  };
}

function policyCheck(parts: Parts): HealthCheck {
  const policy = parts.policy();
  if (policy.grants.length === 0)
    return {
      name: "policy",
      status: "warn",
      message: "no grants: nobody may open a session",
      hint: "add a grant file to the policy directory",
    };
  return {
    name: "policy",
    status: "ok",
    message: `${String(policy.grants.length)} grants, ${String(policy.cases)} cases pass, ${policy.hash.slice(0, 19)}…`,
  };
}

/** None of these makes the daemon unready: keys in other custodies sign. */
function custodyChecks({ custodies }: Parts): readonly HealthCheck[] {
  return [...custodies].map(([name, custody]) => ({ name: `custody ${name}`, ...custodyHealth(custody) }));
}

/** As it says itself; one that says nothing is well. */
export const custodyHealth = (custody: Custody): CustodyHealth =>
  custody.health?.() ?? {
    status: "ok",
    message: custody.outside ? custody.kind : `${custody.kind}, in this process`,
  };

function worst(checks: readonly HealthCheck[]): HealthCheck["status"] {
  if (checks.some((check) => check.status === "fail")) return "fail";
  return checks.some((check) => check.status === "warn") ? "warn" : "ok";
}
