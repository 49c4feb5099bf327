// AWS KMS to test against: ministack, on a port of its own, empty. It signs, has states and aliases, and with `auth`
// checks signatures of requests and IAM's policies. Never trust its signatures: what it answers is verified by others.
//
// It is not AWS. It knows no quotas, never delays or cuts (test/support/fault-proxy.ts does), takes messages of any
// length, and does not heed key policies.

import { spawn } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { KMSClient } from "@aws-sdk/client-kms";

import { awsKmsKind } from "../../src/custody/aws-kms.ts";
import type { CustodyMeans } from "../../src/custody/index.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { Secret } from "../../src/std/secret.ts";
import { peer } from "./peers.ts";
import { freePort } from "./port.ts";

export const kmsRegion = "eu-central-1";
export const kmsAccount = "000000000000";

export interface KmsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}
/** May do everything, also with `auth`. */
export const kmsRoot: KmsCredentials = { accessKeyId: "test", secretAccessKey: "test" };

export interface KmsServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** The operator's own client, past Signet. */
  readonly client: KMSClient;
  /** A user of IAM with this one policy; a second call with the same name replaces the policy. Only with `auth`. */
  user(name: string, policy: unknown): Promise<KmsCredentials>;
}

export async function startKms({ auth = false }: { readonly auth?: boolean } = {}): Promise<KmsServer> {
  const program = await peer("ministack");
  const folder = mkdtempSync(join(tmpdir(), "ministack-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${String(port)}`;
  const child = spawn(program, [], {
    cwd: folder,
    env: {
      ...process.env,
      TMPDIR: folder, // it leaves a file with its pid there
      IOT_MTLS_ENABLED: "0", // would listen to everybody
      SFTP_ENABLED: "0",
      BIND_HOST: "127.0.0.1",
      GATEWAY_PORT: String(port),
      ...(auth ? { AUTH: "true" } : {}),
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let talk = "";
  const hear = (chunk: Buffer): void => {
    talk = `${talk}${chunk.toString()}`.slice(-4000);
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const ended = once(child, "close");
  const client = new KMSClient({ endpoint: url, region: kmsRegion, credentials: kmsRoot });
  const stop = async (): Promise<void> => {
    client.destroy();
    child.kill("SIGTERM");
    await Promise.race([ended, sleep(3000, undefined, { ref: false })]);
    child.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  if (!(await Promise.race([ready(url), ended.then(() => false)]))) {
    await stop();
    throw new Error(`ministack did not answer on port ${String(port)}: ${talk}`);
  }
  const secrets = new Map<string, KmsCredentials>();
  return {
    url,
    client,
    async user(name, policy) {
      const known = secrets.get(name) ?? (await newUser(url, name));
      secrets.set(name, known);
      await iam(url, {
        Action: "PutUserPolicy",
        UserName: name,
        PolicyName: "only",
        PolicyDocument: JSON.stringify(policy),
      });
      return known;
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** 20 seconds at most. */
async function ready(url: string): Promise<boolean> {
  for (let tries = 0; tries < 200; tries += 1) {
    const answer = await fetch(`${url}/_ministack/ready`).catch(() => undefined);
    if (answer?.ok === true) return true;
    await sleep(100);
  }
  return false;
}

async function newUser(url: string, name: string): Promise<KmsCredentials> {
  await iam(url, { Action: "CreateUser", UserName: name });
  const answer = await iam(url, { Action: "CreateAccessKey", UserName: name });
  const [, accessKeyId] = /<AccessKeyId>([^<]+)</.exec(answer) ?? [];
  const [, secretAccessKey] = /<SecretAccessKey>([^<]+)</.exec(answer) ?? [];
  if (accessKeyId === undefined || secretAccessKey === undefined) throw new Error(`no access key: ${answer}`);
  return { accessKeyId, secretAccessKey };
}

/** IAM's Query API as root, with Signature Version 4 by hand: its client is no dependency of ours. */
async function iam(url: string, parameters: Readonly<Record<string, string>>): Promise<string> {
  const body = new URLSearchParams({ ...parameters, Version: "2010-05-08" }).toString();
  const { host } = new URL(url);
  const at = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const scope = `${at.slice(0, 8)}/us-east-1/iam/aws4_request`;
  const type = "application/x-www-form-urlencoded";
  const signed = "content-type;host;x-amz-date";
  const request = `POST\n/\n\ncontent-type:${type}\nhost:${host}\nx-amz-date:${at}\n\n${signed}\n${sha256(body)}`;
  const key = scope.split("/").reduce<Buffer | string>((by, part) => hmac(by, part), `AWS4${kmsRoot.secretAccessKey}`);
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${at}\n${scope}\n${sha256(request)}`).toString("hex");
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": type,
      "x-amz-date": at,
      authorization: `AWS4-HMAC-SHA256 Credential=${kmsRoot.accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`,
    },
    body,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`IAM ${String(parameters["Action"])}: ${String(answer.status)} ${text}`);
  return text;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: Buffer | string, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** The custody of a server, as a daemon opens it. */
export function kmsCustody(
  url: string,
  {
    credentials = kmsRoot,
    log = quiet,
    ...more
  }: Readonly<Record<string, unknown>> & {
    readonly credentials?: KmsCredentials;
    readonly log?: CustodyMeans["log"];
  } = {},
): Custody {
  const config = awsKmsKind.config.parse({
    kind: "aws-kms",
    region: kmsRegion,
    endpoint: url,
    credentials: { accessKeyId: { env: "accessKeyId" }, secretAccessKey: { env: "secretAccessKey" } },
    requestsPerSecond: 2000,
    ...more,
  });
  const secret: CustodyMeans["secret"] = (reference) => {
    const name = "env" in reference ? reference.env : "";
    return new Secret(Buffer.from(name === "accessKeyId" ? credentials.accessKeyId : credentials.secretAccessKey));
  };
  return awsKmsKind.open(config, {
    name: "kms",
    clock: systemClock,
    log,
    sealedKeys: { find: none, keep: none, remove: none },
    random: systemRandom,
    masterKey: new Secret(Buffer.alloc(32)),
    secret,
  });
}

const none = () => Promise.reject(new Error("this custody seals no keys"));
const quiet: CustodyMeans["log"] = { info: () => undefined, warn: () => undefined, error: () => undefined };
