// What src/ports/log.ts promises of writing: all or nothing, once, in order, and with proof. On every dialect.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { Fault } from "../../src/model/errors.ts";
import type { KeyState } from "../../src/model/key.ts";
import type { SigningSession } from "../../src/model/session.ts";
import type { Conflict, Write } from "../../src/ports/log.ts";
import { fromUtf8, hex, utf8 } from "../../src/std/bytes.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { fsck } from "../../src/tlog/fsck.ts";
import { leafHash, verifyConsistency } from "../../src/tlog/merkle.ts";
import { parseReceipt, verifyReceipt } from "../../src/tlog/proof.ts";
import {
  appended,
  dialects,
  digestOf,
  directory,
  furnish,
  grow,
  intent,
  isConflict,
  keyOf,
  markOf,
  noon,
  note,
  origin,
  sessionOf,
  signer,
  spendOf,
  type TestDirectory,
  type TestLog,
  tokenOf,
} from "../support/db.ts";

const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && fromUtf8(bytes);

describe.each(dialects)("the log on $name", ({ open }) => {
  let place: TestDirectory;
  let log: TestLog;

  beforeEach(async () => {
    place = directory();
    log = await open(place.path);
  });
  afterEach(async () => {
    await log[Symbol.asyncDispose]();
    place[Symbol.dispose]();
  });

  const reopen = async (): Promise<void> => {
    await log[Symbol.asyncDispose]();
    log = await open(place.path);
  };
  const signing = (session: string, more: Partial<Write> = {}): Write => ({
    entry: intent(session, digestOf("app")),
    spend: spendOf(session),
    ...more,
  });
  const usesLeft = async (id: string): Promise<number | undefined> => (await log.session(id))?.usesLeft;

  describe("a Write", () => {
    test("becomes true as a whole: leaf, blob, use, mark, record, answer", async () => {
      await furnish(log, sessionOf("ss_1"));
      const begun = { id: markOf("attempt"), request: sha256Hex("request"), expiresAt: noon + 60_000 };
      const written = appended(
        await log.append(
          signing("ss_1", {
            blobs: [utf8("the proof")],
            marks: [{ kind: "proof", id: markOf("jti"), expiresAt: noon + 60_000 }],
            puts: [{ kind: "key", id: "other", value: keyOf("other"), expects: 0 }],
            begin: begun,
          }),
        ),
      );
      await reopen();
      expect(written.index).toBe(3);
      expect(textOf(await log.leaf(3))).toBe(textOf(written.leaf));
      expect(textOf(await log.blob(digestOf("the proof")))).toBe("the proof");
      expect(await usesLeft("ss_1")).toBe(4);
      expect(log.record("key", "other")?.value.name).toBe("other");
      expect(await log.attempt(begun.id)).toEqual({ request: begun.request });
      expect(written.entry).toMatchObject({ uses: { granted: 5, left: 4 } });
    });

    test("whose last condition fails leaves no trace of its first ones", async () => {
      await furnish(log, sessionOf("ss_1"));
      const before = log.head();
      const result = await log.append(
        signing("ss_1", {
          marks: [{ kind: "proof", id: markOf("jti"), expiresAt: noon + 60_000 }],
          begin: { id: markOf("attempt"), request: "", expiresAt: noon + 60_000 },
          puts: [{ kind: "key", id: "release", value: keyOf("release", "SUSPENDED"), expects: 99 }],
        }),
      );
      expect(result).toEqual({ conflict: "revision", kind: "key", id: "release" });
      expect(log.head()).toEqual(before);
      expect(await usesLeft("ss_1")).toBe(5);
      expect(await log.attempt(markOf("attempt"))).toBeUndefined();
      const again = signing("ss_1", { marks: [{ kind: "proof", id: markOf("jti"), expiresAt: noon + 60_000 }] });
      expect(isConflict(await log.append(again))).toBe(false);
    });

    test("whose entry cannot be made is refused alone; its neighbours in the commit are written", async () => {
      const broken: Write = {
        entry: () => {
          throw new RangeError("no such thing");
        },
      };
      const huge = note("x".repeat(70_000));
      const results = await Promise.allSettled([
        log.append(note("a")),
        log.append(broken),
        log.append(huge),
        log.append(note("b")),
      ]);
      expect(results.map((one) => one.status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
      expect(log.head().size).toBe(2);
      expect(textOf(await log.leaf(1))).toContain('"message":"b"');
    });

    test("that adds a token to a session is told the uses that its neighbours in the commit have left", async () => {
      await furnish(log, sessionOf("ss_1", { usesLeft: 3 }));
      const told: unknown[] = [];
      const again: Write = {
        entry: (facts) => {
          told.push(facts.uses);
          return note("again").entry(facts);
        },
        token: { session: "ss_1", token: tokenOf("second") },
      };
      await Promise.all([log.append(signing("ss_1")), log.append(again), log.append(signing("ss_1"))]);
      expect(told).toEqual([{ granted: 5, left: 2 }]);
    });

    test("finishes an attempt with its answer and the index of its entry", async () => {
      const id = markOf("attempt");
      await log.append({ ...note("intent"), begin: { id, request: "r", expiresAt: noon + 1 } });
      expect(await log.append({ ...note("twice"), begin: { id, request: "r", expiresAt: noon + 1 } })).toEqual({
        conflict: "attempt",
      });
      const outcome = appended(await log.append({ ...note("outcome"), finish: { id, answer: utf8("signature") } }));
      const attempt = await log.attempt(id);
      expect(attempt).toMatchObject({ request: "r", outcome: outcome.index });
      expect(textOf(attempt?.answer)).toBe("signature");
    });

    test("forgets an attempt that came to nothing: it may begin again", async () => {
      const begin = { id: markOf("attempt"), request: "r", expiresAt: noon + 1 };
      await log.append({ ...note("intent"), begin });
      await log.append({ ...note("outcome"), abandon: begin.id });
      expect(await log.attempt(begin.id)).toBeUndefined();
      expect(await log.append({ ...note("again"), begin })).not.toHaveProperty("conflict");
      expect(await log.attempt(begin.id)).toEqual({ request: "r" });
    });
  });

  describe("races", () => {
    test("fifty requests for the last use: exactly one gets it", async () => {
      await furnish(log, sessionOf("ss_1", { usesLeft: 1 }));
      const results = await Promise.all(Array.from({ length: 50 }, () => log.append(signing("ss_1"))));
      expect(results.filter((one) => !isConflict(one))).toHaveLength(1);
      expect(results.filter(isConflict)).toEqual(Array<Conflict>(49).fill({ conflict: "session-spent", usesLeft: 0 }));
      expect(log.head().size).toBe(4);
    });

    test("two uses asked of a session with one: none is spent", async () => {
      await furnish(log, sessionOf("ss_1", { usesLeft: 1 }));
      const result = await log.append(signing("ss_1", { spend: spendOf("ss_1", { uses: 2 }) }));
      expect(result).toEqual({ conflict: "session-spent", usesLeft: 1 });
      expect(await usesLeft("ss_1")).toBe(1);
    });

    test("one mark shown twenty times at once counts once, also after a restart", async () => {
      const write: Write = { ...note("once"), marks: [{ kind: "token", id: markOf("t"), expiresAt: noon + 1 }] };
      const results = await Promise.all(Array.from({ length: 20 }, () => log.append(write)));
      expect(results.filter((one) => !isConflict(one))).toHaveLength(1);
      await reopen();
      expect(await log.append(write)).toEqual({ conflict: "mark", mark: "token" });
      const otherKind: Write = { ...write, marks: [{ kind: "proof", id: markOf("t"), expiresAt: noon + 1 }] };
      expect(isConflict(await log.append(otherKind))).toBe(false);
    });

    test("a refused Write takes nothing from those that share its commit, and their indices stay dense", async () => {
      await furnish(log, sessionOf("ss_1", { usesLeft: 10 }));
      const mixed = Array.from({ length: 30 }, (_, i) =>
        log.append(
          i % 3 === 1
            ? signing("ss_1", { spend: spendOf("ss_1", { policy: "sha256:old" }) })
            : signing("ss_1", { spend: spendOf("ss_1", { uses: i % 3 === 0 ? 1 : 0 }) }),
        ),
      );
      const results = await Promise.all(mixed);
      expect(results.filter(isConflict)).toHaveLength(10);
      const indices = results.flatMap((one) => (isConflict(one) ? [] : [one.index]));
      expect(indices).toEqual(Array.from({ length: 20 }, (_, i) => i + 3));
      expect(await usesLeft("ss_1")).toBe(0);
    });

    test("of writers who read the same revision one wins; a record made anew is not the one deleted", async () => {
      const put = (expects: number, what: "kept" | "deleted" = "kept"): Write => ({
        ...note("put"),
        puts: [{ kind: "key", id: "release", value: what === "kept" ? keyOf() : undefined, expects }],
      });
      const results = await Promise.all(Array.from({ length: 10 }, () => log.append(put(0))));
      expect(results.filter((one) => !isConflict(one))).toHaveLength(1);
      const first = log.record("key", "release")?.revision ?? 0;
      expect(isConflict(await log.append(put(first, "deleted")))).toBe(false);
      expect(log.record("key", "release")).toBeUndefined();
      expect(isConflict(await log.append(put(0)))).toBe(false);
      expect(await log.append(put(first))).toEqual({ conflict: "revision", kind: "key", id: "release" });
      await reopen();
      expect(log.records("key").map((one) => one.value)).toEqual([keyOf()]);
    });
  });

  describe("spending asks for", () => {
    const cases: readonly {
      name: string;
      session?: Partial<SigningSession>;
      key?: KeyState;
      policy?: string;
      at?: number;
      expected: Conflict;
    }[] = [
      { name: "an open session", session: { state: "REVOKED" }, expected: { conflict: "session-ended", usesLeft: 5 } },
      { name: "time left", at: noon + 600_000, expected: { conflict: "session-ended", usesLeft: 5 } },
      { name: "an active key version", key: "SUSPENDED", expected: { conflict: "key-not-active", usesLeft: 5 } },
      { name: "the policy in force", policy: "sha256:next", expected: { conflict: "policy-changed", usesLeft: 5 } },
      {
        name: "a session that the policy in force permits",
        session: { policy: "sha256:old" },
        expected: { conflict: "policy-changed", usesLeft: 5 },
      },
    ];
    test.each(cases)("$name", async ({ session, key, policy: inForce, at, expected }) => {
      await furnish(log, sessionOf("ss_1", session));
      const revision = (kind: "key" | "policy", id: string): number => log.record(kind, id)?.revision ?? 0;
      if (key) {
        await log.append({
          ...note("state"),
          puts: [{ kind: "key", id: "release", value: keyOf("release", key), expects: revision("key", "release") }],
        });
      }
      if (inForce) {
        await log.append({
          ...note("reload"),
          puts: [{ kind: "policy", id: "current", value: { hash: inForce }, expects: revision("policy", "current") }],
        });
      }
      const size = log.head().size;
      expect(await log.append(signing("ss_1", { spend: spendOf("ss_1", at ? { at } : {}) }))).toEqual(expected);
      expect(log.head().size).toBe(size);
    });

    test("a session at all", async () => {
      await furnish(log, sessionOf("ss_1"));
      expect(await log.append(signing("ss_2"))).toEqual({ conflict: "session-ended" });
    });
  });

  describe("sessions", () => {
    test("are found by id, by token, by further tokens and by identity token, also after a restart", async () => {
      const session = sessionOf("ss_1");
      await furnish(log, session);
      await log.append({ ...note("again"), token: { session: "ss_1", token: tokenOf("second") } });
      const expected = { ...session, entry: 2 };
      for (const restarted of [false, true]) {
        if (restarted) await reopen();
        expect(await log.session("ss_1")).toEqual(expected);
        expect(await log.sessionByToken(tokenOf("ss_1"))).toEqual(expected);
        expect(await log.sessionByToken(tokenOf("second"))).toEqual(expected);
        expect(await log.sessionByIdentityToken(session.identityToken)).toEqual(expected);
        expect(await log.sessionByToken(tokenOf("never issued"))).toBeUndefined();
      }
    });

    test("end once; what ended stays readable and spends nothing", async () => {
      await furnish(log, sessionOf("ss_1"));
      const close: Write = { ...note("close"), close: { session: "ss_1", state: "CLOSED", at: noon } };
      expect(isConflict(await log.append(close))).toBe(false);
      expect(await log.append(close)).toEqual({ conflict: "session-ended", usesLeft: 5 });
      await reopen();
      expect((await log.sessionByToken(tokenOf("ss_1")))?.state).toBe("CLOSED");
      expect(await log.append(signing("ss_1"))).toEqual({ conflict: "session-ended", usesLeft: 5 });
    });

    test("that cover a key end together with what ends them, each with an entry before it; others go on", async () => {
      await furnish(log, sessionOf("ss_1"));
      for (const [id, changes] of [
        ["ss_2", {}],
        ["ss_other", { keys: ["other"] }],
        ["ss_closed", {}],
        ["ss_expired", { expiresAt: noon - 1 }],
      ] as const)
        await log.append({ ...note(id), open: { session: sessionOf(id, changes), token: tokenOf(id) } });
      await log.append({ ...note("close"), close: { session: "ss_closed", state: "CLOSED", at: noon } });
      await log.append(signing("ss_2"));
      const ended: [string, number][] = [];
      const stop: Write = {
        ...note("the key stops"),
        closeAll: {
          key: "release",
          state: "REVOKED",
          at: noon,
          entry: (session, { left }) => {
            ended.push([session, left]);
            return note(`${session} ends`).entry({ index: 0 });
          },
        },
      };
      // One that is opened by the transaction's neighbour ends too.
      const late = log.append({ ...note("late"), open: { session: sessionOf("ss_3"), token: tokenOf("ss_3") } });
      const [, written] = await Promise.all([late, log.append(stop)]);
      expect(ended.map(([session]) => session)).toEqual(["ss_1", "ss_2", "ss_3"]);
      expect(ended[1]?.[1]).toBeLessThan(5);
      const { index } = appended(written);
      const leaves = [];
      for await (const { leaf } of log.leaves(index - 3, index + 1))
        leaves.push((JSON.parse(fromUtf8(leaf)) as { message: string }).message);
      expect(leaves).toEqual(["ss_1 ends", "ss_2 ends", "ss_3 ends", "the key stops"]);
      for (const restarted of [false, true]) {
        if (restarted) await reopen();
        expect((await log.session("ss_2"))?.state).toBe("REVOKED");
        expect((await log.session("ss_other"))?.state).toBe("OPEN");
        expect((await log.session("ss_closed"))?.state).toBe("CLOSED");
      }
    });

    test("re-decided under a new policy go on; the others do not", async () => {
      await furnish(log, sessionOf("ss_1"));
      await log.append({ ...note("second"), open: { session: sessionOf("ss_2"), token: tokenOf("ss_2") } });
      const next = "sha256:next";
      const expects = log.record("policy", "current")?.revision ?? 0;
      await log.append({
        ...note("reload"),
        puts: [{ kind: "policy", id: "current", value: { hash: next }, expects }],
        repolicy: [{ session: "ss_1", policy: next }],
      });
      expect(isConflict(await log.append(signing("ss_1", { spend: spendOf("ss_1", { policy: next }) })))).toBe(false);
      expect(await log.append(signing("ss_2", { spend: spendOf("ss_2", { policy: next }) }))).toMatchObject({
        conflict: "policy-changed",
      });
    });

    test("are listed newest first, page by page, and counted by principal and grant", async () => {
      await furnish(log, sessionOf("ss_0"));
      for (const n of [1, 2, 3, 4]) {
        const id = `ss_${String(n)}`;
        const session = sessionOf(id, { state: n === 2 ? "REVOKED" : "OPEN", expiresAt: n === 3 ? noon : noon + 1000 });
        await log.append({ ...note(id), open: { session, token: tokenOf(id) } });
      }
      const first = await log.sessions({ open: true, principal: "123456", at: noon }, { limit: 2, backward: true });
      expect(first.map((one) => one.id)).toEqual(["ss_4", "ss_1"]);
      const rest = await log.sessions(
        { open: true, key: "release", at: noon },
        { limit: 2, backward: true, after: first.at(-1)?.entry },
      );
      expect(rest.map((one) => one.id)).toEqual(["ss_0"]);
      expect(
        (await log.sessions({ open: false, at: noon }, { limit: 9, backward: true })).map((one) => one.id),
      ).toEqual(["ss_3", "ss_2"]);
      expect(
        await log.openSessionsOf(
          JSON.stringify(["https://token.actions.githubusercontent.com", "4711", "123456"]),
          "release-tags",
          noon,
        ),
      ).toBe(3);
    });
  });

  describe("proof", () => {
    test("every receipt proves its leaf against the checkpoint of its own commit, asked for at once or much later", async () => {
      const all = [];
      for (const together of [1, 2, 3, 250, 1, 300, 513]) {
        all.push(
          ...(await Promise.all(Array.from({ length: together }, (_, i) => log.append(note(String(i)))))).map(appended),
        );
      }
      for (const { index, leaf, hash, size, receipt } of all) {
        const verdict = verifyReceipt({ receipt: receipt(), logs: [signer.vkey] });
        if (verdict.verdict !== "in-log") throw new Error(verdict.message);
        expect(verdict.facts).toMatchObject({ index, checkpoint: { origin, size } });
        expect(hex(verdict.facts.leaf)).toBe(hex(leaf));
        expect(hex(hash)).toBe(hex(leafHash(leaf)));
      }
      expect(new Set(all.map((one) => one.size)).size).toBeGreaterThan(5);
    });

    test("a receipt can be renewed against the newest checkpoint; there is none beyond the end", async () => {
      await grow(log, 700);
      for (const index of [0, 255, 256, 511, 512, 699]) {
        const receipt = (await log.receipt(index)) ?? "";
        expect(verifyReceipt({ receipt, logs: [signer.vkey] })).toMatchObject({
          verdict: "in-log",
          facts: { index, checkpoint: { size: 700 } },
        });
      }
      expect(await log.receipt(700)).toBeUndefined();
    });

    test("checkpoints that left the house are kept, one text for each size, also over a restart", async () => {
      const first = appended(await log.append(note("a")));
      const ofReceipt = parseReceipt(first.receipt()).checkpoint;
      appended(await log.append(note("b")));
      const current = await log.checkpoint();
      await reopen();
      expect(await log.checkpointAt(1)).toBe(ofReceipt);
      expect(await log.checkpointAt(2)).toBe(current);
      expect(await log.checkpoint()).toBe(current);
      expect(await log.checkpointAt(3)).toBeUndefined();
    });

    test("the log is consistent with every earlier size of itself", async () => {
      await grow(log, 600);
      const roots = new Map<number, Uint8Array>();
      for (const size of [600, 601, 603, 768, 1000]) {
        await grow(log, size);
        roots.set(size, log.head().root);
      }
      for (const [from, fromRoot] of roots) {
        for (const [to, toRoot] of roots) {
          if (from > to) continue;
          const proof = await log.consistency(from, to);
          expect(verifyConsistency({ from, fromRoot, to, toRoot, proof })).toBe(true);
        }
      }
    });

    test.each([1, 255, 256, 257, 1000])(
      "fsck accepts the tiles of %i entries, before and after a restart",
      async (size) => {
        await grow(log, size);
        const question = { read: (path: string) => log.tile(path), trusted: { logs: [signer.vkey] } };
        expect(await fsck(question)).toMatchObject({ verdict: "consistent", size });
        await reopen();
        await log.append(note("one more"));
        expect(await fsck(question)).toMatchObject({ verdict: "consistent", size: size + 1 });
      },
    );

    test("only tiles that exist are served", async () => {
      await grow(log, 300);
      expect((await log.tile("tile/0/001.p/44"))?.length).toBe(44 * 32);
      expect((await log.tile("tile/0/000.p/7"))?.length).toBe(7 * 32);
      for (const path of [
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/1/001",
        "tile/2/000",
        "tile/0/../lock",
        "tile/entries/002",
        "x",
        "tile/0/1",
      ]) {
        expect(await log.tile(path), path).toBeUndefined();
      }
    });

    test("leaves are read back in order, verbatim", async () => {
      await grow(log, 600);
      const seen = [];
      for await (const { index, leaf } of log.leaves(250, 10_000)) seen.push([index, hex(leaf)]);
      expect(seen).toHaveLength(350);
      expect(seen[0]).toEqual([250, hex((await log.leaf(250)) ?? new Uint8Array())]);
      expect(await log.leaf(600)).toBeUndefined();
    });
  });

  test("a sealed key is kept durably and never overwritten", async () => {
    const keep = (text: string): Promise<boolean> => log.sealedKeys.keep("release", 1, utf8(text));
    expect(await Promise.all([keep("first"), keep("second")])).toEqual([true, false]);
    await reopen();
    expect(textOf(await log.sealedKeys.find("release", 1))).toBe("first");
    expect(await log.sealedKeys.find("release", 2)).toBeUndefined();
  });

  test("a sealed key that is removed is gone, and its bytes are nowhere in the database once it has settled", async () => {
    const canary = "canary-".repeat(50);
    await log.sealedKeys.keep("release", 1, utf8(canary));
    expect(await log.sealedKeys.remove("release", 1)).toBe(true);
    expect(await log.sealedKeys.remove("release", 1)).toBe(false);
    expect(await log.sealedKeys.find("release", 1)).toBeUndefined();
    await reopen();
    expect(await log.sealedKeys.find("release", 1)).toBeUndefined();
    for (const name of readdirSync(place.path).filter((one) => one.startsWith("truth")))
      expect(readFileSync(join(place.path, name), "latin1").includes(canary), name).toBe(false);
  });

  test("a crowd beyond the queue is turned away at once and told when to come back", async () => {
    const results = await Promise.allSettled(Array.from({ length: 5000 }, () => log.append(note("crowd"))));
    const turnedAway = results.filter((one) => one.status === "rejected").map((one) => one.reason as unknown);
    expect(turnedAway.length).toBeGreaterThan(0);
    expect(turnedAway.every((one) => one instanceof Fault && one.code === "OVERLOADED" && one.retryAfter === 1)).toBe(
      true,
    );
    expect(log.head().size).toBe(5000 - turnedAway.length);
  });

  test("after closing nothing is written, and nothing that was accepted is lost", async () => {
    const accepted = log.append(note("accepted"));
    await log[Symbol.asyncDispose]();
    expect(appended(await accepted).index).toBe(0);
    await expect(log.append(note("late"))).rejects.toMatchObject({ code: "SHUTTING_DOWN" });
    log = await open(place.path);
    expect(log.head().size).toBe(1);
  });
});
