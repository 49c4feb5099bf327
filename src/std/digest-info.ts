// DigestInfo (RFC 8017, 9.2, note 1): what RSASSA-PKCS1-v1_5 really signs when the hash was computed elsewhere.

import { concat, fromHex } from "./bytes.ts";

const prefixes = {
  sha256: fromHex("3031300d060960864801650304020105000420"),
  sha384: fromHex("3041300d060960864801650304020205000430"),
} as const;

export const digestInfo = (hash: keyof typeof prefixes, digest: Uint8Array): Uint8Array =>
  concat(prefixes[hash], digest);
