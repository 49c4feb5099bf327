// Keys and their life, as operators see them.

import type { Key, KeyVersion } from "../client/answers.ts";
import { isKeyName, type KeyAlgorithm, keyAlgorithms, type Purpose, purposes } from "../model/key.ts";
import { exits, granted, notFound, usage } from "./failure.ts";
import type { Job, Work } from "./job.ts";
import { rotationLines } from "./rotation-lines.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";
import { wholeNumber } from "./session.ts";
import { several, shownUri, when } from "./words.ts";

interface CreateOptions extends GlobalOptions {
  readonly purpose: string;
  readonly algorithm: string;
  readonly custody: string;
}

export async function create({ world, out, words, options }: Job<CreateOptions>): Promise<number> {
  const name = keyName(words[0]);
  const purpose: Purpose = oneOf("--purpose", options.purpose, purposes);
  const algorithm: KeyAlgorithm = oneOf("--algorithm", options.algorithm, keyAlgorithms);
  const { client } = await connectedClient(world, options);
  try {
    const input = { name, purpose, algorithm, custody: options.custody };
    const { key } = granted(await client.ask("CreateKey", { input }), {
      done: "created",
      asked: `key ${name}, purpose ${purpose}, ${algorithm} in ${options.custody}`,
    });
    const version = key.versions.at(-1);
    out.say(
      "created",
      `key ${name} v${String(version?.number ?? 1)} · ${plain(purpose)} · ${plain(algorithm)} · fingerprint SHA256:${version?.fingerprint.slice(0, 16) ?? ""}…`,
    );
    out.say("next", `it signs once it is active: signet key activate ${name}`);
    if (out.format !== "table") out.one([], key);
    return exits.ok;
  } finally {
    client.close();
  }
}

interface EnrollOptions extends GlobalOptions {
  readonly uri: string;
  readonly purpose: string;
  readonly custody: string;
}

export async function enroll({ world, out, words, options }: Job<EnrollOptions>): Promise<number> {
  const name = keyName(words[0]);
  const purpose: Purpose = oneOf("--purpose", options.purpose, purposes);
  const { uri, custody } = options;
  const { client } = await connectedClient(world, options);
  try {
    const { key } = granted(await client.ask("EnrollKey", { input: { name, purpose, custody, uri } }), {
      done: "enrolled",
      asked: `${shownUri(uri)} of ${custody} as key ${name}, purpose ${purpose}`,
    });
    const version = key.versions.at(-1);
    if (version !== undefined) {
      out.say("described", `${plain(version.algorithm)} · ${version.custody} · ${version.uri}`);
      for (const [label, text] of protectionLines(version)) out.say(label, text);
      out.say("possession", "proved by a signature over a challenge");
      out.say(
        "enrolled",
        `key ${name} v${String(version.number)} · ${plain(purpose)} · ${plain(version.state)} · fingerprint SHA256:${version.fingerprint.slice(0, 16)}…`,
      );
    }
    out.say("next", `it signs once it is active: signet key activate ${name}`);
    if (out.format !== "table") out.one([], key);
    return exits.ok;
  } finally {
    client.close();
  }
}

/** What is proved stands apart from what the backend only says of itself. */
function protectionLines({ protection }: KeyVersion): readonly (readonly [label: string, text: string])[] {
  if (!protection) return [["protection", "not recorded"]];
  const { level, exportable, proved, claimed } = protection;
  const leaves = { YES: "can leave it", NO: "cannot leave it", UNKNOWN: "whether it can leave is not known" }[
    exportable
  ];
  return [
    ["protection", `${plain(level)} · ${leaves}`],
    ...proved.map((one) => ["proved", one] as const),
    ...claimed.map((one) => ["claimed", `${one} (nothing proves it)`] as const),
  ];
}

export async function list({ world, out, options }: Job<GlobalOptions>): Promise<number> {
  const { client } = await connectedClient(world, options);
  try {
    const keys = granted(await client.ask("Keys", {}), { done: "listed", asked: "keys" });
    const rows = keys.flatMap((key) => key.versions.map((version) => ({ key, version })));
    out.list(
      "keys",
      rows,
      [
        { title: "KEY", cell: ({ key }) => key.name },
        { title: "VERSION", cell: ({ version }) => `v${String(version.number)}` },
        { title: "STATE", cell: ({ version }) => plain(version.state) },
        { title: "PURPOSE", cell: ({ key }) => plain(key.purpose) },
        { title: "ALGORITHM", cell: ({ version }) => plain(version.algorithm) },
        { title: "CUSTODY", cell: ({ version }) => version.custody },
        { title: "FINGERPRINT", cell: ({ version }) => `SHA256:${version.fingerprint.slice(0, 16)}…` },
      ],
      ({ key, version }) => ({ key: key.name, purpose: key.purpose, ...version }),
    );
    return exits.ok;
  } finally {
    client.close();
  }
}

interface ShowOptions extends GlobalOptions {
  readonly pem?: boolean;
  readonly number?: string;
}

export async function show({ world, out, words, options }: Job<ShowOptions>): Promise<number> {
  const name = keyName(words[0]);
  const number = options.number === undefined ? undefined : wholeNumber("--number", options.number);
  const { client } = await connectedClient(world, options);
  try {
    const key = granted(await client.ask("Key", { name }), { done: "shown", asked: `key ${name}` });
    if (key === null) throw notFound(`there is no key ${name}`, "signet key list shows them");
    const version = number === undefined ? newest(key) : key.versions.find((one) => one.number === number);
    if (version === undefined)
      throw notFound(
        `key ${name} has no version ${String(number ?? "")}`.trimEnd(),
        `signet key show ${name} shows its versions`,
      );
    if (options.pem) out.print(version.publicKey.trimEnd());
    else if (out.format !== "table") out.one([], number === undefined ? key : { ...key, versions: [version] });
    else {
      for (const one of number === undefined ? key.versions : [version]) out.one(linesOf(key, one, world.clock()), {});
      if (number === undefined && key.rotation) out.one(rotationLines(key.rotation, world.clock()), {});
    }
    return exits.ok;
  } finally {
    client.close();
  }
}

/** The newest that signs, else the newest. */
const newest = (key: Key): KeyVersion | undefined =>
  key.versions.findLast((one) => one.state === "ACTIVE") ?? key.versions.at(-1);

const linesOf = (key: Key, version: KeyVersion, now: number) =>
  [
    ["key", `${key.name} v${String(version.number)} · ${plain(version.state)}`],
    ["purpose", plain(key.purpose)],
    ["algorithm", plain(version.algorithm)],
    ["custody", `${version.custody} · ${version.uri}`],
    ...protectionLines(version),
    ["created", when(version.createdAt, now)],
    ...endedLines(version, now),
    ["SHA-256", version.fingerprint],
  ] as const;

function endedLines({ ended, trustedUntil }: KeyVersion, now: number): readonly (readonly [string, string])[] {
  if (!ended) return [];
  const until = trustedUntil == null ? "" : ` · published until ${when(trustedUntil, now)}`;
  return [["ended", `${plain(ended.why)} ${when(ended.at, now)}${until}`]];
}

interface ChangeOptions extends GlobalOptions {
  readonly number?: string;
  readonly reason?: string;
}

export const change =
  (operation: "ActivateKey" | "SuspendKey" | "ResumeKey" | "DeactivateKey", verb: string): Work<ChangeOptions> =>
  async ({ world, out, words, options }) => {
    const name = keyName(words[0]);
    const number = options.number === undefined ? undefined : wholeNumber("--number", options.number);
    const { client } = await connectedClient(world, options);
    try {
      const input = { key: name, number, reason: options.reason ?? `signet key ${verb}` };
      const asked = `${verb} key ${name}${number === undefined ? "" : ` v${String(number)}`}`;
      const { key } = granted(await client.ask(operation, { input }), { done: "changed", asked });
      for (const version of key.versions) out.say(key.name, `v${String(version.number)} is ${plain(version.state)}`);
      if (out.format !== "table") out.one([], key);
      return exits.ok;
    } finally {
      client.close();
    }
  };

export async function compromised({ world, out, words, options }: Job<ChangeOptions>): Promise<number> {
  const name = keyName(words[0]);
  const number = options.number === undefined ? undefined : wholeNumber("--number", options.number);
  const { client } = await connectedClient(world, options);
  try {
    const input = { key: name, number, reason: options.reason ?? "signet key compromised" };
    const { key } = granted(await client.ask("ReportKeyCompromised", { input }), {
      done: "stopped",
      asked: `report key ${name}${number === undefined ? "" : ` v${String(number)}`} as compromised`,
    });
    for (const version of key.versions) out.say(key.name, `v${String(version.number)} is ${plain(version.state)}`);
    out.say("sessions", "every session that covered it is revoked");
    out.say("signed", `signatures of ${several(key.released, "request", "requests")} were ever released`);
    out.say("next", `all of them, and what was withheld: signet audit list --key ${name} --type sign.outcome --all`);
    if (out.format !== "table") out.one([], key);
    return exits.ok;
  } finally {
    client.close();
  }
}

interface DestroyOptions extends ChangeOptions {
  readonly backend?: boolean;
}

export async function destroy({ world, out, words, options }: Job<DestroyOptions>): Promise<number> {
  const name = keyName(words[0]);
  const number = options.number === undefined ? undefined : wholeNumber("--number", options.number);
  const backend = options.backend ?? false;
  const { client } = await connectedClient(world, options);
  try {
    const input = { key: name, number, backend, reason: options.reason ?? "signet key destroy" };
    const { key } = granted(await client.ask("DestroyKey", { input }), {
      done: "destroyed",
      asked: `destroy key ${name}${number === undefined ? "" : ` v${String(number)}`}${backend ? ", and its private key at its custody" : ", which its custody keeps"}`,
    });
    for (const version of key.versions) out.say(key.name, `v${String(version.number)} is ${plain(version.state)}`);
    if (!backend) out.say("custody", "keeps the private key: destroy it there, or nothing but this record is gone");
    if (out.format !== "table") out.one([], key);
    return exits.ok;
  } finally {
    client.close();
  }
}

export function keyName(word: string | undefined): string {
  if (word === undefined || !isKeyName(word))
    throw usage(
      `${JSON.stringify(word)} is not a key's name`,
      "lower case, digits and inner hyphens, at most 63 characters",
    );
  return word;
}

/** `raw-digest` for RAW_DIGEST. */
function oneOf<T extends string>(option: string, given: string, all: readonly T[]): T {
  const found = all.find((one) => one === given.toUpperCase().replaceAll("-", "_"));
  if (found === undefined)
    throw usage(`${option} ${JSON.stringify(given)} is none`, `one of ${all.map(plain).join(", ")}`);
  return found;
}

export const plain = (name: string): string => name.toLowerCase().replaceAll("_", "-");
