import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { schema } from "../../src/policy/cedar.ts";
import { decideOpen, loadPolicy } from "../../src/policy/index.ts";
import { asking, errorOf, github, grantText, load, policy, policyText } from "./world.ts";

const allow = `who: { issuer: "${github}", tenantId: "815", projectId: "4711", ref: refs/tags/v1 }, keys: [release]`;

describe("a policy file", () => {
  test("with an unknown field names it, its line and column, and what is expected", () => {
    const error = errorOf(`grants:\n  - name: release\n    whom: {}\n`);
    expect(error).toMatchObject({ file: "policy.yaml", line: 2, column: 5 });
    const unknown = error.problems.find(({ message }) => message.includes("whom"));
    expect(unknown).toMatchObject({ line: 3, column: 5 });
    expect(unknown?.message).toBe(
      'unknown field "whom" of grants[0]; expected name, who, keys, what, limits, when or needs',
    );
  });

  test("reports every problem at once, over all files", () => {
    const broken = (path: string) => ({ path, text: "grants: 7\ncolour: red\n" });
    expect(() => loadPolicy([broken("b.yaml"), broken("a.yaml")])).toThrow(
      'a.yaml:1:9: grants is the number 7; expected a list\na.yaml:2:1: unknown field "colour" of the file; expected grants, cedar, mustAllow or mustDeny\nb.yaml:1:9',
    );
  });

  test.each([
    ["no immutable id", policyText({ ids: "tenant: acme" }), "names no immutable id"],
    ["a glob in an id", policyText({ ids: 'projectId: "47*"' }), "compared exactly"],
    ["a number as id", policyText({ ids: "projectId: 4711" }), "is the number 4711; expected text (write it in quotes"],
    ["sub", policyText({ who: "sub: x" }), "never matched"],
    ["an issuer that is no URL", policyText({ who: "ref: a" }).replace(github, "github"), "is no issuer"],
    [
      "an issuer with user info",
      policyText().replace(github, "https://token.actions.githubusercontent.com@evil.example"),
      "is no issuer",
    ],
    ["an empty list of alternatives", policyText({ who: "ref: []" }), "at least 1"],
    ["a key that is no name", policyText({ keys: "[Release]" }), "is no name"],
    ["no kind of item", policyText({ what: "{}" }), "name at least one of"],
    ["a duration that is none", policyText({ limits: "{ uses: 1, ttl: 10m }" }), "not an ISO 8601 duration"],
    ["a ttl over a day", policyText({ limits: "{ uses: 1, ttl: P2D }" }), "out of range"],
    ["no uses", policyText({ limits: "{ uses: 0, ttl: PT1M }" }), "at least 1"],
    [
      "a window over midnight",
      policyText({ more: 'when: [{ days: [mon], from: "22:00", to: "02:00" }]' }),
      "two windows",
    ],
    ["needs that are false", policyText({ more: "needs: { protectedRef: false }" }), "expected true"],
    ["one name twice", policyText({}, {}), "already used at policy.yaml:2"],
    ["nothing", "# nothing\n", "the file is empty; expected a map"],
  ])("is refused for %s", (_, text, message) => {
    expect(errorOf(text).message).toContain(message);
  });

  test("attack 22: a half-anchored pattern is refused when it is loaded, with its line", () => {
    const error = errorOf(policyText({ who: 'ref: "refs/tags/v1|refs/heads/x"' }));
    expect(error).toMatchObject({ line: 2 });
    expect(error.message).toContain('has "|", but patterns are not regular expressions');
  });

  // attack 35
  test.each([
    ["an alias bomb", `a: &a [x, x]\nb: &b [*a, *a]\ngrants: [*b, *b]\n`, "anchor"],
    ["an alias", `grants:\n${grantText()}mustDeny: []\ncedar: *x\n`, "is an alias"],
    ["a field twice", "grants: []\ngrants: []\n", "unique"],
    ["a field twice within a grant", policyText({ who: "ref: a, ref: b" }), "unique"],
    ["__proto__", "__proto__: { grants: [] }\n", '"__proto__"'],
    ["__proto__ within a grant", policyText({ who: "__proto__: { ref: a }" }), '"__proto__"'],
    ["constructor", "constructor: { prototype: {} }\n", 'unknown field "constructor"'],
    ["1e3 as ref", policyText({ who: "ref: 1e3" }), "is the number 1000; expected text"],
    ["true as environment", policyText({ who: "environment: true" }), "is the boolean true; expected text"],
    ["null as ref", policyText({ who: "ref: ~" }), "expected text"],
    ["a huge scalar", policyText({ who: `ref: ${"x".repeat(5000)}` }), "1024 are allowed"],
    ["a huge file", `# ${"x".repeat(300_000)}\n`, "262144 are allowed"],
    ["absurd nesting", `grants: ${"[".repeat(100_000)}`, "nested too deeply"],
    ["absurd lists of lists", `grants:\n${"- ".repeat(100_000)}`, "nested too deeply"],
    [
      "deep indentation",
      Array.from({ length: 400 }, (_, depth) => `${" ".repeat(depth)}a:\n`).join(""),
      "nested too deeply",
    ],
    ["a tag", "grants: !!set { a }\n", "tag"],
    ["a binary", "cedar: !!binary aGVsbG8=\n", "tag"],
    ["a merge key", "x: {}\n<<: { grants: [] }\n", "unknown field"],
    ["two documents", "grants: []\n---\ngrants: []\n", "multiple documents"],
    ["a number as field name", "1: x\n", "not plain text"],
  ])("attack 35: %s is refused with its line", (_, text, message) => {
    const error = errorOf(text);
    expect(error.message).toContain(message);
    expect(error.line).toBeGreaterThan(0);
    expect(Object.prototype).not.toHaveProperty("ref");
  });

  test("attack 20: text that looks like other text is refused at write", () => {
    for (const odd of ["\u212aelvin", "cafe\u0301", "a\u200bb", "\u202eabc", "\uff41bc"]) {
      expect(errorOf(policyText({ who: `environment: "${odd}"` })).line).toBe(2);
    }
  });
});

describe("the hash of a policy set", () => {
  const text = policyText();
  test("changes with any byte of any file, and with its path", () => {
    const known = load(text).hash;
    expect(known).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(loadPolicy([{ path: "other.yaml", text }]).hash).not.toBe(known);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: text.length }), fc.constantFrom("#", " ", "x"), (at, byte) => {
        const changed = hashOrNone(`${text.slice(0, at)}${byte}${text.slice(at)}`);
        expect(changed).not.toBe(known);
      }),
      { numRuns: 40 },
    );
  });
  test("does not depend on the order in which files are listed, nor confuses their borders", () => {
    const [a, b] = [
      { path: "a.yaml", text },
      { path: "b.yaml", text: "grants: []\n" },
    ];
    expect(loadPolicy([a, b]).hash).toBe(loadPolicy([b, a]).hash);
    expect(loadPolicy([a, { ...b, text: "grants: []" }]).hash).not.toBe(loadPolicy([a, b]).hash);
    expect(() => loadPolicy([a, a])).toThrow("given twice");
  });
  const hashOrNone = (changed: string): string | undefined => {
    try {
      return load(changed).hash;
    } catch {
      return undefined;
    }
  };
});

describe("cases run before a set takes effect", () => {
  test("and are counted when they pass", () => {
    expect(load(`${policyText()}mustAllow:\n  - { name: a tag, ${allow} }\n`).cases).toBe(1);
  });
  test.each([
    [
      "mustAllow that is refused",
      `mustAllow:\n  - { name: a branch, ${allow.replace("refs/tags/v1", "refs/heads/x")} }\n`,
      'mustAllow case "a branch" is refused: POLICY_DENIED',
    ],
    [
      "mustDeny that is allowed",
      `mustDeny:\n  - { name: a tag, ${allow} }\n`,
      'mustDeny case "a tag" is allowed by grant "release-tags"',
    ],
    [
      "mustDeny for another reason",
      `mustDeny:\n  - { name: a tag, ${allow.replace("refs/tags/v1", "refs/heads/x")}, reason: needs event }\n`,
      'is refused, but not for "needs event"',
    ],
    [
      "mustDeny with another code",
      `mustDeny:\n  - { name: a tag, ${allow.replace("refs/tags/v1", "refs/heads/x")}, reason: ITEM_DENIED }\n`,
      'is refused, but not for "ITEM_DENIED"',
    ],
    [
      "mustAllow by another grant",
      `mustAllow:\n  - { name: a tag, ${allow}, grant: other }\n`,
      'is allowed by grant "release-tags"; expected "other"',
    ],
    [
      "mustAllow of an item that is not covered",
      `mustAllow:\n  - { name: a tag, ${allow}, items: [{ blob: { name: evil.exe } }] }\n`,
      "ITEM_DENIED",
    ],
  ])("%s refuses the set, with its line", (_, cases, message) => {
    const error = errorOf(`${policyText()}${cases}`);
    expect(error).toMatchObject({ line: 4 });
    expect(error.message).toContain(message);
  });
  test("on the whole set: a ceiling in one file fails a case in another", () => {
    const files = [
      { path: "a.yaml", text: `${policyText()}mustAllow:\n  - { name: a tag, ${allow} }\n` },
      { path: "b.yaml", text: "cedar: |\n  forbid (principal, action, resource);\n" },
    ];
    expect(() => loadPolicy(files)).toThrow('a.yaml:4:5: mustAllow case "a tag" is refused');
  });
});

describe("a ceiling", () => {
  const withCeiling = (cedar: string) => `${policyText()}cedar: |\n${cedar.replace(/^/gm, "  ")}\n`;
  test.each([
    [
      "a permit",
      "forbid (principal, action, resource);\npermit (principal, action, resource);",
      5,
      "a ceiling only forbids",
    ],
    ["a template", "forbid (principal == ?principal, action, resource);", 4, "is a template"],
    ["a mistake in Cedar", "forbid (principal, action, resource)\nwhen { context.uses > }", 5, "unexpected"],
    [
      "a misspelt attribute",
      "forbid (principal, action, resource)\nwhen { principal.enviroment == 1 };",
      4,
      "did you mean",
    ],
    ["an unguarded optional", 'forbid (principal, action, resource) when { principal.ref == "x" };', 4, "has ref"],
    [
      "a forbid that can never apply",
      'forbid (principal, action, resource) when { resource.purpose == "X" && false };',
      4,
      "impossible",
    ],
    ["a type confusion", 'forbid (principal, action, resource) when { context.uses == "20" };', 4, "cedar:"],
    ["sub", 'forbid (principal, action, resource) when { principal.sub == "x" };', 4, "not found"],
  ])("with %s is refused with its line", (_, cedar, line, message) => {
    const error = errorOf(withCeiling(cedar));
    expect(error.message).toContain(message);
    expect(error.line).toBe(line);
  });
});

describe("what operators copy", () => {
  const guide = readFileSync(new URL("../../docs/guide/policy.md", import.meta.url), "utf8");
  const blocks = [...guide.matchAll(/^```(\w+)[^\n]*\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({
    language,
    text: text ?? "",
  }));
  const examples = blocks.filter(({ language }) => language === "yaml");

  test("is in the guide", () => {
    expect(examples.length).toBeGreaterThan(2);
  });
  test.each(examples.map(({ text }) => [text.slice(0, 40), text]))("loads: %j", (_, text) => {
    expect(() => load(text)).not.toThrow();
  });
  test("sees the schema that is in force", () => {
    expect(blocks.find(({ language }) => language === "cedar")?.text).toBe(schema);
  });
  test("loads from deploy/policy, with its cases", () => {
    const text = readFileSync(new URL("../../deploy/policy/release.yaml", import.meta.url), "utf8");
    const set = loadPolicy([{ path: "release.yaml", text }]);
    expect(set).toMatchObject({ cases: 5, grants: [{ name: "release-tags" }] });
  });
});

test("a set without grants permits nothing", () => {
  expect(decideOpen(loadPolicy([]), asking())).toMatchObject({ effect: "deny", refusal: { refusal: "POLICY_DENIED" } });
  expect(policy({}).grants).toHaveLength(1);
});
