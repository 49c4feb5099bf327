import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { signedBlob, signedStatement, type TestKey, testKey, vkey } from "./evidence.ts";
import { type Stage, stage } from "./stage.ts";

const key = testKey();

/** app.tgz with both kinds of signature and their receipts, and the key. */
function release(scene: Stage, by: TestKey = key): void {
  const put = (name: string, content: string | Uint8Array | object): void => {
    writeFileSync(
      join(scene.folder, name),
      typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content),
    );
  };
  const blob = signedBlob("hello", by);
  const statement = signedStatement("hello", by);
  put("app.tgz", "hello");
  put("app.tgz.sig", blob.signature);
  put("app.tgz.sigstore.json", blob.bundle);
  put("app.tgz.tlog-proof", blob.proof);
  put("app.tgz.intoto.sigstore.json", statement.bundle);
  put("app.tgz.intoto.tlog-proof", statement.proof);
  put("release.pem", key.pem);
  put("log.vkey", `${vkey}\n`);
}

const line = "verify app.tgz --key release.pem --vkey log.vkey";

describe("signet verify, offline", () => {
  test("says who, what, when, where in the log, and that nobody witnessed it", async () => {
    using scene = stage();
    release(scene);
    const played = await scene.signet(line);
    expect(played).toMatchObject({ exit: 0, err: "" });
    expect(
      played.out
        .replace(/checkpoint .*/g, "checkpoint …")
        .replace(/SHA-256 .*/g, "SHA-256 …")
        .split("\n")
        .slice(0, 7),
    ).toEqual([
      "verified   app.tgz   sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
      "signed     as it is · app.tgz.sigstore.json",
      "key        release v3 · release.pem · SHA-256 …",
      "who        acme/app · v1.4.0 · run 987 (id 123456) · as https://ci.example says",
      "when       today 13:59:00Z",
      "log        entry 1 of signet.example/log · checkpoint …",
      "witnesses  not witnessed",
    ]);
  });

  test("one JSON object per signature under -o jsonl", async () => {
    using scene = stage();
    release(scene);
    const played = await scene.signet(`-o jsonl ${line}`);
    const lines = played.out
      .trim()
      .split("\n")
      .map((one): unknown => JSON.parse(one));
    expect(lines).toMatchObject([
      { kind: "blob", log: { entry: 1 } },
      { kind: "statement", predicateType: "https://slsa.dev/provenance/v1" },
    ]);
  });

  test.each<[what: string, spoil: (scene: Stage) => void, line: string, exit: number, words: string]>([
    [
      "a changed file",
      (scene) => {
        write(scene, "app.tgz", "hellO");
      },
      line,
      11,
      "speaks of another file",
    ],
    [
      "no signature",
      (scene) => {
        write(scene, "other", "x");
      },
      line.replace("app.tgz", "other"),
      10,
      "no signature of other was found",
    ],
    [
      "a broken bundle",
      (scene) => {
        write(scene, "app.tgz.sigstore.json", "{}");
      },
      line,
      10,
      "is not a Sigstore bundle",
    ],
    [
      "a key that was not named",
      (scene) => {
        write(scene, "release.pem", testKey().pem);
      },
      line,
      12,
      "a key that you did not name",
    ],
    [
      "a raw signature of another key",
      (scene) => {
        write(scene, "app.tgz.sig", signedBlob("hello", testKey()).signature);
      },
      `${line} --signature app.tgz.sig`,
      11,
      "not a signature of app.tgz",
    ],
    [
      "a receipt of another signature",
      (scene) => {
        write(scene, "app.tgz.tlog-proof", signedBlob("hello", key).proof);
      },
      line,
      13,
      "does not name this signature",
    ],
    [
      "a receipt of a withheld signature",
      (scene) => {
        const made = signedBlob("hello", key, "app.tgz", { result: "withheld" });
        write(scene, "app.tgz.sigstore.json", JSON.stringify(made.bundle));
        write(scene, "app.tgz.tlog-proof", made.proof);
      },
      line,
      13,
      "withheld, not released",
    ],
    [
      "a receipt of another log",
      () => undefined,
      line.replace("log.vkey", "signet.example/log+00000000+AQ=="),
      2,
      "--vkey",
    ],
    [
      "a truncated receipt",
      (scene) => {
        write(scene, "app.tgz.tlog-proof", "c2sp.org/tlog-proof@v1\n");
      },
      line,
      13,
      "does not prove anything",
    ],
    [
      "no receipt",
      (scene) => {
        write(scene, "b", "hello");
        write(scene, "b.sig", signedBlob("hello", key).signature);
      },
      line.replace("app.tgz", "b"),
      13,
      "--no-log",
    ],
    ["no key", () => undefined, "verify app.tgz --vkey log.vkey", 2, "which public key do you trust?"],
    [
      "a private key",
      (scene) => {
        write(scene, "release.pem", key.privateKey.export({ type: "pkcs8", format: "pem" }).toString());
      },
      line,
      2,
      "it is a private key",
    ],
    ["no log key", () => undefined, "verify app.tgz --key release.pem", 2, "which log do you trust?"],
    ["a missing file", () => undefined, line.replace("app.tgz", "none"), 6, "there is no such file"],
  ])("%s is told apart", async (_, spoil, words, exit, said) => {
    using scene = stage();
    release(scene);
    spoil(scene);
    const played = await scene.signet(words);
    expect(played.err).toContain(said);
    expect(played).toMatchObject({ exit, out: "" });
  });

  test("--no-log checks the signature alone", async () => {
    using scene = stage();
    release(scene);
    const played = await scene.signet("verify app.tgz --key release.pem --no-log");
    expect(played.exit).toBe(0);
    expect(played.out).not.toContain("log  ");
  });
});

const write = (scene: Stage, name: string, content: string | Uint8Array): void => {
  writeFileSync(join(scene.folder, name), content);
};
