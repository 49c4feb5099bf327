// The body of a request, read on the node stream with a limit in bytes. Attacker-controlled until somebody has checked it.

import type { IncomingMessage } from "node:http";

const empty = Buffer.alloc(0);

export type Read =
  | { readonly read: "all"; readonly bytes: Buffer }
  | { readonly read: "too-large" }
  /** The caller hung up, or was too slow. */
  | { readonly read: "gone" };

/** Never rejects. Stops reading at the limit: the rest is left to whoever closes the connection. */
export function readBody(request: IncomingMessage, limit: number): Promise<Read> {
  if (Number(request.headers["content-length"]) > limit) return Promise.resolve({ read: "too-large" });
  const { promise, resolve } = Promise.withResolvers<Read>();
  const chunks: Buffer[] = [];
  let length = 0;
  const take = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > limit) {
      request.off("data", take).pause();
      resolve({ read: "too-large" });
    } else {
      chunks.push(chunk);
    }
  };
  request.on("data", take);
  request.once("end", () => {
    resolve({ read: "all", bytes: chunks.length === 1 ? (chunks[0] ?? empty) : Buffer.concat(chunks) });
  });
  request.once("error", () => {
    resolve({ read: "gone" });
  });
  request.once("close", () => {
    resolve({ read: "gone" });
  });
  return promise;
}
