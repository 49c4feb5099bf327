// The process that a token's module runs in. It reads questions from descriptor 3 and answers them one after the other,
// synchronously: whatever hangs or crashes in the module hangs or crashes here. It keeps nothing worth saving and ends by
// SIGKILL, since modules crash when they are unloaded. Wire: pkcs11-wire.ts. The daemon's side: pkcs11-child.ts.

import { readSync, writeSync } from "node:fs";
import { Worker } from "node:worker_threads";

import { destroy, failureOf, find, generate, login, open, sign } from "./pkcs11-module.ts";
import {
  type Answer,
  answers,
  frame,
  frameReader,
  jsonBody,
  parsedBody,
  type Question,
  questions,
  type ToGenerate,
  type ToOpen,
  type Which,
} from "./pkcs11-wire.ts";

const channel = 3;
const lifeline = 4;

/** Bodies come from the daemon, which wrote them by these types. */
const answering: Readonly<Record<Question, (body: Uint8Array) => Uint8Array>> = {
  open: (body) => jsonBody(open(parsedBody(body) as ToOpen)),
  login: (body) => jsonBody(login(Buffer.from(body).toString("utf8"))),
  find: (body) => jsonBody(find(parsedBody(body) as Which)),
  generate: (body) => jsonBody(generate(parsedBody(body) as ToGenerate)),
  destroy: (body) => jsonBody(destroy(parsedBody(body) as Which)),
  sign,
};

watchTheDaemon();
serve();

/** A module that hangs must not outlive the daemon and keep the token busy: only a thread of its own can see to that. */
function watchTheDaemon(): void {
  const code = `const { readSync } = require("node:fs");
    try { readSync(${String(lifeline)}, Buffer.alloc(1)); } catch {}
    process.kill(process.pid, "SIGKILL");`;
  new Worker(code, { eval: true, env: {}, stdin: false });
}

function serve(): void {
  const read = frameReader(questions);
  const chunk = Buffer.alloc(256 * 1024);
  for (;;) {
    const length = readSync(channel, chunk);
    if (length === 0) process.kill(process.pid, "SIGKILL");
    for (const { number, kind, body } of read(Buffer.from(chunk.subarray(0, length)))) {
      const { answer, told } = answered(kind, body);
      writeAll(frame(number, answers.indexOf(answer), told));
    }
  }
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(channel, bytes, at);
}

function answered(kind: Question, body: Uint8Array): { readonly answer: Answer; readonly told: Uint8Array } {
  try {
    return { answer: "done", told: answering[kind](body) };
  } catch (error) {
    return { answer: "failed", told: jsonBody(failureOf(error)) };
  }
}
