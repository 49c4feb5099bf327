// A new log takes a damaged one's place. What comes along is what can be proved, and never more than it was: a use may
// be lost, none is gained. Keys that could sign come in suspended, so that somebody looks before they sign again.
//
// Three witnesses are heard: the old tables (edited by whoever could write the file), the old leaves as far as they can
// be told again, and the custody, which knows whether it holds the private key of a public key. Where the tables and the
// leaves both know a state, the later one in a key's life counts; what a version is and how it ended is what the leaves
// say. One whose private key is gone comes along as destroyed: its public key never comes in again.

import type { EntryBody, OperatorRecord } from "../model/entry.ts";
import { type Ended, type Key, type KeyState, type KeyVersion, keyStates, versionId } from "../model/key.ts";
import type { Person } from "../model/principal.ts";
import { identityDifference, personHolds, type Replayed, type ReplayedKey, toldVersion } from "../model/replay.ts";
import { cancelledVersion, underWay } from "../model/rotation.ts";
import type { Put } from "../ports/log.ts";
import type { Journal } from "./journal.ts";

export interface OldHouse {
  readonly keys: readonly Key[];
  readonly people: readonly Person[];
  /** The leaves of the old log, told again as far as they can be read. */
  readonly said: Pick<Replayed, "keys" | "people" | "rotations">;
  /** Why a version's private key cannot come along, in words; undefined where it can. */
  readonly missing: (version: KeyVersion, told: boolean) => string | undefined;
  /** RFC 3339: when what comes along as ended here ends. */
  readonly at: string;
}

export interface Adoption {
  readonly keys: readonly AdoptedKey[];
  readonly people: readonly Person[];
  /** In words, one a line. */
  readonly lost: readonly string[];
}

interface AdoptedKey {
  /** As it will be: the versions that come along, in their new states. */
  readonly key: Key;
  /** State in the old log, of each version. */
  readonly from: readonly KeyState[];
}

/** Who and what comes along, and what does not. Changes nothing. */
export function adoption(old: OldHouse): Adoption {
  const lost: string[] = [];
  const names = [...old.keys.map(({ name }) => name), ...[...old.said.keys.values()].map(({ made }) => made.key)];
  const keys = [...new Set(names)].sort().flatMap((name) => adoptedKey(name, old, lost) ?? []);
  const people = old.people.filter((person) => {
    const holds = personHolds(person, old.said);
    if (!holds)
      lost.push(`operator ${person.name} (${person.issuer} ${person.subject}): the leaves do not tell of these roles`);
    return holds;
  });
  const known = new Set(old.people.map(({ id }) => id));
  for (const [id, { name }] of old.said.people)
    if (!known.has(id)) lost.push(`operator ${name}: in the log, but not in the tables that can be read`);
  return { keys, people, lost };
}

function adoptedKey(name: string, old: OldHouse, lost: string[]): AdoptedKey | undefined {
  const key = old.keys.find((one) => one.name === name);
  const said = [...old.said.keys.values()].filter(({ made }) => made.key === name);
  const purpose = said[0]?.made.purpose ?? key?.purpose;
  if (purpose === undefined) return undefined;
  const numbers = [...(key?.versions ?? []), ...said.map(({ made }) => made)].map(({ number }) => number);
  const adopted = [...new Set(numbers)]
    .sort((a, b) => a - b)
    .flatMap((number) => {
      const held = key?.versions.find((one) => one.number === number);
      return adoptedVersion({ key: name, number, purpose }, held, old, lost) ?? [];
    });
  if ((key && underWay(key)) ?? underWay({ rotation: old.said.rotations.get(name)?.rotation }))
    lost.push(`the rotation of key ${name} that was under way: begin another one, under the new log`);
  if (adopted.length === 0) return undefined;
  const versions = adopted.map(({ version }) => version);
  return { key: { name, purpose, versions }, from: adopted.map(({ from }) => from) };
}

interface AdoptedVersion {
  readonly version: KeyVersion;
  readonly from: KeyState;
}

/** `held` by the tables, where they know it. */
function adoptedVersion(
  place: Pick<KeyVersion, "key" | "number" | "purpose">,
  held: KeyVersion | undefined,
  old: OldHouse,
  lost: string[],
): AdoptedVersion | undefined {
  const name = versionId(place);
  const said = old.said.keys.get(name);
  const wrong = held ? difference(held, place, said) : "";
  if (!held) lost.push(`key ${name}: it is in the log, but not in the tables that can be read`);
  else if (wrong !== undefined) lost.push(`key ${name} ${wrong}${said ? ": it comes along as the log says" : ""}`);
  const facts = held && wrong === undefined ? held : said && toldVersion(said);
  if (!facts) return undefined;
  const from = said && held ? later(said.state, held.state) : facts.state;
  const version = { ...facts, state: from, ended: endOf(from, held, said) };
  const gone = old.missing(version, said !== undefined);
  if (gone !== undefined) lost.push(`key ${name} ${gone}`);
  if (gone === undefined) return { version: { ...version, ...stopped(version, old.at) }, from };
  return said && { version: { ...version, ...dead(version, old.at) }, from };
}

function difference(
  held: KeyVersion,
  { key, purpose }: Pick<KeyVersion, "key" | "purpose">,
  said: ReplayedKey | undefined,
): string | undefined {
  if (held.key !== key) return "is not of the key that it stands under";
  if (said) return identityDifference(held, said);
  return held.purpose === purpose ? undefined : "is not of the key that it stands under";
}

/** The tables are heard where they alone know of the state; that a version was compromised is never unsaid. */
function endOf(state: KeyState, held: KeyVersion | undefined, said: ReplayedKey | undefined): Ended | undefined {
  const heard = [said?.ended, said?.state === state ? undefined : held?.ended];
  return heard.find((one) => one?.why === "compromised") ?? heard.find((one) => one !== undefined);
}

type Life = Pick<KeyVersion, "state" | "ended">;

/** Nothing signs before somebody has looked; and only a rotation makes a version after the first, which ends with it. */
function stopped(version: KeyVersion, at: string): Life {
  const { number, state, ended } = version;
  if (number > 1 && state === "PRE_ACTIVATION") return cancelledVersion({ number, state, ended }, { to: number }, at);
  return { state: state === "ACTIVE" ? "SUSPENDED" : state, ended };
}

/** What it signed stays verifiable, unless it was compromised. */
function dead({ state, ended }: KeyVersion, at: string): Life {
  const signed = state === "ACTIVE" || state === "SUSPENDED" || state === "DEACTIVATED";
  return { state: "DESTROYED", ended: ended ?? (signed ? { why: "deactivated", at } : undefined) };
}

/** States stand in the order of a key's life. */
const later = (a: KeyState, b: KeyState): KeyState => (keyStates.indexOf(a) > keyStates.indexOf(b) ? a : b);

/** The log that is replaced, as the first entry of the new one names it. */
export interface Replaced {
  readonly origin: string;
  /** The newest one known: a signed note. */
  readonly checkpoint: string;
}

/** The first entries of the new log, and the tables that they tell. The log must be empty. */
export async function adopt(
  { keys, people }: Adoption,
  replaces: Replaced,
  { version, vkey }: { readonly version: string; readonly vkey: string },
  journal: Pick<Journal, "append">,
): Promise<void> {
  await mustAppend(journal, [{ type: "daemon.start", version, vkey, replaces }], []);
  for (const person of people)
    await mustAppend(
      journal,
      [{ type: "operator.change", change: "adopted", operator: plain(person) }],
      [{ kind: "person", id: person.id, value: person, expects: 0 }],
    );
  for (const adopted of keys)
    await mustAppend(journal, entriesOf(adopted), [
      { kind: "key", id: adopted.key.name, value: adopted.key, expects: 0 },
    ]);
  await mustAppend(journal, [{ type: "daemon.stop" }], []);
}

const entriesOf = ({ key, from }: AdoptedKey): readonly EntryBody[] =>
  key.versions.map((version, i) => ({
    type: "key.adopt",
    key: key.name,
    version: version.number,
    purpose: version.purpose,
    algorithm: version.algorithm,
    custody: version.custody,
    uri: version.uri,
    publicKey: version.publicKey,
    createdAt: version.createdAt,
    protection: version.protection,
    guards: version.guards,
    ended: version.ended,
    from: from[i] ?? version.state,
    to: version.state,
  }));

const plain = ({ id, name, issuer, subject, roles }: Person): OperatorRecord => ({ id, name, issuer, subject, roles });

async function mustAppend(
  journal: Pick<Journal, "append">,
  bodies: readonly EntryBody[],
  puts: readonly Put[],
): Promise<void> {
  const last = bodies.at(-1);
  if (!last) return;
  const appended = await journal.append(undefined, () => last, { alongside: bodies.slice(0, -1), puts });
  if ("conflict" in appended) throw new Error(`a log that is being begun has one writer, yet: ${appended.conflict}`);
}
