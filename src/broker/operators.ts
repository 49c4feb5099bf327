// People: the first operator by the local socket, the others by two people, and how they log in.
//
// A person is whoever holds the enrolled key or certificate, or whom a configured OIDC issuer vouches for.

import type { Action } from "../model/approval.ts";
import type { EntryBody } from "../model/entry.ts";
import { isRefusal, type Refusal, refuse } from "../model/errors.ts";
import type { Confirmation, Person, Role } from "../model/principal.ts";
import type { Mark, Put } from "../ports/log.ts";
import { rfc3339 } from "../std/clock.ts";
import { sha256 } from "../std/digest.ts";
import { newId } from "../std/id.ts";
import { byPerson } from "./by-person.ts";
import { type Call, callerFields, type Presented } from "./call.ts";
import { personWith, proofUsed, shown } from "./guard.ts";
import type { Receipt } from "./index.ts";
import { newToken, proofMarks, tokenMemory } from "./open-session.ts";
import { loginLength } from "./operator-sessions.ts";
import type { Parts } from "./parts.ts";
import { receiptOf } from "./receipt.ts";
import { requestApproval } from "./request-approval.ts";

interface Operator {
  readonly operator: Person;
  readonly receipt: Receipt;
}

export async function enrolFirstOperator(
  call: Call,
  request: { readonly name: string; readonly issuer?: string | undefined; readonly subject?: string | undefined },
  parts: Parts,
): Promise<Operator | Refusal> {
  const { caller } = call;
  const about = { request: call.request, action: "operator.enrol-first", by: undefined };
  if (caller.kind !== "socket")
    return parts.journal.refused(
      refuse(
        "UNAUTHENTICATED",
        "the first operator is enrolled over the local socket only",
        "run the command on the daemon's host",
      ),
      about,
    );
  if (parts.state.records("person").length > 0)
    return parts.journal.refused(
      refuse("BOOTSTRAP_CLOSED", "there is an operator already", "ask an operator: signet operator add"),
      { ...about, by: { kind: "socket" } },
    );
  const identity = named(request) ?? ownKey(caller.presented?.cnf);
  if (!identity)
    return parts.journal.refused(
      refuse(
        "INPUT_INVALID",
        "neither an issuer and subject nor a DPoP proof says who you are",
        "signet operator enrol-first --name NAME",
      ),
      about,
    );
  const malformed = nameProblem(request.name) ?? identityProblem(identity);
  if (malformed) return parts.journal.refused(malformed, about);

  const operator: Person = {
    kind: "person",
    id: newId("op", parts.clock, parts.random),
    name: request.name,
    ...identity,
    roles: ["operator", "approver", "auditor"],
  };
  const { fields, blobs } = callerFields({ kind: "socket" }, caller.presented);
  const appended = await parts.journal.append(
    call.request,
    () => ({ type: "operator.change", ...fields, change: "enrolled-first", operator: plain(operator) }),
    {
      blobs,
      puts: [{ kind: "person", id: operator.id, value: operator, expects: 0 }],
      marks: [
        ...proofMarks(caller.presented),
        { kind: "token", id: sha256("the first operator"), expiresAt: Number.MAX_SAFE_INTEGER },
      ],
    },
  );
  if ("conflict" in appended)
    return parts.journal.refused(refuse("BOOTSTRAP_CLOSED", "somebody was enrolled at the same moment"), about);
  return { operator, receipt: receiptOf(appended) };
}

export async function openOperatorSession(
  call: Call,
  request: { readonly identityToken?: string | undefined },
  parts: Parts,
): Promise<{ readonly operator: Person; readonly token: string; readonly expiresAt: number } | Refusal> {
  const { caller } = call;
  const about = { request: call.request, action: "operator.login", by: undefined };
  const presented = caller.kind === "anonymous" || caller.kind === "socket" ? caller.presented : undefined;
  if (!presented || "bearer" in presented.cnf) {
    return parts.journal.refused(
      refuse(
        "PROOF_INVALID",
        "a login is bound to a key: no DPoP proof and no client certificate came with it",
        "signet login",
      ),
      about,
    );
  }
  const who = await identify(request.identityToken, presented.cnf, parts);
  if (isRefusal(who)) return parts.journal.refused(who, about);
  const operator = parts.state
    .records("person")
    .find(({ value }) => value.issuer === who.issuer && value.subject === who.subject)?.value;
  if (!operator)
    return parts.journal.refused(
      refuse(
        "UNAUTHENTICATED",
        `${who.issuer} ${shown(who.subject)} is not enrolled here`,
        "ask an operator: signet operator add",
      ),
      about,
    );

  const expiresAt = parts.clock() + loginLength;
  const { fields, blobs } = callerFields({ ...operator, methods: who.methods }, presented, who.tokenId);
  const appended = await parts.journal.append(
    call.request,
    () => ({ type: "operator.login", ...fields, expiresAt: rfc3339(expiresAt) }),
    { blobs, marks: [...proofMarks(presented), ...tokenMarks(who)] },
  );
  if ("conflict" in appended) {
    const replayed = appended.conflict === "mark" && appended.mark === "token";
    return parts.journal.refused(replayed ? tokenUsed : proofUsed, {
      ...about,
      by: operator,
      identityToken: who.tokenId,
    });
  }
  const token = newToken("sgo", parts);
  parts.operatorSessions.keep(token, { person: operator.id, cnf: presented.cnf, methods: who.methods, expiresAt });
  return { operator, token, expiresAt };
}

interface Who {
  readonly issuer: string;
  readonly subject: string;
  readonly methods?: readonly string[];
  readonly tokenId?: string;
  /** Of the identity token, milliseconds since the epoch. */
  readonly expiresAt?: number;
}

/** An identity token logs in once, with the key that presented it first. */
const tokenMarks = ({ tokenId, expiresAt }: Who): readonly Mark[] =>
  tokenId === undefined ? [] : [{ kind: "token", id: sha256(tokenId), expiresAt: (expiresAt ?? 0) + tokenMemory }];

const tokenUsed: Refusal = refuse(
  "TOKEN_REPLAYED",
  "this identity token has logged somebody in already",
  "log in again: signet login; if the first login was not yours, tell another operator",
);

async function identify(token: string | undefined, cnf: Confirmation, parts: Parts): Promise<Who | Refusal> {
  if (token === undefined) return ownKey(cnf) ?? refuse("PROOF_INVALID", "no key was presented", "signet login");
  const identity = await parts.tokens.verify(token);
  if (isRefusal(identity)) return identity;
  return identity.kind === "person"
    ? identity
    : refuse("TOKEN_INVALID", "this is a CI job's token; people log in with their own", "signet login");
}

export async function addOperator(
  call: Call,
  request: {
    readonly name: string;
    readonly issuer: string;
    readonly subject: string;
    readonly roles: readonly Role[];
  },
  parts: Parts,
): Promise<Operator | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "operator.add",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const action = {
    kind: "operator.add" as const,
    name: request.name,
    issuer: request.issuer,
    subject: request.subject,
    roles: [...new Set(request.roles)].sort(),
  };
  const addition = operatorAddition(action, asker.person, asker.presented, undefined, parts);
  if (isRefusal(addition)) return parts.journal.refused(addition, { ...about, presented: asker.presented });
  if (parts.twoPersons && somebodyElseApproves(asker.person, parts)) return requestApproval(call, action, asker, parts);
  const appended = await parts.journal.append(call.request, () => addition.body, {
    blobs: addition.blobs,
    puts: [addition.put],
    ...alone(byPerson(asker, parts.state), parts.twoPersons && decides(addition.operator)),
  });
  if ("conflict" in appended && appended.conflict === "mark" && appended.mark === "token")
    return requestApproval(call, action, asker, parts);
  if ("conflict" in appended) return parts.journal.refused(proofUsed, about);
  return { operator: addition.operator, receipt: receiptOf(appended) };
}

const decides = ({ roles }: Pick<Person, "roles">): boolean => roles.includes("operator") || roles.includes("approver");

/** Without a second person there is nobody to ask: the first operator adds the second alone, and the entry says so. */
const somebodyElseApproves = (asker: Person, parts: Parts): boolean =>
  parts.state.records("person").some(({ value }) => value.id !== asker.id && decides(value));

/** That happens once in the life of a log: a mark that never expires stands for it. */
const alone = (by: ReturnType<typeof byPerson>, second: boolean): ReturnType<typeof byPerson> =>
  second
    ? {
        ...by,
        marks: [
          ...(by.marks ?? []),
          { kind: "token", id: sha256("the second operator"), expiresAt: Number.MAX_SAFE_INTEGER },
        ],
      }
    : by;

/** The entry and the record of one addition, for whoever commits it. */
export function operatorAddition(
  action: Extract<Action, { kind: "operator.add" }>,
  by: Person,
  presented: Presented,
  pending: string | undefined,
  parts: Parts,
):
  | { readonly operator: Person; readonly body: EntryBody; readonly put: Put; readonly blobs: readonly Uint8Array[] }
  | Refusal {
  const problem =
    nameProblem(action.name) ??
    identityProblem(action) ??
    (action.roles.length === 0
      ? refuse("INPUT_INVALID", "an operator needs at least one role", "--role operator, approver or auditor")
      : undefined);
  if (problem) return problem;
  const people = parts.state.records("person").map(({ value }) => value);
  if (
    people.some((one) => one.name === action.name || (one.issuer === action.issuer && one.subject === action.subject))
  ) {
    return refuse(
      "ALREADY_EXISTS",
      `${action.name} is enrolled already, or somebody else has this identity`,
      "signet operator list",
    );
  }
  const operator: Person = {
    kind: "person",
    id: newId("op", parts.clock, parts.random),
    name: action.name,
    issuer: action.issuer,
    subject: action.subject,
    roles: action.roles,
  };
  const { fields, blobs } = callerFields(by, presented);
  const body: EntryBody = {
    type: "operator.change",
    ...fields,
    change: "added",
    operator: plain(operator),
    pending,
    onePerson: pending === undefined ? true : undefined,
  };
  return { operator, body, put: { kind: "person", id: operator.id, value: operator, expects: 0 }, blobs };
}

export async function removeOperator(
  call: Call,
  request: { readonly operator: string },
  parts: Parts,
): Promise<Operator | Refusal> {
  const asker = personWith(call, ["operator"]);
  const about = {
    request: call.request,
    action: "operator.remove",
    by: call.caller.kind === "person" ? call.caller.person : undefined,
  };
  if (isRefusal(asker)) return parts.journal.refused(asker, about);
  const stored = parts.state.record("person", request.operator);
  if (!stored)
    return parts.journal.refused(
      refuse("NOT_FOUND", `there is no operator "${shown(request.operator)}"`, "signet operator list"),
      about,
    );
  const others = parts.state
    .records("person")
    .filter(({ value }) => value.id !== request.operator && value.roles.includes("operator"));
  if (others.length === 0)
    return parts.journal.refused(
      refuse("INPUT_INVALID", `${stored.value.name} is the last operator`, "add another one first"),
      about,
    );
  const deciders = parts.state.records("person").filter(({ value }) => value.id !== request.operator && decides(value));
  if (parts.twoPersons && decides(stored.value) && deciders.length < 2)
    return parts.journal.refused(
      refuse(
        "INPUT_INVALID",
        `without ${stored.value.name} nobody could approve what another asks for`,
        "add a third person first",
      ),
      about,
    );
  const { fields, blobs } = callerFields(asker.person, asker.presented);
  const appended = await parts.journal.append(
    call.request,
    () => ({ type: "operator.change", ...fields, change: "removed", operator: plain(stored.value) }),
    {
      blobs,
      puts: [{ kind: "person", id: stored.value.id, value: undefined, expects: stored.revision }],
      ...byPerson(asker, parts.state),
    },
  );
  if ("conflict" in appended)
    return parts.journal.refused(
      appended.conflict === "mark"
        ? proofUsed
        : refuse("NOT_FOUND", "somebody removed this operator at the same moment"),
      about,
    );
  parts.operatorSessions.forget(stored.value.id);
  return { operator: stored.value, receipt: receiptOf(appended) };
}

const named = (request: {
  readonly issuer?: string | undefined;
  readonly subject?: string | undefined;
}): Who | undefined =>
  request.issuer !== undefined && request.subject !== undefined
    ? { issuer: request.issuer, subject: request.subject }
    : undefined;

function ownKey(cnf: Confirmation | undefined): Who | undefined {
  if (!cnf || "bearer" in cnf) return undefined;
  return "jkt" in cnf ? { issuer: "key", subject: cnf.jkt } : { issuer: "mtls", subject: cnf["x5t#S256"] };
}

const nameProblem = (name: string): Refusal | undefined =>
  /^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,62}$/u.test(name)
    ? undefined
    : refuse(
        "INPUT_INVALID",
        `"${shown(name)}" is not a name`,
        "use letters, digits, space and . _ @ -, at most 63 characters",
      );

const identityProblem = ({
  issuer,
  subject,
}: {
  readonly issuer: string;
  readonly subject: string;
}): Refusal | undefined =>
  issuer.length <= 256 && subject.length <= 256 && subject.length > 0 && issuer.length > 0
    ? undefined
    : refuse("INPUT_INVALID", "issuer and subject have 1 to 256 characters each");

const plain = ({
  id,
  name,
  issuer,
  subject,
  roles,
}: Person): Extract<EntryBody, { type: "operator.change" }>["operator"] => ({ id, name, issuer, subject, roles });
