// One call: who makes it, how they proved it, and the id under which it stands in answers, log and traces.

import type { Caller as CallerFields } from "../model/entry.ts";
import type { Confirmation, LocalSocket, Person, Principal } from "../model/principal.ts";
import type { SigningSession } from "../model/session.ts";
import type { Proof } from "../ports/identity.ts";
import { utf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { lasting } from "../std/json.ts";

/** How the caller's key binds this request. `proof` is there with `jkt`. */
export interface Presented {
  readonly cnf: Confirmation;
  readonly proof?: Proof | undefined;
}

export type Caller =
  /** Nobody yet; `presented` is the key that a session would be bound to. */
  | { readonly kind: "anonymous"; readonly presented: Presented | undefined }
  | { readonly kind: "socket"; readonly presented: Presented | undefined }
  | { readonly kind: "session"; readonly session: SigningSession; readonly presented: Presented }
  | { readonly kind: "person"; readonly person: Person; readonly presented: Presented };

export interface Call {
  /** `rq_…` */
  readonly request: string;
  readonly caller: Caller;
  /** Fires when nobody waits for the answer any more, or the deadline has passed. */
  readonly signal: AbortSignal;
}

const localSocket: LocalSocket = { kind: "socket" };

/** The caller's fields of an entry, and the side blob that they name. */
export function callerFields(
  by: Principal,
  presented: Presented | undefined,
  identityToken?: string,
): { readonly fields: CallerFields; readonly blobs: readonly Uint8Array[] } {
  const proof = presented?.proof && utf8(presented.proof.jws);
  const evidence =
    proof || identityToken ? { proof: proof && { blob: `sha256:${sha256Hex(proof)}` }, identityToken } : undefined;
  const who = by.kind === "workload" ? lasting(by) : by; // of a session: stands in each of its entries
  return { fields: { by: who, cnf: presented?.cnf, evidence }, blobs: proof ? [proof] : [] };
}

/** Undefined for a stranger. */
export function principalOf(caller: Caller): Principal | undefined {
  switch (caller.kind) {
    case "anonymous":
      return undefined;
    case "socket":
      return localSocket;
    case "session":
      return caller.session.principal;
    case "person":
      return caller.person;
  }
}
