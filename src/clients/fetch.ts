// May we ask this address? One guarded way out for everything that is fetched on behalf of a configuration:
// only the configured origin, only addresses that fit it, no redirects, no decompression, a size and a time limit.
//
// The address is judged after resolution and the connection goes to exactly the judged addresses, so a name that
// resolves differently a moment later (DNS rebinding) gains nothing. There is no second lookup.

import type { LookupAddress } from "node:dns";
import { lookup as systemLookup } from "node:dns/promises";
import http, { type IncomingMessage, type RequestOptions } from "node:http";
import https from "node:https";
import { BlockList, isIP } from "node:net";

export interface FetchRules {
  /** Scheme, host and port as the configuration spells them: `https://token.actions.githubusercontent.com`. */
  readonly origin: string;
  /** PEM. Replaces the system's roots. */
  readonly ca?: string | undefined;
  /** Milliseconds for the whole exchange; 5,000 unless given. */
  readonly timeout?: number | undefined;
  /** Bytes of the answer's body; 256 KiB unless given. */
  readonly maxBytes?: number | undefined;
  /** The origin's name may resolve to RFC 1918, RFC 6598 or RFC 4193 addresses (an inner GitLab, a cluster's API). */
  readonly allowPrivateAddresses?: boolean | undefined;
  /** Plain http, and only where the origin itself is a loopback address. */
  readonly dangerouslyAllowHttp?: boolean | undefined;
}

export interface FetchRequest {
  readonly url: string;
  readonly method?: "GET" | "POST" | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Uint8Array | undefined;
}

export interface Fetched {
  /** Never 3xx: a redirect is an error. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

/** Throws FetchError; any status but 3xx is an answer. */
export type GuardedFetch = (request: FetchRequest, rules: FetchRules) => Promise<Fetched>;

export type FetchErrorReason = "origin" | "address" | "redirect" | "encoding" | "too-large" | "timeout" | "network";

/** Its message is for our own log: it may name inner hosts. */
export class FetchError extends Error {
  readonly reason: FetchErrorReason;
  constructor(reason: FetchErrorReason, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "FetchError";
    this.reason = reason;
  }
}

export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

const defaults = { timeout: 5_000, maxBytes: 256 * 1024 };

export const guardedFetch: GuardedFetch = fetchThrough((hostname) => systemLookup(hostname, { all: true }));

export function fetchThrough(resolve: Resolve): GuardedFetch {
  return async (request, rules) => {
    const url = allowedUrl(request.url, rules);
    const literal = bareHost(url);
    if (isIP(literal)) judge({ address: literal, family: isIP(literal) }, url, rules);
    const signal = AbortSignal.timeout(rules.timeout ?? defaults.timeout);
    const response = await send(url, request, rules, signal, async (hostname) => {
      const addresses = await resolve(hostname);
      for (const address of addresses) judge(address, url, rules);
      return addresses;
    });
    return readAll(response, request.url, rules, signal);
  };
}

/** WHATWG parsing turns `http://2130706433/` and full-width dots into other hosts, so the text itself must start with the origin. */
function allowedUrl(text: string, rules: FetchRules): URL {
  const url = URL.parse(text);
  if (url?.origin !== rules.origin || !(text === rules.origin || text.startsWith(`${rules.origin}/`))) {
    throw new FetchError("origin", `${text.slice(0, 200)} is not under the configured origin ${rules.origin}`);
  }
  if (url.protocol === "https:") return url;
  if (url.protocol === "http:" && rules.dangerouslyAllowHttp && isLoopbackName(bareHost(url))) return url;
  throw new FetchError("origin", `${rules.origin} is not https`);
}

const bareHost = (url: URL): string => url.hostname.replace(/^\[|\]$/g, "");
const isLoopbackName = (host: string): boolean =>
  host === "localhost" || (isIP(host) !== 0 && reachOf(host, isIP(host)) === "loopback");

type Reach = "public" | "private" | "loopback" | "forbidden";

/** Link-local (cloud metadata), "this network", multicast, reserved, and tunnels that can hide any of them. */
const forbidden = ranges(
  [
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "224.0.0.0/4",
    "240.0.0.0/4",
  ],
  ["::/128", "fe80::/10", "fec0::/10", "ff00::/8", "2002::/16", "2001::/32", "fd00:ec2::254/128"],
);
const loopback = ranges(["127.0.0.0/8"], ["::1/128"]);
/** NAT64 (64:ff9b::/96) can name inner IPv4 addresses, hence it stands here. */
const inner = ranges(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"], ["fc00::/7", "64:ff9b::/96"]);

function ranges(ipv4: readonly string[], ipv6: readonly string[]): BlockList {
  const list = new BlockList();
  for (const [texts, family] of [
    [ipv4, "ipv4"],
    [ipv6, "ipv6"],
  ] as const) {
    for (const text of texts) {
      const [network = "", prefix] = text.split("/");
      list.addSubnet(network, Number(prefix), family);
    }
  }
  return list;
}

function reachOf(address: string, family: number): Reach {
  const type = family === 6 ? "ipv6" : "ipv4";
  if (forbidden.check(address, type)) return "forbidden";
  if (loopback.check(address, type)) return "loopback";
  return inner.check(address, type) ? "private" : "public";
}

/** A configured address literal speaks for itself; a name has to say that it may lead inside. */
function judge({ address, family }: LookupAddress, url: URL, rules: FetchRules): void {
  const reach = reachOf(address, family);
  const loopbackName = isLoopbackName(bareHost(url));
  const fits =
    reach === "loopback"
      ? loopbackName
      : !loopbackName &&
        (reach === "public" ||
          (reach === "private" && (rules.allowPrivateAddresses === true || bareHost(url) === address)));
  if (!fits) throw new FetchError("address", `${url.hostname} leads to ${address}, a ${reach} address: refused`);
}

function send(
  url: URL,
  request: FetchRequest,
  rules: FetchRules,
  signal: AbortSignal,
  resolve: Resolve,
): Promise<IncomingMessage> {
  const options: RequestOptions & https.RequestOptions = {
    method: request.method ?? "GET",
    headers: { accept: "application/json", "accept-encoding": "identity", ...request.headers },
    agent: false,
    signal,
    lookup: (hostname, { all }, done) => {
      resolve(hostname).then(
        (addresses) => {
          const [first] = addresses;
          if (!first) done(new FetchError("network", `${hostname} has no address`), "", 0);
          else if (all) done(null, [...addresses]);
          else done(null, first.address, first.family);
        },
        (error: unknown) => {
          done(error instanceof Error ? error : new Error(String(error)), "", 0);
        },
      );
    },
    ...(rules.ca === undefined ? {} : { ca: rules.ca }),
    minVersion: "TLSv1.2",
  };
  return new Promise((settle, reject) => {
    const sending = (url.protocol === "https:" ? https : http).request(url, options, settle);
    sending.on("error", (error) => {
      reject(asFetchError(error, signal, request.url));
    });
    sending.end(request.body);
  });
}

async function readAll(
  response: IncomingMessage,
  url: string,
  rules: FetchRules,
  signal: AbortSignal,
): Promise<Fetched> {
  const status = response.statusCode ?? 0;
  const maxBytes = rules.maxBytes ?? defaults.maxBytes;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    if (status >= 300 && status < 400)
      throw new FetchError("redirect", `${url} answered with a redirect: not followed`);
    const encoding = response.headers["content-encoding"] ?? "identity";
    if (encoding !== "identity")
      throw new FetchError("encoding", `${url} answered in ${encoding}, which was not asked for`);
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes)
        throw new FetchError("too-large", `${url} answered with more than ${String(maxBytes)} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    response.destroy();
    throw asFetchError(error, signal, url);
  }
  return { status, headers: response.headers, body: Buffer.concat(chunks) };
}

function asFetchError(error: unknown, signal: AbortSignal, url: string): FetchError {
  if (error instanceof FetchError) return error;
  if (signal.aborted) return new FetchError("timeout", `${url} did not answer in time`, error);
  return new FetchError("network", `${url}: ${error instanceof Error ? error.message : String(error)}`, error);
}
