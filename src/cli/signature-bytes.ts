// What a DSSE signature is applied to.

import { concat, utf8 } from "../std/bytes.ts";

/** https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md, "Signature Definition". */
export const pae = (type: string, payload: Uint8Array): Uint8Array =>
  concat(utf8(`DSSEv1 ${String(utf8(type).length)} ${type} ${String(payload.length)} `), payload);
