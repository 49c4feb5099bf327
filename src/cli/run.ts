// From a command line to an exit code: finds the command, runs it, and turns whatever it throws into words.

import { Command, CommanderError } from "commander";
import { commands } from "./commands.ts";
import { exits, type FailureText, failureJson, failureLines, textOf, usage } from "./failure.ts";
import type { Call, Work } from "./job.ts";
import { type Format, formats, type Output, outputTo } from "./output.ts";
import type { World } from "./world.ts";

/** Words after `signet`. Never throws. */
export async function run(words: readonly string[], world: World, version: string): Promise<number> {
  const state = { exit: exits.ok as number };
  const program = programFor(world, version, (exit) => {
    state.exit = exit;
  });
  try {
    await program.parseAsync(words, { from: "user" });
    return world.signal.aborted ? exits.interrupted : state.exit;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exits.ok;
    if (world.signal.aborted) return exits.interrupted;
    const text = error instanceof CommanderError ? commandLineText(error, words) : textOf(error);
    show(text, world, outputTo(world, formatIn(words, world), false), error);
    return text.exit;
  }
}

function programFor(world: World, version: string, ended: (exit: number) => void): Command {
  const program = new Command("signet")
    .description("CI signs, nobody holds the key, and every use can be proved.")
    .version(version, "-V, --version")
    .option("--server <address>", "https://HOST, http://127.0.0.1:PORT or unix:/PATH (SIGNET_SERVER)")
    .option("--context <name>", "a server you logged in to before (SIGNET_CONTEXT)")
    .option("--ca <file>", "PEM to check the server's certificate against (SIGNET_CA)")
    .option("--timeout <seconds>", "for one request, retries included (30)")
    .option("-o, --output <format>", formats.join(", "))
    .option("-q, --quiet", "say nothing but errors")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void world.stdout.write(text),
      writeErr: () => undefined,
      outputError: () => undefined,
    })
    .exitOverride()
    .addHelpText("after", `\n${footer}`);
  const call: Call = <Options>(command: Command, load: () => Promise<Work<Options>>) =>
    command.action(async () => {
      const options = command.optsWithGlobals<Options & { output?: string; quiet?: boolean }>();
      const out = outputTo(world, formatNamed(options.output ?? world.env["SIGNET_OUTPUT"]), options.quiet ?? false);
      const work = await load();
      ended((await work({ world, out, words: command.args, options })) ?? exits.ok);
    });
  commands(program, call);
  return program;
}

const footer = `Exit codes: 0 ok, 1 unexpected, 2 usage, 3 cancelled, 4 login needed, 5 denied, 6 not found, 7 hardware,
8 approval pending, 9 backend down (try again), 10 no signature, 11 no match, 12 untrusted key, 13 log proof bad,
14 expired, 130 interrupted; doctor: 0, 20 warning, 21 failure.  signet explain CODE says more about an error.`;

function formatNamed(name: string | undefined): Format {
  if (name === undefined) return "table";
  const found = formats.find((one) => one === name);
  if (found === undefined)
    throw usage(`-o ${JSON.stringify(name)} is no output format`, `one of ${formats.join(", ")}`);
  return found;
}

/** For errors, which may come before the options are read. */
function formatIn(words: readonly string[], world: World): Format {
  const at = words.findIndex((word) => word === "-o" || word === "--output");
  const named = at < 0 ? words.find((word) => word.startsWith("--output="))?.slice("--output=".length) : words[at + 1];
  return (
    formats.find(
      (one) => one === (named ?? words.find((word) => /^-o\w/.test(word))?.slice(2) ?? world.env["SIGNET_OUTPUT"]),
    ) ?? "table"
  );
}

function commandLineText(error: CommanderError, words: readonly string[]): FailureText {
  const command = words.filter((word) => /^[a-z][a-z-]*$/.test(word)).slice(0, 2);
  if (error.code === "commander.help") {
    return {
      exit: exits.usage,
      code: "USAGE",
      message: `${["signet", ...command].join(" ")} needs a command`,
      next: `${["signet", ...command.slice(0, 1)].join(" ")} --help`,
    };
  }
  const [message = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const next = more.length > 0 ? more.join(" ").replace(/^\((.*)\)$/, "$1") : "signet --help, or signet COMMAND --help";
  return { exit: exits.usage, code: "USAGE", message, next };
}

function show(text: FailureText, world: World, out: Output, error: unknown): void {
  if (out.format !== "table") {
    out.warn(failureJson(text));
    return;
  }
  for (const line of failureLines(text, (word) => out.style("red", word))) out.warn(line);
  if (world.env["SIGNET_DEBUG"] && error instanceof Error) out.warn(error.stack ?? "");
}
