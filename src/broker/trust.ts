// What verifiers may trust now, from the records alone. Public keys are public; with them go the names of keys, what
// they are for and where they live, so a listener may keep the documents for people with a role.

import type { Entry } from "../model/entry.ts";
import { isRefusal, type Refusal } from "../model/errors.ts";
import { type TrustSet, trustedVersions } from "../model/trust.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { reader } from "./audit.ts";
import type { Call } from "./call.ts";
import type { Parts } from "./parts.ts";

/** `open`: nobody asked who reads. Otherwise anybody with a role. */
export async function trust(call: Call, open: boolean, parts: Parts): Promise<TrustSet | Refusal> {
  const refused = open ? undefined : await reader(call, "trust", parts);
  if (isRefusal(refused)) return refused;
  const at = parts.clock();
  const keys = parts.state
    .records("key")
    .map(({ value }) => ({ key: value, versions: trustedVersions(value, at) }))
    .filter(({ versions }) => versions.length > 0);
  const first = await parts.log.leaf(0);
  const since = first ? (JSON.parse(fromUtf8(first)) as Entry).at : ""; // our own leaf; daemon.start is always there
  return { keys, log: { origin: parts.log.head().origin, vkey: parts.vkey, since } };
}
