import { mkdtempSync, rmSync } from "node:fs";
import { performance } from "node:perf_hooks";
const { openSqlite } = await import("/work/main/src/db/sqlite.ts");
const { signer } = await import("/work/main/test/support/db.ts");
const { noStep } = await import("/work/main/src/std/steps.ts");
const { sha256Hex } = await import("/work/main/src/std/digest.ts");
const { readWholeLog } = await import("/work/main/src/broker/start.ts");
const directory = mkdtempSync("/tmp/vperf-");
const db = await openSqlite({ directory, origin: signer.vkey.name, signer, clock: Date.now, step: noStep });
const N = 200_000;
for (let at = 0; at < N; at += 500)
  await Promise.all(Array.from({ length: 500 }, (_, i) => {
    const n = at + i; const blob = n % 2 === 0 ? Buffer.from(`${"x".repeat(800)}${n}`) : undefined;
    const name = sha256Hex(Buffer.from(`${"x".repeat(800)}${n - (n % 2)}`));
    return db.append({ blobs: blob && [blob], entry: () => ({ v: 1, at: "2026-11-21T12:00:00.000Z", node: "n", epoch: 1, type: "sign.outcome", by: { kind: "socket", pad: "p".repeat(600) }, evidence: { proof: { blob: `sha256:${name}` } }, session: "ss_1", key: {}, items: [], intent: { index: n, hash: "00" }, result: "done" } as never) });
  }));
await db[Symbol.asyncDispose]();
const { openGround } = await import("/work/main/src/db/ground.ts");
const olds = await import("/tmp/verify-old.ts"); const news = await import("/work/main/src/db/verify.ts");
const g = openGround(`${directory}/truth.sqlite`, signer.vkey.name);
for (let k = 0; k < 4; k++) for (const [n, m] of [["old", olds], ["new", news]] as const) {
  const c = process.cpuUsage(); const a = performance.now(); const v = await m.verifyTruth(() => g, () => undefined); console.log(n, v.verdict, Math.round(performance.now() - a), "cpu ms", Math.round(process.cpuUsage(c).user / 1000));
}
rmSync(directory, { recursive: true });
