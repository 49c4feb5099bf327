// How both ways to fail leave the daemon. A Refusal is shown as it is; of a Fault, and of everything else, only the code,
// the table's text and the request id are shown, and the truth goes to our own log.

import { GraphQLError, type GraphQLFormattedError } from "graphql";
import type { Logger } from "pino";
import { type Code, errorTable, Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Metrics } from "../ports/metrics.ts";

/** Where the docs explain a code. */
export const docsOf = (code: Code): string => `signet explain ${code}`;

/** A Refusal on its way through code that can only throw. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = "Refused";
    this.refusal = refusal;
  }
}

/** For queries, where a refusal is an error and not a member of the answer. */
export async function granted<T>(answer: Promise<T | Refusal>): Promise<T> {
  const given = await answer;
  if (isRefusal(given)) throw new Refused(given);
  return given;
}

/** A limit of validation, in the words of the one table. */
export const overLimit = (message: string): GraphQLError =>
  new GraphQLError(message, { originalError: new Refused(refuse("TOO_LARGE", message)) });

export interface Witness {
  readonly request: string;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "refused" | "faulted">;
}

/** What the caller sees of an error that graphql-js, yoga, a resolver or the broker made. Logs and counts the rest. */
export function present(error: unknown, witness: Witness): GraphQLFormattedError {
  const at = error instanceof GraphQLError ? whereOf(error) : {};
  const cause = causeOf(error);
  if (cause instanceof Refused) return { ...refusalError(cause.refusal, witness.request), ...at };
  if (cause instanceof GraphQLError) {
    witness.metrics.refused("INPUT_INVALID");
    return { ...refusalError(refuse("INPUT_INVALID", plain(cause, error)), witness.request), ...at };
  }
  return { ...faultError(cause, witness), ...at };
}

export function refusalError(refusal: Refusal, request: string): GraphQLFormattedError {
  const { refusal: code, message, hint, retryAfter, entry, pending } = refusal;
  const { number } = errorTable[code];
  return {
    message,
    extensions: { code, number, hint, retryAfter, entry, pending, docs: docsOf(code), requestId: request },
  };
}

function faultError(cause: unknown, { request, log, metrics }: Witness): GraphQLFormattedError {
  const fault = cause instanceof Fault ? cause : new Fault("INTERNAL", "an error that nobody wrapped", { cause });
  const { number, title } = errorTable[fault.code];
  const { code, custody, retryAfter, nothingHappened } = fault;
  metrics.faulted(fault.code);
  log.error({ request, code: fault.code, err: fault }, fault.message);
  return {
    message: custody === undefined ? title : `${title} (custody ${custody})`,
    extensions: {
      code,
      number,
      custody,
      // A backend that says nothing of when would say the same again.
      retryable: nothingHappened && (custody === undefined || retryAfter !== undefined),
      retryAfter,
      hint: hintOf(fault),
      docs: docsOf(code),
      requestId: request,
    },
  };
}

/** Whether to ask again, where a custody failed and the use case did not say. */
function hintOf({ hint, custody, nothingHappened, retryAfter }: Fault): string | undefined {
  if (hint !== undefined || custody === undefined || !nothingHappened) return hint;
  return retryAfter === undefined
    ? "nothing was done, and asking again will not help before an operator has looked: signet doctor"
    : `nothing was done; ask again in ${String(Math.ceil(retryAfter))} s`;
}

/** The first error that is not graphql-js's wrapping; a GraphQLError where the caller's own text or values are at fault. */
function causeOf(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined) cause = cause.originalError;
  return cause;
}

/** graphql-js quotes the caller: bounded, and without telling an unknown caller what else there is. */
function plain(cause: GraphQLError, error: unknown): string {
  const text = error instanceof GraphQLError ? error.message : cause.message;
  const known = text
    .replace(/ Did you mean .*$/s, "")
    .replaceAll(credential, "…")
    .replaceAll(/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, " ");
  return known.length > 500 ? `${known.slice(0, 500)}…` : known;
}

/** Session and operator tokens, and whatever begins as a JWT: a credential in the wrong place is not repeated. */
const credential = /sg[so]_[\w-]+|eyJ[\w-]+(?:\.[\w-]+)*/g;

function whereOf(error: GraphQLError): Pick<GraphQLFormattedError, "locations" | "path"> {
  return {
    ...(error.locations === undefined ? {} : { locations: error.locations }),
    ...(error.path === undefined ? {} : { path: error.path }),
  };
}
