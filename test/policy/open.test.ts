import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Workload } from "../../src/model/principal.ts";
import { fitOf } from "../../src/policy/fit.ts";
import type { PolicySet } from "../../src/policy/index.ts";
import { decideOpen, explain, namesTenant } from "../../src/policy/index.ts";
import { askForAllKeys } from "../../src/policy/open.ts";
import { asking, blob, job, load, noon, policy, policyText } from "./world.ts";

const tags = policy({});
const messageOf = (set: PolicySet, ...asked: Parameters<typeof asking>): string => {
  const decision = decideOpen(set, asking(...asked));
  return decision.effect === "deny" ? decision.refusal.message : "permitted";
};
/** What a hostile token might hold in spite of its type. */
const untyped = (claims: Record<string, unknown>): Partial<Workload> => claims;

describe("a job that fits a grant", () => {
  test("gets the grant and its limits, the stricter of what was granted and asked", () => {
    expect(decideOpen(tags, asking())).toMatchObject({
      effect: "permit",
      grant: "release-tags",
      decision: { effect: "permit", grant: "release-tags", policy: tags.hash },
      limits: { uses: 20, ttl: 600_000 },
    });
    expect(decideOpen(tags, asking({}, { uses: 3, ttl: 60_000 }))).toMatchObject({ limits: { uses: 3, ttl: 60_000 } });
    expect(decideOpen(tags, asking({}, { uses: 300, ttl: 6_000_000 }))).toMatchObject({
      limits: { uses: 20, ttl: 600_000 },
    });
  });

  test("is told which grant came closest and the first thing in it that did not fit", () => {
    const decision = decideOpen(
      policy({}, { name: "other-key", keys: "[other]" }),
      asking({ ref: "refs/heads/feature-x" }),
    );
    expect(decision).toMatchObject({ effect: "deny", refusal: { refusal: "POLICY_DENIED" } });
    if (decision.effect === "permit") return;
    expect(decision.refusal.message.split("\n")).toEqual([
      'no grant lets this job use key "release"',
      "asked: acme/app, refs/heads/feature-x, workflow acme/app/.github/workflows/release.yml@refs/tags/v1.4.0, environment release",
      'found: grant "release-tags" needs ref refs/tags/v* (yours is refs/heads/feature-x)',
    ]);
    expect(decision.refusal.hint).toBe(
      'run the job on a ref that fits, or ask an operator to change grant "release-tags" (policy.yaml:2) or to add one',
    );
    expect(decision.decision.reasons).toEqual(decision.refusal.message.split("\n"));
  });
});

describe("several keys", () => {
  const split = policy({ name: "one", keys: "[release]" }, { name: "two", keys: "[attest]" });
  test("have to be covered by one grant", () => {
    expect(decideOpen(split, asking({}, { keys: ["release"] }))).toMatchObject({ effect: "permit", grant: "one" });
    const both = decideOpen(split, asking({}, { keys: ["release", "attest"] }));
    expect(both).toMatchObject({
      effect: "deny",
      refusal: { hint: "one grant has to cover every key of a session: open one session for each key" },
    });
    expect(decideOpen(tags, asking({}, { keys: ["release", "attest"] }))).toMatchObject({ effect: "permit" });
  });
  test("none at all is a no", () => {
    expect(decideOpen(tags, asking({}, { keys: [] }))).toMatchObject({ effect: "deny" });
  });
  test("of a purpose that no kind of item has, or of none, are a no", () => {
    expect(messageOf(tags, {}, { purposes: { release: "RAW_DIGEST" } })).toContain(
      "lends keys of purpose ATTESTATION or BLOB (yours: RAW_DIGEST)",
    );
    expect(decideOpen(tags, asking({}, { purposes: {} }))).toMatchObject({ effect: "deny" });
    expect(
      decideOpen(policy({ keys: "[constructor]" }), asking({}, { keys: ["constructor"], purposes: {} })),
    ).toMatchObject({ effect: "deny" });
  });
});

test("of overlapping grants the first by file and order wins", () => {
  expect(decideOpen(policy({ name: "z" }, { name: "a" }), asking())).toMatchObject({ grant: "z" });
});

describe("attacks", () => {
  test.each<[string, Partial<Workload>]>([
    ["16: another organisation with the same repository name", { tenantId: "999", projectId: "5000" }],
    ["16: a repository re-created under the same name", { projectId: "5001" }],
    ["16: the same ids at another issuer", { issuer: "https://gitlab.com" }],
    ["16: an issuer with a slash", { issuer: `${job.issuer}/` }],
    ["18: pull_request_target", { event: "pull_request_target" }],
    ["18: workflow_dispatch from a tag", { event: "workflow_dispatch" }],
    ["18: workflow_dispatch from a branch", { event: "workflow_dispatch", ref: "refs/heads/main" }],
    ["18: a merge request of a fork", { event: "merge_request_event", projectId: "5002" }],
    ["19: ref as an array", untyped({ ref: ["refs/tags/v1"] })],
    ["19: project id as a number", untyped({ projectId: 4711 })],
    ["19: an event that is null", untyped({ event: null })],
    ["20: other case", { issuer: "https://token.actions.GitHubusercontent.com" }],
    ["20: a zero-width character", { ref: "refs/tags/v1\u200b" }],
    ["20: a lone surrogate", { ref: "refs/tags/v1\ud800" }],
    ["21: a line break", { ref: "refs/tags/v1\nrefs/heads/x" }],
    ["21: a way up", { ref: "refs/tags/v1/../../heads/x" }],
    ["21: dots", { ref: "refs/tags/v1..2" }],
    ["21: more segments", { ref: "refs/tags/v1/x" }],
    ["absent ref", { ref: undefined }],
  ])("%s is refused", (_, claims) => {
    expect(decideOpen(tags, asking(claims))).toMatchObject({ effect: "deny", refusal: { refusal: "POLICY_DENIED" } });
  });

  test("17: the two forms of GitHub's sub decide alike, since sub is not matched", () => {
    for (const subject of [
      "repo:acme/app:ref:refs/tags/v1",
      "repo:acme@815/app@4711:ref:refs/tags/v1",
      "repo:evil/evil",
    ]) {
      expect(decideOpen(tags, asking({ subject }))).toMatchObject({ effect: "permit" });
    }
  });

  test("16: a renamed repository keeps its grant, by its ids; a grant that also names it does not", () => {
    expect(decideOpen(tags, asking({ project: "acme/renamed" }))).toMatchObject({ effect: "permit" });
    expect(decideOpen(policy({ who: "project: acme/app" }), asking({ project: "acme/renamed" }))).toMatchObject({
      effect: "deny",
    });
  });

  test("18: an event is allowed when the grant lists it, and absent events only where it lists none", () => {
    const listed = policy({ who: "ref: refs/tags/v*, event: [push, workflow_dispatch]" });
    expect(decideOpen(listed, asking({ event: "workflow_dispatch" }))).toMatchObject({ effect: "permit" });
    expect(decideOpen(listed, asking({ event: "pull_request_target" }))).toMatchObject({ effect: "deny" });
    expect(decideOpen(listed, asking({ event: undefined }))).toMatchObject({ effect: "deny" });
    expect(decideOpen(tags, asking({ event: undefined }))).toMatchObject({ effect: "permit" });
    expect(messageOf(tags, { event: "pull_request_target" })).toContain(
      "needs event push, because the grant lists no other (yours is pull_request_target)",
    );
  });

  test.each<[string, Partial<Workload>]>([
    ["absent", { refProtected: undefined }],
    ["false", { refProtected: false }],
    ["the text true", untyped({ refProtected: "true" })],
    ["one", untyped({ refProtected: 1 })],
  ])("19: a protected ref is needed, and it is %s", (_, claims) => {
    const needs = policy({ more: "needs: { protectedRef: true, hostedRunner: true }" });
    expect(decideOpen(needs, asking())).toMatchObject({ effect: "permit" });
    expect(decideOpen(needs, asking(claims))).toMatchObject({ effect: "deny" });
    expect(decideOpen(policy({ who: "refProtected: true" }), asking(claims))).toMatchObject({ effect: "deny" });
  });

  test("19: a claim of a wrong type that the grant does not look at refuses the request, too", () => {
    expect(messageOf(tags, untyped({ environment: ["release"] }))).toContain("an error is a no");
  });

  test("20: names are compared byte for byte", () => {
    const named = policy({ who: "environment: kelvin" });
    for (const environment of ["Kelvin", "\u212aelvin", "kelvi\u006e\u0303", "kelvin\u200b", "\u202ekelvin"]) {
      expect(decideOpen(named, asking({ environment }))).toMatchObject({ effect: "deny" });
    }
    expect(decideOpen(named, asking({ environment: "kelvin" }))).toMatchObject({ effect: "permit" });
  });

  test("what a caller wrote appears in messages escaped and short", () => {
    const message = messageOf(tags, { environment: `x\u001b[31m\r\ninjected${"y".repeat(5000)}`, ref: "refs/heads/x" });
    expect(message).toContain("x\\u{1b}[31m\\u{d}\\u{a}injected");
    expect(message.split("\n")).toHaveLength(3);
    expect(message.length).toBeLessThan(1000);
  });

  test("numbers that are none are refused", () => {
    for (const odd of [
      { uses: 0 },
      { uses: -1 },
      { uses: Number.NaN },
      { uses: 1.5 },
      { ttl: 0 },
      { ttl: Infinity },
      { at: Number.NaN },
    ]) {
      expect(decideOpen(tags, asking({}, odd))).toMatchObject({ effect: "deny" });
    }
  });
});

describe("the organisation's ceiling", () => {
  const ceiling = (cedar: string) =>
    load(`${policyText({}, { name: "small", limits: "{ uses: 2, ttl: PT1M }" })}cedar: |\n  ${cedar}\n`);
  test("overrides a grant, and says why", () => {
    const set = ceiling(
      '@id("no-app") @reason("app is frozen") forbid (principal, action, resource) when { principal.projectId == "4711" };',
    );
    expect(messageOf(set)).toContain(
      'grant "release-tags" fits, but the ceiling "no-app" (policy.yaml:5) forbids it: app is frozen',
    );
  });
  test("of one key denies a session that asks for it among others", () => {
    const set = ceiling('forbid (principal, action, resource == Key::"attest");');
    expect(decideOpen(set, asking({}, { keys: ["release"] }))).toMatchObject({ effect: "permit" });
    expect(decideOpen(set, asking({}, { keys: ["release", "attest"] }))).toMatchObject({ effect: "deny" });
  });
  test("sees uses and ttl as the session would get them; the next grant may still pass", () => {
    const set = ceiling("forbid (principal, action, resource) when { context.uses > 10 };");
    expect(decideOpen(set, asking())).toMatchObject({ grant: "small" });
    expect(decideOpen(set, asking({}, { uses: 5 }))).toMatchObject({ grant: "release-tags", limits: { uses: 5 } });
    const short = ceiling('forbid (principal, action, resource) when { context.ttl > duration("2m") };');
    expect(decideOpen(short, asking())).toMatchObject({ grant: "small" });
  });
  test("that errs denies, although Cedar by itself would skip it", () => {
    const set = ceiling("forbid (principal, action, resource) when { context.uses * 9223372036854775807 < 0 };");
    expect(decideOpen(set, asking({}, { uses: 1 }))).toMatchObject({ effect: "permit" });
    expect(messageOf(set, {}, { uses: 2 })).toContain("an error is a no (ceiling policy.yaml:5:3: integer overflow");
  });
});

describe("windows", () => {
  const office = policy({ more: 'when: [{ days: [mon, wed], from: "08:00", to: "18:00" }]' });
  const at = (day: number, hour: number, minute = 0) => Date.UTC(2026, 0, day, hour, minute);
  test.each([
    ["noon on Wednesday", at(7, 12), "permit"],
    ["the first minute", at(7, 8), "permit"],
    ["before", at(7, 7, 59), "deny"],
    ["the end", at(7, 18), "deny"],
    ["Thursday", at(8, 12), "deny"],
  ])("%s", (_, moment, effect) => {
    expect(decideOpen(office, asking({}, { at: moment })).effect).toBe(effect);
  });
  test("name the next opening, when time is all that does not fit", () => {
    const decision = decideOpen(office, asking({}, { at: at(8, 12) }));
    expect(decision).toMatchObject({ refusal: { refusal: "OUTSIDE_WINDOW" } });
    expect(messageOf(office, {}, { at: at(8, 12) })).toContain("it opens Mon, 12 Jan 2026 08:00 UTC");
    expect(decideOpen(office, asking({ ref: "refs/heads/x" }, { at: at(8, 12) }))).toMatchObject({
      refusal: { refusal: "POLICY_DENIED" },
    });
  });
});

describe("strangers", () => {
  test("are those whose tenant and project no grant names at their issuer", () => {
    expect(namesTenant(tags, job)).toBe(true);
    expect(namesTenant(tags, { ...job, ref: "refs/heads/x", projectId: "1" })).toBe(true);
    expect(namesTenant(tags, { ...job, tenantId: "1" })).toBe(true);
    expect(namesTenant(tags, { ...job, tenantId: "1", projectId: "1" })).toBe(false);
    expect(namesTenant(tags, { ...job, issuer: "https://gitlab.com" })).toBe(false);
  });
  test("learn their own ids and nothing about grants", () => {
    const message = messageOf(tags, { tenantId: "1", projectId: "2" });
    expect(message).toContain("tenantId 1, projectId 2");
    expect(message).not.toContain("release-tags");
    expect(message).not.toContain("refs/tags/v*");
  });
});

describe("explain", () => {
  test("shows every condition of every grant, and ends as the decision does", () => {
    const set = policy({}, { name: "office", more: 'when: [{ days: [sun], from: "00:00", to: "24:00" }]' });
    const shown = explain(set, asking(), [blob("evil.exe")]);
    expect(shown).toMatchObject({
      effect: "deny",
      grant: "release-tags",
      policy: set.hash,
      refusal: { refusal: "ITEM_DENIED" },
    });
    expect(shown.grants.map(({ grant, fits }) => [grant, fits])).toEqual([
      ["release-tags", false],
      ["office", false],
    ]);
    expect(shown.grants[0]?.conditions.map(({ name, fits }) => `${name} ${String(fits)}`)).toEqual([
      "issuer true",
      "tenantId true",
      "projectId true",
      "keys true",
      "what true",
      "ref true",
      "event true",
      "ceiling true",
      "items false",
    ]);
    expect(shown.grants[1]?.conditions.at(-1)).toEqual({
      name: "when",
      needed: "sun 00:00-24:00 UTC",
      asked: "Wed, 07 Jan 2026 12:00 UTC",
      fits: false,
    });
    expect(explain(set, asking(), [blob("a.tgz")])).toMatchObject({ effect: "permit", grant: "release-tags" });
  });
});

test("the typed half and the Cedar half of a decision never disagree", { timeout: 60_000 }, () => {
  const sets = [
    policy({ who: "ref: [refs/tags/v*, refs/heads/main], environment: [release, stage-*], event: [push, schedule]" }),
    policy({
      who: "refType: tag, runner: hosted",
      ids: 'projectId: ["4711", "1"]',
      more: "needs: { protectedRef: true }",
    }),
    policy({
      ids: 'tenantId: "815"',
      who: "project: acme/*, workflow: acme/**",
      more: 'needs: { hostedRunner: true }, when: [{ days: [wed], from: "08:00", to: "18:00" }]',
    }),
  ];
  // A job that fits most of the grants, with up to two claims changed: most conditions decide alone.
  const change = fc.constantFrom<Partial<Workload>>(
    { issuer: "https://gitlab.com" },
    { tenantId: "1" },
    { projectId: "1" },
    { projectId: "2" },
    { project: "evil/app" },
    { ref: "refs/heads/main" },
    { ref: "refs/heads/x" },
    { ref: undefined },
    { refType: "branch" },
    { refType: undefined },
    { refProtected: false },
    { refProtected: undefined },
    { environment: "stage-1" },
    { environment: "stage/1" },
    { environment: undefined },
    { workflow: "evil/x.yml" },
    { workflow: undefined },
    { event: "schedule" },
    { event: "pull_request" },
    { event: undefined },
    { runner: "self-hosted" },
    { runner: undefined },
  );
  const claims = fc
    .array(change, { maxLength: 2 })
    .map((changes): Partial<Workload> => Object.assign({}, ...changes) as Partial<Workload>); // Object.assign is typed `any` here
  const mostly = <T>(usual: T, other: T) =>
    fc.oneof({ weight: 5, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constant(other) });
  fc.assert(
    fc.property(
      fc.constantFrom(...sets),
      claims,
      mostly("release", "other"),
      mostly(noon, noon + 86_400_000),
      (set, principal, key, at) => {
        const [grant] = set.grants;
        if (!grant) throw new Error("no grant");
        const request = asking(principal, { keys: [key], at });
        expect(askForAllKeys(set, grant, request).kind === "allowed").toBe(fitOf(grant, request).fits);
      },
    ),
    { numRuns: 400 },
  );
});
