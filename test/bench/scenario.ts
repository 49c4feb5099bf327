// Each scenario, from an empty directory to its row. A daemon of its own for each, so that no row pays for another's log.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { githubClaims } from "../../src/cli/dev/claims.ts";
import { audience, expectDone, type House, type HouseOptions, house, type Run } from "../support/house.ts";
import { digestOf, grow, keyOf, projectOf } from "./audit-log.ts";
import { entriesOfWholeLog, verifySample } from "./check.ts";
import { connections, load, type Measured, type Prepared, peakMegabytes } from "./load.ts";
import { type Counts, counts, countsAtRest } from "./metrics.ts";
import { signaturesPerRequest } from "./reference.ts";
import {
  type Asker,
  askAgain,
  askerOf,
  blobs,
  bodyOf,
  emptyQuery,
  preparedOpenings,
  preparedRequests,
  serialOf,
  serialPlace,
  serverAt,
  statements,
} from "./requests.ts";
import type { Row, Scenario } from "./row.ts";

export interface Asked {
  /** Of the measured run; each is warmed up before for a third of it. */
  readonly seconds: number;
  /** Of the log that the audit scenarios ask. */
  readonly entries: number;
  /** How the daemon runs. */
  readonly run: Run;
  /** Whether a reference row counts although its server was idle. */
  readonly rough: boolean;
  readonly tell: (line: string) => void;
}

export type Found = Omit<Row, "ratioToBareHttp">;
export type Numbers = Omit<Found, "scenario">;

/** Scenarios that share a daemon share a function. Throws where a row would not be true. */
export async function measure(names: readonly Scenario[], asked: Asked, found: (row: Found) => void): Promise<void> {
  for (const name of names) {
    if (name in signingPlans)
      found({ scenario: name, ...(await signing(name, signingPlans[name as keyof typeof signingPlans], asked)) }); // it is in there
    else if (name === "bare-http" || name === "raw-sign" || name === "raw-group-commit")
      found(await reference(name, asked));
    else if (name === "empty-query") found(await emptyQueries(asked));
    else if (name === "open-session") found(await openings(asked));
  }
  const questions = names.filter((name) => name in auditPlans);
  if (questions.length > 0) await audits(questions as (keyof typeof auditPlans)[], asked, found); // as filtered
}

// Reference rows

async function reference(
  name: Scenario & ("bare-http" | "raw-sign" | "raw-group-commit"),
  asked: Asked,
): Promise<Found> {
  using folder = temporary();
  const child = spawn(process.execPath, [join(import.meta.dirname, "reference.ts"), name, folder.path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [chunk] = (await once(child.stdout, "data")) as [Buffer];
    const url = `http://127.0.0.1:${chunk.toString().trim()}`;
    const prepared = { head: `GET / HTTP/1.1\r\nHost: ${new URL(url).host}\r\n`, body: "" };
    const pid = child.pid ?? 0;
    await load(url, prepared, warmUp(asked), pid, folder.path);
    const before = name === "raw-group-commit" ? await told(url) : undefined;
    const measured = await load(url, prepared, asked.seconds, pid, folder.path);
    const after = name === "raw-group-commit" ? await told(url) : undefined;
    const inCommit = after && before ? after.seconds - before.seconds : 0;
    mustBeBusy(name, measured, inCommit, asked);
    const commits = after && before ? after.commits - before.commits : undefined;
    return rowOf(name, measured, pid, { perRequest: name === "raw-sign" ? signaturesPerRequest : undefined, commits });
  } finally {
    child.kill("SIGKILL");
  }
}

/** One that waits has not shown what it can do. Waiting for its own disk is being busy: the thread stands still in fsync. */
export function mustBeBusy(
  name: string,
  { cpu, seconds }: Pick<Measured, "cpu" | "seconds">,
  inCommit: number,
  { rough, tell }: Pick<Asked, "rough" | "tell">,
): void {
  const cores = cpu / seconds;
  const disk = inCommit / seconds;
  tell(
    `${name}: its server used ${cores.toFixed(2)} cores${inCommit > 0 ? ` and stood in COMMIT for ${disk.toFixed(2)} of the time` : ""}`,
  );
  if (cores >= 0.95 || cores + disk >= 0.95) return;
  const message = `${name} does not count: its server was busy for ${(cores + disk).toFixed(2)} of the time, at least 0.95 is asked. Is the machine busy with something else?`;
  if (!rough) throw new Error(message);
  tell(`warning: ${message}`);
}

async function told(url: string): Promise<{ readonly commits: number; readonly seconds: number }> {
  return (await (await fetch(`${url}/told`)).json()) as { commits: number; seconds: number }; // reference.ts
}

async function emptyQueries(asked: Asked): Promise<Found> {
  using folder = temporary();
  await using home = await built({}, asked);
  const pid = pidOf(home);
  const prepared = emptyQuery(home.url);
  await load(home.url, prepared, warmUp(asked), pid, folder.path);
  const before = await countsAtRest(home.url, pidOf(home));
  const measured = await load(home.url, prepared, asked.seconds, pid, folder.path);
  answered("empty-query", measured, before, await countsAtRest(home.url, pidOf(home)), 0);
  mustBeBusy("empty-query", measured, 0, asked);
  return rowOf("empty-query", measured, pid, {});
}

// Signing

export interface SigningPlan {
  readonly items: number;
  readonly form: "message" | "digest";
  readonly bearer: boolean;
  /** More than any machine does in a second: so many requests are prepared for the warm-up. */
  readonly most: number;
  /** What differs from the usual daemon; its keys are called attest and release. */
  readonly house?: HouseOptions;
  /** 64 where absent. */
  readonly connections?: number;
}

const signingPlans = {
  "single-dpop": { items: 1, form: "message", bearer: false, most: 9000 },
  "single-bearer": { items: 1, form: "message", bearer: true, most: 12_000 },
  "batch-100": { items: 100, form: "message", bearer: false, most: 700 },
  "single-digest": { items: 1, form: "digest", bearer: false, most: 3000 },
  "batch-100-digest": { items: 100, form: "digest", bearer: false, most: 60 },
} as const satisfies Partial<Record<Scenario, SigningPlan>>;

/** `name` is for what is told. Throws where the row would not be true. */
export async function signing(name: string, plan: SigningPlan, asked: Asked): Promise<Numbers> {
  using folder = temporary();
  await using home = await built({ ...plan.house, bearer: plan.bearer }, asked);
  const pid = pidOf(home);
  const server = await serverAt(home.url);
  const key = plan.form === "message" ? "attest" : "release";
  const items = plan.form === "message" ? statements(plan.items) : blobs(plan.items);
  const publicKey = await publicKeyOf(home, key);
  const template = bodyOf("Sign", { input: { idempotencyKey: `bench-${serialPlace}`, key, items } });

  const warm = await prepare(warmUp(asked) * plan.most, 0);
  const rehearsed = await load(home.url, warm.prepared, warmUp(asked), pid, folder.path, plan.connections);
  await countsAtRest(home.url, pidOf(home));
  const count = Math.ceil(Math.max((rehearsed.requests / rehearsed.seconds) * 1.8, plan.most / 4) * asked.seconds);
  const { prepared, askers, serials } = await prepare(count, 2 ** 32);

  const before = await counts(home.url);
  const measured = await load(home.url, prepared, asked.seconds, pid, folder.path, plan.connections);
  const after = await countsAtRest(home.url, pidOf(home));
  const requests = answered(name, measured, before, after, 2);
  const row = numbersOf(measured, pid, {
    signatures: requests * plan.items,
    perRequest: plan.items,
    commits: after.commits - before.commits,
  });

  const verified = await verifySample({
    serials: serials.slice(1, 1 + Math.max(measured.requests - connections, Math.min(requests, connections))), // the first one is wrk's own check of its script
    itemsPerRequest: plan.items,
    form: plan.form,
    publicKey,
    askAgain: (index) => askAgain(server, askerOf(askers, index + 1), template, serials[index + 1] ?? ""),
  });
  const entries = (await countsAtRest(home.url, pidOf(home))).size;
  if (entries !== after.size)
    throw new Error(`${name}: ${String(entries - after.size)} of the sampled requests had never been answered`);
  const { bytesPerEntry, types } = await closed(home, entries);
  const done = types.get("sign.outcome");
  if (done === undefined || done !== types.get("sign.intent"))
    throw new Error(`${name}: ${String(types.get("sign.intent"))} intents, ${String(done)} outcomes`);
  asked.tell(
    `${name}: ${String(requests)} requests answered, ${String(entries)} entries, fsck passes, ${String(verified)} signatures verify`,
  );
  return { ...row, bytesPerEntry };

  async function prepare(requests: number, from: number) {
    const sessions = Math.max(8, Math.ceil((requests * plan.items) / 90_000) + 1);
    const askers = await Promise.all(
      Array.from({ length: sessions }, () => (plan.bearer ? bearerOf(home) : jobOf(home))),
    );
    const serials = Array.from({ length: requests }, (_, index) => serialOf(from + index));
    return { prepared: preparedRequests(server, template, askers, serials), askers, serials };
  }
}

async function jobOf(home: House): Promise<Asker> {
  const { token, key } = await home.job();
  return { token, key };
}

/** On a listener that dangerously allows it: nothing but the token. */
async function bearerOf(home: House): Promise<Asker> {
  const identityToken = await home.issuer.mint(githubClaims({ aud: audience }));
  const body = bodyOf("OpenSession", { input: { identityToken, keys: ["attest", "release"] } });
  const nobody = { token: undefined, key: undefined };
  // `token` is a String! of our schema
  const opened = await askAgain({ url: home.url, nonce: "" }, nobody, body, "");
  return { token: opened["token"] as string, key: undefined };
}

async function publicKeyOf(home: House, name: string): Promise<string> {
  const key = expectDone(await (await home.operator()).ask("Key", { name }));
  const pem = key?.versions[0]?.publicKey;
  if (pem === undefined) throw new Error(`there is no key ${name}`);
  return pem;
}

async function openings(asked: Asked): Promise<Found> {
  using folder = temporary();
  await using home = await built({}, asked);
  const pid = pidOf(home);
  const server = await serverAt(home.url);
  const mint = (run: string): Promise<string> => home.issuer.mint(githubClaims({ aud: audience, run_id: run }));
  const prepare = (count: number, from: number): Promise<Prepared> =>
    preparedOpenings(
      server,
      mint,
      Array.from({ length: count }, (_, index) => serialOf(from + index)),
    );
  const rehearsed = await load(home.url, await prepare(warmUp(asked) * 2500, 0), warmUp(asked), pid, folder.path);
  await countsAtRest(home.url, pidOf(home));
  const prepared = await prepare(
    Math.ceil(Math.max((rehearsed.requests / rehearsed.seconds) * 1.8, 600) * asked.seconds),
    2 ** 32,
  );
  const before = await counts(home.url);
  const measured = await load(home.url, prepared, asked.seconds, pid, folder.path);
  const after = await countsAtRest(home.url, pidOf(home));
  const requests = answered("open-session", measured, before, after, 1);
  const row = rowOf("open-session", measured, pid, { commits: after.commits - before.commits });
  const { bytesPerEntry } = await closed(home, after.size);
  asked.tell(`open-session: ${String(requests)} sessions opened, fsck passes`);
  return { ...row, bytesPerEntry };
}

// Auditing

const auditPlans = {
  "audit-by-key": { filter: { keys: [serialPlace] }, value: keyOf },
  "audit-by-digest": { filter: { digest: serialPlace }, value: digestOf },
  "audit-by-principal": { filter: { principal: serialPlace }, value: projectOf },
} as const satisfies Partial<Record<Scenario, { filter: object; value: (pair: number) => string }>>;

/** Entries of a page, each with its proof: what somebody reads at once. */
const page = 20;

async function audits(
  names: readonly (keyof typeof auditPlans)[],
  asked: Asked,
  found: (row: Found) => void,
): Promise<void> {
  using folder = temporary();
  await using home = await built({}, asked);
  await home.stop();
  asked.tell(`audit: writing a log of ${String(asked.entries)} entries`);
  const masterKey = readFileSync(join(home.directory, "master.key"), "utf8").trim();
  const pairs = await grow(join(home.directory, "state"), "signet.test/log", masterKey, asked.entries);
  asked.tell("audit: starting on it, which hashes every leaf again and indexes the rest");
  await home.start({ ...asked.run, patience: 900_000 });
  const auditor = await home.operatorLogin();
  await indexed(home, auditor, pairs);
  for (const name of names) found(await auditing(name, { home, auditor, pairs }, folder.path, asked));
  const { size } = await countsAtRest(home.url, pidOf(home));
  await closed(home, size);
  asked.tell(`audit: ${String(size)} entries, fsck passes`);
}

interface Archive {
  readonly home: House;
  readonly auditor: Asker;
  readonly pairs: number;
}

/** A question waits until everything that was there when it came is indexed. */
async function indexed(home: House, auditor: Asker, pairs: number): Promise<void> {
  for (;;) {
    try {
      await askAgain(
        await serverAt(home.url),
        auditor,
        bodyOf("AuditList", { filter: { digest: digestOf(pairs - 1) }, last: 1 }),
        "",
      );
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000)); // its patience was over
    }
  }
}

async function auditing(
  name: keyof typeof auditPlans,
  { home, auditor, pairs }: Archive,
  folder: string,
  asked: Asked,
): Promise<Found> {
  const pid = pidOf(home);
  const server = await serverAt(home.url);
  const { filter, value } = auditPlans[name];
  const template = bodyOf("AuditList", { filter, last: page });
  const prepare = (count: number): Prepared =>
    preparedRequests(
      server,
      template,
      [auditor],
      Array.from({ length: count }, (_, index) => value((index * 7919) % pairs)),
    );
  const rehearsed = await load(home.url, prepare(warmUp(asked) * 3000), warmUp(asked), pid, folder);
  await countsAtRest(home.url, pidOf(home));
  const prepared = prepare(Math.ceil(Math.max((rehearsed.requests / rehearsed.seconds) * 1.8, 750) * asked.seconds));
  const before = await counts(home.url);
  const measured = await load(home.url, prepared, asked.seconds, pid, folder);
  const after = await countsAtRest(home.url, pidOf(home));
  answered(name, measured, before, after, 1);
  return rowOf(name, measured, pid, { commits: after.commits - before.commits });
}

// What all have in common

const built = (options: HouseOptions, { run }: Asked): Promise<House> => house({ ...options, uses: 100_000, run });

const pidOf = (home: House): number => home.child().pid ?? 0;

export const warmUp = ({ seconds }: Asked): number => Math.max(1, Math.round(seconds / 3));

/**
 * How many requests the daemon answered, those included that wrk no longer waited for. Throws where one was refused or
 * failed, where wrk heard of others than the daemon, or where the log did not grow by `entries` for each.
 */
function answered(name: string, measured: Measured, before: Counts, after: Counts, entries: number): number {
  const requests = after.ok - before.ok;
  const grown = after.size - before.size;
  const failed = after.notOk - before.notOk;
  const hungUp = after.notBegun - before.notBegun;
  if (failed !== hungUp || hungUp > connections)
    throw new Error(`${name}: ${String(failed)} requests were refused or failed: ${after.complaints.join(" ")}`);
  if (requests < measured.requests || requests > measured.requests + connections) {
    throw new Error(`${name}: wrk heard ${String(measured.requests)} answers, the daemon gave ${String(requests)}`);
  }
  if (grown !== requests * entries)
    throw new Error(`${name}: ${String(requests)} requests made ${String(grown)} entries, not ${String(entries)} each`);
  return requests;
}

interface Done {
  /** All that were made while `cpu` was spent. */
  readonly signatures?: number | undefined;
  /** Of a request. */
  readonly perRequest?: number | undefined;
  readonly commits?: number | undefined;
}

const rowOf = (scenario: Scenario, measured: Measured, pid: number, done: Done): Found => ({
  scenario,
  ...numbersOf(measured, pid, done),
});

export function numbersOf(measured: Measured, pid: number, { signatures, perRequest, commits }: Done): Numbers {
  const { seconds, requests, p50, p95, p99, cpu } = measured;
  const made = signatures ?? (perRequest === undefined ? undefined : requests * perRequest);
  return {
    requestsPerSecond: rounded(requests / seconds, 1),
    signaturesPerSecond: perRequest === undefined ? null : rounded((requests * perRequest) / seconds, 1),
    p50Ms: rounded(p50, 2),
    p95Ms: rounded(p95, 2),
    p99Ms: rounded(p99, 2),
    cpuMicrosPerSignature: made === undefined ? null : rounded((cpu / made) * 1e6, 1),
    rssMb: rounded(peakMegabytes(pid), 0),
    fsyncsPerSecond: commits === undefined ? null : rounded(commits / seconds, 1),
    bytesPerEntry: null,
  };
}

export const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Stopped in good order, proved, and weighed. One entry more: daemon.stop. */
async function closed(
  home: House,
  entries: number,
): Promise<{ readonly bytesPerEntry: number; readonly types: ReadonlyMap<string, number> }> {
  const vkey = expectDone(await (await home.operator()).ask("Vkey", {}));
  const { size } = await countsAtRest(home.url, pidOf(home));
  const status = await home.stop();
  if (status !== 0) throw new Error(`the daemon ended with ${String(status)}: ${home.said()}`);
  const state = join(home.directory, "state");
  const types = await entriesOfWholeLog(state, vkey, size + 1);
  return { bytesPerEntry: rounded(bytesIn(state) / Math.max(entries, 1), 0), types };
}

const bytesIn = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((one) => one.isFile())
    .reduce((total, one) => total + statSync(join(one.parentPath, one.name)).size, 0);

export function temporary(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "signet-bench-"));
  return {
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}
