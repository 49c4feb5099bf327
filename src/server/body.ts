// The body of a request, read on the node stream with a limit in bytes. Attacker-controlled until somebody has checked it.

import type { IncomingMessage } from "node:http";

const empty = Buffer.alloc(0);

export type Read =
  | { readonly read: "all"; readonly bytes: Buffer }
  | { readonly read: "too-large" }
  /** Others have taken the room for bodies. */
  | { readonly read: "no-room" }
  /** The caller hung up, or was too slow. */
  | { readonly read: "gone" };

/** Bytes that all bodies together may still take. */
export interface Room {
  left: number;
}

/** What one body has taken of the room, given back when it is disposed of: after the answer, or when the caller has gone. */
export interface Share extends Disposable {
  /** False where a body of so many bytes has no room. Bytes that have come are taken, announced ones are not: announcing costs nothing. */
  fits(length: number): boolean;
  take(length: number): boolean;
}

/** Bytes of each body that are not counted: the number of connections bounds them, and small requests get through while strangers fill the room. */
const uncounted = 16_384;

export function shareOf(room: Room): Share {
  let taken = 0;
  const fits = (length: number): boolean => length - uncounted - taken <= room.left;
  return {
    fits,
    take(length) {
      if (!fits(length)) return false;
      const more = Math.max(0, length - uncounted - taken);
      taken += more;
      room.left -= more;
      return true;
    },
    [Symbol.dispose]() {
      room.left += taken;
      taken = 0;
    },
  };
}

/** Never rejects. Stops reading at the limit: the rest is left to whoever closes the connection. */
export function readBody(request: IncomingMessage, limit: number, share: Share): Promise<Read> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > limit) return Promise.resolve({ read: "too-large" });
  if (!share.fits(announced)) return Promise.resolve({ read: "no-room" });
  const { promise, resolve } = Promise.withResolvers<Read>();
  const chunks: Buffer[] = [];
  let length = 0;
  const give = (read: "too-large" | "no-room"): void => {
    request.off("data", take).pause();
    chunks.length = 0;
    resolve({ read });
  };
  const take = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > limit) give("too-large");
    else if (!share.take(length)) give("no-room");
    else chunks.push(chunk);
  };
  request.on("data", take);
  request.once("end", () => {
    resolve({ read: "all", bytes: chunks.length === 1 ? (chunks[0] ?? empty) : Buffer.concat(chunks) });
  });
  const gone = (): void => {
    if (!request.complete) chunks.length = 0;
    resolve({ read: "gone" });
  };
  request.once("error", gone);
  request.once("close", gone);
  return promise;
}
