// Identifiers people can copy: a prefix that says what it names, then time-ordered Crockford base32 (as in ULID).

import { buffer } from "./bytes.ts";
import type { Clock, Random } from "./clock.ts";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** `ss_01K…`: 48 bits of milliseconds and 80 bits of chance. Not a secret. */
export function newId(prefix: string, clock: Clock, random: Random): string {
  const chance = buffer(random(10));
  return `${prefix}_${base32(clock(), 10)}${base32(chance.readUIntBE(0, 5), 8)}${base32(chance.readUIntBE(5, 5), 8)}`;
}

/** Of a whole number below 2^53. */
function base32(value: number, length: number): string {
  let out = "";
  for (let rest = value; out.length < length; rest = Math.floor(rest / 32)) out = alphabet.charAt(rest % 32) + out;
  return out;
}
