// ECDSA signatures in their two encodings: DER (RFC 3279, 2.2.3), which X.509, Sigstore and openssl read, and r‖s of
// fixed width (IEEE P1363), which JWS asks for (RFC 7518, 3.4). Strict both ways: one text for one signature, so that
// nobody can change the bytes of a signature without breaking it.

/** Bytes of r and of s: 32 for P-256, 48 for P-384. */
export type EcdsaWidth = 32 | 48;

const sequenceTag = 0x30;
const integerTag = 0x02;

/** Throws SyntaxError unless `der` is exactly what `ecdsaDer` would have written for two numbers of this width. */
export function ecdsaRaw(der: Uint8Array, width: EcdsaWidth): Uint8Array {
  if (der[0] !== sequenceTag || der[1] !== der.length - 2) throw malformed("it is not one DER sequence");
  const raw = new Uint8Array(2 * width);
  const sAt = readInteger(der, 2, raw, width);
  const end = readInteger(der, sAt, raw, 2 * width);
  if (end !== der.length) throw malformed("bytes follow s");
  return raw;

  /** Copies the number at `at` so that it ends before `until` of `into`; returns where the next one starts. */
  function readInteger(from: Uint8Array, at: number, into: Uint8Array, until: number): number {
    const length = from[at + 1] ?? 0;
    const bytes = from.subarray(at + 2, at + 2 + length);
    const [first, second = 0x80] = bytes;
    if (from[at] !== integerTag || first === undefined || bytes.length !== length)
      throw malformed("a number is missing");
    if (first > 0x7f) throw malformed("a number is negative");
    if (first === 0 && length > 1 && second < 0x80) throw malformed("a number has a leading zero");
    const digits = first === 0 ? bytes.subarray(1) : bytes;
    if (digits.length > width) throw malformed(`a number is longer than ${String(width)} bytes`);
    into.set(digits, until - digits.length);
    return at + 2 + length;
  }
}

/** The DER of r‖s. Throws SyntaxError unless `raw` is 64 or 96 bytes. */
export function ecdsaDer(raw: Uint8Array): Uint8Array {
  if (raw.length !== 64 && raw.length !== 96) throw malformed(`r‖s has 64 or 96 bytes, not ${String(raw.length)}`);
  const r = significant(raw.subarray(0, raw.length / 2));
  const s = significant(raw.subarray(raw.length / 2));
  const sAt = 4 + lengthOf(r);
  const der = new Uint8Array(sAt + 2 + lengthOf(s));
  der.set([sequenceTag, der.length - 2]);
  writeInteger(der, 2, r);
  writeInteger(der, sAt, s);
  return der;
}

/** Without leading zero bytes, but never empty. */
function significant(number: Uint8Array): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0);
  return number.subarray(first < 0 ? number.length - 1 : first);
}

/** A number whose first bit is set needs a zero byte before it, or it would be negative. */
const lengthOf = (number: Uint8Array): number => number.length + ((number[0] ?? 0) > 0x7f ? 1 : 0);

function writeInteger(der: Uint8Array, at: number, number: Uint8Array): void {
  const length = lengthOf(number);
  der.set([integerTag, length], at);
  der.set(number, at + 2 + length - number.length);
}

const malformed = (problem: string): SyntaxError => new SyntaxError(`not an ECDSA signature: ${problem}`);
