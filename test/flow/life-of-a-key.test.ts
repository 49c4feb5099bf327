// The life of a key at a custody that is not ours: it comes in with proof, signs, is stopped and ends, and the log can
// tell all of it.

import { createPublicKey, createVerify, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, connect, isRefused } from "../../src/client/connect.ts";
import { newProofKey } from "../../src/client/proof.ts";
import { askAs, codeOf } from "../attack/scene.ts";
import { expectDone, type House, house, type Job, statement, usualPolicy } from "../support/house.ts";
import { type Shelf, shelfConfig, shelfIn, shelfRun, shelved } from "../support/shelf.ts";

let home: House;
let shelf: Shelf;
let operator: Client;

beforeAll(async () => {
  home = await house({ config: shelfConfig, run: shelfRun, keys: [{ name: "attest", purpose: "ATTESTATION" }] });
  const policy = usualPolicy(home.issuer.issuer).replace("[attest, release]", "[attest, again]");
  writeFileSync(join(home.directory, "policy", "grants.yaml"), policy);
  await restart();
  shelf = shelfIn(home.directory);
  operator = await home.operator();
}, 90_000);
afterAll(async () => {
  await home[Symbol.asyncDispose]();
});

const enroll = (name: string, uri: string, purpose: "ATTESTATION" | "BLOB" = "ATTESTATION") =>
  operator.ask("EnrollKey", { input: { name, uri, purpose, custody: "shelf" } });
/** What the query below answers. */
interface Listed {
  readonly data: {
    readonly key: {
      readonly released: number;
      readonly entries: { readonly nodes: readonly { readonly body: { readonly key: { readonly name: string } } }[] };
    };
  };
}
const entriesOf = async (key: string): Promise<readonly Record<string, unknown>[]> =>
  (await home.entries()).filter((one) => one["key"] === key);
const stateOf = async (name: string): Promise<string | undefined> =>
  expectDone(await operator.ask("Key", { name }))?.versions.at(-1)?.state;

async function restart(): Promise<void> {
  expect(await home.stop()).toBe(0);
  await home.start(shelfRun);
  operator = await home.operator();
}

describe("enrolling", () => {
  test("a key comes in under its pinned name, proved to be there, with what is claimed apart from what is proved", async () => {
    shelf.put("k1", shelved("EC_P256", { guards: "a".repeat(64), claimed: ["not exportable"] }));
    shelf.alias("current", "k1");
    const { key } = expectDone(await enroll("one", "shelf:current"));
    expect(key.versions).toMatchObject([
      { number: 1, state: "PRE_ACTIVATION", algorithm: "EC_P256", custody: "shelf", uri: "shelf:k1" },
    ]);
    expect(key.versions[0]?.protection).toEqual({
      level: "SERVICE",
      exportable: "UNKNOWN",
      proved: [],
      claimed: ["not exportable"],
    });
    expect(await entriesOf("one")).toMatchObject([
      { type: "key.enroll.intent", uri: "shelf:k1", asked: "shelf:current", by: { name: "First" } },
      { type: "key.enroll.outcome", result: "done", version: 1, guards: "a".repeat(64) },
    ]);
  });

  test("an auditor verifies the proof of possession from the log alone", async () => {
    const [, outcome] = await entriesOf("one");
    const { challenge, signature } = (outcome?.["possession"] ?? {}) as Record<string, { blob: string }>;
    const blob = async (ref: { blob: string } | undefined): Promise<Buffer> => {
      const found = expectDone(await operator.ask("Blob", { sha256: ref?.blob.slice("sha256:".length) ?? "" }));
      return Buffer.from(found ?? "", "base64");
    };
    const asked = await blob(challenge);
    expect(asked.toString()).toMatch(/^signet key possession v1\none\nshelf:k1\n[0-9a-f]{64}\n$/);
    expect(
      createVerify("sha256")
        .update(asked)
        .verify(String(outcome?.["publicKey"]), await blob(signature)),
    ).toBe(true);
  });

  test("the alias moves to another key: the enrolled one signs as before, the other is nobody's", async () => {
    shelf.put("k1b", shelved());
    shelf.alias("current", "k1b");
    expectDone(await operator.ask("ActivateKey", { input: { key: "one", reason: "for the test" } }));
    expect(expectDone(await operator.ask("Key", { name: "one" }))?.versions).toMatchObject([
      { uri: "shelf:k1", state: "ACTIVE" },
    ]);
    expect(shelf.read("k1").privateKey).not.toBe(shelf.read("k1b").privateKey);
  });

  test("the same key under a second name is refused, by its own name, by an alias, and as a copy elsewhere", async () => {
    shelf.alias("again", "k1");
    shelf.put("copy", shelf.read("k1"));
    for (const uri of ["shelf:k1", "shelf:again", "shelf:copy"])
      expect(await enroll("two", uri)).toMatchObject({ refusal: "ALREADY_EXISTS", message: /one\/1/ });
    expect(await enroll("two", "shelf:k1", "BLOB")).toMatchObject({ refusal: "ALREADY_EXISTS" });
  });

  test("the same public key in another spelling is the same key", async () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(publicKey.asymmetricKeyType).toBe("ec"); // what follows spells the shelf's own key with a compressed point
    const jwk = createPublicKey(shelf.read("k1").privateKey).export({ format: "jwk" });
    const x = Buffer.from(jwk.x ?? "", "base64url");
    const sign = (Buffer.from(jwk.y ?? "", "base64url").at(-1) ?? 0) & 1;
    const head = Buffer.from("3039301306072a8648ce3d020106082a8648ce3d030107032200", "hex");
    const der = Buffer.concat([head, Buffer.of(2 + sign), x]);
    const says = `-----BEGIN PUBLIC KEY-----\n${der.toString("base64")}\n-----END PUBLIC KEY-----\n`;
    shelf.put("spelt", { ...shelf.read("k1"), says });
    expect(await enroll("two", "shelf:spelt")).toMatchObject({ refusal: "ALREADY_EXISTS" });
  });

  test("two operators enroll one key under two names at the same moment: one has it", async () => {
    shelf.put("raced", shelved("EC_P256", { notBefore: Date.now() + 1_000 }));
    const answers = await Promise.all(["race-a", "race-b", "race-c"].map((name) => enroll(name, "shelf:raced")));
    expect(answers.filter((one) => !isRefused(one))).toHaveLength(1);
    expect(answers.filter(isRefused)).toMatchObject([{ refusal: "ALREADY_EXISTS" }, { refusal: "ALREADY_EXISTS" }]);
  });

  test("what is not there, in trouble, of no use or of another algorithm than it says does not come in", async () => {
    shelf.put("disabled", shelved("EC_P256", { trouble: "disabled" }));
    shelf.put("ed", shelved("ED25519"));
    const bitcoin = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey;
    shelf.put("koblitz", {
      algorithm: "EC_P256",
      privateKey: bitcoin.export({ type: "pkcs8", format: "pem" }).toString(),
    });
    shelf.put("p384", { ...shelved("EC_P384"), algorithm: "EC_P256" });
    expect(await enroll("two", "shelf:nowhere")).toMatchObject({ refusal: "NOT_FOUND" });
    expect(await enroll("two", "shelf:disabled")).toMatchObject({ refusal: "INPUT_INVALID", message: /disabled/ });
    expect(await enroll("two", "shelf:ed", "BLOB")).toMatchObject({ refusal: "ALGORITHM_UNFIT" });
    expect(await enroll("two", "shelf:koblitz")).toMatchObject({ refusal: "ALGORITHM_UNFIT" });
    expect(await enroll("two", "shelf:p384")).toMatchObject({ refusal: "ALGORITHM_UNFIT" });
    expect(await enroll("one", "shelf:ed")).toMatchObject({ refusal: "ALREADY_EXISTS" });
    const elsewhere = { name: "two", uri: "shelf:ed", purpose: "ATTESTATION", custody: "nowhere" } as const;
    expect(await operator.ask("EnrollKey", { input: elsewhere })).toMatchObject({ refusal: "NOT_FOUND" });
    expect(expectDone(await operator.ask("Key", { name: "two" }))).toBeNull();
  });

  test("a PIN in a URI is refused, and is nowhere in the log", async () => {
    expect(await enroll("two", "pkcs11:token=a?pin-value=4711815")).toMatchObject({ refusal: "INPUT_INVALID" });
    expect(JSON.stringify(await home.entries())).not.toContain("4711815");
  });

  test("a custody that cannot sign with the key that it described has not proved anything", async () => {
    const liar = shelved();
    shelf.put("liar", {
      ...liar,
      says: createPublicKey(shelved().privateKey).export({ type: "spki", format: "pem" }).toString(),
    });
    await expect(enroll("liar", "shelf:liar")).rejects.toMatchObject({ code: "SIGNATURE_WRONG" });
    expect(await entriesOf("liar")).toMatchObject([
      { type: "key.enroll.intent" },
      { type: "key.enroll.outcome", result: "withheld", code: "SIGNATURE_WRONG" },
    ]);
    expect(expectDone(await operator.ask("Key", { name: "liar" }))).toBeNull();
  });

  test("neither a job nor a stranger enrolls; a job does not read what was made with its key", async () => {
    const input = { name: "two", uri: "shelf:ed", purpose: "ATTESTATION", custody: "shelf" } as const;
    const job = await home.job({ keys: ["attest"] });
    expect(await job.client.ask("EnrollKey", { input })).toMatchObject({ refusal: "ROLE_MISSING" });
    expect(codeOf(await askAs(home, job, `{ key(name: "attest") { released } }`))).toBe("ROLE_MISSING");
    expect(codeOf(await askAs(home, job, `{ key(name: "attest") { entries { nodes { type } } } }`))).toBe(
      "ROLE_MISSING",
    );
    const stranger = connect({ address: home.url, key: newProofKey() });
    expect(await stranger.ask("EnrollKey", { input })).toMatchObject({ refusal: "UNAUTHENTICATED" });
  });

  test("after a restart tables and log agree, protection included", async () => {
    await restart();
    expect(await stateOf("one")).toBe("ACTIVE");
  }, 60_000);
});

describe("made here", () => {
  test("the embedded custody's key says what protects it", async () => {
    const key = expectDone(await operator.ask("Key", { name: "attest" }));
    expect(key?.versions[0]?.protection).toMatchObject({ level: "PROCESS", exportable: "NO" });
  });
});

describe("the end", () => {
  test("an active key is not destroyed; a deactivated one is, here and at its custody, and the log says by whom", async () => {
    shelf.put("mortal", shelved());
    expectDone(await enroll("mortal", "shelf:mortal"));
    expect(await operator.ask("ResumeKey", { input: { key: "mortal", reason: "the wrong door" } })).toMatchObject({
      refusal: "KEY_STATE",
      hint: "signet key activate mortal",
    });
    expectDone(await operator.ask("ActivateKey", { input: { key: "mortal", reason: "for the test" } }));
    const input = { key: "mortal", backend: true, reason: "its project ended" };
    expect(await operator.ask("DestroyKey", { input })).toMatchObject({ refusal: "KEY_STATE" });
    expectDone(await operator.ask("DeactivateKey", { input: { key: "mortal", reason: "its project ended" } }));
    const { key } = expectDone(await operator.ask("DestroyKey", { input }));
    expect(key.versions).toMatchObject([{ state: "DESTROYED" }]);
    expect(shelf.holds("mortal")).toBe(false);
    expect((await entriesOf("mortal")).slice(-3)).toMatchObject([
      { type: "key.destroy.intent", onePerson: true, reason: "its project ended", uri: "shelf:mortal" },
      { type: "key.destroy.outcome", result: "done", until: "2030-01-01T00:00:00.000Z" },
      { type: "key.state", from: "DEACTIVATED", to: "DESTROYED", backend: "destroyed", onePerson: true },
    ]);
    expect(await operator.ask("DestroyKey", { input })).toMatchObject({ refusal: "KEY_STATE" });
  });

  test("without --backend the custody keeps the key, and the log says so", async () => {
    shelf.put("forgotten", shelved());
    expectDone(await enroll("forgotten", "shelf:forgotten"));
    expectDone(
      await operator.ask("DestroyKey", { input: { key: "forgotten", backend: false, reason: "enrolled by mistake" } }),
    );
    expect(shelf.holds("forgotten")).toBe(true);
    expect((await entriesOf("forgotten")).at(-1)).toMatchObject({
      type: "key.state",
      from: "PRE_ACTIVATION",
      to: "DESTROYED",
      backend: "kept",
    });
  });

  test("what was destroyed never comes in again, under no name", async () => {
    expect(await enroll("revenant", "shelf:forgotten")).toMatchObject({ refusal: "ALREADY_EXISTS" });
    expect(await enroll("forgotten", "shelf:ed")).toMatchObject({ refusal: "ALREADY_EXISTS" });
  });

  test("a custody that is away destroys nothing, and the key stays as it was", async () => {
    shelf.put("survivor", shelved());
    expectDone(await enroll("survivor", "shelf:survivor"));
    shelf.away(true);
    try {
      const asked = operator.ask("DestroyKey", { input: { key: "survivor", backend: true, reason: "for the test" } });
      await expect(asked).rejects.toMatchObject({ code: "CUSTODY_DOWN" });
    } finally {
      shelf.away(false);
    }
    expect(await stateOf("survivor")).toBe("PRE_ACTIVATION");
    expect((await entriesOf("survivor")).filter((one) => String(one["type"]).startsWith("key.destroy"))).toMatchObject([
      { type: "key.destroy.intent" },
      { type: "key.destroy.outcome", result: "failed", code: "CUSTODY_DOWN" },
    ]);
  });

  test("the embedded custody lets go of the sealed key", async () => {
    const input = { name: "sealed", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
    expectDone(await operator.ask("CreateKey", { input }));
    expectDone(await operator.ask("DestroyKey", { input: { key: "sealed", backend: true, reason: "for the test" } }));
    expect(await stateOf("sealed")).toBe("DESTROYED");
  });

  test("after a restart tables and log agree", async () => {
    await restart();
    expect([await stateOf("mortal"), await stateOf("forgotten"), await stateOf("sealed")]).toEqual([
      "DESTROYED",
      "DESTROYED",
      "DESTROYED",
    ]);
  }, 60_000);
});

describe("compromised", () => {
  const opening = (): Promise<unknown> => home.openJob({ keys: ["attest"], uses: 2 });

  test("the key stops, every session that covers it ends in the same transaction, and what it signed is counted", async () => {
    const jobs = await Promise.all(Array.from({ length: 6 }, () => home.job({ keys: ["attest"], uses: 5 })));
    const [first, second] = jobs as [Job, Job]; // six of them
    expectDone(await first.sign([statement()]));
    expectDone(await second.sign([statement(), statement()]));
    const late = Array.from({ length: 40 }, opening);
    const input = { key: "attest", reason: "it was in a backup that left the house" };
    const { key, receipt } = expectDone(await operator.ask("ReportKeyCompromised", { input }));
    await Promise.all(late);
    expect(key.released).toBe(2);
    expect(key.versions).toMatchObject([{ state: "COMPROMISED" }]);
    expect(expectDone(await operator.ask("Key", { name: "attest" }))?.versions).toMatchObject([
      { ended: { why: "COMPROMISED", at: expect.any(String) as string }, trustedUntil: null },
    ]);
    const open = expectDone(await operator.ask("Sessions", { filter: { open: true, key: "attest" }, first: 100 }));
    expect(open.nodes).toEqual([]);
    const entries = await home.entries();
    const revoked = entries.filter(
      (one) => one["type"] === "session.revoke" && one["request"] === entries[receipt.entry]?.["request"],
    );
    expect(revoked.length).toBeGreaterThanOrEqual(6);
    // One transaction: nothing else stands between the first of them and the key's own entry.
    expect(revoked.map((one) => one["index"])).toEqual(revoked.map((_, i) => receipt.entry - revoked.length + i));
    expect(revoked.find((one) => one["session"] === second.session)).toMatchObject({
      uses: { granted: 5, spent: 2, left: 3 },
      reason: "key attest is compromised",
    });
    expect(await first.sign([statement()])).toMatchObject({ refusal: "SESSION_ENDED" });
  }, 30_000);

  test("GraphQL lists everything that was ever made with it, to people with a role", async () => {
    const query = `{ key(name: "attest") { released entries(filter: { types: ["sign.outcome"] }, first: 10) { nodes { type body } } } }`;
    const { body } = await askAs(home, await home.operatorLogin(), query);
    const { released, entries } = (JSON.parse(body) as Listed).data.key;
    expect(released).toBe(2);
    expect(entries.nodes.map((one) => one.body.key.name)).toEqual(["attest", "attest"]);
    const tooMany = `{ key(name: "attest") { entries(filter: { types: ${JSON.stringify(Array.from({ length: 2000 }, () => "x"))} }) { nodes { type } } } }`;
    expect(codeOf(await askAs(home, await home.operatorLogin(), tooMany))).toBe("TOO_LARGE");
  });

  test("a compromised key can only be destroyed; after a restart tables and log agree", async () => {
    expect(await operator.ask("ActivateKey", { input: { key: "attest", reason: "again" } })).toMatchObject({
      refusal: "KEY_STATE",
    });
    await restart();
    expect(await stateOf("attest")).toBe("COMPROMISED");
    expectDone(await operator.ask("DestroyKey", { input: { key: "attest", backend: true, reason: "compromised" } }));
    await restart();
    expect(await stateOf("attest")).toBe("DESTROYED");
  }, 60_000);
});

describe("asked again", () => {
  test("a finished request is answered as before when the key was suspended since, and signs nothing", async () => {
    const input = { name: "again", purpose: "ATTESTATION", algorithm: "EC_P256", custody: "software" } as const;
    expectDone(await operator.ask("CreateKey", { input }));
    expectDone(await operator.ask("ActivateKey", { input: { key: "again", reason: "for the test" } }));
    const job = await home.job({ keys: ["again"], uses: 5 });
    const [item, idempotencyKey] = [statement("app.tgz"), "release-1"];
    const first = expectDone(await job.sign([item], { key: "again", idempotencyKey }));
    expectDone(await operator.ask("SuspendKey", { input: { key: "again", reason: "an incident" } }));
    expect(await operator.ask("ActivateKey", { input: { key: "again", reason: "the wrong door" } })).toMatchObject({
      refusal: "KEY_STATE",
      hint: "signet key resume again",
    });
    const again = expectDone(await job.sign([item], { key: "again", idempotencyKey }));
    expect(again.signatures[0]?.value).toBe(first.signatures[0]?.value);
    expect(again.receipt.entry).toBe(first.receipt.entry);
    expect(await job.sign([item], { key: "again", idempotencyKey: "release-2" })).toMatchObject({
      refusal: "KEY_NOT_ACTIVE",
    });
    expect(await job.sign([statement("other.tgz")], { key: "again", idempotencyKey })).toMatchObject({
      refusal: "IDEMPOTENCY_MISMATCH",
    });
    expect(
      (await home.entries()).filter((one) => one["type"] === "sign.outcome" && one["session"] === job.session),
    ).toHaveLength(1);
  });
});
