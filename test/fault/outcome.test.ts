// The log fails exactly while an outcome is written: whether that write was lost or happened all the same, the intent
// ends with one outcome. In-process, because only so can each kind of failure be put on the one COMMIT.

import { describe, expect, test } from "vitest";
import { journal } from "../../src/broker/journal.ts";
import { unfinished } from "../../src/broker/unfinished.ts";
import type { Entry } from "../../src/model/entry.ts";
import { noMetrics } from "../../src/ports/metrics.ts";
import { fromUtf8, hex } from "../../src/std/bytes.ts";
import {
  appended,
  dialects,
  digestOf,
  directory,
  failures,
  furnish,
  intent,
  job,
  noon,
  sessionOf,
  type TestLog,
} from "../support/db.ts";

/** Nothing in these tests can never be written. */
const shout = (error: unknown): never => {
  throw error;
};

describe.each(dialects)("on $name", ({ open }) => {
  test.each(failures)(
    "$name: an intent in doubt gets the outcome failed, if it is there at all",
    async ({ persisted, inject }) => {
      using place = directory();
      await using log = await open(place.path);
      await furnish(log, sessionOf("ss_1"));
      const journaling = journal({
        log,
        clock: () => noon,
        node: "n1",
        epoch: 1,
        metrics: noMetrics,
        known: () => true,
      });
      const outcomes = unfinished(journaling, log, shout);
      const { size } = log.head();
      const failing = inject();
      const body = { ...intent("ss_1", digestOf("app"))({ index: size }), request: "rq_9" };
      await expect(journaling.append("rq_9", () => body)).rejects.toMatchObject({ code: "LOG_NOT_DURABLE" });
      outcomes.doubtful("rq_9", size, (ref) => {
        if (body.type !== "sign.intent") throw new Error("not the intent");
        return {
          type: "sign.outcome",
          by: body.by,
          session: body.session,
          key: body.key,
          items: body.items,
          intent: ref,
          result: "failed",
          code: "LOG_NOT_DURABLE",
        };
      });
      failing.mend();
      await outcomes.settle();
      await outcomes.settle();
      expect(outcomes.waiting()).toBe(0);
      expect(await resultsIn(log)).toEqual(persisted ? ["failed"] : []);
    },
  );

  test.each(failures)("$name: one outcome", async ({ persisted, inject }) => {
    using place = directory();
    await using log = await open(place.path);
    await furnish(log, sessionOf("ss_1"));
    const journaling = journal({ log, clock: () => noon, node: "n1", epoch: 1, metrics: noMetrics, known: () => true });
    const outcomes = unfinished(journaling, log, shout);
    const begun = appended(await log.append({ entry: intent("ss_1", digestOf("app")) }));
    const about = {
      type: "sign.outcome" as const,
      by: job,
      cnf: undefined,
      session: "ss_1",
      key: keyIn(begun.entry),
      items: [],
      intent: { index: begun.index, hash: hex(begun.hash) },
    };

    const failing = inject();
    await expect(journaling.append("rq_1", () => ({ ...about, result: "done" }))).rejects.toMatchObject({
      code: "LOG_NOT_DURABLE",
    });
    outcomes.later({ ...about, result: "withheld", code: "LOG_NOT_DURABLE" }, []);
    failing.mend();
    await outcomes.settle(); // the first to ask the log since it failed
    expect(outcomes.waiting()).toBe(0);
    await outcomes.settle();
    expect(await resultsIn(log)).toEqual([persisted ? "done" : "withheld"]);
  });

  test("while the log still fails the outcome waits, quietly", async () => {
    using place = directory();
    await using log = await open(place.path);
    await furnish(log, sessionOf("ss_1"));
    const journaling = journal({ log, clock: () => noon, node: "n1", epoch: 1, metrics: noMetrics, known: () => true });
    const outcomes = unfinished(journaling, log, shout);
    const begun = appended(await log.append({ entry: intent("ss_1", digestOf("app")) }));
    outcomes.later(
      {
        type: "sign.outcome",
        by: job,
        cnf: undefined,
        session: "ss_1",
        key: keyIn(begun.entry),
        items: [],
        intent: { index: begun.index, hash: hex(begun.hash) },
        result: "withheld",
      },
      [],
    );
    const failing = failures.find((one) => one.name.includes("stays away"))?.inject();
    await log.append({ entry: intent("ss_1", digestOf("other")) }).catch(() => undefined);
    await outcomes.settle();
    expect(outcomes.waiting()).toBe(1);
    failing?.mend();
    await outcomes.settle();
    expect(await resultsIn(log)).toEqual(["withheld"]);
  });
});

function keyIn(entry: Entry) {
  if (entry.type !== "sign.intent") throw new Error(`${entry.type} is no intent`);
  return entry.key;
}

async function resultsIn(log: TestLog): Promise<readonly string[]> {
  const out: string[] = [];
  for await (const { leaf } of log.leaves(0, Infinity)) {
    const entry = JSON.parse(fromUtf8(leaf)) as Entry;
    if (entry.type === "sign.outcome") out.push(entry.result);
  }
  return out;
}
