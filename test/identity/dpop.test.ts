// Proofs of possession: attack 23 and its relatives, and what an honest client must be able to do.

import { createHash } from "node:crypto";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { proofs, proofWindow } from "../../src/identity/dpop.ts";
import { nonceStep } from "../../src/identity/nonces.ts";
import { proofReader } from "../../src/identity/proof-jws.ts";
import { isRefusal } from "../../src/model/errors.ts";
import type { Proof, ProofRequest, Proofs } from "../../src/ports/identity.ts";
import { base64url } from "../../src/std/base64.ts";
import { utf8 } from "../../src/std/bytes.ts";
import { sha256 } from "../../src/std/digest.ts";
import { Secret } from "../../src/std/secret.ts";
import { makeProof, newProofKey, type ProofWanted } from "../support/dpop.ts";

const url = "https://signet.example.com/graphql";
const body = '{"query":"mutation { sign }"}';
const token = "sgs_token";
const start = Date.UTC(2026, 10, 21, 12, 0, 0);
const key = newProofKey();
const other = newProofKey();

let now: number;
let door: Proofs;
const secret = (fill: number) => new Secret(new Uint8Array(32).fill(fill));
const newDoor = (epoch = 1, fill = 1): Proofs => proofs({ clock: () => now, secret: secret(fill), epoch });

beforeEach(() => {
  now = start;
  door = newDoor();
});

const right = (): ProofWanted => ({ url, body, token, nonce: door.nonce(), at: now });
const proof = (changes: Partial<ProofWanted> = {}, by = key): string => makeProof(by, { ...right(), ...changes });
const ask = (proofs: string | readonly string[], request: Partial<ProofRequest> = {}): ReturnType<Proofs["verify"]> =>
  door.verify({
    proofs: typeof proofs === "string" ? [proofs] : proofs,
    method: "POST",
    url,
    body: () => sha256(body),
    token,
    ...request,
  });
const accepted = (answer: Awaited<ReturnType<Proofs["verify"]>>): Proof => {
  if (isRefusal(answer)) throw new Error(answer.message);
  return answer;
};

describe("an honest client", () => {
  test.each(["ES256", "EdDSA"] as const)("proves with %s that it holds its key", async (alg) => {
    const own = newProofKey(alg);
    const jws = proof({}, own);
    expect(accepted(await ask(jws))).toMatchObject({ jkt: own.jkt, jws });
    expect(accepted(await ask(proof({}, own)))).toMatchObject({ jkt: own.jkt });
  });

  test("may call Ed25519 by the name of RFC 9864", async () => {
    expect(await ask(proof({ header: { alg: "Ed25519" } }, newProofKey("EdDSA")))).toHaveProperty("jkt");
  });

  test("gets a mark that is the same for the same key and jti, and for nothing else", async () => {
    const mark = async (changes: Partial<ProofWanted>, by = key) =>
      Buffer.from(accepted(await ask(proof(changes, by))).mark).toString("hex");
    expect(await mark({ jti: "a-jti-of-mine" })).toBe(await mark({ jti: "a-jti-of-mine" }));
    expect(await mark({ jti: "a-jti-of-mine" })).not.toBe(await mark({ jti: "another-jti" }));
    expect(await mark({ jti: "a-jti-of-mine" })).not.toBe(await mark({ jti: "a-jti-of-mine" }, other));
  });

  test("without a token makes a proof without ath", async () => {
    expect(await ask(proof({ claims: { ath: undefined } }), { token: undefined })).toHaveProperty("jkt");
  });

  test.each([
    "https://SIGNET.example.com/graphql",
    "https://signet.example.com:443/graphql",
    "https://signet.example.com/graphql?a=1#b",
    "https://signet.example.com/x/../graphql",
  ])("may write the URL as %s", async (htu) => {
    expect(await ask(proof({ claims: { htu } }))).toHaveProperty("jkt");
  });

  test("is told of the nonce it needs, and the nonce then serves for five minutes", async () => {
    const nonce = door.nonce();
    for (now = start; now <= start + 300_000; now += 10_000) expect(await ask(proof({ nonce }))).toHaveProperty("jkt");
    now = start + 3 * nonceStep;
    expect(await ask(proof({ nonce }))).toMatchObject({ refusal: "PROOF_NONCE" });
    expect(await ask(proof())).toHaveProperty("jkt");
  });
});

const privateJwk = { ...key.jwk, ...(key.privateKey.export({ format: "jwk" }) as Record<string, string>) };
const lessX = (key.jwk["x"] ?? "").slice(0, -1);
/** The same 32 bytes, other padding bits. */
const slackX = `${lessX}${String.fromCharCode((key.jwk["x"] ?? "").charCodeAt(42) + 1)}`;

type WrongProof = readonly [what: string, make: () => string | readonly string[], request?: Partial<ProofRequest>];
const wrongProofs: readonly WrongProof[] = [
  ["no header", () => []],
  ["two headers", () => [proof(), proof()]],
  ["two proofs in one header", () => `${proof()}, ${proof()}`],
  ["not a JWS", () => "abc"],
  ["another typ", () => proof({ header: { typ: "JWT" } })],
  ["no typ", () => proof({ header: { typ: undefined } })],
  ["alg none", () => proof({ header: { alg: "none" } })],
  ["alg HS256", () => proof({ header: { alg: "HS256" } })],
  ["alg of another key", () => proof({ header: { alg: "EdDSA" } })],
  ["no jwk", () => proof({ header: { jwk: undefined } })],
  ["a private key", () => proof({ header: { jwk: privateJwk } })],
  ["a symmetric key", () => proof({ header: { jwk: { kty: "oct", k: "AAAA" } } })],
  ["a point off the curve", () => proof({ header: { jwk: { ...key.jwk, y: key.jwk["x"] } } })],
  ["a short coordinate", () => proof({ header: { jwk: { ...key.jwk, x: lessX } } })],
  ["a key under a second text", () => proof({ header: { jwk: { ...key.jwk, x: slackX } } })],
  ["an extension", () => proof({ header: { crit: ["exp"], exp: 1 } })],
  ["signed by another key", () => proof({ signedBy: other })],
  ["another method", () => proof({ method: "GET" })],
  ["a method in lower case", () => proof({ method: "post" })],
  ["another host", () => proof({ url: "https://signet.example.net/graphql" })],
  ["another path", () => proof({ url: `${url}/x` })],
  ["another scheme", () => proof({ url: "http://signet.example.com/graphql" })],
  ["a user before the host", () => proof({ url: "https://a@signet.example.com/graphql" })],
  ["a URL as a list", () => proof({ claims: { htu: [url] } })],
  ["an old iat", () => proof({ at: now - proofWindow - 1000 })],
  ["an iat to come", () => proof({ at: now + proofWindow + 1000 })],
  ["an iat in words", () => proof({ claims: { iat: String(now / 1000) } })],
  ["no iat", () => proof({ claims: { iat: undefined } })],
  ["an endless iat", () => proof().replace(/\.[^.]+\./, `.${base64url(utf8('{"jti":"12345678","iat":1e999}'))}.`)],
  ["no jti", () => proof({ claims: { jti: undefined } })],
  ["a short jti", () => proof({ jti: "1234567" })],
  ["a long jti", () => proof({ jti: "x".repeat(129) })],
  ["a jti with a line break", () => proof({ jti: "12345678\n9" })],
  ["no ath", () => proof({ claims: { ath: undefined } })],
  ["the ath of another token", () => proof({ token: "sgs_other" })],
  ["an ath without a token", () => proof(), { token: undefined }],
  ["no body hash", () => proof({ claims: { bsh: undefined } })],
  ["another body", () => proof(), { body: () => sha256("{}") }],
  ["the body hash in hex", () => proof({ claims: { bsh: createHash("sha256").update(body).digest("hex") } })],
  ["5,000 characters", () => proof({ claims: { pad: "x".repeat(4000) } })],
];

describe("attack 23: refused, whatever is wrong with it", () => {
  test.each(wrongProofs.map(([what, make, request]) => ({ what, make, request })))(
    "$what",
    async ({ make, request }) => {
      expect(await ask(make(), request)).toMatchObject({ refusal: "PROOF_INVALID" });
    },
  );

  test.each([
    ["none", () => undefined],
    ["made up", () => "AAAAAAAAAAAAAAAAAAAAAAAA"],
    ["of another daemon", () => newDoor(1, 2).nonce()],
    ["of an earlier start", () => newDoor(0).nonce()],
    ["not text", () => 7],
  ])("a nonce %s asks for the current one", async (_, nonce) => {
    expect(await ask(proof({ claims: { nonce: nonce() } }))).toMatchObject({ refusal: "PROOF_NONCE" });
  });

  test("a changed claim breaks the signature, also when the key is known already", async () => {
    const [header = "", , signature = ""] = proof().split(".");
    accepted(await ask(proof()));
    const payload = proof({ jti: "changed-jti" }).split(".")[1] ?? "";
    expect(await ask(`${header}.${payload}.${signature}`)).toMatchObject({ refusal: "PROOF_INVALID" });
  });

  test("a signature with changed padding bits is no second proof", async () => {
    const jws = proof();
    const slack = jws.slice(0, -1) + String.fromCharCode(jws.charCodeAt(jws.length - 1) + 1);
    expect(await ask(slack)).toMatchObject({ refusal: "PROOF_INVALID" });
  });
});

test("attack 30: a clock that is set back does not bring an old nonce to life", async () => {
  const old = door.nonce();
  const jws = proof({ nonce: old });
  now = start + 4 * nonceStep;
  expect(await ask(jws)).toMatchObject({ refusal: "PROOF_INVALID" });
  door.nonce();
  now = start;
  expect(await ask(jws)).toMatchObject({ refusal: "PROOF_NONCE" });
});

test("a mark is to be remembered until its nonce is no longer good", async () => {
  const jws = proof();
  const { expiresAt } = accepted(await ask(jws));
  now = expiresAt - 1;
  expect(await ask(proof({ claims: { nonce: claimsOf(jws)["nonce"] } }))).toHaveProperty("jkt");
  now = expiresAt;
  expect(await ask(proof({ claims: { nonce: claimsOf(jws)["nonce"] } }))).toMatchObject({ refusal: "PROOF_NONCE" });
});

const claimsOf = (jws: string) =>
  JSON.parse(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;

describe("whatever comes, the parser answers", () => {
  const read = proofReader();
  const segment = fc.oneof(
    fc.base64String(),
    fc.json().map((text) => base64url(utf8(text))),
  );
  test("random text", () => {
    fc.assert(fc.property(fc.string(), (text) => "wrong" in read(text)));
  });
  test("random segments", async () => {
    const signatures = fc.base64String({ minLength: 86, maxLength: 88 });
    await fc.assert(
      fc.asyncProperty(segment, segment, signatures, async (header, payload, signature) => {
        const jws = read(`${header}.${payload}.${signature.slice(0, 86)}`);
        return "wrong" in jws || !(await jws.isSigned());
      }),
    );
  });
  test("right headers with random keys, right keys with random claims", async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (jwk, claim) => {
        expect(await ask(proof({ header: { jwk } }))).toHaveProperty("refusal");
        expect(await ask(proof({ claims: { htu: claim } }))).toHaveProperty("refusal");
        expect(await ask(proof({ claims: { iat: claim } }))).toSatisfy(
          (answer) => isRefusal(answer) || typeof claim === "number",
        );
      }),
    );
  });
});
