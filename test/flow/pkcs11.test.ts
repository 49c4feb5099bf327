// docs/custody/pkcs11.md, from nothing to a first signature: its commands and its configuration as they stand there.

import { createPublicKey, verify } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, expect, test } from "vitest";

import { isRefused } from "../../src/client/connect.ts";
import { blocksOf } from "../docs/blocks.ts";
import { run } from "../support/command.ts";
import { quickStart, refusedStart } from "../support/faults.ts";
import { bareHouse, blob } from "../support/house.ts";
import { lacks, peer } from "../support/peers.ts";

const blocks = blocksOf(join(import.meta.dirname, "../../docs/custody/pkcs11.md"));
const block = (word: string): string => {
  const found = blocks.find(({ text }) => text.includes(word));
  if (found === undefined) throw new Error(`the page has no block with ${word}`);
  return found.text;
};

const folder = mkdtempSync(join(tmpdir(), "signet-pkcs11-page-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test.skipIf(await lacks("softhsm"))(
  "the page takes an operator from nothing to a signature, and the PIN is never shown",
  { timeout: 60_000 },
  async () => {
    const made = await run("sh", ["-euc", block("softhsm2-util --init-token")], { cwd: folder });
    expect(made.stderr).toBe("");
    const serial = made.stdout.trim().split("\n").at(-1) ?? "";
    const yaml = block("pin: operator");
    const config = yaml
      .slice(yaml.indexOf("custodies:"))
      .replace("/usr/lib/softhsm/libsofthsm2.so", await peer("softhsm"))
      .replace("0123456789abcdef", serial)
      .replace("/etc/signet/softhsm2.conf", join(folder, "softhsm2.conf"));
    await using home = await bareHouse({ config, approvals: "one-person" });
    await home.start({ env: quickStart });

    const signet = async (line: string, input = "") => {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain = ""]) => quoted ?? plain);
      const program = join(import.meta.dirname, "../../src/cli/main.ts");
      const env = { HOME: folder, SIGNET_SERVER: `unix:${home.socket}`, ...quickStart };
      return run(process.execPath, [program, ...words.slice(1)], { cwd: folder, env, input });
    };
    expect(await signet("signet operator enrol-first ana")).toMatchObject({ status: 0 });

    const wrong = await signet("signet custody unlock pkcs11", "000000\n");
    expect(wrong.status).toBe(5);
    expect(wrong.stderr).toContain("CKR_PIN_INCORRECT");
    for (const line of block("signet custody unlock").trim().split("\n")) {
      const { status, stdout, stderr } = await signet(line, line.includes("unlock") ? "123456\n" : "");
      expect(status, `${line}: ${stderr}`).toBe(0);
      expect(stdout + stderr).not.toContain("123456");
      if (line.endsWith("custody list")) expect(stdout).toMatch(/pkcs11 +pkcs11 +fail/);
    }
    expect((await signet("signet custody list")).stdout).toMatch(/pkcs11 +pkcs11 +ok +token release is ready/);

    const job = await home.job({ keys: ["release"] });
    const signed = await job.sign([blob("app.tgz", "the bytes")], { key: "release" });
    if (isRefused(signed)) throw new Error(signed.message);
    const { stdout: pem } = await signet("signet key show release --pem");
    const signature = Buffer.from(signed.signatures[0]?.value ?? "", "base64");
    expect(verify("sha256", Buffer.from("the bytes"), createPublicKey(pem), signature)).toBe(true);
    expect(home.said()).not.toContain("123456");
  },
);

test("a daemon whose module is not there says which, and does not start", async () => {
  const custody = "  - { kind: pkcs11, module: /nowhere/module.so, token: { serial: '77' }, pin: operator }";
  await using home = await bareHouse({ config: `custodies:\n${custody}\n` });
  const { status, stderr } = await refusedStart(home);
  expect(status).toBe(2);
  expect(stderr).toContain("custody pkcs11: there is no module /nowhere/module.so");
  expect(stderr).not.toContain(".ts:");
});
