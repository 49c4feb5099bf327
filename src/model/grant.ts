// What a grant lets a session do: typed limits that plain code checks on every item of every request.
// `policy/` reads grants from files and decides who gets one; here is only what is fixed into the session.

import { sha256Hex } from "../std/digest.ts";
import { canonicalJson, type Json } from "../std/json.ts";

/** Segment glob: `*` matches within one `/`-segment, `**` as a whole segment matches any number of them. Never a regex. */
export type Glob = string;

export interface StatementLimits {
  /** Exact predicate types. */
  readonly predicateTypes: readonly string[];
  /** Globs over each subject's name. */
  readonly subjects: readonly Glob[];
}

export interface Window {
  /** 0 Sunday … 6 Saturday, UTC. */
  readonly days: readonly number[];
  /** Minutes since midnight UTC; `from` inclusive, `to` exclusive, from < to. */
  readonly from: number;
  readonly to: number;
}

export interface GrantLimits {
  readonly uses: number;
  /** Milliseconds. */
  readonly ttl: number;
  /** Concurrent open sessions of one principal under this grant. */
  readonly sessions?: number | undefined;
  /** Sign requests per minute of one principal under this grant. */
  readonly ratePerMinute?: number | undefined;
  /** Empty means always. */
  readonly windows: readonly Window[];
  /** An item kind that is absent is not granted. */
  readonly items: {
    readonly statement?: StatementLimits | undefined;
    readonly image?: { readonly repositories: readonly Glob[] } | undefined;
    readonly jws?: { readonly types: readonly string[] } | undefined;
    readonly blob?: { readonly names: readonly Glob[] } | undefined;
    /** Raw digests say nothing about themselves: there is nothing to limit but the count. */
    readonly digest?: Readonly<Record<string, never>> | undefined;
  };
}

/** SHA-256 (hex) of the limits' canonical JSON: how the log names them. */
export const limitsHash = (limits: GrantLimits): string => sha256Hex(canonicalJson(limits as unknown as Json)); // plain data of ours

/** What policy said, as it stands in the log. */
export interface Decision {
  readonly effect: "permit" | "deny";
  readonly grant?: string | undefined;
  /** Hash of the policy set, `sha256:<hex>`. */
  readonly policy: string;
  /** For people, most helpful first. */
  readonly reasons: readonly string[];
}
