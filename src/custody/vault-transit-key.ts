// What Vault's transit engine tells of a key, in our words; and how one of its versions is named.
//
// cosign names a key `hashivault://KEY` and takes mount and version from elsewhere. Ours names exactly one version:
// `hashivault://MOUNT/KEY?version=N`, with `&padding=pss` for RSA keys that sign so, since transit lets every RSA key sign
// both ways. Where Vault is, and in which namespace, is the custody's configuration.

import { createPublicKey } from "node:crypto";

import { z } from "zod";

import { isPss, type KeyAlgorithm, type Protection } from "../model/key.ts";
import { fromBase64 } from "../std/base64.ts";
import { concat, fromHex } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson } from "../std/json.ts";

export interface TransitUri {
  readonly mount: string;
  readonly name: string;
  /** Absent in what people write for "the newest"; never in what we record. */
  readonly version?: number | undefined;
  readonly pss: boolean;
}

const uriForm =
  /^hashivault:\/\/((?:\w(?:[\w.-]*\w)?\/)*)(\w(?:[\w.-]*\w)?)(?:\?version=([1-9]\d{0,8}))?(?:([?&])padding=pss)?$/;

/** Undefined where the text is none. `mount`: for URIs without one, as cosign writes them. */
export function parseTransitUri(text: string, mount: string): TransitUri | undefined {
  const [, path, name, version, before] = uriForm.exec(text) ?? [];
  if (path === undefined || name === undefined) return undefined;
  if (before !== undefined && (before === "?") !== (version === undefined)) return undefined;
  return {
    mount: path === "" ? mount : path.slice(0, -1),
    name,
    version: version === undefined ? undefined : Number(version),
    pss: before !== undefined,
  };
}

export const transitUri = (mount: string, name: string, version: number, algorithm: KeyAlgorithm): string =>
  `hashivault://${mount}/${name}?version=${String(version)}${isPss(algorithm) ? "&padding=pss" : ""}`;

interface TransitAlgorithm {
  /** Of the key at Vault. */
  readonly type: string;
  /** Parameters of a sign request beside input and version. Everything but Ed25519 is hashed here: the message stays. */
  readonly sign: Readonly<Record<string, string | boolean>>;
}

const prehashed = (hash: "sha2-256" | "sha2-384") => ({
  prehashed: true,
  hash_algorithm: hash,
  marshaling_algorithm: "asn1",
});
const pkcs1 = { ...prehashed("sha2-256"), signature_algorithm: "pkcs1v15" };
/** Vault's own default is the longest salt that fits, which few verifiers expect. */
const pss = { ...prehashed("sha2-256"), signature_algorithm: "pss", salt_length: "hash" };

export const transitAlgorithms: Readonly<Record<KeyAlgorithm, TransitAlgorithm>> = {
  EC_P256: { type: "ecdsa-p256", sign: prehashed("sha2-256") },
  EC_P384: { type: "ecdsa-p384", sign: prehashed("sha2-384") },
  ED25519: { type: "ed25519", sign: { prehashed: false } },
  RSA_3072: { type: "rsa-3072", sign: pkcs1 },
  RSA_4096: { type: "rsa-4096", sign: pkcs1 },
  RSA_3072_PSS: { type: "rsa-3072", sign: pss },
  RSA_4096_PSS: { type: "rsa-4096", sign: pss },
};

export function algorithmOf(type: string, pssWanted: boolean): KeyAlgorithm | undefined {
  const fits = (Object.keys(transitAlgorithms) as KeyAlgorithm[]) // the keys of a table
    .filter((one) => transitAlgorithms[one].type === type);
  return fits.find((one) => isPss(one) === pssWanted);
}

const answer = z.object({
  type: z.string(),
  latest_version: z.int().min(1),
  min_available_version: z.int().default(0),
  min_decryption_version: z.int(),
  min_encryption_version: z.int(),
  exportable: z.boolean(),
  allow_plaintext_backup: z.boolean(),
  deletion_allowed: z.boolean(),
  derived: z.boolean(),
  imported_key: z.boolean().default(false),
  auto_rotate_period: z.union([z.int(), z.string()]).default(0),
  keys: z.record(z.string(), z.unknown()),
});
const shownVersion = z.object({ public_key: z.string().min(1), creation_time: z.string().optional() });

/** As `GET keys/NAME` answers. */
export type TransitKey = z.infer<typeof answer>;

/** Throws ZodError where it is not such an answer. */
export const parseTransitKey = (data: unknown): TransitKey => answer.parse(data);

/** SPKI, PEM; undefined where Vault shows none: below min_decryption_version, or trimmed. */
export function publicKeyOf(key: TransitKey, version: number): string | undefined {
  const shown = shownVersion.safeParse(key.keys[String(version)]);
  if (!shown.success) return undefined;
  const { public_key: text } = shown.data;
  const spki =
    key.type === "ed25519"
      ? createPublicKey({ key: Buffer.from(concat(ed25519Head, fromBase64(text))), format: "der", type: "spki" })
      : createPublicKey(text);
  return spki.export({ format: "pem", type: "spki" }).toString();
}

/** Milliseconds since the epoch, by Vault's clock; undefined where it does not tell. */
export function madeAt(key: TransitKey, version: number): number | undefined {
  const at = Date.parse(shownVersion.safeParse(key.keys[String(version)]).data?.creation_time ?? "");
  return Number.isNaN(at) ? undefined : at;
}

/** SubjectPublicKeyInfo of Ed25519 (RFC 8410) up to the key's 32 bytes, which is all that Vault shows. */
const ed25519Head = fromHex("302a300506032b6570032100");

/** Gone for ever: trimmed away. */
export const isTrimmed = (key: TransitKey, version: number): boolean => version < key.min_available_version;

/** Why Vault would not sign with this version now. */
export function troubleOf(key: TransitKey, version: number): string | undefined {
  if (key.min_decryption_version > version)
    return `min_decryption_version is ${String(key.min_decryption_version)}: Vault has archived version ${String(version)}`;
  if (key.min_encryption_version > version)
    return `min_encryption_version is ${String(key.min_encryption_version)}: Vault does not sign with version ${String(version)}`;
  return undefined;
}

/** Nothing of this is proved: it is what Vault says of itself, and whoever has its storage and its unseal keys has the key. */
export function protectionOf(key: TransitKey): Protection {
  const leaves = key.exportable || key.allow_plaintext_backup;
  return {
    level: "SERVICE",
    exportable: leaves ? "YES" : key.imported_key ? "UNKNOWN" : "NO",
    proved: [],
    claimed: [
      key.exportable ? "exportable" : "not exportable",
      key.allow_plaintext_backup ? "plaintext backup allowed" : "no plaintext backup",
      key.deletion_allowed ? "deletion allowed" : "deletion not allowed",
      key.imported_key ? "imported: made outside of Vault" : "made inside Vault",
    ],
  };
}

/** What somebody would change who wants to take the key away. The least versions are not among it: a rotation moves them. */
export const guardsOf = (key: TransitKey): string =>
  sha256Hex(
    canonicalJson({
      type: key.type,
      exportable: key.exportable,
      allow_plaintext_backup: key.allow_plaintext_backup,
      deletion_allowed: key.deletion_allowed,
      derived: key.derived,
      imported_key: key.imported_key,
      auto_rotate_period: String(key.auto_rotate_period),
    }),
  );
