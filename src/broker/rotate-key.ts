// A rotation is asked for and begins, or is cancelled: what people decide of it. The steps in between go by themselves
// (rotation.ts).
//
// One approval by a second person covers the rotation as a whole: it names the key, the custody, an existing key by its
// fingerprint, and both times. Whoever asks again under the same idempotency key hears of the rotation that there is.

import type { Action, PendingAction } from "../model/approval.ts";
import type { EntryBody } from "../model/entry.ts";
import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import { current, type Key, type KeyVersion, type Rotation, versionId } from "../model/key.ts";
import { type Person, principalKey } from "../model/principal.ts";
import {
  begunRotation,
  cancelledRotation,
  cancelledVersion,
  type RotationUnderWay,
  underWay,
} from "../model/rotation.ts";
import { trustCachedFor } from "../model/trust.ts";
import type { Mark, Put, Stored } from "../ports/log.ts";
import { fromHex } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256Hex } from "../std/digest.ts";
import { formatDuration } from "../std/duration.ts";
import { newId } from "../std/id.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { changed, type KeyChanged } from "./create-key.ts";
import { unfitUri } from "./enroll-key.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import { askCustody, held, holderOf, publicKeyOf } from "./incoming-key.ts";
import type { Parts } from "./parts.ts";
import { requestApproval } from "./request-approval.ts";
import { lastAttempt, type Rotations, rotating } from "./rotation.ts";

export interface RotateKeyRequest {
  readonly idempotencyKey: string;
  readonly key: string;
  /** Where the new version is to live; where the old one does, where absent. */
  readonly custody?: string | undefined;
  /** An existing key at that custody, to rotate to; the custody makes one, where absent. */
  readonly uri?: string | undefined;
  /** Milliseconds; the configuration's, where absent. */
  readonly propagation?: number | undefined;
  readonly retireAfter?: number | undefined;
  /** Takes a propagation that is shorter than the trust documents are cached, while the old version signs. */
  readonly beforeVerifiersKnow?: boolean | undefined;
  readonly reason: string;
}

interface CancelRotationRequest {
  readonly key: string;
  readonly reason: string;
}

type RotateAction = Extract<Action, { kind: "key.rotate" }>;

export async function rotateKey(
  call: Call,
  request: RotateKeyRequest,
  rotations: Rotations,
  parts: Parts,
): Promise<KeyChanged | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = aboutOf(call, "key.rotate", request.key);
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const known = { ...about, presented: asker.presented };
  const id = requestOf(asker.person, request);
  const before = await askedBefore(id, request, parts);
  if (before) return isRefusal(before) ? parts.journal.refused(before, known) : before;
  const action = await planned(id, request, parts);
  if (isRefusal(action)) return parts.journal.refused(action, known);
  if (parts.twoPersons) return requestApproval(call, action, asker, parts);

  const begun = rotationBegun(action, asker.person, asker.presented, undefined, parts);
  if (isRefusal(begun)) return parts.journal.refused(begun, known);
  const by = byPerson(asker, parts.state);
  const appended = await parts.journal.append(call.request, () => begun.body, {
    blobs: begun.blobs,
    puts: [begun.put],
    ...by,
    marks: [...(by.marks ?? []), onceAsked(id, parts)],
  });
  if ("conflict" in appended) {
    const used = appended.conflict === "mark" && appended.mark === "proof";
    return parts.journal.refused(used ? proofUsed : moved(request.key), about);
  }
  parts.step("rotate.after-begin");
  await rotations.advance(request.key);
  return changed(parts.state.record("key", request.key)?.value ?? begun.key, appended);
}

const aboutOf = (call: Call, action: string, key: string) => ({
  request: call.request,
  action,
  by: call.caller.kind === "person" ? call.caller.person : undefined,
  keys: [shown(key)],
});

const moved = (key: string): Refusal =>
  refuse("KEY_STATE", `key "${key}" has changed since this was asked`, `look again: signet key show ${key}`);

const requestOf = (person: Person, { key, idempotencyKey }: RotateKeyRequest): string =>
  sha256Hex(JSON.stringify([principalKey(person), key, idempotencyKey]));

/** So that a repetition begins nothing, however many rotations lie between. Milliseconds. */
const remembered = 90 * 24 * 3_600_000;
const onceAsked = (request: string, { clock }: Pick<Parts, "clock">): Mark => ({
  kind: "idempotency",
  id: fromHex(request),
  expiresAt: clock() + remembered,
});

/** What became of the same request earlier; undefined where there was none. */
async function askedBefore(
  id: string,
  request: RotateKeyRequest,
  parts: Parts,
): Promise<KeyChanged | Refusal | undefined> {
  const waiting = parts.state
    .records("pending")
    .map(({ value }) => value)
    .find(({ action }) => action.kind === "key.rotate" && action.asked === id);
  const key = parts.state.record("key", request.key)?.value;
  const rotation = key?.rotation?.asked === id ? key.rotation : undefined;
  if (waiting?.action.kind === "key.rotate" && waiting.state !== "APPROVED")
    return same(waiting.action, request) ? stillWaits(waiting, parts.clock()) : mismatch(request);
  if (key && rotation) return same(rotation, request) ? asItBegan(key, rotation, parts) : mismatch(request);
  const used = waiting !== undefined || (await parts.state.marked({ kind: "idempotency", id: fromHex(id) }));
  return used
    ? refuse(
        "IDEMPOTENCY_MISMATCH",
        `idempotency key "${shown(request.idempotencyKey)}" was used for an earlier rotation of this key`,
        "use a new idempotency key",
      )
    : undefined;
}

/** As far as the request says it: what it left open was filled in then. */
const same = (
  terms: Pick<Rotation, "custody" | "existing" | "propagation" | "retireAfter">,
  { custody, uri, propagation, retireAfter }: RotateKeyRequest,
): boolean =>
  (custody === undefined || custody === terms.custody) &&
  uri === (terms.existing?.asked ?? terms.existing?.uri) &&
  (propagation === undefined || formatDuration(propagation) === terms.propagation) &&
  (retireAfter === undefined || formatDuration(retireAfter) === terms.retireAfter);

const mismatch = ({ idempotencyKey }: RotateKeyRequest): Refusal =>
  refuse(
    "IDEMPOTENCY_MISMATCH",
    `idempotency key "${shown(idempotencyKey)}" was used for another request`,
    "use a new idempotency key",
  );

function stillWaits({ id, state, expiresAt }: PendingAction, at: number): Refusal {
  if (state === "PENDING" && expiresAt > at)
    return {
      ...refuse(
        "APPROVAL_PENDING",
        `this rotation waits for a second person, until ${rfc3339(expiresAt)}`,
        `another operator or approver runs: signet approval approve ${id}`,
      ),
      pending: id,
    };
  return refuse(
    "APPROVAL_INVALID",
    `this rotation was asked for before, and is ${state === "PENDING" ? "expired" : state.toLowerCase()}`,
    "ask for it anew, under a new idempotency key",
  );
}

async function asItBegan(key: Key, { id }: Rotation, { log }: Pick<Parts, "log">): Promise<KeyChanged> {
  const { entries } = await log.entries(
    { keys: [key.name], types: ["key.rotate.begin"] },
    { limit: 1, backward: true },
  );
  const [begin] = entries;
  const proof = begin && (await log.receipt(begin.index));
  if (begin?.entry.type !== "key.rotate.begin" || begin.entry.rotation !== id || proof === undefined)
    throw new Fault("LOG_DAMAGED", `the beginning of ${id} is not in the log's index`);
  return { key, receipt: { entry: begin.index, leaf: begin.leaf, tlogProof: () => proof } };
}

/** Milliseconds. */
const longest = { propagation: 90 * 24 * 3_600_000, retireAfter: 3650 * 24 * 3_600_000 };

/** The action as it is decided, with what the request left open. Throws the Fault of a custody that cannot be asked. */
async function planned(id: string, request: RotateKeyRequest, parts: Parts): Promise<RotateAction | Refusal> {
  const malformed = malformedRequest(request);
  if (malformed) return malformed;
  const stored = parts.state.record("key", request.key);
  if (!stored) return refuse("NOT_FOUND", `there is no key "${shown(request.key)}"`, "signet key list");
  const from = replaceable(stored.value);
  if (isRefusal(from)) return from;
  const { rotationRules: rules } = parts;
  const propagation = request.propagation ?? rules.propagation;
  const early = tooEarly(propagation, from);
  if (early && request.beforeVerifiersKnow !== true) return early;
  const custody = request.custody ?? from.custody;
  const unfit = unfitCustody(custody, from, request.uri !== undefined, parts);
  if (unfit) return unfit;
  const existing = request.uri === undefined ? undefined : await existingKey(custody, request.uri, from, parts);
  if (isRefusal(existing)) return existing;
  return {
    kind: "key.rotate",
    key: request.key,
    from: from.number,
    to: Math.max(...stored.value.versions.map(({ number }) => number)) + 1,
    custody,
    existing,
    propagation: formatDuration(propagation),
    beforeVerifiersKnow: early && true,
    retireAfter: durationOf(request.retireAfter ?? rules.retireAfter),
    reason: request.reason,
    asked: id,
    asOf: stored.revision,
  };
}

/** What signs now goes on until the switch: nothing is gained by a switch that verifiers cannot have heard of. */
const tooEarly = (propagation: number, { state }: KeyVersion): Refusal | undefined =>
  state !== "ACTIVE" || propagation >= trustCachedFor
    ? undefined
    : refuse(
        "INPUT_INVALID",
        `propagation ${formatDuration(propagation)} is shorter than ${formatDuration(trustCachedFor)}, for which verifiers may keep trust documents without the new public key`,
        "give it longer; or, where signatures that nobody can verify yet are better than none: --before-verifiers-know",
      );

const durationOf = (milliseconds: number | undefined): string | undefined =>
  milliseconds === undefined ? undefined : formatDuration(milliseconds);

function malformedRequest({ reason, idempotencyKey, propagation, retireAfter }: RotateKeyRequest): Refusal | undefined {
  if (reason.length < 1 || reason.length > 256)
    return refuse("INPUT_INVALID", "a reason of 1 to 256 characters is needed", "say why: auditors will read it");
  if (!/^[\x21-\x7e]{1,128}$/.test(idempotencyKey))
    return refuse("INPUT_INVALID", "idempotencyKey must be 1 to 128 printable ASCII characters without spaces");
  if ((propagation ?? 0) > longest.propagation)
    return refuse("INPUT_INVALID", `propagation is over ${formatDuration(longest.propagation)}`);
  if ((retireAfter ?? 0) > longest.retireAfter)
    return refuse("INPUT_INVALID", `retireAfter is over ${formatDuration(longest.retireAfter)}`);
  return undefined;
}

/** The version that signs; where none does, the newest that ever did. */
function replaceable(key: Key): KeyVersion | Refusal {
  const rotation = underWay(key);
  if (rotation)
    return refuse(
      "KEY_STATE",
      `a rotation of "${key.name}" to v${String(rotation.to)} is under way (${rotation.step.toLowerCase()})`,
      `signet key show ${key.name}; or roll it back: signet key rotate ${key.name} --cancel`,
    );
  const from =
    current(key) ?? key.versions.findLast(({ state, ended }) => hasSigned(state) && ended?.why !== "cancelled");
  return (
    from ??
    refuse(
      "KEY_STATE",
      `no version of "${key.name}" was ever active`,
      `activate it first: signet key activate ${key.name}`,
    )
  );
}

const hasSigned = (state: KeyVersion["state"]): boolean => state !== "PRE_ACTIVATION" && state !== "DESTROYED";

function unfitCustody(name: string, from: KeyVersion, exists: boolean, parts: Parts): Refusal | undefined {
  const custody = parts.custodies.get(name);
  if (!custody)
    return refuse(
      "NOT_FOUND",
      `no custody "${shown(name)}" is configured; there is ${[...parts.custodies.keys()].join(", ")}`,
      "name one of them, or add it to the configuration",
    );
  if (!custody.create && !exists)
    return refuse("INPUT_INVALID", `custody "${name}" cannot make keys`, "make the key there and name it: --to URI");
  if (!custody.algorithms.includes(from.algorithm))
    return refuse(
      "ALGORITHM_UNFIT",
      `custody "${name}" holds ${custody.algorithms.join(", ")}, and ${versionId(from)} is ${from.algorithm}`,
      "a key keeps its algorithm for life; create another key",
    );
  return undefined;
}

async function existingKey(
  name: string,
  uri: string,
  from: KeyVersion,
  parts: Parts,
): Promise<NonNullable<Rotation["existing"]> | Refusal> {
  const custody = parts.custodies.get(name);
  const unsafe = unfitUri(uri);
  if (unsafe || !custody) return unsafe ?? refuse("NOT_FOUND", `no custody "${shown(name)}" is configured`);
  const found = await askCustody(name, (signal) => custody.describe(uri, signal));
  if (found instanceof Fault) throw found;
  if (found === undefined)
    return refuse("NOT_FOUND", `custody "${name}" has no key ${shown(uri)}`, `see docs/custody/${custody.kind}.md`);
  if (found.trouble !== undefined)
    return refuse(
      "INPUT_INVALID",
      `custody "${name}" would not sign with ${shown(uri)}: ${found.trouble}`,
      "mend it there",
    );
  const publicKey = found.algorithm === from.algorithm ? publicKeyOf(found.algorithm, found.publicKey) : undefined;
  if (!publicKey)
    return refuse(
      "ALGORITHM_UNFIT",
      `${shown(uri)} is ${found.algorithm}, and ${versionId(from)} is ${from.algorithm}`,
      "a key keeps its algorithm for life; enroll it as another key",
    );
  const holder = holderOf(publicKey, parts.state);
  if (holder) return held(holder);
  return { uri: found.uri, asked: found.uri === uri ? undefined : uri, fingerprint: publicKey.fingerprint };
}

/** The entry and the record of a beginning, for whoever commits it: the asker alone, or the approver. */
export function rotationBegun(
  action: RotateAction,
  by: Person,
  presented: Presented,
  pending: string | undefined,
  parts: Parts,
): { readonly key: Key; readonly body: EntryBody; readonly put: Put; readonly blobs: readonly Uint8Array[] } | Refusal {
  const stored = parts.state.record("key", action.key);
  const from = stored?.value.versions.find(({ number }) => number === action.from);
  if (!stored || !from || stored.revision !== action.asOf) return moved(action.key);
  const unfit = unfitCustody(action.custody, from, action.existing !== undefined, parts);
  if (unfit) return unfit;
  const holder = action.existing && holderOf(action.existing, parts.state);
  if (holder) return held(holder);
  const { to, custody, existing, propagation, retireAfter, asked, reason } = action;
  const terms = {
    rotation: newId("ro", parts.clock, parts.random),
    ...{ from: from.number, to, fromState: from.state, custody, existing, propagation, retireAfter, asked },
    begunAt: rfc3339(parts.clock()),
  };
  const { fields, blobs } = callerFields(by, presented);
  const key: Key = { ...stored.value, rotation: begunRotation(terms) };
  const onePerson = pending === undefined ? true : undefined;
  return {
    key,
    body: {
      type: "key.rotate.begin",
      ...fields,
      key: action.key,
      ...terms,
      algorithm: from.algorithm,
      beforeVerifiersKnow: action.beforeVerifiersKnow,
      reason,
      pending,
      onePerson,
    },
    put: { kind: "key", id: action.key, value: key, expects: stored.revision },
    blobs,
  };
}

/** Back to where it began: it takes one person, because nothing signs by it that did not before. */
export async function cancelRotation(
  call: Call,
  request: CancelRotationRequest,
  rotations: Rotations,
  parts: Parts,
): Promise<KeyChanged | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = aboutOf(call, "key.rotate.cancel", request.key);
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  return rotations.alone(request.key, async () => {
    const found = cancellable(request, parts);
    if (isRefusal(found)) return parts.journal.refused(found, { ...about, presented: asker.presented });
    const { stored, rotation } = found;
    const { left, unfinished } = await leftAtCustody(stored.value, rotation, parts);
    const endedAt = rfc3339(parts.clock());
    const { fields, blobs } = callerFields(asker.person, asker.presented);
    const body: EntryBody = {
      type: "key.rotate.cancel",
      ...fields,
      ...rotating(request.key, rotation),
      ...{ endedAt, reason: request.reason, left },
    };
    const key: Key = {
      ...stored.value,
      versions: stored.value.versions.map((version) => cancelledVersion(version, rotation, endedAt)),
      rotation: cancelledRotation(rotation, endedAt),
    };
    const appended = await parts.journal.append(call.request, () => body, {
      alongside: unfinished && [unfinished],
      blobs,
      puts: [{ kind: "key", id: request.key, value: key, expects: stored.revision }],
      ...byPerson(asker, parts.state),
    });
    if ("conflict" in appended)
      return parts.journal.refused(appended.conflict === "mark" ? proofUsed : moved(request.key), about);
    parts.step("rotate.after-cancel");
    return changed(key, appended);
  });
}

interface Cancellable {
  readonly stored: Stored<Key>;
  readonly rotation: RotationUnderWay;
}

function cancellable({ key, reason }: CancelRotationRequest, { state }: Pick<Parts, "state">): Cancellable | Refusal {
  if (reason.length < 1 || reason.length > 256)
    return refuse("INPUT_INVALID", "a reason of 1 to 256 characters is needed", "say why: auditors will read it");
  const stored = state.record("key", key);
  if (!stored) return refuse("NOT_FOUND", `there is no key "${shown(key)}"`, "signet key list");
  const rotation = underWay(stored.value);
  if (rotation) return { stored, rotation };
  return refuse("KEY_STATE", `no rotation of "${key}" is under way`, `signet key show ${key}`);
}

/** What the custody keeps of it, and the outcome of an attempt that a crash or a full disk left without one. */
async function leftAtCustody(
  key: Key,
  rotation: Cancellable["rotation"],
  parts: Parts,
): Promise<{ readonly left: "nothing" | "kept" | "unknown"; readonly unfinished?: EntryBody }> {
  if (rotation.step !== "BEGUN") return { left: "kept" };
  const last = await lastAttempt(key.name, rotation.id, parts);
  const left = rotation.existing ? "kept" : last ? "unknown" : "nothing";
  if (!last || last.result !== undefined) return { left };
  const old = key.versions.find(({ number }) => number === rotation.from);
  if (!old) throw new Fault("LOG_DAMAGED", `the rotation of ${key.name} has no version to rotate from`);
  const { custody, existing } = rotation;
  const subject = { purpose: key.purpose, algorithm: old.algorithm, custody, existing };
  const { intent } = last;
  const named = { type: "key.rotate.outcome" as const, ...rotating(key.name, rotation), ...subject };
  return { left, unfinished: { ...named, intent, result: "unknown" } };
}
