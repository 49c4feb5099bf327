// The stage of the client's tests: the real commands, a server of the real schema whose answers a test writes itself,
// and a folder that is gone afterwards.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";

import { buildSchema, graphql } from "graphql";

import { run } from "../../src/cli/run.ts";
import { systemRandom } from "../../src/std/clock.ts";
import { isJsonObject, type JsonObject } from "../../src/std/json.ts";

export const schemaFolder = join(import.meta.dirname, "../../schema");
export const schema = buildSchema(
  readdirSync(schemaFolder)
    .filter((name) => name.endsWith(".graphql"))
    .map((name) => readFileSync(join(schemaFolder, name), "utf8"))
    .join("\n"),
);

/** What `signet` did: its streams and its exit code. */
export interface Played {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export interface Stage extends Disposable {
  readonly folder: string;
  readonly env: Record<string, string>;
  /** 2026-11-21T14:00:00Z. */
  readonly now: number;
  readonly signet: (
    line: string | readonly string[],
    options?: { readonly stdin?: string; readonly signal?: AbortSignal; readonly onSaid?: (text: string) => void },
  ) => Promise<Played>;
}

export function stage(env: Readonly<Record<string, string>> = {}): Stage {
  const folder = mkdtempSync(join(tmpdir(), "signet-cli-"));
  const now = Date.UTC(2026, 10, 21, 14);
  const all: Record<string, string> = { HOME: folder, RUNNER_TEMP: join(folder, "tmp"), ...env };
  return {
    folder,
    env: all,
    now,
    async signet(line, { stdin = "", signal = new AbortController().signal, onSaid = () => undefined } = {}) {
      const said = { out: "", err: "" };
      const sink = (stream: keyof typeof said) => ({
        write: (text: string) => {
          said[stream] += text;
          onSaid(text);
        },
      });
      const words = typeof line === "string" ? line.split(" ") : line;
      const world = {
        env: all,
        cwd: folder,
        stdin: Readable.from([stdin]),
        stdout: sink("out"),
        stderr: sink("err"),
        clock: () => now,
        random: systemRandom,
        signal,
      };
      return { exit: await run(words, world, "0.0.0"), ...said };
    },
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Asked {
  readonly operation: string;
  readonly variables: JsonObject;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** By the name of the root field: gets its arguments. */
export type Answers = Readonly<Record<string, (args: never) => unknown>>;

export interface FakeServer extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
  /** Answers of raw HTTP that come before the real ones, one for each request. */
  readonly first: { status: number; headers?: Record<string, string>; body: string }[];
  /** What `GET /log/…` shows. */
  readonly files: Map<string, Uint8Array>;
}

export async function fakeServer(answers: Answers): Promise<FakeServer> {
  const asked: Asked[] = [];
  const first: FakeServer["first"] = [];
  const files = new Map<string, Uint8Array>();
  const server = createServer((request, response) => {
    void (async () => {
      const body = Buffer.concat(await request.toArray()).toString("utf8");
      const said = parsed(body);
      const operation = typeof said["operationName"] === "string" ? said["operationName"] : (request.url ?? "");
      const variables = isJsonObject(said["variables"]) ? said["variables"] : {};
      asked.push({ operation, variables, headers: request.headers, body });
      const instead = first.shift();
      if (instead) return response.writeHead(instead.status, instead.headers).end(instead.body);
      const file = request.url?.startsWith("/log/") ? files.get(request.url.slice("/log/".length)) : undefined;
      if (request.method === "GET") return response.writeHead(file ? 200 : 404).end(file ?? "{}");
      const result = await graphql({
        schema,
        source: typeof said["query"] === "string" ? said["query"] : "",
        variableValues: variables,
        rootValue: answers,
      });
      if (result.errors)
        result.errors.forEach((error) => {
          console.error(error.message);
        });
      return response
        .writeHead(200, { "content-type": "application/graphql-response+json" })
        .end(JSON.stringify(result));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${String(typeof address === "object" && address ? address.port : 0)}`,
    asked,
    first,
    files,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function parsed(body: string): JsonObject {
  const value: unknown = body === "" ? {} : JSON.parse(body);
  return isJsonObject(value) ? value : {};
}

export const refusal = (code: string, number: string, message: string, more: object = {}): object => ({
  __typename: "Refusal",
  code,
  number,
  message,
  docs: `signet explain ${code}`,
  ...more,
});

/** A token that looks like GitHub's: nobody here verifies it. */
export function githubToken(claims: object = {}): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const all = {
    repository: "acme/app",
    repository_id: "123456",
    ref: "refs/tags/v1.4.0",
    run_id: "987",
    run_attempt: "1",
    ...claims,
  };
  return `${encode({ alg: "RS256" })}.${encode(all)}.c2ln`;
}
