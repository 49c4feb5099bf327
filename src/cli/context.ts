// The servers that a person works with.

import { readContexts, writeContexts } from "../client/contexts.ts";
import { placesOf } from "../client/places.ts";
import { exits, notFound } from "./failure.ts";
import type { Job } from "./job.ts";

export async function list({ world, out }: Job): Promise<number> {
  const { current, contexts } = await readContexts(placesOf(world.env).config);
  out.list(
    "contexts",
    contexts,
    [
      { title: "", cell: (one) => (one.name === current ? "*" : "") },
      { title: "NAME", cell: (one) => one.name },
      { title: "SERVER", cell: (one) => one.server },
      { title: "LOG KEY", cell: (one) => one.vkey?.split("+").slice(0, 2).join("+") ?? "not seen yet" },
    ],
    (one) => ({ ...one, current: one.name === current }),
  );
  if (contexts.length === 0) out.tell("none yet: signet login --server ADDRESS makes one");
  return exits.ok;
}

export async function use({ world, out, words }: Job): Promise<number> {
  const [name = ""] = words;
  const folder = placesOf(world.env).config;
  const all = await readContexts(folder);
  const found = all.contexts.find((one) => one.name === name);
  if (found === undefined)
    throw notFound(`there is no context ${JSON.stringify(name)}`, "signet context list shows them");
  await writeContexts(folder, { ...all, current: name });
  out.say("context", `${name} · ${found.server}`);
  return exits.ok;
}
