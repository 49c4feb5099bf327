// Relay connections over keysets: a cursor is the place of its node, so that a page stays right while the log grows.

import { refuse } from "../model/errors.ts";
import type { Page } from "../ports/log.ts";
import { base64url, fromBase64url } from "../std/base64.ts";
import { fromUtf8, utf8 } from "../std/bytes.ts";
import { Refused } from "./errors.ts";
import { pageSize } from "./limits.ts";

type Kind = "entry" | "session";
type Maybe<T> = T | null | undefined;

/** Opaque to clients. Not a secret and not signed: a made-up one names a place, nothing more. */
export const cursorOf = (kind: Kind, place: number): string => base64url(utf8(`${kind}:${String(place)}`));

/** Throws Refused INPUT_INVALID. */
function placeOf(kind: Kind, cursor: string): number {
  const place = Number(/^(?:entry|session):(0|[1-9][0-9]{0,15})$/.exec(textOf(cursor))?.[1]);
  if (!textOf(cursor).startsWith(`${kind}:`) || !Number.isSafeInteger(place)) {
    throw new Refused(
      refuse(
        "INPUT_INVALID",
        `this is no cursor of a page of ${kind === "entry" ? "entries" : "sessions"}`,
        "Give back the endCursor or startCursor of an earlier page.",
      ),
    );
  }
  return place;
}

function textOf(cursor: string): string {
  try {
    return fromUtf8(fromBase64url(cursor));
  } catch {
    return "";
  }
}

export function forwardPage(kind: Kind, first: Maybe<number>, after: Maybe<string>): Page {
  return {
    limit: pageSize(first),
    backward: kind === "session",
    after: after == null ? undefined : placeOf(kind, after),
  };
}

export interface EntryPage {
  readonly first: Maybe<number>;
  readonly after: Maybe<string>;
  readonly last: Maybe<number>;
  readonly before: Maybe<string>;
}

/** Oldest first with `first` and `after`, from the end with `last` and `before`; the newest where nothing is said. */
export function entryPage({ first, after, last, before }: EntryPage): Page {
  const forward = first != null || after != null;
  const backward = last != null || before != null;
  if (forward && backward) {
    throw new Refused(
      refuse("INPUT_INVALID", "a page goes forward (first, after) or backward (last, before), not both"),
    );
  }
  return forward
    ? { limit: pageSize(first), backward: false, after: after == null ? undefined : placeOf("entry", after) }
    : { limit: pageSize(last), backward: true, after: before == null ? undefined : placeOf("entry", before) };
}

/** In the order of the log, whichever end was asked for (Relay, "edge order"). */
export function edgesInOrder<T>(found: readonly T[], page: Page, more: boolean, cursor: (node: T) => string) {
  const nodes = page.backward ? found.toReversed() : found;
  const edges = nodes.map((node) => ({ cursor: cursor(node), node }));
  const beyond = page.after !== undefined;
  return {
    edges,
    nodes,
    pageInfo: {
      hasNextPage: page.backward ? beyond : more,
      hasPreviousPage: page.backward ? more : beyond,
      startCursor: edges[0]?.cursor,
      endCursor: edges.at(-1)?.cursor,
    },
  };
}
