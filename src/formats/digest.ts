// A bare digest, for tools that dress the signature themselves. It says nothing about itself, and neither does the log.

import { isRefusal } from "../model/errors.ts";
import { hex } from "../std/bytes.ts";
import type { Format } from "./format.ts";
import { digestFor } from "./prehashed.ts";

export interface DigestItem {
  readonly kind: "digest";
  /** `sha256:<hex>`, or `sha384:<hex>` for a P-384 key. */
  readonly digest: string;
}

export const digest: Format<DigestItem> = {
  kind: "digest",
  prepare({ digest: text }, _by, key) {
    const found = digestFor(key, text);
    if (isRefusal(found)) return found;
    return {
      record: {
        kind: "digest",
        artifacts: [{ digest: text }],
        format: "raw",
        form: "digest",
        signed: hex(found.bytes),
      },
      tbs: { form: "digest", ...found },
      finish: (signature) => ({ value: signature, bundle: undefined, envelope: undefined, jws: undefined }),
    };
  },
};
