import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { hex } from "../../src/std/bytes.ts";
import { signCheckpoint } from "../../src/tlog/checkpoint.ts";
import { cosign, cosigner, mergeCosignatures } from "../../src/tlog/cosignature.ts";
import { proverFor } from "../../src/tlog/merkle.ts";
import { formatSignatureLine, parseNote } from "../../src/tlog/note.ts";
import { Malformed } from "../../src/tlog/text.ts";
import { formatAddCheckpoint, monitoringPath, parseAddCheckpoint, readAnswer } from "../../src/tlog/witness.ts";
import { entriesOf, keyOfSeed, logOf, logSigner, origin, wildText } from "./log.ts";

const log = logOf(entriesOf(20));
const prover = proverFor(20, log.read);
const checkpoint = signCheckpoint({ origin, size: 20, root: prover.root, extensions: [] }, logSigner);
const witness = cosigner("witness.example/w1", keyOfSeed(21));
const text = "text/plain; charset=utf-8";

// C2SP tlog-witness v1.0.0, "add-checkpoint"
const specBody = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;

describe("asking a witness", () => {
  test("the example of the specification is read and written", () => {
    const request = parseAddCheckpoint(specBody);
    expect(request.old).toBe(20_852_014);
    expect(request.proof).toHaveLength(4);
    expect(formatAddCheckpoint(request)).toBe(specBody);
  });

  test("a first submission has old size 0 and no proof", () => {
    expect(formatAddCheckpoint({ old: 0, proof: [], checkpoint })).toBe(`old 0\n\n${checkpoint}`);
  });

  test("format, then parse, is the identity; 63 hashes go, 64 do not", () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.array(hash, { maxLength: 63 }), (old, proof) => {
        const read = parseAddCheckpoint(formatAddCheckpoint({ old, proof, checkpoint }));
        expect({ ...read, proof: read.proof.map(hex) }).toEqual({ old, proof: proof.map(hex), checkpoint });
      }),
    );
    const proof = Array.from({ length: 64 }, () => prover.root);
    expect(() => formatAddCheckpoint({ old: 1, proof, checkpoint })).toThrow(/at most 63/);
  });

  test.each([
    "",
    "old\n\n",
    `old 01\n\n${checkpoint}`,
    `old 1\nAAAA\n\n${checkpoint}`,
    `new 1\n\n${checkpoint}`,
    "old 1\n\nno note",
    `old 1\n${checkpoint}`,
  ])("a witness refuses %j", (body) => {
    expect(() => parseAddCheckpoint(body)).toThrow(Malformed);
  });

  test("the last checkpoint a witness saw is below the hash of the origin", () => {
    expect(monitoringPath("example.com/behind-the-sofa")).toMatch(/^[0-9a-f]{64}\/checkpoint$/);
  });
});

describe("hearing a witness", () => {
  test("a cosignature goes from the answer into the checkpoint", () => {
    const line = cosign(parseNote(checkpoint).body, witness, 1_700_000_000);
    const answer = readAnswer({ status: 200, contentType: text, body: formatSignatureLine(line) });
    if (answer.answer !== "cosigned") throw new Error(answer.answer);
    expect(mergeCosignatures(checkpoint, answer.lines, [witness.vkey])).toMatchObject({
      verdict: "merged",
      added: [{ time: 1_700_000_000 }],
    });
  });

  test("a conflict says the witness's size", () => {
    const body = "20852014\n";
    expect(readAnswer({ status: 409, contentType: "text/x.tlog.size", body })).toEqual({
      answer: "conflict",
      size: 20_852_014,
    });
    expect(readAnswer({ status: 409, contentType: "Text/X.tlog.size; charset=utf-8", body: "0\n" })).toEqual({
      answer: "conflict",
      size: 0,
    });
  });

  test.each([
    [400, "bad-request"],
    [403, "untrusted"],
    [404, "unknown-log"],
    [422, "inconsistent"],
    [500, "unexpected"],
    [301, "unexpected"],
    [201, "unexpected"],
  ])("status %i is %s", (status, answer) => {
    expect(readAnswer({ status, contentType: text, body: "whatever" }).answer).toBe(answer);
  });

  test.each([
    [409, text, "5\n"],
    [409, undefined, "5\n"],
    [409, "text/x.tlog.size", "5"],
    [409, "text/x.tlog.size", "05\n"],
    [409, "text/x.tlog.size", "<html>\n"],
    [200, text, ""],
    [200, text, "OK\n"],
    [200, text, "— witness.example/w1 rubbish\n"],
  ])("status %i as %s with body %j is unexpected", (status, contentType, body) => {
    expect(readAnswer({ status, contentType, body })).toMatchObject({ answer: "unexpected", status });
  });

  test("foreign responses are answers, never exceptions", () => {
    const status = fc.oneof(fc.constantFrom(200, 409), fc.nat(999));
    const type = fc.option(fc.oneof(fc.constant("text/x.tlog.size"), fc.string()), { nil: undefined });
    fc.assert(
      fc.property(status, type, wildText, (status, contentType, body) => {
        expect(readAnswer({ status, contentType, body })).toHaveProperty("answer");
      }),
    );
  });
});
