// How numbers, times and hashes are written for people.

import { base64 } from "../std/base64.ts";

/** `48 213` */
export const count = (value: number): string => String(value).replace(/\B(?=(?:\d{3})+$)/g, " ");

/** `1 file`, `2 files` */
export const several = (value: number, noun: string, plural = `${noun}s`): string =>
  `${count(value)} ${value === 1 ? noun : plural}`;

/** `sha256:5f2c…a91e` */
export function shortDigest(digest: string): string {
  const [kind = "", hex = ""] = digest.split(":");
  return hex.length > 12 ? `${kind}:${hex.slice(0, 4)}…${hex.slice(-4)}` : digest;
}

/** A key's URI as it may be repeated: a token's only up to where PINs are put, whether they belong there or not. */
export const shownUri = (uri: string): string => (/^pkcs11:/i.test(uri) ? uri.replace(/([?]|;pin-).*/is, "…") : uri);

/** What two auditors compare by eye: size and the first characters of the root. */
export const shortCheckpoint = ({ size, root }: { readonly size: number; readonly root: Uint8Array }): string =>
  `${count(size)} / ${base64(root).slice(0, 8)}…`;

/** `today 14:02:11Z`, or with the date. */
export function when(rfc3339: string, now: number): string {
  const [date = rfc3339, time = ""] = rfc3339.split("T");
  const today = new Date(now).toISOString().slice(0, 10);
  return `${date === today ? "today" : date} ${time.slice(0, 8)}Z`;
}

/** `9 min left`, `40 s left`, `over` */
export function timeLeft(rfc3339: string, now: number): string {
  const seconds = Math.floor((Date.parse(rfc3339) - now) / 1000);
  if (seconds <= 0) return "over";
  if (seconds < 120) return `${String(seconds)} s left`;
  if (seconds < 7200) return `${String(Math.floor(seconds / 60))} min left`;
  return `${String(Math.floor(seconds / 3600))} h left`;
}
