// An entry holds up to ten items; of more it holds the hash of their list (docs/audit-log.md), and then the receipt
// alone does not say what was signed. Whoever asked for the signatures knows the list, so it is written beside the
// receipt: made here, kept only if it has the hash that the log names.

import type { Signature, SignItemInput, SignReceipt } from "../client/answers.ts";
import type { Client } from "../client/connect.ts";
import { fromBase64 } from "../std/base64.ts";
import { utf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson, isJsonObject, type JsonObject } from "../std/json.ts";
import { parseReceipt } from "../tlog/proof.ts";
import { blobOf, fetchBlob, parseLeaf, text } from "./leaf.ts";
import { pae } from "./signature-bytes.ts";

/** Undefined where the entry holds its items itself. */
export async function itemList(
  client: Client,
  receipt: SignReceipt,
  items: readonly SignItemInput[],
  signatures: readonly Signature[],
): Promise<Uint8Array | "missing" | undefined> {
  const sha256 = blobOf(parseLeaf(parseReceipt(receipt.tlogProof).extra ?? utf8(""))?.["items"]);
  if (sha256 === undefined) return undefined;
  const list = utf8(canonicalJson(items.map((item, i) => recordOf(item, signatures[i]))));
  if (sha256Hex(list) === sha256) return list;
  return (await fetchBlob(client, sha256)) ?? "missing";
}

/** ItemRecord of model/item.ts, from the caller's side. */
function recordOf(item: SignItemInput, signature: Signature | undefined): JsonObject {
  const signed = sha256Hex(fromBase64(signature?.value ?? ""));
  if ("statement" in item) {
    const { subject, predicateType } = item.statement;
    const artifacts = subject.map(({ name, digest }) => ({ name, digest }));
    return {
      kind: "statement",
      artifacts,
      predicateType,
      format: "dsse",
      form: "message",
      signed: signedBy(signature),
      signature: signed,
    };
  }
  if (!("blob" in item)) return {};
  const { name, digest } = item.blob;
  return {
    kind: "blob",
    artifacts: [{ name, digest }],
    format: "raw",
    form: "digest",
    signed: digest.replace(/^sha\d+:/, ""),
    signature: signed,
  };
}

function signedBy(signature: Signature | undefined): string {
  const envelope = isJsonObject(signature?.bundle) ? signature.bundle["dsseEnvelope"] : undefined;
  if (!isJsonObject(envelope)) return "";
  return sha256Hex(pae(text(envelope["payloadType"]) ?? "", fromBase64(text(envelope["payload"]) ?? "")));
}
