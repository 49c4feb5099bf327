// SLSA provenance v1, completed from the job's verified identity (https://slsa.dev/spec/v1.1/provenance).
// What a verifier believes because of our key (repository, ref, commit, workflow, run, builder) comes from the identity
// token alone. The caller may leave these fields out or repeat them; another value is refused, and so is a value for a
// field that the token says nothing about. Everything else in the predicate is the caller's own word.
// Times are never filled in: the same request gives the same bytes.

import { type Refusal, refuse } from "../model/errors.ts";
import type { Workload } from "../model/principal.ts";
import { isJsonObject, type Json, type JsonObject } from "../std/json.ts";
import { quote } from "../tlog/text.ts";
import { isAbsoluteUri } from "./checks.ts";
import { type Facts, factsOf } from "./provenance-facts.ts";

export const provenanceType = "https://slsa.dev/provenance/v1";

export function verifiedProvenance(given: JsonObject, by: Workload): { readonly predicate: JsonObject } | Refusal {
  const reader = new Reader();
  const predicate = complete(given, factsOf(by), reader);
  if (reader.problem === undefined) return { predicate };
  return refuse("ITEM_INVALID", reader.problem, "leave out what the broker fills in from the job's identity token");
}

function complete(given: JsonObject, facts: Facts, reader: Reader): JsonObject {
  const definition = reader.object(given, "predicate", "buildDefinition");
  const details = reader.object(given, "predicate", "runDetails");
  reader.resources(details, "predicate.runDetails", "byproducts");
  return {
    ...given,
    buildDefinition: {
      ...definition,
      buildType: reader.buildType(definition, facts.buildType),
      externalParameters: externalParameters(definition, facts, reader),
      internalParameters: internalParameters(definition, facts, reader),
      resolvedDependencies: resolvedDependencies(definition, facts, reader),
    },
    runDetails: { ...details, builder: builder(details, facts, reader), metadata: metadata(details, facts, reader) },
  };
}

function externalParameters(definition: JsonObject, facts: Facts, reader: Reader): JsonObject {
  const external = reader.object(definition, inDefinition, "externalParameters");
  const path = `${inDefinition}.externalParameters.workflow`;
  const workflow = reader.object(external, `${inDefinition}.externalParameters`, "workflow");
  const verified = {
    ref: reader.verified(workflow, path, "ref", facts.ref),
    repository: reader.verified(workflow, path, "repository", facts.repository),
    path: reader.verified(workflow, path, "path", facts.workflowPath),
  };
  const known = Object.values(verified).some((value) => value !== undefined) || external["workflow"] !== undefined;
  return known ? { ...external, workflow: { ...workflow, ...verified } } : external;
}

/** By definition what the builder says of itself: nothing in here is the caller's. */
function internalParameters(definition: JsonObject, facts: Facts, reader: Reader): JsonObject {
  const path = `${inDefinition}.internalParameters`;
  const internal = reader.object(definition, inDefinition, "internalParameters");
  for (const name of Object.keys(internal)) {
    if (name !== facts.provider) reader.unknown(`${path}.${name}`);
  }
  const said = reader.object(internal, path, facts.provider);
  for (const name of Object.keys(said)) {
    reader.verified(said, `${path}.${facts.provider}`, name, facts.internal[name]);
  }
  return { [facts.provider]: facts.internal };
}

/** The job's own source comes first. Other entries are the caller's, unless they speak of the same repository. */
function resolvedDependencies(definition: JsonObject, facts: Facts, reader: Reader): readonly Json[] {
  const given = reader.resources(definition, inDefinition, "resolvedDependencies");
  if (facts.repository === undefined) return given;
  const uri = sourceUri(facts.repository, facts.ref);
  const own = facts.commit === undefined ? { uri } : { uri, digest: { gitCommit: facts.commit } };
  const others: Json[] = [];
  for (const [index, one] of given.entries()) {
    if (!isAbout(facts.repository, one)) {
      others.push(one);
      continue;
    }
    const path = `${inDefinition}.resolvedDependencies[${String(index)}]`;
    reader.verified(one, path, "uri", uri);
    reader.verified(reader.object(one, path, "digest"), `${path}.digest`, "gitCommit", facts.commit);
  }
  return [own, ...others];
}

function builder(details: JsonObject, facts: Facts, reader: Reader): JsonObject {
  const path = `${inDetails}.builder`;
  const given = reader.object(details, inDetails, "builder");
  return { ...given, id: reader.verified(given, path, "id", facts.builder) };
}

function metadata(details: JsonObject, facts: Facts, reader: Reader): JsonObject {
  const path = `${inDetails}.metadata`;
  const given = reader.object(details, inDetails, "metadata");
  reader.time(given, path, "startedOn");
  reader.time(given, path, "finishedOn");
  return { ...given, invocationId: reader.verified(given, path, "invocationId", facts.invocation) };
}

const inDefinition = "predicate.buildDefinition";
const inDetails = "predicate.runDetails";

const sourceUri = (repository: string, ref: string | undefined): string =>
  `git+${repository}${ref === undefined ? "" : `@${ref}`}`;

/** Hosts read these spellings as one repository. Others may exist (ssh, a port): the job's own entry is always the first. */
function isAbout(repository: string, resource: JsonObject): boolean {
  const uri = resource["uri"];
  if (typeof uri !== "string") return false;
  const [said = ""] = uri
    .toLowerCase()
    .replace(/^git\+/, "")
    .split(/[@?#]/);
  return said.replace(/\/+$/, "").replace(/\.git$/, "") === repository.toLowerCase();
}

/** Reads the caller's predicate and remembers the first thing wrong with it. */
class Reader {
  problem: string | undefined;

  object(of: JsonObject, path: string, name: string): JsonObject {
    const value = of[name];
    if (value === undefined) return {};
    if (isJsonObject(value)) return value;
    this.#note(`${path}.${name} is not an object`);
    return {};
  }

  /** The fact. What the caller says in its place must be the same. */
  verified(of: JsonObject, path: string, name: string, fact: Json | undefined): Json | undefined {
    const said = of[name];
    if (said === undefined || said === fact) return fact;
    if (fact === undefined) this.unknown(`${path}.${name}`);
    else this.#note(`${path}.${name} is ${show(said)}, but the job's identity says ${show(fact)}`);
    return fact;
  }

  unknown(path: string): void {
    this.#note(`${path} would be believed because of the broker's key, but the job's identity does not say it`);
  }

  buildType(definition: JsonObject, usual: string | undefined): string | undefined {
    const said = definition["buildType"] ?? usual;
    if (typeof said === "string" && isAbsoluteUri(said)) return said;
    const found = said === undefined ? "missing" : show(said);
    this.#note(`${inDefinition}.buildType is ${found}: it takes the URI of a description of this kind of build`);
    return undefined;
  }

  /** An array of resource descriptors: each names something by at least one of uri, digest and content. */
  resources(of: JsonObject, path: string, name: string): readonly JsonObject[] {
    const value = of[name];
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.#note(`${path}.${name} is not an array`);
      return [];
    }
    const all: readonly unknown[] = value;
    const named = all.filter(isJsonObject).filter((one) => one["uri"] ?? one["digest"] ?? one["content"]);
    if (named.length < all.length) this.#note(`${path}.${name} has an entry without uri, digest and content`);
    return named;
  }

  time(of: JsonObject, path: string, name: string): void {
    const value = of[name];
    if (value === undefined || (typeof value === "string" && rfc3339Utc.test(value))) return;
    this.#note(`${path}.${name} is ${show(value)}, not a time such as 2026-01-31T12:00:00Z`);
  }

  #note(problem: string): void {
    this.problem ??= problem;
  }
}

const rfc3339Utc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

const show = (value: Json): string =>
  typeof value === "string" ? quote(value) : isJsonObject(value) ? "an object" : quote(JSON.stringify(value));
