// Every kind of custody. A new one is a file beside this one and a line here.

import type { z } from "zod";

import type { Custody } from "../ports/custody.ts";
import { awsKmsKind } from "./aws-kms.ts";
import type { CustodyMeans } from "./kind.ts";
import { pkcs11Kind } from "./pkcs11.ts";
import { softwareKind } from "./software.ts";
import { vaultTransitKind } from "./vault-transit.ts";

export type { CustodyMeans } from "./kind.ts";

export const custodies = [
  softwareKind, //
  awsKmsKind,
  vaultTransitKind,
  pkcs11Kind,
] as const;

export type CustodyConfig = z.infer<(typeof custodies)[number]["config"]>;

/** Opens what a part of the configuration says. Throws, in words for the operator, where that cannot work. */
export function openCustody(config: CustodyConfig, means: CustodyMeans): Custody {
  const kind = custodies.find((one) => one.kind === config.kind);
  if (kind === undefined) throw new Error(`no custody of kind ${config.kind}`);
  const open = kind.open as (config: CustodyConfig, means: CustodyMeans) => Custody; // config is of this very kind
  return open(config, means);
}
