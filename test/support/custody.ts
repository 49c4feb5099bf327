// A custody of every kind, opened as a test needs it: its own throw-away backend, nothing shared between two.

import { randomBytes } from "node:crypto";

import type { CustodyMeans, custodies } from "../../src/custody/index.ts";
import { software } from "../../src/custody/software.ts";
import { type KeyAlgorithm, keyAlgorithms } from "../../src/model/key.ts";
import type { Custody } from "../../src/ports/custody.ts";
import type { SealedKeys } from "../../src/ports/sealed-keys.ts";
import { systemRandom } from "../../src/std/clock.ts";
import { Secret } from "../../src/std/secret.ts";
import type { PeerName } from "../peers/catalog.ts";
import { kmsAccount, kmsCustody, kmsRegion, startKms } from "./kms.ts";
import { pkcs11Fixture } from "./pkcs11.ts";
import { vaultTransitFixture } from "./vault-transit.ts";

export type CustodyKindName = (typeof custodies)[number]["kind"];

export interface CustodyFixture {
  readonly kind: CustodyKindName;
  /** What it holds with this backend, and what it cannot: said here so that no test begins for nothing. */
  readonly algorithms: readonly KeyAlgorithm[];
  /** Algorithms with which it takes short messages only. */
  readonly short: readonly KeyAlgorithm[];
  /** Programs of other people that its backend is made of. */
  readonly needs: readonly PeerName[];
  /** A fresh backend; `again` opens the same one once more, as a daemon does that starts again. */
  open(): Promise<{
    readonly custody: Custody;
    readonly again: () => Custody;
    /** A well-formed URI under which the backend holds nothing; where absent, it knows keys by their names. */
    readonly nowhere?: string;
    /** Ends the backend. */
    readonly close?: () => Promise<void>;
  }>;
}

/** One row per kind: the contract fails for a registered kind that has none. */
export const custodyFixtures: Readonly<Record<CustodyKindName, CustodyFixture>> = {
  software: {
    kind: "software",
    algorithms: keyAlgorithms,
    short: [],
    needs: [],
    open: () => {
      const means = softwareMeans();
      const again = () => software(means);
      return Promise.resolve({ custody: again(), again });
    },
  },
  "aws-kms": {
    kind: "aws-kms",
    algorithms: keyAlgorithms,
    short: ["ED25519"],
    needs: ["ministack"],
    open: async () => {
      const server = await startKms();
      const again = () => kmsCustody(server.url);
      const nowhere = `awskms:///arn:aws:kms:${kmsRegion}:${kmsAccount}:key/00000000-0000-4000-8000-000000000000`;
      return { custody: again(), again, nowhere, close: async () => server[Symbol.asyncDispose]() };
    },
  },
  pkcs11: pkcs11Fixture,
  "vault-transit": vaultTransitFixture,
};

export interface SoftwareMeans {
  readonly sealedKeys: SealedKeysInMemory;
  readonly masterKey: Secret;
  readonly random: CustodyMeans["random"];
}

export const softwareMeans = (): SoftwareMeans => ({
  sealedKeys: sealedKeysInMemory(),
  masterKey: new Secret(randomBytes(32)),
  random: systemRandom,
});

export interface SealedKeysInMemory extends SealedKeys {
  /** By `name/number`: what an attacker who writes the database can change. */
  readonly rows: Map<string, Uint8Array>;
}

export function sealedKeysInMemory(): SealedKeysInMemory {
  const rows = new Map<string, Uint8Array>();
  return {
    rows,
    find: (key, number) => Promise.resolve(rows.get(`${key}/${String(number)}`)),
    keep: (key, number, sealed) => {
      const id = `${key}/${String(number)}`;
      if (rows.has(id)) return Promise.resolve(false);
      rows.set(id, sealed);
      return Promise.resolve(true);
    },
    remove: (key, number) => Promise.resolve(rows.delete(`${key}/${String(number)}`)),
  };
}
