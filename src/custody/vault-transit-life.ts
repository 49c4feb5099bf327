// How keys of transit come and go: made, rotated, destroyed. Each can be cut off anywhere and asked for again.

import { pathOf } from "../clients/vault.ts";
import type { KeyVersion } from "../model/key.ts";
import type { Custody, NewKey, Wanted } from "../ports/custody.ts";
import { rfc3339 } from "../std/clock.ts";
import { inTurns } from "./turns.ts";
import type { Engine, ExactUri } from "./vault-transit-engine.ts";
import {
  isTrimmed,
  madeAt,
  parseTransitUri,
  publicKeyOf,
  type TransitKey,
  transitAlgorithms,
  transitUri,
} from "./vault-transit-key.ts";

/** Milliseconds by which Vault's clock may be behind ours. */
const otherClock = 60_000;

/** Not as we make them: who may read the mount may have its private key, or others have had it before. */
const isOpen = (key: TransitKey): boolean =>
  key.exportable || key.allow_plaintext_backup || key.derived || key.imported_key;

/** What transit destroys is never taken back. */
interface Gone {
  readonly until?: undefined;
}

/** `prefix`: before the names of transit keys that are made here. */
export function transitLife(
  { mount, vault, fault, timeout, faultOf, exactly, keyAt }: Engine,
  prefix: string,
): Required<Pick<Custody, "create" | "destroy">> {
  /** One after the other, so that two who rotate at once get one version. */
  const alone = inTurns(1);

  const create = (wanted: Wanted, signal: AbortSignal): Promise<NewKey> =>
    alone(() => {
      if (signal.aborted) throw timeout(true);
      return wanted.after === undefined ? first(wanted, signal) : next(wanted, wanted.after, signal);
    });

  async function first(wanted: Wanted, signal: AbortSignal): Promise<NewKey> {
    const name = `${prefix}${wanted.key}${wanted.number === 1 ? "" : `.v${String(wanted.number)}`}`;
    let touched = false;
    try {
      let key = await keyAt(name, signal);
      if (key === undefined) {
        touched = true;
        const { type } = transitAlgorithms[wanted.algorithm];
        await vault.write(
          pathOf(mount, "keys", name),
          { type, exportable: false, allow_plaintext_backup: false },
          signal,
        );
        key = await keyAt(name, signal);
      }
      if (key && isOpen(key))
        throw fault(`${name} is there already, and exportable, imported or derived: it was not made here; enroll it`);
      return made(key, name, 1, wanted);
    } catch (cause) {
      throw faultOf(cause, touched);
    }
  }

  /** Vault cannot rotate on a condition, so we look before: a version that is there already is the one. */
  async function next(wanted: Wanted, after: string, signal: AbortSignal): Promise<NewKey> {
    const { name, version } = newestOfOurs(wanted, after);
    let touched = false;
    try {
      const before = await keyAt(name, signal);
      if (before === undefined || before.latest_version < version) throw fault(`there is no ${after} to come after`);
      if (isOpen(before))
        throw fault(`${name} is exportable, imported or derived: its next version would be too; name another by --to`);
      if (before.latest_version > version) {
        refuseOlder(before, name, version + 1, wanted);
        return made(before, name, version + 1, wanted);
      }
      made(before, name, version, wanted);
      touched = true;
      await vault.write(pathOf(mount, "keys", name, "rotate"), {}, signal);
      return made(await keyAt(name, signal), name, version + 1, wanted);
    } catch (cause) {
      throw faultOf(cause, touched);
    }
  }

  /** A rotation that was rolled back left a version behind, which comes after the one that signs and is never the next one. */
  function newestOfOurs({ ours = [], ...wanted }: Wanted, after: string): ExactUri {
    const at = exactly({ ...wanted, uri: after });
    const versions = ours.flatMap((uri) => {
      const one = parseTransitUri(uri, mount);
      return one?.mount === mount && one.name === at.name && one.version !== undefined ? [one.version] : [];
    });
    return { ...at, version: Math.max(at.version, ...versions) };
  }

  /** What stood there before anybody asked us for it was made by somebody else, for reasons of their own. */
  function refuseOlder(key: TransitKey, name: string, version: number, { since }: Wanted): void {
    const at = madeAt(key, version);
    if (since === undefined || (at !== undefined && at >= Date.parse(since) - otherClock)) return;
    const when = at === undefined ? "" : ` since ${rfc3339(at)}`;
    throw fault(
      `version ${String(version)} of ${name} is there already${when}, and was not made for this: name it by --to`,
    );
  }

  function made(key: TransitKey | undefined, name: string, version: number, wanted: Wanted): NewKey {
    if (key === undefined) throw fault(`${name} was made and is not there`, { nothingHappened: false });
    const { type } = transitAlgorithms[wanted.algorithm];
    if (key.type !== type) throw fault(`${name} is there already, of type ${key.type} and not ${type}`);
    const publicKey = publicKeyOf(key, version);
    if (publicKey === undefined) throw fault(`Vault shows no public key of version ${String(version)} of ${name}`);
    return { publicKey, uri: transitUri(mount, name, version, wanted.algorithm) };
  }

  /**
   * Transit forgets versions from the oldest on, for ever (trim), or the whole key. So the oldest that is left can be
   * destroyed, and the last one, with its key; one in the middle cannot, which is a Fault and not a promise.
   */
  const destroy = (version: KeyVersion, signal: AbortSignal): Promise<Gone> =>
    alone(async () => {
      const at = exactly(version);
      if (signal.aborted) throw timeout(true);
      let touched = false;
      const change = async (body: object, ...path: readonly string[]): Promise<void> => {
        touched = true;
        await vault.write(pathOf(mount, "keys", at.name, ...path), body, signal);
      };
      try {
        const key = await keyAt(at.name, signal);
        if (key === undefined || isTrimmed(key, at.version)) return {};
        const oldest = Math.max(1, key.min_available_version);
        if (at.version > key.latest_version) throw fault(`there is no ${version.uri}`);
        if (at.version !== oldest)
          throw fault(`transit forgets the oldest version first: destroy ${String(oldest)} of ${at.name} before`);
        if (key.latest_version === at.version) {
          if (!key.deletion_allowed) await change({ deletion_allowed: true }, "config");
          touched = true;
          await vault.remove(pathOf(mount, "keys", at.name), signal);
          return {};
        }
        const least = at.version + 1;
        const config = {
          min_decryption_version: Math.max(least, key.min_decryption_version),
          min_encryption_version: Math.max(least, key.min_encryption_version),
        };
        await change(config, "config");
        await change({ min_available_version: least }, "trim");
        return {};
      } catch (cause) {
        throw faultOf(cause, touched);
      }
    });

  return { create, destroy };
}
