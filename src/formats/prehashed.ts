// Digest form: the caller hashed, the broker cannot know what. The digest must be of the hash that the key signs with,
// and is signed as it is: never a hash of a hash.

import { type Refusal, refuse } from "../model/errors.ts";
import { hashOf, type KeyVersion, signsDigests, versionId } from "../model/key.ts";
import { fromHex } from "../std/bytes.ts";
import { quote } from "../tlog/text.ts";
import type { Digest } from "./bundle.ts";

/** `text` is `sha256:<hex>` or `sha384:<hex>`. ITEM_INVALID where it is not, ALGORITHM_UNFIT where the key takes another. */
export function digestFor(key: KeyVersion, text: string): Digest | Refusal {
  const [, hash, digits] = /^(sha256|sha384):([0-9a-f]+)$/.exec(text) ?? [];
  if ((hash !== "sha256" && hash !== "sha384") || digits?.length !== hexDigits[hash]) {
    return refuse(
      "ITEM_INVALID",
      `digest is ${quote(text)}, not sha256: and 64 or sha384: and 96 lower-case hexadecimal digits`,
    );
  }
  const takes = hashOf(key.algorithm);
  if (takes === undefined || !signsDigests(key.algorithm)) {
    return refuse(
      "ALGORITHM_UNFIT",
      `key ${versionId(key)} is ${key.algorithm}, which signs messages and no digests`,
      "sign a statement about the file instead, or use a key of another algorithm",
    );
  }
  if (takes !== hash) {
    return refuse(
      "ALGORITHM_UNFIT",
      `key ${versionId(key)} is ${key.algorithm}, which signs ${takes} digests; this one is ${hash}`,
      `send the file's ${takes} digest`,
    );
  }
  return { hash, bytes: fromHex(digits) };
}

const hexDigits = { sha256: 64, sha384: 96 } as const;
