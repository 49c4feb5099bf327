// What a request brought along to prove who sends it, for the broker to judge, and the answer to whom it did not convince.

import type { Credentials } from "../broker/index.ts";
import { errorTable, type Refusal, type RefusalCode } from "../model/errors.ts";
import { sha256 } from "../std/digest.ts";
import { refusalError } from "./errors.ts";
import { type Answer, type Exchange, problem } from "./exchange.ts";
import { certificateOf } from "./listener.ts";

export function credentialsOf({ request, listening, path }: Exchange, body: Uint8Array): Credentials {
  const { listener, publicUrl } = listening;
  return {
    authorization: authorizationOf(request.rawHeaders),
    proofs: headers(request.rawHeaders, "dpop"),
    method: request.method ?? "",
    url: publicUrl + path,
    body: () => sha256(body),
    certificate: certificateOf(request.socket),
    socket: listener.kind === "socket",
    bearer: listener.kind === "tcp" && listener.dangerouslyAllowBearer,
  };
}

/** Two Authorization headers are no credential that anybody knows: node would quietly take the first. */
function authorizationOf(raw: readonly string[]): string | undefined {
  const found = headers(raw, "authorization");
  return found.length > 1 ? found.join(", ") : found[0];
}

/** Every value of a header, as it came. Names and values alternate in `raw`. */
function headers(raw: readonly string[], name: string): readonly string[] {
  const found: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const value = raw[at + 1];
    if (raw[at]?.length === name.length && raw[at]?.toLowerCase() === name && value !== undefined) found.push(value);
  }
  return found;
}

/** RFC 9449, sections 7.1 and 9; RFC 6750, section 3.1. */
const challenges: Partial<Record<RefusalCode, string>> = {
  PROOF_NONCE: "use_dpop_nonce",
  PROOF_INVALID: "invalid_dpop_proof",
};

export function unauthenticated(refusal: Refusal, request: string): Answer {
  const error = challenges[refusal.refusal] ?? "invalid_token";
  return problem(401, refusalError(refusal, request), {
    "WWW-Authenticate": `DPoP error="${error}", error_description="${errorTable[refusal.refusal].title}"`,
  });
}
