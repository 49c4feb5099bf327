// A trust policy: which logs and witnesses we know, and which witnesses together are enough (C2SP tlog-policy).
// Lines of `log <vkey> [url]`, `witness <name> <vkey> [url]`, `group <name> all|any|<k> <member>…`, `quorum <name|none>`;
// names are defined before they are used. Names live in this file alone; who signed is decided by the keys.

import { hex } from "../std/bytes.ts";
import { hasControl, Malformed, parseDecimal, quote } from "./text.ts";
import { parseVkey, sameVkey, type Vkey, type VkeyType } from "./vkey.ts";

export interface PolicyLog {
  /** Its name is the log's origin. */
  readonly vkey: Vkey;
  readonly url?: string;
}

export interface PolicyWitness {
  readonly name: string;
  readonly vkey: Vkey;
  /** By custom the submission prefix of tlog-witness. */
  readonly url?: string;
}

export interface PolicyGroup {
  readonly name: string;
  /** How many members must have witnessed; 1 to their number. */
  readonly threshold: number;
  /** Names of witnesses and of earlier groups; no name is a member twice in the whole policy. */
  readonly members: readonly string[];
}

export interface Policy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  /** In the order of the file: members stand before the groups that use them. */
  readonly groups: readonly PolicyGroup[];
  /** Name of a witness or group, or `none`: no cosignature is needed. */
  readonly quorum: string;
}

interface Draft {
  logs: PolicyLog[];
  witnesses: PolicyWitness[];
  groups: PolicyGroup[];
  quorum?: string;
  /** Every witness and group so far. */
  names: Set<string>;
  /** Every name that is a member of a group. */
  members: Set<string>;
}

type Refuse = (problem: string) => never;

/** Throws Malformed with the number of the line. */
export function parsePolicy(text: string): Policy {
  const draft: Draft = { logs: [], witnesses: [], groups: [], names: new Set(), members: new Set() };
  for (const [i, line] of text.split("\n").entries()) readLine(draft, line, i + 1);
  const { logs, witnesses, groups, quorum } = draft;
  if (quorum === undefined) throw new Malformed("policy", 'it has no quorum line; write "quorum none" to ask for none');
  return { logs, witnesses, groups, quorum };
}

/** Whether these cosigners are enough. Vkeys that are no witnesses of the policy do not count. */
export function satisfied(policy: Policy, cosigners: Iterable<Vkey>): boolean {
  const known = [...cosigners];
  const met = new Map([["none", true]]);
  for (const { name, vkey } of policy.witnesses)
    met.set(
      name,
      known.some((one) => sameVkey(one, vkey)),
    );
  for (const { name, threshold, members } of policy.groups) {
    met.set(name, members.filter((member) => met.get(member) === true).length >= threshold);
  }
  return met.get(policy.quorum) === true;
}

function readLine(draft: Draft, line: string, number: number): void {
  const refuse: Refuse = (problem) => {
    throw new Malformed("policy", problem, number);
  };
  if (hasControl(line, "\t") || line.includes("\u007f")) refuse("it holds a control character other than tab");
  const [keyword, ...items] = line.split(/[ \t]+/).filter((item) => item !== "");
  if (keyword === undefined || keyword.startsWith("#")) return;
  if (keyword === "log") readLog(draft, items, refuse);
  else if (keyword === "witness") readWitness(draft, items, refuse);
  else if (keyword === "group") readGroup(draft, items, refuse, number);
  else if (keyword === "quorum") readQuorum(draft, items, refuse);
  else refuse(`${quote(keyword)} is none of log, witness, group, quorum`);
}

function readLog(draft: Draft, items: readonly string[], refuse: Refuse): void {
  const [key, url, more] = items;
  if (key === undefined || more !== undefined) refuse("a log line is: log <vkey> [<url>]");
  const vkey = readVkey(key, "ed25519", "log", refuse);
  if (draft.logs.some((log) => sameKey(log.vkey, vkey))) refuse(`the key of log ${quote(vkey.name)} is there twice`);
  draft.logs.push({ vkey, ...(url === undefined ? {} : { url }) });
}

function readWitness(draft: Draft, items: readonly string[], refuse: Refuse): void {
  const [name, key, url, more] = items;
  if (name === undefined || key === undefined || more !== undefined) {
    refuse("a witness line is: witness <name> <vkey> [<url>]");
  }
  define(draft, name, refuse);
  const vkey = readVkey(key, "cosignature", "witness", refuse);
  if (draft.witnesses.some((one) => sameKey(one.vkey, vkey)))
    refuse(`the key of witness ${quote(name)} is there twice`);
  draft.witnesses.push({ name, vkey, ...(url === undefined ? {} : { url }) });
}

function readGroup(draft: Draft, items: readonly string[], refuse: Refuse, line: number): void {
  const [name, count, ...members] = items;
  if (name === undefined || count === undefined || members.length === 0) {
    refuse("a group line is: group <name> all|any|<number> <member>…");
  }
  for (const member of members) {
    if (!draft.names.has(member)) refuse(`${quote(member)} is no witness or group defined above`);
    if (draft.members.has(member)) refuse(`${quote(member)} is a group's member already`);
    draft.members.add(member);
  }
  define(draft, name, refuse);
  const threshold = count === "all" ? members.length : count === "any" ? 1 : parseDecimal(count, "policy", line);
  if (threshold < 1 || threshold > members.length) {
    refuse(`of ${String(members.length)} members, ${quote(count)} cannot be asked for`);
  }
  draft.groups.push({ name, threshold, members });
}

function readQuorum(draft: Draft, items: readonly string[], refuse: Refuse): void {
  const [name, more] = items;
  if (name === undefined || more !== undefined) refuse("a quorum line is: quorum <name>, or quorum none");
  if (draft.quorum !== undefined) refuse("there is a quorum line already");
  if (name !== "none" && !draft.names.has(name)) refuse(`${quote(name)} is no witness or group defined above`);
  draft.quorum = name;
}

function define(draft: Draft, name: string, refuse: Refuse): void {
  if (name === "none") refuse('the name "none" is reserved');
  if (draft.names.has(name)) refuse(`the name ${quote(name)} is taken`);
  draft.names.add(name);
}

function readVkey(text: string, type: VkeyType, role: string, refuse: Refuse): Vkey {
  const vkey = tryVkey(text, refuse);
  if (vkey.type !== type) refuse(`a ${role} needs a key of type ${type}, this one is ${vkey.type}`);
  return vkey;
}

function tryVkey(text: string, refuse: Refuse): Vkey {
  try {
    return parseVkey(text);
  } catch (error) {
    if (error instanceof Malformed) return refuse(error.message);
    throw error;
  }
}

/** Duplicates are told by the public key alone, whatever the name. */
const sameKey = (a: Vkey, b: Vkey): boolean => hex(a.publicKey) === hex(b.publicKey);
