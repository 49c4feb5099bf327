// A signed file, its bundle and its receipt, made as the daemon makes them, in a log that lives in memory.

import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

import { dsseBundle, messageBundle } from "../../src/formats/bundle.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { sha256, sha256Hex } from "../../src/std/digest.ts";
import { canonicalJson, type JsonObject } from "../../src/std/json.ts";
import { signCheckpoint } from "../../src/tlog/checkpoint.ts";
import { proverFor } from "../../src/tlog/merkle.ts";
import { formatReceipt } from "../../src/tlog/proof.ts";
import { formatVkey } from "../../src/tlog/vkey.ts";
import { logOf, logSigner, origin } from "../tlog/log.ts";

export const vkey = formatVkey(logSigner.vkey);

export interface TestKey {
  readonly privateKey: KeyObject;
  readonly pem: string;
  readonly fingerprint: string;
}

export function testKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const fingerprint = sha256Hex(publicKey.export({ type: "spki", format: "der" }));
  return { privateKey, fingerprint, pem: publicKey.export({ type: "spki", format: "pem" }).toString() };
}

const by = {
  kind: "workload",
  provider: "github",
  issuer: "https://ci.example",
  project: "acme/app",
  projectId: "123456",
  ref: "refs/tags/v1.4.0",
  run: "987",
};

/** Leaves, each an entry of the log. */
export const leavesOf = (entries: readonly JsonObject[]): Uint8Array[] =>
  entries.map((entry) => utf8(canonicalJson(entry)));

export const noteOf = (leaves: readonly Uint8Array[], size = leaves.length): string =>
  signCheckpoint({ origin, size, root: logOf(leaves).rootAt(size), extensions: [] }, logSigner);

export function receiptOf(leaves: readonly Uint8Array[], index: number): string {
  const extra = leaves[index];
  const hashes = proverFor(leaves.length, logOf(leaves).read).inclusion(index);
  return formatReceipt({ index, hashes, checkpoint: noteOf(leaves), ...(extra === undefined ? {} : { extra }) });
}

export const outcome = (over: JsonObject): JsonObject => ({
  v: 1,
  type: "sign.outcome",
  at: "2026-11-21T13:59:00.000Z",
  by,
  result: "done",
  ...over,
});

const keyUse = (key: TestKey): JsonObject => ({ name: "release", version: 3, publicKey: key.fingerprint });

/** A detached signature with its receipt. */
export function signedBlob(content: string, key: TestKey, name = "app.tgz", entry: JsonObject = {}) {
  const signature = sign("sha256", utf8(content), key.privateKey);
  const digest = `sha256:${sha256Hex(content)}`;
  const item = {
    kind: "blob",
    artifacts: [{ name, digest }],
    format: "raw",
    form: "digest",
    signed: sha256Hex(content),
    signature: sha256Hex(signature),
  };
  const leaves = leavesOf([{ v: 1, type: "daemon.start" }, outcome({ key: keyUse(key), items: [item], ...entry })]);
  return {
    signature,
    digest,
    item,
    leaves,
    bundle: messageBundle({ hash: "sha256", bytes: sha256(content) }, signature, key),
    proof: receiptOf(leaves, 1),
  };
}

/** A statement about a file, with its receipt. */
export function signedStatement(content: string, key: TestKey, name = "app.tgz") {
  const type = "application/vnd.in-toto+json";
  const payload = utf8(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ name, digest: { sha256: sha256Hex(content) } }],
      predicateType: "https://slsa.dev/provenance/v1",
      predicate: {},
    }),
  );
  const bytes = Buffer.concat([utf8(`DSSEv1 ${String(type.length)} ${type} ${String(payload.length)} `), payload]);
  const signature = sign("sha256", bytes, key.privateKey);
  const artifacts = [{ name, digest: `sha256:${sha256Hex(content)}` }];
  const item = {
    kind: "statement",
    artifacts,
    predicateType: "https://slsa.dev/provenance/v1",
    format: "dsse",
    form: "message",
    signed: sha256Hex(bytes),
    signature: sha256Hex(signature),
  };
  const leaves = leavesOf([{ v: 1, type: "daemon.start" }, outcome({ key: keyUse(key), items: [item] })]);
  return {
    signature,
    item,
    leaves,
    bundle: dsseBundle(type, payload, signature, key),
    proof: receiptOf(leaves, 1),
  };
}
