// Idempotency: the same request under the same key is one request, however often it is sent.
//
// The attempt is inserted with the intent and answered with the outcome. Asked again: the stored answer, or wait while
// it is in flight, or UNFINISHED after a crash and where nobody knows what the custody did. An attempt of which is known
// that nothing was signed is forgotten, so that it may be made again. Another request under the key is refused. Signatures are public, so
// keeping them is no risk; what else an answer holds is computed again from the request, which is the same.

import type { Entry } from "../model/entry.ts";
import { Fault, type Refusal, refuse } from "../model/errors.ts";
import { current, type KeyVersion } from "../model/key.ts";
import type { SigningSession } from "../model/session.ts";
import { concat, fromUtf8, hex } from "../std/bytes.ts";
import { type Asked, attemptId, finish } from "./asked.ts";
import { proofUsed, type SignRequest } from "./guard.ts";
import type { Signed } from "./index.ts";
import type { Parts } from "./parts.ts";

/** Answers are kept as long as the session may ask again, and this much longer. Milliseconds. */
export const keepAnswers = 24 * 3_600_000;

interface Attempts {
  /** Runs `perform` unless the same attempt is under way, whose answer is then everybody's. */
  readonly oneAtATime: (asked: Asked, perform: () => Promise<Signed | Refusal>) => Promise<Signed | Refusal>;
  /** What became of this attempt earlier; undefined where there was none. */
  readonly answered: (asked: Asked) => Promise<Signed | Refusal | undefined>;
  /** The version that an earlier attempt was made with, as far as it is known; undefined where there was none. */
  readonly versionBefore: (session: SigningSession, request: SignRequest) => Promise<KeyVersion | undefined>;
}

export function attempts(parts: Parts): Attempts {
  const underWay = new Map<string, { readonly asked: Asked; readonly answer: Promise<Signed | Refusal> }>();

  async function oneAtATime(asked: Asked, perform: () => Promise<Signed | Refusal>): Promise<Signed | Refusal> {
    const id = hex(asked.attempt.id);
    const first = underWay.get(id);
    if (first) {
      if (sameProof(first.asked, asked)) return parts.journal.refused(proofUsed, asked.about);
      return first.asked.attempt.request === asked.attempt.request
        ? first.answer
        : parts.journal.refused(mismatch(asked), asked.about);
    }
    const answer = perform();
    underWay.set(id, { asked, answer });
    try {
      return await answer;
    } finally {
      underWay.delete(id);
    }
  }

  async function answered(asked: Asked): Promise<Signed | Refusal | undefined> {
    const earlier = await parts.state.attempt(asked.attempt.id);
    if (!earlier) return undefined;
    if (earlier.request !== asked.attempt.request) return parts.journal.refused(mismatch(asked), asked.about);
    if (!(await isFresh(asked))) return parts.journal.refused(proofUsed, asked.about);
    if (earlier.answer === undefined || earlier.outcome === undefined)
      return parts.journal.refused(neverFinished(asked), asked.about);
    return sameAnswer(asked, earlier.answer, earlier.outcome);
  }

  /** The first request's proof stands in the log with its intent; those of its repetitions are remembered here. */
  async function isFresh({ presented: { proof }, call }: Asked): Promise<boolean> {
    if (proof && (await parts.state.marked({ kind: "proof", id: proof.mark }))) return false;
    return parts.replay.once(proof, call.request);
  }

  async function sameAnswer(asked: Asked, answer: Uint8Array, outcome: number): Promise<Signed> {
    const [leaf, proof, session] = await Promise.all([
      parts.log.leaf(outcome),
      parts.log.receipt(outcome),
      parts.state.session(asked.session.id),
    ]);
    if (!leaf || proof === undefined)
      throw new Fault("LOG_DAMAGED", `the outcome ${String(outcome)} of a finished request is gone`);
    const version = signedBy(leaf) ?? asked.version;
    return {
      version,
      signatures: finish({ version, prepared: asked.prepared }, stored(answer)),
      receipt: { entry: outcome, leaf, tlogProof: () => proof },
      usesLeft: session?.usesLeft ?? 0,
    };
  }

  /** Where the attempt has no outcome: the version that signs now, or did last. */
  async function versionBefore(session: SigningSession, request: SignRequest): Promise<KeyVersion | undefined> {
    const earlier = await parts.state.attempt(attemptId(session, request));
    if (!earlier) return undefined;
    const leaf = earlier.outcome === undefined ? undefined : await parts.log.leaf(earlier.outcome);
    const signed = leaf && signedBy(leaf);
    if (signed?.key === request.key) return signed;
    const key = parts.state.record("key", request.key)?.value;
    return key && (current(key) ?? key.versions.findLast(({ state }) => state !== "PRE_ACTIVATION"));
  }

  /** The version that signed then, which may not be the current one any more. */
  function signedBy(leaf: Uint8Array): KeyVersion | undefined {
    const entry = JSON.parse(fromUtf8(leaf)) as Entry; // our own leaf, read back from the log
    if (entry.type !== "sign.outcome") return undefined;
    const { name, version } = entry.key;
    return parts.state.record("key", name)?.value.versions.find((one) => one.number === version);
  }

  return { oneAtATime, answered, versionBefore };
}

const mismatch = ({ request }: Asked): Refusal =>
  refuse(
    "IDEMPOTENCY_MISMATCH",
    `idempotency key "${request.idempotencyKey}" was used for another request`,
    "use a new idempotency key",
  );

const neverFinished = ({ request }: Asked): Refusal =>
  refuse(
    "UNFINISHED",
    `the first attempt under idempotency key "${request.idempotencyKey}" never finished; its uses are spent`,
    "send the request under a new idempotency key",
  );

function sameProof(first: Asked, second: Asked): boolean {
  const [a, b] = [first.presented.proof?.mark, second.presented.proof?.mark];
  return a !== undefined && b !== undefined && hex(a) === hex(b);
}

/** Signatures as they are kept: big-endian uint16 length, bytes. */
export const storable = (signatures: readonly Uint8Array[]): Uint8Array =>
  concat(...signatures.flatMap((one) => [Buffer.of(one.length >> 8, one.length & 255), one]));

function stored(bytes: Uint8Array): readonly Uint8Array[] {
  const out: Uint8Array[] = [];
  const view = Buffer.from(bytes);
  for (let at = 0; at < view.length; ) {
    const length = view.readUInt16BE(at);
    out.push(view.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return out;
}
