// Witnesses by C2SP tlog-witness: each is asked to cosign our checkpoint, and holds us to what it saw before.

import type { GuardedFetch } from "../clients/fetch.ts";
import type { Witnessed, WitnessedLog, Witnesses } from "../ports/witness.ts";
import { fromUtf8, utf8 } from "../std/bytes.ts";
import { mergeCosignatures } from "../tlog/cosignature.ts";
import type { SignatureLine } from "../tlog/note.ts";
import { type Policy, type PolicyWitness, satisfied } from "../tlog/policy.ts";
import { formatAddCheckpoint, readAnswer, type WitnessAnswer } from "../tlog/witness.ts";

/** Milliseconds for one question. */
const patience = 5_000;

export interface WitnessParts {
  /** A C2SP tlog-policy file; witnesses without a URL are only believed, never asked. */
  readonly policy: Policy;
  readonly fetch: GuardedFetch;
}

interface Asked {
  readonly witnessed: Witnessed;
  readonly lines: readonly SignatureLine[];
}

export function tlogWitnesses({ policy, fetch }: WitnessParts): Witnesses {
  const asked = policy.witnesses.filter((one) => one.url !== undefined);
  /** Size of the last checkpoint that each cosigned, as far as we know. */
  const seen = new Map<string, number>();

  async function submit(log: WitnessedLog): ReturnType<Witnesses["submit"]> {
    const answers = await Promise.all(asked.map((witness) => ask(witness, log)));
    let { note } = log;
    const cosigners = [];
    const witnessed: Witnessed[] = [];
    for (const { witnessed: answer, lines } of answers) {
      const merged = mergeCosignatures(
        note,
        lines,
        policy.witnesses.map((one) => one.vkey),
      );
      if (merged.verdict === "rejected") {
        witnessed.push({ witness: answer.witness, result: "silent", message: merged.message });
        continue;
      }
      note = merged.text;
      cosigners.push(...merged.added.map((one) => one.vkey));
      const own = merged.added[0];
      witnessed.push(answer.result === "cosigned" ? { ...answer, time: own?.time ?? 0 } : answer);
    }
    return { note, answers: witnessed, quorum: satisfied(policy, cosigners) };
  }

  async function ask(witness: PolicyWitness, log: WitnessedLog): Promise<Asked> {
    const first = await question(witness, log, seen.get(witness.name) ?? 0);
    const answer =
      first.answer === "conflict" && first.size <= log.size ? await question(witness, log, first.size) : first;
    if (answer.answer === "cosigned") seen.set(witness.name, log.size);
    return {
      witnessed: heard(witness.name, answer, log.size),
      lines: answer.answer === "cosigned" ? answer.lines : [],
    };
  }

  async function question(witness: PolicyWitness, log: WitnessedLog, old: number): Promise<WitnessAnswer> {
    const url = `${(witness.url ?? "").replace(/\/+$/, "")}/add-checkpoint`;
    try {
      const proof = old === 0 ? [] : await log.consistency(old);
      const body = utf8(formatAddCheckpoint({ old, proof, checkpoint: log.note }));
      const { origin } = new URL(url);
      const response = await fetch(
        { url, method: "POST", body },
        { origin, timeout: patience, allowPrivateAddresses: true, dangerouslyAllowHttp: origin.startsWith("http:") },
      );
      const contentType = response.headers["content-type"];
      return readAnswer({
        status: response.status,
        contentType: typeof contentType === "string" ? contentType : undefined,
        body: fromUtf8(response.body),
      });
    } catch (error) {
      return { answer: "unexpected", status: 0, what: error instanceof Error ? error.message : "unreachable" };
    }
  }

  return { names: asked.map((one) => one.name), submit };
}

function heard(witness: string, answer: WitnessAnswer, size: number): Witnessed {
  switch (answer.answer) {
    case "cosigned":
      return { witness, result: "cosigned", time: 0 };
    case "conflict":
      return {
        witness,
        result: "ahead",
        message: `it has cosigned ${String(answer.size)} entries of this log; we hold ${String(size)}`,
      };
    case "inconsistent":
      return {
        witness,
        result: "forked",
        message: `it holds another history of this log than our ${String(size)} entries`,
      };
    case "untrusted":
      return { witness, result: "silent", message: "it does not trust the log's key" };
    case "unknown-log":
      return { witness, result: "silent", message: "it does not know this log's origin" };
    case "bad-request":
      return { witness, result: "silent", message: "it calls the question malformed" };
    case "unexpected":
      return { witness, result: "silent", message: answer.what };
  }
}
