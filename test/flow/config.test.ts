// The configuration says what is wrong with it: where, what was found, what is expected; and nothing starts.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ConfigError, readConfig } from "../../src/config.ts";
import { ask } from "../server/stub.ts";
import { run } from "../support/command.ts";
import { bareHouse } from "../support/house.ts";

const folder = mkdtempSync(join(tmpdir(), "signet-config-"));
const file = join(folder, "signet.yaml");
const good = `origin: signet.test/log
stateDirectory: state
listeners:
  - tcp: 127.0.0.1:0
masterKey: { file: master.key }
policy: policy
`;
const issuer = (more: string): string =>
  `${good}issuers:\n  - { issuer: "https://ci.test", audience: signet, ${more} }\n`;
const withTls = (files: string): string => good.replace("0\n", `0\n    tls: { ${files} }\n`);
beforeAll(() => {
  mkdirSync(join(folder, "policy"));
  writeFileSync(join(folder, "master.key"), Buffer.alloc(32, 7), { mode: 0o600 });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function read(text: string, environment: Record<string, string> = {}): ReturnType<typeof readConfig> {
  writeFileSync(file, text);
  return readConfig(file, environment);
}

function problemsOf(text: string, environment: Record<string, string> = {}): string {
  try {
    read(text, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "no problem";
}

test("a small configuration loads, with paths beside the file and the usual settings", () => {
  const config = read(good);
  expect(config.stateDirectory).toBe(join(folder, "state"));
  expect(config).toMatchObject({ approvals: "two-persons", publishEvery: 1000, custodies: [{ kind: "software" }] });
});

test("SIGNET_* variables stand above the file", () => {
  expect(read(good, { SIGNET_ORIGIN: "other.test/log" }).origin).toBe("other.test/log");
});

test.each([
  ["an unknown key", `${good}colour: blue\n`, /signet\.yaml:7:1: colour: is not a key that Signet knows/],
  [
    "an unknown key deep inside",
    good.replace("0\n", "0\n    bearer: true\n"),
    /signet\.yaml:5:5: listeners\.0\.bearer/,
  ],
  [
    "a value of the wrong form",
    good.replace("signet.test/log", "https://signet.test/log"),
    /signet\.yaml:1:9: origin: must be a host name and path/,
  ],
  ["a missing key", good.replace("policy: policy\n", ""), /policy/],
  ["a key twice", `${good}policy: other\n`, /unique/],
  ["plain http beyond loopback", good.replace("127.0.0.1:0", "0.0.0.0:8420"), /plain http beyond loopback/],
  [
    "bearer sessions beyond loopback",
    good.replace(
      "tcp: 127.0.0.1:0",
      "tcp: 192.0.2.1:1\n    publicUrl: https://x.test\n    dangerouslyAllowBearer: true",
    ),
    /loopback addresses only/,
  ],
  ["a master key that is not there", good.replace("master.key", "no.key"), /no\.key/],
  [
    "an environment variable that is not set",
    good.replace("{ file: master.key }", "{ env: NO_SUCH }"),
    /NO_SUCH is not set/,
  ],
  ["no YAML at all", "origin: [", /signet\.yaml/],
  [
    "an issuer twice with one audience",
    `${issuer("provider: github")}  - { issuer: "https://ci.test", provider: person, audience: signet }\n`,
    /signet\.yaml:9:5: issuers\.1: has the issuer and the audience of issuers\.0/,
  ],
  [
    "a generic issuer without names of claims",
    issuer("provider: generic"),
    /signet\.yaml:8:5: issuers\.0: provider generic needs claims/,
  ],
  [
    "a generic issuer's claim for a field that there is not",
    issuer("provider: generic, claims: { tenantId: org, projectId: repo, projct: repo }"),
    /signet\.yaml:8:\d+: issuers\.0\.claims\.projct: is not a key/,
  ],
  [
    "a generic issuer without the claim of the project",
    issuer("provider: generic, claims: { tenantId: org }"),
    /signet\.yaml:8:\d+: issuers\.0\.claims\.projectId/,
  ],
  [
    "names of claims for a provider that has its own",
    issuer("provider: github, claims: { tenantId: org, projectId: repo }"),
    /signet\.yaml:8:\d+: issuers\.0\.claims: is for provider generic/,
  ],
  ["a witness policy that is not there", `${good}witnesses: none\n`, /signet\.yaml:7:12: witnesses: .*none: ENOENT/],
  [
    "a witness policy that is none",
    `${good}witnesses: signet.yaml\n`,
    /signet\.yaml:7:12: witnesses: .*: policy, line 1: "origin:" is none of/,
  ],
  [
    "TLS files that are not there",
    withTls("cert: no.pem, key: no.key"),
    /signet\.yaml:5:18: listeners\.0\.tls\.cert: .*no\.pem: ENOENT[\s\S]*signet\.yaml:5:31: listeners\.0\.tls\.key/,
  ],
  [
    "TLS files that are no PEM",
    withTls("cert: signet.yaml, key: signet.yaml"),
    /signet\.yaml:5:10: listeners\.0\.tls: .*PEM chain/,
  ],
  ["a port that there is not", good.replace(":0", ":65536"), /signet\.yaml:4:10: listeners\.0\.tcp: has a port over/],
  [
    "two listeners at one address",
    good.replace("127.0.0.1:0", "127.0.0.1:8420\n  - tcp: 127.0.0.1:8420"),
    /signet\.yaml:5:5: listeners\.1: listens where listeners\.0 does/,
  ],
  [
    "a socket with a path that is too long",
    good.replace("tcp: 127.0.0.1:0", `unix: ${"s".repeat(108)}`),
    /listeners\.0\.unix: .* is longer than a socket's path/,
  ],
  [
    "two custodies of one kind",
    `${good}custodies: [{ kind: software }, { kind: software }]\n`,
    /signet\.yaml:7:41: custodies\.1\.kind: there is a custody "software" already/,
  ],
])("%s is an error that says where and what", (_what, text, expected) => {
  expect(problemsOf(text)).toMatch(expected);
});

test("a master key of the wrong length says how to make one", () => {
  writeFileSync(join(folder, "short.key"), "short");
  expect(problemsOf(good.replace("master.key", "short.key"))).toContain("openssl rand");
});

test.each([
  ["32 bytes", Buffer.alloc(32, 200)],
  ["their base64", Buffer.alloc(32, 200).toString("base64")],
  ["their base64 with the line's end", `${Buffer.alloc(32, 200).toString("base64")}\n`],
])("a master key may be %s", (_what, key) => {
  writeFileSync(join(folder, "other.key"), key, { mode: 0o600 });
  const { masterKey } = read(good.replace("master.key", "other.key"));
  expect(Buffer.from(masterKey.reveal())).toEqual(Buffer.alloc(32, 200));
});

test.each([
  ["half a key in hex", "0123456789abcdef0123456789abcdef", /signet\.yaml:5:12: masterKey: is 32 characters of text/],
  ["31 characters and the line's end", `${"passphrase".repeat(3)}1\n`, /is 32 characters of text/],
  ["a key in hex", "0123456789abcdef".repeat(4), /masterKey: 64 bytes were found/],
  ["base64 with something in it", `!${Buffer.alloc(32, 200).toString("base64")}`, /masterKey: 45 bytes were found/],
  ["base64 without its padding", Buffer.alloc(32, 200).toString("base64url"), /masterKey: 43 bytes were found/],
])("a master key is never %s, and is not shown", (_what, key, expected) => {
  writeFileSync(join(folder, "other.key"), key, { mode: 0o600 });
  const said = problemsOf(good.replace("master.key", "other.key"));
  expect(said).toMatch(expected);
  expect(said).not.toContain(key.trim());
  expect(problemsOf(good.replace("{ file: master.key }", "{ env: KEY }"), { KEY: key })).toMatch(expected);
});

test("a master key that others can read is refused, except as a credential, whose mode systemd decides", () => {
  const key = join(folder, "shared.key");
  writeFileSync(key, Buffer.alloc(32, 7));
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(key, mode);
    expect(problemsOf(good.replace("master.key", "shared.key"))).toContain(`chmod 600 ${key}`);
  }
  chmodSync(key, 0o400);
  expect(problemsOf(good.replace("master.key", "shared.key"))).toBe("no problem");
  chmodSync(key, 0o440);
  const credential = good.replace("{ file: master.key }", "{ credential: shared.key }");
  expect(problemsOf(credential, { CREDENTIALS_DIRECTORY: folder })).toBe("no problem");
});

test("a master key beside the database is refused, also through a link", () => {
  mkdirSync(join(folder, "state", "deep"), { recursive: true });
  writeFileSync(join(folder, "state", "deep", "key"), Buffer.alloc(32, 7), { mode: 0o600 });
  symlinkSync(join(folder, "state"), join(folder, "link"));
  const beside = /signet\.yaml:5:12: masterKey: .* is inside stateDirectory .*never beside the database/;
  expect(problemsOf(good.replace("master.key", "state/deep/key"))).toMatch(beside);
  expect(problemsOf(good.replace("master.key", "link/deep/key"))).toMatch(beside);
  expect(problemsOf(good.replace("state\n", ".\n"))).toMatch(beside);
  writeFileSync(join(folder, "state.key"), Buffer.alloc(32, 7), { mode: 0o600 });
  expect(problemsOf(good.replace("master.key", "state.key"))).toBe("no problem");
  rmSync(join(folder, "state"), { recursive: true });
});

test("signetd --check reads configuration and policy, and exits 2 where one is wrong", async () => {
  const signetd = resolve(import.meta.dirname, "../../deploy/bin/signetd");
  writeFileSync(file, good);
  expect(await run(signetd, ["--config", file, "--check"])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("ok · 0 grants") as string,
  });
  writeFileSync(join(folder, "policy", "bad.yaml"), "grants:\n  - name: x\n    whom: {}\n");
  const bad = await run(signetd, ["--config", file, "--check"]);
  expect(bad.status).toBe(2);
  expect(bad.stderr).toContain("bad.yaml:3");
  expect((await run(signetd, ["--no-such"])).status).toBe(2);
  expect((await run(signetd, [])).stderr).toContain("signetd --config signet.yaml");
});

test("a configuration that --check refuses does not begin a log either", async () => {
  const signetd = resolve(import.meta.dirname, "../../deploy/bin/signetd");
  writeFileSync(file, `${good}witnesses: none\n`);
  const checked = await run(signetd, ["--config", file, "--check"]);
  const started = await run(signetd, ["--config", file]);
  expect(checked.stderr).toContain("signet.yaml:7:12: witnesses");
  expect(started).toEqual(checked);
  expect(started.status).toBe(2);
  expect(existsSync(join(folder, "state"))).toBe(false);
});

test("metrics are for this machine, unless a listener says otherwise", async () => {
  await using home = await bareHouse();
  const text = readFileSync(home.config, "utf8");
  const status = async (path: string): Promise<number> => (await ask(`${home.url}${path}`)).status;
  await home.start();
  expect(await status("/metrics")).toBe(200);
  await home.stop();

  const published = text.replace(/( +)openLog:/, "$1publicUrl: https://signet.test\n$&");
  writeFileSync(home.config, published);
  await home.start();
  expect([await status("/metrics"), await status("/readyz")]).toEqual([404, 200]);
  expect((await ask("http://localhost/metrics", { socketPath: home.socket })).status).toBe(200);
  await home.stop();

  writeFileSync(home.config, published.replace(/( +)openLog:/, "$1metrics: true\n$&"));
  await home.start();
  expect(await status("/metrics")).toBe(200);
}, 60_000);
