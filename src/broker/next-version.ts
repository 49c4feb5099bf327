// The next version of a key, from its custody: made there, or an existing key taken in, and in both cases proved to sign.
// What cannot sign is not published: it would fail at the switch.

import { Fault } from "../model/errors.ts";
import type { Key, KeyVersion, Rotation } from "../model/key.ts";
import type { Custody, KeyDescription } from "../ports/custody.ts";
import { rfc3339 } from "../std/clock.ts";
import { askCustody, describeMade, publicKeyOf } from "./incoming-key.ts";
import type { Parts } from "./parts.ts";
import { type Possession, provePossession } from "./possession.ts";

type Incoming =
  | {
      readonly version: KeyVersion;
      readonly description: KeyDescription;
      readonly possession: Extract<Possession, { readonly blobs: unknown }>;
    }
  | { readonly fault: Fault; readonly result: "failed" | "unknown" | "withheld" };

/** Never throws. `old`: the version of `key` to rotate from. */
export async function nextVersion(
  { versions }: Pick<Key, "versions">,
  old: KeyVersion,
  rotation: Rotation,
  parts: Pick<Parts, "custodies" | "clock" | "random">,
): Promise<Incoming> {
  const custody = parts.custodies.get(rotation.custody);
  if (!custody) return ending(fault(rotation, `no custody "${rotation.custody}" is configured`));
  const createdAt = rfc3339(parts.clock());
  const found = rotation.existing
    ? await existing(custody, rotation, rotation.existing)
    : await made(custody, versions, old, rotation, createdAt);
  if (found instanceof Fault) return ending(found);
  const version = versionOf(old, rotation, found, createdAt);
  if (!version) return ending(fault(rotation, `${rotation.custody} gave a key that is no ${old.algorithm}`));
  const possession = await provePossession(custody, version, parts.random);
  return "fault" in possession ? possession : { version, description: found, possession };
}

const ending = (one: Fault): Incoming => ({ fault: one, result: one.nothingHappened ? "failed" : "unknown" });

const fault = ({ custody }: Pick<Rotation, "custody">, message: string, nothingHappened = true): Fault =>
  new Fault("CUSTODY_DOWN", message, { custody, nothingHappened });

async function made(
  custody: Custody,
  versions: readonly KeyVersion[],
  old: KeyVersion,
  rotation: Rotation,
  createdAt: string,
): Promise<KeyDescription | Fault> {
  const { key, purpose, algorithm } = old;
  const wanted = { key, number: rotation.to, purpose, algorithm, since: rotation.begunAt };
  const ours = versions.filter((one) => one.custody === rotation.custody).map(({ uri }) => uri);
  const after = rotation.custody === old.custody ? { after: old.uri, ours } : {};
  const fresh = await askCustody(rotation.custody, (signal) => {
    if (!custody.create) throw fault(rotation, `custody "${rotation.custody}" cannot make keys`);
    return custody.create({ ...wanted, ...after }, signal);
  });
  if (fresh instanceof Fault) return fresh;
  const draft = versionOf(old, rotation, { ...fresh, algorithm }, createdAt);
  if (!draft) return fault(rotation, `${rotation.custody} made a key that is no ${algorithm}`, false);
  return describeMade(custody, draft);
}

async function existing(
  custody: Custody,
  rotation: Rotation,
  { uri, fingerprint }: NonNullable<Rotation["existing"]>,
): Promise<KeyDescription | Fault> {
  const found = await askCustody(rotation.custody, (signal) => custody.describe(uri, signal));
  if (found instanceof Fault) return found;
  if (found === undefined) return fault(rotation, `${rotation.custody} has no key ${uri} any more`);
  if (found.trouble !== undefined) return fault(rotation, `${rotation.custody} would not sign: ${found.trouble}`);
  return publicKeyOf(found.algorithm, found.publicKey)?.fingerprint === fingerprint
    ? found
    : fault(rotation, `${uri} has another public key than when the rotation was asked for`);
}

function versionOf(
  { key, purpose, algorithm }: KeyVersion,
  { custody, to }: Rotation,
  found: Pick<KeyDescription, "algorithm" | "publicKey" | "uri"> & Partial<KeyDescription>,
  createdAt: string,
): KeyVersion | undefined {
  const publicKey = found.algorithm === algorithm ? publicKeyOf(algorithm, found.publicKey) : undefined;
  if (!publicKey) return undefined;
  const { uri, protection, guards } = found;
  const place = { key, number: to, purpose, algorithm, state: "PRE_ACTIVATION" as const, custody, uri };
  return { ...place, ...publicKey, createdAt, protection, guards };
}
