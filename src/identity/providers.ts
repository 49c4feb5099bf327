// Every kind of issuer. A new one is a file beside this one and a line here.

import { generic } from "./generic.ts";
import { github } from "./github.ts";
import { gitlab } from "./gitlab.ts";
import type { Provider } from "./issuer.ts";
import { kubernetes } from "./kubernetes.ts";
import { person } from "./person.ts";

export const providers: readonly Provider[] = [github, gitlab, kubernetes, generic, person];
