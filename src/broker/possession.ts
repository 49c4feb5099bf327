// Proof that a custody holds the private key of a public key that it described: a signature over a challenge of ours.

import type { BlobRef } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import type { KeyVersion } from "../model/key.ts";
import type { Custody } from "../ports/custody.ts";
import { hex, utf8 } from "../std/bytes.ts";
import type { Random } from "../std/clock.ts";
import { askCustody, blobRef } from "./incoming-key.ts";
import { verifies } from "./verify.ts";

/**
 * Bytes that are no artifact: whatever else a custody signs in message form begins otherwise (DSSE's PAE with "DSSEv1 ",
 * a JWS with base64url up to a dot, an image payload with "{"). Of what, a digest does not say; but nobody could hash
 * this before it was made: the random part is nobody's choice.
 */
const possessionChallenge = ({ key, uri }: Pick<KeyVersion, "key" | "uri">, random: Random): Uint8Array =>
  utf8(`signet key possession v1\n${key}\n${uri}\n${hex(random(32))}\n`);

export type Possession =
  /** Challenge and signature, as the outcome names them and as they stand beside the log. */
  | {
      readonly named: { readonly challenge: BlobRef; readonly signature: BlobRef };
      readonly blobs: readonly [challenge: Uint8Array, signature: Uint8Array];
    }
  | { readonly fault: Fault; readonly result: "failed" | "unknown" | "withheld" };

/**
 * For between an intent and an outcome: it is a use of the key. Never throws. Message form, also for keys whose purpose
 * is digests: whoever asked chose nothing of what is signed.
 */
export async function provePossession(custody: Custody, version: KeyVersion, random: Random): Promise<Possession> {
  const challenge = possessionChallenge(version, random);
  const item = { form: "message" as const, bytes: challenge };
  const signatures = await askCustody(version.custody, (signal) => custody.sign(version, [item], signal));
  if (signatures instanceof Fault)
    return { fault: signatures, result: signatures.nothingHappened ? "failed" : "unknown" };
  const [signature] = signatures;
  if (signature && (await verifies(version, [item], signatures)))
    return {
      named: { challenge: blobRef(challenge), signature: blobRef(signature) },
      blobs: [challenge, signature],
    };
  const other = `${version.custody} did not prove that it holds the private key of ${version.uri}`;
  return { fault: new Fault("SIGNATURE_WRONG", other, { custody: version.custody }), result: "withheld" };
}
