// A custody in memory that holds P-256 keys by URI, for tests that want a log and a custody but no server.

import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { Fault } from "../../src/model/errors.ts";
import type { Custody } from "../../src/ports/custody.ts";

export function pemOf(key: KeyObject | undefined): string {
  if (!key) throw new Error("no such key");
  return createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
}

export function toldCustody(keys: Map<string, KeyObject>): Custody {
  return {
    kind: "told",
    outside: true,
    algorithms: ["EC_P256"],
    sign: ({ uri }, items) => {
      const found = keys.get(uri);
      if (!found) return Promise.reject(new Fault("CUSTODY_DOWN", "no such key", { nothingHappened: true }));
      return Promise.resolve(items.map(({ bytes }) => sign("sha256", bytes, found)));
    },
    describe: (uri) => {
      const found = keys.get(uri);
      const protection = { level: "SERVICE", exportable: "UNKNOWN", proved: [], claimed: [] } as const;
      return Promise.resolve(found && { publicKey: pemOf(found), uri, algorithm: "EC_P256", protection });
    },
    create: ({ key, number }) => {
      const uri = `told:${key}/${String(number)}`;
      const made = keys.get(uri) ?? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
      keys.set(uri, made);
      return Promise.resolve({ publicKey: pemOf(made), uri });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
