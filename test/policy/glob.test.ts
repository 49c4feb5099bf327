import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matcher, patternFlaw } from "../../src/policy/glob.ts";

/** The meaning, written for reading and not for speed: try every split. */
function slow(pattern: readonly string[], name: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return name.length === 0;
  if (first === "**") {
    const least = rest.length === 0 ? 1 : 0;
    return splits(name.length).some((taken) => taken >= least && slow(rest, name.slice(taken)));
  }
  const [segment, ...others] = name;
  return segment !== undefined && slowSegment(first, segment) && slow(rest, others);
}
function slowSegment(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  const rest = pattern.slice(1);
  if (pattern.startsWith("*")) return splits(text.length).some((taken) => slowSegment(rest, text.slice(taken)));
  return text !== "" && text.startsWith(pattern.charAt(0)) && slowSegment(rest, text.slice(1));
}
const splits = (length: number): readonly number[] => Array.from({ length: length + 1 }, (_, taken) => taken);

const text = (...alphabet: string[]) => fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: 6 });
const path = (segment: fc.Arbitrary<string>) => fc.array(segment, { minLength: 1, maxLength: 6 });

describe("patterns", () => {
  test("mean what the slow reference says", () => {
    const patternSegment = fc.oneof(
      fc.constant("**"),
      text("a", "b", "*").filter((segment) => !segment.includes("**")),
    );
    fc.assert(
      fc.property(path(patternSegment), path(text("a", "b")), (pattern, name) => {
        expect(matcher(pattern.join("/"))(name.join("/"))).toBe(slow(pattern, name));
      }),
      { numRuns: 5000 },
    );
  });

  test("without a star fit exactly their own text", () => {
    fc.assert(
      fc.property(
        fc.string().filter((one) => !one.includes("*")),
        fc.string(),
        (pattern, name) => {
          expect(matcher(pattern)(name)).toBe(pattern === name);
          expect(matcher(pattern)(pattern)).toBe(true);
        },
      ),
    );
  });

  test.each([
    ["refs/tags/v*", "refs/tags/v1.4.0", true],
    ["refs/tags/v*", "refs/tags/v1/x", false],
    ["refs/tags/v*", "refs/tags/v1\nrefs/heads/x", false],
    ["refs/tags/v*", "refs/tags/v1\u202e", false],
    ["refs/heads/release/**", "refs/heads/release/1/2", true],
    ["refs/heads/release/**", "refs/heads/release", false],
    ["ghcr.io/**/app", "ghcr.io/app", true],
    ["ghcr.io/**/app", "ghcr.io/acme/team/app", true],
    ["ghcr.io/**/app", "ghcr.io/acme/apps", false],
    ["ghcr.io/acme/**", "ghcr.io/acme/../evil/app", false],
    ["ghcr.io/acme/**", "ghcr.io/acme//app", false],
    ["ghcr.io/acme/*", "ghcr.io/acme/", false],
    ["dist/*", "dist/..", false],
    ["app-*.tgz", "app-1.tgz", true],
    ["app-*.tgz", "dist/app-1.tgz", false],
    ["a*b*a", "aba", true],
    ["a*a", "a", false],
    ["*", "", false],
    ["**", "/etc/passwd", false],
    ["https://example.com/acme/*", "https://example.com/acme/app", true],
    ["Org/*", "org/app", false],
  ])("%s on %j: %j", (pattern, name, fits) => {
    expect(matcher(pattern)(name)).toBe(fits);
  });

  test("take no time on a name made to hurt", () => {
    const begun = performance.now();
    expect(matcher(`${"*a".repeat(200)}b`)("a".repeat(20_000))).toBe(false);
    expect(matcher(`${"**/a/".repeat(200)}b`)(`${"a/".repeat(5_000)}a`)).toBe(false);
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  test.each(["a|b", "^refs/tags/v1", "refs/tags/v1$", "(a)", "v[0-9]", "v1?", "a\\b", "a{1}"])(
    "that look like regular expressions are refused: %s",
    (pattern) => {
      expect(patternFlaw(pattern)).toContain("not regular expressions");
    },
  );
  test.each(["", "refs/**x", "a***", "a//b", "a/../b", "./a", "/a", "a/", "a\u200bb", "\u212aelvin", "e\u0301", " a"])(
    "that no name should have are refused: %j",
    (pattern) => {
      expect(patternFlaw(pattern)).toBeDefined();
    },
  );
});
