// The little issuer of `signet dev` with switches: it counts what is asked, and fails in the ways issuers fail.

import { createServer, type ServerResponse } from "node:http";
import { type DevIssuer, type DevIssuerOptions, devIssuer } from "../../src/cli/dev/issuer.ts";
import { systemClock, systemRandom } from "../../src/std/clock.ts";

export type IssuerTrouble = "none" | "error" | "silent" | "redirect" | "huge" | "garbage";

export interface FaultyIssuer extends DevIssuer, AsyncDisposable {
  /** Paths in the order they were asked for. */
  readonly asked: string[];
  trouble: IssuerTrouble;
}

export async function startFaultyIssuer(options: Partial<DevIssuerOptions> = {}): Promise<FaultyIssuer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${String(typeof address === "object" && address ? address.port : 0)}`;
  const issuer = await devIssuer(url, { clock: systemClock, random: systemRandom, ...options });
  const faulty: FaultyIssuer = {
    ...issuer,
    asked: [],
    trouble: "none",
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("request", (request, response) => {
    faulty.asked.push(request.url ?? "");
    if (faulty.trouble === "none") issuer.listener(request, response);
    else misbehave(faulty.trouble, response);
  });
  return faulty;
}

function misbehave(trouble: Exclude<IssuerTrouble, "none">, response: ServerResponse): void {
  switch (trouble) {
    case "error":
      response.writeHead(500).end("no");
      return;
    case "silent":
      return;
    case "redirect":
      response.writeHead(302, { location: "http://169.254.169.254/latest/meta-data/" }).end();
      return;
    case "huge":
      response.writeHead(200).end(Buffer.alloc(2 * 1024 * 1024, " "));
      return;
    case "garbage":
      response.writeHead(200).end("<!doctype html>");
      return;
  }
}
