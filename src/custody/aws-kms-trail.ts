// What CloudTrail says of a key: how many signatures it made on which day, and of which days it says anything. Reads the log files as CloudTrail delivers
// them (*.json and *.json.gz, `Records` in each, in any folders below one), from a copy of the bucket on this machine.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";

import { z } from "zod";

import type { DailyUse } from "../ports/custody.ts";

const happened = z.object({
  eventTime: z.string().regex(/^\d{4}-\d{2}-\d{2}T/),
  awsRegion: z.string(),
  recipientAccountId: z.string().optional(),
});
const event = z.object({
  eventID: z.string(),
  eventTime: z.string().regex(/^\d{4}-\d{2}-\d{2}T/),
  eventSource: z.string(),
  eventName: z.string(),
  errorCode: z.string().optional(),
  requestParameters: z.object({ keyId: z.string().optional() }).nullish(),
  resources: z.array(z.object({ ARN: z.string().optional() })).nullish(),
});
const delivered = z.object({ Records: z.array(z.unknown()) });

/** Of one log file, unpacked: CloudTrail's have some megabytes at most. */
const mostBytes = 256 * 1024 * 1024;

export interface Trail {
  readonly uses: readonly DailyUse[];
  /** Days of which there is at least one event of the key's region and account, of whatever service. */
  readonly told: ReadonlySet<string>;
}

/**
 * `arn` of the key; days as the port says. CloudTrail delivers at least once, so an event counts once by its id.
 * Throws for a file that is not CloudTrail's or is damaged, naming it: a count that leaves something out is worse than none.
 */
export async function countSigns(
  folder: string,
  arn: string,
  days: { readonly from: string; readonly to: string },
  signal: AbortSignal,
): Promise<Trail> {
  const [, , , region = "", account = ""] = arn.split(":");
  const told = new Set<string>();
  const seen = new Set<string>();
  const signatures = new Map<string, number>();
  for (const file of await logFiles(folder, days)) {
    signal.throwIfAborted();
    for (const one of await recordsOf(file)) {
      const any = happened.safeParse(one).data;
      if (any?.awsRegion === region && (any.recipientAccountId ?? account) === account)
        told.add(any.eventTime.slice(0, 10));
      const found = event.safeParse(one);
      if (!found.success || !isSign(found.data, arn) || seen.has(found.data.eventID)) continue;
      seen.add(found.data.eventID);
      const day = found.data.eventTime.slice(0, 10);
      if (day >= days.from && day < days.to) signatures.set(day, (signatures.get(day) ?? 0) + 1);
    }
  }
  return { uses: [...signatures].sort().map(([day, count]) => ({ day, signatures: count })), told };
}

/**
 * The first day, from inclusive to exclusive, of which the trail has nothing at all. The daemon itself asks KMS about its
 * keys every few minutes, and each of these questions is an event: a day without any is one whose files are not here.
 */
export function silentDay(
  { told }: Pick<Trail, "told">,
  days: { readonly from: string; readonly to: string },
): string | undefined {
  for (let at = Date.parse(`${days.from}T00:00:00Z`); ; at += 86_400_000) {
    const day = new Date(at).toISOString().slice(0, 10);
    if (day >= days.to) return undefined;
    if (!told.has(day)) return day;
  }
}

/** Made a signature: refused ones and dry runs have an error code. */
const isSign = (one: z.infer<typeof event>, arn: string): boolean =>
  one.eventSource === "kms.amazonaws.com" &&
  one.eventName === "Sign" &&
  one.errorCode === undefined &&
  ((one.resources ?? []).some((resource) => resource.ARN === arn) || one.requestParameters?.keyId === arn);

/** In CloudTrail's own folders (…/YYYY/MM/DD/) only those days, and two more: files come late, never early. */
async function logFiles(folder: string, days: { readonly from: string; readonly to: string }): Promise<string[]> {
  const last = new Date(Date.parse(`${days.to}T00:00:00Z`) + 2 * 86_400_000).toISOString().slice(0, 10);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.json(\.gz)?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const [, year, month, day] = /\/(\d{4})\/(\d{2})\/(\d{2})\/[^/]+$/.exec(path) ?? [];
      if (year === undefined || month === undefined || day === undefined) return true;
      const delivery = `${year}-${month}-${day}`;
      return delivery >= days.from && delivery <= last;
    })
    .sort();
}

async function recordsOf(file: string): Promise<readonly unknown[]> {
  const bytes = await readFile(file);
  try {
    const text = file.endsWith(".gz") ? await promisify(gunzip)(bytes, { maxOutputLength: mostBytes }) : bytes;
    return delivered.parse(JSON.parse(text.toString("utf8"))).Records;
  } catch (cause) {
    throw new Error(`${file} is not a log file of CloudTrail, or is damaged`, { cause });
  }
}
