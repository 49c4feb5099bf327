// The signing cycle without HTTP and GraphQL: 64 callers (16 with batches) in this process ask the broker as the server
// would, and take bundle and receipt. What is missing to the daemon's rate is the front's share, and where the folder is
// on a memory file system (the second argument), the disk's too.
//
//   node test/bench/broker-alone.ts [ITEMS] [FOLDER]       →  one line; run it beside `npm run bench` on a quiet machine
//   node --cpu-prof test/bench/broker-alone.ts             →  and a profile of it

import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { journal } from "../../src/broker/journal.ts";
import type { Parts } from "../../src/broker/parts.ts";
import { rates } from "../../src/broker/rate.ts";
import { replayMemory } from "../../src/broker/replay.ts";
import { signing } from "../../src/broker/sign.ts";
import { unfinished } from "../../src/broker/unfinished.ts";
import { software } from "../../src/custody/software.ts";
import { openSqlite } from "../../src/db/sqlite.ts";
import { isRefusal } from "../../src/model/errors.ts";
import type { KeyVersion } from "../../src/model/key.ts";
import { noMetrics } from "../../src/ports/metrics.ts";
import { rfc3339, systemClock, systemRandom } from "../../src/std/clock.ts";
import { sha256, sha256Hex } from "../../src/std/digest.ts";
import { Secret } from "../../src/std/secret.ts";
import { noStep } from "../../src/std/steps.ts";
import { ed25519Signer } from "../../src/tlog/note.ts";
import { sessionOf } from "../support/db.ts";

const [, , items = "1", folder = tmpdir()] = process.argv;
const perRequest = Number(items);
const requests = perRequest === 1 ? 20_000 : Math.ceil(40_000 / perRequest);
const callers = perRequest === 1 ? 64 : 16;
const never = new AbortController().signal;

const directory = mkdtempSync(join(folder, "signet-broker-"));
const origin = "bench.signet.example/log";
await using log = await openSqlite({
  directory,
  origin,
  signer: ed25519Signer(origin, generateKeyPairSync("ed25519").privateKey),
  clock: systemClock,
  step: noStep,
});
const custody = software({
  sealedKeys: log.sealedKeys,
  masterKey: new Secret(randomBytes(32)),
  random: systemRandom,
});
const journaling = journal({
  log,
  clock: systemClock,
  node: "bench",
  epoch: 1,
  metrics: noMetrics,
  known: () => true,
});
const policy = `sha256:${"0".repeat(64)}`;
const session = await opened();
const parts = {
  log,
  state: log,
  journal: journaling,
  custodies: new Map([["software", custody]]),
  policy: () => ({ hash: policy }),
  rate: rates(),
  replay: replayMemory(systemClock),
  unfinished: unfinished(journaling, log, (error) => {
    throw error;
  }),
  clock: systemClock,
  random: systemRandom,
  step: noStep,
  metrics: noMetrics,
} as unknown as Parts; // all that signing asks of it
const sign = signing(parts);
let asked = 0;

await load(requests / 2);
const cpu = process.cpuUsage();
const began = performance.now();
await load(requests);
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpu);
const signatures = Math.ceil(requests) * perRequest;
console.log(
  `${(signatures / seconds).toFixed(0)} signatures/s in requests of ${items}; ${((user + system) / signatures).toFixed(0)} µs of CPU each, over all threads`,
);
rmSync(directory, { recursive: true, force: true });

/** A key that signs statements, a session that never ends, and the policy that permits it. */
async function opened(): Promise<string> {
  const wanted = { key: "attest", number: 1, purpose: "ATTESTATION", algorithm: "EC_P256" } as const;
  const made = await custody.create(wanted, never);
  const version: KeyVersion = {
    ...wanted,
    ...made,
    state: "ACTIVE",
    custody: "software",
    fingerprint: sha256Hex(createPublicKey(made.publicKey).export({ type: "spki", format: "der" })),
    createdAt: rfc3339(systemClock()),
  };
  const found = sessionOf("ss_01KABCDEFGHJKMNPQRSTVWXYZ0", {
    keys: ["attest"],
    policy,
    cnf: { bearer: true },
    limits: {
      uses: 1e9,
      ttl: 600_000,
      windows: [],
      items: { statement: { predicateTypes: ["https://example.com/test/v1"], subjects: ["**"] } },
    },
    usesGranted: 1e9,
    usesLeft: 1e9,
    openedAt: systemClock(),
    expiresAt: systemClock() + 600_000,
  });
  await journaling.append(undefined, () => ({ type: "daemon.start", version: "0", vkey: "" }), {
    puts: [
      { kind: "key", id: "attest", value: { name: "attest", purpose: "ATTESTATION", versions: [version] }, expects: 0 },
      { kind: "policy", id: "current", value: { hash: policy }, expects: 0 },
    ],
    open: { session: found, token: sha256("token") },
  });
  return found.id;
}

async function load(count: number): Promise<void> {
  let left = count;
  const caller = async (): Promise<void> => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

async function one(): Promise<void> {
  const found = await log.session(session);
  if (!found) throw new Error("the session is gone");
  const number = asked++;
  const call = {
    request: `rq_${String(number)}`,
    caller: { kind: "session", session: found, presented: { cnf: found.cnf } },
    signal: never,
  } as const;
  const statements = Array.from({ length: perRequest }, (_, at) => ({
    kind: "statement" as const,
    subject: [{ name: `app-${String(number)}-${String(at)}.tgz`, digest: `sha256:${"ab".repeat(32)}` }],
    predicateType: "https://example.com/test/v1",
    predicate: { built: "x".repeat(1300) }, // as long as the provenance of `npm run bench`
  }));
  const answer = await sign(call, { idempotencyKey: `k${String(number)}`, key: "attest", items: statements });
  if (isRefusal(answer)) throw new Error(answer.message);
  answer.receipt.tlogProof();
  for (const { bundle } of answer.signatures) bundle?.();
}
