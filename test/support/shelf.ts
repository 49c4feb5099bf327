// A custody that stands where tests can reach it: keys in files of a directory, one JSON each, which a test changes as
// an intruder, a careless colleague or a failing backend would. It is registered in a real daemon by shelf-registered.ts.

import { createPrivateKey, createPublicKey, generateKeyPairSync, sign as signWith } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import { type CustodyKind, named } from "../../src/custody/kind.ts";
import { signDigest } from "../../src/custody/software-digest.ts";
import { Fault } from "../../src/model/errors.ts";
import { hashOf, type KeyAlgorithm, type KeyVersion } from "../../src/model/key.ts";
import type { Custody, KeyDescription, ToBeSigned } from "../../src/ports/custody.ts";

export interface Shelved {
  readonly algorithm: KeyAlgorithm;
  /** PKCS#8, PEM. */
  readonly privateKey: string;
  /** SPKI, PEM, where it tells of another one than it has. */
  readonly says?: string;
  readonly trouble?: string;
  readonly guards?: string;
  readonly claimed?: readonly string[];
  /** Milliseconds since the epoch: no signature is done before, and all that were asked for are done at that moment. */
  readonly notBefore?: number;
  /** Days to signatures. */
  readonly uses?: Readonly<Record<string, number>>;
}

/** Options of node for a daemon that knows the shelf, and the lines of its configuration. */
export const shelfRun = { node: ["--import", join(import.meta.dirname, "shelf-registered.ts")] } as const;
export const shelfConfig = "custodies:\n  - { kind: software }\n  - { kind: shelf, directory: shelf }\n";

export interface Shelf {
  put(name: string, key: Shelved): void;
  alias(name: string, to: string): void;
  take(name: string): void;
  holds(name: string): boolean;
  read(name: string): Shelved;
  /** Away, or there again. */
  away(isAway: boolean): void;
}

/** In the directory of a daemon. */
export function shelfIn(folder: string): Shelf {
  const directory = join(folder, "shelf");
  mkdirSync(directory, { recursive: true });
  const file = (name: string): string => join(directory, `${name}.json`);
  return {
    put: (name, key) => {
      writeFileSync(file(name), JSON.stringify(key));
    },
    alias: (name, to) => {
      writeFileSync(file(name), JSON.stringify({ alias: to }));
    },
    take: (name) => {
      rmSync(file(name));
    },
    holds: (name) => existsSync(file(name)),
    read: (name) => JSON.parse(readFileSync(file(name), "utf8")) as Shelved, // what `put` wrote
    away: (isAway) => {
      if (isAway) writeFileSync(join(directory, "away"), "");
      else rmSync(join(directory, "away"), { force: true });
    },
  };
}

const curves = { EC_P256: "P-256", EC_P384: "P-384" } as const;

export function shelved(algorithm: KeyAlgorithm = "EC_P256", more: Partial<Shelved> = {}): Shelved {
  const format = { type: "pkcs8", format: "pem" } as const;
  return { algorithm, privateKey: fresh(algorithm).export(format).toString(), ...more };
}

function fresh(algorithm: KeyAlgorithm) {
  switch (algorithm) {
    case "EC_P256":
    case "EC_P384":
      return generateKeyPairSync("ec", { namedCurve: curves[algorithm] }).privateKey;
    case "ED25519":
      return generateKeyPairSync("ed25519").privateKey;
    case "RSA_3072":
    case "RSA_3072_PSS":
      return generateKeyPairSync("rsa", { modulusLength: 3072 }).privateKey;
    case "RSA_4096":
    case "RSA_4096_PSS":
      return generateKeyPairSync("rsa", { modulusLength: 4096 }).privateKey;
  }
}

const config = z.strictObject({ kind: z.literal("shelf"), ...named, directory: z.string() });

export const shelfKind: CustodyKind<"shelf", typeof config> = {
  kind: "shelf",
  config,
  open: ({ directory }) => shelfCustody(directory),
};

export function shelfCustody(directory: string): Custody {
  const known = (uri: string): { readonly name: string; readonly key: Shelved } | undefined => {
    if (existsSync(join(directory, "away")))
      throw new Fault("CUSTODY_DOWN", "nobody is at the shelf", {
        nothingHappened: true,
        retryAfter: 5,
        custody: "shelf",
      });
    const [, name = ""] = /^shelf:([a-z0-9-]+)$/.exec(uri) ?? [];
    const file = join(directory, `${name}.json`);
    if (!existsSync(file)) return undefined;
    const found = JSON.parse(readFileSync(file, "utf8")) as Shelved | { readonly alias: string };
    return "alias" in found ? known(`shelf:${found.alias}`) : { name, key: found };
  };
  const asked = <T>(work: () => T | Promise<T>): Promise<T> => Promise.resolve().then(work);

  return {
    kind: "shelf",
    outside: true,
    algorithms: ["EC_P256", "EC_P384", "ED25519", "RSA_3072"],
    sign: (version, items) =>
      asked(async () => {
        const found = known(version.uri);
        if (!found) throw new Fault("CUSTODY_DOWN", "no such key", { nothingHappened: true, custody: "shelf" });
        const wait = (found.key.notBefore ?? 0) - Date.now();
        if (wait > 0) await setTimeout(wait);
        return items.map((item) => signed(version, item, found.key));
      }),
    describe: (uri) =>
      asked((): KeyDescription | undefined => {
        const found = known(uri);
        if (!found) return undefined;
        const { algorithm, privateKey, says, trouble, guards, claimed = [] } = found.key;
        const publicKey = says ?? createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString();
        const protection = { level: "SERVICE", exportable: "UNKNOWN", proved: [], claimed } as const;
        return { publicKey, uri: `shelf:${found.name}`, algorithm, protection, trouble, guards };
      }),
    destroy: (version) =>
      asked(() => {
        const found = known(version.uri);
        if (found) rmSync(join(directory, `${found.name}.json`));
        return { until: "2030-01-01T00:00:00.000Z" };
      }),
    uses: (version, { from, to }) =>
      asked(() =>
        Object.entries(known(version.uri)?.key.uses ?? {})
          .filter(([day]) => day >= from && day < to)
          .map(([day, signatures]) => ({ day, signatures })),
      ),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function signed({ algorithm }: KeyVersion, item: ToBeSigned, { privateKey }: Shelved): Uint8Array {
  const key = createPrivateKey(privateKey);
  if (item.form === "message") return signWith(hashOf(algorithm) ?? null, item.bytes, key);
  if (algorithm !== "EC_P256" && algorithm !== "EC_P384" && algorithm !== "RSA_3072")
    throw new Fault("CUSTODY_DOWN", "no digests", { nothingHappened: true, custody: "shelf" });
  return signDigest(algorithm, item.bytes, key);
}
