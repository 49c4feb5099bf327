import { expect, test } from "vitest";
import { isRefName } from "../../src/model/ref.ts";

test.each(["refs/heads/main", "refs/tags/v1.2.3", "refs/heads/feature/x-1", "refs/heads/größe", "refs/pull/1/merge"])(
  "%s is a ref",
  (ref) => {
    expect(isRefName(ref)).toBe(true);
  },
);

// The rules of git-check-ref-format(1), one by one, and what hides in text.
test.each([
  "main",
  "refs/heads/.x",
  "refs/heads/x.lock",
  "refs/heads/x.lock/y",
  "refs/heads/a..b",
  "refs/heads/a\nb",
  "refs/heads/a\x7f",
  "refs/heads/a b",
  "refs/heads/a~1",
  "refs/heads/a^",
  "refs/heads/a:b",
  "refs/heads/a?",
  "refs/heads/*",
  "refs/heads/[",
  "refs/heads/",
  "refs//heads",
  "/refs/heads/a",
  "refs/heads/a.",
  "refs/heads/a@{1}",
  "@",
  "refs/heads/a\\b",
  "refs/heads/a\u200b",
  "refs/heads/\u202ea",
  "refs/heads/\ud800",
  "",
])("%j is none", (ref) => {
  expect(isRefName(ref)).toBe(false);
});
