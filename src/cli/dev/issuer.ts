// Who stands for the CI provider and the company's login when there is neither? A small OpenID provider on 127.0.0.1,
// for `signet dev`, the demo and the tests. It vouches for whatever it is told and lets everybody in: never trust it
// from a real configuration. Signet's own code paths are the real ones: discovery, key set, the job's
// ACTIONS_ID_TOKEN_REQUEST_URL, the code flow with PKCE and the device flow.

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { base64url } from "../../std/base64.ts";
import type { Clock, Random } from "../../std/clock.ts";
import { githubClaims, personClaims, type TokenClaims } from "./claims.ts";

export type DevAlgorithm = "RS256" | "ES256" | "EdDSA";

export interface DevIssuerOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** RS256 unless given, as with GitHub and GitLab. */
  readonly algorithm?: DevAlgorithm | undefined;
  /** Claims of the person whom the login approves, over those of personClaims. */
  readonly person?: TokenClaims | undefined;
}

/** What a job on the stand-in CI finds in its environment. */
export interface JobEnvironment {
  readonly ACTIONS_ID_TOKEN_REQUEST_URL: string;
  readonly ACTIONS_ID_TOKEN_REQUEST_TOKEN: string;
}

export interface DevIssuer {
  /** `iss` of its tokens, and where it listens. */
  readonly issuer: string;
  readonly listener: RequestListener;
  /** A signed token. Unless given: `iss`, `iat`, `nbf`, `jti`, and `exp` five minutes ahead; a claim of undefined is left out. */
  mint(claims: TokenClaims): Promise<string>;
  /** A job whose tokens say these claims, over those of githubClaims. */
  job(claims?: TokenClaims): JobEnvironment;
  /** A new key signs from now on; the old ones stay published unless `forget`. */
  rotate(options?: { readonly forget?: boolean }): Promise<void>;
}

interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

/** A login under way, between its approval and the exchange for tokens. */
interface Login {
  readonly clientId: string;
  readonly redirectUri?: string | undefined;
  readonly challenge?: string | undefined;
  readonly nonce?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";
/** Seconds. */
const tokenLife = 300;
const loginLife = 120;

/** Without a listener of its own: the caller says under which address it is reached. */
export async function devIssuer(issuer: string, options: DevIssuerOptions): Promise<DevIssuer> {
  const { clock, random, algorithm = "RS256" } = options;
  let keys = [await newKey(algorithm, random)];
  const jobs = new Map<string, TokenClaims>();
  const logins = new Map<string, Login>();

  const secret = (): string => base64url(random(24));
  const seconds = (): number => Math.floor(clock() / 1000);

  async function mint(claims: TokenClaims): Promise<string> {
    const [key] = keys;
    if (!key) throw new Error("the issuer has no key");
    const now = seconds();
    const all = { iss: issuer, iat: now, nbf: now, exp: now + tokenLife, jti: secret(), ...claims };
    return new SignJWT(all).setProtectedHeader({ alg: algorithm, typ: "JWT", kid: key.kid }).sign(key.privateKey);
  }

  const routes: Readonly<Record<string, (request: Asked) => Answer | Promise<Answer>>> = {
    "GET /.well-known/openid-configuration": () => json(200, discovery(issuer, algorithm)),
    "GET /.well-known/jwks": () => json(200, { keys: keys.map(({ jwk }) => jwk) }),
    "GET /actions/token": giveJobItsToken,
    "GET /authorize": approveInBrowser,
    "GET /device": () => ({ status: 200, type: "text/plain", body: "Approved. Go back to your terminal.\n" }),
    "POST /device_authorization": approveDevice,
    "POST /token": exchange,
  };

  async function giveJobItsToken({ query, authorization }: Asked): Promise<Answer> {
    const claims = jobs.get(/^bearer (\S+)$/i.exec(authorization)?.[1] ?? "");
    if (!claims) return json(401, { message: "not a job of this issuer" });
    return json(200, { value: await mint({ aud: query.get("audience") ?? issuer, ...githubClaims(claims) }) });
  }

  /** RFC 6749, 4.1.1, with PKCE (RFC 7636) required and the redirect on loopback (RFC 8252). */
  function approveInBrowser({ query }: Asked): Answer {
    const [clientId, redirectUri, challenge] = ["client_id", "redirect_uri", "code_challenge"].map((name) =>
      query.get(name),
    );
    if (!clientId || !redirectUri || !isLoopback(redirectUri))
      return failed("invalid_request", "client_id and a loopback redirect_uri");
    if (query.get("response_type") !== "code") return failed("unsupported_response_type", "response_type=code");
    if (!challenge || query.get("code_challenge_method") !== "S256")
      return failed("invalid_request", "code_challenge with S256");
    const code = begin({ clientId, redirectUri, challenge, nonce: query.get("nonce") ?? undefined });
    const target = new URL(redirectUri);
    for (const [name, value] of [
      ["code", code],
      ["state", query.get("state")],
      ["iss", issuer],
    ] as const) {
      if (value !== null) target.searchParams.set(name, value);
    }
    return { status: 302, location: target.href };
  }

  /** RFC 8628, 3.1 and 3.2. Approved at once: the first poll gets the tokens. */
  function approveDevice({ form }: Asked): Answer {
    const clientId = form.get("client_id");
    if (!clientId) return failed("invalid_request", "client_id");
    const verification = `${issuer}/device`;
    return json(200, {
      device_code: begin({ clientId }),
      user_code: "DEV-LOGIN",
      verification_uri: verification,
      verification_uri_complete: `${verification}?user_code=DEV-LOGIN`,
      expires_in: loginLife,
      interval: 1,
    });
  }

  function begin(login: Omit<Login, "expiresAt">): string {
    const code = secret();
    logins.set(code, { ...login, expiresAt: clock() + loginLife * 1000 });
    return code;
  }

  /** RFC 6749, 4.1.3; RFC 8628, 3.4. A code works once. */
  async function exchange({ form }: Asked): Promise<Answer> {
    const grant = form.get("grant_type");
    if (grant !== "authorization_code" && grant !== deviceGrant)
      return failed("unsupported_grant_type", "code or device");
    const code = form.get(grant === deviceGrant ? "device_code" : "code") ?? "";
    const login = logins.get(code);
    logins.delete(code);
    if (!login || login.expiresAt < clock() || login.clientId !== form.get("client_id") || !fits(login, form)) {
      return failed("invalid_grant", "the code, its client, its redirect or its verifier do not fit");
    }
    const claims = { ...personClaims(options.person), aud: login.clientId, nonce: login.nonce };
    return json(200, {
      id_token: await mint(claims),
      access_token: secret(),
      token_type: "Bearer",
      expires_in: tokenLife,
    });
  }

  const fits = ({ redirectUri, challenge }: Login, form: URLSearchParams): boolean =>
    challenge === undefined ||
    (form.get("redirect_uri") === redirectUri &&
      createHash("sha256")
        .update(form.get("code_verifier") ?? "")
        .digest("base64url") === challenge);

  return {
    issuer,
    mint,
    job(claims = {}) {
      const token = secret();
      jobs.set(token, claims);
      return {
        ACTIONS_ID_TOKEN_REQUEST_URL: `${issuer}/actions/token?api-version=2.0`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: token,
      };
    },
    async rotate({ forget = false } = {}) {
      keys = [await newKey(algorithm, random), ...(forget ? [] : keys)];
    },
    listener: (request, response) => {
      answer(request, issuer, routes).then(
        (given) => {
          send(response, given);
        },
        () => {
          send(response, json(500, { error: "server_error" }));
        },
      );
    },
  };
}

/** Listens on 127.0.0.1; on any free port unless told. */
export async function startDevIssuer(
  options: DevIssuerOptions & { readonly port?: number | undefined },
): Promise<DevIssuer & AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const issuer = await devIssuer(`http://127.0.0.1:${String(port)}`, options);
  server.on("request", issuer.listener);
  return {
    ...issuer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function newKey(algorithm: DevAlgorithm, random: Random): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const kid = base64url(random(9));
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: "sig" } };
}

const discovery = (issuer: string, algorithm: DevAlgorithm) => ({
  issuer,
  jwks_uri: `${issuer}/.well-known/jwks`,
  authorization_endpoint: `${issuer}/authorize`,
  device_authorization_endpoint: `${issuer}/device_authorization`,
  token_endpoint: `${issuer}/token`,
  response_types_supported: ["code"],
  grant_types_supported: ["authorization_code", deviceGrant],
  code_challenge_methods_supported: ["S256"],
  token_endpoint_auth_methods_supported: ["none"],
  subject_types_supported: ["public"],
  id_token_signing_alg_values_supported: [algorithm],
  scopes_supported: ["openid", "profile"],
  authorization_response_iss_parameter_supported: true,
});

interface Asked {
  readonly query: URLSearchParams;
  readonly form: URLSearchParams;
  readonly authorization: string;
}

type Answer =
  | { readonly status: number; readonly type: string; readonly body: string }
  | { readonly status: 302; readonly location: string };

const json = (status: number, body: object): Answer => ({
  status,
  type: "application/json",
  body: JSON.stringify(body),
});

/** RFC 6749, 5.2. */
const failed = (error: string, expected: string): Answer =>
  json(400, { error, error_description: `expected ${expected}` });

/** A page that rebinds its name to 127.0.0.1 comes with its own Host, and gets nothing. */
async function answer(
  request: IncomingMessage,
  issuer: string,
  routes: Readonly<Record<string, (request: Asked) => Answer | Promise<Answer>>>,
): Promise<Answer> {
  const url = URL.parse(request.url ?? "/", issuer);
  if (!url || request.headers.host !== new URL(issuer).host) return json(421, { error: "misdirected" });
  const name = `${request.method ?? "GET"} ${url.pathname}`;
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
  if (!route) return json(404, { error: "not_found" });
  const form = new URLSearchParams(await bodyOf(request));
  return route({ query: url.searchParams, form, authorization: request.headers.authorization ?? "" });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > 16_384) throw new Error("the form is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function send(response: ServerResponse, given: Answer): void {
  if ("location" in given)
    response.writeHead(given.status, { location: given.location, "cache-control": "no-store" }).end();
  else response.writeHead(given.status, { "content-type": given.type, "cache-control": "no-store" }).end(given.body);
}

function isLoopback(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === "http:" && ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
}
