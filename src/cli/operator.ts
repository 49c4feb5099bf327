// People with roles: the first enrols over the local socket, the others are added.

import type { Operator, RoleName } from "../client/answers.ts";
import { personKey } from "../client/contexts.ts";
import { placesOf } from "../client/places.ts";
import { exits, granted, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { clientFor, connectedClient, type GlobalOptions, keepContext, loginByKey, targetOf } from "./server.ts";

interface FirstOptions extends GlobalOptions {
  readonly issuer?: string;
  readonly subject?: string;
}

export async function enrolFirst({ world, out, words, options }: Job<FirstOptions>): Promise<number> {
  const [name = ""] = words;
  const { issuer, subject } = options;
  if ((issuer === undefined) !== (subject === undefined))
    throw usage("--issuer and --subject go together", "give both, or neither to be known by this machine's key");
  const target = await targetOf(world, options);
  if (!target.context.server.startsWith("unix:")) {
    throw usage(
      "the first operator enrols over the daemon's local socket",
      "on the daemon's machine: signet --server unix:/PATH/OF/THE/SOCKET operator enrol-first NAME",
    );
  }
  const key = await personKey(target.places.config);
  const client = await clientFor(world, options, target.context, { key });
  try {
    const answer = await client.ask("EnrolFirstOperator", { input: { name, issuer, subject } });
    const { operator } = granted(answer, { done: "enrolled", asked: `${name} as the first operator` });
    out.say("enrolled", `${operator.name} · ${rolesOf(operator)} · ${operator.id}`);
    if (subject === undefined) {
      out.say("identity", `this machine's key, thumbprint ${key.thumbprint}`);
      await loginByKey(client, target);
      await keepContext(target, target.context, true);
      out.say("logged in", `context ${target.context.name}`);
    } else out.say("next", "signet login");
    if (out.format !== "table") out.one([], operator);
    return exits.ok;
  } finally {
    client.close();
  }
}

interface AddOptions extends GlobalOptions {
  readonly issuer: string;
  readonly subject: string;
  readonly role: readonly string[];
}
const roles: readonly RoleName[] = ["OPERATOR", "APPROVER", "AUDITOR"];

export async function add({ world, out, words, options }: Job<AddOptions>): Promise<number> {
  const [name = ""] = words;
  const wanted = options.role.map((role) => {
    const found = roles.find((one) => one === role.toUpperCase());
    if (found === undefined) throw usage(`--role ${JSON.stringify(role)} is none`, "operator, approver or auditor");
    return found;
  });
  const { client } = await connectedClient(world, options);
  try {
    const input = { name, issuer: options.issuer, subject: options.subject, roles: wanted };
    const { operator } = granted(await client.ask("AddOperator", { input }), {
      done: "added",
      asked: `${name} as ${options.role.join(", ")}`,
    });
    out.say("added", `${operator.name} · ${rolesOf(operator)} · ${operator.id}`);
    if (out.format !== "table") out.one([], operator);
    return exits.ok;
  } finally {
    client.close();
  }
}

export async function list({ world, out, options }: Job<GlobalOptions>): Promise<number> {
  const { client } = await connectedClient(world, options);
  try {
    const operators = granted(await client.ask("Operators", {}), { done: "listed", asked: "operators" });
    out.list(
      "operators",
      operators,
      [
        { title: "ID", cell: (one) => one.id },
        { title: "NAME", cell: (one) => one.name },
        { title: "ROLES", cell: rolesOf },
        { title: "IDENTITY", cell: (one) => `${one.issuer} · ${one.subject}` },
      ],
      (one) => one,
    );
    return exits.ok;
  } finally {
    client.close();
  }
}

export async function remove({ world, out, words, options }: Job<GlobalOptions>): Promise<number> {
  const [id = ""] = words;
  const { client } = await connectedClient(world, options);
  try {
    const { operator } = granted(await client.ask("RemoveOperator", { input: { operator: id } }), {
      done: "removed",
      asked: `operator ${id}`,
    });
    out.say("removed", `${operator.name} · ${operator.id}`);
    if (out.format !== "table") out.one([], operator);
    return exits.ok;
  } finally {
    client.close();
  }
}

/** Makes the key where there is none. */
export async function id({ world, out }: Job<GlobalOptions>): Promise<number> {
  const { thumbprint } = await personKey(placesOf(world.env).config);
  if (out.format === "table") out.print(thumbprint);
  else out.one([], { issuer: "key", subject: thumbprint });
  out.tell(`an operator adds you with: signet operator add NAME --issuer key --subject ${thumbprint} --role ROLE`);
  return exits.ok;
}

const rolesOf = (operator: Operator): string => operator.roles.map((role) => role.toLowerCase()).join(", ");
