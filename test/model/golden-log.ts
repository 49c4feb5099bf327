// A small log with an entry of every type, written by the real journal with fixed times and ids: the test vectors that
// docs/audit-log.md points a stranger's verifier to. What comes of it stands in golden/.

import { createPrivateKey } from "node:crypto";

import { journal, recordItems } from "../../src/broker/journal.ts";
import { openSqlite, type Sqlite } from "../../src/db/sqlite.ts";
import type { Action } from "../../src/model/approval.ts";
import type { Caller, EntryBody, EntryType, KeyUse, LeafRef } from "../../src/model/entry.ts";
import { limitsHash } from "../../src/model/grant.ts";
import type { ItemRecord } from "../../src/model/item.ts";
import type { Person, Workload } from "../../src/model/principal.ts";
import { noMetrics } from "../../src/ports/metrics.ts";
import { fromHex, hex, utf8 } from "../../src/std/bytes.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { canonicalJson } from "../../src/std/json.ts";
import { noStep } from "../../src/std/steps.ts";
import { ed25519Signer } from "../../src/tlog/note.ts";
import { formatVkey } from "../../src/tlog/vkey.ts";

const origin = "log.example/signet";
const start = Date.UTC(2026, 0, 15, 9, 30);

/** RFC 8410, PKCS#8 of an Ed25519 private key with the bytes 00, 01, … 1f: for vectors alone. */
const privateKey = createPrivateKey({
  key: Buffer.from(fromHex(`302e020100300506032b657004220420${hex(Uint8Array.from({ length: 32 }, (_, i) => i))}`)),
  format: "der",
  type: "pkcs8",
});
const signer = ed25519Signer(origin, privateKey);
export const vkey = formatVkey(signer.vkey);

export interface GoldenLog extends AsyncDisposable {
  readonly log: Sqlite;
  readonly leaves: readonly Uint8Array[];
  /** Side blobs that the entries name, in order of first mention. */
  readonly blobs: readonly Uint8Array[];
}

export async function goldenLog(directory: string): Promise<GoldenLog> {
  let now = start;
  const clock = () => now;
  const log = await openSqlite({ directory, origin, signer, clock, step: noStep });
  const journaling = journal({ log, clock, node: "signet-1", epoch: 1, metrics: noMetrics, known: () => true });
  const leaves: Uint8Array[] = [];
  const newest = new Map<EntryType, LeafRef>();
  for (const { request, body } of story) {
    const appended = await journaling.append(request, () => body(newest), { blobs });
    if ("conflict" in appended) throw new Error(`the story has no conditions, yet: ${appended.conflict}`);
    newest.set(appended.entry.type, { index: appended.index, hash: hex(appended.hash) });
    leaves.push(appended.leaf);
    now += 1250;
  }
  return { log, leaves, blobs, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() };
}

const blobs: Uint8Array[] = [];
/** Keeps the bytes and gives their name. */
function blob(text: string, count?: number): { readonly blob: string; readonly count?: number } {
  const bytes = utf8(text);
  if (!blobs.some((one) => hex(one) === hex(bytes))) blobs.push(bytes);
  return { blob: `sha256:${sha256Hex(bytes)}`, ...(count !== undefined && { count }) };
}

const id = (prefix: string, last: string): string => `${prefix}_01KF0GSN40${"0".repeat(15)}${last}`;
const [session, pending] = [id("ss", "1"), id("pa", "1")];
const expiresAt = "2026-01-15T09:40:00.000Z";

const job: Workload = {
  kind: "workload",
  provider: "github",
  issuer: "https://token.actions.githubusercontent.com",
  subject: "repo:acme/app:ref:refs/tags/v1.4.0",
  tenantId: "815",
  tenant: "acme",
  projectId: "4711",
  project: "acme/app",
  ref: "refs/tags/v1.4.0",
  refType: "tag",
  refProtected: true,
  environment: "release",
  workflow: "acme/app/.github/workflows/release.yml@refs/tags/v1.4.0",
  workflowSha: "5f2c1e0b9a8d7c6b5a4f3e2d1c0b9a8d7c6b5a4f",
  commit: "5f2c1e0b9a8d7c6b5a4f3e2d1c0b9a8d7c6b5a4f",
  event: "push",
  runner: "hosted",
  run: "987",
  attempt: "1",
  actorId: "4242",
  actor: "alex",
};
const person = (last: string, name: string, roles: Person["roles"]): Person => ({
  kind: "person",
  id: id("op", last),
  name,
  issuer: "https://login.example",
  subject: `subject-${last}`,
  roles,
});
const [first, second] = [
  person("1", "operator one", ["operator", "approver", "auditor"]),
  person("2", "operator two", ["approver"]),
];
const record = ({ id, name, issuer, subject, roles }: Person) => ({ id, name, issuer, subject, roles });

const jkt = (last: string): string => `${"A".repeat(42)}${last}`;
const proof = (of: string) => blob(`eyJ0eXAiOiJkcG9wK2p3dCJ9.${Buffer.from(of).toString("base64url")}.c2lnbmF0dXJl`);
const asJob: Caller = { by: job, cnf: { jkt: jkt("A") }, evidence: { proof: proof("job") } };
const asFirst: Caller = { by: first, cnf: { jkt: jkt("Q") }, evidence: { proof: proof("first") } };
const asSecond: Caller = { by: { ...second, methods: ["pwd", "otp"] }, cnf: { "x5t#S256": jkt("g") } };

const policy = blob(canonicalJson([{ path: "release.yaml", text: "grants: []\n" }]), 1);
const decision = { effect: "permit", grant: "release-tags", policy: policy.blob, reasons: [] } as const;
const key: KeyUse = {
  name: "attest",
  version: 1,
  custody: "software",
  uri: "software:attest/1",
  publicKey: sha256Hex("public key"),
};
const created = { key: "attest", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
const pem = "-----BEGIN PUBLIC KEY-----\nTm90IGEga2V5Lg==\n-----END PUBLIC KEY-----\n";
const enrolled = {
  key: "release",
  purpose: "BLOB",
  algorithm: "EC_P256",
  custody: "token-a",
  uri: "pkcs11:serial=4711;object=release;id=%01",
  asked: "pkcs11:object=release",
  publicKey: pem,
} as const;
const drifted = { key: "release", version: 1, custody: "token-a", uri: enrolled.uri } as const;
const destroyed = { ...drifted, reason: "its project ended", pending } as const;
const activation: Action = {
  kind: "key.state",
  key: "attest",
  number: 1,
  to: "ACTIVE",
  reason: "release keys",
  asOf: 7,
};
const approval = { pending, hash: sha256Hex(canonicalJson({ ...activation })) };

const statement = (name: string): ItemRecord => ({
  kind: "statement",
  artifacts: [{ name, digest: `sha256:${sha256Hex(name)}` }],
  predicateType: "https://slsa.dev/provenance/v1",
  format: "dsse",
  form: "message",
  signed: sha256Hex(`pae of ${name}`),
});
const signed = (item: ItemRecord): ItemRecord => ({ ...item, signature: sha256Hex(`signature of ${item.signed}`) });
function sideItems(items: readonly ItemRecord[]) {
  const recorded = recordItems(items);
  blobs.push(...recorded.blobs);
  return recorded.items;
}
const few = [statement("app-1.4.0.tgz")];
const many = Array.from({ length: 12 }, (_, i) => statement(`part-${String(i)}.tgz`));
const manyAsked = sideItems(many);
const manySigned = sideItems(many.map(signed));

type Newest = ReadonlyMap<EntryType, LeafRef>;
const of = (newest: Newest, type: EntryType): LeafRef => newest.get(type) ?? { index: 0, hash: "0".repeat(64) };
const uses = (spent: number, left: number) => ({ granted: 20, spent, left });

interface Told {
  readonly request: string | undefined;
  readonly body: (newest: Newest) => EntryBody;
}
const by = (last: string, body: EntryBody | Told["body"]): Told => ({
  request: id("rq", last),
  body: typeof body === "function" ? body : () => body,
});
const alone = (body: EntryBody | Told["body"]): Told => ({ ...by("", body), request: undefined });

const rotating = { key: "attest", rotation: id("ro", "1"), from: 1, to: 2 } as const;
const made = { purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;

const story: readonly Told[] = [
  alone({ type: "daemon.start", version: "0.1.0", vkey }),
  by("1", {
    type: "operator.change",
    by: { kind: "socket" },
    cnf: { jkt: jkt("Q") },
    change: "enrolled-first",
    operator: record(first),
  }),
  by("2", { type: "operator.login", ...asFirst, expiresAt: "2026-01-15T17:30:02.500Z" }),
  by("3", { type: "operator.change", ...asFirst, change: "added", operator: record(second), onePerson: true }),
  alone({ type: "policy.change", policy: policy.blob, files: policy, sessions: [], grants: 0, cases: 0 }),
  by("4", { type: "key.create.intent", ...asFirst, ...created }),
  by("4", (newest) => ({
    type: "key.create.outcome",
    ...asFirst,
    ...created,
    intent: of(newest, "key.create.intent"),
    result: "done",
    version: 1,
    publicKey: pem,
    uri: key.uri,
    createdAt: "2026-01-15T09:30:07.500Z",
  })),
  by("5", {
    type: "approval.request",
    ...asFirst,
    ...approval,
    action: activation,
    expiresAt: "2026-01-16T09:30:00.000Z",
  }),
  by("6", { type: "approval.decide", ...asSecond, ...approval, verdict: "approved" }),
  by("6", {
    type: "key.state",
    ...asSecond,
    key: "attest",
    version: 1,
    from: "PRE_ACTIVATION",
    to: "ACTIVE",
    reason: "release keys",
    pending,
  }),
  by("7", {
    type: "session.open",
    ...asJob,
    evidence: { ...asJob.evidence, identityToken: sha256Hex("identity token") },
    session,
    keys: ["attest"],
    decision,
    uses: uses(0, 20),
    expiresAt,
    limits: limitsHash({
      uses: 20,
      ttl: 600_000,
      windows: [],
      items: { statement: { predicateTypes: [], subjects: ["*"] } },
    }),
    reason: "release 1.4.0",
  }),
  by("8", { type: "sign.intent", ...asJob, session, key, items: few, decision, uses: uses(1, 19) }),
  by("8", (newest) => ({
    type: "sign.outcome",
    ...asJob,
    session,
    key,
    items: few.map(signed),
    intent: of(newest, "sign.intent"),
    result: "done",
  })),
  by("9", { type: "sign.intent", ...asJob, session, key, items: manyAsked, decision, uses: uses(12, 7) }),
  by("9", (newest) => ({
    type: "sign.outcome",
    ...asJob,
    session,
    key,
    items: manySigned,
    intent: of(newest, "sign.intent"),
    result: "withheld",
    code: "WITHHELD",
  })),
  by("A", {
    type: "refusal",
    ...asJob,
    by: { ...job, ref: "refs/heads/feature-é", refType: "branch", refProtected: false, run: "988" },
    code: "POLICY_DENIED",
    message: 'no grant lets this job use key "attest"',
    action: "session.open",
    keys: ["attest"],
    decision: { effect: "deny", policy: policy.blob, reasons: ["grant release-tags needs ref refs/tags/v*"] },
    count: 3,
  }),
  by("B", { type: "incident.token-replayed", ...asJob, cnf: { jkt: jkt("w") }, session }),
  by("C", { type: "session.close", ...asJob, session, uses: uses(13, 7) }),
  by("D", {
    type: "session.revoke",
    ...asFirst,
    session: id("ss", "2"),
    uses: uses(0, 20),
    reason: "job was cancelled",
  }),
  by("E", { type: "audit.read", ...asFirst, query: '{"limit":50}', count: 19 }),
  by("F", { type: "audit.export", ...asFirst, query: "{}", count: 20 }),
  alone((newest) => ({ type: "incident.unfinished", intent: of(newest, "sign.intent"), session })),
  alone({ type: "incident.clock", message: "the clock went back by 3600 s" }),
  alone({ type: "incident.witness", witness: "w1", message: "it has seen 40 entries, we have 23" }),
  alone({ type: "daemon.stop" }),
  alone({ type: "operator.change", change: "adopted", operator: record(first) }),
  alone({
    type: "key.adopt",
    ...created,
    version: 1,
    uri: key.uri,
    publicKey: pem,
    createdAt: "2026-01-15T09:30:07.500Z",
    from: "ACTIVE",
    to: "SUSPENDED",
  }),
  by("G", { type: "custody.unlock.intent", ...asFirst, custody: "token" }),
  by("G", (newest) => ({
    type: "custody.unlock.outcome",
    ...asFirst,
    custody: "token",
    intent: of(newest, "custody.unlock.intent"),
    result: "failed",
    refused: "the token refused its PIN; it is not tried again, a person has to give another one (CKR_PIN_INCORRECT)",
  })),
  by("G", { type: "key.enroll.intent", ...asFirst, ...enrolled }),
  by("G", (newest) => ({
    type: "key.enroll.outcome",
    ...asFirst,
    ...enrolled,
    intent: of(newest, "key.enroll.intent"),
    result: "done",
    version: 1,
    createdAt: "2026-01-15T09:30:36.000Z",
    protection: {
      level: "DEVICE",
      exportable: "NO",
      proved: ["made on the device, by its attestation"],
      claimed: ["PIN once"],
    },
    guards: sha256Hex("policy of the key"),
    attestation: [blob("certificate of the key"), blob("certificate of the device")],
    possession: { challenge: blob("signet key possession v1\n"), signature: blob("signature of the challenge") },
  })),
  alone({ type: "key.drift", ...drifted, finding: "trouble", recorded: "none", found: "disabled" }),
  alone({ type: "key.drift", ...drifted, finding: "trouble", recorded: "disabled", found: "as recorded", over: true }),
  alone({ type: "key.drift", ...drifted, finding: "vanished", recorded: enrolled.uri, found: "no such key" }),
  alone({
    type: "key.state",
    key: "release",
    version: 1,
    from: "ACTIVE",
    to: "SUSPENDED",
    reason: "at its custody, the key is not there any more",
  }),
  by("H", { type: "key.destroy.intent", ...asSecond, ...destroyed }),
  by("H", (newest) => ({
    type: "key.destroy.outcome",
    ...asSecond,
    ...destroyed,
    intent: of(newest, "key.destroy.intent"),
    result: "done",
    until: "2026-02-14T09:30:00.000Z",
  })),
  by("H", {
    type: "key.state",
    ...asSecond,
    key: "release",
    version: 1,
    from: "DEACTIVATED",
    to: "DESTROYED",
    reason: "its project ended",
    pending,
    backend: "destroyed",
  }),
  by("R", {
    type: "key.rotate.begin",
    ...asFirst,
    ...rotating,
    fromState: "ACTIVE",
    custody: "software",
    propagation: "PT1H",
    retireAfter: "P730D",
    asked: sha256Hex("yearly"),
    begunAt: "2026-01-15T09:30:40.000Z",
    algorithm: "EC_P256",
    reason: "yearly",
    onePerson: true,
  }),
  alone({ type: "key.rotate.intent", ...rotating, ...made }),
  alone((newest) => ({
    type: "key.rotate.outcome",
    ...rotating,
    ...made,
    intent: of(newest, "key.rotate.intent"),
    result: "done",
    protection: { level: "PROCESS", exportable: "NO", proved: ["sealed at rest"], claimed: [] },
    publicKey: pem,
    uri: "software:attest/2",
    createdAt: "2026-01-15T09:30:42.500Z",
    possession: { challenge: blob("signet key possession v1\n"), signature: blob("signature of the challenge") },
  })),
  alone({
    type: "key.rotate.publish",
    ...rotating,
    publicKey: sha256Hex("the next public key"),
    publishedAt: "2026-01-15T09:30:43.750Z",
    switchAt: "2026-01-15T10:30:43.750Z",
  }),
  alone({
    type: "key.rotate.switch",
    ...rotating,
    endedAt: "2026-01-15T10:30:44.000Z",
    trustedUntil: "2028-01-15T10:30:44.000Z",
  }),
  by("S", {
    type: "key.rotate.cancel",
    ...asFirst,
    ...rotating,
    endedAt: "2026-01-15T09:31:00.000Z",
    reason: "not today",
    left: "kept",
  }),
  alone({ type: "key.rotate.retire", key: "attest", version: 1, trustedUntil: "2028-01-15T10:30:44.000Z" }),
  by("T", {
    type: "key.state",
    ...asFirst,
    key: "attest",
    version: 1,
    from: "ACTIVE",
    to: "DEACTIVATED",
    reason: "its project ended",
    endedAt: "2026-01-15T09:31:10.000Z",
  }),
  by("V", {
    type: "key.rotate.begin",
    ...asFirst,
    ...rotating,
    fromState: "ACTIVE",
    custody: "kms",
    existing: {
      uri: "awskms:///arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
      asked: "awskms:///alias/attest",
      fingerprint: sha256Hex("the next public key"),
    },
    propagation: "PT0S",
    beforeVerifiersKnow: true,
    asked: sha256Hex("at once"),
    begunAt: "2026-01-15T09:31:20.000Z",
    algorithm: "EC_P256",
    reason: "the old one cannot be reached",
    onePerson: true,
  }),
];
