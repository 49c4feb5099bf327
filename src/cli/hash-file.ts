// The digest of a file of any size, without holding it in memory.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";

/** `sha256:<hex>` or `sha384:<hex>`. */
export async function digestOfFile(path: string, algorithm: "sha256" | "sha384", signal: AbortSignal): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, { signal });
  return `${algorithm}:${hash.digest("hex")}`;
}
