// What a bulkhead promises to whoever calls a custody, whatever that custody does: an end in time, a bounded queue, an
// answer at once while the backend is away, and its name on every fault.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BreakerLimits, breaker } from "../../src/custody/breaker.ts";
import { type Bulkhead, type BulkheadLimits, bulkhead } from "../../src/custody/bulkhead.ts";
import { Fault } from "../../src/model/errors.ts";
import type { KeyVersion } from "../../src/model/key.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { Secret } from "../../src/std/secret.ts";

const key: KeyVersion = {
  key: "release",
  number: 1,
  purpose: "BLOB",
  algorithm: "EC_P256",
  state: "ACTIVE",
  custody: "vault",
  uri: "test:release/1",
  publicKey: "",
  fingerprint: "",
  createdAt: "2026-01-01T00:00:00.000Z",
};
const signature = Buffer.of(1);
const patient = (): AbortSignal => AbortSignal.timeout(10_000);

type Behaviour = (signal: AbortSignal) => Promise<readonly Uint8Array[]>;
const well: Behaviour = () => Promise.resolve([signature]);
const forEver: Behaviour = () => new Promise(() => undefined);
const fails =
  (fault: Error): Behaviour =>
  () =>
    Promise.reject(fault);
const gone = new Fault("CUSTODY_DOWN", "connection refused", {
  nothingHappened: true,
  retryAfter: 2,
  custody: "vault",
});

function scene(limits: Partial<BulkheadLimits> = {}, turnsAway?: () => Fault | undefined) {
  const state = { now: 0, does: well, begun: 0 };
  const counted: string[] = [];
  const said: string[] = [];
  const inside: Custody = {
    kind: "test",
    outside: true,
    algorithms: ["EC_P256"],
    sign: (_key, _items, signal) => {
      state.begun += 1;
      return state.does(signal);
    },
    describe: () => Promise.resolve(undefined),
    ...(turnsAway && { turnsAway }),
    unlock: () => Promise.resolve({ ready: true }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const wall = bulkhead(inside, {
    name: "vault",
    clock: () => state.now,
    metrics: {
      custodyCalled: ({ custody, call, result }) => {
        counted.push(`${custody} ${call} ${result}`);
      },
    },
    log: {
      info: (_about: unknown, text?: string) => said.push(text ?? ""),
      warn: (_about: unknown, text?: string) => said.push(text ?? ""),
    },
    limits: { patience: 5_000, grace: 20, ...limits },
  });
  return { state, wall, counted, said };
}

const sign = (wall: Bulkhead, signal = patient()): Promise<readonly Uint8Array[]> => wall.sign(key, [], signal);
const faultOf = async (work: Promise<unknown>): Promise<Fault> => {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Fault)) throw new Error(`no fault: ${String(error)}`);
  return error;
};
const deadlines = { sign: 50, describe: 50, create: 50, destroy: 50, uses: 50, unlock: 50 };

test("a call goes through as it is, and what a custody has not stays absent", async () => {
  const { wall, counted } = scene();
  expect(await sign(wall)).toEqual([signature]);
  for (const method of ["create", "destroy", "uses"]) expect(wall).not.toHaveProperty(method);
  expect([wall.kind, wall.outside, wall.algorithms]).toEqual(["test", true, ["EC_P256"]]);
  expect(wall.turnsAway()).toBeUndefined();
  expect(counted).toEqual(["vault sign ok"]);
});

test("what the custody knows beforehand is heard, and every fault leaves with the custody's name and its own words", async () => {
  const locked = new Fault("CUSTODY_LOCKED", "no PIN yet", {
    nothingHappened: true,
    hint: "signet custody unlock vault",
  });
  const { state, wall } = scene({}, () => locked);
  expect(wall.turnsAway()).toBe(locked);
  state.does = fails(locked);
  const fault = await faultOf(sign(wall));
  const { custody, hint, nothingHappened, cause } = fault;
  expect([fault.code, custody, hint, nothingHappened, cause]).toEqual([
    "CUSTODY_LOCKED",
    "vault",
    locked.hint,
    true,
    locked,
  ]);
});

describe("the deadline", () => {
  test("is kept where the custody ignores its signal, and frees the place", async () => {
    const { state, wall } = scene({ deadlines, width: 1 });
    state.does = forEver;
    const fault = await faultOf(sign(wall));
    expect(fault).toMatchObject({ code: "CUSTODY_TIMEOUT", custody: "vault", nothingHappened: false });
    state.does = well;
    expect(await sign(wall)).toEqual([signature]);
    expect(wall.load()).toEqual({ running: 0, waiting: 0, breaker: "closed" });
  });

  test("is told to the custody, whose own words are better", async () => {
    const { state, wall } = scene({ deadlines });
    state.does = (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(new Fault("CUSTODY_TIMEOUT", "still in its queue", { nothingHappened: true }));
        });
      });
    expect(await faultOf(sign(wall))).toMatchObject({ code: "CUSTODY_TIMEOUT", nothingHappened: true });
  });

  test("never outlives that of the caller", async () => {
    const { state, wall } = scene();
    state.does = forEver;
    expect(await faultOf(sign(wall, AbortSignal.timeout(30)))).toMatchObject({ code: "CUSTODY_TIMEOUT" });
  });

  test("comes early for all once the daemon stops", async () => {
    const { state, wall } = scene({ width: 1 });
    state.does = forEver;
    const [running, waiting] = [faultOf(sign(wall)), faultOf(sign(wall))];
    await new Promise((resolve) => setTimeout(resolve, 5));
    const began = performance.now();
    wall.hurry(30);
    expect((await running).code).toBe("CUSTODY_TIMEOUT");
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(await waiting).toMatchObject({ code: "OVERLOADED", nothingHappened: true });
  });
});

describe("the queue", () => {
  test("so many at once, so many wait in the order they came, the rest is told to come back", async () => {
    const { state, wall } = scene({ width: 2, queue: 2 });
    const release: (() => void)[] = [];
    state.does = () =>
      new Promise((resolve) =>
        release.push(() => {
          resolve([signature]);
        }),
      );
    const ended: number[] = [];
    const calls = [1, 2, 3, 4].map((n) => sign(wall).then(() => ended.push(n)));
    const fault = await faultOf(sign(wall));
    expect(fault).toMatchObject({ code: "OVERLOADED", custody: "vault", nothingHappened: true, retryAfter: 1 });
    expect(wall.turnsAway()).toMatchObject({ code: "OVERLOADED" });
    expect([state.begun, wall.load()]).toEqual([2, { running: 2, waiting: 2, breaker: "closed" }]);
    for (const wanted of [3, 4, 4, 4]) {
      release.shift()?.();
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(state.begun).toBe(wanted);
    }
    await Promise.all(calls);
    expect(ended).toEqual([1, 2, 3, 4]);
    expect(wall.load()).toEqual({ running: 0, waiting: 0, breaker: "closed" });
  });

  test("nobody waits longer for a turn than the patience", async () => {
    const { state, wall } = scene({ width: 1, patience: 30 });
    state.does = forEver;
    void sign(wall).catch(() => undefined);
    expect(await faultOf(sign(wall))).toMatchObject({ code: "OVERLOADED", nothingHappened: true });
    expect(state.begun).toBe(1);
  });

  test("whoever waits is told at once when the breaker opens", async () => {
    const { state, wall } = scene({ width: 1, breaker: { faults: 1, pause: 1000, longest: 1000 } });
    let fail = (): void => undefined;
    state.does = () =>
      new Promise((_, reject) => {
        fail = () => {
          reject(gone);
        };
      });
    const [first, second] = [faultOf(sign(wall)), faultOf(sign(wall))];
    await new Promise((resolve) => setTimeout(resolve, 5));
    fail();
    expect(await first).toBe(gone);
    expect(await second).toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true, retryAfter: 1 });
    expect(state.begun).toBe(1);
  });
});

describe("the breaker", () => {
  const limits: BreakerLimits = { faults: 3, pause: 1_000, longest: 4_000 };

  test("opens after faults in a row, answers at once, lets one through, and closes", async () => {
    const { state, wall, said, counted } = scene({ breaker: limits });
    state.does = fails(gone);
    for (let n = 0; n < 3; n += 1) expect(await faultOf(sign(wall))).toBe(gone);
    expect(wall.health()).toMatchObject({
      status: "fail",
      message: expect.stringContaining("3 faults in a row") as string,
    });
    expect(wall.turnsAway()).toMatchObject({ code: "CUSTODY_DOWN", custody: "vault", retryAfter: 1 });
    const turned = await faultOf(sign(wall));
    expect(turned).toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true, retryAfter: 1, custody: "vault" });
    expect([state.begun, wall.load().breaker]).toEqual([3, "open"]);

    state.now = 1_000;
    expect([wall.turnsAway(), wall.load().breaker]).toEqual([undefined, "half-open"]);
    let answer = (): void => undefined;
    state.does = () =>
      new Promise((resolve) => {
        answer = () => {
          resolve([signature]);
        };
      });
    const probe = sign(wall);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await faultOf(sign(wall))).toMatchObject({ code: "CUSTODY_DOWN", nothingHappened: true });
    expect(wall.turnsAway()).toBeDefined();
    answer();
    expect(await probe).toEqual([signature]);
    expect([wall.turnsAway(), wall.load().breaker, wall.health().status]).toEqual([undefined, "closed", "ok"]);
    expect(said).toHaveLength(2);
    expect(counted.filter((one) => one.endsWith("CUSTODY_DOWN"))).toHaveLength(5);
  });

  test("asks less often the longer the backend is away", async () => {
    const { state, wall } = scene({ breaker: limits });
    state.does = fails(gone);
    const asked: number[] = [];
    for (state.now = 0; state.now < 15_000; state.now += 500) {
      const before = state.begun;
      await faultOf(sign(wall));
      if (state.begun > before) asked.push(state.now);
    }
    expect(asked).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 12_000]);
  });

  test.each<[string, boolean, Error]>([
    ["a broken connection", true, new Fault("CUSTODY_DOWN", "reset")],
    ["a timeout", true, new Fault("CUSTODY_TIMEOUT", "late")],
    ["something that nobody wrapped", true, new TypeError("undefined is not a function")],
    ["an answer about this key", false, new Fault("CUSTODY_DOWN", "no such key", { nothingHappened: true })],
    ["too many requests", false, new Fault("OVERLOADED", "429", { nothingHappened: true, retryAfter: 1 })],
  ])("%s opens it: %s", async (_, opens, fault) => {
    const { state, wall } = scene({ breaker: limits });
    state.does = fails(fault);
    for (let n = 0; n < 10; n += 1) expect(await faultOf(sign(wall))).toMatchObject({ custody: "vault" });
    expect([wall.load().breaker, state.begun]).toEqual(opens ? ["open", 3] : ["closed", 10]);
  });

  test("a PIN that opens the token closes it", async () => {
    const { state, wall } = scene({ breaker: limits });
    state.does = fails(gone);
    for (let n = 0; n < 3; n += 1) await faultOf(sign(wall));
    await wall.unlock?.(new Secret(Buffer.from("123456")), patient());
    expect(wall.load().breaker).toBe("closed");
  });

  test("whatever happens: open only after faults in a row, one probe at a time, and it closes when the backend is well", () => {
    const step = fc.oneof(
      fc.record({ ending: fc.constantFrom("well", "away", "neither") }),
      fc.record({ wait: fc.integer({ min: 1, max: 5_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let now = 0;
        const gate = breaker(() => now, limits);
        let row = 0;
        for (const one of steps) {
          if ("wait" in one) {
            now += one.wait;
            continue;
          }
          const entered = gate.enter();
          if ("retryAfter" in entered) {
            expect(row).toBeGreaterThanOrEqual(limits.faults);
            expect(entered.retryAfter).toBeLessThanOrEqual(limits.longest / 1000);
            continue;
          }
          if (entered.probe) expect(gate.enter()).toHaveProperty("retryAfter");
          gate.settled(entered, one.ending);
          row = one.ending === "away" ? row + 1 : one.ending === "well" || entered.probe ? 0 : row;
          if (row === 0) expect(gate.state().breaker).toBe("closed");
        }
        now += limits.longest;
        const last = gate.enter();
        if ("retryAfter" in last) throw new Error("it never lets anybody through again");
        gate.settled(last, "well");
        expect(gate.state()).toEqual({ breaker: "closed", faults: 0 });
      }),
    );
  });
});
