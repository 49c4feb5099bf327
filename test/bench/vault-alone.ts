// A Vault as a broker would stand in front of it, and Vault alone under wrk: message form, a token of the policy that
// docs/custody/vault-transit.md gives, the file audit device on. Its answers are sampled and verified, and every request
// must stand in its audit file: a row of refused requests is no row.

import { createPublicKey, verify } from "node:crypto";
import { createReadStream, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { devVault, type VaultServer } from "../support/vault.ts";
import { mount, policyFromPage } from "../support/vault-transit.ts";
import { load, type Prepared } from "./load.ts";
import { serialOf, serialPlace } from "./requests.ts";
import { type Asked, mustBeBusy, type Numbers, numbersOf, temporary, warmUp } from "./scenario.ts";

export interface AuditedVault extends AsyncDisposable {
  readonly server: VaultServer;
  /** Of the least policy that signs and makes keys. */
  readonly token: string;
  /** Holds it, for a daemon's configuration. */
  readonly tokenFile: string;
}

const key = "alone";

export async function auditedVault(): Promise<AuditedVault> {
  const server = await devVault({ mounts: [mount] });
  await server.audit();
  await server.policy("signet", policyFromPage());
  const token = await server.token(["signet"]);
  const tokenFile = join(server.folder, "token");
  writeFileSync(tokenFile, token, { mode: 0o600 });
  await server.must("POST", `${mount}/keys/${key}`, { type: "ecdsa-p256" });
  return { server, token, tokenFile, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Bytes of a message: as long as the envelope of the statement that Signet's rows sign. */
const messageLength = 2048;

export interface VaultPlan {
  readonly items: number;
  /** More requests than any machine answers in a second. */
  readonly most: number;
  /** 64 where absent. */
  readonly connections?: number;
  /** Whether the row counts only where Vault was busy. */
  readonly reference: boolean;
}

/** Throws where the row would not be true. */
export async function vaultAlone(
  name: string,
  plan: VaultPlan,
  { server, token }: AuditedVault,
  asked: Asked,
): Promise<Numbers> {
  using folder = temporary();
  const template = bodyOf(plan.items);
  const requests = (seconds: number, from: number): Prepared => ({
    head: `POST /v1/${mount}/sign/${key} HTTP/1.1\r\nHost: ${new URL(server.address).host}\r\nX-Vault-Token: ${token}\r\nContent-Type: application/json\r\n`,
    body: template.replaceAll(serialPlace, "\u0001"),
    lines: Array.from({ length: seconds * plan.most }, (_, index) => serialOf(from + index)),
  });
  await load(server.address, requests(warmUp(asked), 0), warmUp(asked), server.pid(), folder.path, plan.connections);
  truncateSync(server.auditFile);
  const prepared = requests(asked.seconds, 2 ** 32);
  const measured = await load(server.address, prepared, asked.seconds, server.pid(), folder.path, plan.connections);
  if (plan.reference) mustBeBusy(name, measured, 0, asked);
  const audited = await answersIn(server.auditFile);
  if (audited < measured.requests)
    throw new Error(
      `${name}: wrk heard ${String(measured.requests)} answers, Vault's audit file has ${String(audited)}`,
    );
  const verified = await sample(server, token, template, plan.items);
  truncateSync(server.auditFile);
  asked.tell(
    `${name}: ${String(measured.requests)} requests answered and audited, ${String(verified)} signatures verify`,
  );
  return numbersOf(measured, server.pid(), { perRequest: plan.items });
}

/** No two inputs are alike: the serial stands in the base64, at a place where it is 12 bytes of the message. */
function bodyOf(items: number): string {
  const one = (index: number) => {
    const text = Buffer.alloc(messageLength, `item ${String(index)} `).toString("base64");
    return { input: `${text.slice(0, 1360)}${serialPlace}${text.slice(1376)}` };
  };
  const inputs = Array.from({ length: items }, (_, index) => one(index));
  return JSON.stringify({
    ...(inputs.length === 1 ? inputs[0] : { batch_input: inputs }),
    hash_algorithm: "sha2-256",
    marshaling_algorithm: "asn1",
  });
}

async function answersIn(file: string): Promise<number> {
  let [found, rest] = [0, ""];
  for await (const chunk of createReadStream(file, "latin1")) {
    const text = rest + String(chunk);
    found += text.split('"type":"response"').length - 1;
    rest = text.slice(-'"type":"response"'.length + 1);
  }
  return found;
}

const signed = z.object({
  data: z.object({
    signature: z.string().optional(),
    batch_results: z.array(z.object({ signature: z.string() })).optional(),
  }),
});
const described = z.object({ data: z.object({ keys: z.object({ 1: z.object({ public_key: z.string() }) }) }) });
const asks = z.object({
  input: z.string().optional(),
  batch_input: z.array(z.object({ input: z.string() })).optional(),
});

/** The same requests, asked by hand: their signatures verify. */
async function sample(server: VaultServer, token: string, template: string, items: number): Promise<number> {
  const publicKey = createPublicKey(
    described.parse(await server.must("GET", `${mount}/keys/${key}`)).data.keys[1].public_key,
  );
  let verified = 0;
  for (let serial = 0; serial < Math.max(1, Math.ceil(100 / items)); serial += 1) {
    const body = asks.parse(JSON.parse(template.replaceAll(serialPlace, serialOf(serial))));
    const { data } = signed.parse(
      await server.must(
        "POST",
        `${mount}/sign/${key}`,
        { ...body, hash_algorithm: "sha2-256", marshaling_algorithm: "asn1" },
        token,
      ),
    );
    const inputs = body.batch_input?.map(({ input }) => input) ?? [body.input ?? ""];
    const signatures = data.batch_results?.map(({ signature }) => signature) ?? [data.signature ?? ""];
    for (const [index, input] of inputs.entries()) {
      const bytes = Buffer.from((signatures[index] ?? "").replace(/^vault:v1:/, ""), "base64");
      if (!verify("sha256", Buffer.from(input, "base64"), publicKey, bytes))
        throw new Error(`Vault's signature ${String(index)} does not verify`);
      verified += 1;
    }
  }
  return verified;
}
