// Attacks with identity tokens: forged, borrowed, stretched, or of somebody who looks like somebody else. Whoever is
// named by a grant stands in the log with the refusal; strangers are counted, and leave nothing on disk.

import { createHmac, createPublicKey, type JsonWebKey } from "node:crypto";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { githubClaims, gitlabClaims, type TokenClaims } from "../../src/cli/dev/claims.ts";
import { isRefused } from "../../src/client/connect.ts";
import { newProofKey } from "../../src/client/proof.ts";
import { fetchThrough, guardedFetch } from "../../src/clients/fetch.ts";
import { identityTokens } from "../../src/identity/tokens.ts";
import { isRefusal } from "../../src/model/errors.ts";
import { base64url } from "../../src/std/base64.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { systemClock } from "../../src/std/clock.ts";
import { askOnce } from "../support/faults.ts";
import { audience, expectDone, statement } from "../support/house.ts";
import { type FaultyIssuer, startFaultyIssuer } from "../support/issuer.ts";
import {
  counted,
  entriesOf,
  expectAlive,
  expectRefused,
  expectStranger,
  gitlabAudience,
  newRepository,
  type Scene,
  scene,
  tokenOf,
} from "./scene.ts";

let home: Scene;
/** An issuer of its own, which counts what it is asked. */
let counting: FaultyIssuer;
/** Listens where no name of ours leads, and counts who comes. */
const inside = createServer((_, response) => response.end("{}"));
let visitors = 0;

beforeAll(async () => {
  counting = await startFaultyIssuer();
  inside.on("connection", () => {
    visitors += 1;
  });
  await new Promise<void>((resolve) => inside.listen(0, "127.0.0.1", resolve));
  const one = (issuer: string, provider = "github", aud = audience) =>
    `{ issuer: "${issuer}", provider: ${provider}, audience: ${aud}, dangerouslyAllowHttp: true }`;
  home = await scene({
    issuers: [one(counting.issuer), ...inwards().map((issuer) => one(issuer))],
    make: [
      ["attest", "ATTESTATION"],
      ["pinned", "ATTESTATION"],
      ["guarded", "ATTESTATION"],
    ],
  });
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
  await counting[Symbol.asyncDispose]();
  inside.close();
});

/** Spellings of this machine and of cloud metadata that URL parsers rewrite. */
function inwards(): readonly string[] {
  const address = inside.address();
  const port = String(typeof address === "object" && address ? address.port : 0);
  return [
    `http://2130706433:${port}`,
    `http://0x7f.1:${port}`,
    `http://127.1:${port}`,
    `http://127.0.0.1:${port}@127.0.0.1:${port}`,
    `http://[::ffff:127.0.0.1]:${port}`,
    `http://\uff11\uff12\uff17.0.0.1:${port}`,
    `http://[::ffff:169.254.169.254]:${port}`,
    "http://169.254.169.254",
  ];
}

const parts = (token: string): readonly [string, string, string] => {
  const [header = "", payload = "", signature = ""] = token.split(".");
  return [header, payload, signature];
};
const encode = (value: unknown): string => base64url(utf8(JSON.stringify(value)));
const open = (token: string, options: Parameters<Scene["openJob"]>[0] = {}) =>
  home.openJob({ token, keys: ["attest"], ...options });

/** A job of its own repository with these claims, which must be refused by policy, on the record. */
async function denied(claims: TokenClaims, keys = ["attest"]): Promise<void> {
  const { id, claims: own } = newRepository(claims);
  await expectRefused(home, home.openJob({ claims: own, keys }), id, "POLICY_DENIED");
}
/** The same for a token that is not even read to its end: nobody knows whose it is. */
const unreadable = async (claims: TokenClaims): Promise<unknown> =>
  expectStranger(home, await tokenOf(home, newRepository(claims).claims), "TOKEN_INVALID");

describe("attack 10", () => {
  test("alg none, with and without a signature", async () => {
    const [, payload, signature] = parts(await tokenOf(home));
    for (const alg of ["none", "None", "NONE"]) {
      for (const tail of ["", signature]) {
        await expectStranger(home, `${encode({ alg, typ: "JWT" })}.${payload}.${tail}`, "TOKEN_INVALID");
      }
    }
  });

  test("HS256 with the issuer's public key as the secret", async () => {
    const [header, payload] = parts(await tokenOf(home));
    const { keys } = (await (await fetch(`${home.issuer.issuer}/.well-known/jwks`)).json()) as { keys: JsonWebKey[] };
    const { kid } = JSON.parse(Buffer.from(header, "base64url").toString()) as { kid: string };
    const pem = createPublicKey({ key: keys[0] ?? {}, format: "jwk" }).export({ type: "spki", format: "pem" });
    for (const secret of [pem, pem.toString().trim(), JSON.stringify(keys[0])]) {
      const input = `${encode({ alg: "HS256", typ: "JWT", kid })}.${payload}`;
      await expectStranger(
        home,
        `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`,
        "TOKEN_INVALID",
      );
    }
  });

  test("the caller's own key, embedded or pointed at", async () => {
    const [, payload, signature] = parts(await tokenOf(home));
    const { jwk } = newProofKey();
    for (const extra of [
      { jwk },
      { jku: `${counting.issuer}/.well-known/jwks` },
      { x5u: "https://evil.example/" },
      { crit: ["exp"] },
    ]) {
      await expectStranger(
        home,
        `${encode({ alg: "RS256", typ: "JWT", kid: "x", ...extra })}.${payload}.${signature}`,
        "TOKEN_INVALID",
      );
    }
  });

  test("a storm of unknown key ids asks the issuer once, and a good token is still taken", async () => {
    const good = await counting.mint(githubClaims({ aud: audience, repository_owner_id: "31" }));
    await expectStranger(home, good, "POLICY_DENIED"); // nobody's tenant; but now the daemon has the keys
    const asked = counting.asked.length;
    const [, payload, signature] = parts(good);
    const storm = await Promise.all(
      Array.from({ length: 60 }, (_, at) =>
        open(`${encode({ alg: "RS256", typ: "JWT", kid: `made-up-${String(at)}` })}.${payload}.${signature}`),
      ),
    );
    expect(storm.map((one) => isRefused(one) && one.refusal)).toEqual(storm.map(() => "TOKEN_INVALID"));
    expect(counting.asked.length - asked).toBeLessThanOrEqual(2);
    await expectStranger(home, good, "POLICY_DENIED");
    await expectAlive(home);
  });
});

test("attack 11: an issuer that is not ours to the letter", async () => {
  const { issuer } = home.issuer;
  const { port } = new URL(issuer);
  const alike = [
    `${issuer}/`,
    issuer.replace("http:", "HTTP:"),
    `http://127.0.0.1:${port}@evil.example`,
    `http://evil.example@127.0.0.1:${port}`,
    `http://127%2E0.0.1:${port}`,
    `http://127.0.0.\uff11:${port}`,
    `http://localhost:${port}`,
    ` ${issuer}`,
    `${issuer}\0`,
    `${issuer}#`,
    `${issuer}?`,
  ];
  for (const iss of alike) await expectStranger(home, await tokenOf(home, { iss }), "TOKEN_INVALID");
  for (const iss of [[issuer], null, undefined, { issuer }])
    await expectStranger(home, await tokenOf(home, { iss }), "TOKEN_INVALID");
});

test("attack 12: two audiences, none, another, or one of another spelling", async () => {
  for (const aud of [
    [audience, "other"],
    ["other", audience],
    [audience, audience],
    [],
    undefined,
    "other",
    "",
    `${audience} `,
    audience.toUpperCase(),
    [[audience]],
    { 0: audience },
  ]) {
    await expectStranger(home, await tokenOf(home, { aud }), "TOKEN_INVALID");
  }
  expect(isRefused(await open(await tokenOf(home, { ...newRepository().claims, aud: [audience] })))).toBe(false);
});

test("attack 13: a second key with the same token is refused, alarmed, and harms the first one not at all", async () => {
  const { id, claims } = newRepository();
  const token = await tokenOf(home, claims);
  const first = await home.job({ token, keys: ["attest"], uses: 2 });
  const thief = await open(token);
  expect(thief).toMatchObject({ refusal: "TOKEN_REPLAYED", entry: expect.any(Number) as number });
  const entries = await entriesOf(home, id);
  expect(entries.map(({ type }) => type)).toEqual(["session.open", "refusal", "incident.token-replayed"]);
  expect(entries[2]).toMatchObject({ session: first.session });
  expect(expectDone(await first.sign([statement()])).usesLeft).toBe(1);
});

test("attack 13: a thief who first fills the minute with other refusals is alarmed all the same", async () => {
  const { id, claims } = newRepository();
  const token = await tokenOf(home, claims);
  const first = await home.job({ token, keys: ["attest"] });
  const thief = newProofKey();
  for (let i = 0; i < 12; i += 1) await open(token, { key: thief, keys: ["attest", "attest"] });
  expect(await open(token, { key: thief })).toMatchObject({ refusal: "TOKEN_REPLAYED" });
  const alarms = (await entriesOf(home, id)).filter(({ type }) => type === "incident.token-replayed");
  expect(alarms).toMatchObject([{ session: first.session }]);
});

test("attack 14: other padding bits in the signature are the same token", async () => {
  const { id, claims } = newRepository();
  const token = await tokenOf(home, claims);
  const key = newProofKey();
  const first = await home.job({ token, keys: ["attest"], key });
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(token.at(-1) ?? "");
  const variants = [1, 2, 15].map((bits) => token.slice(0, -1) + (alphabet[last ^ bits] ?? ""));
  for (const variant of [
    ...variants,
    `${token}=`,
    `${token}==`,
    ` ${token}`,
    token.replaceAll("-", "+").replaceAll("_", "/"),
  ]) {
    const own = await open(variant, { key });
    if (!isRefused(own)) expect(own.session).toBe(first.session);
    expect(isRefused(await open(variant))).toBe(true);
  }
  const sessions = (await entriesOf(home, id)).filter(({ type, again }) => type === "session.open" && again !== true);
  expect(sessions).toHaveLength(1);
});

describe("attack 15", () => {
  const now = (): number => Math.floor(Date.now() / 1000);
  test.each([
    ["expired", () => ({ iat: now() - 400, nbf: now() - 400, exp: now() - 60 })],
    ["not valid yet", () => ({ nbf: now() + 120 })],
    ["issued in the future", () => ({ iat: now() + 120, nbf: now() + 120, exp: now() + 300 })],
    ["issued in the future, nbf in the past", () => ({ iat: now() + 120, nbf: now() - 10, exp: now() + 300 })],
    ["exp as text", () => ({ exp: String(now() + 300) })],
    ["exp null", () => ({ exp: null })],
    ["exp beyond counting", () => ({ exp: 1e300 })],
    ["negative exp", () => ({ exp: -1 })],
    ["ten years", () => ({ exp: now() + 315_360_000 })],
    ["ten years old and ten years long", () => ({ iat: now() - 315_360_000, nbf: now() - 10, exp: now() + 300 })],
    ["no exp", () => ({ exp: undefined })],
    ["no iat", () => ({ iat: undefined })],
    ["exp before iat", () => ({ iat: now(), exp: now() - 5 })],
  ])("%s", async (_, times) => {
    await expectStranger(home, await tokenOf(home, times()), "TOKEN_INVALID");
  });
});

describe("attack 16", () => {
  test("a repository of the same name in another organisation", async () => {
    const claims = {
      repository_owner_id: "6660",
      repository_id: "66601",
      repository: "acme/app",
      repository_owner: "acme",
    };
    await expectStranger(home, await tokenOf(home, claims), "POLICY_DENIED");
  });
  test("the name made anew after the repository was deleted", async () => {
    await denied({ repository: "acme/app" }, ["pinned"]);
  });
  test("a repository of another name with the right id in another owner's hands", async () => {
    const claims = {
      repository_owner_id: "6661",
      repository: "evil/app",
      repository_owner: "evil",
      repository_id: "123456",
    };
    const refused = await home.openJob({ claims, keys: ["pinned"] });
    expect(refused).toMatchObject({ refusal: "POLICY_DENIED", entry: expect.any(Number) as number });
  });
  test("ids of another form", async () => {
    for (const id of ["0123456", "123456 ", "+123456", "1e5", "", "123456\n", "\uff11\uff12\uff13456"]) {
      await expectStranger(home, await tokenOf(home, { repository_id: id }), "TOKEN_INVALID");
    }
  });
});

test("attack 17: the old and the new form of sub are decided alike", async () => {
  for (const sub of [
    "repo:acme/app:ref:refs/tags/v1.4.0",
    "repo:acme@9876/app@123456:ref:refs/tags/v1.4.0",
    "repo:acme/app:environment:production",
    "anything%3Aelse",
  ]) {
    const job = await home.openJob({ claims: { sub }, keys: ["pinned"] });
    expect(isRefused(job)).toBe(false);
    await denied({ sub }, ["pinned"]);
  }
});

describe("attack 18", () => {
  test.each([
    ["pull_request_target", { event_name: "pull_request_target" }],
    ["pull_request", { event_name: "pull_request", ref: "refs/pull/7/merge", ref_type: "branch" }],
    ["workflow_run", { event_name: "workflow_run" }],
    ["issue_comment", { event_name: "issue_comment" }],
    [
      "workflow_dispatch of a branch",
      { event_name: "workflow_dispatch", ref: "refs/heads/feature", ref_type: "branch" },
    ],
    ["a push to a branch that is named like a tag", { ref: "refs/heads/v1.4.0", ref_type: "branch" }],
  ])("%s is not listed in any grant", async (_, claims) => {
    await denied(claims);
  });
  test("a self-hosted runner, an unprotected ref, or one that says nothing, where a grant needs more", async () => {
    const good = { environment: "production", ref_protected: "true", runner_environment: "github-hosted" };
    expect(isRefused(await home.openJob({ claims: { ...newRepository(good).claims }, keys: ["guarded"] }))).toBe(false);
    for (const bad of [
      { runner_environment: "self-hosted" },
      { runner_environment: undefined },
      { ref_protected: "false" },
      { ref_protected: undefined },
    ]) {
      await denied({ ...good, ...bad }, ["guarded"]);
    }
  });
  test("a merge request of a fork on GitLab, whose project ids name the fork", async () => {
    const config = {
      issuer: counting.issuer,
      provider: "gitlab" as const,
      audience: gitlabAudience,
      dangerouslyAllowHttp: true,
    };
    const tokens = identityTokens({ issuers: [config], clock: systemClock, fetch: guardedFetch });
    const fork = {
      pipeline_source: "merge_request_event",
      ref: "v1.4.0",
      ref_type: "tag",
      ref_path: "refs/merge-requests/7/head",
    };
    for (const claims of [fork, { ...fork, ref_path: undefined }]) {
      const read = await tokens.verify(await counting.mint(gitlabClaims({ aud: gitlabAudience, ...claims })));
      if (isRefusal(read) || read.kind === "person") throw new Error("not read as a job");
      expect(read.principal.ref).not.toBe("refs/tags/v1.4.0");
      expect(read.principal.refType).toBeUndefined();
    }
  });
});

test("attack 19: a claim of the wrong type is never coerced", async () => {
  for (const wrong of [
    { ref_protected: true },
    { ref_protected: "TRUE" },
    { environment: ["production"] },
    { environment: { name: "production" } },
    { repository_id: 123456 },
    { repository_owner_id: 9876 },
    { ref: ["refs/tags/v1.4.0"] },
    { event_name: null },
    { run_id: 987 },
    { repository: { toString: "acme/app" } },
  ]) {
    await unreadable(wrong);
  }
});

describe("attack 20", () => {
  test("names that a grant compares, in another case or with letters that look alike", async () => {
    for (const project of ["Acme/app", "acme/App", "acme/app.", "acme/a_pp"]) {
      const claims = { repository: project, repository_owner: project.split("/")[0] };
      expect(await home.openJob({ claims, keys: ["pinned"] })).toMatchObject({
        refusal: "POLICY_DENIED",
        entry: expect.any(Number) as number,
      });
    }
  });
  test.each([
    ["the Kelvin sign", { repository: "acme/\u212Aey" }],
    ["a Cyrillic letter", { repository: "acme/\u0430pp" }],
    ["a decomposed letter", { environment: "produktion-a\u0308" }],
    ["a zero-width space", { environment: "production\u200b" }],
    ["text that turns around", { environment: "\u202enoitcudorp" }],
    ["a soft hyphen", { environment: "produc\u00adtion" }],
    ["a full-width letter", { repository_owner: "\uff41cme" }],
  ])("%s is outside the alphabet of its claim", async (_, claims) => {
    await unreadable(claims);
  });
  test("another case of an environment, of a ref, is another one", async () => {
    const good = { environment: "production", ref_protected: "true", runner_environment: "github-hosted" };
    await denied({ ...good, environment: "Production" }, ["guarded"]);
    await denied({ ref: "refs/tags/V1.4.0" });
  });
  test("names outside the alphabet are refused where operators write them", async () => {
    for (const name of ["Release", "re\u212Aease", "release\u200b", "release/..", "", "r".repeat(64), "release\n"]) {
      expect(
        await home.auditor.ask("CreateKey", {
          input: { name, purpose: "BLOB", algorithm: "EC_P256", custody: "software" },
        }),
      ).toMatchObject({ refusal: "INPUT_INVALID" });
    }
    for (const name of ["Al\u202eex", "Alex\u200b", "\u001b[31mAlex", "", " Alex"]) {
      expect(
        await home.auditor.ask("AddOperator", {
          input: { name, issuer: "key", subject: "x".repeat(43), roles: ["AUDITOR"] },
        }),
      ).toMatchObject({ refusal: "INPUT_INVALID" });
    }
  });
});

test("attack 21: a ref that Git would not take is no ref", async () => {
  for (const ref of [
    "refs/tags/v1\nrefs/heads/x",
    "refs/tags/v1/../../heads/x",
    "refs/tags/v1/..",
    "refs/tags/",
    "refs/tags//v1",
    "refs/tags/v1.lock",
    "refs/tags/v@{1}",
    "refs/tags/v*",
    "refs/tags/v1 ",
    "refs/tags/v1\0",
    "refs/tags/v1~1",
    "v1.4.0",
    "refs/tags/v1\\x",
    "refs/tags/.v1",
    "refs/tags/v1.",
  ]) {
    await unreadable({ ref });
  }
  await unreadable({ ref: "refs/heads/v1", ref_type: "tag" });
  await unreadable({ job_workflow_ref: "acme/app/.github/workflows/release.yml@refs/tags/v1/../x" });
});

describe("attack 36", () => {
  test("an issuer spelt so that parsers rewrite it is never asked", async () => {
    for (const iss of inwards()) {
      const faults = await counted(home, "signet_faults_total", "ISSUER_DOWN");
      const input = { identityToken: await tokenOf(home, { iss }), keys: ["attest"] };
      const heard = await askOnce(home, { key: newProofKey() }, "OpenSession", { input });
      expect(heard).toMatchObject({ code: "ISSUER_DOWN" });
      expect(heard?.message).not.toContain("169.254");
      expect(await counted(home, "signet_faults_total", "ISSUER_DOWN")).toBeGreaterThan(faults);
    }
    expect(visitors).toBe(0);
    await expectAlive(home);
  }, 60_000);

  test("a redirect, another origin for the keys, a name that leads inside: not followed", async () => {
    counting.trouble = "redirect";
    const elsewhere = { url: `${counting.issuer}/.well-known/jwks` };
    await expect(
      guardedFetch(elsewhere, { origin: counting.issuer, dangerouslyAllowHttp: true }),
    ).rejects.toMatchObject({ reason: "redirect" });
    counting.trouble = "none";
    for (const address of ["169.254.169.254", "10.0.0.1", "127.0.0.1", "0.0.0.0", "192.0.0.192", "100.100.100.200"]) {
      const rebinding = fetchThrough(() => Promise.resolve([{ address, family: 4 }]));
      await expect(
        rebinding({ url: "https://issuer.example/jwks" }, { origin: "https://issuer.example" }),
      ).rejects.toMatchObject({ reason: "address" });
    }
    for (const address of [
      "::1",
      "::ffff:169.254.169.254",
      "::ffff:127.0.0.1",
      "fe80::1",
      "fd00:ec2::254",
      "64:ff9b::a9fe:a9fe",
    ]) {
      const rebinding = fetchThrough(() => Promise.resolve([{ address, family: 6 }]));
      await expect(
        rebinding({ url: "https://issuer.example/jwks" }, { origin: "https://issuer.example" }),
      ).rejects.toMatchObject({ reason: "address" });
    }
    for (const url of [
      "https://issuer.example@10.0.0.1/",
      "https://issuer.example.evil.example/",
      "https://issuer.example:444/",
      "http://issuer.example/",
      "file:///etc/passwd",
    ]) {
      await expect(guardedFetch({ url }, { origin: "https://issuer.example" })).rejects.toMatchObject({
        reason: "origin",
      });
    }
  });
});
