// An in-toto statement about files: the default for anything that CI builds. The broker reads every field that policy
// and audit speak of, and completes SLSA provenance from the job's verified identity.

import { isRefusal, refuse } from "../model/errors.ts";
import { isJsonObject, type JsonObject } from "../std/json.ts";
import { nameProblem, sha256Problem, uriProblem } from "./checks.ts";
import { prepareStatement, statementType } from "./dsse.ts";
import type { Format } from "./format.ts";
import { provenanceType, verifiedProvenance } from "./provenance.ts";

export interface StatementItem {
  readonly kind: "statement";
  /** `digest` is `sha256:<hex>`. */
  readonly subject: readonly { readonly name: string; readonly digest: string }[];
  readonly predicateType: string;
  readonly predicate: JsonObject;
}

const maxSubjects = 1024;

export const statement: Format<StatementItem> = {
  kind: "statement",
  prepare(item, by) {
    const problem = problemOf(item);
    if (problem !== undefined) return refuse("ITEM_INVALID", problem);
    const { predicateType } = item;
    const content = predicateType === provenanceType ? verifiedProvenance(item.predicate, by) : item;
    if (isRefusal(content)) return content;
    return prepareStatement(
      {
        _type: statementType,
        subject: item.subject.map(({ name, digest }) => ({ name, digest: { sha256: digest.slice("sha256:".length) } })),
        predicateType,
        predicate: content.predicate,
      },
      { kind: "statement", artifacts: item.subject.map(({ name, digest }) => ({ name, digest })), predicateType },
    );
  },
};

function problemOf({ subject, predicateType, predicate }: StatementItem): string | undefined {
  if (subject.length === 0) return "the statement has no subject: it speaks of nothing";
  if (subject.length > maxSubjects) {
    return `the statement has ${String(subject.length)} subjects, at most ${String(maxSubjects)} fit`;
  }
  for (const [index, { name, digest }] of subject.entries()) {
    const field = `subject ${String(index)}`;
    const problem = nameProblem(`${field}: name`, name) ?? sha256Problem(`${field}: digest`, digest);
    if (problem !== undefined) return problem;
  }
  if (!isJsonObject(predicate)) return "predicate is not a JSON object";
  return uriProblem("predicateType", predicateType);
}
