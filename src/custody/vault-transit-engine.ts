// One mount of transit as a custody sees it: which keys are its own, what Vault tells of them, and how its failures are
// told. Every Fault names the custody; `nothingHappened` is said where it is proved and nowhere else.

import { pathOf, type Vault, VaultError } from "../clients/vault.ts";
import { Fault } from "../model/errors.ts";
import { type KeyVersion, versionId } from "../model/key.ts";
import { parseTransitKey, parseTransitUri, type TransitKey, type TransitUri } from "./vault-transit-key.ts";

export interface Engine {
  readonly mount: string;
  readonly vault: Vault;
  /** CUSTODY_DOWN, nothing happened, asking again does not help: unless `options` say otherwise. */
  readonly fault: (why: string, options?: Partial<FaultOptions>) => Fault;
  readonly timeout: (nothingHappened: boolean) => Fault;
  /** `touched`: Vault may have changed something before this went wrong. */
  readonly faultOf: (cause: unknown, touched?: boolean) => Fault;
  /** Throws Fault where the URI is none of this mount's. Nothing is asked. */
  readonly located: (uri: string, what: string) => TransitUri;
  /** The same, where it has to name a version. */
  readonly exactly: (version: Pick<KeyVersion, "key" | "number" | "uri">) => ExactUri;
  /** Undefined where Vault says that there is none. Throws VaultError, or Fault where the answer is not understood. */
  readonly keyAt: (name: string, signal: AbortSignal) => Promise<TransitKey | undefined>;
}

export type ExactUri = TransitUri & { readonly version: number };

export interface FaultOptions {
  readonly code: Fault["code"];
  readonly nothingHappened: boolean;
  readonly retryAfter: number | undefined;
  readonly cause: unknown;
}

/** `custody`: its name, as configured. */
export function engine(vault: Vault, mount: string, custody: string): Engine {
  const fault = (why: string, options: Partial<FaultOptions> = {}): Fault =>
    new Fault(options.code ?? "CUSTODY_DOWN", `custody ${custody}: ${why}`, {
      custody,
      nothingHappened: true,
      ...options,
    });
  const timeout = (nothingHappened: boolean): Fault =>
    fault("was not done in time", { code: "CUSTODY_TIMEOUT", nothingHappened, retryAfter: 2 });

  function faultOf(cause: unknown, touched = false): Fault {
    if (cause instanceof Fault)
      return touched && cause.nothingHappened ? fault(cause.message, { nothingHappened: false, cause }) : cause;
    if (!(cause instanceof VaultError)) return fault("failed", { nothingHappened: false, cause });
    const code = { late: "CUSTODY_TIMEOUT", throttled: "OVERLOADED" } as const;
    return fault(cause.message, {
      code: cause.trouble === "late" || cause.trouble === "throttled" ? code[cause.trouble] : "CUSTODY_DOWN",
      nothingHappened: cause.nothingHappened && !touched,
      retryAfter: cause.retryAfter,
      cause,
    });
  }

  function located(uri: string, what: string): TransitUri {
    const at = parseTransitUri(uri, mount);
    if (at === undefined) throw fault(`${what}: "${uri.slice(0, 200)}" is not hashivault://MOUNT/KEY?version=N`);
    if (at.mount !== mount) throw fault(`${what}: it is in mount ${at.mount}, this custody looks into ${mount}`);
    return at;
  }

  function exactly(version: Pick<KeyVersion, "key" | "number" | "uri">): ExactUri {
    const at = located(version.uri, versionId(version));
    if (at.version === undefined) throw fault(`${versionId(version)}: ${version.uri} names no version`);
    return { ...at, version: at.version };
  }

  async function keyAt(name: string, signal: AbortSignal): Promise<TransitKey | undefined> {
    try {
      return parsedKey(await vault.read(pathOf(mount, "keys", name), signal), name);
    } catch (error) {
      if (error instanceof VaultError && error.trouble === "missing") return undefined;
      throw error;
    }
  }

  function parsedKey(data: unknown, name: string): TransitKey {
    try {
      return parseTransitKey(data);
    } catch (cause) {
      throw fault(`Vault tells of key ${name} in a way that is not understood`, { cause });
    }
  }

  return { mount, vault, fault, timeout, faultOf, located, exactly, keyAt };
}
