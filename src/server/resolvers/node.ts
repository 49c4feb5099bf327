// The abstract types of the schema: which concrete type a value is, and what an id names.

import { errorTable } from "../../model/errors.ts";
import type { RequestContext } from "../context.ts";
import { docsOf, granted } from "../errors.ts";
import type { Resolvers } from "../generated.ts";
import { parseId } from "../ids.ts";

async function nodeOf(id: string, { broker, call }: RequestContext) {
  const named = parseId(id);
  switch (named?.type) {
    case undefined:
      return undefined;
    case "SigningSession":
      return granted(broker.session(call, named.id));
    case "Operator":
      return (await granted(broker.operators(call))).find((person) => person.id === named.id);
    case "PendingAction":
      return granted(broker.pendingAction(call, named.id));
    case "Key":
      return granted(broker.key(call, named.name));
    case "KeyVersion":
      return (await granted(broker.key(call, named.name)))?.versions.find(({ number }) => number === named.number);
  }
}

/** Of the values that `nodeOf` returns: told apart by the member that only one of them has. */
function typeOf(value: object): "SigningSession" | "Operator" | "PendingAction" | "KeyVersion" | "Key" {
  if ("usesGranted" in value) return "SigningSession";
  if ("roles" in value) return "Operator";
  if ("requester" in value) return "PendingAction";
  return "fingerprint" in value ? "KeyVersion" : "Key";
}

const resultOf = <Success extends string>(success: Success) => ({
  __resolveType: (value: object): Success | "Refusal" => ("refusal" in value ? "Refusal" : success),
});

export const node: Resolvers = {
  Query: { node: (_, { id }, context) => nodeOf(id, context) },
  Node: { __resolveType: typeOf },
  Refusal: {
    code: ({ refusal }) => refusal,
    number: ({ refusal }) => errorTable[refusal].number,
    docs: ({ refusal }) => docsOf(refusal),
  },
  AddOperatorResult: resultOf("OperatorSuccess"),
  ChangeKeyStateResult: resultOf("KeySuccess"),
  CancelRotationResult: resultOf("KeySuccess"),
  CloseSigningSessionResult: resultOf("SessionSuccess"),
  CreateKeyResult: resultOf("KeySuccess"),
  EnrollKeyResult: resultOf("KeySuccess"),
  DestroyKeyResult: resultOf("KeySuccess"),
  DecideResult: resultOf("DecideSuccess"),
  EnrolFirstOperatorResult: resultOf("OperatorSuccess"),
  OpenOperatorSessionResult: resultOf("OpenOperatorSessionSuccess"),
  OpenSigningSessionResult: resultOf("OpenSigningSessionSuccess"),
  RemoveOperatorResult: resultOf("OperatorSuccess"),
  RevokeSigningSessionResult: resultOf("SessionSuccess"),
  RotateKeyResult: resultOf("KeySuccess"),
  SignResult: resultOf("SignSuccess"),
  UnlockCustodyResult: resultOf("CustodySuccess"),
};
