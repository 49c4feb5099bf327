// A log of a million entries to ask: written by the db room itself, at full commits, into the state directory of a daemon
// that does not run meanwhile. Pairs of intent and outcome, as long as real ones: 50 keys, 1,000 projects, an artifact each.

import { join } from "node:path";
import { logKey } from "../../src/custody/log-key.ts";
import { openSqlite } from "../../src/db/sqlite.ts";
import type { Entry } from "../../src/model/entry.ts";
import type { Facts, Write } from "../../src/ports/log.ts";
import { fromBase64 } from "../../src/std/base64.ts";
import { hex, utf8 } from "../../src/std/bytes.ts";
import { rfc3339, systemClock, systemRandom } from "../../src/std/clock.ts";
import { sha256Hex } from "../../src/std/digest.ts";
import { canonicalJson, type Json } from "../../src/std/json.ts";
import { Secret } from "../../src/std/secret.ts";
import { noStep } from "../../src/std/steps.ts";
import { leafHash } from "../../src/tlog/merkle.ts";

export const keyOf = (pair: number): string => `release-${String(pair % 50)}`;
export const projectOf = (pair: number): string => String(100_000 + (pair % 1000));
export const digestOf = (pair: number): string => `sha256:${sha256Hex(`artifact ${String(pair)}`)}`;

const together = 1024;

/** Returns the number of pairs. `masterKey` is base64, as in the daemon's file. */
export async function grow(
  stateDirectory: string,
  origin: string,
  masterKey: string,
  entries: number,
): Promise<number> {
  const signer = logKey({
    file: join(stateDirectory, "log.key"),
    origin,
    masterKey: new Secret(fromBase64(masterKey)),
    random: systemRandom,
  });
  await using log = await openSqlite({ directory: stateDirectory, origin, signer, clock: systemClock, step: noStep });
  const pairs = Math.ceil((entries - log.head().size) / 2);
  for (let pair = 0; pair < pairs; pair += together) {
    await Promise.all(
      Array.from({ length: Math.min(together, pairs - pair) }, (_, index) => log.append(pairOf(pair + index))),
    );
  }
  return Math.max(0, pairs);
}

const noon = Date.UTC(2026, 0, 31, 12);

function pairOf(pair: number): Write {
  const about = aboutOf(pair);
  const intent: Entry = {
    ...about,
    type: "sign.intent",
    decision: { effect: "permit", grant: "release-tags", policy: `sha256:${"11".repeat(32)}`, reasons: [] },
    uses: { granted: 100_000, spent: 1, left: 99_999 },
  };
  const hash = hex(leafHash(utf8(canonicalJson(intent as unknown as Json)))); // an Entry is plain JSON
  const outcome = ({ index }: Facts): Entry => ({
    ...about,
    type: "sign.outcome",
    intent: { index: index - 1, hash },
    result: "done",
  });
  return { alongside: [intent], entry: outcome };
}

const aboutOf = (pair: number) =>
  ({
    v: 1,
    at: rfc3339(noon + pair * 100),
    node: "bench",
    epoch: 1,
    request: `rq_${String(pair).padStart(26, "0")}`,
    by: {
      kind: "workload",
      provider: "github",
      issuer: "https://token.actions.githubusercontent.com",
      subject: "repo:acme/app:ref:refs/tags/v1.4.0",
      tenantId: "9876",
      tenant: "acme",
      projectId: projectOf(pair),
      project: `acme/app-${String(pair % 1000)}`,
      ref: "refs/tags/v1.4.0",
      refType: "tag",
      refProtected: true,
      workflow: `acme/app-${String(pair % 1000)}/.github/workflows/release.yml@refs/tags/v1.4.0`,
      commit: "5f2c1e0b9a8d7c6b5a4f3e2d1c0b9a8d7c6b5a4f",
      event: "push",
      runner: "hosted",
      run: String(pair),
      attempt: "1",
    },
    cnf: { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
    session: `ss_${String(Math.floor(pair / 10)).padStart(26, "0")}`,
    key: {
      name: keyOf(pair),
      version: 1,
      custody: "software",
      uri: `software:${keyOf(pair)}/1`,
      publicKey: sha256Hex(keyOf(pair)),
    },
    items: [
      {
        kind: "statement",
        artifacts: [{ name: `app-${String(pair)}.tgz`, digest: digestOf(pair) }],
        predicateType: "https://slsa.dev/provenance/v1",
        format: "dsse",
        form: "message",
        signed: sha256Hex(String(pair)),
      },
    ],
  }) as const satisfies Partial<Entry> & object;
