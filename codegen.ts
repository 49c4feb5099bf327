import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "schema/*.graphql",
  importExtension: ".ts",
  generates: {
    "src/server/generated.ts": {
      plugins: ["typescript", "typescript-resolvers"],
      config: {
        useTypeImports: true,
        strictScalars: true,
        enumsAsTypes: true,
        immutableTypes: true,
        avoidOptionals: { defaultValue: true },
        maybeValue: "T | null | undefined",
        inputMaybeValue: "T | null | undefined",
        scalars: {
          ID: { input: "string", output: "string" },
          DateTime: { input: "number", output: "number" },
          Duration: { input: "number", output: "number" },
          Base64: { input: "Uint8Array", output: "Uint8Array" },
          Pem: { input: "string", output: "string" },
          JSON: { input: "../std/json.ts#Json", output: "../std/json.ts#Json" },
          LeafIndex: { input: "number", output: "number" },
          Digest: { input: "string", output: "string" },
        },
        // What a resolver returns for a type of the schema: the broker's own value, from which the fields are read.
        mappers: {
          Checkpoint: "../broker/index.ts#Checkpoint as CheckpointOf",
          Custody: "../broker/index.ts#CustodyStatus",
          Ended: "../model/key.ts#Ended as EndedOf",
          Entry: "../ports/log.ts#LogEntry",
          Explanation: "./context.ts#Explained",
          Key: "../model/key.ts#Key as KeyOf",
          KeyVersion: "../model/key.ts#KeyVersion as KeyVersionOf",
          Operator: "../model/principal.ts#Person",
          PendingAction: "./context.ts#Pending",
          Policy: "../policy/index.ts#PolicySet",
          Principal: "../model/principal.ts#Principal as PrincipalOf",
          Receipt: "../broker/index.ts#Receipt as ReceiptOf",
          Refusal: "../model/errors.ts#Refusal as RefusalOf",
          Rotation: "./context.ts#RotationOf",
          SigningSession: "../model/session.ts#SigningSession as SigningSessionOf",
          Signature: "./context.ts#SignatureOf",
          SignSuccess: "../broker/index.ts#Signed",
        },
        contextType: "./context.ts#RequestContext",
      },
    },
  },
};

export default config;
