// Every format that the broker signs. A new one is a file beside this one and a line here.

import type { Refusal } from "../model/errors.ts";
import type { ItemKind } from "../model/item.ts";
import type { KeyVersion } from "../model/key.ts";
import type { Workload } from "../model/principal.ts";
import { blob } from "./blob.ts";
import { digest } from "./digest.ts";
import type { Format, Prepared } from "./format.ts";
import { image } from "./image.ts";
import { jws } from "./jws.ts";
import { statement } from "./statement.ts";

export type { Finished, Prepared } from "./format.ts";

export const formats = [statement, image, jws, blob, digest] as const;

type ItemOf<F> = F extends Format<infer Item> ? Item : never;

/** What a caller wants signed: its own words, bounded and checked by `prepare`. */
export type SignItem = ItemOf<(typeof formats)[number]>;

const formatOf: ReadonlyMap<ItemKind, Pick<Format<never>, "prepare">> = new Map(
  formats.map((format) => [format.kind, format]),
);

/**
 * Exactly what `key` would sign for this item, and how the log speaks of it. Pure, and without time: the same item by
 * the same job gives the same bytes. `by` is the verified job: provenance speaks of it and not of the caller's words.
 * ITEM_INVALID, ALGORITHM_UNFIT.
 */
export function prepare(item: SignItem, by: Workload, key: KeyVersion): Prepared | Refusal {
  const format = formatOf.get(item.kind);
  if (format === undefined) throw new TypeError(`no format reads items of kind ${item.kind}`);
  return format.prepare(item as never, by, key); // the map holds, under each kind, the format that reads it
}
