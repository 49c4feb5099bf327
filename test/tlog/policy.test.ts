import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { cosigner } from "../../src/tlog/cosignature.ts";
import { type Policy, parsePolicy, satisfied } from "../../src/tlog/policy.ts";
import { Malformed } from "../../src/tlog/text.ts";
import { formatVkey, vkeyOf } from "../../src/tlog/vkey.ts";
import { keyOfSeed, logSigner } from "./log.ts";

const log = formatVkey(logSigner.vkey);
const [x1, x2, x3, y1, y2, y3] = [31, 32, 33, 34, 35, 36].map(
  (seed) => cosigner(`w${String(seed)}.example`, keyOfSeed(seed)).vkey,
);
const vkeys = [x1, x2, x3, y1, y2, y3].filter((vkey) => vkey !== undefined);
const [kx1, kx2, kx3, ky1, ky2, ky3] = vkeys.map(formatVkey);

// The example of C2SP tlog-policy, with keys, comments, URLs and odd white space.
const example = `# who watches our log
log ${log} https://signet.example/log

witness X1 ${String(kx1)} https://x1.example/
  witness\tX2 ${String(kx2)}
witness X3 ${String(kx3)}
group X-witnesses 2 X1 X2 X3

witness Y1 ${String(ky1)}
witness Y2 ${String(ky2)}
witness Y3 ${String(ky3)}
\t# one of these is enough
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

const pick = (...at: number[]) => vkeys.filter((_, i) => at.includes(i));

describe("trust policy", () => {
  test("the example of the specification is read", () => {
    const policy = parsePolicy(example);
    expect(policy.logs).toMatchObject([{ vkey: { name: logSigner.vkey.name }, url: "https://signet.example/log" }]);
    expect(policy.witnesses.map((one) => one.name)).toEqual(["X1", "X2", "X3", "Y1", "Y2", "Y3"]);
    expect(policy.groups).toEqual([
      { name: "X-witnesses", threshold: 2, members: ["X1", "X2", "X3"] },
      { name: "Y-witnesses", threshold: 1, members: ["Y1", "Y2", "Y3"] },
      { name: "X-and-Y", threshold: 2, members: ["X-witnesses", "Y-witnesses"] },
    ]);
    expect(policy.quorum).toBe("X-and-Y");
  });

  test.each([
    ["two of X and one of Y", pick(0, 2, 4), true],
    ["all", vkeys, true],
    ["all of X, none of Y", pick(0, 1, 2), false],
    ["one of X, all of Y", pick(0, 3, 4, 5), false],
    ["one of X twice and one of Y", [...pick(0), ...pick(0), ...pick(3)], false],
    ["nobody", [], false],
  ])("%s: %s", (_, cosigners, enough) => {
    expect(satisfied(parsePolicy(example), cosigners)).toBe(enough);
  });

  test("a cosigner under a witness's key, but of another name or type, does not count", () => {
    const policy = parsePolicy(`witness W ${String(kx1)}\nquorum W\n`);
    const key = keyOfSeed(31);
    expect(satisfied(policy, [cosigner("w31.example", key).vkey])).toBe(true);
    expect(satisfied(policy, [cosigner("other.example", key).vkey])).toBe(false);
    const { publicKey } = cosigner("w31.example", key).vkey;
    expect(satisfied(policy, [vkeyOf("w31.example", "ed25519", publicKey)])).toBe(false);
  });

  test("quorum none asks for nobody", () => {
    expect(satisfied(parsePolicy("quorum none"), [])).toBe(true);
  });

  test.each<[string, string, number | undefined]>([
    ["no quorum", `log ${log}\n`, undefined],
    ["two quorums", "quorum none\nquorum none\n", 2],
    ["a quorum of somebody undefined", "quorum X\n", 1],
    ["a quorum defined later", `quorum X\nwitness X ${String(kx1)}\n`, 1],
    ["an unknown keyword", "quorum none\nqourum none\n", 2],
    ["a witness called none", `witness none ${String(kx1)}\n`, 1],
    ["a name used twice", `witness X ${String(kx1)}\ngroup X any X\n`, 2],
    ["a witness key used twice", `witness X ${String(kx1)}\nwitness Y ${String(kx1)}\n`, 2],
    ["a log key used twice", `log ${log}\nlog ${log}\n`, 2],
    ["a log's key for a witness", `witness X ${log}\n`, 1],
    ["a witness's key for a log", `log ${String(kx1)}\n`, 1],
    ["a broken vkey", "\nlog rubbish\n", 2],
    ["a member of two groups", `witness X ${String(kx1)}\ngroup A any X\ngroup B any X\n`, 3],
    ["a member twice in one group", `witness X ${String(kx1)}\ngroup A 2 X X\n`, 2],
    ["a group of itself", "group A any A\n", 1],
    ["a group of none", "group A any none\n", 1],
    ["an empty group", "group A any\n", 1],
    ["a threshold of zero", `witness X ${String(kx1)}\ngroup A 0 X\n`, 2],
    ["a threshold above the members", `witness X ${String(kx1)}\ngroup A 2 X\n`, 2],
    ["a threshold that is no number", `witness X ${String(kx1)}\ngroup A most X\n`, 2],
    ["too many items", `log ${log} https://a b\n`, 1],
    ["a carriage return", "quorum none\r\n", 1],
    ["a no-break space for a space", "quorum\u00a0none\n", 1],
  ])("%s is refused with its line", (_, text, line) => {
    const error = errorOf(() => parsePolicy(text));
    expect(error).toBeInstanceOf(Malformed);
    expect(error).toMatchObject({ format: "policy" });
    expect(error instanceof Malformed ? error.line : "none").toBe(line);
  });

  test("names are compared byte for byte: K and the Kelvin sign are two witnesses", () => {
    const policy: Policy = parsePolicy(`witness K ${String(kx1)}\nwitness \u212a ${String(kx2)}\nquorum \u212a\n`);
    expect(satisfied(policy, pick(0))).toBe(false);
    expect(satisfied(policy, pick(1))).toBe(true);
  });

  test("foreign text is a policy or Malformed", () => {
    const word = fc.constantFrom(
      "log",
      "witness",
      "group",
      "quorum",
      "none",
      "all",
      "any",
      "1",
      "X",
      "\n",
      log,
      String(kx1),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word, { maxLength: 20 }).map((words) => words.join(" ")),
        ),
        (text) => {
          const error = errorOf(() => parsePolicy(text));
          if (error !== undefined) expect(error).toBeInstanceOf(Malformed);
        },
      ),
      { numRuns: 500 },
    );
  });
});

function errorOf(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}
