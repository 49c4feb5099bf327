// A rotation, as facts of the key's record: what each step changes, what is due, and what it keeps others from doing.
// The steps are the same for whoever commits them and for the replay of the log.

import { rfc3339 } from "../std/clock.ts";
import { parseDuration } from "../std/duration.ts";
import type { Ended, Key, KeyVersion, Rotation, RotationTerms } from "./key.ts";

export type RotationUnderWay = Exclude<Rotation, { readonly step: "SWITCHED" | "CANCELLED" }>;
export type PublishedRotation = Extract<Rotation, { readonly step: "PUBLISHED" }>;
/** What of a version a rotation changes. */
export type LivingVersion = Pick<KeyVersion, "number" | "state" | "ended">;

export function underWay({ rotation }: Pick<Key, "rotation">): RotationUnderWay | undefined {
  return rotation && rotation.step !== "SWITCHED" && rotation.step !== "CANCELLED" ? rotation : undefined;
}

const numbered = ({ versions }: Key, number: number): KeyVersion | undefined =>
  versions.find((one) => one.number === number);

/** The version that waits for its switch while the old one signs: nobody activates it past the propagation time. */
export function awaitsSwitch(key: Key, number: number): boolean {
  const rotation = underWay(key);
  return rotation?.to === number && numbered(key, rotation.from)?.state === "ACTIVE";
}

/**
 * Why a published rotation does not switch, in words; undefined where nothing but time is in the way. What somebody
 * stopped since it began, the clock does not start again by another version.
 */
export function obstacle(key: Key, rotation: PublishedRotation): string | undefined {
  const [from, to] = [numbered(key, rotation.from), numbered(key, rotation.to)];
  if (!from || !to) return "a version of it is gone";
  if (to.state === "ACTIVE") return undefined;
  if (to.state !== "PRE_ACTIVATION") return `v${String(to.number)} is ${to.state}`;
  return from.state === rotation.fromState ? undefined : `v${String(from.number)} is ${from.state} since it began`;
}

/** `at` in milliseconds since the epoch. For a version that people activated in the meantime there is no more to wait. */
export function switchIsDue(key: Key, rotation: PublishedRotation, at: number): boolean {
  if (obstacle(key, rotation) !== undefined) return false;
  return Date.parse(rotation.switchAt) <= at || numbered(key, rotation.to)?.state === "ACTIVE";
}

/** RFC 3339; undefined where the old public key stays, or where this switch does not decide how long. */
export const trustedUntil = (
  key: Key,
  { from, retireAfter }: Pick<RotationTerms, "from" | "retireAfter">,
  endedAt: string,
): string | undefined => {
  const old = numbered(key, from);
  if (!old || retireAfter === undefined || !endsAtSwitch(old)) return undefined;
  return rfc3339(Date.parse(endedAt) + parseDuration(retireAfter));
};

/** Whether the switch is what ends it; an end that an earlier rotation or a report of compromise told stands. */
const endsAtSwitch = ({ state, ended }: LivingVersion): boolean =>
  state === "ACTIVE" ||
  state === "SUSPENDED" ||
  (state === "DEACTIVATED" && (!ended || (ended.why === "deactivated" && ended.trustedUntil === undefined)));

interface Begun extends Omit<RotationTerms, "id"> {
  readonly rotation: string;
}
export const begunRotation = ({ rotation: id, ...terms }: Begun): Rotation => ({
  ...termsOf({ id, ...terms }),
  step: "BEGUN",
});
export const made = (rotation: RotationTerms): Rotation => ({ ...termsOf(rotation), step: "MADE" });
export const published = (
  rotation: RotationTerms,
  { publishedAt, switchAt }: Pick<PublishedRotation, "publishedAt" | "switchAt">,
): PublishedRotation => ({ ...termsOf(rotation), step: "PUBLISHED", publishedAt, switchAt });

export function switchedRotation(rotation: Rotation, endedAt: string): Rotation {
  return rotation.step === "PUBLISHED" ? { ...rotation, step: "SWITCHED", endedAt } : rotation;
}
export const cancelledRotation = (rotation: RotationTerms, endedAt: string): Rotation => ({
  ...termsOf(rotation),
  step: "CANCELLED",
  endedAt,
});

/** Member by member: what stands beside them belongs to a step. */
function termsOf(terms: RotationTerms): RotationTerms {
  const { id, from, to, fromState, custody, existing, propagation, retireAfter, asked, begunAt } = terms;
  return { id, from, to, fromState, custody, existing, propagation, retireAfter, asked, begunAt };
}

export function switchedVersion<V extends LivingVersion>(
  version: V,
  { from, to }: Pick<RotationTerms, "from" | "to">,
  endedAt: string,
  until: string | undefined,
): V {
  if (version.number === to) return { ...version, state: "ACTIVE" };
  if (version.number !== from || !endsAtSwitch(version)) return version;
  const why = version.state === "ACTIVE" ? "rotated" : "deactivated";
  const ended: Ended = { ...(version.ended ?? { why, at: endedAt }), trustedUntil: until };
  return { ...version, state: "DEACTIVATED", ended };
}

/** The version that was made never signs. */
export function cancelledVersion<V extends LivingVersion>(
  version: V,
  { to }: Pick<RotationTerms, "to">,
  endedAt: string,
): V {
  if (version.number !== to || version.state !== "PRE_ACTIVATION") return version;
  const ended: Ended = { why: "cancelled", at: endedAt, trustedUntil: endedAt, retired: true };
  return { ...version, state: "DEACTIVATED", ended };
}

export const retiredVersion = <V extends LivingVersion>(version: V, number: number): V =>
  version.number === number && version.ended ? { ...version, ended: { ...version.ended, retired: true } } : version;

/** Versions whose public key has left the trust documents, and no entry says so yet. */
export const toRetire = ({ versions }: Key, at: number): readonly KeyVersion[] =>
  versions.filter(
    ({ ended }) =>
      (ended?.why === "rotated" || ended?.why === "deactivated") &&
      ended.retired !== true &&
      ended.trustedUntil !== undefined &&
      Date.parse(ended.trustedUntil) <= at,
  );
