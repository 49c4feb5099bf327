// What waits for a second person, edited while the daemon was stopped: whoever approves must get what was asked for.

import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { isRefused } from "../../src/client/connect.ts";
import { refusedStart } from "../support/faults.ts";
import { type House, house } from "../support/house.ts";

let home: House;
const state = (): string => join(home.directory, "state");
const whole = (): string => join(home.directory, "whole");

beforeAll(async () => {
  home = await house({ approvals: "two-persons", keys: [{ name: "attest", purpose: "ATTESTATION" }] });
  const asked = await (await home.operator()).ask("ActivateKey", { input: { key: "attest", reason: "for the test" } });
  expect(isRefused(asked) && asked.refusal).toBe("APPROVAL_PENDING");
  await home.stop();
  cpSync(state(), whole(), { recursive: true });
}, 120_000);
beforeEach(() => {
  rmSync(state(), { recursive: true });
  cpSync(whole(), state(), { recursive: true });
});
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

test.each([
  ["the action", `json_set(json, '$.action.to', 'DESTROYED')`],
  ["the action and its hash", `json_set(json, '$.action.reason', 'other', '$.hash', '${"0".repeat(64)}')`],
  ["who asked", `json_set(json, '$.requester', 'somebody else')`],
  ["the name of who asked", `json_set(json, '$.requesterName', 'Somebody')`],
  ["how long it waits", `json_set(json, '$.expiresAt', 4102444800000)`],
  ["whether it was decided", `json_set(json, '$.state', 'APPROVED')`],
])(
  "%s edited in the tables: refused",
  async (_, sql) => {
    const db = new DatabaseSync(join(state(), "truth.sqlite"));
    expect(db.prepare(`UPDATE record SET json = ${sql} WHERE kind = 'pending'`).run().changes).toBe(1);
    db.close();
    const { status, stderr } = await refusedStart(home);
    expect(stderr).toMatch(/pending action pa_\S+ is not as the log says/);
    expect(status).toBe(13);
  },
  60_000,
);
