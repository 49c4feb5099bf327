// What is the name of this public key? RFC 7638: SHA-256 over its required members alone, in canonical JSON, so that
// `kid`, `alg` or the order of members make no difference.

import { base64url } from "../std/base64.ts";
import { sha256 } from "../std/digest.ts";
import { canonicalJson, type JsonObject } from "../std/json.ts";

/** RFC 7638, 3.2; RFC 8037, 2. */
const members: Readonly<Record<string, readonly string[]>> = {
  EC: ["crv", "kty", "x", "y"],
  OKP: ["crv", "kty", "x"],
  RSA: ["e", "kty", "n"],
};

/** base64url. Throws SyntaxError for another key type or a member that is no string. */
export function jwkThumbprint(jwk: JsonObject): string {
  const names = typeof jwk["kty"] === "string" && Object.hasOwn(members, jwk["kty"]) ? members[jwk["kty"]] : undefined;
  if (!names?.every((name) => typeof jwk[name] === "string")) throw new SyntaxError("not an EC, OKP or RSA public key");
  return base64url(sha256(canonicalJson(Object.fromEntries(names.map((name) => [name, jwk[name]])))));
}
