// Was a key used past Signet? What the log recorded of each key version and day, beside what its custody counted.

import type { ReconciledDay } from "../client/answers.ts";
import { exits, granted } from "./failure.ts";
import type { Job } from "./job.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { count } from "./words.ts";

interface ReconcileOptions extends GlobalOptions {
  readonly from: string;
  readonly to: string;
}

/** Exit code 11 (no match) where a backend counted more than the log explains; else 15 where something was not compared. */
export async function reconcile({ world, out, words, options }: Job<ReconcileOptions>): Promise<number> {
  const [key] = words;
  const { from, to } = options;
  const { client } = await connectedClient(world, options);
  try {
    const asked = `${key === undefined ? "all keys" : `key ${key}`} from ${from} to ${to}`;
    const { days } = granted(await client.ask("Reconcile", { key, from, to }), { done: "reconciled", asked });
    out.list(
      "days",
      days,
      [
        { title: "DAY", cell: ({ day }) => day ?? "all days" },
        { title: "KEY", cell: (one) => `${one.key} v${String(one.number)}` },
        { title: "CUSTODY", cell: ({ custody }) => custody },
        { title: "RECORDED", cell: recorded, right: true },
        { title: "BACKEND", cell: ({ backend }) => (backend === null ? "?" : count(backend)), right: true },
        { title: "DIFFERENCE", cell: difference, right: true },
        { title: "MEANING", cell: ({ meaning }) => meaning },
      ],
      (day) => day,
    );
    const surplus = days.filter(({ verdict }) => verdict === "SURPLUS");
    const open = days.filter(({ verdict }) => verdict === "MISSING" || verdict === "NOT_TOLD");
    for (const line of new Set([...surplus, ...open].map(warning))) out.warn(line);
    if (surplus.length > 0) return exits.noMatch;
    return open.length > 0 ? exits.notCompared : exits.ok;
  } finally {
    client.close();
  }
}

/** A custody that cannot tell of a version cannot tell of any of its days: one line. */
function warning({ key, number, day, verdict, meaning }: ReconciledDay): string {
  const version = `warning  ${key} v${String(number)}`;
  return verdict === "NOT_TOLD" ? `${version} was not compared: ${meaning}` : `${version} on ${day ?? ""}: ${meaning}`;
}

/** `12`, or `12 + 1 unknown`: the backend may have made any part of those. */
const recorded = ({ done, withheld, unknown }: ReconciledDay): string =>
  `${count(done + withheld)}${unknown > 0 ? ` + ${count(unknown)} unknown` : ""}`;

const difference = ({ difference: more }: ReconciledDay): string =>
  more === null ? "?" : `${more > 0 ? "+" : ""}${String(more)}`;
