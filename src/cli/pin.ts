// A PIN from whoever runs the command: typed at a terminal, which does not show it, or one line on stdin.

import { text } from "node:stream/consumers";

import { usage } from "./failure.ts";
import type { World } from "./world.ts";

export async function askPin({ stdin, stderr }: Pick<World, "stdin" | "stderr">, prompt: string): Promise<string> {
  if (!stdin.isTTY || stdin.setRawMode === undefined) return (await text(stdin)).replace(/\r?\n$/, "");
  stderr.write(prompt);
  stdin.setRawMode(true);
  try {
    return await typed(stdin);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write("\n");
  }
}

const [enter, newline, interrupt, end, backspace, del] = ["\r", "\n", "\u0003", "\u0004", "\b", "\u007f"];

function typed(stdin: World["stdin"]): Promise<string> {
  const line: string[] = [];
  return new Promise((resolve, reject) => {
    const heard = (chunk: Buffer): void => {
      for (const key of chunk.toString("utf8")) {
        if (key === enter || key === newline || key === end) {
          stdin.off("data", heard);
          resolve(line.join(""));
          return;
        }
        if (key === interrupt) {
          stdin.off("data", heard);
          reject(usage("no PIN was given", "nothing was sent"));
          return;
        }
        if (key === backspace || key === del) line.pop();
        else line.push(key);
      }
    };
    stdin.on("data", heard);
  });
}
