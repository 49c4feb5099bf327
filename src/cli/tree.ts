// A log as files (C2SP tlog-tiles): read from a folder or from the server, for fsck and export alike.

import { join } from "node:path";

import { type Client, isRefused } from "../client/connect.ts";
import { readIfThere } from "../client/files.ts";
import type { ReadFile } from "../tlog/fsck.ts";
import { granted } from "./failure.ts";

/** Paths come from tlog/tile.ts alone, so none leads out of the folder. */
export const filesIn =
  (folder: string): ReadFile =>
  (path) =>
    readIfThere(join(folder, path));

export const filesOf =
  (client: Client): ReadFile =>
  async (path) => {
    const answer = await client.logFile(path);
    return isRefused(answer) ? granted<never>(answer, { done: "read", asked: `the log's file ${path}` }) : answer;
  };
