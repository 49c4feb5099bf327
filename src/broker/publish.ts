// Publishing, apart from committing: about once a second the newest checkpoint goes to the static tree, to the file
// that is remembered outside the database, and to the witnesses. A witness that saw more than we hold, or another
// history, means that we were rolled back or forked: signing stops. Its word for that bears no signature, so it is asked
// twice; and it ends with that witness's next cosignature, which no honest one gives to a fork.

import type { EntryBody } from "../model/entry.ts";
import type { Log, LogTree } from "../ports/log.ts";
import type { Witnessed, Witnesses } from "../ports/witness.ts";
import { heading } from "./audit.ts";
import type { Checkpoint } from "./index.ts";
import type { Journal } from "./journal.ts";

export interface PublishParts {
  readonly log: Log;
  readonly tree: LogTree;
  readonly remember: (checkpoint: string) => Promise<void>;
  readonly witnesses: Witnesses | undefined;
  readonly journal: Pick<Journal, "append">;
  /** Stops signing, with words for the operator; undefined lets it go on. Told after each round. */
  readonly stop: (reason: string | undefined) => void;
}

export interface Publishing {
  /** Where nothing was appended since, nothing happens. Throws what the disk throws: the next round tries again. */
  publish(): Promise<void>;
  current(): Checkpoint | undefined;
  /** The newest answer of each witness. */
  answers(): readonly Witnessed[];
  /** Whether the newest answers reach the quorum of the witness policy; true without one. */
  quorum(): boolean;
}

export function publishing(parts: PublishParts): Publishing {
  let published: Checkpoint | undefined;
  let answers: readonly Witnessed[] = [];
  let quorum = true;
  const reported = new Set<string>();
  /** What speaks against this log, by witness. */
  const against = new Map<string, string>();

  async function publish(): Promise<void> {
    const { size } = parts.log.head();
    if (size === 0 || (published?.size === size && answers.every((one) => one.result === "cosigned"))) return;
    const note = await parts.log.checkpoint();
    const head = heading(note);
    // Before any witness is asked: what protects against a rollback must not wait for somebody else's answer.
    if (published?.size !== head.size) {
      await parts.tree.publish(note);
      await parts.remember(note);
      published = { ...head, note, witnesses: [] };
    }
    if (parts.witnesses) await witnessed(parts.witnesses, note, head);
  }

  async function witnessed(witnesses: Witnesses, note: string, head: ReturnType<typeof heading>): Promise<void> {
    const ask = (): ReturnType<Witnesses["submit"]> =>
      witnesses.submit({ note, size: head.size, consistency: (from) => parts.log.consistency(from, head.size) });
    let heard = await ask();
    if (heard.answers.some(contradicts)) heard = await ask();
    answers = heard.answers;
    quorum = heard.quorum;
    for (const answer of heard.answers) {
      if (answer.result === "cosigned") against.delete(answer.witness);
      else if (contradicts(answer)) await alarm(answer);
    }
    parts.stop(against.values().next().value);
    const names = heard.answers.filter((one) => one.result === "cosigned").map((one) => one.witness);
    if (names.length === 0) return;
    await parts.tree.publish(heard.note);
    published = { ...head, note: heard.note, witnesses: names };
  }

  async function alarm(answer: Contradiction): Promise<void> {
    against.set(
      answer.witness,
      `witness ${answer.witness}: ${answer.message}. The log was rolled back or forked: restore the newest backup; where none helps, begin a new log under a new origin: signetd recover (docs/guide/recover.md)`,
    );
    parts.stop(against.values().next().value); // before anything that can fail
    if (reported.has(answer.witness)) return;
    reported.add(answer.witness);
    const body: EntryBody = { type: "incident.witness", witness: answer.witness, message: answer.message };
    await parts.journal.append(undefined, () => body);
  }

  return { publish, current: () => published, answers: () => answers, quorum: () => quorum };
}

type Contradiction = Extract<Witnessed, { result: "ahead" | "forked" }>;

const contradicts = (answer: Witnessed): answer is Contradiction =>
  answer.result === "ahead" || answer.result === "forked";
