// May this PIN be given to the token now, and what is to be said where it was refused? Tokens count wrong ones, and lock.

import { fromUtf8 } from "../std/bytes.ts";
import type { Secret } from "../std/secret.ts";
import { codeName, codes } from "./pkcs11-codes.ts";
import type { TokenInfo } from "./pkcs11-wire.ts";

/** Of C_GetTokenInfo's flags. */
const CKF_USER_PIN_COUNT_LOW = 0x10000;
const CKF_USER_PIN_FINAL_TRY = 0x20000;
const CKF_USER_PIN_LOCKED = 0x40000;

/** Why a PIN is not to be given now: PINs are few. A person may give one where we alone would not. */
export function noPinNow({ flags }: TokenInfo, byPerson: boolean): string | undefined {
  if ((flags & CKF_USER_PIN_LOCKED) !== 0) return pinProblem(codes.pinLocked);
  if (byPerson || (flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY)) === 0) return undefined;
  return "a wrong PIN was given to the token since the last right one: it is not given by itself now, a person has to";
}

/** ykcs11 takes some words for commands, not for PINs. */
export function unfitPin(pin: Secret): string | undefined {
  const text = pinText(pin);
  if (text === undefined) return "the PIN is not UTF-8";
  return text === "" || text.startsWith("VERIFY_") ? "this is not a PIN; nothing was given to the token" : undefined;
}

function pinText(pin: Secret): string | undefined {
  try {
    return fromUtf8(pin.reveal());
  } catch {
    return undefined;
  }
}

export function pinProblem(code: number): string {
  const what =
    code === codes.pinLocked
      ? "the PIN is locked after too many wrong ones: unblock it with the SO-PIN or PUK, then give it again"
      : "the token refused its PIN; it is not tried again, a person has to give another one";
  return `${what} (${codeName(code)})`;
}
