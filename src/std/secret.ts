// Bytes that must not be seen. A Secret prints "[secret]" under JSON, inspect and templates;
// the bytes come out of reveal() alone, where a reviewer will look.

import { inspect } from "node:util";

export class Secret {
  readonly #bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  reveal(): Uint8Array {
    return this.#bytes;
  }
  toString(): string {
    return "[secret]";
  }
  toJSON(): string {
    return "[secret]";
  }
  [inspect.custom](): string {
    return "[secret]";
  }
}
