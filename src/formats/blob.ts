// A detached signature of a file, where a tool asks for one (openssl dgst -verify, cosign verify-blob). The file stays
// with the caller, and so does the knowledge of what it is: the name is a claim.

import { isRefusal, refuse } from "../model/errors.ts";
import { hex } from "../std/bytes.ts";
import { messageBundle } from "./bundle.ts";
import { nameProblem } from "./checks.ts";
import type { Format } from "./format.ts";
import { digestFor } from "./prehashed.ts";

export interface BlobItem {
  readonly kind: "blob";
  readonly name: string;
  /** `sha256:<hex>`, or `sha384:<hex>` for a P-384 key. */
  readonly digest: string;
}

export const blob: Format<BlobItem> = {
  kind: "blob",
  prepare({ name, digest: text }, _by, key) {
    const problem = nameProblem("name", name);
    if (problem !== undefined) return refuse("ITEM_INVALID", problem);
    const digest = digestFor(key, text);
    if (isRefusal(digest)) return digest;
    return {
      record: {
        kind: "blob",
        artifacts: [{ name, digest: text }],
        format: "raw",
        form: "digest",
        signed: hex(digest.bytes),
      },
      tbs: { form: "digest", ...digest },
      finish: (signature, by) => ({
        value: signature,
        bundle: () => messageBundle(digest, signature, by),
        envelope: undefined,
        jws: undefined,
      }),
    };
  },
};
