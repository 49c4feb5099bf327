// What works, what does not, what to do: what the daemon says of itself, and what can be seen from here.

import { RemoteFault } from "../client/connect.ts";
import { exits, Failure, granted, textOf, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import type { Output } from "./output.ts";
import { type Connected, connectedClient, type GlobalOptions } from "./server.ts";
import { visible } from "./table.ts";
import { continueFrom, rememberedFile, trustFor, verified } from "./trust.ts";
import { shortCheckpoint } from "./words.ts";

interface Check {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly message: string;
  readonly hint?: string | undefined;
}

export async function doctor(job: Job<GlobalOptions & { readonly failOn: string }>): Promise<number> {
  const { out, options } = job;
  if (options.failOn !== "warn" && options.failOn !== "fail")
    throw usage(`--fail-on ${JSON.stringify(options.failOn)} is none`, "warn or fail");
  const checks = await look(job);
  if (out.format === "table") for (const check of checks) print(out, check);
  else out.list("checks", checks, [], (one) => one);
  const failed = checks.some((one) => one.status === "fail");
  const warned = checks.some((one) => one.status === "warn");
  return failed ? exits.doctorFail : warned && options.failOn === "warn" ? exits.doctorWarn : exits.ok;
}

function print(out: Output, { name, status, message, hint }: Check): void {
  const word = { ok: out.style("green", "ok  "), warn: out.style("yellow", "warn"), fail: out.style("red", "FAIL") }[
    status
  ];
  out.print(`${word}  ${name.padEnd(14)}  ${visible(message)}`);
  if (hint !== undefined) out.print(`${" ".repeat(22)}next: ${visible(hint)}`);
}

async function look(job: Job<GlobalOptions>): Promise<readonly Check[]> {
  let connected: Connected;
  try {
    connected = await connectedClient(job.world, job.options);
  } catch (error) {
    if (error instanceof Failure && error.text.exit === exits.usage) throw error;
    return [failed("login", error)];
  }
  const { client, target } = connected;
  try {
    const health = granted(await client.ask("Health", {}), { done: "checked", asked: "the daemon's health" });
    const said = health.checks.map(({ name, status, message, hint }) => ({
      name,
      status: statusOf(status),
      message,
      hint: hint ?? undefined,
    }));
    return [
      { name: "server", status: "ok", message: `${target.context.server} answers` },
      ...said,
      await logCheck(job, connected),
    ];
  } catch (error) {
    return [failed(error instanceof RemoteFault ? "server" : "health", error)];
  } finally {
    client.close();
  }
}

async function logCheck({ world, out }: Job<GlobalOptions>, { client, target }: Connected): Promise<Check> {
  try {
    const trust = await trustFor(world, out, {}, client, target);
    const answer = granted(await client.ask("Checkpoint", {}), { done: "checked", asked: "the newest checkpoint" });
    if (answer === null) return { name: "log seen here", status: "warn", message: "there is no checkpoint yet" };
    const now = verified(answer.note, trust);
    const seen = await continueFrom(rememberedFile(target, trust), now, trust, client);
    const past = seen === "first" ? "seen for the first time" : "consistent with the remembered checkpoint";
    return { name: "log seen here", status: "ok", message: `${past}, ${shortCheckpoint(now.checkpoint)}` };
  } catch (error) {
    const check = failed("log seen here", error);
    // Whoever may not read the log can still sign: only a proof that fails is a failure.
    return error instanceof Failure && error.text.exit !== exits.proofBad ? { ...check, status: "warn" } : check;
  }
}

const statusOf = (status: string): Check["status"] => (status === "ok" || status === "warn" ? status : "fail");

function failed(name: string, error: unknown): Check {
  const { message, found, next } = textOf(error);
  return { name, status: "fail", message: found === undefined ? message : `${message}: ${found}`, hint: next };
}
