// A key that exists already comes in, in pre-activation: described by its custody under a pinned name, unknown to us so
// far, and proved to be there by a signature that can be taken for nothing else.
//
// That signature is an effect like any other and stands between an intent and an outcome. Die between them and nothing
// has changed at the custody: the intent stays visible as unfinished, and asking again begins anew.

import { Fault, isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Key, KeyVersion, Purpose } from "../model/key.ts";
import type { Custody, KeyDescription } from "../ports/custody.ts";
import { hex } from "../std/bytes.ts";
import { rfc3339 } from "../std/clock.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields } from "./call.ts";
import { newName } from "./create-key.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import { askCustody, comeIn, evidenceOf, held, holderOf, orLater, publicKeyOf, unfit } from "./incoming-key.ts";
import type { Receipt } from "./index.ts";
import type { Parts } from "./parts.ts";
import { provePossession } from "./possession.ts";
import { receiptOf } from "./receipt.ts";

export interface EnrollKeyRequest {
  readonly name: string;
  readonly purpose: Purpose;
  readonly custody: string;
  /** As the custody's kind writes it. Never a PIN. */
  readonly uri: string;
}

export async function enrollKey(
  call: Call,
  request: EnrollKeyRequest,
  parts: Parts,
): Promise<{ readonly key: Key; readonly receipt: Receipt } | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "key.enroll",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
    keys: [shown(request.name)],
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const candidate = await candidateOf(request, parts);
  if (isRefusal(candidate)) return parts.journal.refused(candidate, { ...about, presented: asker.presented });
  const { custody, version, description } = candidate;

  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const subject = {
    ...fields,
    key: request.name,
    purpose: request.purpose,
    algorithm: version.algorithm,
    custody: request.custody,
    uri: version.uri,
    asked: request.uri === version.uri ? undefined : request.uri,
    publicKey: version.publicKey,
  };
  const intent = await parts.journal.append(call.request, () => ({ type: "key.enroll.intent", ...subject }), {
    blobs,
    ...byPerson(asker, parts.state),
  });
  if ("conflict" in intent) return parts.journal.refused(proofUsed, about);
  parts.step("key.after-enroll-intent");

  const possession = await provePossession(custody, version, parts.random);
  parts.step("key.after-possession");
  const ending = {
    type: "key.enroll.outcome" as const,
    ...subject,
    intent: { index: intent.index, hash: hex(intent.hash) },
  };
  if ("fault" in possession) {
    const { fault, result } = possession;
    const failed = { ...ending, result, code: fault.code };
    await orLater(parts, failed, () => parts.journal.append(call.request, () => failed));
    throw fault;
  }
  const { evidence, blobs: certificates } = evidenceOf(description);
  const { number, createdAt } = version;
  const key: Key = { name: request.name, purpose: request.purpose, versions: [version] };
  const outcome = await comeIn(
    call,
    {
      version,
      blobs: [...possession.blobs, ...certificates],
      put: { kind: "key", id: request.name, value: key, expects: 0 },
    },
    {
      done: { ...ending, ...evidence, result: "done", version: number, createdAt, possession: possession.named },
      refused: { ...ending, result: "withheld", code: "ALREADY_EXISTS" },
      unknown: { ...ending, result: "unknown", code: "LOG_NOT_DURABLE" },
    },
    parts,
  );
  return isRefusal(outcome) ? parts.journal.refused(outcome, about) : { key, receipt: receiptOf(outcome) };
}

interface Candidate {
  readonly custody: Custody;
  readonly version: KeyVersion;
  readonly description: KeyDescription;
}

/** The key as its custody describes it, where it may come in. Throws the Fault of a custody that cannot be asked. */
async function candidateOf(request: EnrollKeyRequest, parts: Parts): Promise<Candidate | Refusal> {
  const custody = newName(request, parts);
  if (isRefusal(custody)) return custody;
  const unsafe = unfitUri(request.uri);
  if (unsafe) return unsafe;
  const description = await askCustody(request.custody, (signal) => custody.describe(request.uri, signal));
  if (description instanceof Fault) throw description;
  if (description === undefined)
    return refuse(
      "NOT_FOUND",
      `custody "${request.custody}" has no key ${shown(request.uri)}`,
      `docs/custody/${custody.kind}.md says how its keys are named`,
    );
  if (description.trouble !== undefined)
    return refuse(
      "INPUT_INVALID",
      `custody "${request.custody}" would not sign with ${shown(request.uri)}: ${description.trouble}`,
      "mend it there, then enroll it",
    );
  return versionOf(custody, description, request, parts);
}

function versionOf(
  custody: Custody,
  description: KeyDescription,
  request: EnrollKeyRequest,
  parts: Parts,
): Candidate | Refusal {
  const { algorithm, uri, protection, guards } = description;
  const publicKey = publicKeyOf(algorithm, description.publicKey);
  if (!custody.algorithms.includes(algorithm) || !publicKey)
    return refuse(
      "ALGORITHM_UNFIT",
      `custody "${request.custody}" calls this key ${algorithm}, and its public key is none that Signet signs with`,
      `it signs with ${custody.algorithms.join(", ")}`,
    );
  const wrong = unfit(request.purpose, algorithm);
  if (wrong) return wrong;
  const holder = holderOf(publicKey, parts.state);
  if (holder) return held(holder);
  const version: KeyVersion = {
    key: request.name,
    number: 1,
    purpose: request.purpose,
    algorithm,
    state: "PRE_ACTIVATION",
    custody: request.custody,
    uri,
    ...publicKey,
    createdAt: rfc3339(parts.clock()),
    protection,
    guards,
  };
  return { custody, version, description };
}

const longestUri = 1024;

/** RFC 7512, 2.4: a PIN may stand in such a URI. It would stand in the log for ever: the message does not repeat it. */
export function unfitUri(uri: string): Refusal | undefined {
  if (/pin-(?:value|source)\s*=/i.test(uri))
    return refuse(
      "INPUT_INVALID",
      "a key's URI never holds a PIN, nor where one is",
      "leave pin-value and pin-source out",
    );
  if (!/^[\x21-\x7e]+$/.test(uri) || uri.length > longestUri)
    return refuse(
      "INPUT_INVALID",
      `a key's URI has 1 to ${String(longestUri)} printable ASCII characters, without spaces`,
      "percent-encode what is not (RFC 3986)",
    );
  return undefined;
}
