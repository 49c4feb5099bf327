// One log takes another's place in a state directory. A kill at any moment leaves a directory in which no daemon starts
// before the same command has gone on to the end, or one in which nothing has changed yet:
//
//   recovering/           the new log is being prepared; dropped and begun again. The daemon does not mind it.
//   recovered-<time>.1/   it is whole; the old files move to replaced-<time>/, one rename each
//   recovered-<time>.2/   the old files are aside; the new ones move into place, one rename each
//
// What moves is the log's own (known by name); sockets, the lock and earlier replaced-… stay where they are.

import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { Fault } from "../model/errors.ts";
import type { Step } from "../std/steps.ts";
import { syncFolder } from "./tree.ts";

const preparing = "recovering";
const ownFile = /^(?:(?:truth|views)\.sqlite.*|log|log\.key|log\.key\.new|remembered|\..*\.tmp)$/;
const begun = /^recovered-(.+)\.([12])$/;

interface Begun {
  readonly time: string;
  readonly phase: "1" | "2";
}

/** An empty directory to prepare the new log in. The caller holds the lock of `directory`. */
export function prepareReplacement(directory: string): string {
  const fresh = join(directory, preparing);
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o750 });
  return fresh;
}

/**
 * Puts the prepared log, which nobody has open any more, in the old one's place. `time` names the folder that keeps the
 * old files, and is returned as its path. Durable on return; the caller holds the lock of `directory`.
 */
export async function replaceLog(directory: string, time: string, step: Step): Promise<string> {
  const fresh = join(directory, preparing);
  rmSync(join(fresh, "lock.sqlite"), { force: true });
  await syncFolder(fresh);
  step("recover.before-prepared");
  renameSync(fresh, join(directory, `recovered-${time}.1`));
  await syncFolder(directory);
  step("recover.prepared");
  return finish(directory, { time, phase: "1" }, step);
}

/** Goes on where `replaceLog` was killed; undefined where it was not. The caller holds the lock of `directory`. */
export async function finishReplacement(directory: string, step: Step): Promise<string | undefined> {
  const found = unfinishedReplacement(directory);
  return found && finish(directory, found, step);
}

export function unfinishedReplacement(directory: string): Begun | undefined {
  if (!existsSync(directory)) return undefined;
  for (const name of readdirSync(directory)) {
    const [, time, phase] = begun.exec(name) ?? [];
    if (time !== undefined && (phase === "1" || phase === "2")) return { time, phase };
  }
  return undefined;
}

/** Throws Fault LOG_DAMAGED where one log stands half in another's place. Before anything is opened or made. */
export function refuseHalfReplaced(directory: string): void {
  if (unfinishedReplacement(directory) === undefined) return;
  throw new Fault(
    "LOG_DAMAGED",
    `signetd recover was interrupted in ${directory}: run it again with --accept-loss, it goes on where it stopped`,
  );
}

/** Folders with logs that were replaced here. */
export const replacedLogs = (directory: string): readonly string[] =>
  readdirSync(directory)
    .filter((name) => name.startsWith("replaced-"))
    .map((name) => join(directory, name));

async function finish(directory: string, { time, phase }: Begun, step: Step): Promise<string> {
  const aside = join(directory, `replaced-${time}`);
  if (phase === "1") await moveAside(directory, aside, step);
  const [whole, fresh] = [join(directory, `recovered-${time}.1`), join(directory, `recovered-${time}.2`)];
  if (phase === "1") renameSync(whole, fresh);
  await syncFolder(directory);
  step("recover.moved-aside");
  for (const name of readdirSync(fresh)) {
    renameSync(join(fresh, name), join(directory, name));
    step("recover.one-put-in-place");
  }
  await syncFolder(directory);
  rmdirSync(fresh);
  await syncFolder(directory);
  return aside;
}

/** Nothing is ever written over what is aside already. */
async function moveAside(directory: string, aside: string, step: Step): Promise<void> {
  mkdirSync(aside, { recursive: true, mode: 0o750 });
  for (const name of readdirSync(directory).filter((one) => ownFile.test(one))) {
    if (existsSync(join(aside, name))) continue;
    renameSync(join(directory, name), join(aside, name));
    step("recover.one-moved-aside");
  }
  await syncFolder(aside);
  await syncFolder(directory);
}
