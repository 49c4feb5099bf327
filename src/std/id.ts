// Identifiers people can copy: a prefix that says what it names, then time-ordered Crockford base32 (as in ULID).

import type { Clock, Random } from "./clock.ts";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** `ss_01K…`: 48 bits of milliseconds and 80 bits of chance. Not a secret. */
export function newId(prefix: string, clock: Clock, random: Random): string {
  return `${prefix}_${base32(BigInt(clock()), 10)}${base32(BigInt(`0x${Buffer.from(random(10)).toString("hex")}`), 16)}`;
}

function base32(value: bigint, length: number): string {
  let out = "";
  for (let rest = value; out.length < length; rest >>= 5n) out = alphabet.charAt(Number(rest & 31n)) + out;
  return out;
}
