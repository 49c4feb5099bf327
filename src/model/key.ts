// A key: a role with a name and one purpose, its versions, and the life of each (NIST SP 800-57 Part 1, section 7).

export const purposes = ["BLOB", "IMAGE", "ATTESTATION", "TOKEN", "RAW_DIGEST"] as const;
/** BLOB and RAW_DIGEST sign a digest that the caller computed: granted apart, shown apart. */
export type Purpose = (typeof purposes)[number];

/** RSA signs with PKCS#1 v1.5 padding, or with PSS (salt as long as the hash) where the name says so. */
export const keyAlgorithms = [
  "EC_P256",
  "EC_P384",
  "ED25519",
  "RSA_3072",
  "RSA_4096",
  "RSA_3072_PSS",
  "RSA_4096_PSS",
] as const;
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
  readonly ended?: Ended | undefined;
}

/** How a version's signing ended, or that it never signs; absent in records of older versions that people deactivated. */
export interface Ended {
  /** "rotated": it signed until the switch. "deactivated": somebody had stopped it before. */
  readonly why: "rotated" | "deactivated" | "cancelled" | "compromised";
  /** RFC 3339. */
  readonly at: string;
  /** RFC 3339: from then on its public key is in no trust document; absent where that is open. */
  readonly trustedUntil?: string | undefined;
  /** The log has an entry which says that it left. */
  readonly retired?: true | undefined;
}

/** The newest rotation of a key, under way or over (SP 800-57 Part 1, 5.3.4 and 8.2.3): publish before sign. */
export type Rotation = RotationTerms &
  (
    | { readonly step: "BEGUN" | "MADE" }
    | { readonly step: "PUBLISHED"; readonly publishedAt: string; readonly switchAt: string }
    | {
        readonly step: "SWITCHED";
        readonly publishedAt: string;
        readonly switchAt: string;
        readonly endedAt: string;
      }
    | { readonly step: "CANCELLED"; readonly endedAt: string }
  );

/** A key that a custody has already, as it was described when a rotation to it was asked for. */
export type ExistingKey = Readonly<{
  /** Pinned. */
  uri: string;
  /** The URI that was asked for, where the custody pinned it to another (an alias, no version). */
  asked?: string | undefined;
  /** Lower-case hex SHA-256 of the SPKI's DER. */
  fingerprint: string;
}>;

/** What was decided when it began. */
export interface RotationTerms {
  /** `ro_…` */
  readonly id: string;
  /** Numbers of the version that signs until the switch and of the one that signs from then on. */
  readonly from: number;
  readonly to: number;
  /** State of `from` when the rotation began: the clock does not switch away from a key that somebody stopped since. */
  readonly fromState: KeyState;
  /** Where the new version lives. */
  readonly custody: string;
  /** An existing key at that custody, pinned; absent where the custody makes one. */
  readonly existing?: ExistingKey | undefined;
  /** ISO 8601: how long the new public key stands in the trust documents before it signs. */
  readonly propagation: string;
  /** ISO 8601: how long after the switch the old one stays there; absent where it stays. */
  readonly retireAfter?: string | undefined;
  /** SHA-256 (hex) over who asked and under which idempotency key. */
  readonly asked: string;
  /** RFC 3339. */
  readonly begunAt: string;
}
export const rotationSteps = ["BEGUN", "MADE", "PUBLISHED", "SWITCHED", "CANCELLED"] as const;

export interface Key {
  readonly name: string;
  readonly purpose: Purpose;
  readonly versions: readonly KeyVersion[];
  readonly rotation?: Rotation | undefined;
}

/** Lower case, digits and inner hyphens, 1 to 63 characters (RFC 1123 label): safe in URLs, files and Cedar ids. */
export const isKeyName = (text: string): boolean => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);

export const versionId = (version: Pick<KeyVersion, "key" | "number">): string =>
  `${version.key}/${String(version.number)}`;

/** The version that signs now: the newest active one. */
export const current = (key: Key): KeyVersion | undefined =>
  key.versions.findLast((version) => version.state === "ACTIVE");

/** Hash inside a signature in message form; Ed25519 signs the message itself. */
export const hashOf = (algorithm: KeyAlgorithm): "sha256" | "sha384" | undefined => {
  switch (algorithm) {
    case "EC_P384":
      return "sha384";
    case "ED25519":
      return undefined;
    case "EC_P256":
    case "RSA_3072":
    case "RSA_4096":
    case "RSA_3072_PSS":
    case "RSA_4096_PSS":
      return "sha256";
  }
};

export type PssAlgorithm = Extract<KeyAlgorithm, `${string}_PSS`>;
export const isPss = (algorithm: KeyAlgorithm): algorithm is PssAlgorithm =>
  algorithm === "RSA_3072_PSS" || algorithm === "RSA_4096_PSS";

/** Algorithms that sign messages alone: Ed25519 by design, PSS because nobody here could verify it over a bare digest. */
export type MessageAlgorithm = PssAlgorithm | "ED25519";
export const signsDigests = (algorithm: KeyAlgorithm): algorithm is Exclude<KeyAlgorithm, MessageAlgorithm> =>
  algorithm !== "ED25519" && !isPss(algorithm);
