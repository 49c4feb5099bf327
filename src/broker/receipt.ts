// The receipt of an entry, as it is handed to whoever caused it.

import type { Appended } from "../ports/log.ts";

export interface Receipt {
  readonly entry: number;
  readonly leaf: Uint8Array;
  /** C2SP tlog-proof text; made when asked for. */
  readonly tlogProof: () => string;
}

export const receiptOf = (appended: Appended): Receipt => ({
  entry: appended.index,
  leaf: appended.leaf,
  tlogProof: appended.receipt,
});
