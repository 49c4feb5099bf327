// Whether the keys at their custodies still are what was recorded when they came in. The clock looks; what it finds is
// an entry, once for each change, and stands in `doctor` until it is over.
//
// A key that vanished or has another public key is suspended in the same transaction; one that vanished only once it was
// missed by two looks in a row, since a single wrong answer would stop every key at once. Other guards, or a backend that
// would not sign now, are flagged: somebody has to judge. A custody that cannot be asked gives no verdict at all.

import type { DriftFinding, EntryBody } from "../model/entry.ts";
import { Fault } from "../model/errors.ts";
import { type KeyState, type KeyVersion, versionId } from "../model/key.ts";
import type { Custody, KeyDescription } from "../ports/custody.ts";
import { withState } from "./change-key-state.ts";
import { askCustody, publicKeyOf } from "./incoming-key.ts";
import type { HealthCheck } from "./index.ts";
import type { Parts } from "./parts.ts";

export interface DriftWatch {
  /** Asks every custody about every key version that is not destroyed. Rejects where the log cannot be read or written. */
  look(): Promise<void>;
  /** What stands, for `doctor`. */
  checks(): readonly HealthCheck[];
  /** Key versions by finding; "unreachable" those whose custody gave no verdict. For metrics. */
  counts(): ReadonlyMap<DriftFinding | "unreachable", number>;
}

type DriftParts = Pick<Parts, "state" | "log" | "journal" | "custodies" | "ending">;
interface Difference {
  readonly recorded: string;
  readonly found: string;
}
/** Per finding what is found now; undefined where all is as recorded; absent where it cannot be told. */
type Verdict = ReadonlyMap<DriftFinding, Difference | undefined>;

/** Characters of a backend's own words in an entry. */
const longest = 500;
const severe: readonly DriftFinding[] = ["vanished", "public-key"];

export function driftWatch(parts: DriftParts, report: (what: string) => void): DriftWatch {
  /** By version and finding: what was found, as the newest entry says. */
  const standing = new Map<string, Map<DriftFinding, string>>();
  const unreachable = new Map<string, { readonly custody: string; readonly message: string }>();
  /** Versions that the last look did not find, and no look before it. */
  const missed = new Map<string, KeyVersion>();
  /** Versions that the last look could judge; undefined before the first. */
  let looked: number | undefined;

  async function look(): Promise<void> {
    const versions = parts.state
      .records("key")
      .flatMap(({ value }) => value.versions)
      .filter(({ state }) => state !== "DESTROYED");
    const named = new Set(versions.map(versionId));
    for (const id of [...standing.keys(), ...unreachable.keys(), ...missed.keys()]) if (!named.has(id)) forget(id);
    const custodies = new Set(versions.map(({ custody }) => custody));
    await Promise.all(
      [...custodies].map((name) =>
        lookAt(
          name,
          versions.filter((one) => one.custody === name),
        ),
      ),
    );
    looked = versions.length - unreachable.size;
  }

  function forget(id: string): void {
    standing.delete(id);
    unreachable.delete(id);
    missed.delete(id);
  }

  /** One after the other: looking must not crowd out signing. The first that is not answered stands for the rest. */
  async function lookAt(name: string, versions: readonly KeyVersion[]): Promise<void> {
    const custody = parts.custodies.get(name);
    let silent: Fault | undefined = custody
      ? undefined
      : new Fault("CUSTODY_DOWN", `no custody "${name}" is configured`);
    for (const version of versions) {
      const found = silent ?? (await ask(custody, version));
      if (found instanceof Fault) {
        unreachable.set(versionId(version), { custody: name, message: found.message });
        missed.delete(versionId(version));
        if (!isAboutOneKey(found)) silent = found;
        continue;
      }
      unreachable.delete(versionId(version));
      if (!isEnding(version, parts)) await conclude(version, verdictOn(version, found.description));
    }
  }

  async function conclude(version: KeyVersion, verdict: Verdict): Promise<void> {
    const known = standing.get(versionId(version)) ?? (await recalled(version, parts));
    standing.set(versionId(version), known);
    if (!verdict.get("vanished")) missed.delete(versionId(version));
    for (const [finding, difference] of verdict) {
      const before = known.get(finding);
      if (finding === "vanished" && difference && before === undefined && isFirstMiss(version)) continue;
      if (difference && (difference.found !== before || mustStop(version, finding, parts))) {
        if (!(await record(version, finding, difference, parts))) continue; // the key changed this moment: next time
        known.set(finding, difference.found);
        report(`key ${versionId(version)} at ${version.custody}: ${saying[finding]} (${difference.found})`);
      } else if (!difference && before !== undefined) {
        await over(version, finding, before, parts);
        known.delete(finding);
        report(`key ${versionId(version)} at ${version.custody}: ${finding} is over`);
      }
    }
  }

  /** False, and forgotten, where the look before missed it too. */
  function isFirstMiss(version: KeyVersion): boolean {
    if (missed.delete(versionId(version))) return false;
    missed.set(versionId(version), version);
    report(`key ${versionId(version)} at ${version.custody}: it was not found; the next look decides`);
    return true;
  }

  return {
    look,
    checks() {
      const checks = [...standing].flatMap(([id, findings]) => [...findings].map((one) => standingCheck(id, ...one)));
      checks.push(...[...missed.values()].map(missedCheck));
      const away = [...unreachable.values()];
      for (const custody of new Set(away.map((one) => one.custody)))
        checks.push(
          unreachableCheck(
            custody,
            away.filter((one) => one.custody === custody),
          ),
        );
      if (checks.length === 0)
        checks.push({
          name: "drift",
          status: "ok",
          message:
            looked === undefined
              ? "no key was looked at yet since the start"
              : `${String(looked)} key versions are as they were recorded`,
        });
      return checks;
    },
    counts() {
      const counts = new Map<DriftFinding | "unreachable", number>([["unreachable", unreachable.size]]);
      for (const finding of ["vanished", "public-key", "trouble", "guards"] as const)
        counts.set(finding, [...standing.values()].filter((one) => one.has(finding)).length);
      return counts;
    },
  };
}

const ask = (
  custody: Custody | undefined,
  version: KeyVersion,
): Promise<{ readonly description: KeyDescription | undefined } | Fault> =>
  askCustody(version.custody, async (signal) => ({
    description: await custody?.describe(version.uri, signal, version),
  }));

/** By the contract of src/ports/custody.ts; any other tells that the backend is away. */
const isAboutOneKey = (fault: Fault): boolean => fault.nothingHappened && fault.retryAfter === undefined;

export function verdictOn(version: KeyVersion, description: KeyDescription | undefined): Verdict {
  if (description === undefined) return new Map([["vanished", { recorded: version.uri, found: "no such key" }]]);
  const fingerprint =
    publicKeyOf(version.algorithm, description.publicKey)?.fingerprint ?? `no ${version.algorithm} key`;
  if (fingerprint !== version.fingerprint)
    return new Map<DriftFinding, Difference | undefined>([
      ["vanished", undefined],
      ["public-key", { recorded: version.fingerprint, found: fingerprint }],
    ]);
  const { trouble, guards = "not told" } = description;
  const otherGuards = version.guards !== undefined && version.guards !== guards;
  return new Map<DriftFinding, Difference | undefined>([
    ["vanished", undefined],
    ["public-key", undefined],
    ["trouble", trouble === undefined ? undefined : { recorded: "none", found: trouble.slice(0, longest) }],
    ["guards", otherGuards ? { recorded: version.guards, found: guards } : undefined],
  ]);
}

/** What was recorded of this version before this daemon started. */
async function recalled(version: KeyVersion, { log }: Pick<Parts, "log">): Promise<Map<DriftFinding, string>> {
  const known = new Map<DriftFinding, string>();
  const over = new Set<DriftFinding>();
  const { entries } = await log.entries({ keys: [version.key], types: ["key.drift"] }, { limit: 1000, backward: true });
  for (const { entry } of entries) {
    if (entry.type !== "key.drift" || entry.version !== version.number) continue;
    if (known.has(entry.finding) || over.has(entry.finding)) continue; // newest first
    if (entry.over) over.add(entry.finding);
    else known.set(entry.finding, entry.found);
  }
  return known;
}

/** As the record says at this moment. */
const stateNow = ({ key, number }: KeyVersion, state: Parts["state"]): KeyState | undefined =>
  state.record("key", key)?.value.versions.find((one) => one.number === number)?.state;

/** Destroyed while its custody was asked, or about to be. */
const isEnding = (version: KeyVersion, { state, ending }: DriftParts): boolean =>
  ending.has(versionId(version)) || stateNow(version, state) === "DESTROYED";

/** Somebody let it sign although what was found still stands: it is stopped again. */
const mustStop = (version: KeyVersion, finding: DriftFinding, parts: Pick<Parts, "state">): boolean =>
  severe.includes(finding) && stateNow(version, parts.state) === "ACTIVE";

const driftEntry = (
  { key, number, custody, uri }: KeyVersion,
  finding: DriftFinding,
  { recorded, found }: Difference,
): EntryBody => ({
  type: "key.drift",
  key,
  version: number,
  custody,
  uri,
  finding,
  recorded,
  found,
});

/** False where the key changed at the same moment: nothing was recorded. */
async function record(
  version: KeyVersion,
  finding: DriftFinding,
  difference: Difference,
  parts: DriftParts,
): Promise<boolean> {
  const drift = driftEntry(version, finding, difference);
  const stored = parts.state.record("key", version.key);
  if (!stored || !mustStop(version, finding, parts)) {
    await parts.journal.append(undefined, () => drift);
    return true;
  }
  const { key, number } = version;
  const suspension: EntryBody = {
    type: "key.state",
    key,
    version: number,
    from: "ACTIVE",
    to: "SUSPENDED",
    reason: `at its custody, ${saying[finding]}`,
  };
  const value = withState(stored.value, number, "SUSPENDED");
  const appended = await parts.journal.append(undefined, () => suspension, {
    alongside: [drift],
    puts: [{ kind: "key", id: key, value, expects: stored.revision }],
  });
  return !("conflict" in appended);
}

async function over(version: KeyVersion, finding: DriftFinding, before: string, parts: DriftParts): Promise<void> {
  const body: EntryBody = { ...driftOver(version, finding), recorded: before, found: "as recorded", over: true };
  await parts.journal.append(undefined, () => body);
}

const driftOver = ({ key, number, custody, uri }: KeyVersion, finding: DriftFinding) =>
  ({ type: "key.drift", key, version: number, custody, uri, finding }) as const;

export const saying: Readonly<Record<DriftFinding, string>> = {
  vanished: "the key is not there any more",
  "public-key": "the key has another public key",
  trouble: "the backend would not sign with it",
  guards: "what guards it is not what it was",
};

const standingCheck = (id: string, finding: DriftFinding, found: string): HealthCheck => ({
  name: `key ${id}`,
  status: severe.includes(finding) ? "fail" : "warn",
  message: `${saying[finding]}: ${found}`,
  hint: severe.includes(finding)
    ? `it was suspended where it was active; find out who did this: signet audit list --key ${id.split("/")[0] ?? ""} --type key.drift`
    : "look at it in its custody; the log says since when: signet audit list --type key.drift",
});

const missedCheck = (version: KeyVersion): HealthCheck => ({
  name: `key ${versionId(version)}`,
  status: "warn",
  message: `${version.custody} says that it has no such key; it is suspended if the next look finds the same`,
  hint: "look into its custody, and at what stands before it",
});

const unreachableCheck = (custody: string, away: readonly { readonly message: string }[]): HealthCheck => ({
  name: `drift ${custody}`,
  status: "warn",
  message: `no verdict on ${String(away.length)} key version${away.length === 1 ? "" : "s"}: ${away[0]?.message ?? ""}`,
  hint: "its keys may have changed unseen until it answers again",
});
