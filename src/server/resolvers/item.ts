// The schema's SignItem, an input of which exactly one member is set, as the broker's union.

import type { SignItem } from "../../formats/index.ts";
import { type Refusal, refuse } from "../../model/errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../../std/json.ts";
import { Refused } from "../errors.ts";
import type { SignItem as SignItemInput } from "../generated.ts";

export function itemsOf(inputs: readonly SignItemInput[]): readonly SignItem[] | Refusal {
  try {
    return inputs.map(itemOf);
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
}

/** Throws Refused ITEM_INVALID. */
function itemOf({ statement, image, jws, blob, digest }: SignItemInput, at: number): SignItem {
  if (statement) {
    const { subject, predicateType } = statement;
    return {
      kind: "statement",
      subject,
      predicateType,
      predicate: objectOf(statement.predicate, `items[${String(at)}].statement.predicate`),
    };
  }
  if (image) {
    const annotations = image.annotations
      ? annotationsOf(image.annotations, `items[${String(at)}].image.annotations`)
      : undefined;
    return { kind: "image", repository: image.repository, digest: image.digest, annotations };
  }
  if (jws) return { kind: "jws", type: jws.type, payload: objectOf(jws.payload, `items[${String(at)}].jws.payload`) };
  if (blob) return { kind: "blob", name: blob.name, digest: blob.digest };
  return { kind: "digest", digest: digest.digest };
}

function objectOf(value: Json, field: string): JsonObject {
  if (!isJsonObject(value)) throw new Refused(refuse("ITEM_INVALID", `${field} is not a JSON object`));
  return value;
}

function annotationsOf(value: Json, field: string): Readonly<Record<string, string>> {
  const entries = Object.entries(objectOf(value, field)).map(([name, text]) => {
    if (typeof text !== "string")
      throw new Refused(
        refuse("ITEM_INVALID", `${field}: the value of ${JSON.stringify(name.slice(0, 40))} is not a string`),
      );
    return [name, text] as const;
  });
  return Object.fromEntries(entries);
}
