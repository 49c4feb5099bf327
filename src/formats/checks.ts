// Fields of items: each check answers with the problem in words, or with nothing. Everything here is the caller's own text.

import { quote } from "../tlog/text.ts";

/** Characters. Long enough for any path or image reference, short enough for an entry of the log. */
const maxNameLength = 1024;

// Control characters, lone surrogates, and the marks that turn the direction of text: an auditor reads these names.
const unreadable = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
// RFC 3986, section 3: a scheme, then something; no white space, quotes or other characters that no URI has.
const uri = /^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^`\p{Cc}\p{Cs}]+$/u;
// The grammar of github.com/distribution/reference, `name`: domain with a port, then lower-case path components.
const repository =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]{1,5})?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
// RFC 6838, section 4.2, as RFC 7515 uses it in `typ`: a media type, with or without `application/`.
const tokenType = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}(?:\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126})?$/;

export function nameProblem(field: string, name: string): string | undefined {
  if (name === "") return `${field} is empty`;
  if (name.length > maxNameLength)
    return `${field} has ${String(name.length)} characters, at most ${String(maxNameLength)} fit`;
  if (unreadable.test(name)) return `${field} holds a control character or one that turns text around`;
  return undefined;
}

export const sha256Problem = (field: string, digest: string): string | undefined =>
  /^sha256:[0-9a-f]{64}$/.test(digest)
    ? undefined
    : `${field} is ${quote(digest)}, not sha256: and 64 lower-case hexadecimal digits`;

export const isAbsoluteUri = (text: string): boolean => text.length <= maxNameLength && uri.test(text);

export const uriProblem = (field: string, text: string): string | undefined =>
  isAbsoluteUri(text) ? undefined : `${field} is ${quote(text)}, not an absolute URI (https://…)`;

export const repositoryProblem = (field: string, text: string): string | undefined =>
  text.length <= 255 && repository.test(text)
    ? undefined
    : `${field} is ${quote(text)}, not an image repository (registry.example/team/app, without tag or digest)`;

export const tokenTypeProblem = (field: string, text: string): string | undefined =>
  tokenType.test(text) ? undefined : `${field} is ${quote(text)}, not a media type such as at+jwt`;
