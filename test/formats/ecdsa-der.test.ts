// One signature has one DER and one r‖s, and the two name each other.

import { generateKeyPairSync, sign } from "node:crypto";

import fc from "fast-check";
import { expect, test } from "vitest";

import { type EcdsaWidth, ecdsaDer, ecdsaRaw } from "../../src/std/ecdsa-der.ts";

const width = fc.constantFrom<EcdsaWidth>(32, 48);
const number = (length: number) =>
  fc.oneof(
    fc.uint8Array({ minLength: length, maxLength: length }),
    fc
      .uint8Array({ minLength: 1, maxLength: length })
      .map((low) => Uint8Array.from([...new Uint8Array(length - low.length), ...low])),
  );
const raws = width.chain((bytes) =>
  fc.tuple(number(bytes), number(bytes)).map(([r, s]) => ({ bytes, raw: Uint8Array.from([...r, ...s]) })),
);

test("r‖s comes back from its DER, whatever the numbers", () => {
  fc.assert(
    fc.property(raws, ({ bytes, raw }) => {
      expect(ecdsaRaw(ecdsaDer(raw), bytes)).toEqual(raw);
    }),
  );
});

test("no second DER is read as the same signature: what is accepted is exactly what would have been written", () => {
  const mutated = fc.tuple(raws, fc.nat(), fc.nat(255), fc.constantFrom("change", "insert", "remove"));
  fc.assert(
    fc.property(mutated, ([{ bytes, raw }, place, byte, how]) => {
      const der = [...ecdsaDer(raw)];
      der.splice(place % (der.length + 1), how === "insert" ? 0 : 1, ...(how === "remove" ? [] : [byte]));
      const changed = Uint8Array.from(der);
      const read = attempt(() => ecdsaRaw(changed, bytes));
      if (read !== undefined) expect(ecdsaDer(read)).toEqual(changed);
    }),
    { numRuns: 2000 },
  );
});

test("random bytes are refused with a SyntaxError or read exactly, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), width, (bytes, wide) => {
      const read = attempt(() => ecdsaRaw(bytes, wide));
      if (read !== undefined) expect(ecdsaDer(read)).toEqual(bytes);
    }),
  );
});

test.each([
  ["P-256", 32],
  ["P-384", 48],
] as const)("OpenSSL's %s signatures are read and written as OpenSSL does", (namedCurve, bytes) => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve });
  for (let round = 0; round < 200; round += 1) {
    const der = sign("sha256", Buffer.from([round]), privateKey);
    expect(Buffer.from(ecdsaDer(ecdsaRaw(der, bytes)))).toEqual(der);
  }
});

const one = Uint8Array.of(0x30, 6, 2, 1, 1, 2, 1, 1);
test.each([
  ["nothing", []],
  ["a negative number", [0x30, 6, 2, 1, 0x81, 2, 1, 1]],
  ["a leading zero", [0x30, 7, 2, 2, 0, 1, 2, 1, 1]],
  ["an empty number", [0x30, 5, 2, 0, 2, 1, 1]],
  ["a byte too many", [...one, 0]],
  ["a long form of the length", [0x30, 0x81, 6, ...one.subarray(2)]],
  ["a number that is too long", [0x30, 38, 2, 33, ...Array<number>(33).fill(1), 2, 1, 1]],
  ["only one number", [0x30, 3, 2, 1, 1]],
  ["another tag", [0x31, ...one.subarray(1)]],
])("%s is refused", (_what, bytes) => {
  expect(() => ecdsaRaw(Uint8Array.from(bytes), 32)).toThrow(SyntaxError);
});

test("r‖s of another length has no DER", () => {
  expect(() => ecdsaDer(new Uint8Array(63))).toThrow("64 or 96 bytes, not 63");
});

function attempt(read: () => Uint8Array): Uint8Array | undefined {
  try {
    return read();
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
    return undefined;
  }
}
