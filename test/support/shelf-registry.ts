// The registry of custodies as a daemon under test has it: the embedded one and the shelf.

import type { CustodyMeans } from "../../src/custody/kind.ts";
import { softwareKind } from "../../src/custody/software.ts";
import type { Custody } from "../../src/ports/custody.ts";
import { shelfKind } from "./shelf.ts";

export const custodies = [softwareKind, shelfKind] as const;

export function openCustody(
  config: { readonly kind: "software" } | { readonly kind: "shelf"; readonly directory: string },
  means: CustodyMeans,
): Custody {
  return config.kind === "shelf" ? shelfKind.open(config, means) : softwareKind.open(config, means);
}
