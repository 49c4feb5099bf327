// How a key of AWS KMS is named: cosign's scheme `awskms:///`, then a key's ARN, its id, or an alias; an RSA key that is to
// sign with PSS adds `?padding=pss`. Only an ARN of a key names one key for ever: it is the pinned form, and alone signs.

import { isPss, type KeyAlgorithm } from "../model/key.ts";

/** https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id */
const keyId = "(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})";
const aliasName = "alias/[A-Za-z0-9/_-]{1,250}";
const arnHead = "arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:";

const keyArn = new RegExp(`^${arnHead}key/${keyId}$`);
const anyName = new RegExp(`^(?:${arnHead}(?:key/${keyId}|${aliasName})|${keyId}|${aliasName})$`);

export interface KmsUri {
  /** As KMS takes it for KeyId. */
  readonly name: string;
  /** Where the name tells it. */
  readonly region: string | undefined;
  /** The ARN of a key, and not an alias or a bare id. */
  readonly pinned: boolean;
  readonly pss: boolean;
}

/** Undefined where it is no name of a key or alias. */
export function parseKmsUri(uri: string): KmsUri | undefined {
  const [, name, padding] = /^awskms:\/\/\/([^?]+)(\?padding=pss)?$/.exec(uri) ?? [];
  const found = name === undefined ? null : anyName.exec(name);
  if (name === undefined || found === null) return undefined;
  return { name, region: found[1], pinned: isKeyArn(name), pss: padding !== undefined };
}

export const isKeyArn = (text: string): boolean => keyArn.test(text);

export const pinnedUri = (arn: string, algorithm: KeyAlgorithm): string =>
  `awskms:///${arn}${isPss(algorithm) ? "?padding=pss" : ""}`;
