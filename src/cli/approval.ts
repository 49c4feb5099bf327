// Two-person actions: the second person sees exactly what was asked, and approves its hash.

import type { Pending } from "../client/answers.ts";
import { sha256Hex } from "../std/digest.ts";
import { canonicalJson, isJsonObject } from "../std/json.ts";
import { exits, Failure, granted, notFound } from "./failure.ts";
import type { Job, Work } from "./job.ts";
import { said } from "./leaf.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { timeLeft, when } from "./words.ts";

export async function list({ world, out, options }: Job<GlobalOptions & { readonly all?: boolean }>): Promise<number> {
  const { client } = await connectedClient(world, options);
  try {
    const pending = granted(await client.ask("PendingActions", { state: options.all ? undefined : "PENDING" }), {
      done: "listed",
      asked: "pending actions",
    });
    out.list(
      "pendingActions",
      pending,
      [
        { title: "ID", cell: (one) => one.name },
        { title: "WHAT", cell: actionLine },
        { title: "ASKED BY", cell: (one) => one.requester },
        { title: "WHEN", cell: (one) => when(one.requestedAt, world.clock()) },
        {
          title: "STATE",
          cell: (one) => (one.state === "PENDING" ? timeLeft(one.expiresAt, world.clock()) : one.state.toLowerCase()),
        },
      ],
      (one) => one,
    );
    return exits.ok;
  } finally {
    client.close();
  }
}

export const decide =
  (verdict: "approve" | "deny"): Work<GlobalOptions & { readonly hash?: string }> =>
  async ({ world, out, words, options }) => {
    const [id = ""] = words;
    const { client } = await connectedClient(world, options);
    try {
      const found = await client.ask("PendingAction", { id });
      const pending = granted(found, { done: "decided", asked: `pending action ${id}` });
      if (pending === null)
        throw notFound(`there is no pending action ${JSON.stringify(id)}`, "signet approval list shows what waits");
      const hash = hashOf(pending);
      if (options.hash !== undefined && options.hash !== hash) {
        throw new Failure({
          exit: exits.denied,
          code: "APPROVAL_INVALID",
          message: "the action is not the one that you saw",
          asked: `hash ${options.hash}`,
          found: `hash ${hash}: ${actionLine(pending)}`,
        });
      }
      out.say("action", `${actionLine(pending)} · asked by ${pending.requester} · sha256 ${hash.slice(0, 16)}…`);
      const answer = await client.ask(verdict === "approve" ? "Approve" : "Deny", {
        input: { pending: pending.id, hash },
      });
      const decided = granted(answer, { done: "decided", asked: `${verdict} ${id}: ${actionLine(pending)}` });
      out.say(decided.pending.state.toLowerCase(), decided.pending.name);
      if (out.format !== "table") out.one([], decided.pending);
      return exits.ok;
    } finally {
      client.close();
    }
  };

/** Of what is shown here, so that nobody approves what they did not see. */
function hashOf({ action, hash, name }: Pending): string {
  const found = sha256Hex(canonicalJson(action));
  if (found === hash) return hash;
  throw new Failure({
    exit: exits.untrusted,
    code: "APPROVAL_INVALID",
    message: `the hash of ${name} is not that of the action shown`,
    found: `shown ${found}, named ${hash}`,
  });
}

function actionLine({ action }: Pending): string {
  const member = (name: string): string => said(action[name]);
  if (action["kind"] === "key.state")
    return `key ${member("key")} v${member("number")} → ${member("to").toLowerCase().replaceAll("_", "-")} (${member("reason")})`;
  if (action["kind"] === "key.destroy")
    return `destroy key ${member("key")} v${member("number")}, ${action["backend"] === true ? "and its private key at its custody" : "which its custody keeps"} (${member("reason")})`;
  if (action["kind"] === "key.rotate")
    return `rotate key ${member("key")} v${member("from")} → v${member("to")}, ${existing(action)}; published for ${member("propagation")}${action["beforeVerifiersKnow"] === true ? ", before verifiers know it" : ""}${action["retireAfter"] === undefined ? "" : `, the old one retired ${member("retireAfter")} after it`} (${member("reason")})`;
  if (action["kind"] === "operator.add")
    return `add operator ${member("name")} (${member("issuer")} · ${member("subject")}) as ${member("roles")}`;
  return canonicalJson(action);
}

function existing(action: Pending["action"]): string {
  const key = action["existing"];
  const custody = said(action["custody"]);
  return isJsonObject(key) ? `${custody} ${said(key["uri"])} SHA256:${said(key["fingerprint"])}` : `made by ${custody}`;
}
