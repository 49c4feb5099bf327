// From the parameters of a GraphQL request to its result, on one of two lanes with the same answers.
// Our own documents are executed at once; every other one goes through graphql-yoga with its rules. Yoga's Request and
// Response objects cost more than a signature, and its body limit more than that, which is why the short lane exists.

import { type DocumentNode, type ExecutionResult, execute, GraphQLError, type GraphQLFormattedError } from "graphql";
import { createYoga, type Plugin } from "graphql-yoga";
import type { JsonObject } from "../std/json.ts";
import type { RequestContext } from "./context.ts";
import { overLimit, present, type Witness } from "./errors.ts";
import type { Limits } from "./limits.ts";
import { documentRules } from "./rules.ts";
import { executableSchema } from "./schema.ts";
import { trustedDocuments } from "./trusted.ts";

export interface Params {
  readonly query: string;
  readonly variables: JsonObject | undefined;
  readonly operationName: string | undefined;
}

export interface Result {
  readonly data?: ExecutionResult["data"];
  readonly errors?: readonly GraphQLFormattedError[] | undefined;
}

export interface Graphql {
  /** Name of one of our own documents, or "other". */
  operation(query: string): string;
  /** Never throws. */
  run(params: Params, context: RequestContext, witness: Witness): Promise<Result>;
}

export interface GraphqlOptions {
  readonly limits: Limits;
  /** Introspection, for `signet dev`. */
  readonly dev: boolean;
  /** False sends our own documents the long way too: for the test that holds the lanes against each other. */
  readonly shortLane?: boolean | undefined;
}

/** What yoga carries through for us: it copies its context, so the result is put into a box. */
interface Carried {
  readonly signet: { readonly params: Params; readonly context: RequestContext; result?: ExecutionResult };
}

export function createGraphql({ limits, dev, shortLane = true }: GraphqlOptions): Graphql {
  const schema = executableSchema();
  const trusted = trustedDocuments(schema);

  const executed = (document: DocumentNode, params: Params, contextValue: RequestContext) =>
    execute({
      schema,
      document,
      contextValue,
      variableValues: params.variables,
      operationName: params.operationName,
      hideSuggestions: true,
    });

  const carrying: Plugin = {
    onRequestParse({ serverContext, setRequestParser }) {
      const { query, variables, operationName } = carriedBy(serverContext).signet.params; // parsed once, by `paramsOf`
      setRequestParser(() => ({
        query,
        variables: { ...variables },
        ...(operationName === undefined ? {} : { operationName }),
      }));
    },
    onExecute({ args, setExecuteFn }) {
      const { document, variableValues, operationName } = args as Executing; // graphql-js's names for yoga's parameters
      const params = { query: "", variables: variableValues ?? undefined, operationName: operationName ?? undefined };
      setExecuteFn(() => executed(document, params, carriedBy(args.contextValue).signet.context));
    },
    onResultProcess(event) {
      carriedBy(event.serverContext).signet.result = event.result as ExecutionResult; // batching is off and there are no subscriptions
      event.setResultProcessor((_result, fetchAPI) => new fetchAPI.Response(null), "application/json");
    },
  };

  const yoga = createYoga<Carried>({
    schema,
    // Each of these is on by default.
    cors: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    logging: false,
    parserAndValidationCache: false, // a cached verdict would outlive the variables it was made with
    maxRequestBodySize: false, // read and bounded on the node stream
    batching: false,
    maskedErrors: { maskError: asGraphqlError }, // `present` masks; here nothing may be lost
    plugins: [...documentRules(limits, dev), carrying],
  });

  async function longLane(params: Params, context: RequestContext): Promise<ExecutionResult> {
    if (params.query.length > limits.document) {
      throw overLimit(
        `the document has ${String(params.query.length)} characters, at most ${String(limits.document)} fit`,
      );
    }
    const carried: Carried = { signet: { params, context } };
    await yoga.fetch("http://signet/graphql", { method: "POST", headers: { accept: "application/json" } }, carried);
    if (carried.signet.result === undefined) throw new Error("yoga answered by itself");
    return carried.signet.result;
  }

  function ours({ query, operationName }: Params): DocumentNode | undefined {
    const found = trusted.get(query);
    return operationName === undefined || operationName === found?.name ? found?.document : undefined;
  }

  async function run(params: Params, context: RequestContext, witness: Witness): Promise<Result> {
    try {
      const document = shortLane ? ours(params) : undefined;
      const result = await (document ? executed(document, params, context) : longLane(params, context));
      return result.errors ? presented(result, witness) : { data: result.data };
    } catch (error) {
      return { errors: [present(error, witness)] };
    }
  }

  return { operation: (query) => trusted.get(query)?.name ?? "other", run };
}

interface Executing {
  readonly document: DocumentNode;
  readonly variableValues?: JsonObject | null | undefined;
  readonly operationName?: string | null | undefined;
}

/** What `longLane` handed to yoga. */
const carriedBy = (context: unknown): Carried => context as Carried;

function presented({ data, errors = [] }: ExecutionResult, witness: Witness): Result {
  const shown = errors.map((error) => present(error, witness));
  return data === undefined ? { errors: shown } : { errors: shown, data };
}

const asGraphqlError = (error: unknown): Error =>
  error instanceof GraphQLError
    ? error
    : new GraphQLError("masked", {
        originalError: error instanceof Error ? error : new Error("thrown", { cause: error }),
      });
