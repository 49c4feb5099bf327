// How often does Vault say that it signed with a key version? Its file audit device tells: one line of JSON for each
// request and one for each answer (https://developer.hashicorp.com/vault/docs/audit). Texts in them are HMACs, but the
// path with the key's name is not, nor are numbers: each element of an answer says which key version made it, and says 0
// where it failed.
//
// What cannot be told: signatures whose answer could not be written to the audit device (the caller got a 500 although
// Vault had signed); what stands in files that were rotated away; who asked, or what for. Signatures by other users of
// the same Vault key count too: that is what the comparison is for.

import { createReadStream } from "node:fs";

import { z } from "zod";

import type { DailyUse } from "../ports/custody.ts";

const line = z.object({
  type: z.literal("response"),
  time: z.string(),
  request: z.object({ path: z.string(), namespace: z.object({ path: z.string().optional() }).optional() }),
  response: z
    .object({
      data: z
        .object({
          key_version: z.int().optional(),
          batch_results: z.array(z.object({ key_version: z.int().optional() })).optional(),
        })
        .optional(),
    })
    .optional(),
});

export interface Audited {
  readonly mount: string;
  readonly name: string;
  readonly version: number;
  readonly namespace?: string | undefined;
}

/**
 * Days from inclusive, to exclusive, in order. `begins`: time of the file's first entry (RFC 3339); before it nothing can
 * be told. Throws what node:fs throws where the file cannot be read. Takes about a second for 100 MB.
 */
export async function auditedUses(
  file: string,
  { mount, name, version, namespace }: Audited,
  days: { readonly from: string; readonly to: string },
  signal: AbortSignal,
): Promise<{ readonly uses: readonly DailyUse[]; readonly begins: string | undefined }> {
  const path = `${mount}/sign/${name}`;
  const counts = new Map<string, number>();
  let begins: string | undefined;
  for await (const text of linesOf(file, signal)) {
    begins ??= /"time":"([^"]+)"/.exec(text)?.[1];
    if (!text.includes(`"${path}`)) continue; // parsing is what takes time
    const entry = line.safeParse(parsed(text));
    if (!entry.success) continue;
    const { request, time, response } = entry.data;
    if (request.path !== path && !request.path.startsWith(`${path}/`)) continue;
    if ((request.namespace?.path ?? "").replace(/\/$/, "") !== (namespace ?? "")) continue;
    const day = new Date(time).toISOString().slice(0, 10);
    if (day < days.from || day >= days.to) continue;
    const elements = response?.data?.batch_results ?? (response?.data ? [response.data] : []);
    const made = elements.filter((one) => one.key_version === version).length;
    if (made > 0) counts.set(day, (counts.get(day) ?? 0) + made);
  }
  const uses = [...counts].map(([day, signatures]) => ({ day, signatures }));
  return { uses: uses.toSorted((a, b) => (a.day < b.day ? -1 : 1)), begins };
}

async function* linesOf(file: string, signal: AbortSignal): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of createReadStream(file, { signal, encoding: "utf8", highWaterMark: 1024 * 1024 })) {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
