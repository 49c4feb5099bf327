// The life of a key where it really lives: a real daemon and a real Vault, whose operator knows nothing of Signet.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/connect.ts";
import { until } from "../support/faults.ts";
import { bareHouse, expectDone, type House, statement } from "../support/house.ts";
import { lacks } from "../support/peers.ts";
import { devVault, type VaultServer } from "../support/vault.ts";
import { mount } from "../support/vault-transit.ts";

describe.skipIf(await lacks("vault"))("a key in Vault", () => {
  let vault: VaultServer;
  let home: House;
  let operator: Client;
  beforeAll(async () => {
    vault = await devVault({ mounts: [mount] });
    const config = `custodies:
  - kind: vault-transit
    address: ${vault.address}
    mount: ${mount}
    auth: { method: token, token: { file: vault.token } }
driftEvery: PT1S
`;
    home = await bareHouse({ config });
    writeFileSync(join(home.directory, "vault.token"), vault.rootToken(), { mode: 0o600 });
    await home.start();
    operator = await home.operator();
  }, 90_000);
  afterAll(async () => {
    await home[Symbol.asyncDispose]();
    await vault[Symbol.asyncDispose]();
  });

  const enroll = (name: string, uri: string) =>
    operator.ask("EnrollKey", { input: { name, uri, purpose: "ATTESTATION", custody: "vault-transit" } });
  const stateOf = async (name: string) => expectDone(await operator.ask("Key", { name }))?.versions.at(-1)?.state;

  test("comes in by its name, pinned to its version, with what Vault claims of it; and once", async () => {
    await vault.must("POST", `${mount}/keys/theirs`, { type: "ecdsa-p256" });
    const { key } = expectDone(await enroll("attest", `hashivault://${mount}/theirs`));
    const [version] = key.versions;
    expect(version).toMatchObject({ algorithm: "EC_P256", state: "PRE_ACTIVATION" });
    expect(version?.uri).toContain("version=1");
    expect(version?.protection).toMatchObject({ level: "SERVICE" });
    expect(version?.protection?.claimed.length).toBeGreaterThan(0);
    expect(await enroll("other", `hashivault://${mount}/theirs?version=1`)).toMatchObject({
      refusal: "ALREADY_EXISTS",
    });
    expect(await enroll("other", `hashivault://${mount}/nobody`)).toMatchObject({ refusal: "NOT_FOUND" });
  });

  test("signs for a job with the version that came in, also after Vault's operator rotated it", async () => {
    expectDone(await operator.ask("ActivateKey", { input: { key: "attest", reason: "for the test" } }));
    await vault.must("POST", `${mount}/keys/theirs/rotate`, {});
    const job = await home.job({ keys: ["attest"] });
    expectDone(await job.sign([statement()]));
  });

  test("that Vault's operator lets out is flagged, and one that is deleted is suspended", async () => {
    const findings = async (): Promise<readonly unknown[]> =>
      (await home.entries()).filter((one) => one["type"] === "key.drift").map((one) => one["finding"]);
    expect(await findings()).toEqual([]);
    await vault.must("POST", `${mount}/keys/theirs/config`, { exportable: true, deletion_allowed: true });
    await until("its guards are found changed", async () => (await findings()).includes("guards"));
    expect(await stateOf("attest")).toBe("ACTIVE");
    await vault.must("DELETE", `${mount}/keys/theirs`);
    await until("it is suspended", async () => (await stateOf("attest")) === "SUSPENDED");
    expect(await findings()).toEqual(["guards", "vanished"]);
  }, 60_000);
});
