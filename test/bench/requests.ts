// Requests as Signet's own client makes them, prepared in great number: the very documents, a fresh proof for each, and
// statements of real size. No two ask for the same.

import type { OperationName } from "../../src/client/answers.ts";
import { documentOf } from "../../src/client/documents.ts";
import { newProofKey, type ProofKey, proofFor } from "../../src/client/proof.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import type { JsonObject } from "../../src/std/json.ts";
import { provenance } from "../support/house.ts";
import type { Prepared } from "./load.ts";

/** Who asks: by DPoP where there is a key, as a bearer where there is none. */
export interface Asker {
  readonly token: string | undefined;
  readonly key: ProofKey | undefined;
}

export interface Server {
  readonly url: string;
  /** Of its DPoP-Nonce header. */
  readonly nonce: string;
}

export async function serverAt(url: string): Promise<Server> {
  const nonce = (await fetch(`${url}/livez`)).headers.get("dpop-nonce");
  if (nonce === null) throw new Error(`${url} gives no nonce`);
  return { url, nonce };
}

/** Stands in a template for what differs from request to request; of the length of what replaces it, 16 characters. */
export const serialPlace = "@@@@@@SERIAL@@@@";
/** Unique in a run. */
export const serialOf = (number: number): string => number.toString(16).padStart(16, "0");
const withSerial = (template: string, serial: string): string => template.replaceAll(serialPlace, serial);

export const bodyOf = (name: OperationName, variables: object): string =>
  JSON.stringify({ query: documentOf(name), operationName: name, variables });

const headersOf = (url: string, more: string): string =>
  `POST /graphql HTTP/1.1\r\nHost: ${new URL(url).host}\r\nContent-Type: application/json\r\nAccept: application/graphql-response+json\r\n${more}`;

/** One document and its variables, in which `serialPlace` stands, asked again and again by several askers in turn. */
export function preparedRequests(
  server: Server,
  template: string,
  askers: readonly Asker[],
  serials: readonly string[],
): Prepared {
  const bearer = askers.every((one) => one.key === undefined);
  const lines = serials.map((serial, index) => {
    const asker = askerOf(askers, index);
    const fields = [serial, asker.token ?? "", proofOf(server, asker, withSerial(template, serial)) ?? ""];
    return fields.filter((field) => field !== "").join("\t");
  });
  const credentials = bearer ? "Authorization: Bearer \u0002\r\n" : "Authorization: DPoP \u0002\r\nDPoP: \u0003\r\n";
  return { head: headersOf(server.url, credentials), body: withSerial(template, "\u0001"), lines };
}

export function askerOf(askers: readonly Asker[], index: number): Asker {
  const asker = askers[index % askers.length];
  if (!asker) throw new Error("nobody asks");
  return asker;
}

/** Every job with a key and an identity token of its own. */
export async function preparedOpenings(
  server: Server,
  mint: (run: string) => Promise<string>,
  serials: readonly string[],
): Promise<Prepared> {
  const template = bodyOf("OpenSession", { input: { identityToken: serialPlace, keys: ["attest"] } });
  const lines: string[] = [];
  for (const serial of serials) {
    const token = await mint(String(Number.parseInt(serial, 16)));
    lines.push(
      `${token}\t${proofOf(server, { token: undefined, key: newProofKey() }, withSerial(template, token)) ?? ""}`,
    );
  }
  return { head: headersOf(server.url, "DPoP: \u0002\r\n"), body: withSerial(template, "\u0001"), lines };
}

/** The smallest of our own documents, which everybody may ask. */
export const emptyQuery = (url: string): Prepared => ({ head: headersOf(url, ""), body: bodyOf("Vkey", {}) });

/** The same request once more, outside of wrk. Throws where it is refused. */
export async function askAgain(server: Server, asker: Asker, template: string, serial: string): Promise<JsonObject> {
  const body = withSerial(template, serial);
  const proof = proofOf(server, asker, body);
  const answer = await fetch(`${server.url}/graphql`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(asker.token === undefined ? {} : { authorization: `${asker.key ? "DPoP" : "Bearer"} ${asker.token}` }),
      ...(proof === undefined ? {} : { dpop: proof }),
    },
    body,
  });
  const said = (await answer.json()) as { readonly data?: Readonly<Record<string, JsonObject>> | null }; // the server's own schema
  const result = Object.values(said.data ?? {})[0];
  if (result === undefined || result["__typename"] === "Refusal")
    throw new Error(`refused: ${JSON.stringify(said).slice(0, 500)}`);
  return result;
}

function proofOf({ url, nonce }: Server, { key, token }: Asker, body: string): string | undefined {
  return (
    key &&
    proofFor(key, { method: "POST", url: `${url}/graphql`, body: utf8(body), token, nonce }, systemClock, systemRandom)
  );
}

/** `count` statements about one artifact each, as actions/attest-build-provenance writes them: 1.3 kB of predicate. */
export const statements = (count: number): readonly object[] =>
  Array.from({ length: count }, (_, index) => ({
    statement: {
      subject: [{ name: `app-${String(index)}-${serialPlace}.tgz`, digest: digestOf(index) }],
      predicateType: provenance,
      predicate: slsaPredicate,
    },
  }));

export const blobs = (count: number): readonly object[] =>
  Array.from({ length: count }, (_, index) => ({
    blob: { name: `app-${String(index)}-${serialPlace}.tgz`, digest: digestOf(index) },
  }));

const digestOf = (index: number): string => `sha256:${serialPlace}${String(index).padStart(48, "0")}`;

const dependency = (name: string, fill: string) => ({ uri: `pkg:npm/${name}`, digest: { sha512: fill.repeat(64) } });

const slsaPredicate = {
  buildDefinition: {
    buildType: "https://actions.github.io/buildtypes/workflow/v1",
    externalParameters: { inputs: { channel: "stable", target: "linux/amd64,linux/arm64", "dry-run": false } },
    resolvedDependencies: [
      dependency("typescript@6.0.3", "a1"),
      dependency("graphql@16.15.0", "b2"),
      dependency("pino@10.4.0", "c3"),
      dependency("zod@4.6.7", "d4"),
    ],
  },
  runDetails: {
    metadata: { startedOn: "2026-01-31T12:00:00Z", finishedOn: "2026-01-31T12:04:31Z" },
    byproducts: [{ name: "build.log", digest: { sha256: "e5".repeat(32) }, mediaType: "text/plain" }],
  },
};
