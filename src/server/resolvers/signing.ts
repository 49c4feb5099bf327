// sign: the items in, the signatures out. Bundle, envelope and proof are made only where somebody selected them.

import { isRefusal } from "../../model/errors.ts";
import type { KeyAlgorithm } from "../../model/key.ts";
import type { Resolvers } from "../generated.ts";
import { itemsOf } from "./item.ts";

const signatureAlgorithms = {
  EC_P256: "ecdsa-sha2-256",
  EC_P384: "ecdsa-sha2-384",
  ED25519: "ed25519",
  RSA_3072: "rsa-pkcs1v15-sha2-256",
  RSA_4096: "rsa-pkcs1v15-sha2-256",
  RSA_3072_PSS: "rsa-pss-sha2-256",
  RSA_4096_PSS: "rsa-pss-sha2-256",
} as const satisfies Record<KeyAlgorithm, string>;

export const signing: Resolvers = {
  Mutation: {
    sign(_, { input }, { broker, call }) {
      const items = itemsOf(input.items);
      if (isRefusal(items)) return broker.turnedAway(call, "sign", items);
      return broker.sign(call, { idempotencyKey: input.idempotencyKey, key: input.key, items });
    },
  },
  SignSuccess: {
    signatures: ({ version, signatures }) => signatures.map((finished) => ({ version, finished })),
  },
  Signature: {
    keyVersion: ({ version }) => version,
    algorithm: ({ version }) => signatureAlgorithms[version.algorithm],
    value: ({ finished }) => finished.value,
    bundle: ({ finished }) => finished.bundle?.(),
    envelope: ({ finished }) => finished.envelope?.(),
    jws: ({ finished }) => finished.jws,
  },
  Receipt: {
    tlogProof: ({ tlogProof }) => tlogProof(),
  },
};
