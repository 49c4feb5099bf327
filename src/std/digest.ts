// SHA-256 and its relatives, one call each. `crypto.hash` is six times faster than a Hash object for short input.

import { hash } from "node:crypto";

export const sha256 = (bytes: Uint8Array | string): Buffer => hash("sha256", bytes, "buffer");
export const sha256Hex = (bytes: Uint8Array | string): string => hash("sha256", bytes, "hex");
export const sha384 = (bytes: Uint8Array | string): Buffer => hash("sha384", bytes, "buffer");
