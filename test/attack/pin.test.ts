// Who guesses a token's PIN gets one try for each guess, on the record, and nobody else suffers.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quickStart, until } from "../support/faults.ts";
import { expectDone, type House, house, statement } from "../support/house.ts";
import { lacks } from "../support/peers.ts";
import { custodyYaml, type Shim, shimmed, softhsmToken, type TestToken } from "../support/pkcs11.ts";

const pin = "736251";

describe.skipIf(await lacks("softhsm", "gcc"))("attack 38", () => {
  let token: TestToken;
  let shim: Shim;
  let home: House;

  beforeAll(async () => {
    token = await softhsmToken("test", pin);
    shim = await shimmed(token); // counts logins
    home = await house({
      config: `custodies:\n  - kind: software\n${custodyYaml(shim.token, "operator", "    name: token\n")}`,
      run: { env: quickStart },
    });
  }, 60_000);
  afterAll(async () => {
    await home[Symbol.asyncDispose]();
    await token[Symbol.asyncDispose]();
  });

  const guess = (who: Awaited<ReturnType<House["operator"]>>, guessed: string, custody = "token") =>
    who.ask("UnlockCustody", { input: { custody, pin: guessed, salt: crypto.randomUUID() } });

  test("a job, and whoever is no operator, does not get to guess at all", async () => {
    const job = await home.job();
    const before = shim.logins();
    expect(await guess(job.client, "000000")).toMatchObject({ refusal: "ROLE_MISSING" });
    expect(shim.logins()).toBe(before);
  });

  test("a refused guess is never given to the token again, and each guess is an entry of its guesser", async () => {
    const operator = await home.operator();
    const known = (await home.entries()).length;
    const before = shim.logins();
    for (const guessed of ["000000", "000000", "111111", "000000", "111111"])
      expect(await guess(operator, guessed)).toMatchObject({ refusal: "PIN_REFUSED" });
    expect(shim.logins() - before).toBe(2);
    const outcomes = (await home.entries()).slice(known).filter((entry) => entry["type"] === "custody.unlock.outcome");
    expect(outcomes).toHaveLength(5);
    for (const entry of outcomes) expect(entry).toMatchObject({ result: "failed", by: { kind: "person" } });
    expect(JSON.stringify(outcomes)).not.toMatch(/000000|111111/);
  });

  test("others sign meanwhile, and the right PIN still opens it", async () => {
    const job = await home.job();
    expectDone(await job.sign([statement()]));
    const operator = await home.operator();
    expect(expectDone(await guess(operator, pin)).custody).toMatchObject({ name: "token", status: "ok" });
    await until("the token is open", async () => {
      const custodies = expectDone(await operator.ask("Custodies", {}));
      return custodies.some(({ name, status }) => name === "token" && status === "ok");
    });
  });
});
