// What does a PKCS#11 return code say: whose fault was it, and what heals it?
//
// The standard says little of it; the sorting follows what SoftHSM, ykcs11, tpm2-pkcs11 and softokn really return.

/**
 * request: this call cannot work, others may. session: the session is useless, a new one works.
 * device: the token or the module's view of it is gone, a fresh process looks again. pin: nobody tries again by itself.
 */
export type Ailment = "request" | "session" | "device" | "pin";

interface Row {
  readonly name: string;
  readonly ailment: Ailment;
}

const rows: Readonly<Record<number, Row>> = {
  1: { name: "CKR_CANCEL", ailment: "session" },
  2: { name: "CKR_HOST_MEMORY", ailment: "device" },
  3: { name: "CKR_SLOT_ID_INVALID", ailment: "device" },
  5: { name: "CKR_GENERAL_ERROR", ailment: "device" },
  6: { name: "CKR_FUNCTION_FAILED", ailment: "device" },
  7: { name: "CKR_ARGUMENTS_BAD", ailment: "request" },
  16: { name: "CKR_ATTRIBUTE_READ_ONLY", ailment: "request" },
  17: { name: "CKR_ATTRIBUTE_SENSITIVE", ailment: "request" },
  18: { name: "CKR_ATTRIBUTE_TYPE_INVALID", ailment: "request" },
  19: { name: "CKR_ATTRIBUTE_VALUE_INVALID", ailment: "request" },
  27: { name: "CKR_ACTION_PROHIBITED", ailment: "request" },
  32: { name: "CKR_DATA_INVALID", ailment: "request" },
  33: { name: "CKR_DATA_LEN_RANGE", ailment: "request" },
  48: { name: "CKR_DEVICE_ERROR", ailment: "device" },
  49: { name: "CKR_DEVICE_MEMORY", ailment: "request" },
  50: { name: "CKR_DEVICE_REMOVED", ailment: "device" },
  80: { name: "CKR_FUNCTION_CANCELED", ailment: "session" },
  84: { name: "CKR_FUNCTION_NOT_SUPPORTED", ailment: "device" }, // ykcs11 says so of signing once the card fell silent
  96: { name: "CKR_KEY_HANDLE_INVALID", ailment: "session" },
  98: { name: "CKR_KEY_SIZE_RANGE", ailment: "request" },
  99: { name: "CKR_KEY_TYPE_INCONSISTENT", ailment: "request" },
  104: { name: "CKR_KEY_FUNCTION_NOT_PERMITTED", ailment: "request" },
  112: { name: "CKR_MECHANISM_INVALID", ailment: "request" },
  113: { name: "CKR_MECHANISM_PARAM_INVALID", ailment: "request" },
  130: { name: "CKR_OBJECT_HANDLE_INVALID", ailment: "session" },
  144: { name: "CKR_OPERATION_ACTIVE", ailment: "session" },
  145: { name: "CKR_OPERATION_NOT_INITIALIZED", ailment: "session" },
  160: { name: "CKR_PIN_INCORRECT", ailment: "pin" },
  161: { name: "CKR_PIN_INVALID", ailment: "pin" },
  162: { name: "CKR_PIN_LEN_RANGE", ailment: "pin" },
  163: { name: "CKR_PIN_EXPIRED", ailment: "pin" },
  164: { name: "CKR_PIN_LOCKED", ailment: "pin" },
  176: { name: "CKR_SESSION_CLOSED", ailment: "session" },
  177: { name: "CKR_SESSION_COUNT", ailment: "device" },
  179: { name: "CKR_SESSION_HANDLE_INVALID", ailment: "session" },
  181: { name: "CKR_SESSION_READ_ONLY", ailment: "request" },
  208: { name: "CKR_TEMPLATE_INCOMPLETE", ailment: "request" },
  209: { name: "CKR_TEMPLATE_INCONSISTENT", ailment: "request" },
  224: { name: "CKR_TOKEN_NOT_PRESENT", ailment: "device" },
  225: { name: "CKR_TOKEN_NOT_RECOGNIZED", ailment: "device" },
  226: { name: "CKR_TOKEN_WRITE_PROTECTED", ailment: "request" },
  257: { name: "CKR_USER_NOT_LOGGED_IN", ailment: "device" }, // also what a touch that never came looks like
  258: { name: "CKR_USER_PIN_NOT_INITIALIZED", ailment: "pin" },
  259: { name: "CKR_USER_TYPE_INVALID", ailment: "request" },
  336: { name: "CKR_BUFFER_TOO_SMALL", ailment: "request" },
  400: { name: "CKR_CRYPTOKI_NOT_INITIALIZED", ailment: "device" },
  512: { name: "CKR_FUNCTION_REJECTED", ailment: "request" },
};

/** `CKR_PIN_LOCKED`; a number that is not in the table as hexadecimal. */
export const codeName = (code: number): string => rows[code]?.name ?? `CKR 0x${code.toString(16)}`;

/**
 * An unknown code, such as a vendor's own, is no reason to trust what the process believes of its token. 0: it has none,
 * what failed is said in our own words.
 */
export const ailmentOf = (code: number): Ailment => (code === 0 ? "request" : (rows[code]?.ailment ?? "device"));

export const codes = {
  mechanismInvalid: 112,
  deviceRemoved: 50,
  pinLocked: 164,
  userAlreadyLoggedIn: 256,
  userNotLoggedIn: 257,
} as const;
