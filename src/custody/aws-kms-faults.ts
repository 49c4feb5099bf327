// What an error of KMS, of its client or of the network means: whether it was done all the same, whether to try again,
// and what the operator does about it. Names are those of the API (https://docs.aws.amazon.com/kms/latest/APIReference/).

import { Fault } from "../model/errors.ts";

export interface Sorted {
  readonly fault: Fault;
  /** `later`: after a pause, `now`: at once, because the client has learned (clock). Only ever where nothing happened. */
  readonly again: "never" | "later" | "now";
  /** KMS said that it is asked too often. */
  readonly tooOften: boolean;
}

export interface About {
  readonly custody: string;
  /** What was asked, for our own log: "Sign with arn:…". */
  readonly what: string;
  /** False where asking again changes nothing at KMS, whatever happened. */
  readonly effect: boolean;
}

interface Row {
  readonly words: string;
  readonly again?: "later";
  readonly tooOften?: true;
  /** Seconds. Where KMS itself is well and this key or request is not, there is none. */
  readonly retryAfter?: number;
}

const tooOften: Row = { words: "KMS is asked too often", again: "later", tooOften: true, retryAfter: 2 };
const incomplete: Row = { words: "the credentials are incomplete", retryAfter: 30 };
const unknownCaller: Row = { words: "AWS does not know the access key", retryAfter: 30 };

/** Answers by which KMS says that it did nothing. A name that is not here proves nothing. */
const rejections: Readonly<Record<string, Row>> = {
  DisabledException: { words: "the key is disabled: enable it in KMS, or suspend it here" },
  KMSInvalidStateException: { words: "the key's state at KMS does not allow it (deletion pending, or unavailable)" },
  NotFoundException: { words: "KMS knows no such key in this account and region" },
  AccessDeniedException: { words: "IAM or the key's policy does not allow it: see docs/custody/aws-kms.md" },
  InvalidKeyUsageException: { words: "the key is of another kind than recorded" },
  ValidationException: { words: "KMS found the request malformed" },
  UnsupportedOperationException: { words: "KMS cannot do this with this key" },
  InvalidGrantTokenException: { words: "the grant token is not valid" },
  InvalidArnException: { words: "KMS found the ARN malformed" },
  AlreadyExistsException: { words: "the alias is taken" },
  LimitExceededException: { words: "a quota of the account is used up" },
  TagException: { words: "KMS does not take the tags" },
  MalformedPolicyDocumentException: { words: "KMS does not take the policy" },
  UnrecognizedClientException: unknownCaller,
  InvalidClientTokenId: unknownCaller,
  InvalidSignatureException: { words: "the secret access key is not the one of this access key id", retryAfter: 30 },
  ExpiredTokenException: { words: "the credentials have expired", retryAfter: 30 },
  IncompleteSignature: incomplete,
  IncompleteSignatureException: incomplete,
  MissingAuthenticationToken: incomplete,
  MissingAuthenticationTokenException: incomplete,
  OptInRequired: { words: "the account is not subscribed to this region", retryAfter: 30 },
  CredentialsProviderError: { words: "no credentials were found where the AWS client looks for them", retryAfter: 30 },
  ThrottlingException: tooOften,
  TooManyRequestsException: tooOften,
  RequestLimitExceeded: tooOften,
  KeyUnavailableException: { words: "KMS cannot reach the key just now", again: "later", retryAfter: 5 },
};

const clockSkew = ["RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"];
const aboutTime = /signature expired|signature not yet current|is now (earlier|later) than/i;

/** Errors of a connection that was never there: not a byte of the request has left. */
const unreachable: readonly string[] = [
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "ERR_TLS_CERT_ALTNAME_INVALID",
];
/** Of @smithy/node-http-handler, where nobody answers at that address. */
const neverConnected = "did not establish a connection";

/** `error` is what the SDK threw; nobody aborted it. Messages of KMS name keys and callers, never secrets. */
export function sorted(error: unknown, about: About): Sorted {
  const { name, code, message } = wordsOf(error);
  const fault = (words: string, nothingHappened: boolean, retryAfter?: number, busy = false): Fault =>
    new Fault(busy ? "OVERLOADED" : "CUSTODY_DOWN", `${about.what}: ${words}`, {
      nothingHappened: nothingHappened || !about.effect,
      retryAfter,
      custody: about.custody,
      cause: error,
    });

  if (clockSkew.includes(name) || (name === "InvalidSignatureException" && aboutTime.test(message))) {
    const words = "this machine's clock and that of AWS are too far apart: mend the clock";
    return { fault: fault(words, true, 5), again: "now", tooOften: false };
  }
  const row = Object.hasOwn(rejections, name) ? rejections[name] : undefined;
  if (row) {
    const words = `${row.words} (${name}: ${message})`;
    const busy = row.tooOften ?? false;
    return { fault: fault(words, true, row.retryAfter, busy), again: row.again ?? "never", tooOften: busy };
  }
  if (unreachable.includes(code) || message.includes(neverConnected)) {
    return { fault: fault(`KMS cannot be reached (${code || message})`, true, 5), again: "later", tooOften: false };
  }
  const words = `no answer that says what happened (${[name, code, message].filter(Boolean).join(": ")})`;
  return { fault: fault(words, false, 5), again: about.effect ? "never" : "later", tooOften: false };
}

function wordsOf(error: unknown): { readonly name: string; readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { name: "", code: "", message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return { name: error.name, code, message: error.message.slice(0, 300) };
}
