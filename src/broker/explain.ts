// Why: for a request that nobody has made yet, and for any past entry, under the policy that decided it.

import { prepare, type SignItem } from "../formats/index.ts";
import type { Entry } from "../model/entry.ts";
import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { ItemRecord } from "../model/item.ts";
import { current, type KeyVersion, type Purpose } from "../model/key.ts";
import type { Workload } from "../model/principal.ts";
import {
  type Explanation,
  explain as explainPolicy,
  loadPolicy,
  type PolicyFile,
  type PolicySet,
  workloadOf,
} from "../policy/index.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { reader } from "./audit.ts";
import type { Call } from "./call.ts";
import type { Parts } from "./parts.ts";

export type Explained = Explanation & { readonly policy: string; readonly inForce: boolean };
export type ExplainRequest =
  | { readonly entry: number }
  | {
      readonly identity: unknown;
      readonly keys: readonly string[];
      readonly uses?: number | undefined;
      readonly ttl?: number | undefined;
      readonly items: readonly SignItem[];
    };

export async function explain(call: Call, request: ExplainRequest, parts: Parts): Promise<Explained | Refusal> {
  const asker = await reader(call, "explain", parts);
  if (isRefusal(asker)) return asker;
  return "entry" in request ? past(request.entry, parts) : hypothetical(request, parts);
}

function hypothetical(request: Exclude<ExplainRequest, { entry: number }>, parts: Parts): Explained | Refusal {
  const principal = workloadOf(request.identity);
  if (isRefusal(principal)) return principal;
  const items = recordsOf(request.items, request.keys, principal, parts);
  if (isRefusal(items)) return items;
  const policy = parts.policy();
  const asked = {
    principal,
    keys: request.keys,
    purposes: purposesOf(request.keys, parts),
    at: parts.clock(),
    uses: request.uses,
    ttl: request.ttl,
  };
  return { ...explainPolicy(policy, asked, items), inForce: true };
}

function recordsOf(
  items: readonly SignItem[],
  keys: readonly string[],
  principal: Workload,
  parts: Parts,
): readonly ItemRecord[] | Refusal {
  const versions = keys.flatMap((name) => {
    const key = parts.state.record("key", name)?.value;
    return (key && current(key)) ?? [];
  });
  const records: ItemRecord[] = [];
  for (const item of items) {
    const version: KeyVersion | undefined = versions[0];
    if (!version)
      return refuse("KEY_NOT_ACTIVE", "none of the keys is active, so no item can be prepared", "signet key list");
    const prepared = prepare(item, principal, version);
    if (isRefusal(prepared)) return prepared;
    records.push(prepared.record);
  }
  return records;
}

async function past(index: number, parts: Parts): Promise<Explained | Refusal> {
  const leaf = await parts.log.leaf(index);
  if (!leaf) return refuse("NOT_FOUND", `the log has no entry ${String(index)}`, "signet audit list");
  const entry = JSON.parse(fromUtf8(leaf)) as Entry; // our own leaf, read back from the log
  const asked = await askedIn(entry, parts);
  if (isRefusal(asked)) return asked;
  const policy = await policyOf(asked.policy, parts);
  if (isRefusal(policy)) return policy;
  const explained = explainPolicy(
    policy,
    { principal: asked.principal, keys: asked.keys, purposes: purposesOf(asked.keys, parts), at: Date.parse(entry.at) },
    asked.items,
  );
  return { ...explained, inForce: policy.hash === parts.policy().hash };
}

async function askedIn(
  entry: Entry,
  parts: Parts,
): Promise<
  | {
      readonly principal: Workload;
      readonly keys: readonly string[];
      readonly items: readonly ItemRecord[];
      readonly policy: string;
    }
  | Refusal
> {
  const not = refuse(
    "INPUT_INVALID",
    `entry ${entry.type} was not decided by policy`,
    "ask about a session.open, sign.intent or refusal of a CI job",
  );
  if (entry.type !== "session.open" && entry.type !== "sign.intent" && entry.type !== "refusal") return not;
  if (entry.by.kind !== "workload") return not;
  const keys = entry.type === "sign.intent" ? [entry.key.name] : (entry.keys ?? []);
  const items = "items" in entry ? await itemsOf(entry.items, parts) : [];
  return { principal: entry.by, keys, items, policy: entry.decision?.policy ?? parts.policy().hash };
}

async function itemsOf(
  items: readonly ItemRecord[] | { readonly blob: string } | undefined,
  parts: Parts,
): Promise<readonly ItemRecord[]> {
  if (items === undefined) return [];
  if (!("blob" in items)) return items;
  const bytes = await parts.log.blob(items.blob);
  return bytes ? (JSON.parse(fromUtf8(bytes)) as readonly ItemRecord[]) : []; // our own side blob
}

/** The set as it was, from the side blob of the entry that put it in force. */
async function policyOf(hash: string, parts: Parts): Promise<PolicySet | Refusal> {
  if (hash === parts.policy().hash) return parts.policy();
  const { entries } = await parts.log.entries({ types: ["policy.change"] }, { limit: 1000, backward: true });
  const change = entries.map(({ entry }) => entry).find((one) => one.type === "policy.change" && one.policy === hash);
  const texts = change?.type === "policy.change" ? await parts.log.blob(change.files.blob) : undefined;
  if (!texts)
    return refuse(
      "NOT_FOUND",
      `the policy set ${hash} is not in the log any more`,
      "signet audit list --type policy.change",
    );
  return loadPolicy(JSON.parse(fromUtf8(texts)) as readonly PolicyFile[]); // our own side blob
}

const purposesOf = (keys: readonly string[], parts: Parts): Record<string, Purpose> =>
  Object.fromEntries(
    keys.flatMap((name) => parts.state.record("key", name)?.value ?? []).map((key) => [key.name, key.purpose]),
  );
