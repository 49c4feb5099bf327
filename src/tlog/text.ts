// What the text formats of the log share: the one error of their parsers, decimal numbers, and base64 hashes.
// Everything parsed here is untrusted until a signature or a proof has been verified over it.

import { base64, fromBase64 } from "../std/base64.ts";

/** Bytes of a SHA-256 hash. */
export const hashLength = 32;

/** The text is not of the format it claims. The only error that the parsers and formatters of this folder throw. */
export class Malformed extends Error {
  override readonly name = "Malformed";
  /** Which format, in the words of its specification: `signed note`, `checkpoint`, `policy`, … */
  readonly format: string;
  /** Line of the text, from 1; absent where the fault has no line. */
  readonly line?: number;

  constructor(format: string, problem: string, line?: number) {
    super(`${format}${line === undefined ? "" : `, line ${String(line)}`}: ${problem}`);
    this.format = format;
    if (line !== undefined) this.line = line;
  }
}

/** Foreign text for a message: escaped, and cut at 40 characters. */
export const quote = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

/** Whether the text holds an ASCII control character (below U+0020) other than those allowed. */
export function hasControl(text: string, allowed = ""): boolean {
  for (let i = 0; i < text.length; i += 1) {
    if (text.charCodeAt(i) < 0x20 && !allowed.includes(text.charAt(i))) return true;
  }
  return false;
}

/** ASCII decimal without leading zeroes, at most 2^53-1. */
export function parseDecimal(text: string, format: string, line?: number): number {
  const value = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new Malformed(format, `${quote(text)} is not a decimal number without leading zeroes below 2^53`, line);
  }
  return value;
}

/** The inverse of `parseDecimal`; refuses what it could not read back. */
export function formatDecimal(value: number, format: string): string {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new Malformed(format, `${String(value)} is not a whole number from 0 to 2^53-1`);
  }
  return String(value);
}

/** Standard base64 with padding, canonical (RFC 4648 section 4). */
export function parseBase64(text: string, format: string, line?: number): Uint8Array {
  try {
    return fromBase64(text);
  } catch {
    throw new Malformed(format, `${quote(text)} is not canonical base64`, line);
  }
}

/** 32 bytes in base64. */
export function parseHash(text: string, format: string, line?: number): Uint8Array {
  const hash = parseBase64(text, format, line);
  if (hash.length !== hashLength) {
    throw new Malformed(format, `a hash has 32 bytes, this one ${String(hash.length)}`, line);
  }
  return hash;
}

/** The inverse of `parseHash`. */
export function formatHash(hash: Uint8Array, format: string): string {
  if (hash.length !== hashLength) throw new Malformed(format, `a hash has 32 bytes, this one ${String(hash.length)}`);
  return base64(hash);
}
