// Keys whose custody gave a signature that was not theirs. Nothing of it was released; but the key signs on, and whether
// that is an attack or a broken backend only a person can find out. So it stands in `doctor`, across restarts, until the
// key has signed well again or an operator has changed its state. The log is all that is asked.

import { type KeyVersion, versionId } from "../model/key.ts";
import type { Log, LogEntry, State } from "../ports/log.ts";
import type { HealthCheck } from "./index.ts";

interface Read {
  readonly log: Pick<Log, "entries">;
  readonly state: Pick<State, "record">;
}

/** One check for each key version that may still sign and whose last word was a wrong signature. Never rejects. */
export async function wrongSignatures(parts: Read): Promise<readonly HealthCheck[]> {
  try {
    return await standingOnes(parts);
  } catch (error) {
    // With a full disk, of all times, somebody looks at the other checks.
    const why = error instanceof Error ? error.message : String(error);
    return [
      { name: "signatures", status: "warn", message: `whether wrong ones stand in the log cannot be told: ${why}` },
    ];
  }
}

async function standingOnes(parts: Read): Promise<readonly HealthCheck[]> {
  const wrong = { types: ["sign.outcome"], code: "SIGNATURE_WRONG" };
  const { entries } = await parts.log.entries(wrong, { limit: most, backward: true });
  const seen = new Set<string>();
  const checks: HealthCheck[] = [];
  for (const one of entries) {
    const version = versionIn(one, parts);
    if (!version || seen.has(versionId(version))) continue; // newest first
    seen.add(versionId(version));
    if (version.state !== "ACTIVE" && version.state !== "SUSPENDED") continue;
    if (!(await isOver(version, one.index, parts))) checks.push(standing(version, one));
  }
  return checks;
}

/** Wrong signatures that are looked through; older ones of other keys are not news any more. */
const most = 1000;

function versionIn({ entry }: LogEntry, { state }: Read): KeyVersion | undefined {
  if (entry.type !== "sign.outcome") return undefined;
  const { name, version } = entry.key;
  return state.record("key", name)?.value.versions.find((one) => one.number === version);
}

/** The watch suspends keys too, which is no answer of a person: its entries name nobody. */
async function isOver({ key, number }: KeyVersion, after: number, { log }: Read): Promise<boolean> {
  const later = { limit: 100, after, backward: false };
  const signed = await log.entries({ keys: [key], types: ["sign.outcome"], result: "done" }, later);
  if (signed.entries.some(({ entry }) => entry.type === "sign.outcome" && entry.key.version === number)) return true;
  const changed = await log.entries({ keys: [key], types: ["key.state"] }, later);
  return changed.entries.some(({ entry }) => entry.type === "key.state" && entry.version === number && "by" in entry);
}

const standing = (version: KeyVersion, { entry, index }: LogEntry): HealthCheck => ({
  name: `key ${versionId(version)}`,
  status: "fail",
  message: `its custody ${version.custody} gave a signature that is not by this key, at ${entry.at} (entry ${String(index)}); it was not released`,
  hint: `stop it until you know why: signet key suspend ${version.key}. This stands until it signs well again or its state is changed`,
});
