// Is what was measured also right? After each scenario the log is hashed again from its published files, and signatures
// that were given out are fetched once more and verified: a fast row of wrong signatures is no row.

import { createPublicKey, type KeyObject, randomInt, verify } from "node:crypto";
import { join } from "node:path";
import { p256 } from "@noble/curves/nist.js";
import { filesIn } from "../../src/cli/tree.ts";
import { fromBase64 } from "../../src/std/base64.ts";
import { fromHex, fromUtf8 } from "../../src/std/bytes.ts";
import { isJsonObject, type JsonObject } from "../../src/std/json.ts";
import { fsck } from "../../src/tlog/fsck.ts";
import { parseVkey } from "../../src/tlog/vkey.ts";

/** Entries of each type in the published log. Throws where fsck does not find it consistent, or of another size. */
export async function entriesOfWholeLog(
  stateDirectory: string,
  vkey: string,
  size: number,
): Promise<ReadonlyMap<string, number>> {
  const types = new Map<string, number>();
  const verdict = await fsck({
    read: filesIn(join(stateDirectory, "log")),
    trusted: { logs: [parseVkey(vkey)], witnesses: [] },
    onEntry: (_index, bytes) => {
      const entry = JSON.parse(fromUtf8(bytes)) as { readonly type: string }; // fsck has just hashed it
      types.set(entry.type, (types.get(entry.type) ?? 0) + 1);
    },
  });
  if (verdict.verdict !== "consistent") throw new Error(`fsck: ${JSON.stringify(verdict)}`);
  if (verdict.size !== size)
    throw new Error(`fsck: the log has ${String(verdict.size)} entries, expected ${String(size)}`);
  return types;
}

export interface Sampling {
  /** Requests that were sent. */
  readonly serials: readonly string[];
  readonly itemsPerRequest: number;
  readonly form: "message" | "digest";
  /** PEM. */
  readonly publicKey: string;
  /** The same request again: its stored answer. */
  readonly askAgain: (index: number) => Promise<JsonObject>;
}

const sampled = 1000;
const atOnce = 8;

/** 1,000 signatures of different items, or all there are. Throws for the first that does not verify. */
export async function verifySample(sampling: Sampling): Promise<number> {
  const { serials, itemsPerRequest } = sampling;
  const itemsEach = Math.min(itemsPerRequest, 25);
  const picked = pick(serials.length, Math.ceil(sampled / itemsEach));
  const key = createPublicKey(sampling.publicKey);
  let verified = 0;
  const worker = async (): Promise<void> => {
    for (let index = picked.pop(); index !== undefined; index = picked.pop()) {
      const signatures = (await sampling.askAgain(index))["signatures"];
      if (!Array.isArray(signatures) || signatures.length !== itemsPerRequest)
        throw new Error(`request ${serials[index] ?? ""} has no ${String(itemsPerRequest)} signatures`);
      for (const item of pick(itemsPerRequest, itemsEach)) {
        if (!isSigned(signatures[item], item, serials[index] ?? "", key, sampling.form))
          throw new Error(`signature ${String(item)} of request ${serials[index] ?? ""} does not verify`);
        verified += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return verified;
}

function isSigned(signature: unknown, item: number, serial: string, key: KeyObject, form: Sampling["form"]): boolean {
  if (!isJsonObject(signature)) return false;
  const value = fromBase64(signature["value"] as string); // Base64! of our schema
  if (form === "digest")
    return p256.verify(value, fromHex(`${serial}${String(item).padStart(48, "0")}`), point(key), {
      prehash: false,
      format: "der",
      lowS: false,
    });
  const { dsseEnvelope: envelope } = signature["bundle"] as {
    readonly dsseEnvelope: { readonly payloadType: string; readonly payload: string };
  }; // a Sigstore bundle of ours
  const payload = fromBase64(envelope.payload);
  const pae = Buffer.concat([
    Buffer.from(`DSSEv1 ${String(envelope.payloadType.length)} ${envelope.payloadType} ${String(payload.length)} `),
    payload,
  ]);
  return fromUtf8(payload).includes(`app-${String(item)}-${serial}.tgz`) && verify("sha256", pae, key, value);
}

/** Uncompressed point (SEC 1, 2.3.3): the last 65 bytes of a P-256 key's SPKI. */
const point = (key: KeyObject): Uint8Array => key.export({ format: "der", type: "spki" }).subarray(-65);

/** Different numbers below `below`. */
function pick(below: number, count: number): number[] {
  if (count >= below) return Array.from({ length: below }, (_, index) => index);
  const found = new Set<number>();
  while (found.size < count) found.add(randomInt(below));
  return [...found];
}
