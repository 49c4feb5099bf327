// What the broker asks of a place where keys live. A custody never learns who asks, and never decides.

import type { ToBeSigned } from "../model/item.ts";
import type { KeyAlgorithm, KeyVersion } from "../model/key.ts";

export type { ToBeSigned } from "../model/item.ts";

export interface NewKey {
  /** SPKI, PEM. */
  readonly publicKey: string;
  readonly uri: string;
}

/**
 * Contract, held by test/contract/custody.test.ts against every kind:
 * - Many calls may run at once. Each settles before `signal` fires, or soon after with Fault CUSTODY_TIMEOUT.
 * - A rejected `sign` may have signed all the same unless its Fault says `nothingHappened`: nobody retries it blindly.
 * - Signatures come back in the order asked; ECDSA as DER (RFC 3279, 2.2.3), RSA as PKCS#1 v1.5, Ed25519 raw (RFC 8032).
 * - A digest for Ed25519, or one whose length is not its hash's, is Fault CUSTODY_DOWN with `nothingHappened`:
 *   the broker refuses it earlier, so it is our own mistake.
 * - It may return garbage. The broker verifies what comes from outside the process.
 */
export interface Custody extends AsyncDisposable {
  readonly kind: string;
  /** False only where key and broker share a process and a verified library. */
  readonly outside: boolean;
  /** Algorithms it can hold. */
  readonly algorithms: readonly KeyAlgorithm[];
  sign(key: KeyVersion, items: readonly ToBeSigned[], signal: AbortSignal): Promise<readonly Uint8Array[]>;
  /** Absent where the backend cannot make keys. Durable on return. Repeated for the same version: the same key. */
  create?(version: Pick<KeyVersion, "key" | "number" | "purpose" | "algorithm">, signal: AbortSignal): Promise<NewKey>;
}
