// What every change by a person depends on: a fresh proof, and that the person is still enrolled as when they asked.

import type { Person } from "../model/principal.ts";
import type { State, Write } from "../ports/log.ts";
import type { Presented } from "./call.ts";
import { proofMarks } from "./open-session.ts";

export function byPerson(
  { person, presented }: { readonly person: Person; readonly presented: Presented },
  state: Pick<State, "record">,
): Pick<Write, "marks" | "unchanged"> {
  const expects = state.record("person", person.id)?.revision ?? gone;
  return { marks: proofMarks(presented), unchanged: [{ kind: "person", id: person.id, expects }] };
}

/** A revision that no record ever has. */
const gone = -1;
