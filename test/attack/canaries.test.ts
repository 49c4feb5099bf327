// Do secrets stay where they belong? A run that uses all of them and provokes every kind of error, then a search through
// everything that others may read: leaves, side blobs, the static tree, answers, metrics, what the daemon said.

import { spawnSync } from "node:child_process";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { githubClaims } from "../../src/cli/dev/claims.ts";
import { unseal } from "../../src/custody/software-seal.ts";
import { Secret } from "../../src/std/secret.ts";
import { blob, expectDone, statement } from "../support/house.ts";
import { startFaultyIssuer } from "../support/issuer.ts";
import { expectAlive, jobOf, json, post, proved, type Scene, scene, send, signBody, tokenOf } from "./scene.ts";

/** Text or bytes in which a secret could hide, and where they stood. */
interface Place {
  readonly where: string;
  readonly bytes: Buffer;
}

let home: Scene;
const answers: Place[] = [];
const secrets = new Map<string, readonly Uint8Array[]>();

beforeAll(async () => {
  home = await scene();
  await provoke();
}, 120_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const keep = (where: string, bytes: string | Uint8Array): void =>
  void answers.push({ where, bytes: Buffer.from(bytes) });

/** As it is, in hexadecimal and in both alphabets of base64. */
function spellings(secret: Uint8Array): readonly Uint8Array[] {
  const bytes = Buffer.from(secret);
  const texts = [bytes.toString("hex"), bytes.toString("base64").replace(/=+$/, ""), bytes.toString("base64url")];
  return [bytes, ...texts.map((text) => Buffer.from(text))];
}
/** A secret that is text may not appear even in part. */
const text = (secret: string): readonly Uint8Array[] =>
  [Buffer.from(secret), Buffer.from(secret).toString("base64").replace(/=+$/, ""), secret.slice(4, 40)].map((one) =>
    Buffer.from(one),
  );

async function provoke(): Promise<void> {
  const identityToken = await tokenOf(home, { repository_id: "460001" });
  const job = await home.job({ token: identityToken, keys: ["attest", "release"], uses: 5 });
  const [, , signature = ""] = identityToken.split(".");
  secrets.set("identity token", [Buffer.from(identityToken), Buffer.from(signature)]);
  secrets.set("session token", text(job.token));
  secrets.set("proof key", spellings(Buffer.from(job.key.privateKey.export({ format: "jwk" }).d ?? "", "base64url")));

  const master = readFileSync(join(home.directory, "master.key"), "utf8").trim();
  secrets.set("master key", [...spellings(Buffer.from(master, "base64")), Buffer.from(master)]);

  for (const [key, item] of [
    ["attest", statement()],
    ["release", blob()],
    ["attest", blob()],
    ["none", blob()],
  ] as const) {
    const body = signBody([item], key);
    keep("answer to sign", (await send(home, { headers: await proved(home, job, body), body })).body);
  }
  const body = signBody([statement()]);
  const headers = await proved(home, job, body);
  for (const bad of [
    headers.slice(0, -2),
    headers.with(-1, `${headers.at(-1) ?? ""}x`),
    headers.with(3, `Bearer ${job.token}`),
    headers.with(3, `DPoP ${job.token}x`),
    headers.with(3, job.token),
    [...headers, "Authorization", `DPoP ${job.token}`],
  ]) {
    keep("answer to a bad credential", (await send(home, { headers: bad, body })).body);
  }
  keep("answer to broken JSON", (await send(home, { headers, body: body.slice(0, -3) })).body);
  keep("answer to a token as a path", (await send(home, { method: "GET", path: `/log/${job.token}` })).body);

  const open =
    "mutation ($i: OpenSigningSessionInput!) { openSigningSession(input: $i) { ... on Refusal { code message } } }";
  for (const given of [identityToken, `${identityToken}x`, identityToken.slice(0, -20), job.token]) {
    keep(
      "answer to an identity token",
      (await post(home, open, { i: { identityToken: given, keys: ["attest"] } })).body,
    );
    keep(
      "answer to an identity token in the wrong field",
      (await post(home, open, { i: { identityToken: given, keys: given } })).body,
    );
    keep("answer to another key's identity token", JSON.stringify(await home.openJob({ token: given })));
  }
  keep(
    "answer to a token in the query",
    (await post(home, `{ node(id: "${identityToken}") { id } vkeyy${job.token} }`)).body,
  );
  keep(
    "answer to a form",
    (await send(home, { headers: [...json.slice(0, 1), "text/plain"], body: identityToken })).body,
  );

  const stranger = await startFaultyIssuer();
  keep(
    "answer to an unknown issuer",
    JSON.stringify(await home.openJob({ token: await stranger.mint(githubClaims()) })),
  );
  await stranger[Symbol.asyncDispose]();

  const pid = String(home.child().pid);
  spawnSync("prlimit", ["--pid", pid, "--fsize=0:unlimited"]);
  for (let i = 0; i < 3; i += 1) {
    const again = signBody([statement()]);
    keep("answer without a disk", (await send(home, { headers: await proved(home, job, again), body: again })).body);
  }
  spawnSync("prlimit", ["--pid", pid, "--fsize=unlimited:unlimited"]);
  while ((await send(home, { method: "GET", path: "/readyz" })).status !== 200)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expectDone(await (await jobOf(home)).sign([statement()]));
}

/** The private keys themselves, opened as only the master key can. */
function privateKeys(): void {
  const master = new Secret(Buffer.from(readFileSync(join(home.directory, "master.key"), "utf8").trim(), "base64"));
  const db = new DatabaseSync(join(home.directory, "state/truth.sqlite"), { readOnly: true });
  for (const [key, purpose] of [
    ["attest", "ATTESTATION"],
    ["release", "BLOB"],
  ] as const) {
    const sealed = db.prepare("SELECT sealed FROM sealed_key WHERE key = ?").get(key)?.["sealed"];
    if (!(sealed instanceof Uint8Array)) throw new Error(`key ${key} is not where it should be`);
    const opened = unseal(sealed, { key, number: 1, purpose, algorithm: "EC_P256" }, master);
    expect(opened.asymmetricKeyType).toBe("ec");
    const pkcs8 = Buffer.from(opened.export({ format: "der", type: "pkcs8" }));
    secrets.set(`private key ${key}`, [
      ...spellings(Buffer.from(opened.export({ format: "jwk" }).d ?? "", "base64url")),
      ...spellings(pkcs8.subarray(0, 64)),
    ]);
  }
  db.close();
}

function logged(): readonly Place[] {
  const db = new DatabaseSync(join(home.directory, "state/truth.sqlite"), { readOnly: true });
  const all = (table: string): Place[] =>
    db
      .prepare(`SELECT bytes FROM ${table}`)
      .all()
      .map(({ bytes }) => ({ where: table, bytes: Buffer.from(bytes as Uint8Array) })); // BLOB columns
  const places = [...all("leaf"), ...all("blob")];
  db.close();
  return places;
}

const files = (pattern: string): readonly Place[] =>
  globSync(pattern, { cwd: home.directory, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
    .map((where) => ({ where, bytes: readFileSync(where) }));

function found(places: readonly Place[]): readonly string[] {
  return places.flatMap(({ where, bytes }) =>
    [...secrets]
      .filter(([, spelt]) => spelt.some((secret) => bytes.includes(Buffer.from(secret))))
      .map(([name]) => `${name} in ${where}`),
  );
}

test("a credential in a query is not repeated, whatever letters it has", async () => {
  for (const text of [`sgs_${"Ab0_".repeat(10)}`, `eyJ${"Ab0_".repeat(10)}`])
    for (const query of [`{ vkey${text} }`, `{ key(name: ${text}) { id } }`, `query ($${text}: Int) { vkey }`])
      expect((await post(home, query)).body).not.toContain("Ab0_Ab0_");
});

test("no secret is in the log, the tree, an answer, the metrics or what the daemon said", async () => {
  const operatorToken = expectDone(
    await (await home.operator()).withToken(undefined).ask("OpenOperatorSession", { input: {} }),
  ).token;
  secrets.set("operator token", text(operatorToken));
  const viewed = await send(home, {
    headers: [...json, "Authorization", `Bearer ${operatorToken}`],
    body: '{"query":"{ keys { name versions { uri publicKey } } operators { id } }"}',
  });
  keep("answer to an operator's token without its key", viewed.body);
  keep("metrics", (await send(home, { method: "GET", path: "/metrics" })).body);
  keep("checkpoint", (await send(home, { method: "GET", path: "/log/checkpoint" })).body);
  await new Promise((resolve) => setTimeout(resolve, 1500)); // until all is published
  await expectAlive(home);
  await home.stop();
  privateKeys();
  expect([...secrets.keys()]).toHaveLength(7);
  const log = logged();
  expect(log.length).toBeGreaterThan(20);
  const tree = files("state/{log,tree}/**/*").concat(files("state/*checkpoint*"));
  expect(tree.length).toBeGreaterThan(2);
  expect(home.said().length).toBeGreaterThan(200);
  keep("stderr", home.said());
  expect(found([...log, ...tree, ...answers])).toEqual([]);
});

test("and at rest: tokens only as hashes, private keys only sealed, the master key nowhere below the state directory", () => {
  expect(found(files("state/**/*"))).toEqual([]);
});

test("this search finds what is there", () => {
  for (const [name, spelt] of secrets) {
    for (const secret of spelt) {
      writeFileSync(
        join(home.directory, "planted"),
        Buffer.concat([Buffer.from("before"), secret, Buffer.from("after")]),
      );
      expect(found(files("planted"))).toContain(`${name} in ${join(home.directory, "planted")}`);
    }
  }
});
