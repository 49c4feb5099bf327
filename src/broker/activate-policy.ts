// Policy takes effect: parsed and tried whole, or not at all, and its hash stands in every decision from then on.
//
// Open sessions are decided again under the new set. Those that it still permits with the same limits go on; the
// others keep the old hash, which the next intent's transaction finds out.

import type { BlobRef } from "../model/entry.ts";
import type { SigningSession } from "../model/session.ts";
import { decideOpen, loadPolicy, type PolicyFile, type PolicySet } from "../policy/index.ts";
import { utf8 } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson, type Json } from "../std/json.ts";
import type { Parts } from "./parts.ts";

type PolicyParts = Pick<Parts, "journal" | "state" | "clock">;

/** Throws PolicyError, and then nothing changed. Returns the set in force. */
export async function activatePolicy(files: readonly PolicyFile[], parts: PolicyParts): Promise<PolicySet> {
  const policy = loadPolicy(files);
  const stored = parts.state.record("policy", "current");
  if (stored?.value.hash === policy.hash) return policy;
  const repolicy = await stillPermitted(policy, parts);
  const kept = keptSessions(repolicy.map(({ session }) => session));
  const texts = utf8(canonicalJson(policy.files.map(({ path, text }) => ({ path, text }))));
  const appended = await parts.journal.append(
    undefined,
    () => ({
      type: "policy.change",
      policy: policy.hash,
      before: stored?.value.hash,
      files: { blob: `sha256:${sha256Hex(texts)}`, count: policy.files.length },
      sessions: kept.sessions,
      grants: policy.grants.length,
      cases: policy.cases,
    }),
    {
      blobs: [texts, ...kept.blobs],
      puts: [{ kind: "policy", id: "current", value: { hash: policy.hash }, expects: stored?.revision ?? 0 }],
      repolicy,
    },
  );
  if ("conflict" in appended) throw new Error(`policy changed twice at the same moment: ${appended.conflict}`);
  return policy;
}

const inlineSessions = 200;

/** As the entry names them: at each start, every session's policy must be one that the log gave it. */
function keptSessions(ids: readonly string[]): {
  readonly sessions: readonly string[] | BlobRef;
  readonly blobs: readonly Uint8Array[];
} {
  if (ids.length <= inlineSessions) return { sessions: ids, blobs: [] };
  const bytes = utf8(canonicalJson(ids));
  return { sessions: { blob: `sha256:${sha256Hex(bytes)}`, count: ids.length }, blobs: [bytes] };
}

async function stillPermitted(
  policy: PolicySet,
  parts: PolicyParts,
): Promise<readonly { readonly session: string; readonly policy: string }[]> {
  const kept: { session: string; policy: string }[] = [];
  const at = parts.clock();
  const pageSize = 1000;
  for (let after: number | undefined; ; ) {
    const page = await parts.state.sessions({ open: true, at }, { limit: pageSize, backward: true, after });
    kept.push(
      ...page
        .filter((session) => permits(policy, session, at, parts))
        .map((session) => ({ session: session.id, policy: policy.hash })),
    );
    const last = page.at(-1);
    if (page.length < pageSize || !last) return kept;
    after = last.entry;
  }
}

function permits(policy: PolicySet, session: SigningSession, at: number, parts: PolicyParts): boolean {
  const purposes = Object.fromEntries(
    session.keys.flatMap((name) => parts.state.record("key", name)?.value ?? []).map((key) => [key.name, key.purpose]),
  );
  const decided = decideOpen(policy, {
    principal: session.principal,
    keys: session.keys,
    purposes,
    uses: session.usesGranted,
    ttl: session.limits.ttl,
    at,
  });
  return (
    decided.effect === "permit" &&
    decided.grant === session.grant &&
    decided.limits.uses >= session.usesGranted &&
    decided.limits.ttl >= session.limits.ttl &&
    sameReach(decided.limits, session.limits)
  );
}

const sameReach = (a: SigningSession["limits"], b: SigningSession["limits"]): boolean =>
  canonicalJson(reach(a)) === canonicalJson(reach(b));
/** What a session may do; how often and how long is compared by number. */
const reach = ({ items, windows, ratePerMinute }: SigningSession["limits"]): Json =>
  JSON.parse(JSON.stringify([items, windows, ratePerMinute ?? null])) as Json; // plain data of ours
