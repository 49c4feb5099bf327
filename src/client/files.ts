// Files that are never half-written, and private ones that nobody else can read.

import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** A file of ours is not as we left it. `message` names it and says what to do. */
export class BadFile extends Error {
  override readonly name = "BadFile";
}

/** The whole file or none: written beside, made durable, renamed. `mode` as in chmod. */
export async function writeWhole(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}.${String(process.pid)}.tmp`);
  try {
    const file = await open(beside, "wx", mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/** Mode 0600, in a folder of mode 0700 that is made where it is missing. */
export async function writePrivate(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeWhole(path, content, 0o600);
  await chmod(path, 0o600);
}

/** Undefined where there is no such file. Throws BadFile where others may read it: then it is no secret any more. */
export async function readPrivate(path: string): Promise<string | undefined> {
  const found = await unlessMissing(stat(path));
  if (found === undefined) return undefined;
  if ((found.mode & 0o077) !== 0) {
    throw new BadFile(
      `${path} may be read by others (mode ${(found.mode & 0o777).toString(8)}): chmod 600 it if nobody did, else delete it`,
    );
  }
  return unlessMissing(readFile(path, "utf8"));
}

/** Undefined where there is no such file. */
export const readIfThere = (path: string): Promise<Buffer | undefined> => unlessMissing(readFile(path));

async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isSystemError(error) && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
    throw error;
  }
}

export const isSystemError = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && "code" in error && typeof error.code === "string";
