// signetd: the process. Arguments, signals, exit code; everything else is daemon.ts.

import { existsSync, readFileSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import pino from "pino";
import { type Config, ConfigError, configJsonSchema, readConfig, readPolicyFiles } from "./config.ts";
import { rebuildViews, startDaemon } from "./daemon.ts";
import { errorTable, Fault } from "./model/errors.ts";
import { loadPolicy, PolicyError } from "./policy/index.ts";
import { recover } from "./recover.ts";
import { systemClock, systemRandom } from "./std/clock.ts";
import { noStep, recoverySteps, type Step, steps } from "./std/steps.ts";

const usage = `signetd: the signing broker's daemon

  signetd --config signet.yaml           run
  signetd --config signet.yaml --check   read configuration and policy, say what is wrong, exit
  signetd --config signet.yaml --rebuild drop the query tables and make them again from the leaves, exit
  signetd --config signet.yaml recover [--accept-loss]
                                         a new log in a damaged one's place; without the option, what that would cost
  signetd --config-schema                JSON Schema of the configuration, for editors
  signetd --version

SIGHUP reads the policy directory again; SIGTERM and SIGINT finish what was accepted and stop.
Exit codes: 0 stopped in good order, 2 usage or configuration (recover: nothing was changed), 9 not durable or busy, 13 the log is damaged, 1 anything else.
`;

const version = (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string })
  .version; // ours

async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    return complain(error);
  }
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      config: { type: "string" },
      check: { type: "boolean" },
      rebuild: { type: "boolean" },
      "accept-loss": { type: "boolean" },
      "config-schema": { type: "boolean" },
      dev: { type: "boolean" },
      version: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  const [verb, ...more] = positionals;
  if (more.length > 0 || (verb !== undefined && verb !== "recover") || (values["accept-loss"] && verb === undefined))
    return misunderstood(
      `there is no command "${[...positionals, ...(values["accept-loss"] ? ["--accept-loss"] : [])].join(" ")}"`,
    );
  if (values.help) return say(usage);
  if (values.version) return say(`signetd ${version}\n`);
  if (values["config-schema"]) return say(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  if (values.config === undefined) throw new ConfigError(["no configuration: signetd --config signet.yaml"]);

  const config = readConfig(values.config, process.env);
  if (verb === "recover") return await recovered(config, values["accept-loss"] ?? false);
  const policy = loadPolicy(readPolicyFiles(config.policy));
  if (values.check)
    return say(
      `${values.config}: ok · ${String(policy.grants.length)} grants, ${String(policy.cases)} cases pass · policy ${policy.hash}\n`,
    );

  const log = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  if (values.rebuild) {
    await rebuildViews({ config, log, clock: systemClock, random: systemRandom });
    return say("the query tables are rebuilt from the leaves\n");
  }
  // Before "ready" is said: whoever stops the daemon on that word is heard, and a stop during the start waits for its end.
  const stop = stopSignal();
  let reload = (): void => undefined;
  process.on("SIGHUP", () => {
    reload();
  });
  const daemon = await startDaemon({
    config,
    log,
    clock: systemClock,
    random: systemRandom,
    step: stepOf(process.env),
    version,
    dev: values.dev ?? false,
    dangerous: Object.keys(process.env).filter((name) => name.startsWith("SIGNET_DANGEROUSLY_")),
  });
  reload = () => void daemon.reloadPolicy();
  const signal = await stop;
  log.info({ signal }, "stopping: finishing what was accepted");
  await daemon[Symbol.asyncDispose]();
  log.info("stopped");
  return 0;
}

/** Policy is not read: a new log can begin while it is broken. */
async function recovered(config: Config, acceptLoss: boolean): Promise<number> {
  const { done, text } = await recover({
    config,
    clock: systemClock,
    random: systemRandom,
    step: stepOf(process.env),
    version,
    acceptLoss,
  });
  process.stderr.write(`signetd recover: ${text}\n`);
  return done ? 0 : 2;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.once(signal, () => {
        resolve(signal);
      });
  });
}

/**
 * For the fault tests, and said aloud so that nobody is surprised. SIGNET_DANGEROUSLY_DIE_AT names a step at which this
 * process kills itself; or `@FILE`, which names it (`STEP`, or `STEP 2` for its second time) once that file is there.
 * SIGNET_DANGEROUSLY_TELL_STEPS=1 writes the name of each step to stderr, in order with the system calls around it.
 */
function stepOf(environment: NodeJS.ProcessEnv): Step {
  const [named, telling] = [
    environment["SIGNET_DANGEROUSLY_DIE_AT"],
    environment["SIGNET_DANGEROUSLY_TELL_STEPS"] === "1",
  ];
  if (named === undefined && !telling) return noStep;
  const dying = named === undefined ? noStep : dyingAt(named);
  return (step) => {
    if (telling) writeSync(2, `step ${step}\n`);
    dying(step);
  };
}

function dyingAt(named: string): Step {
  const file = named.startsWith("@") ? named.slice(1) : undefined;
  const all = [...steps, ...recoverySteps];
  if (file === undefined && !all.some((step) => step === named))
    throw new ConfigError([`SIGNET_DANGEROUSLY_DIE_AT: there is no step "${named}"; there are ${all.join(", ")}`]);
  process.stderr.write(`signetd dies at ${named}, as SIGNET_DANGEROUSLY_DIE_AT says\n`);
  let passed = 0;
  return (step) => {
    if (file !== undefined && !existsSync(file)) return;
    const [wanted, time = "1"] = (file === undefined ? named : readFileSync(file, "utf8")).trim().split(" ");
    if (step === wanted && ++passed === Number(time)) process.kill(process.pid, "SIGKILL");
  };
}

function complain(error: unknown): number {
  if (error instanceof ConfigError || error instanceof PolicyError) {
    process.stderr.write(`signetd: the configuration does not load\n${error.message.replaceAll(/^/gm, "  ")}\n`);
    return 2;
  }
  if (error instanceof Fault) {
    const row = errorTable[error.code];
    process.stderr.write(
      `signetd: error[${row.number}] ${row.title}\n  found  ${error.message}\n  next   ${row.explain}\n`,
    );
    return row.exit;
  }
  const wrongArguments =
    error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (wrongArguments) return misunderstood(error.message);
  process.stderr.write(`signetd: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}

function misunderstood(what: string): number {
  process.stderr.write(`signetd: ${what}\n\n${usage}`);
  return 2;
}

// Collected once it has grown by three quarters: by itself V8 lets the heap of a busy daemon grow to several times what lives.
setFlagsFromString("--heap-growing-percent=75");
process.exitCode = await main(process.argv.slice(2));
