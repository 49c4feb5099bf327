// What auditors ask, and what the log answers: entries as leaves, proofs, checkpoints, tiles. Every look at the
// entries is itself an entry. Nothing here changes anything else.

import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Person, Role } from "../model/principal.ts";
import type { EntryFilter, LogEntry, Page } from "../ports/log.ts";
import { utf8 } from "../std/bytes.ts";
import { canonicalJson } from "../std/json.ts";
import { type Call, type Caller, callerFields, type Presented, principalOf } from "./call.ts";
import { endedSession, personWith, proofUsed } from "./guard.ts";
import type { Checkpoint } from "./index.ts";
import type { Parts } from "./parts.ts";

const readers: readonly Role[] = ["auditor", "operator", "approver"];

/** Anybody with a role, once per proof. */
export async function reader(
  call: Call,
  action: string,
  parts: Parts,
  roles: readonly Role[] = readers,
): Promise<ReturnType<typeof personWith>> {
  const asker = personWith(call, roles);
  const about = { request: call.request, action, by: principalOf(call.caller) };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  return parts.replay.once(asker.presented.proof, call.request) ? asker : parts.journal.refused(proofUsed, about);
}

/** Anybody whom Signet knows at all: people and CI jobs with an open session. */
export async function acquaintance(call: Call, action: string, parts: Parts): Promise<Refusal | undefined> {
  const { caller } = call;
  const no =
    unknown(caller, parts) ?? (parts.replay.once(caller.presented?.proof, call.request) ? undefined : proofUsed);
  const session = caller.kind === "session" ? caller.session.id : undefined;
  return no && parts.journal.refused(no, { request: call.request, action, by: principalOf(caller), session });
}

/** Strangers are turned away before their proofs are remembered: they could fill the memory. */
function unknown(caller: Caller, parts: Parts): Refusal | undefined {
  if (caller.kind === "session") return endedSession(caller.session, parts.clock());
  if (caller.kind === "person") return undefined;
  return refuse("UNAUTHENTICATED", "this needs a session token", "signet login, or signet session open");
}

export async function entries(
  call: Call,
  filter: EntryFilter,
  page: Page,
  parts: Parts,
): Promise<
  { readonly entries: readonly LogEntry[]; readonly more: boolean; readonly checkpoint: Checkpoint } | Refusal
> {
  const asker = await reader(call, "audit.read", parts);
  if (isRefusal(asker)) return asker;
  const found = await parts.log.entries(filter, page);
  const checkpoint = await newestCheckpoint(parts);
  await recordRead(call, asker, { ...filter, ...page }, found.entries.length, parts);
  return { ...found, entries: found.entries.map((one) => ({ ...one, size: checkpoint.size })), checkpoint };
}

export async function entry(call: Call, index: number, parts: Parts): Promise<LogEntry | Refusal | undefined> {
  const asker = await reader(call, "audit.read", parts);
  if (isRefusal(asker)) return asker;
  const leaf = await parts.log.leaf(index);
  await recordRead(call, asker, { index }, leaf ? 1 : 0, parts);
  return leaf && { index, leaf, entry: JSON.parse(Buffer.from(leaf).toString("utf8")) as LogEntry["entry"] }; // our own leaf
}

export async function recordRead(
  call: Call,
  asker: { readonly person: Person; readonly presented: Presented },
  query: object,
  count: number,
  parts: Parts,
): Promise<void> {
  const { fields, blobs } = callerFields(asker.person, asker.presented);
  await parts.journal.append(
    call.request,
    () => ({ type: "audit.read", ...fields, query: canonicalJson(query as never).slice(0, 512), count }),
    { blobs },
  );
}

export async function newestCheckpoint(parts: Parts): Promise<Checkpoint> {
  const note = await parts.log.checkpoint();
  return { ...parts.log.head(), ...heading(note), note, witnesses: [] };
}

export async function checkpoint(
  call: Call,
  size: number | undefined,
  parts: Parts,
): Promise<Checkpoint | Refusal | undefined> {
  const refused = await acquaintance(call, "checkpoint", parts);
  if (refused) return refused;
  if (size === undefined) return parts.published() ?? newestCheckpoint(parts);
  const note = await parts.log.checkpointAt(size);
  return note === undefined ? undefined : { ...heading(note), note, witnesses: [] };
}

/** C2SP tlog-checkpoint: origin, size, base64 root. Our own text. */
export function heading(note: string): { readonly origin: string; readonly size: number; readonly root: Uint8Array } {
  const [origin = "", size = "", root = ""] = note.split("\n");
  return { origin, size: Number(size), root: Buffer.from(root, "base64") };
}

export async function consistency(
  call: Call,
  from: number,
  to: number,
  parts: Parts,
): Promise<readonly Uint8Array[] | Refusal> {
  const refused = await acquaintance(call, "consistency", parts);
  if (refused) return refused;
  const { size } = parts.log.head();
  if (from < 0 || from > to || to > size)
    return refuse(
      "INPUT_INVALID",
      `asked from ${String(from)} to ${String(to)}; the log has ${String(size)} entries`,
      "0 <= from <= to <= size",
    );
  return parts.log.consistency(from, to);
}

/** `open`: this listener shows checkpoint and hash tiles to everybody. Entry tiles hold names and need a role. */
export async function tile(
  call: Call,
  path: string,
  open: boolean,
  parts: Parts,
): Promise<Uint8Array | Refusal | undefined> {
  const names = path.startsWith("tile/entries/");
  if (!open || names) {
    const asker = await reader(call, "log.tile", parts, names ? ["auditor"] : readers);
    if (isRefusal(asker)) return asker;
    if (names) await recordExport(call, asker, path, parts);
  }
  const published = path === "checkpoint" ? parts.published() : undefined;
  return published ? utf8(published.note) : parts.log.tile(path);
}

/** An export fetches thousands of tiles: one entry for all that a person fetches within this time. Milliseconds. */
const exportSpan = 600_000;

async function recordExport(
  call: Call,
  asker: { readonly person: Person; readonly presented: Presented },
  path: string,
  parts: Parts,
): Promise<void> {
  const since = parts.exports.get(asker.person.id);
  if (since !== undefined && parts.clock() - since < exportSpan) return;
  const { fields, blobs } = callerFields(asker.person, asker.presented);
  await parts.journal.append(
    call.request,
    () => ({ type: "audit.export", ...fields, query: path, count: parts.log.head().size }),
    { blobs },
  );
  parts.exports.set(asker.person.id, parts.clock());
}
