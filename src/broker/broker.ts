// The broker, put together from its parts: each use case gets them, the server gets the functions.

import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { decide, pendingStateAt } from "./approvals.ts";
import { acquaintance, checkpoint, consistency, entries, entry, reader, tile } from "./audit.ts";
import { authenticate } from "./authenticate.ts";
import { type Call, principalOf } from "./call.ts";
import { changeKeyState } from "./change-key-state.ts";
import { createKey } from "./create-key.ts";
import { destroyKey } from "./destroy-key.ts";
import { closeSession, revokeSession } from "./end-session.ts";
import { enrollKey } from "./enroll-key.ts";
import { explain } from "./explain.ts";
import { health } from "./health.ts";
import type { Broker } from "./index.ts";
import { openSession } from "./open-session.ts";
import { addOperator, enrolFirstOperator, openOperatorSession, removeOperator } from "./operators.ts";
import type { Parts } from "./parts.ts";
import { reconcile } from "./reconcile.ts";
import { cancelRotation, rotateKey } from "./rotate-key.ts";
import { rotations } from "./rotation.ts";
import { signing } from "./sign.ts";
import { stoppedFault } from "./stopped.ts";
import { trust } from "./trust.ts";
import { custodyStatuses, unlockCustody } from "./unlock-custody.ts";

export function broker(parts: Parts): Broker {
  const sign = signing(parts);
  const rotating = rotations(parts);
  /** Everything that signs or changes waits behind the same door: a log that cannot be proved takes nothing new. */
  const guarded =
    <A extends readonly unknown[], R>(use: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) =>
    (...args) => {
      const reason = parts.stopped();
      return reason === undefined ? use(...args) : Promise.reject(stoppedFault(reason));
    };
  const reads = async <R>(call: Call, action: string, read: () => R | Promise<R>): Promise<R | Refusal> => {
    const asker = await reader(call, action, parts);
    return isRefusal(asker) ? asker : read();
  };

  return {
    authenticate: (credentials, request) => authenticate(credentials, request, parts),
    nonce: () => parts.proofs.nonce(),

    turnedAway: ({ request, caller }, action, refusal) =>
      parts.journal.refused(refusal, {
        request,
        action,
        by: principalOf(caller),
        presented: caller.presented,
        session: caller.kind === "session" ? caller.session.id : undefined,
      }),
    openSession: guarded((call, input) => openSession(call, input, parts)),
    closeSession: guarded((call, input) => closeSession(call, input, parts)),
    revokeSession: guarded((call, input) => revokeSession(call, input, parts)),
    sign: guarded(sign),
    createKey: guarded((call, input) => createKey(call, input, parts)),
    enrollKey: guarded((call, input) => enrollKey(call, input, parts)),
    destroyKey: guarded((call, input) => destroyKey(call, input, parts)),
    unlockCustody: guarded((call, input) => unlockCustody(call, input, parts)),
    changeKeyState: guarded((call, input) => changeKeyState(call, input, parts)),
    enrolFirstOperator: guarded((call, input) => enrolFirstOperator(call, input, parts)),
    openOperatorSession: guarded((call, input) => openOperatorSession(call, input, parts)),
    addOperator: guarded((call, input) => addOperator(call, input, parts)),
    removeOperator: guarded((call, input) => removeOperator(call, input, parts)),
    rotateKey: guarded((call, input) => rotateKey(call, input, rotating, parts)),
    cancelRotation: guarded((call, input) => cancelRotation(call, input, rotating, parts)),
    rotateDue: () => rotating.round(),
    rotationTrouble: (key) => rotating.trouble(key),
    decide: guarded(async (call, input) => {
      const decided = await decide(call, input, parts);
      if (isRefusal(decided) || decided.pending.state !== "APPROVED") return decided;
      const { action } = decided.pending;
      // Decided is decided: what a full disk stops of it now, the clock goes on with, and says so.
      if (action.kind === "key.rotate") await rotating.advance(action.key).catch(() => undefined);
      return decided;
    }),

    viewer: async (call) => {
      const { caller } = call;
      const refused = caller.kind === "socket" ? undefined : await acquaintance(call, "viewer", parts);
      if (refused) return refused;
      if (caller.kind === "person") return caller.person;
      return caller.kind === "session" ? caller.session.principal : { kind: "socket" };
    },
    key: async (call, name) => {
      const refused = await acquaintance(call, "key", parts);
      if (refused) return refused;
      const { caller } = call;
      if (caller.kind === "session" && !caller.session.keys.includes(name))
        return refuse(
          "KEY_NOT_IN_SESSION",
          "a job sees the keys of its session only",
          "signet login shows operators all",
        );
      return parts.state.record("key", name)?.value;
    },
    keys: (call) => reads(call, "keys", () => parts.state.records("key").map(({ value }) => value)),
    custodies: (call) => reads(call, "custodies", () => custodyStatuses(parts)),
    operators: (call) => reads(call, "operators", () => parts.state.records("person").map(({ value }) => value)),
    pendingAction: (call, id) =>
      reads(call, "pendingAction", () => {
        const pending = parts.state.record("pending", id)?.value;
        return pending && { ...pending, stateNow: pendingStateAt(pending, parts.clock()) };
      }),
    pendingActions: (call, state) =>
      reads(call, "pendingActions", () =>
        parts.state
          .records("pending")
          .map(({ value }) => ({ ...value, stateNow: pendingStateAt(value, parts.clock()) }))
          .filter((one) => state === undefined || one.stateNow === state),
      ),
    session: async (call, id) => {
      const { caller } = call;
      if (caller.kind === "session" && caller.session.id === id)
        return (await acquaintance(call, "session", parts)) ?? parts.state.session(id);
      return reads(call, "session", () => parts.state.session(id));
    },
    sessions: (call, filter, page) =>
      reads(call, "sessions", async () => {
        const sessions = await parts.state.sessions(
          { ...filter, at: parts.clock() },
          { ...page, limit: page.limit + 1 },
        );
        return { sessions: sessions.slice(0, page.limit), more: sessions.length > page.limit };
      }),

    releasedOf: (call, key) =>
      reads(call, "released", () => parts.log.count({ keys: [key], types: ["sign.outcome"], result: "done" })),
    reconcile: (call, input) => reconcile(call, input, parts),

    entries: (call, filter, page) => entries(call, filter, page, parts),
    entry: (call, index) => entry(call, index, parts),
    blob: (call, sha256) => reads(call, "blob", () => parts.log.blob(sha256)),
    receipt: (call, index, size) => reads(call, "receipt", () => parts.log.receipt(index, size)),
    checkpoint: (call, size) => checkpoint(call, size, parts),
    consistency: (call, from, to) => consistency(call, from, to, parts),
    vkey: () => parts.vkey,
    trust: (call, open) => trust(call, open, parts),
    tile: (call, path, open) => tile(call, path, open, parts),
    explain: (call, input) => explain(call, input, parts),
    policy: (call) => reads(call, "policy", () => parts.policy()),
    health: (call) => reads(call, "health", () => health(parts, rotating)),
    ready: () => {
      const reason = parts.stopped() ?? parts.checks().find((check) => check.status === "fail")?.message;
      return { ready: reason === undefined, reason: reason ?? "ready" };
    },
  };
}
