// The two ways to fail, and the one table of codes. A Refusal is the caller's doing and is data;
// a Fault is ours and is an accident. The same codes serve GraphQL, the log, metrics, exit codes and the docs.

/** What the CLI exits with; documented, tested, never renumbered. */
export type ExitCode = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14;

interface Row {
  /** Stable public number, `SGN-2107`. Never reused. */
  readonly number: `SGN-${number}`;
  readonly exit: ExitCode;
  /** One line: what it means. */
  readonly title: string;
  /** `signet explain CODE`: why it happens and what to do, for the person who sees it. */
  readonly explain: string;
}

const refusals = {
  // 1xxx: who are you
  UNAUTHENTICATED: {
    number: "SGN-1001",
    exit: 4,
    title: "no credential, or one that Signet does not know",
    explain:
      "The request carried no session token, or a token that was never issued, was closed, revoked or has expired. Open a session first: CI jobs with `signet session open`, people with `signet login`.",
  },
  TOKEN_INVALID: {
    number: "SGN-1002",
    exit: 4,
    title: "the identity token is not acceptable",
    explain:
      "The OIDC token must come from a configured issuer (exact string), carry exactly our audience, an allowed algorithm, a valid signature, and be inside its lifetime. Ask the CI provider for a token with the audience that `signet doctor` shows.",
  },
  TOKEN_REPLAYED: {
    number: "SGN-1003",
    exit: 4,
    title: "the identity token was already used with another key",
    explain:
      "An identity token is bound to the first key that presents it. Somebody presented it with another key: if it was not you, the token was stolen; the log holds an entry. Ask for a fresh token.",
  },
  PROOF_INVALID: {
    number: "SGN-1004",
    exit: 4,
    title: "the proof of possession is missing or wrong",
    explain:
      "Every request must carry one DPoP proof (RFC 9449) made for exactly this method, URL, token and body, or arrive over the mTLS certificate that the session is bound to. A proof works once.",
  },
  PROOF_NONCE: {
    number: "SGN-1005",
    exit: 4,
    title: "the proof needs the server's current nonce",
    explain:
      "Take the value of the DPoP-Nonce response header, put it into the proof's `nonce` claim and send again. Signet's own client does this by itself.",
  },
  ROLE_MISSING: {
    number: "SGN-1006",
    exit: 5,
    title: "your role does not allow this",
    explain:
      "Operators change, approvers approve, auditors read. Ask an operator to give you the role; adding one needs a second person.",
  },
  BOOTSTRAP_CLOSED: {
    number: "SGN-1007",
    exit: 5,
    title: "the first operator is already enrolled",
    explain:
      "The local socket enrols the first operator only; after that it gives no privilege. Ask an operator to add you: `signet operator add`.",
  },

  // 2xxx: may you
  POLICY_DENIED: {
    number: "SGN-2101",
    exit: 5,
    title: "no grant allows this",
    explain:
      "The message lists the closest grant and the first thing in it that did not fit. `signet policy explain --entry INDEX` shows the whole decision.",
  },
  ITEM_DENIED: {
    number: "SGN-2102",
    exit: 5,
    title: "the session's grant does not cover this item",
    explain:
      "The session was opened under a grant whose limits (names, repositories, predicate types) do not include what was asked to be signed. Nothing was signed and no use was spent.",
  },
  OUTSIDE_WINDOW: {
    number: "SGN-2103",
    exit: 5,
    title: "the grant is not open at this time",
    explain: "The grant has time windows (UTC). Wait for the next one, which the message names, or ask an operator.",
  },
  RATE_LIMITED: {
    number: "SGN-2104",
    exit: 9,
    title: "too many requests",
    explain:
      "A grant limits requests per minute, and a person has a bounded number of actions that wait for a second person; the message says which. Wait for `retryAfter` seconds; put many files into one request instead of many requests; withdraw actions that nobody will approve.",
  },
  SESSION_LIMIT: {
    number: "SGN-2105",
    exit: 5,
    title: "too many open sessions for this grant",
    explain: "Close sessions when a job ends (`signet session close`), or wait until the oldest expires.",
  },
  POLICY_CHANGED: {
    number: "SGN-2106",
    exit: 5,
    title: "policy changed and no longer allows this session",
    explain:
      "Open sessions are decided again whenever policy changes. Open a new session; if that is refused, its message says why.",
  },
  SESSION_SPENT: {
    number: "SGN-2201",
    exit: 5,
    title: "the session has not enough uses left",
    explain:
      "Each item of a request spends one use, all or none. Open another session, or ask for more uses within the grant.",
  },
  SESSION_ENDED: {
    number: "SGN-2202",
    exit: 14,
    title: "the session is closed, revoked or expired",
    explain: "Open a new session with a fresh identity token.",
  },
  KEY_NOT_IN_SESSION: {
    number: "SGN-2203",
    exit: 5,
    title: "the session does not cover this key",
    explain: "A session is opened for named keys. Name every key you need with `--key` when you open it.",
  },
  KEY_NOT_ACTIVE: {
    number: "SGN-2301",
    exit: 5,
    title: "the key is not active",
    explain:
      "Only a key in the state active signs (NIST SP 800-57). An operator activates or resumes it; a compromised or deactivated key never signs again.",
  },
  KEY_STATE: {
    number: "SGN-2302",
    exit: 2,
    title: "the key cannot change to this state",
    explain:
      "SP 800-57 allows only some transitions: pre-activation to active, active to suspended and back, and from there to deactivated, compromised, destroyed.",
  },
  APPROVAL_PENDING: {
    number: "SGN-2401",
    exit: 8,
    title: "a second person has to approve",
    explain:
      "The action waits as a pending action. Another operator or approver runs `signet approval approve ID` before it expires.",
  },
  APPROVAL_INVALID: {
    number: "SGN-2402",
    exit: 5,
    title: "this approval does not count",
    explain:
      "Requester and approver must be different people, the action must be unchanged and unexpired, and each is decided once.",
  },
  PIN_REFUSED: {
    number: "SGN-2403",
    exit: 5,
    title: "the token did not take this PIN",
    explain:
      "The message says whether the PIN was given to the token, which counts wrong ones, or not. It is not tried again. Make sure of the PIN before you give another: tokens lock after a few wrong ones.",
  },

  // 3xxx: what did you ask
  ITEM_INVALID: {
    number: "SGN-3001",
    exit: 2,
    title: "the item is malformed",
    explain:
      "The message names the item (counted from 0), what was found in it and what is expected. Nothing was signed and no use was spent.",
  },
  INPUT_INVALID: {
    number: "SGN-3002",
    exit: 2,
    title: "the request is malformed",
    explain: "The message names the field, what was found in it and what is expected.",
  },
  NOT_FOUND: {
    number: "SGN-3003",
    exit: 6,
    title: "there is nothing of that name",
    explain: "Check the name; `signet key list`, `signet session list` and `signet audit list` show what there is.",
  },
  ALREADY_EXISTS: {
    number: "SGN-3004",
    exit: 2,
    title: "the name is taken",
    explain:
      "Names of keys and operators are used once and never again, so that old log entries stay unambiguous. Choose another name.",
  },
  ALGORITHM_UNFIT: {
    number: "SGN-3005",
    exit: 2,
    title: "the key cannot sign this form",
    explain:
      "Ed25519 and RSA-PSS sign messages, not digests; a digest must have the length of the key's hash. Sign a statement about the file instead, or use a P-256 key or an RSA key without PSS.",
  },
  PURPOSE_UNFIT: {
    number: "SGN-3006",
    exit: 2,
    title: "the key has another purpose",
    explain:
      "A key has one purpose, and each kind of item needs its own, so that a signature for one use never passes for another.",
  },
  IDEMPOTENCY_MISMATCH: {
    number: "SGN-3007",
    exit: 2,
    title: "the idempotency key was used for another request",
    explain: "Use a new idempotency key for each new request; repeat it only to repeat exactly the same request.",
  },
  UNFINISHED: {
    number: "SGN-3008",
    exit: 9,
    title: "the first attempt of this request never finished",
    explain:
      "The daemon stopped between intent and outcome, or the custody's answer never came or was withheld. The uses are spent and no signature was released. Send the request again under a new idempotency key.",
  },
  POLICY_INVALID: {
    number: "SGN-3009",
    exit: 2,
    title: "the policy does not load",
    explain:
      "A file has an unknown field, a value out of range, or a mustAllow/mustDeny case that fails. The message names file and line. The policy in force did not change.",
  },
  TOO_LARGE: {
    number: "SGN-3010",
    exit: 2,
    title: "the request is over a limit",
    explain:
      "Requests are limited in bytes, tokens, depth, aliases, fields and list sizes. The message names the limit. Split the work into several requests.",
  },
} as const satisfies Record<string, Row>;

const faults = {
  CUSTODY_DOWN: {
    number: "SGN-4001",
    exit: 9,
    title: "the place where the key lives does not answer",
    explain:
      "The custody that the answer names failed, or was known to be away and was not asked. Where something was tried, the log has intent and outcome. `retryable` says that nothing was signed and that the same request, under the same idempotency key, may be sent again after `retryAfter` seconds; otherwise the hint says what to do. `signet doctor` shows how each custody is.",
  },
  CUSTODY_TIMEOUT: {
    number: "SGN-4002",
    exit: 9,
    title: "the place where the key lives did not answer in time",
    explain:
      "The custody may or may not have signed; nothing was released, the uses are spent, and the log shows the outcome as unknown. The same idempotency key is refused as UNFINISHED: send the request again under a new one.",
  },
  CUSTODY_LOCKED: {
    number: "SGN-4006",
    exit: 9,
    title: "the token that holds the key waits for its PIN",
    explain:
      "The daemon has no PIN for the token, or the token refused the one it had: a PIN is never tried twice. Nothing was signed. An operator gives the PIN: `signet custody unlock NAME`.",
  },
  SIGNATURE_WRONG: {
    number: "SGN-4003",
    exit: 1,
    title: "the custody returned a signature that does not verify",
    explain:
      "The signature was withheld. The custody signed with another key or returned garbage: an operator must look before this key is used again.",
  },
  WITHHELD: {
    number: "SGN-4004",
    exit: 5,
    title: "the key stopped being active while it signed",
    explain:
      "The key was suspended or its session revoked between intent and outcome. The signature was withheld and the log says so.",
  },
  ISSUER_DOWN: {
    number: "SGN-4005",
    exit: 9,
    title: "the identity token's issuer cannot be asked for its keys",
    explain:
      "Signet could not fetch the issuer's key set, so it can neither accept nor refuse the token. Nothing was opened. Try again in a few seconds with the same token; `signet doctor` shows what the issuer answered.",
  },
  LOG_NOT_DURABLE: {
    number: "SGN-5001",
    exit: 9,
    title: "the log cannot be written",
    explain:
      "No durable entry, no signature. Disk full, read-only or failing: mend the disk; Signet goes on by itself. `signet doctor` names the cause.",
  },
  LOG_DAMAGED: {
    number: "SGN-5002",
    exit: 13,
    title: "the log is damaged, truncated, rolled back or forked",
    explain:
      "Signet refuses to sign on a log that it cannot prove. The message says what it found. Restore the newest backup. Where none helps, `signetd recover` says what a new log under a new origin would cost, and `signetd recover --accept-loss` begins it (docs/guide/recover.md).",
  },
  SHUTTING_DOWN: {
    number: "SGN-5003",
    exit: 9,
    title: "the daemon is stopping",
    explain:
      "Requests that were accepted are finished; new ones are not. Send it again in a moment, with the same idempotency key.",
  },
  OVERLOADED: {
    number: "SGN-5004",
    exit: 9,
    title: "too much is waiting",
    explain: "The queue is full. Wait for `retryAfter` seconds and send it again with the same idempotency key.",
  },
  INTERNAL: {
    number: "SGN-5999",
    exit: 1,
    title: "something unforeseen broke",
    explain: "The daemon's own log has the details under the request id that came with the answer.",
  },
} as const satisfies Record<string, Row>;

export type RefusalCode = keyof typeof refusals;
export type FaultCode = keyof typeof faults;
export type Code = RefusalCode | FaultCode;

export const errorTable: Readonly<Record<Code, Row>> = { ...refusals, ...faults };
export const isRefusalCode = (code: string): code is RefusalCode => Object.hasOwn(refusals, code);
export const isFaultCode = (code: string): code is FaultCode => Object.hasOwn(faults, code);

export interface Refusal {
  readonly refusal: RefusalCode;
  /** What was asked, what was found. Shown to the caller: never a secret. */
  readonly message: string;
  /** What to do next. */
  readonly hint?: string | undefined;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
  /** Leaf index of the refusal's own entry, where it was recorded. */
  readonly entry?: number | undefined;
  /** Of the pending action that waits, with APPROVAL_PENDING. */
  readonly pending?: string | undefined;
}

export const refuse = (refusal: RefusalCode, message: string, hint?: string): Refusal =>
  hint === undefined ? { refusal, message } : { refusal, message, hint };

export const isRefusal = (value: unknown): value is Refusal =>
  typeof value === "object" && value !== null && "refusal" in value;

/** An accident. `message` is for our own log only; the caller sees the code, the table's text and a request id. */
export class Fault extends Error {
  readonly code: FaultCode;
  /** True only where the other side proved it; otherwise nobody may retry blindly. */
  readonly nothingHappened: boolean;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** Name of the custody that failed, where one did. Shown to the caller. */
  readonly custody: string | undefined;
  /** What to do next, where more can be said than the table says. Shown to the caller. */
  readonly hint: string | undefined;
  constructor(
    code: FaultCode,
    message: string,
    options: {
      readonly nothingHappened?: boolean;
      readonly retryAfter?: number | undefined;
      readonly custody?: string | undefined;
      readonly hint?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "Fault";
    this.code = code;
    this.nothingHappened = options.nothingHappened ?? false;
    this.retryAfter = options.retryAfter;
    this.custody = options.custody;
    this.hint = options.hint;
  }
}
