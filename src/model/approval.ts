// Two-person actions: what waits for a second person, bound to the hash of exactly that action.

import { sha256Hex } from "../std/digest.ts";
import { canonicalJson } from "../std/json.ts";
import type { ExistingKey, KeyState } from "./key.ts";
import type { Role } from "./principal.ts";

export type Action =
  | {
      readonly kind: "key.state";
      readonly key: string;
      readonly number: number;
      readonly to: KeyState;
      readonly reason: string;
      /** Revision of the key when it was asked: any change since voids the action. */
      readonly asOf: number;
    }
  | {
      readonly kind: "key.destroy";
      readonly key: string;
      readonly number: number;
      /** Whether the custody destroys the private key too; otherwise it is only forgotten here. */
      readonly backend: boolean;
      readonly reason: string;
      /** Revision of the key when it was asked: any change since voids the action. */
      readonly asOf: number;
    }
  | {
      readonly kind: "key.rotate";
      readonly key: string;
      /** As they will be fixed into the rotation, but for the time. */
      readonly from: number;
      readonly to: number;
      readonly custody: string;
      readonly existing?: ExistingKey | undefined;
      /** ISO 8601. */
      readonly propagation: string;
      /** The new version signs while verifiers may still have trust documents without it. */
      readonly beforeVerifiersKnow?: true | undefined;
      readonly retireAfter?: string | undefined;
      readonly reason: string;
      /** SHA-256 (hex) over who asked and under which idempotency key. */
      readonly asked: string;
      /** Revision of the key when it was asked: any change since voids the action. */
      readonly asOf: number;
    }
  | {
      readonly kind: "operator.add";
      readonly name: string;
      readonly issuer: string;
      readonly subject: string;
      readonly roles: readonly Role[];
    };

/** SHA-256 (hex) of the action's canonical JSON: what an approver approves. */
export const actionHash = (action: Action): string => sha256Hex(canonicalJson({ ...action }));

export type PendingState = "PENDING" | "APPROVED" | "DENIED" | "EXPIRED" | "WITHDRAWN";

export interface PendingAction {
  /** `pa_…` */
  readonly id: string;
  readonly action: Action;
  /** SHA-256 (hex) of the action's canonical JSON: what the approver approves. */
  readonly hash: string;
  /** principalKey of who asked. */
  readonly requester: string;
  readonly requesterName: string;
  /** Milliseconds since the epoch. */
  readonly requestedAt: number;
  readonly expiresAt: number;
  readonly state: Exclude<PendingState, "EXPIRED">;
}
