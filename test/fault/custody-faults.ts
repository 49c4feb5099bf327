// Which faults of the places where keys live are caused on purpose, and by which test? Each is caused on the real server
// or module where it can be caused there, else by a proxy in front of it or a shim around it.

export interface NamedFault {
  readonly custody: "vault-transit" | "aws-kms" | "pkcs11";
  readonly fault: string;
  /** The suite in this folder. */
  readonly suite: `${string}.test.ts`;
  /** Words of the test's name, or of its row. */
  readonly by: string;
}

const vault = (fault: string, by: string): NamedFault => ({
  custody: "vault-transit",
  fault,
  suite: "vault.test.ts",
  by,
});
const kms = (fault: string, by: string): NamedFault => ({ custody: "aws-kms", fault, suite: "aws-kms.test.ts", by });
const token = (fault: string, by: string): NamedFault => ({ custody: "pkcs11", fault, suite: "pkcs11.test.ts", by });

export const custodyFaults: readonly NamedFault[] = [
  vault("sealed", "sealed in the middle"),
  vault("restarted", "restarted: away, then sealed, then back"),
  vault("token revoked", "its token is revoked"),
  vault("policy removed", "its policy is removed"),
  vault("key deleted", "the key is deleted"),
  vault("audit device blocked", "its audit device is blocked"),
  vault("500 after the work was done", "a 500 after the work was done"),
  vault("slow-loris answer", "a slow-loris answer ends with the deadline"),
  vault("wrong certificate", "a wrong certificate"),
  vault("answer from the wrong key version", "an answer that says it is from another key version"),
  kms("disabled key", "a disabled key"),
  kms("pending deletion", "a key that waits for its deletion"),
  kms("throttled", "throttled for long"),
  kms("clock skew", "a clock that is off"),
  kms("wrong region", "a key of another region"),
  kms("network cut mid-answer", "cut in the middle of the answer"),
  token("child killed", "a process that is killed from outside"),
  token("hung for ever", "one that hangs is ended at its deadline"),
  token("garbage", "returns garbage"),
  token("signature by another key", "signs with another key"),
  token("session limit", "no session to be had"),
  token("token removed in the middle", "that is taken away and comes back"),
  token("wrong PIN once", "that is wrong is given once"),
  token("locked PIN", "that has locked its PIN"),
];
