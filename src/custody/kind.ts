// What a kind of custody brings to the registry: its name, the words of its configuration, and how to open it.

import type { Logger } from "pino";
import { z } from "zod";

import type { Custody } from "../ports/custody.ts";
import type { SealedKeys } from "../ports/sealed-keys.ts";
import type { Clock, Random } from "../std/clock.ts";
import type { Secret } from "../std/secret.ts";
import type { SecretReference } from "../std/secret-reference.ts";

/** Fields of every kind's configuration. The name stands in the log beside each use of its keys. */
export const named = {
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/)
    .optional()
    .describe("lower-case letters, digits and inner hyphens; the kind where absent"),
};

/** What the daemon lends to every kind. */
export interface CustodyMeans {
  /** As configured: for Faults and for what people read. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  readonly sealedKeys: SealedKeys;
  readonly random: Random;
  /** Seals what the embedded custody keeps. */
  readonly masterKey: Secret;
  /** Reads the bytes that a configuration refers to. Only the configuration knows files and environment. */
  readonly secret: (reference: SecretReference) => Secret;
}

export interface CustodyKind<
  Name extends string,
  Schema extends z.ZodType<{ readonly kind: Name; readonly name?: string | undefined }>,
> {
  readonly kind: Name;
  /** Strict; `kind` tells the members of the configuration's union apart. */
  readonly config: Schema;
  /** Throws where the configuration cannot work, in words for the operator who starts the daemon. */
  readonly open: (config: z.infer<Schema>, means: CustodyMeans) => Custody;
}
