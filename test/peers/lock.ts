// Who may install now? A lock file that holds its owner's pid: the lock of a process that died is free again.

import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Runs `work` while no other process runs its own under the same lock; `waiting` is told once whom we wait for. */
export async function alone<T>(
  lock: string,
  limit: number,
  waiting: (owner: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + limit;
  for (let told = false; !take(lock); told = true) {
    const owner = ownerOf(lock);
    if (owner === undefined) continue;
    if (!isAlive(owner)) rmSync(lock, { force: true });
    else if (Date.now() > deadline) throw new Error(`process ${owner.toString()} still holds ${lock}`);
    else if (!told) waiting(owner);
    await sleep(250);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** A link appears together with its content, so nobody ever reads a lock without its owner. */
function take(lock: string): boolean {
  const own = `${lock}.${process.pid.toString()}`;
  writeFileSync(own, process.pid.toString());
  try {
    linkSync(own, lock);
    return true;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false;
    throw cause;
  } finally {
    rmSync(own, { force: true });
  }
}

function ownerOf(lock: string): number | undefined {
  try {
    return Number(readFileSync(lock, "utf8"));
  } catch {
    return undefined; // released between our two looks
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM";
  }
}
