// Every command, its options and its help. The code behind one is loaded when it is called: `signet --help` stays quick.

import type { Command } from "commander";

import type { Call } from "./job.ts";

export function commands(program: Command, call: Call): void {
  signing(program, call);
  people(program, call);
  keys(program, call);
  policy(program, call);
  audit(program, call);
  rest(program, call);
}

const repeat = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function signing(program: Command, call: Call): void {
  const tokenFile = [
    "--identity-token-file <file>",
    "the job's OIDC token (else SIGNET_TOKEN_FILE, SIGNET_ID_TOKEN, GitHub, Kubernetes)",
  ] as const;
  const audience = ["--audience <name>", "to ask the CI provider for (SIGNET_AUDIENCE; signet)"] as const;

  call(
    program
      .command("sign <file...>")
      .description("sign files: a statement about each (SLSA provenance by default), or a detached signature")
      .option("--key <name>", "the key that signs; needless where the session has one that fits")
      .option("--detached", "sign the file's digest instead, with a key of purpose BLOB")
      .option("--attest-key <name>", "with --detached: sign a statement about each file too, with this key")
      .option("--predicate <file>", "JSON of the statement's predicate")
      .option("--type <uri>", "predicate type (https://slsa.dev/provenance/v1)")
      .option("--name <name>", "what the file is called in the signature and the log; its base name by default")
      .option("--out-dir <folder>", "where the signatures go; beside each file by default")
      .option("--session <file>", "of signet session open (SIGNET_SESSION); else opens and closes its own")
      .option(...tokenFile)
      .option(...audience)
      .option("--reason <text>", "shown in the log"),
    async () => (await import("./sign.ts")).sign,
  );
  call(
    program
      .command("verify <file>")
      .description("check a file's signatures and receipts, offline")
      .option("--key <pem...>", "public keys that are trusted (PEM files)", [])
      .option("--vkey <key>", "the log's verification key, or a file with it (SIGNET_VKEY)")
      .option("--witness-policy <file>", "C2SP policy: which witnesses must have cosigned")
      .option("--bundle <file>", "instead of FILE.sigstore.json and FILE.intoto.sigstore.json")
      .option("--signature <file>", "instead of FILE.sig")
      .option("--proof <file>", "instead of FILE.tlog-proof and FILE.intoto.tlog-proof")
      .option("--no-log", "the signature alone, without a receipt"),
    async () => (await import("./verify.ts")).verify,
  );

  const session = program.command("session").description("signing sessions: the right to sign for minutes");
  call(
    session
      .command("open")
      .description("open one and print SIGNET_SESSION=FILE for the commands that follow")
      .requiredOption("--key <name>", "a key to sign with; may be repeated", repeat)
      .option("--uses <number>", "signatures wanted; as many as the grant gives by default")
      .option("--ttl <duration>", "ISO 8601, such as PT10M; as long as the grant gives by default")
      .option("--reason <text>", "shown in the log")
      .option(...tokenFile)
      .option(...audience),
    async () => (await import("./session.ts")).open,
  );
  call(
    session
      .command("close")
      .description("close the session of SIGNET_SESSION and delete its file")
      .option("--session <file>", "instead of SIGNET_SESSION"),
    async () => (await import("./session.ts")).close,
  );
  call(
    session
      .command("list")
      .description("sessions, newest first")
      .option("--all", "closed and expired ones too")
      .option("--key <name>", "that cover this key")
      .option("--principal <id>", "of this immutable id")
      .option("--limit <number>", "at most", "50"),
    async () => (await import("./session.ts")).list,
  );
  call(
    session
      .command("revoke <session>")
      .description("end somebody's session at once")
      .requiredOption("--reason <text>", "shown in the log"),
    async () => (await import("./session.ts")).revoke,
  );
}

function people(program: Command, call: Call): void {
  call(
    program
      .command("login")
      .description("log in as operator, approver or auditor: in the browser, or with --key or --token-stdin")
      .option("--key", "with this machine's own key, where an operator enrolled it")
      .option("--device", "with a code to enter on another machine")
      .option("--token-stdin", "with an OIDC token from stdin")
      .option("--issuer <url>", "where people log in (SIGNET_ISSUER)")
      .option("--client-id <id>", "our name at the issuer (SIGNET_CLIENT_ID)"),
    async () => (await import("./login.ts")).login,
  );

  const operator = program.command("operator").description("people with roles");
  call(
    operator
      .command("enrol-first <name>")
      .description("make yourself the first operator: over the daemon's local socket, once")
      .option("--issuer <url>", "with --subject: an OIDC identity instead of this machine's key")
      .option("--subject <sub>", "the identity's immutable subject"),
    async () => (await import("./operator.ts")).enrolFirst,
  );
  call(
    operator
      .command("add <name>")
      .description("add a person; takes a second person unless the configuration says one")
      .requiredOption("--issuer <issuer>", "an OIDC issuer, or `key` or `mtls`")
      .requiredOption("--subject <subject>", "OIDC sub, or the thumbprint that signet operator id shows")
      .requiredOption("--role <role>", "operator, approver or auditor; may be repeated", repeat),
    async () => (await import("./operator.ts")).add,
  );
  call(operator.command("list").description("who has which roles"), async () => (await import("./operator.ts")).list);
  call(
    operator.command("remove <id>").description("take a person's roles away"),
    async () => (await import("./operator.ts")).remove,
  );
  call(
    operator.command("id").description("the thumbprint of this machine's key, for somebody to add you"),
    async () => (await import("./operator.ts")).id,
  );

  const custody = program.command("custody").description("places where keys live");
  call(
    custody.command("list").description("all of them, and how they are"),
    async () => (await import("./custody.ts")).list,
  );
  call(
    custody
      .command("unlock <name>")
      .description("give its token the PIN: typed, or one line on stdin; a wrong one counts"),
    async () => (await import("./custody.ts")).unlock,
  );

  const approval = program.command("approval").description("actions that wait for a second person");
  call(
    approval.command("list").description("what waits").option("--all", "what was decided or has expired too"),
    async () => (await import("./approval.ts")).list,
  );
  for (const verdict of ["approve", "deny"] as const) {
    call(
      approval
        .command(`${verdict} <id>`)
        .description(verdict === "approve" ? "let it happen" : "do not let it happen")
        .option("--hash <sha256>", "of the action, as you saw it; asked of the server and shown by default"),
      async () => (await import("./approval.ts")).decide(verdict),
    );
  }

  const context = program.command("context").description("the servers you work with");
  call(
    context.command("list").description("all of them; * is the current one"),
    async () => (await import("./context.ts")).list,
  );
  call(
    context.command("use <name>").description("make it the current one"),
    async () => (await import("./context.ts")).use,
  );
}

function keys(program: Command, call: Call): void {
  const key = program.command("key").description("signing keys and their life");
  call(
    key
      .command("create <name>")
      .description("a new key; it signs once it is activated")
      .requiredOption("--purpose <purpose>", "blob, image, attestation, token or raw-digest")
      .option(
        "--algorithm <name>",
        "ec-p256, ec-p384, ed25519, rsa-3072, rsa-4096, rsa-3072-pss or rsa-4096-pss",
        "ec-p256",
      )
      .option("--custody <kind>", "where the private key lives", "software"),
    async () => (await import("./key.ts")).create,
  );
  call(
    key
      .command("enroll <name>")
      .description("take in a key that a custody has; it signs once it is activated")
      .requiredOption("--uri <uri>", "as the custody names it; an alias is pinned to what it names now")
      .requiredOption("--custody <name>", "where the private key lives")
      .requiredOption("--purpose <purpose>", "blob, image, attestation, token or raw-digest"),
    async () => (await import("./key.ts")).enroll,
  );
  call(key.command("list").description("all keys"), async () => (await import("./key.ts")).list);
  call(
    key
      .command("show <name>")
      .description("one key with its versions")
      .option("--pem", "only the public key, PEM")
      .option("--number <version>", "the newest by default"),
    async () => (await import("./key.ts")).show,
  );
  call(
    key
      .command("rotate <name>")
      .description("make a new version, publish it, and let it sign when its public key has had time to spread")
      .option("--propagation <duration>", "ISO 8601: how long it is published before it signs (the server's, PT1H)")
      .option(
        "--before-verifiers-know",
        "take one below PT5M: verifiers may meet signatures that they cannot verify yet",
      )
      .option("--retire-after <duration>", "ISO 8601: how long the old one stays published (the server's, for good)")
      .option("--custody <name>", "where the new version is to live; by default where the old one does")
      .option("--to <uri>", "an existing key at that custody, instead of a new one")
      .option("--cancel", "before the switch: roll back; the new version never signs")
      .option("--idempotency-key <text>", "asked again under the same one, it is the same rotation")
      .option("--reason <text>", "shown in the log"),
    async () => (await import("./rotate.ts")).rotate,
  );
  call(
    key
      .command("trust [name]")
      .description("the public keys to trust now: those that sign, those that soon will, those that did")
      .option("--format <form>", "pem, jwks, sigstore or trusted-root", "pem"),
    async () => (await import("./key-trust.ts")).trust,
  );
  const changes = {
    activate: ["ActivateKey", "let a new key sign; takes a second person unless the configuration says one"],
    suspend: ["SuspendKey", "stop it for a while"],
    resume: ["ResumeKey", "let a suspended key sign again"],
    deactivate: ["DeactivateKey", "end its signing life"],
  } as const;
  for (const [verb, [operation, description]] of Object.entries(changes)) {
    call(
      key
        .command(`${verb} <name>`)
        .description(description)
        .option("--number <version>", "the newest that can change so, by default")
        .option("--reason <text>", "shown in the log"),
      async () => (await import("./key.ts")).change(operation, verb),
    );
  }
  call(
    key
      .command("compromised <name>")
      .description("stop it for good, revoke every session that covers it, and say how to list what it ever signed")
      .option("--number <version>", "the one that signs, by default")
      .option("--reason <text>", "shown in the log"),
    async () => (await import("./key.ts")).compromised,
  );
  call(
    key
      .command("destroy <name>")
      .description("end a version for ever; takes a second person unless the configuration says one")
      .option("--backend", "have its custody destroy the private key; else it is only forgotten here")
      .option("--number <version>", "the newest that can be destroyed, by default")
      .option("--reason <text>", "shown in the log"),
    async () => (await import("./key.ts")).destroy,
  );
  call(
    key
      .command("reconcile [name]")
      .description("what was recorded beside what the custodies counted, by day; of all keys by default")
      .requiredOption("--from <day>", "YYYY-MM-DD, in UTC")
      .requiredOption("--to <day>", "likewise; not included"),
    async () => (await import("./reconcile.ts")).reconcile,
  );
}

function policy(program: Command, call: Call): void {
  const group = program.command("policy").description("which job may sign what");
  call(
    group.command("test [folder]").description("load policy files and run their mustAllow and mustDeny cases, offline"),
    async () => (await import("./policy.ts")).test,
  );
  call(
    group
      .command("explain")
      .description("why a past request was decided so, or how one would be")
      .option("--entry <index>", "of the log: a session.open, sign or refusal entry")
      .option("--identity <file>", "JSON of a job's identity, as grants name it")
      .option("--key <name>", "with --identity: the key asked for; may be repeated", repeat)
      .option("--uses <number>", "with --identity")
      .option("--ttl <duration>", "with --identity: ISO 8601"),
    async () => (await import("./policy.ts")).explain,
  );
  call(
    group.command("show").description("the policy in force").option("--files", "the files' texts"),
    async () => (await import("./policy.ts")).show,
  );
}

function audit(program: Command, call: Call): void {
  const group = program.command("audit").description("who signed what, and the proof of it");
  const filters = (command: Command): Command =>
    command
      .option("--key <name>", "entries that use this key; may be repeated", repeat)
      .option("--type <type>", "of entry, such as sign.outcome; may be repeated", repeat)
      .option("--digest <sha256:hex>", "of an artifact")
      .option("--principal <id>", "immutable id of a project or person")
      .option("--session <id>", "of this signing session")
      .option("--code <code>", "refused with this code, SGN-2101 or POLICY_DENIED")
      .option("--result <result>", "done, withheld, failed, unknown or refused")
      .option("--since <time>", "7d, 12h, 30m, or a date or time in UTC")
      .option("--until <time>", "likewise")
      .option("--vkey <key>", "the log's verification key, or a file with it (SIGNET_VKEY; else pinned at first use)")
      .option("--witness-policy <file>", "C2SP policy: which witnesses must have cosigned");
  call(
    filters(group.command("list"))
      .description("entries, each verified against one checkpoint")
      .option("--all-types", "intents and the log's own entries too")
      .option("--limit <number>", "the newest, at most 1000", "50")
      .option("--all", "every one, however many there are"),
    async () => (await import("./audit-list.ts")).list,
  );
  call(
    filters(group.command("verify")).description(
      "prove every entry of a question, and that the log still holds what was seen before",
    ),
    async () => (await import("./audit-list.ts")).verify,
  );
  call(
    group.command("show <index>").description("one entry, verified").option("--vkey <key>", "as in audit list"),
    async () => (await import("./audit-show.ts")).show,
  );
  call(
    group
      .command("receipt <index>")
      .description("the C2SP tlog-proof of an entry against the newest checkpoint")
      .option("--witnessed", "wait for a checkpoint that a witness has cosigned")
      .option("--vkey <key>", "as in audit list")
      .option("--out <file>", "instead of stdout"),
    async () => (await import("./audit-show.ts")).receipt,
  );
  call(
    group
      .command("fsck [folder]")
      .description("hash the entire log again: a folder with a tlog-tiles tree, or the server's")
      .option("--vkey <key>", "as in audit list")
      .option("--witness-policy <file>", "C2SP policy: which witnesses are known"),
    async () => (await import("./audit-fsck.ts")).fsckLog,
  );
  call(
    group
      .command("export <folder>")
      .description("everything a stranger needs to check the log without us")
      .option("--vkey <key>", "as in audit list"),
    async () => (await import("./audit-export.ts")).exportLog,
  );
  call(
    group
      .command("watch")
      .description("remember the newest checkpoint, and shout when the log does not continue it")
      .option("--every <seconds>", "time between two looks", "60")
      .option("--once", "look once and end")
      .option("--vkey <key>", "as in audit list")
      .option("--state <file>", "where the checkpoint is remembered"),
    async () => (await import("./audit-watch.ts")).watch,
  );
  call(
    group
      .command("rebuild")
      .description(
        "drop the daemon's query tables and build them again from the leaves; on its machine, while it is stopped",
      )
      .requiredOption("--config <file>", "the daemon's configuration"),
    async () => (await import("./daemon-process.ts")).rebuild,
  );
}

function rest(program: Command, call: Call): void {
  call(
    program
      .command("doctor")
      .description("what works, what does not, what to do")
      .option("--fail-on <level>", "warn or fail: from where the exit code is not 0", "warn"),
    async () => (await import("./doctor.ts")).doctor,
  );
  call(
    program
      .command("explain [code]")
      .description("what an error code means and what to do; without a code all of them"),
    async () => (await import("./explain.ts")).explain,
  );
  call(
    program
      .command("dev")
      .description("a daemon with a throw-away configuration and an identity provider, for trying things")
      .option("--dir <folder>", "keep everything here instead of a temporary folder")
      .option("--port <number>", "of the daemon; a free one by default"),
    async () => (await import("./dev.ts")).dev,
  );
}
