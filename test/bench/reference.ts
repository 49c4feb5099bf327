// The servers of the reference rows, each a process of its own: what this machine can do at most in one respect.
//
//   bare-http          node:http and nothing else
//   raw-sign           node:http whose every request makes `signaturesPerRequest` P-256 signatures, and nothing else
//   raw-group-commit   node:http whose every request waits for one durable SQLite row; whoever waits shares a commit

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** Enough that HTTP is no part of it. */
export const signaturesPerRequest = 200;

const bareHttp: RequestListener = (_request, response) => {
  response.end("ok");
};

function rawSign(): RequestListener {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const statement = randomBytes(2048);
  return (_request, response) => {
    for (let made = 0; made < signaturesPerRequest; made += 1) sign("sha256", statement, privateKey);
    response.end("ok");
  };
}

/** `GET /` waits for its row, `GET /told` tells of the commits so far and of the seconds spent in COMMIT. */
function rawGroupCommit(folder: string): RequestListener {
  const db = new DatabaseSync(join(folder, "raw.sqlite"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 8000");
  db.exec("CREATE TABLE leaf (idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT");
  const insert = db.prepare("INSERT INTO leaf (bytes) VALUES (?)");
  const leaf = randomBytes(1600); // as long as an intent
  let waiting: (() => void)[] = [];
  const told = { commits: 0, seconds: 0 };

  function commit(): void {
    const together = waiting;
    waiting = [];
    db.exec("BEGIN IMMEDIATE");
    together.forEach(() => {
      insert.run(leaf);
    });
    const began = performance.now();
    db.exec("COMMIT");
    told.seconds += (performance.now() - began) / 1000;
    told.commits += 1;
    for (const answer of together) answer();
  }

  return ({ url }, response) => {
    if (url === "/told") {
      response.end(JSON.stringify(told));
      return;
    }
    if (waiting.length === 0) setImmediate(commit);
    waiting.push(() => response.end("ok"));
  };
}

function listenerOf(name: string, folder: string): RequestListener {
  switch (name) {
    case "bare-http":
      return bareHttp;
    case "raw-sign":
      return rawSign();
    case "raw-group-commit":
      return rawGroupCommit(folder);
    default:
      throw new Error(`there is no reference server "${name}"`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [, , name = "", folder = ""] = process.argv;
  const server = createServer({ keepAlive: true, noDelay: true }, listenerOf(name, folder));
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    process.stdout.write(`${String(typeof address === "object" && address?.port)}\n`);
  });
}
