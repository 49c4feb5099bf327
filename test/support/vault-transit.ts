// The custody vault-transit on a real Vault, under exactly the policy that its page tells operators to paste.

import { join } from "node:path";

import { openVaultTransit, type VaultTransit, type VaultTransitConfig } from "../../src/custody/vault-transit.ts";
import { keyAlgorithms } from "../../src/model/key.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { Secret } from "../../src/std/secret.ts";
import { blocksOf } from "../docs/blocks.ts";
import type { CustodyFixture } from "./custody.ts";
import { devVault, type VaultServer } from "./vault.ts";

/** The mount of the page's policies. */
export const mount = "signet";

const page = join(import.meta.dirname, "../../docs/custody/vault-transit.md");

/** The page's blocks `hcl policy`, or `hcl policy: …` by the words after it. */
export function policyFromPage(mark = "policy"): string {
  const found = blocksOf(page).find((block) => block.language === "hcl" && block.mark === mark);
  if (found === undefined) throw new Error(`docs/custody/vault-transit.md has no block "hcl ${mark}"`);
  return found.text;
}

export interface Role {
  readonly roleId: string;
  readonly secretId: string;
}

/** AppRole `signet` with the page's policy, or with what `fields` say instead. */
export async function appRole(server: VaultServer, fields: object = {}, policy = policyFromPage()): Promise<Role> {
  await server.policy("signet", policy);
  await server.api("POST", "sys/auth/approle", { type: "approle" });
  await server.must("POST", "auth/approle/role/signet", {
    token_policies: ["signet"],
    token_ttl: "1h",
    token_max_ttl: "24h",
    ...fields,
  });
  const roleId = field(await server.must("GET", "auth/approle/role/signet/role-id"), "role_id");
  const secretId = field(await server.must("POST", "auth/approle/role/signet/secret-id", {}), "secret_id");
  return { roleId, secretId };
}

/** A string in the answer's data. */
export function field(answer: unknown, name: string): string {
  const { data } = answer as { readonly data: Readonly<Record<string, unknown>> }; // as Vault answers
  return String(data[name]);
}

/** The custody as a daemon opens it; secrets are given as `{ file: VALUE }`, the value itself. */
export function openCustody(
  given: Omit<VaultTransitConfig, "kind" | "mount">,
  warn: (fields: object, message: string) => void = () => undefined,
): VaultTransit {
  return openVaultTransit(
    { kind: "vault-transit", mount, ...given },
    {
      name: given.name ?? "vault-transit",
      clock: systemClock,
      random: systemRandom,
      log: {
        ...silent,
        warn: (fields: object, message?: string) => {
          warn(fields, message ?? "");
        },
      },
      secret: (reference) => {
        if (!("file" in reference)) throw new Error("a test gives its secrets as file");
        return new Secret(Buffer.from(reference.file));
      },
    },
  );
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

export const approle = ({ roleId, secretId }: Role): VaultTransitConfig["auth"] => ({
  method: "approle",
  roleId,
  secretId: { file: secretId },
});

export const vaultTransitFixture: CustodyFixture = {
  kind: "vault-transit",
  algorithms: keyAlgorithms,
  short: [],
  needs: ["vault"],
  async open() {
    const server = await devVault({ mounts: [mount] });
    await server.policy("signet-destroying", policyFromPage("policy: destroying"));
    const role = await appRole(server, { token_policies: ["signet", "signet-destroying"] });
    const again = () => openCustody({ address: server.address, auth: approle(role) });
    const nowhere = `hashivault://${mount}/nobody?version=1`;
    const close = async (): Promise<void> => {
      await server[Symbol.asyncDispose]();
    };
    return { custody: again(), again, nowhere, close };
  },
};
