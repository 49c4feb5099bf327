import { describe, expect, test } from "vitest";
import type { GrantLimits } from "../../src/model/grant.ts";
import type { ItemRecord } from "../../src/model/item.ts";
import { decideItems } from "../../src/policy/index.ts";
import { blob, noon, statement } from "./world.ts";

const slsa = "https://slsa.dev/provenance/v1";
const limits: GrantLimits = {
  uses: 10,
  ttl: 60_000,
  windows: [],
  items: {
    statement: { predicateTypes: [slsa], subjects: ["app-*.tgz", "docs/**"] },
    image: { repositories: ["ghcr.io/acme/*"] },
    jws: { types: ["JWT"] },
    blob: { names: ["app-*.tgz"] },
  },
};
const other = (kind: "image" | "jws" | "digest", more: Partial<ItemRecord> = {}): ItemRecord => ({
  ...blob(),
  kind,
  ...more,
});

describe("items within the session's limits", () => {
  test.each([
    ["a statement", statement(slsa, "app-1.tgz", "docs/a/b.html")],
    ["an image", other("image", { repository: "ghcr.io/acme/app" })],
    ["a token", other("jws", { tokenType: "JWT" })],
    ["a file", blob("app-1.tgz")],
  ])("are signed: %s", (_, item) => {
    expect(decideItems(limits, [item], noon)).toBeUndefined();
  });
  test("a raw digest is signed only where it is granted", () => {
    expect(decideItems({ ...limits, items: { digest: {} } }, [other("digest")], noon)).toBeUndefined();
  });
});

describe("items outside are refused, with their number, what was found and what is allowed:", () => {
  test.each([
    [
      "a predicate type",
      statement("https://evil.example/v1", "app-1.tgz"),
      "found: predicate type https://evil.example/v1\nallowed: https://slsa.dev/provenance/v1",
    ],
    ["no predicate type", statement(undefined, "app-1.tgz"), "found: predicate type absent"],
    [
      "one subject of two",
      statement(slsa, "app-1.tgz", "evil.tgz"),
      "found: subject evil.tgz\nallowed: app-*.tgz or docs/**",
    ],
    ["no subject", statement(slsa), "found: no subject"],
    ["a way up", statement(slsa, "docs/../evil"), "found: subject docs/../evil"],
    ["a repository", other("image", { repository: "ghcr.io/acme/app/evil" }), "allowed: ghcr.io/acme/*"],
    ["no repository", other("image"), "found: repository absent"],
    ["a token type", other("jws", { tokenType: "jwt" }), "found: type jwt\nallowed: JWT"],
    ["a file", blob("dist/app-1.tgz"), "found: name dist/app-1.tgz\nallowed: app-*.tgz"],
    ["a file without a name", blob(), "found: name absent"],
    [
      "a kind that is not granted",
      other("digest"),
      "found: an item of kind digest\nallowed: only statement, image, jws or blob",
    ],
  ])("%s", (_, item, message) => {
    const refusal = decideItems(limits, [blob("app-1.tgz"), item], noon);
    expect(refusal).toMatchObject({ refusal: "ITEM_DENIED" });
    expect(refusal?.message).toContain(`item 1 (${item.kind}) is not covered`);
    expect(refusal?.message).toContain(message);
  });
});

test("outside its window an open session signs nothing, and is told when it opens", () => {
  const office = { ...limits, windows: [{ days: [4], from: 480, to: 1080 }] };
  const refusal = decideItems(office, [blob("app-1.tgz")], noon);
  expect(refusal).toMatchObject({ refusal: "OUTSIDE_WINDOW" });
  expect(refusal?.message).toContain("open thu 08:00-18:00 UTC, next Thu, 08 Jan 2026 08:00 UTC");
  expect(decideItems(office, [blob("app-1.tgz")], noon + 86_400_000)).toBeUndefined();
});

test("a hundred items take less than a millisecond of processor time", () => {
  const items = Array.from({ length: 100 }, (_, number) => statement(slsa, `app-${String(number)}.tgz`));
  const begun = process.cpuUsage();
  for (let round = 0; round < 200; round++) decideItems(limits, items, noon);
  const { user, system } = process.cpuUsage(begun);
  expect((user + system) / 200).toBeLessThan(1000);
});
