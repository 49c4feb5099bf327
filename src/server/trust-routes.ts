// GET /trust/…: which public keys to trust now, in the forms that verifiers read. Small, made from the records when they
// are asked for, and cacheable: an ETag names the bytes, and what is cached is asked about again after five minutes;
// a rotation gives its new public key no less, unless people say that it shall.
//
//   keys.json           every key, as a Sigstore key list
//   jwks.json           keys that sign tokens, as a JWK set (RFC 7517): a token is never checked with a key for artifacts
//   trusted_root.json   the log, as a Sigstore trusted root
//   NAME.pem, NAME.jwks one key, whatever it is for

import type { IncomingMessage } from "node:http";
import type { Call } from "../broker/call.ts";
import type { Broker } from "../broker/index.ts";
import { trustedRoot, trustJwks, trustKeys, trustPem } from "../formats/trust.ts";
import { isRefusal, refuse } from "../model/errors.ts";
import { isKeyName } from "../model/key.ts";
import { type TrustSet, trustCachedFor } from "../model/trust.ts";
import { utf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import type { JsonObject } from "../std/json.ts";
import { refusalError } from "./errors.ts";
import { type Answer, problem } from "./exchange.ts";

export const trustPrefix = "/trust/";

type Document = (set: TrustSet) => Pick<Answer, "type"> & { readonly body: string };

/** Undefined for a path that names none. */
export function trustDocument(path: string): Document | undefined {
  const name = path.slice(trustPrefix.length);
  if (Object.hasOwn(whole, name)) return whole[name];
  const [, key = "", form] = /^([^.]+)\.(pem|jwks)$/.exec(name) ?? [];
  return isKeyName(key) ? ofKey(key, form === "pem") : undefined;
}

const json = (type: string, value: JsonObject) => ({ type, body: `${JSON.stringify(value, undefined, 2)}\n` });
const plain = "application/json; charset=utf-8";
/** RFC 7517, section 8.5.2. */
const jwkSet = "application/jwk-set+json";

const whole: Readonly<Record<string, Document>> = {
  "keys.json": (set) => json(plain, trustKeys(set)),
  "jwks.json": ({ keys }) => json(jwkSet, trustJwks(keys.filter(({ key }) => key.purpose === "TOKEN"))),
  "trusted_root.json": (set) => json(plain, trustedRoot(set)),
};

/** Without a key of that name, or with none of its versions to be trusted, there is nothing in it: the body is empty. */
const ofKey =
  (name: string, pem: boolean): Document =>
  ({ keys }) => {
    const found = keys.filter(({ key }) => key.name === name);
    if (!pem) return found.length === 0 ? { type: jwkSet, body: "" } : json(jwkSet, trustJwks(found));
    return { type: "application/x-pem-file", body: found.map(trustPem).join("") };
  };

export async function trustFile(
  broker: Broker,
  call: Call,
  document: Document,
  open: boolean,
  { headers }: Pick<IncomingMessage, "headers">,
): Promise<Answer> {
  const set = await broker.trust(call, open);
  if (isRefusal(set)) return problem(403, refusalError(set, call.request));
  const { type, body } = document(set);
  if (body === "")
    return problem(404, refusalError(refuse("NOT_FOUND", "no public key of this name is to be trusted"), call.request));
  const etag = `"${sha256Hex(utf8(body)).slice(0, 32)}"`;
  const caching = {
    ETag: etag,
    "Cache-Control": `${open ? "public" : "private"}, max-age=${String(trustCachedFor / 1000)}`,
  };
  return matches(headers["if-none-match"], etag)
    ? { status: 304, type, body: "", headers: caching }
    : { status: 200, type, body, headers: caching };
}

/** RFC 9110, section 13.1.2: weak comparison. */
const matches = (given: string | undefined, etag: string): boolean =>
  (given ?? "").split(",").some((one) => {
    const tag = one.trim();
    return tag === "*" || tag.replace(/^W\//, "") === etag;
  });
