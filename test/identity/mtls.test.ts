// The certificate of a real TLS connection, and none where there is none.

import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect as connectPlain, createServer as createPlain, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificateOf, certificateThumbprint } from "../../src/identity/mtls.ts";
import { run } from "../support/command.ts";

let directory: string;
let pair: { readonly key: string; readonly cert: string };
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "signet-mtls-"));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const made = await run("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    "/CN=job",
    "-days",
    "1",
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  expect(made.status, made.stderr).toBe(0);
  pair = { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
});
afterAll(async () => {
  await rm(directory, { recursive: true });
});

async function seenBy(server: Server, dial: (port: number) => Socket, event: string) {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const client = dial(typeof address === "object" && address ? address.port : 0);
  const [socket] = (await once(server, event)) as [Socket];
  const seen = certificateOf(socket);
  client.destroy();
  server.close();
  return seen;
}
const tls = () => createServer({ ...pair, requestCert: true, rejectUnauthorized: false });
const loose = { host: "127.0.0.1", rejectUnauthorized: false };

test("a client certificate is named by its SHA-256, self-signed or not", async () => {
  const seen = await seenBy(tls(), (port) => connect({ ...loose, port, ...pair }), "secureConnection");
  expect(seen).toEqual({ "x5t#S256": certificateThumbprint(new X509Certificate(pair.cert).raw) });
});

test("TLS without a client certificate, and no TLS, prove nothing", async () => {
  expect(await seenBy(tls(), (port) => connect({ ...loose, port }), "secureConnection")).toBeUndefined();
  expect(await seenBy(createPlain(), (port) => connectPlain({ ...loose, port }), "connection")).toBeUndefined();
});
