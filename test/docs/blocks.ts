// What the pages say in code: every fenced block (CommonMark, section 4.5) with its place and the words after the fence.
//
//   ```sh run               is run, and has to end with status 0
//   ```text output          stands after such a block: exactly what that one wrote to stdout
//   ```sh example: why      is not run, and says why not
//   ```yaml signet          is a whole configuration, ```yaml policy a whole policy file: both are loaded
//   ```yaml example: why    is neither

import { readFileSync } from "node:fs";

export interface Block {
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** The rest of the info string. */
  readonly mark: string;
  readonly text: string;
}

export function blocksOf(file: string): readonly Block[] {
  const found: Block[] = [];
  let open: { readonly fence: string; readonly block: Omit<Block, "text">; readonly lines: string[] } | undefined;
  for (const [at, line] of readFileSync(file, "utf8").split("\n").entries()) {
    if (open === undefined) {
      const [, fence, language = "", mark = ""] = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)\s*([^`]*?)\s*$/.exec(line) ?? [];
      if (fence !== undefined) open = { fence, block: { line: at + 1, language, mark }, lines: [] };
    } else if (line.trim() === open.fence) {
      found.push({ ...open.block, text: `${open.lines.join("\n")}\n` });
      open = undefined;
    } else open.lines.push(line);
  }
  if (open !== undefined) throw new SyntaxError(`${file}:${String(open.block.line)}: this block is never closed`);
  return found;
}

const shells = ["sh", "bash", "shell", "console", "zsh"];

/** What this block is for; a complaint where nobody can tell. */
type Use = "run" | "output" | "config" | "policy" | "shown" | { readonly complaint: string };

export function useOf({ language, mark }: Block): Use {
  const explained = /^example: .{10,}$/.test(mark);
  if (shells.includes(language)) {
    if (mark === "run" && language === "sh") return "run";
    return explained ? "shown" : { complaint: "mark it `sh run`, or `sh example: why it is not run`" };
  }
  if (language === "yaml" || language === "yml") {
    if (mark === "signet") return "config";
    if (mark === "policy") return "policy";
    return explained ? "shown" : { complaint: "mark it `yaml signet`, `yaml policy`, or `yaml example: why`" };
  }
  return language === "text" && mark === "output" ? "output" : "shown";
}
