// A certificate that vouches for itself, as servers in tests need it: one that is trusted, or one that is wrong.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** PEM. A client that is given `cert` as its authority trusts it, for the names in it. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** For two days from now, P-256. `names`: subject alternative names as openssl writes them. */
export function selfSigned(names = "IP:127.0.0.1,DNS:localhost"): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "certificate-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  try {
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const what = ["-subj", "/CN=test", "-addext", `subjectAltName=${names}`, "-days", "2"];
    execFileSync("openssl", ["req", "-x509", ...curve, ...what, "-keyout", key, "-out", cert], { stdio: "pipe" });
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
