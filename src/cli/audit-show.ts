// One entry of the log: shown whole and verified, or as a receipt that anybody can verify.

import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { writeWhole } from "../client/files.ts";
import { type Proved, proved } from "./audit-list.ts";
import { exits, Failure, granted, notFound, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { resultOf, said, text, whatOf, whoOf } from "./leaf.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { type TrustOptions, trustFor } from "./trust.ts";
import { count, shortCheckpoint } from "./words.ts";

type Options = GlobalOptions & TrustOptions;

export async function show({ world, out, words, options }: Job<Options>): Promise<number> {
  const index = indexOf(words[0]);
  const { client, target } = await connectedClient(world, options);
  try {
    const trust = await trustFor(world, out, options, client, target);
    const node = granted(await client.ask("AuditShow", { index }), { done: "shown", asked: `entry ${count(index)}` });
    if (node === null) throw notFound(`the log has no entry ${count(index)}`, "signet audit list shows the newest");
    const one = proved(node, trust);
    if (out.format !== "table") out.one([], { index, ...one.entry });
    else for (const line of lines(one)) out.print(line);
    if (one.disagreement !== null) out.warn(`warning  the server's view said otherwise: ${one.disagreement}`);
    out.tell(`verified against checkpoint ${shortCheckpoint(one.at.checkpoint)}`);
    return exits.ok;
  } finally {
    client.close();
  }
}

function lines({ index, entry }: Proved): readonly string[] {
  return [
    `entry      ${count(index)} · ${said(entry["type"])}`,
    `when       ${text(entry["at"]) ?? ""}`,
    `who        ${whoOf(entry)}`,
    `what       ${whatOf(entry)}`,
    `result     ${resultOf(entry)}`,
    "",
    JSON.stringify(entry, undefined, 2),
  ];
}

interface ReceiptOptions extends GlobalOptions, TrustOptions {
  readonly witnessed?: boolean;
  readonly out?: string;
}

const tries = 15;

export async function receipt({ world, out, words, options }: Job<ReceiptOptions>): Promise<number> {
  const index = indexOf(words[0]);
  const { client, target } = await connectedClient(world, options);
  try {
    const trust = await trustFor(world, out, options, client, target);
    for (let attempt = 1; ; attempt += 1) {
      const node = granted(await client.ask("AuditShow", { index }), {
        done: "given",
        asked: `the receipt of entry ${count(index)}`,
      });
      if (node === null) throw notFound(`the log has no entry ${count(index)}`, "signet audit list shows the newest");
      proved(node, trust);
      if (!options.witnessed || isCosigned(node.receipt)) {
        if (options.out === undefined) out.print(node.receipt.replace(/\n$/, ""));
        else await writeWhole(resolve(world.cwd, options.out), node.receipt);
        return exits.ok;
      }
      if (attempt >= tries)
        throw new Failure({
          exit: exits.unavailable,
          code: "NOT_WITNESSED",
          message: "no witness has cosigned the newest checkpoint yet",
          next: "try again in a minute; signet doctor shows the witnesses",
          retryable: true,
        });
      await pause(2000, undefined, { signal: world.signal });
    }
  } finally {
    client.close();
  }
}

/** More than the log's own signature line. Whether it is a witness's is for `signet verify --witness-policy`. */
const isCosigned = (text: string): boolean => text.split("\n").filter((line) => line.startsWith("— ")).length > 1;

export function indexOf(word: string | undefined): number {
  const plain = (word ?? "").replaceAll(" ", "");
  if (!/^(?:0|[1-9]\d{0,14})$/.test(plain))
    throw usage(
      `${JSON.stringify(word)} is not an index of the log`,
      "a whole number from 0, as signet audit list shows it",
    );
  return Number(plain);
}
