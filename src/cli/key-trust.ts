// The public keys that verifiers should trust now, as the server shows them to everybody; where its listener keeps them
// for people with a role, as the person who logged in.

import { isRefused } from "../client/connect.ts";
import { personKey, readLogin } from "../client/contexts.ts";
import { newProofKey } from "../client/proof.ts";
import { fromUtf8 } from "../std/bytes.ts";
import { exits, granted, notFound, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { keyName } from "./key.ts";
import { clientFor, type GlobalOptions, targetOf } from "./server.ts";

interface TrustOptions extends GlobalOptions {
  readonly format: string;
}

export async function trust({ world, out, words, options }: Job<TrustOptions>): Promise<number> {
  const path = documentOf(words[0], options.format);
  const { places, context } = await targetOf(world, options);
  const login = await readLogin(places.config, context.name);
  const as = login ? { key: await personKey(places.config), token: login.token } : { key: newProofKey() };
  const client = await clientFor(world, options, context, as);
  try {
    const answer = await client.trustFile(path);
    const bytes = isRefused(answer)
      ? granted<never>(answer, { done: "read", asked: `trust document ${path}` })
      : answer;
    if (bytes === undefined)
      throw notFound(
        `${context.server} has no trust document ${path}`,
        "the key has no version to be trusted: signet key list",
      );
    out.print(fromUtf8(bytes).trimEnd());
    return exits.ok;
  } finally {
    client.close();
  }
}

function documentOf(name: string | undefined, format: string): string {
  const key = name === undefined ? undefined : keyName(name);
  switch (format) {
    case "pem":
      if (key === undefined) throw usage("--format pem is of one key", "signet key trust NAME");
      return `${key}.pem`;
    case "jwks":
      return key === undefined ? "jwks.json" : `${key}.jwks`;
    case "sigstore":
    case "trusted-root":
      if (key !== undefined) throw usage(`--format ${format} is of all keys`, `signet key trust --format ${format}`);
      return format === "sigstore" ? "keys.json" : "trusted_root.json";
    default:
      throw usage(`--format ${JSON.stringify(format)} is none`, "pem, jwks, sigstore or trusted-root");
  }
}
