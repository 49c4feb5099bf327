// A person gives a token its PIN. A wrong one costs a try and cannot be taken back, so it is an outside effect like any
// other and stands between an intent and an outcome; the PIN itself is written nowhere.
//
// Die between them and a try may be spent: the intent stays visible as unfinished, and the token starts locked again.

import type { EntryBody } from "../model/entry.ts";
import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Custody, Unlocking } from "../ports/custody.ts";
import { hex } from "../std/bytes.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields } from "./call.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import { custodyHealth } from "./health.ts";
import { askCustody, orLater } from "./incoming-key.ts";
import type { CustodyStatus, Receipt, UnlockRequest } from "./index.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";

type UnlockOutcome = Extract<EntryBody, { type: "custody.unlock.outcome" }>;

export async function unlockCustody(
  call: Call,
  request: UnlockRequest,
  parts: Parts,
): Promise<{ readonly custody: CustodyStatus; readonly receipt: Receipt } | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "custody.unlock",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const custody = unlockable(request, parts);
  if (isRefusal(custody)) return parts.journal.refused(custody, { ...about, presented: asker.presented });

  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const subject = { ...fields, custody: request.custody };
  const intent = await parts.journal.append(call.request, () => ({ type: "custody.unlock.intent", ...subject }), {
    blobs,
    ...byPerson(asker, parts.state),
  });
  if ("conflict" in intent) return parts.journal.refused(proofUsed, about);

  const ending = await askCustody(request.custody, (signal) => custody.unlock(request.pin, signal));
  const outcome: UnlockOutcome = {
    type: "custody.unlock.outcome",
    ...subject,
    intent: { index: intent.index, hash: hex(intent.hash) },
    ...resultOf(ending),
  };
  const appended = await orLater(parts, outcome, () => parts.journal.append(call.request, () => outcome));
  if (ending instanceof Fault) throw ending;
  if ("conflict" in appended) throw new Error("an outcome has no conditions");
  if ("refused" in ending)
    return {
      ...refuse("PIN_REFUSED", `custody ${request.custody}: ${ending.refused}`, "signet custody list"),
      entry: appended.index,
    };
  return { custody: statusOf(request.custody, custody), receipt: receiptOf(appended) };
}

function resultOf(ending: Unlocking | Fault): Pick<UnlockOutcome, "result" | "code" | "refused"> {
  if (ending instanceof Fault) return { result: ending.nothingHappened ? "failed" : "unknown", code: ending.code };
  return "refused" in ending ? { result: "failed", refused: ending.refused } : { result: "done" };
}

function unlockable(
  { custody: name, salt }: UnlockRequest,
  parts: Parts,
): (Custody & Required<Pick<Custody, "unlock">>) | Refusal {
  const custody = parts.custodies.get(name);
  if (!custody)
    return refuse(
      "NOT_FOUND",
      `no custody "${shown(name)}" is configured; there is ${[...parts.custodies.keys()].join(", ")}`,
      "signet custody list",
    );
  if (salt.length < 16)
    return refuse(
      "INPUT_INVALID",
      "the salt has less than 16 characters",
      "send random text: it hides the PIN in the log",
    );
  return takesPin(custody) ? custody : refuse("INPUT_INVALID", `custody "${name}" takes no PIN`, "signet custody list");
}

const takesPin = (custody: Custody): custody is Custody & Required<Pick<Custody, "unlock">> =>
  custody.unlock !== undefined;

export const custodyStatuses = ({ custodies }: Pick<Parts, "custodies">): readonly CustodyStatus[] =>
  [...custodies].map(([name, custody]) => statusOf(name, custody));

const statusOf = (name: string, custody: Custody): CustodyStatus => ({
  ...custodyHealth(custody),
  name,
  kind: custody.kind,
  unlockable: takesPin(custody),
});
