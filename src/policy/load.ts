// From files to a policy set: read strictly, compile to Cedar, validate strictly, run every case. Either all of it is
// right and the set can take effect, or the operator gets every problem with its place and nothing changes.

import type { GrantLimits } from "../model/grant.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson } from "../std/json.ts";
import { failureOf } from "./cases.ts";
import { cedarProblems, readCeilings } from "./cedar.ts";
import type { Place, Problem } from "./error.ts";
import { throwIfAny } from "./error.ts";
import type { ParsedGrant, ReadFile } from "./file.ts";
import { readPolicyFile } from "./file.ts";
import type { Ceiling, Claim, ClaimRule, Grant, PolicyFile, PolicySet } from "./grant.ts";
import { exactClaims, globClaims, impliedEvent } from "./grant.ts";
import { dayNames } from "./window.ts";

/** Throws PolicyError with every problem found. No files, or none with grants, is a set that permits nothing. */
export function loadPolicy(given: readonly PolicyFile[]): PolicySet {
  const files = inOrder(given);
  const read = files.map(({ path, text }) => ({ path, read: readPolicyFile(path, text) }));
  throwIfAny(read.flatMap((file) => ("content" in file.read ? [] : file.read)));
  const good = read.flatMap((file) => ("content" in file.read ? [{ path: file.path, ...file.read }] : []));
  const grants = good.flatMap((file) => grantsOf(file.path, file));
  const ceilings = good.map(ceilingsOf);
  throwIfAny([...twice(grants), ...ceilings.flatMap((one) => one.problems)]);
  const rules = { grants, ceilings: ceilings.flatMap((one) => one.ceilings) };
  throwIfAny(cedarProblems(rules));
  const cases = good.reduce(
    (sum, { content }) => sum + (content.mustAllow?.length ?? 0) + (content.mustDeny?.length ?? 0),
    0,
  );
  const policy: PolicySet = Object.freeze({ hash: hashOf(files), files, ...rules, cases });
  throwIfAny(good.flatMap((file) => failedCases(policy, file)));
  return policy;
}

const hashOf = (files: readonly PolicyFile[]): string =>
  `sha256:${sha256Hex(canonicalJson(files.map(({ path, text }) => ({ path, text }))))}`;

/** By path, in code units: the same files are the same set, in whatever order a directory lists them. */
function inOrder(files: readonly PolicyFile[]): readonly PolicyFile[] {
  const sorted = files
    .map(({ path, text }) => ({ path, text }))
    .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  throwIfAny(
    sorted.flatMap(({ path }, at) =>
      sorted[at + 1]?.path === path ? [{ file: path, line: 1, column: 1, message: "is given twice" }] : [],
    ),
  );
  return sorted;
}

const grantsOf = (path: string, { content, yaml }: ReadFile): readonly Grant[] =>
  (content.grants ?? []).map((grant, at) => grantOf(grant, { ...yaml.placeOf(["grants", at]), file: path }));

function grantOf(parsed: ParsedGrant, { file, line }: Place): Grant {
  return {
    name: parsed.name,
    file,
    line,
    issuer: parsed.who.issuer,
    rules: rulesOf(parsed.who),
    keys: parsed.keys,
    limits: limitsOf(parsed),
    needs: { protectedRef: parsed.needs?.protectedRef ?? false, hostedRunner: parsed.needs?.hostedRunner ?? false },
  };
}

const claims: readonly Claim[] = [...exactClaims, ...globClaims, "refProtected"];

function rulesOf(who: ParsedGrant["who"]): readonly ClaimRule[] {
  const named = claims.flatMap((claim): readonly ClaimRule[] => {
    const wanted = who[claim];
    if (wanted === undefined) return [];
    return [{ claim, anyOf: typeof wanted === "boolean" ? [wanted] : wanted }];
  });
  return who.event === undefined ? [...named, impliedEvent] : named;
}

function limitsOf({ limits, what, when }: ParsedGrant): GrantLimits {
  return {
    ...limits,
    windows: (when ?? []).map(({ days, from, to }) => ({ days: days.map((name) => dayNames.indexOf(name)), from, to })),
    items: what,
  };
}

function twice(grants: readonly Grant[]): readonly Problem[] {
  return grants.flatMap((grant, at) => {
    const first = grants.findIndex(({ name }) => name === grant.name);
    const before = grants[first];
    if (first === at || before === undefined) return [];
    return [
      {
        file: grant.file,
        line: grant.line,
        column: 1,
        message: `grant "${grant.name}" has a name already used at ${before.file}:${String(before.line)}`,
      },
    ];
  });
}

function ceilingsOf({ content, yaml }: ReadFile): {
  readonly ceilings: readonly Ceiling[];
  readonly problems: readonly Problem[];
} {
  const { cedar } = content;
  if (cedar === undefined) return { ceilings: [], problems: [] };
  const place = (offset: number): Place => {
    const before = Buffer.from(cedar).subarray(0, offset).toString().split("\n"); // Cedar counts bytes
    return yaml.placeInText(["cedar"], before.length - 1, before.at(-1)?.length ?? 0);
  };
  const read = readCeilings(cedar, place);
  return { ceilings: read.filter((one) => "id" in one), problems: read.filter((one) => "message" in one) };
}

function failedCases(policy: PolicySet, { content, yaml }: ReadFile): readonly Problem[] {
  return (["mustAllow", "mustDeny"] as const).flatMap((kind) =>
    (content[kind] ?? []).flatMap((one, at) => {
      const message = failureOf(policy, kind, one);
      return message === undefined ? [] : [{ ...yaml.placeOf([kind, at]), message }];
    }),
  );
}
