// GET /log/…: the log as a static tree that strangers' tools read (C2SP tlog-tiles): `checkpoint`, `tile/<L>/<N>`,
// `tile/entries/<N>`. Hashes say nothing about what was signed and are open where the listener says so; entries are
// for auditors.

import type { Call } from "../broker/call.ts";
import type { Broker } from "../broker/index.ts";
import { isRefusal, refuse } from "../model/errors.ts";
import { parseTilePath } from "../tlog/tile.ts";
import { refusalError } from "./errors.ts";
import { type Answer, problem } from "./exchange.ts";

export const logPrefix = "/log/";

/** A path of the tree, its canonical form alone; undefined for any other. */
export function treePath(path: string): string | undefined {
  const inside = path.slice(logPrefix.length);
  if (inside === "checkpoint") return inside;
  try {
    parseTilePath(inside);
    return inside;
  } catch {
    return undefined;
  }
}

/** Whether it is read without asking who reads. */
export const isOpen = (path: string, openLog: boolean): boolean => openLog && !path.startsWith("tile/entries/");

export async function logFile(broker: Broker, call: Call, path: string, open: boolean): Promise<Answer> {
  const found = await broker.tile(call, path, open);
  if (isRefusal(found)) return problem(found.refusal === "NOT_FOUND" ? 404 : 403, refusalError(found, call.request));
  if (found === undefined)
    return problem(404, refusalError(refuse("NOT_FOUND", `the log has no ${path}`), call.request));
  if (path === "checkpoint") return { status: 200, type: "text/plain; charset=utf-8", body: found };
  // a tile of a signed checkpoint never changes
  const headers = open ? { "Cache-Control": "public, max-age=31536000, immutable" } : undefined;
  return { status: 200, type: "application/octet-stream", body: found, headers };
}
