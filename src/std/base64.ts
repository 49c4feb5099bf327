// Base64 (RFC 4648), standard and URL alphabets, strict: one text for one value.
// Lax decoders accept changed padding bits, and then two texts name the same bytes.

import { buffer } from "./bytes.ts";

export const base64 = (bytes: Uint8Array): string => buffer(bytes).toString("base64");
export const base64url = (bytes: Uint8Array): string => buffer(bytes).toString("base64url");

/** Throws SyntaxError unless `text` is exactly what `base64` would have written. */
export const fromBase64 = (text: string): Uint8Array => decode(text, "base64");
/** Throws SyntaxError unless `text` is exactly what `base64url` would have written (no padding). */
export const fromBase64url = (text: string): Uint8Array => decode(text, "base64url");

function decode(text: string, encoding: "base64" | "base64url"): Uint8Array {
  const bytes = Buffer.from(text, encoding);
  if (bytes.toString(encoding) !== text) throw new SyntaxError(`not canonical ${encoding}`);
  return bytes;
}
