// A new log takes a damaged one's place. What comes along is what can be proved, and never more than it was: a use may
// be lost, none is gained. Keys that could sign come in suspended, so that somebody looks before they sign again.
//
// Three witnesses are heard: the old tables (edited by whoever could write the file), the old leaves as far as they can
// be told again, and the custody, which knows whether it holds the private key of a public key. Where the tables and the
// leaves both know a state, the later one in a key's life counts.

import type { EntryBody, OperatorRecord } from "../model/entry.ts";
import { type Key, type KeyState, type KeyVersion, keyStates, versionId } from "../model/key.ts";
import type { Person } from "../model/principal.ts";
import { identityDifference, personHolds, type Replayed } from "../model/replay.ts";
import { underWay } from "../model/rotation.ts";
import type { Put } from "../ports/log.ts";
import type { Journal } from "./journal.ts";

export interface OldHouse {
  readonly keys: readonly Key[];
  readonly people: readonly Person[];
  /** The leaves of the old log, told again as far as they can be read. */
  readonly said: Pick<Replayed, "keys" | "people">;
  /** Why a version's private key cannot come along, in words; undefined where it can. */
  readonly missing: (version: KeyVersion, told: boolean) => string | undefined;
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
  const keys = old.keys.flatMap((key) => adoptedKey(key, old, lost) ?? []);
  const people = old.people.filter((person) => {
    const holds = personHolds(person, old.said);
    if (!holds)
      lost.push(`operator ${person.name} (${person.issuer} ${person.subject}): the leaves do not tell of these roles`);
    return holds;
  });
  const told = new Set(old.keys.flatMap((key) => key.versions.map(versionId)));
  for (const name of old.said.keys.keys())
    if (!told.has(name)) lost.push(`key ${name}: it is in the log, but not in the tables that can be read`);
  const known = new Set(old.people.map(({ id }) => id));
  for (const [id, { name }] of old.said.people)
    if (!known.has(id)) lost.push(`operator ${name}: in the log, but not in the tables that can be read`);
  return { keys, people, lost };
}

function adoptedKey(key: Key, old: OldHouse, lost: string[]): AdoptedKey | undefined {
  const versions: KeyVersion[] = [];
  const from: KeyState[] = [];
  for (const version of key.versions) {
    const said = old.said.keys.get(versionId(version));
    const wrong =
      version.key !== key.name || version.purpose !== key.purpose
        ? "is not of the key that it stands under"
        : ((said && identityDifference(version, said)) ?? old.missing(version, said !== undefined));
    if (wrong !== undefined) {
      lost.push(`key ${versionId(version)} ${wrong}`);
      continue;
    }
    const before = said ? later(said.state, version.state) : version.state;
    versions.push({ ...version, state: before === "ACTIVE" ? "SUSPENDED" : before });
    from.push(before);
  }
  const { rotation, ...rest } = key;
  if (underWay({ rotation }))
    lost.push(`the rotation of key ${key.name} that was under way: begin another one, under the new log`);
  return versions.length === 0 ? undefined : { key: { ...rest, versions }, from };
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
