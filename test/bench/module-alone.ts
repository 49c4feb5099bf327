// A PKCS#11 module alone: this process calls C_SignInit and C_Sign through pkcs11js as fast as it can, one P-256 signature
// after the other, each over the SHA-256 of another 2 KiB, and nothing else. No broker in front of it can be faster.
//
//   node module-alone.ts '{"module":"…","label":"…","serial":"…","pin":"…"}' SECONDS   →  one JSON object

import { verify } from "node:crypto";
import pkcs11js from "pkcs11js";
import { publicKeyOf } from "../../src/custody/pkcs11-key.ts";
import { find, generate, login, open } from "../../src/custody/pkcs11-module.ts";
import { sha256 } from "../../src/std/digest.ts";

const { CKA_CLASS, CKA_LABEL, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKM_ECDSA, CKO_PRIVATE_KEY } = pkcs11js;

interface Wanted {
  readonly module: string;
  readonly label: string;
  readonly serial: string;
  readonly pin: string;
}

const [, , given = "", seconds = "10"] = process.argv;
const { module: path, label, serial, pin } = JSON.parse(given) as Wanted; // custody.ts wrote it
const object = "alone";

// Found, initialised and logged in as the custody does it; from here on the module is called directly.
open({ module: path, token: { token: label, serial } });
login(pin);
generate({ id: "a10e", object, algorithm: "EC_P256" });
const found = find({ object }).key?.public;
const publicKey = found && publicKeyOf(found);
const module = new pkcs11js.PKCS11();
module.load(path);
const slot = module
  .C_GetSlotList(true)
  .find((one) => module.C_GetTokenInfo(one).serialNumber.replace(/[\0 ]+$/, "") === serial);
if (!slot || !publicKey) throw new Error(`there is no token ${serial}, or its key shows no public key`);
const session = module.C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION);
module.C_FindObjectsInit(session, [
  { type: CKA_CLASS, value: CKO_PRIVATE_KEY },
  { type: CKA_LABEL, value: object },
]);
const [key] = module.C_FindObjects(session, 1);
module.C_FindObjectsFinal(session);
if (!key) throw new Error("the key that was just made is not there");

const message = Buffer.alloc(2048, "statement ");
const room = Buffer.alloc(128);
function signOne(number: number): Uint8Array {
  message.writeUInt32BE(number, 0);
  module.C_SignInit(session, { mechanism: CKM_ECDSA }, key ?? Buffer.alloc(0));
  return module.C_Sign(session, Buffer.from(sha256(message)), room);
}

for (const until = performance.now() + (1000 * Number(seconds)) / 3; performance.now() < until; ) signOne(0);
const times: number[] = [];
const cpuBefore = process.cpuUsage();
const began = performance.now();
let last = new Uint8Array();
for (let now = began; now < began + 1000 * Number(seconds); ) {
  last = Uint8Array.from(signOne(times.length));
  const then = performance.now();
  times.push(then - now);
  now = then;
}
const took = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
if (!verify("sha256", message, { key: publicKey, dsaEncoding: "ieee-p1363" }, last))
  throw new Error("the module's last signature does not verify");

times.sort((a, b) => a - b);
const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0;
const rssMb = process.resourceUsage().maxRSS / 1024;
const row = { requests: times.length, seconds: took, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
process.stdout.write(`${JSON.stringify({ ...row, cpu: (user + system) / 1e6, rssMb })}\n`);
process.kill(process.pid, "SIGKILL"); // modules crash when they are unloaded
