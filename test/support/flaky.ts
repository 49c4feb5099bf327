// A custody outside the process whose backend hangs and fails on command: for tests of what stands around custodies. It
// ignores its signal, as no custody should.

import { generateKeyPairSync, type KeyObject, sign as signWith } from "node:crypto";
import { z } from "zod";
import type { CustodyKind } from "../../src/custody/kind.ts";
import { Fault } from "../../src/model/errors.ts";
import type { Custody } from "../../src/ports/custody.ts";

/** `unknown`: the connection broke, nobody knows when. `gone`: it was refused. `unable`: not with this key. */
type Behaviour = "well" | "hangs" | "unknown" | "gone" | "unable";

/** One for all custodies of this kind in this process. */
export const backend: { does: Behaviour; asked: number; readonly keys: Map<string, KeyObject> } = {
  does: "well",
  asked: 0,
  keys: new Map(),
};

const config = z.strictObject({ kind: z.literal("flaky"), name: z.string().optional() });

class Flaky implements Custody {
  readonly kind = "flaky";
  readonly outside = true;
  readonly algorithms = ["EC_P256"] as const;
  readonly #name: string;
  constructor(name: string) {
    this.#name = name;
  }

  async sign(...[key, items]: Parameters<Custody["sign"]>): ReturnType<Custody["sign"]> {
    backend.asked += 1;
    await this.#trouble();
    const privateKey = backend.keys.get(key.uri);
    if (!privateKey) throw new Error(`the test made no key ${key.uri}`);
    return items.map((item) => signWith("sha256", item.bytes, privateKey));
  }

  create({ key, number }: { readonly key: string; readonly number: number }) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const uri = `flaky:${key}/${String(number)}`;
    backend.keys.set(uri, privateKey);
    return Promise.resolve({ publicKey: publicKey.export({ type: "spki", format: "pem" }).toString(), uri });
  }

  describe(
    uri: string,
    _signal: AbortSignal,
    known?: Parameters<Custody["describe"]>[2],
  ): ReturnType<Custody["describe"]> {
    if (!known) return Promise.resolve(undefined);
    const protection = { level: "SERVICE", exportable: "UNKNOWN", proved: [], claimed: [] } as const;
    return Promise.resolve({ uri, publicKey: known.publicKey, algorithm: "EC_P256", protection });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #trouble(): Promise<void> {
    const custody = this.#name;
    switch (backend.does) {
      case "well":
        return Promise.resolve();
      case "hangs":
        return new Promise(() => undefined);
      case "unknown":
        return Promise.reject(new Fault("CUSTODY_DOWN", "reset", { custody, retryAfter: 2 }));
      case "gone":
        return Promise.reject(new Fault("CUSTODY_DOWN", "refused", { custody, nothingHappened: true, retryAfter: 1 }));
      case "unable":
        return Promise.reject(new Fault("CUSTODY_DOWN", "no such key", { custody, nothingHappened: true }));
    }
  }
}

export const flakyKind: CustodyKind<"flaky", typeof config> = {
  kind: "flaky",
  config,
  open: (_config, { name }) => new Flaky(name),
};
