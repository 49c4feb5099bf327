// What a format is: it reads one kind of item, computes exactly what will be signed, and dresses the signature afterwards.
// Formats are pure. `prepare` stands on the path of every signature: one pass over the bytes, nothing it can leave for later.

import type { Refusal } from "../model/errors.ts";
import type { ItemKind, ItemRecord, ToBeSigned } from "../model/item.ts";
import type { KeyVersion } from "../model/key.ts";
import type { Workload } from "../model/principal.ts";
import type { JsonObject } from "../std/json.ts";

export interface Prepared {
  readonly record: ItemRecord;
  readonly tbs: ToBeSigned;
  /** `signature` as the custody gives it, by `key`, the version that the item was prepared for. */
  readonly finish: (signature: Uint8Array, key: KeyVersion) => Finished;
}

export interface Finished {
  /** The signature alone: ECDSA as DER, RSA as PKCS#1 v1.5 or PSS, Ed25519 raw; of a JWS what its third part encodes (ECDSA: r‖s). */
  readonly value: Uint8Array;
  /** Sigstore bundle v0.3; made when asked for. */
  readonly bundle: (() => JsonObject) | undefined;
  /** DSSE envelope; made when asked for. */
  readonly envelope: (() => JsonObject) | undefined;
  /** Compact serialization, RFC 7515. */
  readonly jws: string | undefined;
}

export interface Format<Item extends { readonly kind: ItemKind }> {
  readonly kind: Item["kind"];
  /** Refuses with ITEM_INVALID or ALGORITHM_UNFIT. The message does not know the item's place in its request. */
  prepare(item: Item, by: Workload, key: KeyVersion): Prepared | Refusal;
}

/** Of the bytes to be signed in message form: 1 MiB. */
export const maxItemBytes = 1_048_576;
