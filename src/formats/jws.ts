// A token or any other JSON, signed as a compact JWS (RFC 7515). The header is ours: algorithm and key follow from the
// key version, so that a caller cannot confuse a verifier with them.

import { refuse } from "../model/errors.ts";
import type { KeyAlgorithm } from "../model/key.ts";
import { base64url } from "../std/base64.ts";
import { utf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { ecdsaRaw } from "../std/ecdsa-der.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import { tokenTypeProblem } from "./checks.ts";
import { jsonText } from "./dsse.ts";
import { type Format, maxItemBytes } from "./format.ts";

export interface JwsItem {
  readonly kind: "jws";
  readonly payload: JsonObject;
  /** `typ` of the protected header. */
  readonly type: string;
}

/** RFC 7518, section 3.1; Ed25519 is RFC 8037. */
export const jwsAlgorithms = {
  EC_P256: "ES256",
  EC_P384: "ES384",
  ED25519: "EdDSA",
  RSA_3072: "RS256",
  RSA_4096: "RS256",
  RSA_3072_PSS: "PS256",
  RSA_4096_PSS: "PS256",
} as const satisfies Record<KeyAlgorithm, string>;

export const jws: Format<JwsItem> = {
  kind: "jws",
  prepare({ payload, type }, _by, key) {
    const problem = isJsonObject(payload) ? tokenTypeProblem("type", type) : "payload is not a JSON object";
    if (problem !== undefined) return refuse("ITEM_INVALID", problem);
    const text = jsonText(payload);
    if (text === undefined) return refuse("ITEM_INVALID", "the payload is nested too deep");

    const header = JSON.stringify({ alg: jwsAlgorithms[key.algorithm], kid: key.fingerprint, typ: type });
    const input = `${base64url(utf8(header))}.${base64url(utf8(text))}`;
    if (input.length > maxItemBytes) {
      return refuse(
        "ITEM_INVALID",
        `the token has ${String(input.length)} bytes, at most ${String(maxItemBytes)} are signed`,
      );
    }
    return {
      record: {
        kind: "jws",
        artifacts: [],
        tokenType: type,
        format: "jws",
        form: "message",
        signed: sha256Hex(input),
      },
      tbs: { form: "message", bytes: Buffer.from(input, "latin1") },
      finish: (signature) => {
        const value = jwsSignature(signature, key.algorithm);
        return { value, bundle: undefined, envelope: undefined, jws: `${input}.${base64url(value)}` };
      },
    };
  },
};

function jwsSignature(signature: Uint8Array, algorithm: KeyAlgorithm): Uint8Array {
  switch (algorithm) {
    case "EC_P256":
      return ecdsaRaw(signature, 32);
    case "EC_P384":
      return ecdsaRaw(signature, 48);
    case "ED25519":
    case "RSA_3072":
    case "RSA_4096":
    case "RSA_3072_PSS":
    case "RSA_4096_PSS":
      return signature;
  }
}
