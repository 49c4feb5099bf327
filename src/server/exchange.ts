// One HTTP request and the one answer it gets: what was read of it, and the headers that every answer carries.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { GraphQLFormattedError } from "graphql";
import type { Listening } from "./listener.ts";

export interface Exchange {
  /** `rq_…` */
  readonly id: string;
  readonly listening: Listening;
  /** Without the query. Attacker-controlled. */
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** For the DPoP-Nonce header, taken when the answer leaves. */
  readonly nonce: () => string;
  /** True once the daemon is stopping: the connection is closed after this answer. */
  readonly last: () => boolean;
}

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export const json = (status: number, value: unknown, headers?: Answer["headers"]): Answer => ({
  status,
  type: "application/json; charset=utf-8",
  body: JSON.stringify(value),
  headers,
});

export const text = (status: number, body: string): Answer => ({ status, type: "text/plain; charset=utf-8", body });

/** An error in the form of a GraphQL response, so that a client reads only one form. */
export const problem = (status: number, error: GraphQLFormattedError, headers?: Answer["headers"]): Answer =>
  json(status, { errors: [error] }, headers);

/** Answers that are ready, until the event loop's next turn. */
let leaving: (() => void)[] = [];

/**
 * Once per exchange; a caller who has gone is not an error. Answers of one turn leave together: a commit makes many at
 * once, and waking the reader for each of them by itself costs more than writing them.
 */
export function send(exchange: Exchange, answer: Answer): void {
  if (leaving.length === 0) setImmediate(leave);
  leaving.push(() => {
    write(exchange, answer);
  });
}

function leave(): void {
  const ready = leaving;
  leaving = [];
  for (const one of ready) one();
}

function write({ id, request, response, nonce, last }: Exchange, answer: Answer): void {
  if (response.headersSent || response.destroyed) return;
  const { body } = answer;
  const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  response.writeHead(answer.status, {
    "Content-Type": answer.type,
    "Content-Length": length,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Request-Id": id,
    "DPoP-Nonce": nonce(),
    ...answer.headers,
    ...(last() || !request.complete ? { Connection: "close" } : {}),
  });
  if (request.method === "HEAD") response.end();
  // A text of as many bytes as characters is ASCII: written as Latin-1 it is copied, as UTF-8 encoded one by one.
  else if (typeof body === "string") response.end(body, length === body.length ? "latin1" : "utf8");
  else response.end(body);
}
