import { expect, test } from "vitest";

import { startDevIssuer } from "../../src/cli/dev/issuer.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";
import { isJsonObject } from "../../src/std/json.ts";
import { type Answers, fakeServer, stage } from "./stage.ts";

const operator = { id: "op_1", name: "ana", issuer: "https://id.example", subject: "s", roles: ["AUDITOR"] };
const office: Answers = {
  openOperatorSession: () => ({
    __typename: "OpenOperatorSessionSuccess",
    operator,
    token: "sgo_1",
    expiresAt: "2026-11-21T20:00:00.000Z",
  }),
};

/** What the server was given as the person's identity token. */
const claimsOf = (token: unknown): unknown =>
  JSON.parse(Buffer.from(String(token).split(".")[1] ?? "", "base64url").toString());

test.each(["--device", "browser"])(
  "a person logs in (%s): the issuer's token reaches the server, and the context remembers the issuer",
  async (how) => {
    await using issuer = await startDevIssuer({ clock: systemClock, random: systemRandom });
    await using server = await fakeServer(office);
    using scene = stage({ SIGNET_SERVER: server.url });
    const browser = (said: string): void => {
      const [, url] = /open {3}(http\S+authorize\S+)/.exec(said) ?? [];
      if (url !== undefined) void fetch(url).then((answer) => answer.text());
    };
    const words = ["login", "--issuer", issuer.issuer, "--client-id", "signet", ...(how === "browser" ? [] : [how])];
    const played = await scene.signet(words, { onSaid: browser });
    expect(played.err).toContain("logged in  ana · auditor");
    expect(played).toMatchObject({ exit: 0, out: "" });
    const input = server.asked[0]?.variables["input"];
    expect(claimsOf(isJsonObject(input) ? input["identityToken"] : undefined)).toMatchObject({
      iss: issuer.issuer,
      aud: "signet",
      sub: "dev-person",
    });
    expect((await scene.signet("-o json context list")).out).toContain(issuer.issuer);
  },
);

test("with a token from stdin, which is never shown", async () => {
  await using server = await fakeServer(office);
  using scene = stage({ SIGNET_SERVER: server.url });
  const played = await scene.signet("login --token-stdin", { stdin: "header.canary.signature\n" });
  expect(played.exit).toBe(0);
  expect(played.out + played.err).not.toContain("canary");
  expect(server.asked[0]?.variables).toEqual({ input: { identityToken: "header.canary.signature" } });
});
