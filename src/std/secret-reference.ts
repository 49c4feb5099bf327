// Where the bytes of a secret come from. A configuration file holds references and never the secret itself;
// config.ts alone reads what they point at.

import { z } from "zod";

export const secretReference = z.union([
  z.strictObject({ file: z.string().min(1).describe("path of a file that only the daemon can read") }),
  z.strictObject({
    credential: z
      .string()
      .regex(/^[A-Za-z0-9._-]+$/)
      .describe("name of a systemd credential (LoadCredential=)"),
  }),
  z.strictObject({
    env: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
      .describe("name of an environment variable"),
  }),
]);

export type SecretReference = z.infer<typeof secretReference>;
