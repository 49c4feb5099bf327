// DSSE v1 over in-toto Statement v1: what the key signs is the pre-authentication encoding of the statement's JSON
// (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md, https://in-toto.io/Statement/v1).

import { type Refusal, refuse } from "../model/errors.ts";
import type { ItemRecord } from "../model/item.ts";
import { base64 } from "../std/base64.ts";
import { sha256Hex } from "../std/digest.ts";
import type { JsonObject } from "../std/json.ts";
import { dsseBundle } from "./bundle.ts";
import { maxItemBytes, type Prepared } from "./format.ts";

export const payloadType = "application/vnd.in-toto+json";
export const statementType = "https://in-toto.io/Statement/v1";
const paeHead = `DSSEv1 ${String(payloadType.length)} ${payloadType} `;

export interface Statement {
  readonly _type: typeof statementType;
  readonly subject: readonly JsonObject[];
  readonly predicateType: string;
  readonly predicate: JsonObject;
}

/** `about`: how the log speaks of the item. */
export function prepareStatement(
  statement: Statement,
  about: Pick<ItemRecord, "kind" | "artifacts" | "repository" | "predicateType">,
): Prepared | Refusal {
  const text = jsonText(statement);
  if (text === undefined) return refuse("ITEM_INVALID", "the item is nested too deep");
  const length = Buffer.byteLength(text);
  if (length > maxItemBytes) {
    return refuse("ITEM_INVALID", `the item has ${String(length)} bytes, at most ${String(maxItemBytes)} are signed`);
  }
  const bytes = Buffer.from(`${paeHead}${String(length)} ${text}`);
  const payload = bytes.subarray(bytes.length - length);
  return {
    record: { ...about, format: "dsse", form: "message", signed: sha256Hex(bytes) },
    tbs: { form: "message", bytes },
    finish: (signature, key) => ({
      value: signature,
      bundle: () => dsseBundle(payloadType, payload, signature, key),
      envelope: () => envelope(payload, signature),
      jws: undefined,
    }),
  };
}

/** `keyid` stays blank for the same reason as in the bundle; other readers of envelopes expect the field to be there. */
const envelope = (payload: Uint8Array, signature: Uint8Array): JsonObject => ({
  payload: base64(payload),
  payloadType,
  signatures: [{ keyid: "", sig: base64(signature) }],
});

/** Undefined where the nesting is deeper than the stack. */
export function jsonText(value: Statement | JsonObject): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
