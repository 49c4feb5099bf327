// How do the daemon and a token's process talk? Frames over a socket pair, in both directions:
//
//   length of what follows (4 bytes, big-endian) ‖ number of the question (4) ‖ kind (1) ‖ body
//
// Questions are answered in the order asked, one frame each. Bodies are JSON, but for `login` (the PIN) and for `sign` and
// its answer, which carry many items in one frame. What comes from the process is checked: a module runs in there.

import { z } from "zod";

import type { KeyAlgorithm } from "../model/key.ts";
import { buffer, fromUtf8, utf8 } from "../std/bytes.ts";

export const questions = ["open", "login", "find", "generate", "destroy", "sign"] as const;
export type Question = (typeof questions)[number];

/** done: the body is the answer. failed: the body is a `Failure`. */
export const answers = ["done", "failed"] as const;
export type Answer = (typeof answers)[number];

export interface Frame<Kind> {
  readonly number: number;
  readonly kind: Kind;
  readonly body: Uint8Array;
}

const headLength = 9;
/** Far above any batch; a length beyond it is garbage. */
const mostBytes = 64 * 1024 * 1024;

export function frame(number: number, kind: number, body: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(headLength + body.length);
  out.writeUInt32BE(headLength - 4 + body.length, 0);
  out.writeUInt32BE(number, 4);
  out.writeUInt8(kind, 8);
  out.set(body, headLength);
  return out;
}

/** Takes bytes as they come, gives the frames that are whole. Throws SyntaxError where they cannot be frames. */
export function frameReader<Kind>(kinds: readonly Kind[]): (chunk: Uint8Array) => readonly Frame<Kind>[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? buffer(chunk) : Buffer.concat([rest, chunk]);
    const out: Frame<Kind>[] = [];
    while (rest.length >= 4) {
      const length = rest.readUInt32BE(0);
      if (length < headLength - 4 || length > mostBytes) throw new SyntaxError("not a frame");
      if (rest.length < 4 + length) break;
      const kind = kinds[rest.readUInt8(8)];
      if (kind === undefined) throw new SyntaxError("a frame of no known kind");
      out.push({ number: rest.readUInt32BE(4), kind, body: rest.subarray(headLength, 4 + length) });
      rest = rest.subarray(4 + length);
    }
    return out;
  };
}

// open

export interface Wanted {
  readonly model?: string | undefined;
  readonly manufacturer?: string | undefined;
  readonly serial?: string | undefined;
  readonly token?: string | undefined;
}

export interface ToOpen {
  /** Path of the module. */
  readonly module: string;
  /** Parameters of C_Initialize. */
  readonly initialize?: string;
  readonly token: Wanted;
}

/** A token as its module tells of it. */
export const tokenInfo = z.strictObject({
  model: z.string(),
  manufacturer: z.string(),
  serial: z.string(),
  token: z.string(),
  /** CKF_* of C_GetTokenInfo. */
  flags: z.int(),
  /** CKF_HW_SLOT: the module says that a device holds it. */
  hardware: z.boolean(),
  mechanisms: z.array(z.int()),
  /** Bits of the longest RSA key that the module makes; 0 where it makes none. */
  rsaBits: z.int(),
});
export type TokenInfo = z.infer<typeof tokenInfo>;

// find, generate, destroy

export interface Which {
  /** CKA_ID, hexadecimal. */
  readonly id?: string | undefined;
  /** CKA_LABEL. */
  readonly object?: string | undefined;
}

export interface ToGenerate {
  readonly id: string;
  readonly object: string;
  readonly algorithm: KeyAlgorithm;
}

const hexadecimal = z.string().regex(/^([0-9a-f]{2})*$/);
const flag = z.boolean().nullable();

/** What the module states of a private key; null where it states nothing. It proves nothing. */
export const claims = z.strictObject({
  sensitive: flag,
  extractable: flag,
  alwaysSensitive: flag,
  neverExtractable: flag,
  local: flag,
  sign: flag,
  alwaysAuthenticate: flag,
  wrapWithTrusted: flag,
  modifiable: flag,
});
export type Claims = z.infer<typeof claims>;

const publicPart = z.union([
  z.strictObject({ ecParams: hexadecimal, ecPoint: hexadecimal }),
  z.strictObject({ modulus: hexadecimal, exponent: hexadecimal }),
]);
export type PublicPart = z.infer<typeof publicPart>;

export const foundKeys = z.strictObject({
  /** How many private keys there are that fit. */
  matches: z.int(),
  /** The one, where there is exactly one. */
  key: z
    .strictObject({
      /** What `sign` calls it, in this process. */
      number: z.int(),
      id: hexadecimal,
      object: z.string(),
      /** Absent where the token shows no public key that belongs to it. */
      public: publicPart.nullable(),
      claims,
    })
    .nullable(),
});
export type FoundKeys = z.infer<typeof foundKeys>;
export type FoundKey = NonNullable<FoundKeys["key"]>;

export const generated = z.strictObject({
  /** Another pair was there too: ours is destroyed, ask again. */
  collided: z.boolean(),
});

/** What went wrong in the process. */
export const failure = z.strictObject({
  /** CKR_*; 0 where no module said anything. */
  code: z.int(),
  /** Name of the PKCS#11 function, or a few words. Never data. */
  at: z.string().max(500),
  /** No signature was made and no object changed. */
  nothingHappened: z.boolean(),
});
export type Failure = z.infer<typeof failure>;

export const jsonBody = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
export const parsedBody = (body: Uint8Array): unknown => JSON.parse(fromUtf8(body));

// sign

/** How the module is told to sign; the order is the wire's. */
export const mechanisms = [
  "ECDSA",
  "ECDSA_SHA256",
  "ECDSA_SHA384",
  "EDDSA",
  "RSA_PKCS",
  "SHA256_RSA_PKCS",
  "RSA_PSS_SHA256",
  "SHA256_RSA_PSS",
] as const;
export type Mechanism = (typeof mechanisms)[number];

export interface ToSign {
  /** Of a found key. */
  readonly key: number;
  readonly mechanism: Mechanism;
  readonly items: readonly Uint8Array[];
}

/** key (4) ‖ mechanism (1) ‖ for each item: length (4) ‖ bytes */
export function signBody({ key, mechanism, items }: ToSign): Uint8Array {
  const out = Buffer.allocUnsafe(5 + items.reduce((sum, item) => sum + 4 + item.length, 0));
  out.writeUInt32BE(key, 0);
  out.writeUInt8(mechanisms.indexOf(mechanism), 4);
  writeItems(out, 5, items);
  return out;
}

export function parseSignBody(body: Uint8Array): ToSign {
  const bytes = buffer(body);
  const mechanism = mechanisms[bytes.readUInt8(4)];
  if (mechanism === undefined) throw new SyntaxError("no such mechanism");
  return { key: bytes.readUInt32BE(0), mechanism, items: readItems(bytes, 5) };
}

/** microseconds that the module took (4) ‖ for each signature: length (4) ‖ bytes */
export function signedBody(microseconds: number, signatures: readonly Uint8Array[]): Uint8Array {
  const out = Buffer.allocUnsafe(4 + signatures.reduce((sum, one) => sum + 4 + one.length, 0));
  out.writeUInt32BE(Math.min(0xffffffff, Math.round(microseconds)), 0);
  writeItems(out, 4, signatures);
  return out;
}

export function parseSignedBody(body: Uint8Array): {
  readonly microseconds: number;
  readonly signatures: readonly Uint8Array[];
} {
  const bytes = buffer(body);
  return { microseconds: bytes.readUInt32BE(0), signatures: readItems(bytes, 4) };
}

function writeItems(out: Buffer, from: number, items: readonly Uint8Array[]): void {
  let at = from;
  for (const item of items) {
    out.writeUInt32BE(item.length, at);
    out.set(item, at + 4);
    at += 4 + item.length;
  }
}

function readItems(bytes: Buffer, from: number): readonly Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = from; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) throw new SyntaxError("an item is longer than its frame");
    out.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return out;
}
