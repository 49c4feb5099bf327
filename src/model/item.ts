// What a caller wants signed, after parsing, and how the log speaks of it.

import type { Purpose } from "./key.ts";

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
