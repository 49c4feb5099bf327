// A verifier key: the public half of who signs notes, with the name it signs under and the kind of signature it makes.
// Its text is `<name>+<key ID, 8 hex digits>+<base64 of type byte and public key>` (C2SP signed-note v1.0.0, "Verifier keys").
// The key ID is short on purpose: it finds the key, it proves nothing; only the signature does.

import { createPublicKey, type KeyObject, verify } from "node:crypto";

import { base64 } from "../std/base64.ts";
import { buffer, concat, equalBytes, hex, utf8 } from "../std/bytes.ts";
import { sha256 } from "../std/digest.ts";
import { hasControl, Malformed, parseBase64, quote } from "./text.ts";

/**
 * `ed25519` (0x01) signs the text of the note; logs use it.
 * `cosignature` (0x04) signs a checkpoint together with a time; witnesses use it (C2SP tlog-cosignature v1.0.1).
 */
export type VkeyType = "ed25519" | "cosignature";

export interface Vkey {
  /** Non-empty, without Unicode spaces, control characters and `+`; by custom a URL without scheme. */
  readonly name: string;
  /** 4 bytes: SHA-256(name, 0x0A, type byte, public key), cut. */
  readonly keyId: Uint8Array;
  readonly type: VkeyType;
  /** 32 bytes (RFC 8032). */
  readonly publicKey: Uint8Array;
}

/** What a signature said once its key accepted it. `time`, in seconds since the epoch, is the cosigner's own claim. */
export type Accepted =
  | { readonly type: "ed25519"; readonly vkey: Vkey }
  | { readonly type: "cosignature"; readonly vkey: Vkey; readonly time: number };

const typeBytes: Record<VkeyType, number> = { ed25519: 0x01, cosignature: 0x04 };
const publicKeyLength = 32;
const ed25519SignatureLength = 64;
const timeLength = 8;

/** The vkey of a raw public key. Throws Malformed where the name or the key cannot be a vkey's. */
export function vkeyOf(name: string, type: VkeyType, publicKey: Uint8Array): Vkey {
  checkKeyName(name, "vkey");
  if (publicKey.length !== publicKeyLength) {
    throw new Malformed("vkey", `an Ed25519 public key has 32 bytes, this one ${String(publicKey.length)}`);
  }
  const material = concat(Uint8Array.of(typeBytes[type]), publicKey);
  return { name, type, publicKey, keyId: sha256(concat(utf8(`${name}\n`), material)).subarray(0, 4) };
}

/** Throws Malformed for any other text than `formatVkey` writes, and for signature types other than 0x01 and 0x04. */
export function parseVkey(text: string): Vkey {
  const [, name, keyId, material] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  if (name === undefined || keyId === undefined || material === undefined) {
    throw new Malformed("vkey", `${quote(text)} is not of the form name+keyid+base64`);
  }
  const bytes = parseBase64(material, "vkey");
  const vkey = vkeyOf(name, typeOf(bytes[0]), bytes.subarray(1));
  if (hex(vkey.keyId) !== keyId) {
    throw new Malformed("vkey", `the key ID is ${keyId}, but this name and key have ${hex(vkey.keyId)}`);
  }
  return vkey;
}

export const formatVkey = (vkey: Vkey): string =>
  `${vkey.name}+${hex(vkey.keyId)}+${base64(concat(Uint8Array.of(typeBytes[vkey.type]), vkey.publicKey))}`;

/** Same name, type and public key. */
export const sameVkey = (a: Vkey, b: Vkey): boolean =>
  a.name === b.name && a.type === b.type && equalBytes(a.publicKey, b.publicKey);

/** Names of keys: C2SP signed-note, "Format". Throws Malformed. */
export function checkKeyName(name: string, format: string, line?: number): void {
  if (!/^[^\s+\u0085]+$/u.test(name) || hasControl(name) || !name.isWellFormed()) {
    throw new Malformed(format, `${quote(name)} is not a key name: it may not be empty or hold spaces or +`, line);
  }
}

/**
 * Whether `signature` (the bytes after the key ID) is this key's over `body`, the text of the note with its last
 * newline; `undefined` where it is not. Never throws for foreign bytes.
 */
export function accept(vkey: Vkey, body: string, signature: Uint8Array): Accepted | undefined {
  switch (vkey.type) {
    case "ed25519":
      return verifies(vkey, utf8(body), signature) ? { type: "ed25519", vkey } : undefined;
    case "cosignature": {
      const stamped = splitTimestamped(signature);
      if (stamped === undefined) return undefined;
      const message = cosignedMessage(stamped.time, body);
      return verifies(vkey, message, stamped.signature) ? { type: "cosignature", vkey, time: stamped.time } : undefined;
    }
  }
}

/** What a cosigner signs: two header lines, then the checkpoint's body (C2SP tlog-cosignature, "Ed25519 signed message"). */
export const cosignedMessage = (time: number, body: string): Uint8Array =>
  utf8(`cosignature/v1\ntime ${String(time)}\n${body}`);

/** `timestamped_signature`: big-endian uint64 of seconds, then the 64 bytes of Ed25519. `time` is a whole number. */
export function joinTimestamped(time: number, signature: Uint8Array): Uint8Array {
  const head = Buffer.alloc(timeLength);
  head.writeBigUInt64BE(BigInt(time));
  return concat(head, signature);
}

function splitTimestamped(bytes: Uint8Array): { time: number; signature: Uint8Array } | undefined {
  if (bytes.length !== timeLength + ed25519SignatureLength) return undefined;
  const time = Number(buffer(bytes).readBigUInt64BE());
  return Number.isSafeInteger(time) ? { time, signature: bytes.subarray(timeLength) } : undefined;
}

function typeOf(byte: number | undefined): VkeyType {
  if (byte === typeBytes.ed25519) return "ed25519";
  if (byte === typeBytes.cosignature) return "cosignature";
  throw new Malformed("vkey", `signature type ${String(byte)} is not supported: 1 (Ed25519) and 4 (cosignature) are`);
}

const spkiHead = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410: SubjectPublicKeyInfo of Ed25519
const keyObjects = new WeakMap<Vkey, KeyObject>();

function verifies(vkey: Vkey, message: Uint8Array, signature: Uint8Array): boolean {
  let key = keyObjects.get(vkey);
  if (key === undefined) {
    key = createPublicKey({ key: Buffer.concat([spkiHead, vkey.publicKey]), format: "der", type: "spki" });
    keyObjects.set(vkey, key);
  }
  return verify(null, message, key, signature);
}
