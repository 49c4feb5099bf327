// A person logs in: in the browser (loopback and PKCE, RFC 8252 and 7636), with a code on another machine (RFC 8628),
// with a token from stdin, or with this machine's own key. Device codes can be phished, so they are never the default.

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

import type { Configuration } from "openid-client";

import type { Client } from "../client/connect.ts";
import { type Context, personKey, writeLogin } from "../client/contexts.ts";
import { exits, Failure, granted, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import type { Output } from "./output.ts";
import { clientFor, type GlobalOptions, keepContext, targetOf } from "./server.ts";
import { timeLeft } from "./words.ts";
import type { World } from "./world.ts";

interface LoginOptions extends GlobalOptions {
  readonly key?: boolean;
  readonly device?: boolean;
  readonly tokenStdin?: boolean;
  readonly issuer?: string;
  readonly clientId?: string;
}

export async function login(job: Job<LoginOptions>): Promise<number> {
  const { world, out, options } = job;
  if ([options.key, options.device, options.tokenStdin].filter(Boolean).length > 1)
    throw usage("--key, --device and --token-stdin are three ways to log in", "choose one");
  const target = await targetOf(world, options);
  const context: Context = {
    ...target.context,
    issuer: options.issuer ?? world.env["SIGNET_ISSUER"] ?? target.context.issuer,
    clientId: options.clientId ?? world.env["SIGNET_CLIENT_ID"] ?? target.context.clientId,
  };
  const identityToken = await tokenFor(job, context);
  const client = await clientFor(world, options, context, { key: await personKey(target.places.config) });
  try {
    const session = await open(client, identityToken, context);
    await writeLogin(target.places.config, context.name, {
      token: session.token,
      expiresAt: session.expiresAt,
      name: session.operator.name,
      byKey: identityToken === undefined,
    });
    await keepContext(target, context, true);
    const roles = session.operator.roles.map((role) => role.toLowerCase());
    out.say(
      "logged in",
      `${session.operator.name} · ${roles.join(", ")} · ${context.server} · ${timeLeft(session.expiresAt, world.clock())}`,
    );
    if (out.format !== "table")
      out.one([], {
        context: context.name,
        server: context.server,
        operator: session.operator,
        expiresAt: session.expiresAt,
      });
    return exits.ok;
  } finally {
    client.close();
  }
}

async function open(client: Client, identityToken: string | undefined, { server }: Context) {
  const asked =
    identityToken === undefined ? `with this machine's key at ${server}` : `with an identity token at ${server}`;
  return granted(await client.ask("OpenOperatorSession", { input: { identityToken } }), { done: "logged in", asked });
}

/** Undefined for this machine's own key. */
async function tokenFor({ world, out, options }: Job<LoginOptions>, context: Context): Promise<string | undefined> {
  if (options.key) return undefined;
  if (options.tokenStdin) {
    const token = (await text(world.stdin)).trim();
    if (token === "") throw usage("there was no token on stdin", "signet login --token-stdin < TOKEN-FILE");
    return token;
  }
  if (world.env["CI"])
    throw usage(
      "nobody can log in by hand in CI",
      "signet login --token-stdin or --key; jobs need no login: signet session open",
    );
  const { issuer, clientId } = context;
  if (issuer === undefined || clientId === undefined)
    throw usage(
      "where do people log in?",
      "--issuer URL and --client-id ID (remembered), or --key for this machine's own key",
    );
  const openid = await import("openid-client");
  const insecure = /^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])[:/]/.test(issuer);
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so to stand out: for loopback, checked above
  const execute = insecure ? [openid.allowInsecureRequests] : [];
  const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.None(), { execute });
  return options.device ? byDevice(config, world, out) : byBrowser(config, world, out);
}

async function byDevice(config: Configuration, world: World, out: Output): Promise<string> {
  const openid = await import("openid-client");
  const started = await openid.initiateDeviceAuthorization(config, { scope: "openid profile" });
  out.warn(`open   ${started.verification_uri}`);
  out.warn(`enter  ${started.user_code}`);
  out.warn("only if you started this yourself, on this machine: whoever sent you a code wants your login");
  const tokens = await openid.pollDeviceAuthorizationGrant(config, started, undefined, { signal: world.signal });
  return idToken(tokens.id_token);
}

async function byBrowser(config: Configuration, world: World, out: Output): Promise<string> {
  const openid = await import("openid-client");
  const [verifier, state, nonce] = [openid.randomPKCECodeVerifier(), openid.randomState(), openid.randomNonce()];
  await using listening = await listenOnce(world.signal);
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: listening.redirect,
    scope: "openid profile",
    code_challenge: await openid.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  });
  out.warn(`open   ${url.href}`);
  browse(url.href, world);
  const tokens = await openid.authorizationCodeGrant(config, await listening.answer, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  return idToken(tokens.id_token);
}

interface Listening extends AsyncDisposable {
  readonly redirect: string;
  /** The URL that the browser came back to. */
  readonly answer: Promise<URL>;
}

async function listenOnce(signal: AbortSignal): Promise<Listening> {
  const { promise: answer, resolve, reject } = Promise.withResolvers<URL>();
  const server = createServer((request, response) => {
    const url = URL.parse(request.url ?? "/", "http://127.0.0.1");
    if (url?.pathname !== "/callback") {
      response.writeHead(404).end();
      return;
    }
    response
      .writeHead(200, { "content-type": "text/plain; charset=utf-8", connection: "close" })
      .end("Logged in. You can close this window and go back to the terminal.\n");
    resolve(new URL(`${redirect}${url.search}`));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const redirect = `http://127.0.0.1:${String(typeof address === "object" && address ? address.port : 0)}/callback`;
  signal.addEventListener("abort", () => {
    reject(new Failure({ exit: exits.cancelled, code: "CANCELLED", message: "login was cancelled" }));
  });
  answer.catch(() => undefined); // nobody may be waiting yet
  return {
    redirect,
    answer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Where there is a screen; the address was printed for everybody else. */
function browse(url: string, world: World): void {
  if (!world.env["DISPLAY"] && !world.env["WAYLAND_DISPLAY"] && process.platform === "linux") return;
  const child = spawn(process.platform === "darwin" ? "open" : "xdg-open", [url], { stdio: "ignore", detached: true });
  child.on("error", () => undefined);
  child.unref();
}

function idToken(token: string | undefined): string {
  if (token === undefined)
    throw new Failure({
      exit: exits.loginNeeded,
      code: "NO_IDENTITY",
      message: "the issuer gave no identity token",
      next: "its client must be allowed the scope openid",
    });
  return token;
}
