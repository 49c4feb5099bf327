// Ids that clients keep and give back without reading them. They are those that stand in the log, so that nobody has to
// translate: `ss_…` a session, `op_…` an operator, `pa_…` a pending action, `key_NAME` a key, `kv_NAME/3` its version.

import { isKeyName, type KeyVersion, versionId } from "../model/key.ts";

export type Named =
  | { readonly type: "SigningSession" | "Operator" | "PendingAction"; readonly id: string }
  | { readonly type: "Key"; readonly name: string }
  | { readonly type: "KeyVersion"; readonly name: string; readonly number: number };

export const keyId = (name: string): string => `key_${name}`;
export const keyVersionId = (version: Pick<KeyVersion, "key" | "number">): string => `kv_${versionId(version)}`;

const types = { ss: "SigningSession", op: "Operator", pa: "PendingAction" } as const;

/** Undefined for a text that is no id of ours. */
export function parseId(id: string): Named | undefined {
  const record = /^(ss|op|pa)_[0-9A-Z]{1,40}$/.exec(id);
  if (record?.[1] !== undefined) return { type: types[record[1] as keyof typeof types], id }; // the expression allows no other
  const [, kind, name, number] = /^(key|kv)_([^/]+)(?:\/([1-9][0-9]{0,8}))?$/.exec(id) ?? [];
  if (name === undefined || !isKeyName(name)) return undefined;
  if (kind === "key") return number === undefined ? { type: "Key", name } : undefined;
  return number === undefined ? undefined : { type: "KeyVersion", name, number: Number(number) };
}
