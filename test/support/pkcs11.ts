// Throw-away PKCS#11 tokens for tests: SoftHSM (files), NSS softokn (a database), a TPM in software behind tpm2-pkcs11.
// Each has its own folder, its own daemons where it needs any, and ends with the test.

import { type ChildProcess, spawn } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { pkcs11Kind } from "../../src/custody/pkcs11.ts";
import { type KeyAlgorithm, type KeyVersion, keyAlgorithms } from "../../src/model/key.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { Secret } from "../../src/std/secret.ts";
import { run } from "./command.ts";
import type { CustodyFixture } from "./custody.ts";
import { until } from "./faults.ts";
import { peer } from "./peers.ts";
import { freePort } from "./port.ts";

export interface TestToken extends AsyncDisposable {
  readonly module: string;
  readonly label: string;
  readonly serial: string;
  readonly pin: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly initialize?: string;
  readonly folder: string;
}

export const rightPin = "123456";
const soPin = "87654321";

export async function softhsmToken(label = "test", pin = rightPin): Promise<TestToken> {
  const module = await peer("softhsm");
  const folder = mkdtempSync(join(tmpdir(), "signet-softhsm-"));
  const configuration = join(folder, "softhsm2.conf");
  mkdirSync(join(folder, "tokens"));
  writeFileSync(
    configuration,
    `directories.tokendir = ${join(folder, "tokens")}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`,
  );
  const environment = { SOFTHSM2_CONF: configuration };
  await must(
    "softhsm2-util",
    ["--init-token", "--free", "--label", label, "--so-pin", soPin, "--pin", pin],
    environment,
  );
  const slots = await must("softhsm2-util", ["--show-slots"], environment);
  const serial = /Serial number: +(\S+)/.exec(slots)?.[1] ?? "";
  return { module, label, serial, pin, environment, folder, ...removing(folder) };
}

export async function softoknToken(): Promise<TestToken> {
  const module = await peer("softokn");
  const folder = mkdtempSync(join(tmpdir(), "signet-softokn-"));
  writeFileSync(join(folder, "pin"), rightPin);
  await must("certutil", ["-N", "-d", `sql:${folder}`, "-f", join(folder, "pin")], {});
  return {
    module,
    label: "NSS Certificate DB",
    serial: "0000000000000000",
    pin: rightPin,
    environment: {},
    initialize: `configdir='sql:${folder}' certPrefix='' keyPrefix='' secmod='secmod.db' `,
    folder,
    ...removing(folder),
  };
}

/** A TPM with its resource manager on a bus of its own. It locks after a few wrong PINs, as a real one. */
export async function tpmToken(): Promise<TestToken> {
  const module = await peer("tpm2-pkcs11");
  const folder = mkdtempSync(join(tmpdir(), "signet-tpm-"));
  const [state, store] = [join(folder, "state"), join(folder, "store")];
  mkdirSync(state);
  mkdirSync(store);
  const daemons: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const daemon of daemons.toReversed()) await ended(daemon);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await must("swtpm_setup", ["--tpm2", "--tpmstate", state, "--create-ek-cert"], {});
    const port = await twoFreePorts();
    const flags = ["--flags", "not-need-init,startup-clear"];
    const at = (number: number): string => `type=tcp,port=${String(number)},bindaddr=127.0.0.1`;
    daemons.push(
      quiet(
        "swtpm",
        ["socket", "--tpm2", "--tpmstate", `dir=${state}`, "--ctrl", at(port + 1), "--server", at(port), ...flags],
        {},
      ),
    );
    const bus = join(folder, "bus");
    daemons.push(quiet("dbus-daemon", ["--session", `--address=unix:path=${bus}`, "--nofork", "--nopidfile"], {}));
    const tcti = "tabrmd:bus_type=session,bus_name=com.intel.tss2.Tabrmd";
    const environment = {
      DBUS_SESSION_BUS_ADDRESS: `unix:path=${bus}`,
      TPM2_PKCS11_STORE: store,
      TPM2_PKCS11_TCTI: tcti,
    };
    const tools = { ...environment, TPM2TOOLS_TCTI: tcti };
    await until("the bus and the TPM listen", async () => existsSync(bus) && !(await isFree(port)));
    daemons.push(
      quiet(
        "tpm2-abrmd",
        ["--session", "--allow-root", `--tcti=swtpm:host=127.0.0.1,port=${String(port)}`],
        environment,
      ),
    );
    await until(
      "the resource manager answers",
      async () => (await run("tpm2_ptool", ["init", "--path", store], { env: tools })).status === 0,
    );
    await must(
      "tpm2_ptool",
      ["addtoken", "--pid=1", `--sopin=${soPin}`, `--userpin=${rightPin}`, "--label=test", "--path", store],
      tools,
    );
    return {
      module,
      label: "test",
      serial: "0000000000000000",
      pin: rightPin,
      environment,
      folder,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface Opening {
  readonly name?: string;
  /** Instead of the right one; "operator": none is sealed. */
  readonly pin?: string;
  readonly module?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly deadline?: string;
  readonly queue?: number;
  readonly token?: string;
  /** What the custody says to the daemon's log. */
  readonly said?: string[];
  /** What the file of the PIN holds each time it is read; instead of `pin`. Throws where it cannot be read. */
  readonly sealed?: () => string;
}

/** The custody on a token, as a daemon opens it. */
export function openPkcs11(token: TestToken, options: Opening = {}): Custody {
  const { name = "pkcs11", pin = token.pin, said = [] } = options;
  const config = pkcs11Kind.config.parse({
    kind: "pkcs11",
    name,
    module: options.module ?? token.module,
    token: options.token ?? { label: token.label, serial: token.serial },
    pin: pin === "operator" ? "operator" : { file: "pin" },
    environment: { ...token.environment, ...options.environment },
    ...(token.initialize !== undefined && { initialize: token.initialize }),
    ...(options.deadline !== undefined && { deadline: options.deadline }),
    ...(options.queue !== undefined && { queue: options.queue }),
  });
  const tell = (fields: object, text?: string): void => {
    said.push(`${text ?? ""} ${JSON.stringify(fields)}`);
  };
  return pkcs11Kind.open(config, {
    name,
    clock: systemClock,
    random: systemRandom,
    log: { info: tell, warn: tell, error: tell },
    secret: () => new Secret(Buffer.from(options.sealed?.() ?? pin)),
    masterKey: new Secret(Buffer.alloc(32)),
    sealedKeys: {
      find: () => Promise.resolve(undefined),
      keep: () => Promise.resolve(false),
      remove: () => Promise.resolve(false),
    },
  });
}

/** Once the token is ready, or is not. */
export async function settled(custody: Custody): Promise<void> {
  await until("the token is looked for", () => !(custody.health?.().message ?? "").includes("is being looked for"));
}

export const pkcs11Fixture: CustodyFixture = {
  kind: "pkcs11",
  algorithms: keyAlgorithms,
  short: [],
  needs: ["softhsm"],
  async open() {
    const token = await softhsmToken();
    const again = () => openPkcs11(token);
    const custody = again();
    await settled(custody);
    const nowhere = `pkcs11:serial=${token.serial};token=test;id=%00;object=nobody-1;type=private`;
    return { custody, again, nowhere, close: async () => token[Symbol.asyncDispose]() };
  },
};

/** Configuration of a daemon for the token; the PIN lies in `pinFile`. */
export const custodyYaml = (token: TestToken, pin: string, more = ""): string =>
  `  - kind: pkcs11
    module: ${token.module}
    token: "pkcs11:token=${encodeURIComponent(token.label)};serial=${token.serial}"
    pin: ${pin}
    environment: ${JSON.stringify(token.environment)}
${more}`;

async function must(program: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const { status, stdout, stderr } = await run(program, args, { env });
  if (status !== 0) throw new Error(`${program} ${args[0] ?? ""} failed: ${stderr || stdout}`);
  return stdout;
}

const quiet = (program: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess =>
  spawn(program, args, { env: { ...process.env, ...env }, stdio: "ignore" });

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await Promise.race([exit, sleep(2000, undefined, { ref: false })]);
  child.kill("SIGKILL");
  await exit;
}

const removing = (folder: string): AsyncDisposable => ({
  [Symbol.asyncDispose]() {
    rmSync(folder, { recursive: true, force: true });
    return Promise.resolve();
  },
});

/** swtpm's control port is the one after its own: clients take that for granted. */
async function twoFreePorts(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (await isFree(port + 1)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = new Promise<boolean>((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      resolve(true);
    });
  });
  const free = await listening;
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

/** A module between the custody and the token's own that misbehaves on command (test/fault/pkcs11-shim.c). */
export interface Shim {
  readonly token: TestToken;
  /** From now on; undefined: it behaves. */
  misbehave(how: string | undefined): void;
  /** How often a PIN was given to the token. */
  logins(): number;
}

export async function shimmed(token: TestToken): Promise<Shim> {
  const module = join(token.folder, "shim.so");
  const [when, count] = [join(token.folder, "when"), join(token.folder, "count")];
  const source = join(import.meta.dirname, "../fault/pkcs11-shim.c");
  await must(await peer("gcc"), ["-shared", "-fPIC", "-O1", "-o", module, source, "-ldl"], {});
  const environment = { ...token.environment, PKCS11_REAL: token.module, PKCS11_WHEN: when, PKCS11_COUNT: count };
  return {
    token: { ...token, module, environment },
    misbehave(how) {
      if (how === undefined) rmSync(when, { force: true });
      else {
        writeFileSync(`${when}.new`, `${how}\n`);
        renameSync(`${when}.new`, when);
      }
    },
    logins: () => (existsSync(count) ? readFileSync(count, "utf8").split("\n").length - 1 : 0),
  };
}

/** A key of the custody, as the broker records it. */
export async function madeKey(custody: Custody, key: string, algorithm: KeyAlgorithm = "EC_P256"): Promise<KeyVersion> {
  if (custody.create === undefined) throw new Error("a token makes keys");
  const version = { key, number: 1, purpose: "BLOB", algorithm } as const;
  const { publicKey, uri } = await custody.create(version, AbortSignal.timeout(60_000));
  const fingerprint = sha256Hex(createPublicKey(publicKey).export({ format: "der", type: "spki" }));
  const createdAt = "2026-01-01T00:00:00.000Z";
  return { ...version, state: "ACTIVE", custody: "pkcs11", uri, publicKey, fingerprint, createdAt };
}
