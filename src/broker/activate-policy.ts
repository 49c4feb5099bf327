// Policy takes effect: parsed and tried whole, or not at all, and its hash stands in every decision from then on.
//
// Open sessions are decided again under the new set. Those that it still permits with the same limits go on; the
// others keep the old hash, which the next intent's transaction finds out.

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
  const texts = utf8(canonicalJson(policy.files.map(({ path, text }) => ({ path, text }))));
  const appended = await parts.journal.append(
    undefined,
    () => ({
      type: "policy.change",
      policy: policy.hash,
      before: stored?.value.hash,
      files: { blob: `sha256:${sha256Hex(texts)}`, count: policy.files.length },
      grants: policy.grants.length,
      cases: policy.cases,
    }),
    {
      blobs: [texts],
      puts: [{ kind: "policy", id: "current", value: { hash: policy.hash }, expects: stored?.revision ?? 0 }],
      repolicy: await stillPermitted(policy, parts),
    },
  );
  if ("conflict" in appended) throw new Error(`policy changed twice at the same moment: ${appended.conflict}`);
  return policy;
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
  return decided.effect === "permit" && decided.grant === session.grant && sameReach(decided.limits, session.limits);
}

const sameReach = (a: SigningSession["limits"], b: SigningSession["limits"]): boolean =>
  canonicalJson(reach(a)) === canonicalJson(reach(b));
const reach = ({ items, windows, ratePerMinute }: SigningSession["limits"]): Json =>
  JSON.parse(JSON.stringify([items, windows, ratePerMinute ?? null])) as Json; // plain data of ours
