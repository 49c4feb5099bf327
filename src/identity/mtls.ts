// Which client certificate came with this connection? RFC 8705, 3.1: SHA-256 over its DER, in base64url. The TLS
// handshake proved that the peer holds its key; whose it is, only the binding says, so a chain is not needed.
// Only for a TLS connection that ends in this process: a proxy's header is nobody's proof.

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Confirmation } from "../model/principal.ts";
import { base64url } from "../std/base64.ts";
import { sha256 } from "../std/digest.ts";

/** Undefined where there is no TLS of ours, or no client certificate. */
export function certificateOf(socket: Socket): Extract<Confirmation, { readonly "x5t#S256": string }> | undefined {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate && { "x5t#S256": certificateThumbprint(certificate.raw) };
}

export const certificateThumbprint = (der: Uint8Array): string => base64url(sha256(der));
