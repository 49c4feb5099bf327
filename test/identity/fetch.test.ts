// What may be fetched, and from where: attack 36 at the one way out.

import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type FetchRules, fetchThrough, guardedFetch, type Resolve } from "../../src/clients/fetch.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<FetchRules> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return { origin: `http://127.0.0.1:${String(port)}`, dangerouslyAllowHttp: true };
}

const get = (url: string, rules: FetchRules, resolve?: Resolve) =>
  (resolve ? fetchThrough(resolve) : guardedFetch)({ url }, rules);
const refusedFor = (reason: string) => ({ name: "FetchError", reason });

test("an answer of the configured origin, whatever its status", async () => {
  const rules = await serve((request, response) => {
    response.writeHead(request.url === "/keys" ? 200 : 404).end(request.headers["accept-encoding"]);
  });
  const found = await get(`${rules.origin}/keys`, rules);
  expect([found.status, Buffer.from(found.body).toString()]).toEqual([200, "identity"]);
  expect((await get(rules.origin, rules)).status).toBe(404);
});

test("a body can be sent", async () => {
  const rules = await serve((request, response) => void request.pipe(response));
  const { body } = await guardedFetch({ url: rules.origin, method: "POST", body: Buffer.from("hello") }, rules);
  expect(Buffer.from(body).toString()).toBe("hello");
});

test.each([
  ["redirect", (_, response) => response.writeHead(302, { location: "/elsewhere" }).end()],
  ["too-large", (_, response) => response.end(Buffer.alloc(2000))],
  ["too-large", (_, response) => response.write(Buffer.alloc(600)) && response.end(Buffer.alloc(600))],
  ["encoding", (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end()],
  ["timeout", () => undefined],
  ["timeout", (_, response) => response.write("{")],
  ["network", (request) => request.socket.destroy()],
] satisfies [string, (...args: Parameters<RequestListener>) => unknown][])(
  "%s is an error (%#)",
  async (reason, listener) => {
    const rules = await serve((request, response) => void listener(request, response));
    await expect(
      get(rules.origin, { ...rules, maxBytes: 1000, timeout: reason === "timeout" ? 200 : 20_000 }),
    ).rejects.toMatchObject(refusedFor(reason));
  },
);

describe("only the configured origin, as it is spelled", () => {
  const origin = "https://ci.example.com";
  const never = vi.fn<Resolve>(() => Promise.reject(new Error("asked")));
  test.each([
    "https://ci.example.com.evil.example/",
    "https://ci.example.com@evil.example/",
    "https://user@ci.example.com/",
    "https://ci.example.com:444/",
    "https://ci.example.com:443/",
    "http://ci.example.com/",
    "HTTPS://ci.example.com/",
    "https://CI.example.com/",
    "https://ci．example．com/",
    "https://ci%2eexample.com/",
    "https:/ci.example.com/",
    "https://ci.example.com\\@evil.example/",
    " https://ci.example.com/",
    "file:///etc/passwd",
    "not a URL",
  ])("%s", async (url) => {
    await expect(get(url, { origin }, never)).rejects.toMatchObject(refusedFor("origin"));
    expect(never).not.toHaveBeenCalled();
  });

  test.each(["http://example.com", "http://10.0.0.1", "http://169.254.169.254"])(
    "plain http is for loopback alone: %s",
    async (http) => {
      await expect(get(`${http}/`, { origin: http, dangerouslyAllowHttp: true }, never)).rejects.toMatchObject(
        refusedFor("origin"),
      );
    },
  );

  test("and there only where it is said", async () => {
    await expect(get("http://127.0.0.1/", { origin: "http://127.0.0.1" }, never)).rejects.toMatchObject(
      refusedFor("origin"),
    );
  });
});

describe("the address is judged after resolution", () => {
  const origin = "https://ci.example.com";
  const to =
    (...addresses: string[]): Resolve =>
    () =>
      Promise.resolve(addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })));

  test.each([
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "0.0.0.0",
    "::",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fd00:ec2::254",
    "10.0.0.1",
    "172.31.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "224.0.0.1",
    "255.255.255.255",
    "100.100.100.200",
    "168.63.129.16",
  ])("a name that leads to %s is refused", async (address) => {
    await expect(get(`${origin}/`, { origin }, to(address))).rejects.toMatchObject(refusedFor("address"));
  });

  test("one bad address among good ones is enough", async () => {
    await expect(get(`${origin}/`, { origin }, to("93.184.216.34", "127.0.0.1"))).rejects.toMatchObject(
      refusedFor("address"),
    );
  });

  test("private addresses have to be allowed, the metadata service never is", async () => {
    const rules = { origin, allowPrivateAddresses: true, timeout: 100 };
    await expect(get(`${origin}/`, rules, to("169.254.169.254"))).rejects.toMatchObject(refusedFor("address"));
    await expect(get(`${origin}/`, rules, to("127.0.0.1"))).rejects.toMatchObject(refusedFor("address"));
  });

  test.each(["https://169.254.169.254", "https://[fe80::1]", "https://[::ffff:a9fe:a9fe]", "https://0.0.0.0"])(
    "%s is refused even where it is configured",
    async (literal) => {
      await expect(get(`${literal}/`, { origin: literal })).rejects.toMatchObject(refusedFor("address"));
    },
  );

  test("the connection goes to the judged address, there is no second lookup", async () => {
    const rules = await serve((request, response) => response.end(request.headers.host));
    const port = new URL(rules.origin).port;
    const resolve = vi.fn<Resolve>(to("127.0.0.1"));
    const { body } = await get(`http://localhost:${port}/`, { ...rules, origin: `http://localhost:${port}` }, resolve);
    expect(Buffer.from(body).toString()).toBe(`localhost:${port}`);
    expect(resolve).toHaveBeenCalledTimes(1);
  });

  test("localhost that leads elsewhere is refused", async () => {
    const localhost = { origin: "http://localhost:1", dangerouslyAllowHttp: true };
    await expect(get("http://localhost:1/", localhost, to("93.184.216.34"))).rejects.toMatchObject(
      refusedFor("address"),
    );
  });
});
