// Where the demo's keys live when it is asked for another place than the daemon's own: a Vault that is started for it, or a
// SoftHSM token. Both are the servers and modules of the tests, and end with the demo.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { custodyYaml, softhsmToken } from "../support/pkcs11.ts";
import { devVault } from "../support/vault.ts";
import { appRole, mount } from "../support/vault-transit.ts";

export const demoCustodies = ["software", "vault", "pkcs11"] as const;
export type DemoCustody = (typeof demoCustodies)[number];

export interface Place extends AsyncDisposable {
  /** As the configuration calls it. */
  readonly custody: string;
  /** What the operator starts, in the first heading. */
  readonly words: string;
  /** Lines for the end of signet.yaml. */
  readonly config: string;
}

const nothing = { [Symbol.asyncDispose]: () => Promise.resolve() };

/** `folder`: where secrets that the configuration names may lie. */
export function placeOf(custody: DemoCustody, folder: string): Promise<Place> {
  switch (custody) {
    case "software":
      return Promise.resolve({ custody, words: "a software key sealed at rest", config: "", ...nothing });
    case "vault":
      return vault(folder);
    case "pkcs11":
      return pkcs11(folder);
  }
}

/** Signet logs in by AppRole, with the policy of docs/custody/vault-transit.md and nothing more. */
async function vault(folder: string): Promise<Place> {
  const server = await devVault({ mounts: [mount] });
  const { roleId, secretId } = await appRole(server);
  const auth = `{ method: approle, roleId: "${roleId}", secretId: { file: "${secretFile(folder, secretId)}" } }`;
  return {
    custody: "vault-transit",
    words: `keys in Vault's transit engine at ${server.address}`,
    config: `custodies:\n  - { kind: vault-transit, address: "${server.address}", mount: ${mount}, auth: ${auth} }\n`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function pkcs11(folder: string): Promise<Place> {
  const token = await softhsmToken("demo");
  return {
    custody: "pkcs11",
    words: `keys in the PKCS#11 token "${token.label}" of ${token.module}`,
    config: `custodies:\n${custodyYaml(token, `{ file: "${secretFile(folder, token.pin)}" }`)}`,
    [Symbol.asyncDispose]: () => token[Symbol.asyncDispose](),
  };
}

function secretFile(folder: string, secret: string): string {
  const file = join(folder, "custody-secret");
  writeFileSync(file, secret, { mode: 0o600 });
  return file;
}
