// A key: a role with a name and one purpose, its versions, and the life of each (NIST SP 800-57 Part 1, section 7).

export const purposes = ["BLOB", "IMAGE", "ATTESTATION", "TOKEN", "RAW_DIGEST"] as const;
/** BLOB and RAW_DIGEST sign a digest that the caller computed: granted apart, shown apart. */
export type Purpose = (typeof purposes)[number];

export const keyAlgorithms = ["EC_P256", "EC_P384", "ED25519", "RSA_3072", "RSA_4096"] as const;
export type KeyAlgorithm = (typeof keyAlgorithms)[number];

export const keyStates = ["PRE_ACTIVATION", "ACTIVE", "SUSPENDED", "DEACTIVATED", "COMPROMISED", "DESTROYED"] as const;
export type KeyState = (typeof keyStates)[number];

/** SP 800-57 Part 1, figure 3. From compromised there is only destruction; nothing ever returns to pre-activation. */
const transitions: Readonly<Record<KeyState, readonly KeyState[]>> = {
  PRE_ACTIVATION: ["ACTIVE", "COMPROMISED", "DESTROYED"],
  ACTIVE: ["SUSPENDED", "DEACTIVATED", "COMPROMISED"],
  SUSPENDED: ["ACTIVE", "DEACTIVATED", "COMPROMISED"],
  DEACTIVATED: ["COMPROMISED", "DESTROYED"],
  COMPROMISED: ["DESTROYED"],
  DESTROYED: [],
};

export const mayBecome = (from: KeyState, to: KeyState): boolean => transitions[from].includes(to);

/** What keeps the private key, and how we know it. Attributes that a module states of itself prove nothing. */
export interface Protection {
  /** As far as evidence goes: in this daemon's process, behind a service, inside a device that attested it. */
  readonly level: (typeof protectionLevels)[number];
  /** Whether the private key can leave its place, as far as it is known. */
  readonly exportable: "YES" | "NO" | "UNKNOWN";
  /** What there is evidence for, in a few words each. */
  readonly proved: readonly string[];
  /** What the backend only says of itself, in a few words each. */
  readonly claimed: readonly string[];
}
export const protectionLevels = ["PROCESS", "SERVICE", "DEVICE"] as const;

export interface KeyVersion {
  /** The role's name. */
  readonly key: string;
  /** From 1. */
  readonly number: number;
  readonly purpose: Purpose;
  readonly algorithm: KeyAlgorithm;
  readonly state: KeyState;
  /** Name of the custody that holds the private key, as configured; its kind where it has no name of its own. */
  readonly custody: string;
  /** RFC 7512 or one of cosign's schemes; `software:NAME/NUMBER` for the embedded custody. Never a PIN. */
  readonly uri: string;
  /** SPKI, PEM. */
  readonly publicKey: string;
  /** Lower-case hex SHA-256 of the SPKI's DER. */
  readonly fingerprint: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** As it was when the key came in; absent in records of older versions. */
  readonly protection?: Protection | undefined;
  /** SHA-256 (hex) over what guarded it at the backend when the key came in, where the backend tells. */
  readonly guards?: string | undefined;
}

export interface Key {
  readonly name: string;
  readonly purpose: Purpose;
  readonly versions: readonly KeyVersion[];
}

/** Lower case, digits and inner hyphens, 1 to 63 characters (RFC 1123 label): safe in URLs, files and Cedar ids. */
export const isKeyName = (text: string): boolean => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);

export const versionId = (version: Pick<KeyVersion, "key" | "number">): string =>
  `${version.key}/${String(version.number)}`;

/** The version that signs now: the newest active one. */
export const current = (key: Key): KeyVersion | undefined =>
  key.versions.findLast((version) => version.state === "ACTIVE");

/** Hash that goes with a key in digest form and inside message form; Ed25519 signs the message itself. */
export const hashOf = (algorithm: KeyAlgorithm): "sha256" | "sha384" | undefined => {
  switch (algorithm) {
    case "EC_P384":
      return "sha384";
    case "ED25519":
      return undefined;
    case "EC_P256":
    case "RSA_3072":
    case "RSA_4096":
      return "sha256";
  }
};
