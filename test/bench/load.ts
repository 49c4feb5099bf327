// The one generator of every row: wrk with one thread and connections that stay open, 64 where nothing else is said. A generator in Node would be the
// bottleneck. Requests are prepared beforehand and read from files, so that wrk signs nothing and builds no JSON.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { run } from "../support/command.ts";
import { peer } from "../support/peers.ts";

/** Requests over HTTP/1.1. The characters 1 to 8 stand for the fields of a line; without lines all requests are alike. */
export interface Prepared {
  /** Request line and headers, each with its CRLF; Content-Length is added. */
  readonly head: string;
  readonly body: string;
  readonly lines?: readonly string[] | undefined;
}

export interface Measured {
  readonly seconds: number;
  readonly requests: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** CPU time of the server's process, seconds. */
  readonly cpu: number;
}

export const connections = 64;

const spoken = z.object({
  seconds: z.number().positive(),
  requests: z.number(),
  p50: z.number(),
  p95: z.number(),
  p99: z.number(),
  connect: z.number(),
  read: z.number(),
  write: z.number(),
  status: z.number(),
  timeout: z.number(),
  spent: z.boolean(),
});

/** `open`: connections. Throws where a request got no answer or another than 2xx, or where the prepared requests were used up at once. */
export async function load(
  url: string,
  prepared: Prepared,
  seconds: number,
  server: number,
  folder: string,
  open = connections,
): Promise<Measured> {
  const files = [write(folder, "head", prepared.head), write(folder, "body", prepared.body)];
  if (prepared.lines) files.push(write(folder, "lines", `${prepared.lines.join("\n")}\n`));
  try {
    const began = cpuSeconds(server);
    const flags = [
      "-t1",
      `-c${String(open)}`,
      `-d${String(seconds)}s`,
      "--timeout",
      "20s",
      "-s",
      join(import.meta.dirname, "load.lua"),
    ];
    const { status, stdout, stderr } = await run(await peer("wrk"), [...flags, url, "--", ...files], {
      timeout: (seconds + 60) * 1000,
    });
    const cpu = cpuSeconds(server) - began;
    const last = stdout.trim().split("\n").at(-1) ?? "";
    if (status !== 0 || !last.startsWith("{")) throw new Error(`wrk did not finish: ${stdout}${stderr}`);
    const said = spoken.parse(JSON.parse(last));
    const failed = said.connect + said.read + said.write + said.status + said.timeout;
    if (failed > 0) throw new Error(`${String(failed)} requests had no answer or another than 2xx: ${last}`);
    if (said.spent && said.seconds < seconds / 2)
      throw new Error(`the prepared requests were used up after ${said.seconds.toFixed(1)} s of ${String(seconds)} s`);
    return { seconds: said.seconds, requests: said.requests, p50: said.p50, p95: said.p95, p99: said.p99, cpu };
  } finally {
    for (const file of files) rmSync(file, { force: true });
  }
}

function write(folder: string, name: string, text: string): string {
  const file = join(folder, `wrk-${name}`);
  writeFileSync(file, text);
  return file;
}

/** proc(5): fields 14 and 15, in ticks of 10 ms, of all threads of the process. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${String(pid)}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** proc(5): the peak of the resident set, in MiB. */
export function peakMegabytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1]) / 1024;
}
