// Loaded before a daemon under test (`node --import`): its registry of custodies is shelf-registry.ts.

import { registerHooks } from "node:module";

const registry = new URL("../../src/custody/index.ts", import.meta.url).href;
const withShelf = new URL("shelf-registry.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => {
    const found = next(specifier, context);
    return found.url === registry ? { ...found, url: withShelf } : found;
  },
});
