// Which job is this, at an issuer that we have no adapter for? The operator names the claims that hold our fields
// (Buildkite, CircleCI, Jenkins, …); tenant and project ids must be among them, and should be immutable there.

import {
  type Claims,
  commitId,
  fullRef,
  matching,
  optional,
  optionalWord,
  printable,
  refTypeOf,
  required,
  trueOrFalse,
  Unacceptable,
} from "./claims.ts";
import { type ClaimNames, minutes, type Provider, tokenAlgorithms } from "./issuer.ts";

const id = matching("an id without spaces", /^[A-Za-z0-9._~:/@+-]+$/);
const runners = { hosted: "hosted", "self-hosted": "self-hosted" } as const;
const prefixes = { branch: "refs/heads/", tag: "refs/tags/" } as const;

export const generic: Provider = {
  name: "generic",
  algorithms: tokenAlgorithms,
  maxLifetime: minutes(60),
  reader: (issuer) => {
    const names = issuer.claims;
    if (!names)
      throw new TypeError(
        `issuer ${issuer.issuer}: provider generic needs the names of its claims (claims: tenantId, projectId, …)`,
      );
    return (claims) => {
      const text = (field: keyof ClaimNames, rule = printable()) =>
        named(names[field], (name) => optional(claims, name, rule));
      const tenantId = required(claims, names.tenantId, id);
      const projectId = required(claims, names.projectId, id);
      return {
        kind: "workload",
        principal: {
          kind: "workload",
          provider: "generic",
          issuer: issuer.issuer,
          subject: required(claims, "sub", printable(1024)),
          tenantId,
          tenant: text("tenant") ?? tenantId,
          projectId,
          project: text("project") ?? projectId,
          ...refOf(claims, names),
          refProtected: named(names.refProtected, (name) => flag(claims, name)),
          environment: text("environment"),
          workflow: text("workflow", printable(1024)),
          workflowSha: text("workflowSha", commitId),
          commit: text("commit", commitId),
          event: text("event"),
          runner: named(names.runner, (name) => optionalWord(claims, name, runners)),
          run: text("run"),
          attempt: text("attempt"),
          actorId: text("actorId"),
          actor: text("actor"),
        },
      };
    };
  },
};

const named = <T>(name: string | undefined, read: (name: string) => T): T | undefined =>
  name === undefined ? undefined : read(name);

/** JSON has booleans, some issuers write them as words; nothing else is either. */
function flag(claims: Claims, name: string): boolean | undefined {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  return typeof value === "boolean" ? value : optionalWord(claims, name, trueOrFalse);
}

function refOf(claims: Claims, names: ClaimNames) {
  const said = named(names.ref, (name) => optional(claims, name, printable(500)));
  const prefix = named(names.refType, (name) => optionalWord(claims, name, prefixes));
  if (said === undefined) return {};
  const ref = said.startsWith("refs/") ? said : prefix && `${prefix}${said}`;
  if (ref === undefined || !fullRef.fits(ref))
    throw new Unacceptable(`claim "${names.ref ?? ""}" is not ${fullRef.expects}`);
  const refType = refTypeOf(ref);
  if (prefix !== undefined && !ref.startsWith(prefix))
    throw new Unacceptable("the claims of ref and ref type disagree");
  return { ref, refType };
}
