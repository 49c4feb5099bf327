// Bytes: text, hex, joining, comparing. Nothing here knows what the bytes mean.

import { timingSafeEqual } from "node:crypto";

export const utf8 = (text: string): Uint8Array => Buffer.from(text, "utf8");

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Throws TypeError where the bytes are not valid UTF-8: silent replacement would change what was signed. */
export const fromUtf8 = (bytes: Uint8Array): string => strictUtf8.decode(bytes);

/** A view on the same memory, with Buffer's methods. */
export const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const hex = (bytes: Uint8Array): string => buffer(bytes).toString("hex");

export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) throw new SyntaxError("not lower-case hexadecimal");
  return Buffer.from(text, "hex");
}

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

/** Constant time for equal lengths; the length itself is not a secret. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
