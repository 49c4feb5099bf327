// Which Kubernetes service account is this? (Bound tokens, KEP-1205 and KEP-4193; claims nested in `kubernetes.io`.)
// The service account's uid is the immutable id: it is new whenever account or namespace are made anew. The token
// carries no uid of the namespace, so the tenant is named by the namespace within the issuer, which is the cluster.
// Legacy tokens without expiry never come this far. A deleted pod's token verifies until it expires.

import { isJsonObject } from "../std/json.ts";
import { type Claims, matching, printable, required, Unacceptable } from "./claims.ts";
import { minutes, type Provider } from "./issuer.ts";

const label = matching("a namespace", /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/);
const subdomain = matching("a DNS subdomain", /^[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?$/);
const uid = matching("a uid", /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);

export const kubernetes: Provider = {
  name: "kubernetes",
  algorithms: ["RS256", "ES256"],
  maxLifetime: minutes(61),
  reader: (issuer) => (claims) => {
    const own = nested(claims, "kubernetes.io");
    const account = nested(own, "serviceaccount");
    const namespace = required(own, "namespace", label);
    const name = required(account, "name", subdomain);
    const subject = required(claims, "sub", printable(1024));
    if (subject !== `system:serviceaccount:${namespace}:${name}`) {
      throw new Unacceptable("claims sub and kubernetes.io disagree: not the token of a service account");
    }
    return {
      kind: "workload",
      principal: {
        kind: "workload",
        provider: "kubernetes",
        issuer: issuer.issuer,
        subject,
        tenantId: namespace,
        tenant: namespace,
        projectId: required(account, "uid", uid),
        project: `${namespace}/${name}`,
        // One pod is one run.
        run: own["pod"] === undefined ? undefined : required(nested(own, "pod"), "uid", uid),
      },
    };
  },
};

function nested(claims: Claims, name: string): Claims {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  if (!isJsonObject(value))
    throw new Unacceptable(`the token has no object "${name}": not a bound service account token`);
  return value;
}
