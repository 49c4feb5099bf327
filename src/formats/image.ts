// A container image, signed as cosign 3 does: a DSSE statement whose subject is the manifest's digest. The subject also
// names the repository, so that the signature says where the image was meant to be, not only which one it is.

import { refuse } from "../model/errors.ts";
import { nameProblem, repositoryProblem, sha256Problem } from "./checks.ts";
import { prepareStatement, statementType } from "./dsse.ts";
import type { Format } from "./format.ts";

export interface ImageItem {
  readonly kind: "image";
  /** OCI repository, without tag and digest. */
  readonly repository: string;
  /** Of the manifest or index, `sha256:<hex>`. */
  readonly digest: string;
  /** What `cosign verify -a name=value` asks for. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

export const imagePredicateType = "https://sigstore.dev/cosign/sign/v1";
const maxAnnotations = 64;

export const image: Format<ImageItem> = {
  kind: "image",
  prepare(item) {
    const problem = problemOf(item);
    if (problem !== undefined) return refuse("ITEM_INVALID", problem);
    const { repository, digest, annotations } = item;
    const subject = { name: repository, digest: { sha256: digest.slice("sha256:".length) } };
    return prepareStatement(
      {
        _type: statementType,
        subject: [annotations === undefined ? subject : { ...subject, annotations }],
        predicateType: imagePredicateType,
        predicate: {},
      },
      { kind: "image", artifacts: [{ name: repository, digest }], repository, predicateType: imagePredicateType },
    );
  },
};

function problemOf({ repository, digest, annotations = {} }: ImageItem): string | undefined {
  const pairs = Object.entries(annotations);
  if (pairs.length > maxAnnotations) {
    return `the image has ${String(pairs.length)} annotations, at most ${String(maxAnnotations)} fit`;
  }
  for (const [name, value] of pairs) {
    // Annotations come from a JSON value: that each is a string is not known before this line.
    if (typeof (value as unknown) !== "string") return "an annotation is not a string";
    const problem = nameProblem("the name of an annotation", name);
    if (problem !== undefined) return problem;
  }
  return repositoryProblem("repository", repository) ?? sha256Problem("digest", digest);
}
