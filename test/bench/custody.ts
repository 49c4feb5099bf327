// npm run bench:custody: what it costs to have Signet in front of a place where keys live, against that place alone. The
// same run, client, cores and Vault for all rows; bearer tokens over loopback on both sides, so that no row pays for
// proofs that another does not have. What each row means: docs/performance.md.
//
//   npm run bench:custody                              everything, ten seconds a row: about five minutes
//   npm run bench:custody -- --json > numbers.jsonl    one object a line; what is going on stays on stderr
//   npm run bench:custody -- --only vault-single,transit-single --seconds 5
//   --from-source, --rough                             as for npm run bench

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { run } from "../support/command.ts";
import type { HouseOptions, Run } from "../support/house.ts";
import { custodyYaml, softhsmToken, type TestToken } from "../support/pkcs11.ts";
import { mount } from "../support/vault-transit.ts";
import { builtDaemon, daemonEnvironment, wholeNumber } from "./command-line.ts";
import {
  type CustodyRow,
  type CustodyScenario,
  custodyScenarios,
  isCustodyScenario,
  tableOfCustodies,
} from "./custody-table.ts";
import { type Asked, mustBeBusy, type Numbers, rounded, signing } from "./scenario.ts";
import { type AuditedVault, auditedVault, vaultAlone } from "./vault-alone.ts";

interface Backends {
  readonly vault: () => Promise<AuditedVault>;
  readonly token: () => Promise<TestToken>;
}

type Measure = (name: CustodyScenario, backends: Backends, asked: Asked) => Promise<Numbers>;

/** Requests a second that no machine reaches: so many are prepared. */
const most = { single: 12_000, batch: 700, lonely: 3_000 };

const rows: Readonly<Record<CustodyScenario, Measure>> = {
  "vault-single": ofVault({ items: 1, most: 30_000, reference: true }),
  "vault-batch-100": ofVault({ items: 100, most: 2_000, reference: true }),
  "software-single": ofSignet(1, software),
  "software-batch-100": ofSignet(100, software),
  "transit-single": ofSignet(1, transit),
  "transit-batch-100": ofSignet(100, transit),
  "module-alone": moduleAlone,
  "pkcs11-single": ofSignet(1, pkcs11),
  "pkcs11-batch-100": ofSignet(100, pkcs11),
  "vault-low-load": ofVault({ items: 1, most: 5_000, connections: 1, reference: false }),
  "transit-low-load": ofSignet(1, transit, 1),
};

function ofVault(plan: Parameters<typeof vaultAlone>[1]): Measure {
  return async (name, { vault }, asked) => vaultAlone(name, plan, await vault(), asked);
}

function ofSignet(items: 1 | 100, place: (backends: Backends) => Promise<HouseOptions>, connections?: number): Measure {
  const enough = connections === 1 ? most.lonely : items === 1 ? most.single : most.batch;
  return async (name, backends, asked) => {
    const house = await place(backends);
    const plan = { items, form: "message", bearer: true, most: enough, house } as const;
    return signing(name, connections === undefined ? plan : { ...plan, connections }, asked);
  };
}

const keysIn = (custody: string): NonNullable<HouseOptions["keys"]> => [
  { name: "attest", purpose: "ATTESTATION", custody },
  { name: "release", purpose: "BLOB", custody },
];

function software(): Promise<HouseOptions> {
  return Promise.resolve({ keys: keysIn("software") });
}

async function transit({ vault }: Backends): Promise<HouseOptions> {
  const { server, tokenFile } = await vault();
  // Names of keys are made once: each daemon has its own.
  const prefix = `b${crypto.randomUUID().slice(0, 8)}-`;
  const auth = `{ method: token, token: { file: "${tokenFile}" } }`;
  return {
    keys: keysIn("vault-transit"),
    config: `custodies:\n  - { kind: vault-transit, address: "${server.address}", mount: ${mount}, prefix: ${prefix}, auth: ${auth} }\n`,
  };
}

/** A token of its own for each: it is one process's at a time. */
async function pkcs11({ token }: Backends): Promise<HouseOptions> {
  const one = await token();
  const pinFile = join(one.folder, "pin");
  writeFileSync(pinFile, one.pin, { mode: 0o600 });
  return { keys: keysIn("pkcs11"), config: `custodies:\n${custodyYaml(one, `{ file: "${pinFile}" }`)}` };
}

const told = z.object({
  requests: z.number(),
  seconds: z.number(),
  p50: z.number(),
  p95: z.number(),
  p99: z.number(),
  cpu: z.number(),
  rssMb: z.number(),
});

async function moduleAlone(name: string, { token }: Backends, asked: Asked): Promise<Numbers> {
  const { module, label, serial, pin, environment } = await token();
  const program = join(import.meta.dirname, "module-alone.ts");
  const wanted = JSON.stringify({ module, label, serial, pin });
  const { status, stdout, stderr } = await run(process.execPath, [program, wanted, String(asked.seconds)], {
    env: environment,
    timeout: (2 * asked.seconds + 30) * 1000,
  });
  if (stdout === "" || (status !== null && status !== 0))
    throw new Error(`${name}: the module did not sign: ${stderr}`);
  const row = told.parse(JSON.parse(stdout));
  mustBeBusy(name, row, 0, asked);
  const rate = rounded(row.requests / row.seconds, 1);
  return {
    requestsPerSecond: rate,
    signaturesPerSecond: rate,
    p50Ms: rounded(row.p50, 2),
    p95Ms: rounded(row.p95, 2),
    p99Ms: rounded(row.p99, 2),
    cpuMicrosPerSignature: rounded((row.cpu / row.requests) * 1e6, 1),
    rssMb: rounded(row.rssMb, 0),
    fsyncsPerSecond: null,
    bytesPerEntry: null,
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      only: { type: "string" },
      seconds: { type: "string", default: "10" },
      "from-source": { type: "boolean", default: false },
      rough: { type: "boolean", default: false },
    },
  });
  const names = namesIn(values.only);
  const daemon: Run = {
    env: daemonEnvironment(),
    ...(values["from-source"] ? {} : { program: builtDaemon(tell) }),
  };
  const seconds = wholeNumber("seconds", values.seconds);
  const asked: Asked = { seconds, entries: 0, run: daemon, rough: values.rough, tell };
  await using undo = new AsyncDisposableStack();
  let vault: Promise<AuditedVault> | undefined;
  const backends: Backends = {
    vault: () => (vault ??= auditedVault().then((one) => undo.use(one))),
    token: async () => undo.use(await softhsmToken("bench")),
  };
  const found: CustodyRow[] = [];
  for (const scenario of names) {
    const row = comparedWith(found, scenario, await rows[scenario](scenario, backends, asked));
    found.push(row);
    if (values.json) process.stdout.write(`${JSON.stringify(row)}\n`);
    tell(`${scenario}: ${(row.signaturesPerSecond ?? 0).toFixed(0)} signatures/s, p99 ${row.p99Ms.toFixed(1)} ms`);
  }
  if (!values.json) process.stdout.write(tableOfCustodies(found));
}

function tell(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

function namesIn(only: string | undefined): readonly CustodyScenario[] {
  if (only === undefined) return custodyScenarios;
  const names = only.split(",");
  const unknown = names.find((name) => !isCustodyScenario(name));
  if (unknown !== undefined)
    throw new Error(`there is no scenario "${unknown}"; there are ${custodyScenarios.join(", ")}`);
  return custodyScenarios.filter((name) => names.includes(name));
}

/** Null where what it would be compared with was not measured before it in this run. */
function comparedWith(before: readonly CustodyRow[], scenario: CustodyScenario, row: Numbers): CustodyRow {
  const found = (name: CustodyScenario): Numbers | undefined =>
    name === scenario ? row : before.find((one) => one.scenario === name);
  const to = (name: CustodyScenario): number | null => {
    const [rate, base] = [row.signaturesPerSecond, found(name)?.signaturesPerSecond];
    return rate === null || base === null || base === undefined ? null : rounded(rate / base, 3);
  };
  const lonely = found("vault-low-load");
  return {
    scenario,
    ...row,
    ratioToBareHttp: null,
    ratioToVault: scenario.endsWith("low-load")
      ? null
      : to(scenario.endsWith("batch-100") ? "vault-batch-100" : "vault-single"),
    ratioToModule: scenario.startsWith("pkcs11") ? to("module-alone") : null,
    addedP50Ms: scenario === "transit-low-load" && lonely ? rounded(row.p50Ms - lonely.p50Ms, 2) : null,
  };
}

await main();
