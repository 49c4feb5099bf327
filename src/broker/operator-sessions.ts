// Logins of people: in this daemon's memory, so that after a restart people log in again and there is nothing on disk
// to steal.

import type { Confirmation } from "../model/principal.ts";
import { hex } from "../std/bytes.ts";
import { sha256 } from "../std/digest.ts";

/** A login lasts a working day. Milliseconds. */
export const loginLength = 8 * 3_600_000;

interface Login {
  readonly person: string;
  readonly cnf: Confirmation;
  readonly methods: readonly string[] | undefined;
  readonly expiresAt: number;
}

export interface OperatorSessions {
  find(token: string, at: number): Login | undefined;
  keep(token: string, login: Login): void;
  forget(person: string): void;
}

export function operatorSessions(): OperatorSessions {
  const logins = new Map<string, Login>();
  return {
    find(token, at) {
      const login = logins.get(hex(sha256(token)));
      return login && login.expiresAt > at ? login : undefined;
    },
    keep(token, login) {
      for (const [id, old] of logins) if (old.expiresAt <= login.expiresAt - loginLength) logins.delete(id);
      logins.set(hex(sha256(token)), login);
    },
    forget(person) {
      for (const [id, login] of logins) if (login.person === person) logins.delete(id);
    },
  };
}
