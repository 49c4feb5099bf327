// Custodies: how they are, and the PIN that a token waits for.

import { base64url } from "../std/base64.ts";
import { exits, granted, usage } from "./failure.ts";
import type { Job } from "./job.ts";
import { askPin } from "./pin.ts";
import { connectedClient, type GlobalOptions } from "./server.ts";

export async function list({ world, out, options }: Job<GlobalOptions>): Promise<number> {
  const { client } = await connectedClient(world, options);
  try {
    const custodies = granted(await client.ask("Custodies", {}), { done: "listed", asked: "custodies" });
    out.list(
      "custodies",
      custodies,
      [
        { title: "NAME", cell: ({ name }) => name },
        { title: "KIND", cell: ({ kind }) => kind },
        { title: "STATUS", cell: ({ status }) => status },
        { title: "MESSAGE", cell: ({ message }) => message },
      ],
      (one) => one,
    );
    return exits.ok;
  } finally {
    client.close();
  }
}

/** The PIN comes from a terminal that does not show it, or as a line on stdin: never as an argument, which others see. */
export async function unlock({ world, out, words, options }: Job<GlobalOptions>): Promise<number> {
  const [name = ""] = words;
  const pin = await askPin(world, `PIN of custody ${name}: `);
  if (pin === "") throw usage("there was no PIN", `signet custody unlock ${name} < PIN-FILE`);
  const { client } = await connectedClient(world, options);
  try {
    const input = { custody: name, pin, salt: base64url(world.random(32)) };
    const { custody } = granted(await client.ask("UnlockCustody", { input }), {
      done: "unlocked",
      asked: `unlock custody ${name}`,
    });
    out.say("unlocked", `${custody.name} · ${custody.message}`);
    if (out.format !== "table") out.one([], custody);
    return exits.ok;
  } finally {
    client.close();
  }
}
