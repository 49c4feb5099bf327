// node test/peers/install.ts [NAME…]: brings the tools that the tests hold Signet against, by default all of them.
//
// Debian's packages where we are root; Go and Python programs, pinned in this folder, into a cache outside the tree:
// ${SIGNET_PEERS:-${XDG_CACHE_HOME:-~/.cache}/signet/peers}/NAME-VERSION/. A program appears there by one rename, so
// it is whole or absent; what is there is not built again; two installers at once do not disturb each other.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { onPath, type RunOptions, run } from "../support/command.ts";
import { isPeerName, type Peer, type PeerName, peerNames, peers } from "./catalog.ts";
import { alone } from "./lock.ts";

/** Milliseconds. The longest build takes five minutes of two idle cores, twice that on busy ones. */
const INSTALL_LIMIT = 20 * 60_000;

/** The program could not be had on this machine; the message says why and what to do. */
export class PeerMissing extends Error {
  override readonly name = "PeerMissing";
}

type Say = (line: string) => void;
type CachedPeer = Exclude<(typeof peers)[PeerName], { from: "debian" }>;
type GoPeer = Exclude<CachedPeer, { from: "python" }>;
type PythonPeer = Extract<CachedPeer, { from: "python" }>;

/** Where the peer's program or library is, or undefined when it is not installed. */
function locate(name: PeerName): string | undefined {
  const peer = peers[name];
  if (peer.from === "debian") return "library" in peer ? libraryWithPrograms(peer) : onPath(name);
  for (const other of "others" in peer ? peer.others : []) {
    const found = onPath(other);
    if (found !== undefined) return found;
  }
  const program = join(folderOf(name, peer), name);
  return existsSync(program) ? program : undefined;
}

function libraryWithPrograms({
  library,
  programs,
}: {
  readonly library: string;
  readonly programs: readonly string[];
}): string | undefined {
  if (programs.some((program) => onPath(program) === undefined)) return undefined;
  return libraryFolders.map((folder) => join(folder, library)).find((path) => existsSync(path));
}

/** Debian's, by architecture, and the others'. */
const libraryFolders = [
  `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`,
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
];

/** Installs the peer unless it is there, and returns its program's path; throws PeerMissing when it cannot be had. */
export async function install(name: PeerName, say: Say): Promise<string> {
  const found = locate(name);
  if (found !== undefined) return found;
  const peer = peers[name];
  mkdirSync(cache(), { recursive: true });
  const lock = join(cache(), peer.from === "debian" ? "debian.lock" : `${name}.lock`);
  const waiting = (owner: number): void => {
    say(`${name}: waiting, process ${owner.toString()} is installing`);
  };
  await alone(lock, INSTALL_LIMIT, waiting, async () => {
    if (locate(name) !== undefined) return;
    const start = performance.now();
    say(`${name}: ${peer.from === "debian" ? "installing the package" : `building ${peer.version}`}`);
    await (peer.from === "debian" ? installPackages(name, peer.packages) : buildPeer(name, peer));
    say(`${name}: ready after ${((performance.now() - start) / 1000).toFixed(1)} s`);
  });
  const program = locate(name);
  if (program === undefined) throw new PeerMissing(`${name} was installed, but its program is not there`);
  return program;
}

async function installPackages(name: PeerName, packages: readonly string[]): Promise<void> {
  const command = `apt-get install ${packages.join(" ")}`;
  if (onPath("apt-get") === undefined) throw new PeerMissing(`${name} is not on PATH and this is not Debian`);
  if (process.getuid?.() !== 0) throw new PeerMissing(`${name} is not on PATH; as root: ${command}`);
  const apt = (...args: readonly string[]) =>
    run("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      timeout: 10 * 60_000,
    });
  const installNow = () => apt("install", "-y", "--no-install-recommends", ...packages);
  if ((await installNow()).status === 0) return;
  await apt("update"); // a fresh image has no package lists, an old one has stale ones
  const again = await installNow();
  if (again.status !== 0) throw new PeerMissing(`${command} failed: ${lastLine(again.stderr)}`);
}

async function buildPeer(name: PeerName, peer: CachedPeer): Promise<void> {
  if (peer.from === "python") await needPython(name, peer);
  else if (onPath("go") === undefined) {
    throw new PeerMissing(`${name} is built by Go and go is not on PATH; get Go from https://go.dev/dl or your system`);
  }
  sweep(name);
  const work = mkdtempSync(join(cache(), `.${name}-`));
  const bin = join(work, "bin");
  mkdirSync(bin);
  try {
    if (peer.from === "python") await pipInstall(name, peer, bin);
    else await (peer.from === "go" ? goInstall(peer, bin) : goBuildModule(peer, work, bin));
    renameSync(bin, folderOf(name, peer));
  } catch (cause) {
    if (locate(name) === undefined) throw cause; // else another installer was faster, which is as good
  } finally {
    removeTree(work);
  }
}

const FLAGS = ["-trimpath", "-ldflags", "-s -w"];

async function goInstall(peer: Extract<GoPeer, { from: "go" }>, bin: string): Promise<void> {
  await go(["install", ...FLAGS, `${peer.source}@${peer.version}`], { env: { GOBIN: bin } });
}

async function goBuildModule(peer: Extract<Peer, { from: "module" }>, work: string, bin: string): Promise<void> {
  const ours = join(import.meta.dirname, peer.folder);
  const module = join(work, "module");
  const patched = join(work, peer.patched.folder);
  const answer = await go(["mod", "download", "-json", peer.patched.source], { cwd: work });
  const download: unknown = JSON.parse(answer);
  if (typeof download !== "object" || download === null || !("Dir" in download) || typeof download.Dir !== "string") {
    throw new PeerMissing(`go mod download ${peer.patched.source} named no folder: ${answer}`);
  }
  cpSync(ours, module, { recursive: true });
  cpSync(download.Dir, patched, { recursive: true });
  await makeWritable(patched); // the module cache is read-only, and its modes come along
  cpSync(join(ours, peer.patched.folder), patched, { recursive: true });
  for (const { file, from, to } of peer.patched.edits ?? []) edit(join(patched, file), from, to);
  const tags = peer.tags === undefined ? [] : ["-tags", peer.tags];
  for (const [program, source] of Object.entries(peer.programs)) {
    await go(["build", ...FLAGS, ...tags, "-o", join(bin, program), source], { cwd: module });
  }
}

function edit(file: string, from: string, to: string): void {
  const [before, after, ...more] = readFileSync(file, "utf8").split(from);
  if (before === undefined || after === undefined || more.length > 0)
    throw new PeerMissing(`"${from}" does not stand once in ${file}`);
  writeFileSync(file, `${before}${to}${after}`);
}

async function needPython(name: PeerName, peer: PythonPeer): Promise<void> {
  const there = async (): Promise<boolean> =>
    onPath("python3") !== undefined && (await run("python3", ["-c", "import ensurepip, venv"])).status === 0;
  if (!(await there())) await installPackages(name, peer.packages);
  if (!(await there())) throw new PeerMissing(`${name} needs python3 with venv: ${peer.packages.join(" and ")}`);
}

/** The environment's own scripts name the folder it was made in; ours finds it beside itself, wherever it is moved. */
async function pipInstall(name: PeerName, peer: PythonPeer, bin: string): Promise<void> {
  const environment = join(bin, "venv");
  const requirements = join(import.meta.dirname, peer.folder, "requirements.txt");
  const pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps", "-r", requirements];
  await python("python3", ["-m", "venv", environment]);
  await python(join(environment, "bin", "python3"), pip);
  const start = `#!/bin/sh\nexec "$(dirname "$0")/venv/bin/python3" -m ${peer.module} "$@"\n`;
  writeFileSync(join(bin, name), start, { mode: 0o755 });
}

/** A second time when the first fails, for the network's sake. */
async function python(program: string, args: readonly string[]): Promise<void> {
  const once = () => run(program, args, { timeout: INSTALL_LIMIT });
  const first = await once();
  const last = first.status === 0 ? first : await once();
  if (last.status !== 0) throw new PeerMissing(`python3 ${args.join(" ")} failed: ${lastLine(last.stderr)}`);
}

/** Runs `go`; a second time when the first fails, for the network's sake. Returns its standard output. */
async function go(args: readonly string[], options: RunOptions): Promise<string> {
  const env = { CGO_ENABLED: "0", GOPROXY: await proxies(), GOWORK: "off", ...options.env };
  const once = () => run("go", args, { ...options, env, timeout: INSTALL_LIMIT });
  const first = await once();
  const last = first.status === 0 ? first : await once();
  if (last.status !== 0) throw new PeerMissing(`go ${args.join(" ")} failed: ${lastLine(last.stderr)}`);
  return last.stdout;
}

/** Go's module proxies without the fallback to the source hosts: a module that is not there must fail at once. */
async function proxies(): Promise<string> {
  const configured = (await run("go", ["env", "GOPROXY"])).stdout.trim();
  return configured.replace(/[,|]direct$/, "");
}

/** Where the programs are kept. */
function cache(): string {
  const { SIGNET_PEERS: chosen, XDG_CACHE_HOME: caches } = process.env;
  return chosen ?? join(caches ?? join(homedir(), ".cache"), "signet", "peers");
}

const folderOf = (name: PeerName, peer: CachedPeer): string => join(cache(), `${name}-${peer.version}`);

/** Removes what a killed installer left; nobody else is at work on this peer, since we hold its lock. */
function sweep(name: PeerName): void {
  for (const left of readdirSync(cache())) if (left.startsWith(`.${name}-`)) removeTree(join(cache(), left));
}

const removeTree = (folder: string): void => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
};

async function makeWritable(folder: string): Promise<void> {
  await run("chmod", ["-R", "u+w", folder]);
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "it said nothing";

async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !isPeerName(name));
  if (unknown.length > 0) {
    console.error(`peers: no such peer: ${unknown.join(", ")}; there are ${peerNames.join(", ")}`);
    process.exitCode = 2;
    return;
  }
  for (const name of peerNames.filter((known) => names.length === 0 || names.includes(known))) {
    try {
      const there = locate(name);
      if (there === undefined) await install(name, sayPeers);
      else sayPeers(`${name}: there, ${there}`);
    } catch (cause) {
      if (!(cause instanceof PeerMissing)) throw cause;
      sayPeers(`${name}: MISSING. ${cause.message}`);
      process.exitCode = 1;
    }
  }
}

const sayPeers: Say = (line) => {
  console.log(`peers: ${line}`);
};

if (import.meta.main) await main(process.argv.slice(2));
