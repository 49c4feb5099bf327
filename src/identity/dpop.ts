// Did the holder of the key make exactly this request, just now? RFC 9449, section 4.3, as a checklist, and one claim
// more: `bsh`, the base64url SHA-256 of the request's body. All GraphQL requests share one method and one URL, so
// without it a captured proof could carry another body.
//
// Cheap questions come first, the signature last. Whether a proof comes twice is not asked here: `mark` names it, and
// whoever spends the mark stores it until `expiresAt`.

import { type Refusal, refuse } from "../model/errors.ts";
import type { Proof, ProofRequest, Proofs } from "../ports/identity.ts";
import { base64url } from "../std/base64.ts";
import { type Clock, rfc3339 } from "../std/clock.ts";
import { sha256 } from "../std/digest.ts";
import type { JsonObject } from "../std/json.ts";
import type { Secret } from "../std/secret.ts";
import { nonces } from "./nonces.ts";
import { proofReader } from "./proof-jws.ts";

/** Milliseconds by which `iat` may differ from our clock, either way. The nonce is the stricter judge. */
export const proofWindow = 300_000;

/** RFC 9449, 4.2 asks for 96 random bits or a UUID; both fit. */
const jtiForm = /^[\x21-\x7e]{8,128}$/;

export interface ProofsParts {
  readonly clock: Clock;
  /** 32 random bytes of this process: nonces of another daemon, or of an earlier start, are not good here. */
  readonly secret: Secret;
  readonly epoch: number;
}

export function proofs({ clock, secret, epoch }: ProofsParts): Proofs {
  const given = nonces(secret, epoch, clock);
  const read = proofReader();

  async function verify(request: ProofRequest): Promise<Proof | Refusal> {
    // 1: exactly one header
    const [jws, ...more] = request.proofs;
    if (jws === undefined) return wrong("is missing: the request has no DPoP header");
    if (more.length > 0) return wrong("must be one: the request has several DPoP headers");
    // 2, 4, 5, 7: a JWS of type dpop+jwt, asymmetric allowed algorithm, no private key
    const proof = read(jws);
    if ("wrong" in proof) return wrong(proof.wrong);
    // 3: the claims that must be there
    const { jti, htm, htu, iat, ath, bsh, nonce } = proof.claims;
    if (typeof jti !== "string" || !jtiForm.test(jti)) return wrong("has no jti of 8 to 128 visible ASCII characters");
    // 8, 9: method and URL
    if (htm !== request.method) return wrong(`has htm ${shown(htm)}; the request is ${request.method}`);
    if (typeof htu !== "string" || !isSameUrl(htu, request.url))
      return wrong(`has htu ${shown(htu)}; the request goes to ${request.url}`);
    // ours: the body
    if (bsh !== base64url(request.body())) return wrong("does not name this request's body (bsh)");
    // 12: the token
    if (ath !== athOf(request.token)) return wrong(athMessage(request.token, ath));
    // 11: made just now
    const now = clock();
    if (typeof iat !== "number" || !(Math.abs(iat * 1000 - now) <= proofWindow)) return wrong(staleMessage(iat, now));
    // 10: our nonce
    const goodUntil = typeof nonce === "string" ? given.goodUntil(nonce) : undefined;
    if (goodUntil === undefined) return needsNonce(nonce);
    // 6: the signature
    if (!(await proof.isSigned())) return wrong("has a signature that does not verify with the key it shows");

    return { jkt: proof.jkt, mark: sha256(`${proof.jkt}\0${jti}`), expiresAt: goodUntil, jws };
  }

  return { verify, nonce: () => given.current() };
}

const wrong = (what: string): Refusal => refuse("PROOF_INVALID", `the proof of possession ${what}`);

const needsNonce = (nonce: unknown): Refusal =>
  refuse(
    "PROOF_NONCE",
    nonce === undefined
      ? "the proof of possession has no nonce"
      : "the nonce of the proof of possession is not current here",
    "Put the DPoP-Nonce header of this answer into the proof's nonce claim and send the request again.",
  );

const athOf = (token: string | undefined): string | undefined =>
  token === undefined ? undefined : base64url(sha256(token));

const athMessage = (token: string | undefined, ath: unknown): string =>
  token === undefined
    ? "names an access token (ath), but the request carries none"
    : `does not name the request's access token (ath is ${ath === undefined ? "absent" : "another"})`;

function staleMessage(iat: unknown, now: number): string {
  const here = `it is ${rfc3339(now)} here, and ${String(proofWindow / 1000)} seconds either way are accepted`;
  const isTime = typeof iat === "number" && iat >= 0 && iat < 253_402_300_800;
  return isTime ? `was made at ${rfc3339(Math.floor(iat * 1000))}; ${here}` : `has no time (iat); ${here}`;
}

/** RFC 3986, 6.2.2 and 6.2.3, ignoring query and fragment. Almost always the texts are equal. */
function isSameUrl(htu: string, url: string): boolean {
  if (htu === url) return true;
  const [theirs, ours] = [normalised(htu), normalised(url)];
  return theirs !== undefined && theirs === ours;
}

function normalised(text: string): string | undefined {
  const url = text.length > 2048 ? null : URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") return undefined;
  return `${url.origin}${url.pathname}`;
}

const shown = (value: JsonObject[string]): string =>
  value === undefined
    ? "absent"
    : JSON.stringify(value)
        .slice(0, 200)
        .replace(/[^\x20-\x7e]/g, "?");
