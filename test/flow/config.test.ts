// The configuration says what is wrong with it: where, what was found, what is expected; and nothing starts.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ConfigError, readConfig } from "../../src/config.ts";
import { run } from "../support/command.ts";

const folder = mkdtempSync(join(tmpdir(), "signet-config-"));
const file = join(folder, "signet.yaml");
const good = `origin: signet.test/log
stateDirectory: state
listeners:
  - tcp: 127.0.0.1:0
masterKey: { file: master.key }
policy: policy
`;
beforeAll(() => {
  mkdirSync(join(folder, "policy"));
  writeFileSync(join(folder, "master.key"), Buffer.alloc(32, 7));
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
])("%s is an error that says where and what", (_what, text, expected) => {
  expect(problemsOf(text)).toMatch(expected);
});

test("a master key of the wrong length says how to make one", () => {
  writeFileSync(join(folder, "short.key"), "short");
  expect(problemsOf(good.replace("master.key", "short.key"))).toContain("openssl rand");
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
