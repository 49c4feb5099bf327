// Which public keys of a key a verifier should trust now: what signs, what will sign, what signed. A version appears as
// soon as it is published, before it signs; one that was replaced stays until it is retired, also when it is destroyed; a
// compromised one is out at once, and so is what never signed.

import type { Key, KeyVersion } from "./key.ts";
import { underWay } from "./rotation.ts";

/** How long those who fetch these documents may keep them without asking again. Milliseconds. */
export const trustCachedFor = 300_000;

export type TrustRole = "signs" | "published" | "verifies";
export interface TrustedVersion {
  readonly version: KeyVersion;
  readonly role: TrustRole;
}

export interface TrustedKey {
  readonly key: Key;
  /** Not empty. */
  readonly versions: readonly TrustedVersion[];
}

export interface TrustSet {
  /** By name. */
  readonly keys: readonly TrustedKey[];
  /** The log, with the time of its first entry (RFC 3339). */
  readonly log: { readonly origin: string; readonly vkey: string; readonly since: string };
}

const order: readonly TrustRole[] = ["signs", "published", "verifies"];

/** The one that signs first, then what is to come, then what was, newest first. `at` in milliseconds since the epoch. */
export function trustedVersions(key: Key, at: number): readonly TrustedVersion[] {
  const found = key.versions.flatMap((version) => {
    const role = roleOf(version, key, at);
    return role === undefined ? [] : [{ version, role }];
  });
  return found.sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role) || b.version.number - a.version.number);
}

function roleOf(version: KeyVersion, key: Key, at: number): TrustRole | undefined {
  const { state, ended, number } = version;
  if (ended?.why === "compromised" || ended?.why === "cancelled") return undefined;
  if (ended?.trustedUntil !== undefined && Date.parse(ended.trustedUntil) <= at) return undefined;
  const rotation = underWay(key);
  switch (state) {
    case "ACTIVE":
      return "signs";
    case "PRE_ACTIVATION":
      return rotation?.step === "PUBLISHED" && rotation.to === number ? "published" : undefined;
    case "SUSPENDED":
    case "DEACTIVATED":
      return "verifies";
    case "COMPROMISED":
      return undefined;
    case "DESTROYED":
      return ended ? "verifies" : undefined; // without it, it never signed, or an older version of Signet deactivated it
  }
}
