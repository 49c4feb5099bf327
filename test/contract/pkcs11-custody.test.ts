// What custody pkcs11 rests on, without a token: names (RFC 7512), what attributes say of a key, turns in the queue, the
// wire to the token's process, and the words of its configuration.

import { type createPublicKey, generateKeyPairSync } from "node:crypto";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { pkcs11Kind } from "../../src/custody/pkcs11.ts";
import { ailmentOf, codeName } from "../../src/custody/pkcs11-codes.ts";
import { algorithmOf, algorithmsOf, protectionOf, publicKeyOf, usesOf } from "../../src/custody/pkcs11-key.ts";
import { fairQueue, type Slice } from "../../src/custody/pkcs11-queue.ts";
import { formatPkcs11Uri, namesToken, type Pkcs11Uri, parsePkcs11Uri } from "../../src/custody/pkcs11-uri.ts";
import {
  answers,
  type Claims,
  frame,
  frameReader,
  parseSignBody,
  parseSignedBody,
  signBody,
  signedBody,
  type TokenInfo,
} from "../../src/custody/pkcs11-wire.ts";
import { keyAlgorithms } from "../../src/model/key.ts";
import { fromHex, hex } from "../../src/std/bytes.ts";

describe("a PKCS#11 URI", () => {
  test("is read as p11tool prints it", () => {
    const text =
      "pkcs11:model=YubiKey%20YK5;manufacturer=Yubico%20%28www.yubico.com%29;serial=12345678;token=YubiKey%20PIV%20%2312345678";
    expect(parsePkcs11Uri(text)).toEqual({
      model: "YubiKey YK5",
      manufacturer: "Yubico (www.yubico.com)",
      serial: "12345678",
      token: "YubiKey PIV #12345678",
    });
  });

  // RFC 7512, section 3, as far as such URIs are taken here.
  test.each([
    ["pkcs11:", {}],
    ["pkcs11:object=my-pubkey;type=public", { object: "my-pubkey", type: "public" }],
    ["pkcs11:object=my-key;type=private", { object: "my-key", type: "private" }],
    [
      "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=public;id=%69%95%3E%5C%F4%BD%EC%91;serial=",
      {
        token: "The Software PKCS#11 Softtoken",
        manufacturer: "Snake Oil, Inc.",
        model: "1.0",
        object: "my-certificate",
        type: "public",
        id: fromHex("69953e5cf4bdec91"),
        serial: "",
      },
    ],
    ["pkcs11:token=My%20token%25%20created%20by%20Joe", { token: "My token% created by Joe" }],
    ["pkcs11:token=A%20name%20with%20a%20substring%20%25%3B", { token: "A name with a substring %;" }],
    [
      "pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1",
      { token: "Name with a small A with acute: á" },
    ],
  ])("%s", (text, meaning) => {
    const parsed = parsePkcs11Uri(text);
    expect({ ...parsed, ...(parsed.id && { id: hex(parsed.id) }) }).toEqual({
      ...meaning,
      ...("id" in meaning && { id: hex(meaning.id) }),
    });
  });

  test.each([
    ["pkcs11:object=x?pin-value=123456", "PIN"],
    ["pkcs11:object=x?pin-source=file:/etc/token_pin", "PIN"],
    ["pkcs11:object=x?module-path=/tmp/evil.so", "configuration names the module"],
    ["pkcs11:slot-id=327", "token and serial"],
    ["pkcs11:library-manufacturer=Snake", "module"],
    ["pkcs11:type=cert", "private or public"],
    ["pkcs11:x-unknown=1", "none of"],
    ["pkcs11:token=a;token=b", "twice"],
    ["pkcs11:token", "no value"],
    ["pkcs11:token=a b", "percent"],
    ["pkcs11:token=%C3", "UTF-8"],
    ["pkcs11:token=%4", "percent"],
    ["software:release/1", "begins with"],
  ])("%s is refused, without repeating what may be secret", (text, words) => {
    expect(() => parsePkcs11Uri(text)).toThrow(words);
    expect(() => parsePkcs11Uri(text)).not.toThrow(/123456|token_pin|evil/);
  });

  test("has one way to be written, which is read as the same", () => {
    const word = fc.string({ unit: "binary" });
    const uris = fc.record(
      {
        token: word,
        serial: word,
        manufacturer: word,
        model: word,
        object: word,
        type: fc.constantFrom("private", "public"),
        id: fc.uint8Array({ maxLength: 40 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(uris, (given) => {
        const uri = Object.fromEntries(Object.entries(given)) as Pkcs11Uri; // of the record above
        const text = formatPkcs11Uri(uri);
        expect(text).toMatch(/^pkcs11:[A-Za-z0-9._~%=;-]*$/);
        expect(formatPkcs11Uri(parsePkcs11Uri(text))).toBe(text);
        expect(parsePkcs11Uri(text).token).toBe(uri.token);
      }),
    );
  });

  test("names a token by every attribute that it gives", () => {
    const token = { token: "release", serial: "77", manufacturer: "m", model: "x" };
    expect(namesToken({}, token)).toBe(true);
    expect(namesToken({ serial: "77", token: "release" }, token)).toBe(true);
    expect(namesToken({ serial: "78", token: "release" }, token)).toBe(false);
  });
});

describe("what attributes say", () => {
  const curve = { "P-256": "06082a8648ce3d030107", "P-384": "06052b81040022" };
  const ec = (namedCurve: "P-256" | "P-384") => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve });
    const { x = "", y = "" } = publicKey.export({ format: "jwk" });
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
    return { publicKey, point, ecParams: curve[namedCurve] };
  };
  const wrapped = (point: Buffer): Buffer => Buffer.concat([Buffer.of(4, point.length), point]);
  const pem = (key: ReturnType<typeof createPublicKey>): string =>
    key.export({ format: "pem", type: "spki" }).toString();

  test.each(["P-256", "P-384"] as const)("a %s point is read in its OCTET STRING and without", (name) => {
    const { publicKey, point, ecParams } = ec(name);
    for (const ecPoint of [hex(point), hex(wrapped(point))]) {
      const key = publicKeyOf({ ecParams, ecPoint });
      expect(key && pem(key)).toBe(pem(publicKey));
      expect(key && algorithmOf(key, undefined)).toBe(name === "P-256" ? "EC_P256" : "EC_P384");
    }
  });

  test.each(["06032b6570", "130c656477617264733235353139"])("an Ed25519 point with parameters %s", (ecParams) => {
    const { publicKey } = generateKeyPairSync("ed25519");
    const point = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
    for (const ecPoint of [hex(point), hex(wrapped(point))]) {
      const key = publicKeyOf({ ecParams, ecPoint });
      expect(key && pem(key)).toBe(pem(publicKey));
      expect(key && algorithmOf(key, undefined)).toBe("ED25519");
    }
  });

  test("an RSA modulus is read with a leading zero and without; its padding is as recorded", () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 3072 });
    const modulus = Buffer.from(publicKey.export({ format: "jwk" }).n ?? "", "base64url");
    for (const bytes of [modulus, Buffer.concat([Buffer.of(0), modulus])]) {
      const key = publicKeyOf({ modulus: hex(bytes), exponent: "010001" });
      if (key === undefined) throw new Error("no key");
      expect(pem(key)).toBe(pem(publicKey));
      expect(algorithmOf(key, undefined)).toBe("RSA_3072");
      expect(algorithmOf(key, "RSA_3072_PSS")).toBe("RSA_3072_PSS");
      expect(algorithmOf(key, "RSA_4096_PSS")).toBe("RSA_3072");
    }
  });

  test("what is no point of the curve, or of no curve of ours, is no key", () => {
    const { point, ecParams } = ec("P-256");
    point.writeUInt8(point.readUInt8(64) ^ 1, 64);
    expect(publicKeyOf({ ecParams, ecPoint: hex(point) })).toBeUndefined();
    expect(publicKeyOf({ ecParams: "06052b8104000a", ecPoint: hex(point) })).toBeUndefined();
    expect(publicKeyOf({ ecParams, ecPoint: hex(point.subarray(1)) })).toBeUndefined();
  });

  const said: Claims = {
    sensitive: true,
    extractable: false,
    alwaysSensitive: true,
    neverExtractable: true,
    local: true,
    sign: true,
    alwaysAuthenticate: false,
    wrapWithTrusted: null,
    modifiable: null,
  };
  const token: TokenInfo = {
    model: "x",
    manufacturer: "m",
    serial: "77",
    token: "release",
    flags: 0,
    hardware: true,
    mechanisms: [0, 1, 0xd, 0x1040, 0x1041, 0x1044],
    rsaBits: 3072,
  };

  test("speaks for a key only as a claim, and against it with effect", () => {
    expect(protectionOf(said, token)).toMatchObject({ level: "PROCESS", exportable: "UNKNOWN", proved: [] });
    expect(protectionOf(said, token).claimed).toContain("in hardware (CKF_HW_SLOT)");
    expect(protectionOf({ ...said, extractable: true }, token)).toMatchObject({ exportable: "YES" });
    expect(protectionOf({ ...said, sensitive: false }, token)).toMatchObject({ exportable: "YES" });
  });

  test("names the algorithms that the token can make, and prefers mechanisms that take a digest", () => {
    expect(algorithmsOf(token, keyAlgorithms)).toEqual(["EC_P256", "EC_P384", "RSA_3072", "RSA_3072_PSS"]);
    expect(usesOf("EC_P256", token.mechanisms).map(({ mechanism }) => mechanism)).toEqual(["ECDSA", "ECDSA_SHA256"]);
    expect(usesOf("RSA_3072", [0x40])).toEqual([{ mechanism: "SHA256_RSA_PKCS", over: "message" }]);
    expect(usesOf("RSA_3072_PSS", [])[0]).toEqual({ mechanism: "RSA_PSS_SHA256", over: "digest" });
  });

  test("a code that nobody knows is the device's trouble", () => {
    expect([ailmentOf(0xa0), ailmentOf(0xa4), ailmentOf(0x82), ailmentOf(0x32), ailmentOf(0x70)]).toEqual([
      "pin",
      "pin",
      "session",
      "device",
      "request",
    ]);
    expect(ailmentOf(0x80000001)).toBe("device");
    expect(codeName(0xa4)).toBe("CKR_PIN_LOCKED");
    expect(codeName(0x80000001)).toBe("CKR 0x80000001");
  });
});

describe("the queue", () => {
  const drained = (queue: ReturnType<typeof fairQueue<string>>, most: number): readonly Slice<string>[] => {
    const out: Slice<string>[] = [];
    for (let slice = queue.take(() => most); slice; slice = queue.take(() => most)) out.push(slice);
    return out;
  };

  test("gives keys turns, and the calls of a key too", () => {
    const queue = fairQueue<string>();
    queue.push("a", { call: "batch", from: 0, until: 6 });
    queue.push("a", { call: "single", from: 0, until: 1 });
    queue.push("b", { call: "other", from: 0, until: 2 });
    expect(drained(queue, 2).map(({ call, from, until }) => `${call} ${String(from)}-${String(until)}`)).toEqual([
      "batch 0-2",
      "other 0-2",
      "single 0-1",
      "batch 2-4",
      "batch 4-6",
    ]);
    expect(queue.size).toBe(0);
  });

  test("knows what has its turn before a call, and before one that would come now", () => {
    const queue = fairQueue<string>();
    queue.push("a", { call: "batch", from: 0, until: 6 });
    queue.push("a", { call: "single", from: 0, until: 1 });
    queue.push("b", { call: "other", from: 0, until: 2 });
    const most = (): number => 2;
    expect(["batch", "single"].map((call) => queue.before("a", most, call))).toEqual([0, 4]);
    expect(queue.before("b", most, "other")).toBe(2);
    expect(queue.before("c", most)).toBe(4); // two of the batch, and the other's two
    expect(queue.before("a", most, "nobody")).toBe(0);
  });

  test("what it says stands before a call is what comes out before it", () => {
    const call = fc.record({ lane: fc.constantFrom("a", "b", "c"), items: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 12 }), fc.integer({ min: 1, max: 7 }), call, (calls, most, last) => {
        const queue = fairQueue<string>();
        for (const [at, { lane, items }] of calls.entries())
          queue.push(lane, { call: String(at), from: 0, until: items });
        const foretold = queue.before(last.lane, () => most);
        queue.push(last.lane, { call: "last", from: 0, until: last.items });
        expect(queue.before(last.lane, () => most, "last")).toBe(foretold);
        let before = 0;
        for (const slice of drained(queue, most)) {
          if (slice.call === "last") break;
          before += slice.until - slice.from;
        }
        expect(foretold).toBe(before);
      }),
    );
  });

  test("gives every item of every call once, whatever is dropped of others", () => {
    const call = fc.record({ lane: fc.constantFrom("a", "b", "c"), items: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(
        fc.array(call, { maxLength: 20 }),
        fc.integer({ min: 0, max: 7 }),
        fc.nat(),
        (calls, most, dropped) => {
          const queue = fairQueue<string>();
          for (const [at, { lane, items }] of calls.entries())
            queue.push(lane, { call: String(at), from: 0, until: items });
          queue.drop(String(dropped));
          const rest = calls.map((one, at) => ({ ...one, at })).filter(({ at }) => at !== dropped);
          expect(queue.size).toBe(rest.reduce((sum, { items }) => sum + items, 0));
          const taken = new Map<string, number>();
          for (const { call: name, from, until } of drained(queue, most)) {
            expect(from).toBe(taken.get(name) ?? 0);
            taken.set(name, until);
          }
          expect(taken).toEqual(new Map(rest.map(({ at, items }) => [String(at), items])));
        },
      ),
    );
  });
});

describe("the wire", () => {
  test("frames come whole, however they are cut", () => {
    const frames = fc.array(fc.tuple(fc.nat(0xffffffff), fc.nat(1), fc.uint8Array({ maxLength: 300 })), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(frames, fc.integer({ min: 1, max: 50 }), (given, cut) => {
        const bytes = Buffer.concat(given.map(([number, kind, body]) => frame(number, kind, body)));
        const read = frameReader(answers);
        const out = [];
        for (let at = 0; at < bytes.length; at += cut) out.push(...read(bytes.subarray(at, at + cut)));
        expect(out.map(({ number, kind, body }) => [number, kind, hex(body)])).toEqual(
          given.map(([number, kind, body]) => [number, answers[kind], hex(body)]),
        );
      }),
    );
  });

  test("what is no frame is refused", () => {
    expect(() => frameReader(answers)(Buffer.from("ffffffff0000000000", "hex"))).toThrow("not a frame");
    expect(() => frameReader(answers)(Buffer.from("000000050000000107", "hex"))).toThrow("no known kind");
  });

  test("items and signatures come out as they went in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 100 }),
        fc.nat(1_000_000),
        (items, number) => {
          const asked = parseSignBody(signBody({ key: number, mechanism: "EDDSA", items }));
          expect({ ...asked, items: asked.items.map(hex) }).toEqual({
            key: number,
            mechanism: "EDDSA",
            items: items.map(hex),
          });
          const told = parseSignedBody(signedBody(number, items));
          expect(told.microseconds).toBe(number);
          expect(told.signatures.map(hex)).toEqual(items.map(hex));
        },
      ),
    );
    expect(() => parseSignedBody(Buffer.from("00000000000000ff00", "hex"))).toThrow("longer than its frame");
  });
});

describe("the configuration", () => {
  const usual = { kind: "pkcs11", module: "/usr/lib/module.so", token: "pkcs11:token=a;serial=77", pin: "operator" };
  const problem = (over: object): string | undefined => {
    const parsed = pkcs11Kind.config.safeParse({ ...usual, ...over });
    return parsed.success ? undefined : JSON.stringify(parsed.error.issues);
  };

  test.each([
    [{}],
    [{ token: { serial: "77" } }],
    [{ token: { label: "a", serial: "77" }, pin: { credential: "pin" }, deadline: "PT20S", queue: 10 }],
    [{ initialize: "configdir='sql:/x'", environment: { SOFTHSM2_CONF: "/x" } }],
  ])("%j is taken", (over) => {
    expect(problem(over)).toBeUndefined();
  });

  test.each([
    [{ token: "pkcs11:token=a" }, "serial"],
    [{ token: "pkcs11:token=a;serial=1;object=x" }, "names an object"],
    [{ token: "pkcs11:token=a;serial=1?pin-value=1234" }, "PIN"],
    [{ token: { label: "a" } }, "serial"],
    [{ pin: "1234" }, "pin"],
    [{ module: "module.so" }, "absolute"],
    [{ deadline: "PT0.1S" }, "ISO 8601"],
    [{ slot: 3 }, "slot"],
  ])("%j is refused", (over, words) => {
    expect(problem(over)).toContain(words);
    expect(problem(over)).not.toContain("1234");
  });
});
