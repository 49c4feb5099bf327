// A witness's word against the log bears no signature: a slip of it must not stop signing, and a stop must end by itself.

import { expect, test } from "vitest";
import { publishing } from "../../src/broker/publish.ts";
import type { Log } from "../../src/ports/log.ts";
import type { Witnessed } from "../../src/ports/witness.ts";

const note = "signet.test/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u2014 signet.test/log AAAA\n";
const ahead: Witnessed = { witness: "w1", result: "ahead", message: "it has cosigned 9 entries; we hold 7" };
const cosigned: Witnessed = { witness: "w1", result: "cosigned", time: 1 };

/** Each round of publishing takes its answers from the front of `says`, the last one for ever. */
function publishingWith(says: Witnessed[]) {
  const told: (string | undefined)[] = [];
  const entries: unknown[] = [];
  const log = { head: () => ({ size: 7 }), checkpoint: () => Promise.resolve(note) } as unknown as Log; // all that it asks
  const publisher = publishing({
    log,
    tree: { publish: () => Promise.resolve() },
    remember: () => Promise.resolve(),
    witnesses: {
      names: ["w1"],
      submit: () => {
        const answer = says.length > 1 ? says.shift() : says[0];
        return Promise.resolve({ note, answers: answer ? [answer] : [], quorum: true });
      },
    },
    journal: {
      append: (_request, body) => {
        entries.push(body({ index: 7 }));
        return Promise.resolve({ conflict: "attempt" });
      },
    },
    stop: (reason) => {
      told.push(reason);
    },
  });
  return { publish: () => publisher.publish(), told, entries };
}

test("said once and not again, it changes nothing", async () => {
  const { publish, told, entries } = publishingWith([ahead, cosigned]);
  await publish();
  expect(told).toEqual([undefined]);
  expect(entries).toEqual([]);
});

test("said twice, signing stops and the log says so once, until that witness cosigns again", async () => {
  const { publish, told, entries } = publishingWith([ahead, ahead, ahead, ahead, cosigned]);
  await publish();
  expect(told.at(-1)).toMatch(/^witness w1: it has cosigned 9 entries; we hold 7\. The log was rolled back or forked/);
  await publish();
  expect(entries).toEqual([{ type: "incident.witness", witness: "w1", message: ahead.message }]);
  await publish();
  expect(told.at(-1)).toBeUndefined();
});
