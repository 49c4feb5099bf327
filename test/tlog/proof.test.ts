import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { hex, utf8 } from "../../src/std/bytes.ts";
import { signCheckpoint } from "../../src/tlog/checkpoint.ts";
import { cosign, cosigner, mergeCosignatures } from "../../src/tlog/cosignature.ts";
import { proverFor } from "../../src/tlog/merkle.ts";
import { parseNote } from "../../src/tlog/note.ts";
import { parsePolicy } from "../../src/tlog/policy.ts";
import { formatReceipt, parseReceipt, verifyReceipt } from "../../src/tlog/proof.ts";
import { Malformed } from "../../src/tlog/text.ts";
import { formatVkey } from "../../src/tlog/vkey.ts";
import { entriesOf, keyOfSeed, logOf, logSigner, origin, wildText } from "./log.ts";

const log = logOf(entriesOf(300));
const prover = proverFor(300, log.read);
const checkpoint = signCheckpoint({ origin, size: 300, root: prover.root, extensions: [] }, logSigner);
const leaf = utf8("entry 258");
const receipt = formatReceipt({ extra: leaf, index: 258, hashes: prover.inclusion(258), checkpoint });
const bare = formatReceipt({ index: 258, hashes: prover.inclusion(258), checkpoint });
const logs = [logSigner.vkey];

const witness = cosigner("witness.example/w1", keyOfSeed(21));
const policy = parsePolicy(`witness W ${formatVkey(witness.vkey)}\nquorum W\n`);

function cosigned(): string {
  const line = cosign(parseNote(checkpoint).body, witness, 1_700_000_000);
  const merged = mergeCosignatures(checkpoint, [line], [witness.vkey]);
  if (merged.verdict !== "merged") throw new Error(merged.message);
  return formatReceipt({ extra: leaf, index: 258, hashes: prover.inclusion(258), checkpoint: merged.text });
}

describe("receipts", () => {
  test("ours is byte for byte this", () => {
    expect(receipt).toMatchInlineSnapshot(`
      "c2sp.org/tlog-proof@v1
      extra ZW50cnkgMjU4
      index 258
      c0V9+vBTvXTQjOgU206VM7ztGC5OfCwltDlbSADMlG4=
      VI2Y58B1WvUctGyRuDIDa+j3igTyFBKGCtnILnWSSbI=
      7A6bpI1GmR6NGFgFuj/BgvreGpnnWjMh7jpUpfFX/9Y=
      j5skCCcPLx74uhIGjb2eVcJW3MNaAyitOgRkyFHQZow=
      v0dikrucGz5rXeXt96RtXdQFP3sKvfT+qOw4RgGnaMA=
      2NT2AO7LLoXzveZkQaIJHqJC72yUTyHkuXtq8nXuqsc=
      2mWW2VNp9f7zIquOTg2jsLUCNqqcijsdJG90Ecni4y4=

      signet.example/log
      300
      yjk9Apa+xeC43KuYO9H7fRRh9RLnJny4ljGtJv1m2Eg=

      — signet.example/log op4S1tNKMGp9QU3oyO5i5J++4V9ndCRRdzCa+f1EWBJ8uK96yMi5TdCm/5fDTdFhIPUPZcCYcjwy7Kl83+X6MZ+erQQ=
      "
    `);
  });

  test("receipt and vkey alone convince an offline verifier, and say that no witness was asked for", () => {
    const outcome = verifyReceipt({ receipt, logs });
    expect(outcome).toMatchObject({ verdict: "in-log", witnessed: false });
    if (outcome.verdict !== "in-log") throw new Error(outcome.message);
    expect(Buffer.from(outcome.facts.leaf).toString()).toBe("entry 258");
    expect(outcome.facts).toMatchObject({ index: 258, checkpoint: { origin, size: 300 }, signedBy: logs });
  });

  test("a receipt without the leaf needs the leaf", () => {
    expect(verifyReceipt({ receipt: bare, logs })).toMatchObject({ verdict: "rejected", why: "no-leaf" });
    expect(verifyReceipt({ receipt: bare, logs, leaf }).verdict).toBe("in-log");
    expect(verifyReceipt({ receipt, logs, leaf: utf8("entry 259") })).toMatchObject({ why: "not-included" });
  });

  test("a changed leaf, index or hash is not included", () => {
    const parsed = parseReceipt(receipt);
    const changed = [
      formatReceipt({ ...parsed, extra: utf8("entry 259") }),
      formatReceipt({ ...parsed, index: 259 }),
      formatReceipt({ ...parsed, index: 300 }),
      formatReceipt({ ...parsed, hashes: parsed.hashes.slice(1) }),
      formatReceipt({ ...parsed, hashes: parsed.hashes.toReversed() }),
    ];
    for (const receipt of changed) expect(verifyReceipt({ receipt, logs })).toMatchObject({ why: "not-included" });
  });

  test("a stranger's log, a forged checkpoint and rubbish are told apart", () => {
    expect(verifyReceipt({ receipt, logs: [] })).toMatchObject({ why: "no-known-key" });
    expect(verifyReceipt({ receipt: receipt.replace("\n300\n", "\n301\n"), logs })).toMatchObject({
      why: "bad-signature",
    });
    expect(verifyReceipt({ receipt: "rubbish", logs })).toMatchObject({ why: "malformed" });
  });

  test("a policy's quorum is asked for: without it the receipt is rejected, with the facts; with it, it is witnessed", () => {
    expect(verifyReceipt({ receipt, logs, policy })).toMatchObject({
      verdict: "rejected",
      why: "not-witnessed",
      facts: { index: 258, cosignatures: [] },
    });
    expect(verifyReceipt({ receipt: cosigned(), logs, policy })).toMatchObject({
      verdict: "in-log",
      witnessed: true,
      facts: { cosignatures: [{ vkey: { name: "witness.example/w1" }, time: 1_700_000_000 }] },
    });
    expect(verifyReceipt({ receipt: cosigned(), logs })).toMatchObject({ verdict: "in-log", witnessed: false });
  });

  test("the logs of a policy are trusted; quorum none leaves the entry unwitnessed", () => {
    const logOnly = parsePolicy(`log ${formatVkey(logSigner.vkey)}\nquorum none\n`);
    expect(verifyReceipt({ receipt, logs: [], policy: logOnly })).toMatchObject({
      verdict: "in-log",
      witnessed: false,
    });
  });

  test("any changed character is noticed, or changes nothing that was said", () => {
    fc.assert(
      fc.property(fc.nat(receipt.length - 1), fc.constantFrom("0", "1", "B", "x", "\n"), (at, other) => {
        fc.pre(receipt[at] !== other);
        const changed = receipt.slice(0, at) + other + receipt.slice(at + 1);
        expect(verifyReceipt({ receipt: changed, logs }).verdict).toBe("rejected");
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ["another version", receipt.replace("@v1", "@v2")],
    ["no index", receipt.replace(/\nindex .*/, "")],
    ["a leading zero", receipt.replace("index 258", "index 0258")],
    ["empty extra data", receipt.replace(/extra .*/, "extra ")],
    ["extra data twice", receipt.replace(/(extra .*\n)/, "$1$1")],
    ["extra data behind the index", receipt.replace(/(extra .*\n)(index .*\n)/, "$2$1")],
    ["too many hashes", receipt.replace("\n\n", `\n${"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".repeat(64)}\n`)],
    ["a carriage return", receipt.replace("@v1", "@v1\r")],
  ])("%s: refused", (_, text) => {
    expect(() => parseReceipt(text)).toThrow(Malformed);
  });

  test("format, then parse, is the identity", () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const extra = fc.option(fc.uint8Array({ minLength: 1, maxLength: 100 }), { nil: undefined });
    fc.assert(
      fc.property(extra, fc.maxSafeNat(), fc.array(hash, { maxLength: 63 }), (extra, index, hashes) => {
        const text = formatReceipt({ ...(extra && { extra }), index, hashes, checkpoint });
        const read = parseReceipt(text);
        expect(formatReceipt(read)).toBe(text);
        expect({ index: read.index, hashes: read.hashes.map(hex) }).toEqual({ index, hashes: hashes.map(hex) });
        expect(read.extra === undefined).toBe(extra === undefined);
      }),
    );
    const longest = { extra: Buffer.alloc(65_535), index: 0, hashes: [], checkpoint };
    expect(parseReceipt(formatReceipt(longest)).extra).toHaveLength(65_535);
    expect(() => formatReceipt({ ...longest, extra: Buffer.alloc(65_536) })).toThrow(Malformed);
  });

  test("foreign text gets a verdict, never an exception", () => {
    const text = fc.oneof(
      wildText,
      fc.string().map((tail) => receipt.slice(0, -40) + tail),
    );
    fc.assert(
      fc.property(text, (receipt) => void verifyReceipt({ receipt, logs, policy })),
      { numRuns: 300 },
    );
  });
});
