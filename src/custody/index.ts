// Every kind of custody. A new one is a file beside this one and a line here.

import { softwareKind } from "./software.ts";

export type { CustodyMeans } from "./kind.ts";

export const custodies = [softwareKind] as const;
