// How node:crypto is told to sign or verify RSASSA-PSS (RFC 8017, 8.1) with a plain RSA key: salt as long as the hash,
// mask by the same hash, as JWS (RFC 7518, 3.5), KMS and Vault have it. It is asked for or it is PKCS#1 v1.5.

import { constants, type KeyObject } from "node:crypto";

export interface PssKey {
  readonly key: KeyObject;
  readonly padding: number;
  readonly saltLength: number;
}

export const pss = (key: KeyObject): PssKey => ({
  key,
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
});
