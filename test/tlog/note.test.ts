import { generateKeyPairSync } from "node:crypto";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { utf8 } from "../../src/std/bytes.ts";
import { ed25519Signer, formatNote, parseNote, signNote, verifyNote } from "../../src/tlog/note.ts";
import { Malformed } from "../../src/tlog/text.ts";
import { formatVkey, parseVkey, vkeyOf } from "../../src/tlog/vkey.ts";
import { keyOfSeed, logSigner, wildText } from "./log.ts";

// C2SP signed-note v1.0.0, "Example"
const specVkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const specNote = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

describe("verifier keys", () => {
  test("the example of the specification is read and written", () => {
    const vkey = parseVkey(specVkey);
    expect(vkey).toMatchObject({ name: "example.com/foo", type: "ed25519" });
    expect(vkey.publicKey).toHaveLength(32);
    expect(formatVkey(vkey)).toBe(specVkey);
  });

  test.each([
    ["", "nothing"],
    ["example.com/foo", "a name alone"],
    [specVkey.replace("530d903a", "530D903A"), "an upper-case key ID"],
    [specVkey.replace("530d903a", "530d903b"), "the key ID of another key"],
    [specVkey.replace("example.com/foo", "example.com/bar"), "another name"],
    [specVkey.replace("example.com/foo", "example.com/\u00a0foo"), "a name with a Unicode space"],
    [specVkey.replace("+Aek", "+Bek"), "a signature type that we do not know"],
    [specVkey.slice(0, -4), "a short key"],
    [specVkey.replace(/k$/, "l"), "changed padding bits or key"],
    [`${specVkey}\n`, "a newline behind it"],
  ])("%j is refused: %s", (text) => {
    expect(() => parseVkey(text)).toThrow(Malformed);
  });

  test("format, then parse, is the identity", () => {
    const name = fc.stringMatching(/^[a-z0-9./é-]{1,40}$/);
    const type = fc.constantFrom("ed25519" as const, "cosignature" as const);
    fc.assert(
      fc.property(name, type, fc.uint8Array({ minLength: 32, maxLength: 32 }), (name, type, key) => {
        const vkey = vkeyOf(name, type, key);
        const read = parseVkey(formatVkey(vkey));
        expect(formatVkey(read)).toBe(formatVkey(vkey));
        expect(read).toMatchObject({ name, type });
      }),
    );
  });

  test("one key has different IDs as a log and as a witness", () => {
    const key = logSigner.vkey.publicKey;
    expect(vkeyOf("a", "ed25519", key).keyId).not.toEqual(vkeyOf("a", "cosignature", key).keyId);
  });
});

describe("notes", () => {
  test("the example of the specification verifies", () => {
    const outcome = verifyNote(parseNote(specNote), [parseVkey(specVkey)]);
    expect(outcome.verdict).toBe("verified");
    expect(parseNote(specNote).body).toBe("This is an example message.\n");
  });

  test("what we sign is byte for byte this", () => {
    expect(signNote("hello\n", logSigner)).toMatchInlineSnapshot(`
      "hello

      — signet.example/log op4S1oL3LVihtloTBAguJo0tpwXhAo86oYa3y7p3R3XkNSmhJp+qi4I0m7IhemUcGBO++44k34xTV96B8tOLt8JcvQ0=
      "
    `);
  });

  test("the text ends at the last empty line; empty lines inside belong to it", () => {
    const body = "one\n\n\ntwo\n\n";
    const note = parseNote(signNote(body, logSigner));
    expect(note.body).toBe(body);
    expect(verifyNote(note, [logSigner.vkey]).verdict).toBe("verified");
  });

  test("any changed character of the text or signature is noticed", () => {
    const text = signNote("size 12\n", logSigner);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom("0", "A", "z", "\n", " "), (at, other) => {
        fc.pre(text[at] !== other);
        expect(judge(text.slice(0, at) + other + text.slice(at + 1))).not.toBe("verified");
      }),
    );
  });

  test("lines of unknown keys are ignored, also under a known name", () => {
    const impostor = ed25519Signer(logSigner.vkey.name, keyOfSeed(9));
    const stranger = ed25519Signer("stranger.example", keyOfSeed(8));
    const text = signNote("x\n", impostor, stranger, logSigner);
    expect(verifyNote(parseNote(text), [logSigner.vkey])).toMatchObject({
      verdict: "verified",
      signers: [{ vkey: logSigner.vkey }],
    });
    expect(verifyNote(parseNote(signNote("x\n", impostor)), [logSigner.vkey])).toMatchObject({ why: "no-known-key" });
  });

  test("one bad line of a known key rejects the note, even beside a good one", () => {
    const good = parseNote(signNote("x\n", logSigner));
    const other = parseNote(signNote("y\n", logSigner));
    const both = { body: good.body, signatures: [...good.signatures, ...other.signatures] };
    expect(verifyNote(both, [logSigner.vkey])).toMatchObject({ verdict: "rejected", why: "bad-signature" });
  });

  test("sixteen signatures are read, seventeen are not", () => {
    const line = specNote.slice(specNote.indexOf("—"));
    expect(parseNote(`x\n\n${line.repeat(16)}`).signatures).toHaveLength(16);
    expect(() => parseNote(`x\n\n${line.repeat(17)}`)).toThrow(/at most 16/);
  });

  test.each([
    ["no newline at the end", specNote.slice(0, -1)],
    ["no signature", "text\n\n"],
    ["no empty line", specNote.replace("\n\n", "\n")],
    ["a carriage return", specNote.replace("\n\n", "\r\n\n")],
    ["a tab in the text", specNote.replace("an example", "an\texample")],
    ["a hyphen for the dash", specNote.replace("—", "-")],
    ["two spaces", specNote.replace("foo ", "foo  ")],
    ["a name with a plus", specNote.replace("example.com/foo", "example.com/f+o")],
    ["a name with a Unicode space", specNote.replace("example.com/foo", "example.com/f\u2003o")],
    ["an empty signature", "x\n\n— a AAAAAA==\n"],
    ["lax base64", specNote.replace("aQM=", "aQN=")],
    ["half a character", specNote.replace("This", "\ud800")],
    ["too much text", `${"x".repeat(140_000)}\n\n— a AAAAAAA=\n`],
  ])("a note with %s is refused", (_, text) => {
    expect(() => parseNote(text)).toThrow(Malformed);
  });

  test("format, then parse, is the identity; and parse, then format", () => {
    const line = fc.record({
      name: fc.stringMatching(/^[a-z0-9./-]{1,20}$/),
      keyId: fc.uint8Array({ minLength: 4, maxLength: 4 }),
      signature: fc.uint8Array({ minLength: 1, maxLength: 80 }),
    });
    const body = fc
      .array(fc.stringMatching(/^[ -~é—]{0,20}$/), { maxLength: 5 })
      .map((lines) => `${lines.join("\n")}\n`);
    fc.assert(
      fc.property(body, fc.array(line, { minLength: 1, maxLength: 16 }), (body, signatures) => {
        const text = formatNote({ body, signatures });
        const note = parseNote(text);
        expect(note.body).toBe(body);
        expect(note.signatures.map((one) => one.name)).toEqual(signatures.map((one) => one.name));
        expect(formatNote(note)).toBe(text);
      }),
    );
  });

  test("foreign text is parsed or Malformed, nothing else", () => {
    const text = fc.oneof(
      wildText,
      fc.string().map((tail) => specNote + tail),
      mutated(specNote),
    );
    fc.assert(
      fc.property(text, (text) => {
        expect(["verified", "rejected", "malformed"]).toContain(judge(text));
      }),
      { numRuns: 500 },
    );
  });

  test("only Ed25519 keys sign notes", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(() => ed25519Signer("a", privateKey)).toThrow(/Ed25519/);
    expect(() => ed25519Signer("a b", keyOfSeed(1))).toThrow(Malformed);
  });

  test("a signer elsewhere is given exactly the bytes of the text", () => {
    const seen: Uint8Array[] = [];
    const remote = {
      vkey: logSigner.vkey,
      sign: (bytes: Uint8Array) => {
        seen.push(bytes);
        return logSigner.sign(bytes);
      },
    };
    signNote("é\n", remote);
    expect(seen).toEqual([utf8("é\n")]);
  });
});

function judge(text: string): string {
  try {
    return verifyNote(parseNote(text), [logSigner.vkey, parseVkey(specVkey)]).verdict;
  } catch (error) {
    if (error instanceof Malformed) return "malformed";
    throw error;
  }
}

function mutated(text: string): fc.Arbitrary<string> {
  return fc
    .tuple(fc.nat(text.length), fc.nat(3), fc.string())
    .map(([at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut));
}
