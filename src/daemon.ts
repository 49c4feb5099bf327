// The composition root: configuration to adapters to broker to server, in the order in which each can be trusted.
//
// The log is proved before anything listens. Closing it goes backwards: finish what was accepted, write what is folded,
// say daemon.stop, publish, let go of the database.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { activatePolicy } from "./broker/activate-policy.ts";
import { broker } from "./broker/broker.ts";
import { clockWatch } from "./broker/clock-watch.ts";
import { type DriftWatch, driftWatch } from "./broker/drift.ts";
import type { Broker, HealthCheck } from "./broker/index.ts";
import { type Journal, journal } from "./broker/journal.ts";
import { operatorSessions } from "./broker/operator-sessions.ts";
import type { Parts } from "./broker/parts.ts";
import { type Publishing, publishing } from "./broker/publish.ts";
import { rates } from "./broker/rate.ts";
import { replayMemory } from "./broker/replay.ts";
import { compareTables, readWholeLog, rememberedHolds, reportUnfinished } from "./broker/start.ts";
import { type Unfinished, unfinished } from "./broker/unfinished.ts";
import { guardedFetch } from "./clients/fetch.ts";
import { type Config, ConfigError, custodyName, readPolicyFiles, readText, thisHost } from "./config.ts";
import { type Bulkhead, bulkhead } from "./custody/bulkhead.ts";
import { openCustody } from "./custody/index.ts";
import { logKey } from "./custody/log-key.ts";
import { refuseHalfReplaced } from "./db/replace.ts";
import { openSqlite, type Sqlite } from "./db/sqlite.ts";
import { identity } from "./identity/index.ts";
import { clockwork } from "./jobs/clockwork.ts";
import { Fault } from "./model/errors.ts";
import type { Replayed } from "./model/replay.ts";
import { namesTenant, type PolicySet } from "./policy/index.ts";
import type { Custody } from "./ports/custody.ts";
import type { Metrics } from "./ports/metrics.ts";
import type { Witnesses } from "./ports/witness.ts";
import { listen } from "./server/http.ts";
import { isLocal, type Listener } from "./server/listener.ts";
import { prometheus } from "./server/metrics.ts";
import { type Clock, forwardClock, type Random } from "./std/clock.ts";
import { parseDuration } from "./std/duration.ts";
import { noStep, type Step } from "./std/steps.ts";
import type { NoteSigner } from "./tlog/note.ts";
import { parsePolicy } from "./tlog/policy.ts";
import { formatVkey, type Vkey } from "./tlog/vkey.ts";
import { tlogWitnesses } from "./witness/tlog-witness.ts";

/** Milliseconds that custodies get once the daemon stops: half of what the server waits, the rest is for the outcomes. */
const custodiesEnd = 10_000;
const steady: Clock = () => performance.now();

export interface DaemonParts {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly step: Step;
  readonly version: string;
  /** Introspection, for trying things. */
  readonly dev: boolean;
  /** Names of SIGNET_DANGEROUSLY_* variables that are set. */
  readonly dangerous: readonly string[];
}

export interface Daemon extends AsyncDisposable {
  readonly urls: readonly string[];
  readonly vkey: string;
  /** Reads the policy directory again; an invalid one changes nothing and is logged. */
  reloadPolicy(): Promise<void>;
}

/** While no daemon runs: the log is proved, its views dropped and made again. */
export async function rebuildViews({
  config,
  log,
  clock,
  random,
}: Pick<DaemonParts, "config" | "log" | "clock" | "random">): Promise<void> {
  const signer = ownLogKey(config, random);
  await using db = await openSqlite({
    directory: config.stateDirectory,
    origin: config.origin,
    signer,
    clock,
    step: noStep,
    progress: telling(log, "hashing the log"),
  });
  await proved(db, signer.vkey, log, clock);
  await db.rebuildViews();
}

/** Throws Fault LOG_DAMAGED, LOG_NOT_DURABLE, ConfigError or PolicyError, with words for the operator. */
export async function startDaemon(parts: DaemonParts): Promise<Daemon> {
  const { config, clock, random, step, log, version } = parts;
  await using undo = new AsyncDisposableStack();
  mkdirSync(config.stateDirectory, { recursive: true, mode: 0o750 });
  const signer = ownLogKey(config, random);
  const vkey = formatVkey(signer.vkey);
  const db = undo.use(
    await openSqlite({
      directory: config.stateDirectory,
      origin: config.origin,
      signer,
      clock,
      step,
      progress: telling(log, "hashing the log"),
    }),
  );
  const { replayed, unproved } = await proved(db, signer.vkey, log, clock);

  const epoch = replayed.epoch + 1;
  const walls = new Map<string, Bulkhead>();
  const watching: { drift: DriftWatch | undefined } = { drift: undefined };
  const metrics = prometheus({
    logSize: () => db.head().size,
    openSessions: () => db.openSessions(clock()),
    custodies: () => new Map([...walls].map(([name, wall]) => [name, wall.load()])),
    drift: () => watching.drift?.counts() ?? new Map(),
  });
  db.onCommitted((seconds, leaves) => {
    metrics.committed(seconds, leaves);
  });
  let policy: PolicySet | undefined;
  const inForce = (): PolicySet => {
    if (!policy) throw new Error("asked for policy before it was read");
    return policy;
  };
  const journaling = journal({
    log: db,
    clock,
    node: config.node ?? thisHost(),
    epoch,
    metrics,
    known: (who) => who.kind !== "workload" || (policy !== undefined && namesTenant(policy, who)),
  });
  await announce(journaling, replayed, vkey, [...unproved, ...weaknesses(parts)], version);
  policy = await activatePolicy(readPolicyFiles(config.policy), { journal: journaling, state: db, clock });

  const stopping: { reason: string | undefined } = { reason: undefined };
  const published = publishing({
    log: db,
    tree: db.tree,
    remember: (checkpoint) => db.remembered.write(checkpoint),
    witnesses: witnessesOf(config),
    journal: journaling,
    stop: (reason) => {
      if (reason === stopping.reason) return;
      stopping.reason = reason;
      if (reason === undefined) log.warn("signing goes on: the witness cosigns this log again");
      else log.error({ reason }, "signing is stopped");
    },
  });
  await published.publish();

  const policyTrouble: { message: string | undefined } = { message: undefined };
  const { tokens, proofs } = identity({
    issuers: config.issuers.map(issuerOf),
    epoch,
    clock,
    random,
    fetch: guardedFetch,
  });
  const outcomes = unfinished(journaling, db, (error) => {
    log.error({ err: error }, "an outcome cannot be written; the next start shows its intent as unfinished");
  });
  /** Tokens and proofs are judged by the wall clock, which their makers have too; what we gave ends by this one. */
  const forward = forwardClock(clock, steady);
  const brokerParts: Parts = {
    log: db,
    state: db,
    journal: journaling,
    custodies: openCustodies(parts, { db, metrics, walls, undo }),
    tokens,
    proofs,
    policy: inForce,
    rate: rates(),
    operatorSessions: operatorSessions(),
    replay: replayMemory(clock),
    unfinished: outcomes,
    clock: forward,
    random,
    step,
    metrics,
    twoPersons: config.approvals === "two-persons",
    rotationRules: rulesOf(config),
    vkey,
    published: () => published.current(),
    ending: new Set(),
    exports: new Map(),
    drift: () => watching.drift?.checks() ?? [],
    checks: () => checksOf(db, published, policyTrouble.message, config),
    stopped: () => stopping.reason,
  };

  const drift = driftWatch(brokerParts, (what) => {
    log.error(what);
  });
  watching.drift = drift;

  /** What was read last, good or bad: the same again needs no second look. */
  let lastRead = JSON.stringify(readPolicyFiles(config.policy));
  async function reloadPolicy(): Promise<void> {
    try {
      const files = readPolicyFiles(config.policy);
      if (JSON.stringify(files) === lastRead) return;
      lastRead = JSON.stringify(files);
      policy = await activatePolicy(files, { journal: journaling, state: db, clock });
      policyTrouble.message = undefined;
    } catch (error) {
      if (error instanceof Fault) lastRead = "";
      policyTrouble.message = error instanceof Error ? error.message : String(error);
      log.error({ problem: policyTrouble.message }, "the policy directory does not load; the set in force stays");
    }
  }

  const serving: Broker = broker(brokerParts);
  const running = undo.use(
    clockwork(log, [
      { name: "rotate keys", every: 1_000, work: () => serving.rotateDue() },
      { name: "publish", every: config.publishEvery, work: () => published.publish() },
      { name: "fold refusals", every: 10_000, work: () => journaling.flush(false) },
      { name: "settle outcomes", every: 1_000, work: () => outcomes.settle() },
      { name: "watch policy", every: 5_000, work: reloadPolicy },
      {
        name: "watch clock",
        every: 5_000,
        work: clockWatch({ clock, steady, journal: journaling }),
      },
      { name: "watch keys", every: config.driftEvery, first: 1_000, work: () => drift.look() },
    ]),
  );
  const server = undo.use(
    await listen({
      broker: serving,
      listeners: config.listeners.map(listenerOf),
      metrics,
      log,
      clock: forward,
      random,
      dev: parts.dev,
    }),
  );
  log.info({ urls: server.urls, origin: config.origin, entries: db.head().size, vkey }, "signetd is ready");

  const open = undo.move();
  return {
    urls: server.urls,
    vkey,
    reloadPolicy,
    async [Symbol.asyncDispose]() {
      for (const wall of walls.values()) wall.hurry(custodiesEnd);
      await server[Symbol.asyncDispose]();
      await running[Symbol.asyncDispose]();
      await farewell(journaling, published, outcomes, log);
      await open.disposeAsync();
    },
  };
}

/** Where one log stands half in another's place, a key that is missing must not be made anew. */
function ownLogKey({ stateDirectory, origin, masterKey }: Config, random: Random): NoteSigner {
  refuseHalfReplaced(stateDirectory);
  return logKey({ file: join(stateDirectory, "log.key"), origin, masterKey, random });
}

/** What the log says of itself, of what was remembered, and of the tables. `unproved`: what nothing is left to prove by. */
async function proved(
  db: Sqlite,
  vkey: Vkey,
  log: Logger,
  clock: Clock,
): Promise<{ readonly replayed: Replayed; readonly unproved: readonly string[] }> {
  const verdict = await db.verify();
  if (verdict.verdict === "damaged")
    throw new Fault(
      "LOG_DAMAGED",
      `${verdict.message}. Restore the newest backup; nothing is signed on a damaged log.`,
    );
  const outside = { remembered: await db.remembered.read(), published: await db.published() };
  const unproved = await rememberedHolds(outside, db, vkey);
  if (outside.remembered === undefined && db.head().size > 0)
    log.warn(
      { entries: db.head().size, published: outside.published !== undefined },
      `the checkpoint remembered outside the database is missing${unproved === undefined ? "; the published tree's was compared" : ", and the published tree's too: whether the log was rolled back cannot be told. Ask witnesses and auditors for the newest one they saw"}`,
    );
  const replayed = await readWholeLog(db, clock(), telling(log, "reading the log"));
  await compareTables(replayed, db);
  return { replayed, unproved: unproved === undefined ? [] : [unproved] };
}

/** A new epoch begins, and what an earlier one left unfinished becomes visible. */
async function announce(
  journaling: Journal,
  replayed: Replayed,
  vkey: string,
  dangerous: readonly string[],
  version: string,
): Promise<void> {
  await journaling.append(undefined, () => ({
    type: "daemon.start",
    version,
    vkey,
    dangerous: dangerous.length > 0 ? dangerous : undefined,
  }));
  await reportUnfinished(replayed, journaling);
}

/** What this start permits that a careful one would not, for the auditor. */
const weaknesses = ({ config, dev, dangerous }: DaemonParts): readonly string[] => [
  ...config.listeners.flatMap((one) =>
    "tcp" in one && one.dangerouslyAllowBearer ? [`bearer sessions on ${one.tcp}`] : [],
  ),
  ...(config.approvals === "one-person" ? ["one person does what otherwise takes two"] : []),
  ...config.issuers.filter((one) => one.dangerouslyAllowHttp).map(({ issuer }) => `plain http to the issuer ${issuer}`),
  ...(dev ? ["--dev"] : []),
  ...dangerous,
];

async function farewell(journaling: Journal, published: Publishing, outcomes: Unfinished, log: Logger): Promise<void> {
  try {
    await outcomes.settle();
    await journaling.flush(true);
    await journaling.append(undefined, () => ({ type: "daemon.stop" }));
    await published.publish();
  } catch (error) {
    log.error({ err: error }, "the log could not be closed in good order; the next start shows what is missing");
  }
}

/** By name; those outside the process behind a bulkhead, which `walls` holds too. */
function openCustodies(
  { config, log, clock, random }: DaemonParts,
  {
    db,
    metrics,
    walls,
    undo,
  }: {
    readonly db: Sqlite;
    readonly metrics: Metrics;
    readonly walls: Map<string, Bulkhead>;
    readonly undo: AsyncDisposableStack;
  },
): ReadonlyMap<string, Custody> {
  const means = { sealedKeys: db.sealedKeys, clock, log, random, masterKey: config.masterKey, secret: config.secret };
  return new Map(
    config.custodies.map((one) => {
      const name = custodyName(one);
      const opened = undo.use(inWords(() => openCustody(one, { ...means, name })));
      if (!opened.outside) return [name, opened] as const;
      const wall = bulkhead(opened, { name, clock: steady, metrics, log });
      walls.set(name, wall);
      return [name, wall] as const;
    }),
  );
}

/** A kind says in words for the operator why its configuration cannot work; nothing is signed, and no stack is of use. */
function inWords<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof Fault || !(error instanceof Error)) throw error;
    throw new ConfigError([error.message]);
  }
}

function rulesOf({ rotation: { propagation, retireAfter } }: Config): Parts["rotationRules"] {
  const milliseconds = retireAfter === undefined ? undefined : parseDuration(retireAfter);
  return { propagation: parseDuration(propagation), retireAfter: milliseconds };
}

function witnessesOf(config: Config): Witnesses | undefined {
  return config.witnesses === undefined
    ? undefined
    : tlogWitnesses({ policy: parsePolicy(readText(config.witnesses)), fetch: guardedFetch });
}

type Issuer = Config["issuers"][number];
const issuerOf = (one: Issuer): Parameters<typeof identity>[0]["issuers"][number] => ({
  ...one,
  maxLifetime: one.maxLifetime === undefined ? undefined : parseDuration(one.maxLifetime),
});

function listenerOf(one: Config["listeners"][number]): Listener {
  if ("unix" in one) return { kind: "socket", path: one.unix, openLog: false, openTrust: true, metrics: true };
  const at = one.tcp.lastIndexOf(":");
  const host = one.tcp.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  const publicUrl = one.publicUrl?.replace(/\/+$/, "");
  return {
    kind: "tcp",
    host,
    port: Number(one.tcp.slice(at + 1)),
    tls: one.tls,
    publicUrl,
    openLog: one.openLog,
    openTrust: one.openTrust,
    metrics: one.metrics ?? isLocal({ host, publicUrl }),
    dangerouslyAllowBearer: one.dangerouslyAllowBearer,
  };
}

function checksOf(
  db: Sqlite,
  published: Publishing,
  policyTrouble: string | undefined,
  config: Config,
): readonly HealthCheck[] {
  const { failing, size, lastCommit } = db.health();
  const database: HealthCheck = failing
    ? {
        name: "database",
        status: "fail",
        message: `cannot be written since ${new Date(failing.since).toISOString()}: ${failing.message}`,
        hint: "mend the disk; Signet notices by itself, nothing to restart",
      }
    : {
        name: "database",
        status: "ok",
        message: `SQLite, ${String(size)} entries, last commit ${lastCommit.toFixed(1)} ms`,
      };
  const witnesses = published.answers().map((one): HealthCheck => {
    if (one.result === "cosigned")
      return {
        name: `witness ${one.witness}`,
        status: "ok",
        message: `cosigned at ${new Date(one.time * 1000).toISOString()}`,
      };
    return { name: `witness ${one.witness}`, status: one.result === "silent" ? "warn" : "fail", message: one.message };
  });
  const policy: readonly HealthCheck[] =
    policyTrouble === undefined
      ? []
      : [
          {
            name: "policy files",
            status: "warn",
            message: policyTrouble,
            hint: "mend the file; the set in force stays until then",
          },
        ];
  const danger: readonly HealthCheck[] =
    config.approvals === "one-person"
      ? [{ name: "approvals", status: "warn", message: "one-person mode: nobody else looks at what makes keys sign" }]
      : [];
  const quorum: readonly HealthCheck[] = published.quorum()
    ? []
    : [
        {
          name: "witnesses",
          status: "warn",
          message: "the newest checkpoint has not the cosignatures that the witness policy asks for",
        },
      ];
  return [database, ...witnesses, ...quorum, ...policy, ...danger];
}

const telling =
  (log: Logger, what: string) =>
  (done: number, of: number): void => {
    if (of > 50_000 && (done % 200_000 < 1024 || done === of)) log.info({ done, of }, what);
  };
