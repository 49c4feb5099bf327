// One active key "release" on a real log, in whichever custody, with what a rotation needs around it: no server, a clock
// that the test sets, and a death that it chooses.

import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { Call } from "../../src/broker/call.ts";
import { changeKeyState } from "../../src/broker/change-key-state.ts";
import { publicKeyOf } from "../../src/broker/incoming-key.ts";
import { journal } from "../../src/broker/journal.ts";
import type { Parts } from "../../src/broker/parts.ts";
import { cancelRotation, type RotateKeyRequest, rotateKey } from "../../src/broker/rotate-key.ts";
import { type Rotations, rotations } from "../../src/broker/rotation.ts";
import { readWholeLog } from "../../src/broker/start.ts";
import { openSqlite, type Sqlite } from "../../src/db/sqlite.ts";
import type { Refusal } from "../../src/model/errors.ts";
import type { Key, KeyAlgorithm, KeyState, KeyVersion } from "../../src/model/key.ts";
import type { Person } from "../../src/model/principal.ts";
import { differences } from "../../src/model/replay.ts";
import type { Custody, NewKey } from "../../src/ports/custody.ts";
import { noMetrics } from "../../src/ports/metrics.ts";
import { fromUtf8 } from "../../src/std/bytes.ts";
import { type Clock, rfc3339, systemRandom } from "../../src/std/clock.ts";
import { noStep, type StepName } from "../../src/std/steps.ts";
import { ed25519Signer } from "../../src/tlog/note.ts";

export interface RotationScene extends AsyncDisposable {
  readonly parts: Parts;
  readonly rotations: Rotations;
  /** Milliseconds since the epoch. */
  readonly time: { now: number };
  /** The step at which it dies, by an exception. */
  readonly death: { at: StepName | undefined };
  begin(more?: Partial<RotateKeyRequest>): Promise<{ readonly key: Key } | Refusal>;
  cancel(): Promise<{ readonly key: Key } | Refusal>;
  /** What an operator does with the key; in the one-person mode. */
  change(to: KeyState, number?: number): Promise<{ readonly key: Key } | Refusal>;
  key(): Key;
  /** One more active key beside it. */
  another(name: string, custody: string, first: NewKey): Promise<void>;
  /** Those of rotations. */
  entries(): Promise<readonly Record<string, unknown>[]>;
  /** The tables are what the next start tells from the leaves. */
  agrees(): Promise<void>;
  /** Another log beside it. Close it first. */
  emptyLog(): Promise<EmptyLog>;
  /** What the next start says where somebody has edited the key's record. */
  edited(edit: (key: Key) => Key): Promise<readonly string[]>;
}

interface EmptyLog extends AsyncDisposable {
  readonly log: Sqlite;
  readonly journal: Parts["journal"];
}

interface RotationOptions {
  readonly custodies: ReadonlyMap<string, Custody>;
  /** Where the first version lives, and what it is there. */
  readonly custody: string;
  readonly first: NewKey;
  readonly algorithm?: KeyAlgorithm;
}

const person: Person = {
  kind: "person",
  id: "op_1",
  name: "First",
  issuer: "key",
  subject: "thumbprint",
  roles: ["operator"],
};
const call: Call = {
  request: "rq_1",
  caller: { kind: "person", person, presented: { cnf: { jkt: "thumbprint" } } },
  signal: new AbortController().signal,
};

async function emptyLog(directory: string, clock: Clock): Promise<EmptyLog> {
  const signer = ed25519Signer("log.example/signet", generateKeyPairSync("ed25519").privateKey);
  const log = await openSqlite({ directory, origin: "log.example/signet", signer, clock, step: noStep });
  const journaling = journal({ log, clock, node: "n", epoch: 1, metrics: noMetrics, known: () => true });
  return { log, journal: journaling, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() };
}

export async function rotationScene(options: RotationOptions): Promise<RotationScene> {
  const folder = mkdtempSync(join(tmpdir(), "signet-rotation-"));
  const time = { now: Date.UTC(2026, 0, 15) };
  const death: RotationScene["death"] = { at: undefined };
  const clock = () => time.now;
  const { log, journal: journaling } = await emptyLog(folder, clock);
  await adoptedPerson(journaling);
  await activeKey("release", options, journaling, log);
  const parts = {
    log,
    state: log,
    journal: journaling,
    custodies: options.custodies,
    clock,
    random: systemRandom,
    step: (name: StepName) => {
      if (name === death.at) throw new Error(`died at ${name}`);
    },
    twoPersons: false,
    rotationRules: { propagation: 3_600_000 },
    stopped: () => undefined,
  } as unknown as Parts; // what a rotation needs of them
  const running = rotations(parts);
  async function compared(edit: (key: Key) => Key): Promise<readonly string[]> {
    const replayed = await readWholeLog(log, time.now, () => undefined);
    const keys = log.records("key").map(({ value, revision }) => ({ value: edit(value), revision }));
    const people = log.records("person").map(({ value }) => value);
    return differences(replayed, { keys, people, pending: [], sessions: [], policy: undefined });
  }
  const request = { idempotencyKey: "1", key: "release", reason: "yearly", beforeVerifiersKnow: true };

  return {
    parts,
    rotations: running,
    time,
    death,
    begin: (more = {}) => rotateKey(call, { ...request, ...more }, running, parts),
    cancel: () => cancelRotation(call, { key: "release", reason: "not today" }, running, parts),
    change: (to, number) => changeKeyState(call, { key: "release", number, to, reason: "for the test" }, parts),
    another: (name, custody, first) => activeKey(name, { custody, first }, journaling, log),
    key: () => {
      const key = log.record("key", "release")?.value;
      if (!key) throw new Error("the key is gone");
      return key;
    },
    async entries() {
      const out: Record<string, unknown>[] = [];
      for await (const { leaf } of log.leaves(0, Infinity))
        out.push(JSON.parse(fromUtf8(leaf)) as Record<string, unknown>);
      return out.filter(({ type }) => String(type).startsWith("key.rotate"));
    },
    agrees: async () => {
      expect(await compared((key) => key)).toEqual([]);
    },
    edited: compared,
    emptyLog: () => emptyLog(mkdtempSync(join(folder, "other-")), clock),
    async [Symbol.asyncDispose]() {
      await log[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function adoptedPerson({ append }: Pick<Parts["journal"], "append">): Promise<void> {
  const { id, name, issuer, subject, roles } = person;
  const operator = { id, name, issuer, subject, roles };
  await append(undefined, () => ({ type: "operator.change", change: "adopted", operator }), {
    puts: [{ kind: "person", id: person.id, value: person, expects: 0 }],
  });
}

async function activeKey(
  name: string,
  { custody, first, algorithm = "EC_P256" }: Omit<RotationOptions, "custodies">,
  { append }: Pick<Parts["journal"], "append">,
  log: Sqlite,
): Promise<void> {
  const public_ = publicKeyOf(algorithm, first.publicKey);
  if (!public_) throw new Error(`this is no public key of ${algorithm}`);
  const version: KeyVersion = {
    ...{ key: name, number: 1, purpose: "ATTESTATION", algorithm, state: "PRE_ACTIVATION", custody },
    ...{ uri: first.uri, ...public_, createdAt: rfc3339(Date.UTC(2026, 0, 14)) },
  };
  const { purpose, uri, publicKey, createdAt } = version;
  const key: Key = { name, purpose, versions: [version] };
  const adopted = { key: name, version: 1, purpose, algorithm, custody, uri, publicKey, createdAt };
  await append(undefined, () => ({ type: "key.adopt", ...adopted, from: "ACTIVE", to: "PRE_ACTIVATION" }), {
    puts: [{ kind: "key", id: name, value: key, expects: 0 }],
  });
  const expects = log.record("key", name)?.revision ?? 0;
  const change = { type: "key.state", key: name, version: 1, from: "PRE_ACTIVATION", to: "ACTIVE" } as const;
  await append(undefined, () => ({ ...change, by: person, reason: "for the test", onePerson: true }), {
    puts: [{ kind: "key", id: name, value: { ...key, versions: [{ ...version, state: "ACTIVE" }] }, expects }],
  });
}
