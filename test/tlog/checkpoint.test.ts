import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { base64 } from "../../src/std/base64.ts";
import { hex, utf8 } from "../../src/std/bytes.ts";
import { formatCheckpoint, parseCheckpoint, signCheckpoint, verifyCheckpoint } from "../../src/tlog/checkpoint.ts";
import { cosign, cosigner, mergeCosignatures } from "../../src/tlog/cosignature.ts";
import { emptyRoot, leafHash } from "../../src/tlog/merkle.ts";
import { ed25519Signer, parseNote } from "../../src/tlog/note.ts";
import { Malformed } from "../../src/tlog/text.ts";
import { cosignedMessage, joinTimestamped, vkeyOf } from "../../src/tlog/vkey.ts";
import { keyOfSeed, logSigner, origin, wildText } from "./log.ts";

const checkpoint = { origin, size: 1, root: leafHash(utf8("entry 0")), extensions: [] };
const signed = signCheckpoint(checkpoint, logSigner);
const witness = cosigner("witness.example/w1", keyOfSeed(21));
const second = cosigner("witness.example/w2", keyOfSeed(22));
const logs = [logSigner.vkey];

// C2SP tlog-cosignature v1.0.1, the example at the top
const specCosigned = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`;

describe("checkpoints", () => {
  test("the example of the specification is read", () => {
    const read = parseCheckpoint(parseNote(specCosigned).body);
    expect(read).toMatchObject({ origin: "example.com/behind-the-sofa", size: 20_852_163, extensions: [] });
    expect(base64(read.root)).toBe("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=");
  });

  test("ours is byte for byte this", () => {
    expect(signed).toMatchInlineSnapshot(`
      "signet.example/log
      1
      dziFphNIniTOLPdhmdakI/BC5LvxLX7s7pEu8nbGVwE=

      — signet.example/log op4S1vBE/g/iIJslvTr7sL69Fv9Y51ke+Sx8gbEki0ije8y7wqfq5INgG0kjyeUfh2kywYxRKzq52tSb6Kh49d2IJQ0=
      "
    `);
  });

  test("it verifies with the log's key and says what it says", () => {
    expect(verifyCheckpoint(signed, { logs })).toEqual({
      verdict: "verified",
      checkpoint,
      signedBy: logs,
      cosignatures: [],
    });
  });

  test("a key may not speak for an origin that is not its name", () => {
    const other = ed25519Signer("other.example/log", keyOfSeed(3));
    const text = signCheckpoint(checkpoint, other);
    expect(verifyCheckpoint(text, { logs: [other.vkey, ...logs] })).toMatchObject({ why: "wrong-origin" });
  });

  test("while the log's key is rotated both sign, and either is enough", () => {
    const next = ed25519Signer(origin, keyOfSeed(4));
    const text = signCheckpoint(checkpoint, logSigner, next);
    for (const known of [logs, [next.vkey]]) expect(verifyCheckpoint(text, { logs: known }).verdict).toBe("verified");
    expect(verifyCheckpoint(text, { logs: [logSigner.vkey, next.vkey] })).toMatchObject({
      signedBy: [logSigner.vkey, next.vkey],
    });
  });

  test("an unknown key, a changed size, and no note at all are told apart", () => {
    expect(verifyCheckpoint(signed, { logs: [] })).toMatchObject({ why: "no-known-key" });
    expect(verifyCheckpoint(signed.replace("\n1\n", "\n2\n"), { logs })).toMatchObject({ why: "bad-signature" });
    expect(verifyCheckpoint("rubbish", { logs })).toMatchObject({ why: "malformed" });
  });

  test.each([
    ["two lines", "a\n1\n"],
    ["an empty origin", `\n1\n${base64(emptyRoot)}\n`],
    ["a leading zero", `a\n01\n${base64(emptyRoot)}\n`],
    ["a negative size", `a\n-1\n${base64(emptyRoot)}\n`],
    ["a size of 2^53", `a\n9007199254740992\n${base64(emptyRoot)}\n`],
    ["other digits", `a\n١\n${base64(emptyRoot)}\n`],
    ["a short root", "a\n1\nAAAA\n"],
    ["an empty extension", `a\n1\n${base64(emptyRoot)}\n\n`],
    ["no last newline", `a\n1\n${base64(emptyRoot)}`],
  ])("%s: refused", (_, body) => {
    expect(() => parseCheckpoint(body)).toThrow(Malformed);
  });

  test("format, then parse, is the identity", () => {
    const line = fc.stringMatching(/^[!-~é]{1,30}$/);
    fc.assert(
      fc.property(
        line,
        fc.maxSafeNat(),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(line),
        (...parts) => {
          const [origin, size, root, extensions] = parts;
          const read = parseCheckpoint(formatCheckpoint({ origin, size, root, extensions }));
          expect({ ...read, root: hex(read.root) }).toEqual({ origin, size, root: hex(root), extensions });
        },
      ),
    );
  });

  test("foreign text gets a verdict, never an exception", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          wildText,
          fc.string({ minLength: 1 }).map((x) => x + signed),
        ),
        (text) => {
          expect(verifyCheckpoint(text, { logs }).verdict).toBe("rejected");
        },
      ),
    );
  });

  test("a checkpoint that could not be read back is not written", () => {
    for (const bad of [{ size: 0.5 }, { size: -1 }, { origin: "" }, { origin: "a\nb" }, { root: utf8("x") }]) {
      expect(() => formatCheckpoint({ ...checkpoint, ...bad })).toThrow(Malformed);
    }
  });
});

describe("cosignatures", () => {
  const { body } = parseNote(signed);
  const line = cosign(body, witness, 1_700_000_000);

  test("the example of the specification has its time in front of the signature", () => {
    const [, cosignature] = parseNote(specCosigned).signatures;
    expect(Buffer.from(cosignature?.signature ?? []).readBigUInt64BE()).toBe(1_679_315_147n);
    expect(cosignature?.signature).toHaveLength(72);
  });

  test("a witness's line is moved under our checkpoint and verifies with its time", () => {
    const merged = mergeCosignatures(signed, [line], [witness.vkey]);
    expect(merged).toMatchObject({ verdict: "merged", added: [{ vkey: witness.vkey, time: 1_700_000_000 }] });
    const text = merged.verdict === "merged" ? merged.text : "";
    expect(text).toMatchInlineSnapshot(`
      "signet.example/log
      1
      dziFphNIniTOLPdhmdakI/BC5LvxLX7s7pEu8nbGVwE=

      — signet.example/log op4S1vBE/g/iIJslvTr7sL69Fv9Y51ke+Sx8gbEki0ije8y7wqfq5INgG0kjyeUfh2kywYxRKzq52tSb6Kh49d2IJQ0=
      — witness.example/w1 iDLRrgAAAABlU/EAvSksZCRXaX5iDNh5E7IKk7AmVCjRnIpXMZy6R0/L7XCELRX9Glz+HGOVQXRMhMbAEM76kc4WBrgNcwRLTPVSAA==
      "
    `);
    expect(verifyCheckpoint(text, { logs, witnesses: [witness.vkey] })).toMatchObject({
      verdict: "verified",
      cosignatures: [{ vkey: witness.vkey, time: 1_700_000_000 }],
    });
    expect(verifyCheckpoint(text, { logs })).toMatchObject({ verdict: "verified", cosignatures: [] });
  });

  test("a newer cosignature replaces the older one of the same witness", () => {
    const first = mergeCosignatures(signed, [line], [witness.vkey]);
    if (first.verdict !== "merged") throw new Error(first.message);
    const lines = [cosign(body, witness, 1_700_000_060), cosign(body, second, 5)];
    const again = mergeCosignatures(first.text, lines, [witness.vkey, second.vkey]);
    if (again.verdict !== "merged") throw new Error(again.message);
    expect(parseNote(again.text).signatures).toHaveLength(3);
    expect(verifyCheckpoint(again.text, { logs, witnesses: [witness.vkey, second.vkey] })).toMatchObject({
      cosignatures: [{ time: 1_700_000_060 }, { time: 5 }],
    });
  });

  test("a stranger's line is left out, and the checkpoint stays as it was", () => {
    expect(mergeCosignatures(signed, [line], [second.vkey])).toEqual({ verdict: "merged", text: signed, added: [] });
  });

  test("a known witness's line over another checkpoint, with another time or without one, is rejected", () => {
    const other = cosign(body.replace("\n1\n", "\n2\n"), witness, 7);
    const moved = Buffer.from(line.signature);
    moved.writeBigUInt64BE(1_700_000_001n);
    const far = Buffer.from(line.signature);
    far.writeBigUInt64BE(2n ** 63n);
    for (const signature of [other.signature, moved, far, line.signature.subarray(1)]) {
      expect(mergeCosignatures(signed, [{ ...line, signature }], [witness.vkey]).verdict).toBe("rejected");
    }
    expect(() => cosign(body, witness, 0)).toThrow(Malformed);
    const undated = joinTimestamped(0, witness.sign(cosignedMessage(0, body)));
    expect(mergeCosignatures(signed, [{ ...line, signature: undated }], [witness.vkey]).verdict).toBe("rejected");
  });

  test("a log's signature does not pass for a witness's, nor the reverse", () => {
    expect(() => cosign(body, logSigner, 1)).toThrow(Malformed);
    expect(() => signCheckpoint(checkpoint, witness)).toThrow(Malformed);
    const sameKey = vkeyOf(witness.vkey.name, "ed25519", witness.vkey.publicKey);
    expect(mergeCosignatures(signed, [line], [sameKey])).toMatchObject({ added: [] });
  });

  test("witnesses without the log are not a log", () => {
    const [, ...rest] = mergedWith(line).split("\n— ");
    const text = `${body}\n— ${rest.at(-1) ?? ""}`;
    expect(verifyCheckpoint(text, { logs, witnesses: [witness.vkey] })).toMatchObject({ why: "no-known-key" });
  });

  function mergedWith(added: typeof line): string {
    const merged = mergeCosignatures(signed, [added], [witness.vkey]);
    return merged.verdict === "merged" ? merged.text : "";
  }
});
