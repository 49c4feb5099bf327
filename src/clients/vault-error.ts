// What went wrong between us and Vault, sorted once, at this edge. Nothing in it is secret: never a token, never a body
// that was sent.
//
// `nothingHappened` is said only where it is proved: Vault refuses 4xx and a sealed core before it does any work, and a
// request that never reached a connection did none. A 500 may come after the work (Vault answers so when it cannot write
// the response to its audit device), and so may silence. What stands between us and Vault answers too (a balancer, a
// firewall, a page that says 404): nothing it says proves anything, so an answer without Vault's `errors` is a failure.

export type VaultTrouble =
  /** The token is good and its policy says no. */
  | "denied"
  /** The token is gone (revoked, expired), and no new one is to be had. */
  | "logged-out"
  /** Vault refuses what was asked, whoever asks. */
  | "invalid"
  /** Vault looked, and there is none: 404 without a word. With words, the path is wrong, not the thing gone. */
  | "missing"
  | "sealed"
  /** No active node behind this address just now. */
  | "standby"
  | "throttled"
  /** Vault, or something before it, failed; what it did is not known. */
  | "failed"
  | "unreachable"
  /** No TLS that both sides accept. */
  | "untrusted"
  /** The connection ended before the answer. */
  | "cut"
  | "late"
  /** Not an answer of Vault's API. */
  | "garbled";

export class VaultError extends Error {
  readonly trouble: VaultTrouble;
  /** True only where it is proved. */
  readonly nothingHappened: boolean;
  /** Seconds; undefined where asking again is of no use before a person has done something. */
  readonly retryAfter: number | undefined;
  constructor(
    trouble: VaultTrouble,
    message: string,
    options: {
      readonly nothingHappened?: boolean;
      readonly retryAfter?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "VaultError";
    this.trouble = trouble;
    this.nothingHappened = options.nothingHappened ?? refusedBefore.has(trouble);
    this.retryAfter = options.retryAfter ?? usualWait[trouble];
  }
}

const refusedBefore: ReadonlySet<VaultTrouble> = new Set([
  "denied",
  "logged-out",
  "invalid",
  "missing",
  "sealed",
  "standby",
  "throttled",
  "unreachable",
  "untrusted",
]);

/** Seconds. */
const usualWait: Readonly<Partial<Record<VaultTrouble, number>>> = {
  "logged-out": 5,
  sealed: 5,
  standby: 1,
  throttled: 1,
  failed: 2,
  unreachable: 2,
  untrusted: 10,
  cut: 2,
  late: 2,
};

/**
 * An answer whose status is not 2xx. `errors`: what its body says, undefined where it has no such list and is not
 * Vault's. `retryAfter`: the header.
 */
export function refusalOf(
  asked: string,
  status: number,
  errors: readonly string[] | undefined,
  retryAfter?: string,
): VaultError {
  const words = errors ?? ["and not in Vault's words: something else answered"];
  const said = words.length === 0 ? "" : `: ${words.join("; ").replace(/\s+/g, " ").slice(0, 400)}`;
  const message = `${asked} was answered with ${String(status)}${said}`;
  const wait = /^\d{1,4}$/.test(retryAfter ?? "") ? Number(retryAfter) : undefined;
  return new VaultError(troubleOf(status, errors), message, { retryAfter: wait });
}

function troubleOf(status: number, errors: readonly string[] | undefined): VaultTrouble {
  // Vault's standby says it without a body. Whoever says it did nothing (RFC 9110, 15.4.8): it is to be asked elsewhere.
  if (status === 307) return "standby";
  if (errors === undefined) return "failed";
  const says = (text: RegExp): boolean => errors.some((one) => text.test(one));
  if (status === 403) return "denied";
  if (status === 404) return errors.length === 0 ? "missing" : "invalid";
  if (status === 429) return "throttled";
  if (status === 412 || status === 472 || status === 473 || (status >= 300 && status < 400)) return "standby";
  if (status >= 400 && status < 500) return "invalid";
  if (status === 503 && says(/sealed/i)) return "sealed";
  if (status === 501 && says(/not.*initialized/i)) return "sealed";
  if (says(/not active but active cluster node not found/i) || (status === 503 && says(/has been locked/i)))
    return "standby";
  return "failed";
}
