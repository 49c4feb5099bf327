// A signature, from request to receipt.
//
// Promise: no signature leaves this file without two durable entries, its intent and its outcome.
// Die before the intent and nothing happened. Die after it and the uses are spent, the intent stays visible as
// unfinished, and nobody holds a signature that the log does not know of. A log that fails between the two costs
// the signature: it is dropped, and `withheld` is written as soon as the log can be written again (unfinished.ts).

import type { EntryBody, KeyUse, Result } from "../model/entry.ts";
import { Fault, type FaultCode, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Decision } from "../model/grant.ts";
import { type KeyVersion, versionId } from "../model/key.ts";
import type { Appended, Conflict } from "../ports/log.ts";
import { hex } from "../std/bytes.ts";
import { sha256Hex } from "../std/digest.ts";
import { lasting } from "../std/json.ts";
import { type Asked, attemptOf, finish } from "./asked.ts";
import { attempts, keepAnswers, storable } from "./attempt.ts";
import { type Call, callerFields } from "./call.ts";
import { admit, endedSession, parse, proofUsed, type SignRequest, shown, spent, tooLong } from "./guard.ts";
import type { Signed } from "./index.ts";
import { recordItems } from "./journal.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";
import { verifies } from "./verify.ts";

/** A custody that has not answered by then is an unknown outcome; what stands around it ends earlier. Milliseconds. */
const custodyDeadline = 30_000;

type AtCustody =
  | { readonly result: "done"; readonly signatures: readonly Uint8Array[] }
  | {
      readonly result: Exclude<Result, "done">;
      readonly code: FaultCode;
      readonly retryAfter?: number | undefined;
      readonly cause?: unknown;
    };

export function signing(parts: Parts): (call: Call, request: SignRequest) => Promise<Signed | Refusal> {
  const { oneAtATime, answered, versionBefore } = attempts(parts);

  return async function sign(call, request) {
    const asked = await ask(call, request, parts, versionBefore);
    return isRefusal(asked) ? asked : oneAtATime(asked, () => perform(asked));
  };

  /** A proof whose request was refused is used up too, or the request could be sent again once its cause is gone. */
  async function refused(refusal: Refusal, asked: Asked): Promise<Refusal> {
    parts.replay.once(asked.presented.proof, asked.call.request);
    return parts.journal.refused(refusal, asked.about);
  }

  /** Before the intent, so nothing is spent. A proof is used up, as above. */
  function turnedAway(
    { code, message, retryAfter, custody, cause, hint: own }: Fault,
    { presented, call }: Asked,
  ): never {
    parts.replay.once(presented.proof, call.request);
    const hint = own ?? nextFor({ result: "failed", code, retryAfter });
    throw new Fault(code, message, { nothingHappened: true, retryAfter, custody, hint, cause });
  }

  /** `decided`: it was admitted already, and a rotation switched the key before its intent was written. */
  async function perform(asked: Asked, decided?: Decision): Promise<Signed | Refusal> {
    if (parts.replay.used(asked.presented.proof, asked.call.request)) return refused(proofUsed, asked);
    if (asked.call.signal.aborted)
      throw new Fault("OVERLOADED", "nobody waits for this any more", { nothingHappened: true });
    const decision = decided ?? admit(asked.session, asked.prepared, parts.clock(), parts.policy().hash, parts.rate);
    if (isRefusal(decision)) return (await answered(asked)) ?? refused(decision, asked);

    const away = parts.custodies.get(asked.version.custody)?.turnsAway?.();
    if (away) return (await answered(asked)) ?? turnedAway(away, asked);

    parts.step("sign.before-intent");
    const intent = await doubted(asked, parts, () => journalIntent(asked, decision, parts));
    if ("conflict" in intent) {
      const before = intent.conflict === "mark" ? undefined : await answered(asked);
      if (before) return before;
      const switched = intent.conflict === "key-not-active" ? afterSwitch(asked, parts) : undefined;
      return switched ? perform(switched, decision) : refused(conflicted(intent, asked, parts.clock()), asked);
    }
    parts.step("sign.after-intent");

    const ending = await atCustody(asked, parts);
    parts.step("sign.after-custody");
    return release(asked, intent, ending, parts);
  }
}

async function ask(
  call: Call,
  request: SignRequest,
  parts: Parts,
  versionBefore: ReturnType<typeof attempts>["versionBefore"],
): Promise<Asked | Refusal> {
  const { caller } = call;
  if (caller.kind !== "session") {
    const stranger = refuse("UNAUTHENTICATED", "signing needs the token of a signing session", "signet session open");
    return parts.journal.refused(stranger, { request: call.request, action: "sign", by: undefined });
  }
  const { session, presented } = caller;
  const about = {
    request: call.request,
    action: "sign",
    by: session.principal,
    presented,
    session: session.id,
    keys: [shown(request.key)],
  };
  const parsed = parse(request, session, parts.state, await versionBefore(session, request));
  if (isRefusal(parsed)) return parts.journal.refused(parsed, about);
  const records = parsed.prepared.map((one) => one.record);
  const long = tooLong(parsed, parts.custodies.get(parsed.version.custody));
  if (long) return parts.journal.refused(long, { ...about, items: records });
  return {
    ...parsed,
    call,
    session,
    presented,
    request,
    records,
    attempt: attemptOf(session, request, records),
    about: { ...about, items: records },
  };
}

/** The same request for the version that signs now, where a rotation put it in the place of the one that was asked for. */
function afterSwitch(asked: Asked, { state }: Pick<Parts, "state">): Asked | undefined {
  const { session, request, version } = asked;
  const rotation = state.record("key", version.key)?.value.rotation;
  if (rotation?.step !== "SWITCHED" || rotation.from !== version.number) return undefined;
  const parsed = parse(request, session, state);
  if (isRefusal(parsed)) return undefined;
  const records = parsed.prepared.map((one) => one.record);
  const attempt = attemptOf(session, request, records);
  return { ...asked, ...parsed, records, attempt, about: { ...asked.about, items: records } };
}

function journalIntent(asked: Asked, decision: Decision, parts: Parts): Promise<Appended | Conflict> {
  const { session, presented, version, records, attempt } = asked;
  const { fields, blobs } = callerFields(session.principal, presented);
  const recorded = recordItems(records);
  return parts.journal.append(
    asked.call.request,
    ({ uses }) => ({
      type: "sign.intent",
      ...fields,
      session: session.id,
      key: keyUse(version),
      items: recorded.items,
      decision,
      uses: { granted: session.usesGranted, spent: records.length, left: uses?.left ?? 0 },
    }),
    {
      blobs: [...blobs, ...recorded.blobs],
      spend: {
        session: session.id,
        uses: records.length,
        at: parts.clock(),
        key: version.key,
        number: version.number,
        policy: decision.policy,
      },
      marks: presented.proof && [{ kind: "proof", id: presented.proof.mark, expiresAt: presented.proof.expiresAt }],
      begin: { ...attempt, expiresAt: session.expiresAt + keepAnswers },
    },
  );
}

/** An intent whose commit is in doubt: should it be there after all, its outcome is that nothing was done. */
async function doubted<T>(asked: Asked, parts: Parts, write: () => Promise<T>): Promise<T> {
  const { size } = parts.log.head();
  try {
    return await write();
  } catch (error) {
    if (!(error instanceof Fault && error.nothingHappened)) {
      const { fields } = callerFields(asked.session.principal, asked.presented);
      const recorded = recordItems(asked.records);
      parts.unfinished.doubtful(asked.call.request, size, (intent) => ({
        type: "sign.outcome",
        ...fields,
        session: asked.session.id,
        key: keyUse(asked.version),
        items: recorded.items,
        intent,
        result: "failed",
        code: "LOG_NOT_DURABLE",
      }));
    }
    throw error;
  }
}

/** Never throws: whatever happens at the custody is an outcome, and outcomes are recorded. */
async function atCustody({ version, prepared }: Asked, parts: Parts): Promise<AtCustody> {
  const custody = parts.custodies.get(version.custody);
  if (!custody)
    return {
      result: "failed",
      code: "CUSTODY_DOWN",
      cause: new Error(`no custody "${version.custody}" is configured`),
    };
  const items = prepared.map((one) => one.tbs);
  try {
    const signatures = await custody.sign(version, items, AbortSignal.timeout(custodyDeadline));
    if (custody.outside && !(await verifies(version, items, signatures)))
      return { result: "withheld", code: "SIGNATURE_WRONG" };
    return { result: "done", signatures };
  } catch (error) {
    if (error instanceof Fault)
      return {
        result: error.nothingHappened ? "failed" : "unknown",
        code: error.code,
        retryAfter: error.retryAfter,
        cause: error,
      };
    return { result: "unknown", code: "CUSTODY_DOWN", cause: error };
  }
}

/** Only here does a signature leave, and only after its outcome is on disk. */
async function release(asked: Asked, intent: Appended, ending: AtCustody, parts: Parts): Promise<Signed> {
  const outcome = await journalOutcome(asked, intent, ending, parts);
  parts.step("sign.after-outcome");
  if (ending.result !== "done") {
    throw new Fault(ending.code, `signing with ${versionId(asked.version)} ended as ${ending.result}`, {
      nothingHappened: ending.result === "failed",
      retryAfter: ending.retryAfter,
      custody: asked.version.custody,
      hint: nextFor(ending),
      cause: ending.cause,
    });
  }
  if (outcome.entry.type === "sign.outcome" && outcome.entry.result === "withheld") {
    throw new Fault(
      "WITHHELD",
      `key ${versionId(asked.version)} or session ${asked.session.id} stopped while it signed`,
    );
  }
  parts.metrics.signed(
    { custody: asked.version.custody, algorithm: asked.version.algorithm, form: asked.records[0]?.form ?? "message" },
    asked.records.length,
  );
  return {
    version: asked.version,
    signatures: finish(asked, ending.signatures),
    receipt: receiptOf(outcome),
    usesLeft: intent.entry.type === "sign.intent" ? intent.entry.uses.left : 0,
  };
}

/** What the caller may do now. Only an attempt that failed is forgotten (`abandon`); any other keeps its idempotency key. */
function nextFor({ result, code, retryAfter, cause }: Exclude<AtCustody, { readonly result: "done" }>): string {
  if (cause instanceof Fault && cause.hint !== undefined) return cause.hint;
  if (code === "SIGNATURE_WRONG") return nextFor({ result: "withheld", code: "WITHHELD" });
  const later = retryAfter === undefined ? "" : ` in ${String(Math.ceil(retryAfter))} s`;
  switch (result) {
    case "failed":
      return retryAfter === undefined
        ? "nothing was signed, and asking again will not help before an operator has looked: signet doctor"
        : `nothing was signed; send it again${later}, under the same idempotency key`;
    case "unknown":
      return `whether it signed is not known, and nothing was released; send it again${later} under a new idempotency key`;
    case "withheld":
      return "nothing was released; an operator must look before this key is used again";
  }
}

async function journalOutcome(asked: Asked, intent: Appended, ending: AtCustody, parts: Parts): Promise<Appended> {
  const { session, presented, version, records, attempt } = asked;
  const signatures = ending.result === "done" ? ending.signatures : [];
  const recorded = recordItems(
    records.map((item, index) => ({ ...item, signature: signatures[index] && sha256Hex(signatures[index]) })),
  );
  const { fields } = callerFields(session.principal, presented);
  const about = {
    type: "sign.outcome" as const,
    ...fields,
    session: session.id,
    key: keyUse(version),
    items: recorded.items,
    intent: { index: intent.index, hash: hex(intent.hash) },
  };
  const body = (holds: boolean): EntryBody => {
    if (ending.result !== "done") return { ...about, result: ending.result, code: ending.code };
    return holds ? { ...about, result: "done" } : { ...about, result: "withheld", code: "WITHHELD" };
  };
  try {
    const outcome = await parts.journal.append(asked.call.request, ({ holds }) => body(holds ?? false), {
      blobs: recorded.blobs,
      watch: { session: session.id, key: version.key, number: version.number },
      finish: ending.result === "done" ? { id: attempt.id, answer: storable(signatures) } : undefined,
      abandon: ending.result === "failed" ? attempt.id : undefined,
    });
    if ("conflict" in outcome) throw new Error(`an outcome has no conditions, yet: ${outcome.conflict}`);
    return outcome;
  } catch (error) {
    parts.unfinished.later(
      { ...about, result: ending.result === "done" ? "withheld" : ending.result, code: "LOG_NOT_DURABLE" },
      recorded.blobs,
    );
    throw error;
  }
}

function conflicted(conflict: Conflict, asked: Asked, at: number): Refusal {
  const { session, version, records } = asked;
  switch (conflict.conflict) {
    case "session-spent":
      return spent(session, records.length, conflict.usesLeft ?? 0);
    case "session-ended":
      return (
        endedSession(session, at) ??
        refuse("SESSION_ENDED", `session ${session.id} was closed or revoked a moment ago`, "open a new session")
      );
    case "key-not-active":
      return refuse(
        "KEY_NOT_ACTIVE",
        `key ${versionId(version)} stopped being active a moment ago`,
        `signet key show ${version.key}`,
      );
    case "policy-changed":
      return refuse("POLICY_CHANGED", "policy changed while the request was decided", "send it again");
    case "mark":
      return proofUsed;
    case "attempt":
    case "revision":
    case "session-limit":
      return refuse(
        "UNFINISHED",
        "another attempt under this idempotency key is under way",
        "wait for it, or use a new idempotency key",
      );
  }
}

const uses = new WeakMap<KeyVersion, KeyUse>();

function keyUse(version: KeyVersion): KeyUse {
  const known = uses.get(version);
  if (known) return known;
  const { key: name, number, custody, uri, fingerprint: publicKey } = version;
  const use = lasting({ name, version: number, custody, uri, publicKey });
  uses.set(version, use);
  return use;
}
