// Which person signed in? Their `sub` at this issuer; the name is for reading. What they may do is not the issuer's
// to say: an operator record gives roles.

import { type Claims, optional, printable, required, Unacceptable } from "./claims.ts";
import { minutes, type Provider, tokenAlgorithms } from "./issuer.ts";

export const person: Provider = {
  name: "person",
  algorithms: tokenAlgorithms,
  maxLifetime: minutes(24 * 60),
  reader: (issuer) => (claims) => {
    const subject = required(claims, "sub", printable());
    return {
      kind: "person",
      issuer: issuer.issuer,
      subject,
      name: nameOf(claims) ?? subject,
      methods: methodsOf(claims),
    };
  },
};

const nameOf = (claims: Claims): string | undefined =>
  optional(claims, "preferred_username", printable()) ??
  optional(claims, "email", printable()) ??
  optional(claims, "name", printable());

/** RFC 8176 `amr`. */
function methodsOf(claims: Claims): readonly string[] {
  const methods: unknown = claims["amr"] ?? [];
  if (!Array.isArray(methods) || methods.length > 16 || !methods.every(isMethod)) {
    throw new Unacceptable('claim "amr" is not a list of authentication methods');
  }
  return methods;
}

const method = printable(64);
const isMethod = (value: unknown): value is string => typeof value === "string" && method.fits(value);
