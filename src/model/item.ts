// What a caller wants signed, after parsing, and how the log speaks of it.

import { hashOf, type KeyAlgorithm, type Purpose, signsDigests } from "./key.ts";

export const itemKinds = ["statement", "image", "jws", "blob", "digest"] as const;
export type ItemKind = (typeof itemKinds)[number];

/** One kind of item, one purpose of key, so that a signature for one use never passes for another. */
export const purposeOf: Readonly<Record<ItemKind, Purpose>> = {
  statement: "ATTESTATION",
  image: "IMAGE",
  jws: "TOKEN",
  blob: "BLOB",
  digest: "RAW_DIGEST",
};

/** What an item is about. `digest` is `sha256:<hex>` or `sha384:<hex>`. */
export interface Artifact {
  readonly name?: string | undefined;
  readonly digest: string;
}

/** How an item stands in the log. Hashes are lower-case hex SHA-256. */
export interface ItemRecord {
  readonly kind: ItemKind;
  readonly artifacts: readonly Artifact[];
  /** OCI repository of an image item. */
  readonly repository?: string | undefined;
  readonly predicateType?: string | undefined;
  /** JWS `typ`. */
  readonly tokenType?: string | undefined;
  readonly format: "dsse" | "jws" | "raw";
  /** message: the broker had the bytes. digest: it had only their hash. */
  readonly form: "message" | "digest";
  /** SHA-256 of the exact bytes signed (message form), or the digest itself as given (digest form). */
  readonly signed: string;
  /** In outcomes: SHA-256 of the signature bytes. */
  readonly signature?: string | undefined;
}

/** Exactly what the private key is applied to. Ed25519 signs the message, the others its digest. */
export type ToBeSigned =
  | { readonly form: "message"; readonly bytes: Uint8Array }
  | { readonly form: "digest"; readonly bytes: Uint8Array; readonly hash: "sha256" | "sha384" };

/** Why a key of this algorithm cannot sign this digest; undefined where it can. A message fits every key. */
export function unfitDigest(algorithm: KeyAlgorithm, item: ToBeSigned): string | undefined {
  if (item.form === "message") return undefined;
  if (!signsDigests(algorithm)) return `${algorithm} signs messages, not digests`;
  const takes = hashOf(algorithm);
  if (takes !== undefined && item.hash === takes && item.bytes.length === digestLength[takes]) return undefined;
  return `it signs ${String(takes)} digests, not ${String(item.bytes.length)} bytes of ${item.hash}`;
}

/** Bytes. */
const digestLength = { sha256: 32, sha384: 48 } as const;
