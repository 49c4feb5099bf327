// Which token, and which object on it? PKCS#11 URIs (RFC 7512), as p11tool prints them.
//
// A URI stands in configuration, records and the log: whatever could carry a PIN, and whatever names the module or a slot,
// is refused. Slots get new numbers when a token is plugged in again, and modules come from the configuration alone.

/** What names a token: each as C_GetTokenInfo tells it, without the padding. */
const tokenAttributes = ["model", "manufacturer", "serial", "token"] as const;
const objectAttributes = ["object", "type"] as const;

export type TokenAttributes = Readonly<Partial<Record<(typeof tokenAttributes)[number], string>>>;

export interface Pkcs11Uri extends TokenAttributes {
  /** CKA_ID. */
  readonly id?: Uint8Array;
  /** CKA_LABEL. */
  readonly object?: string;
  readonly type?: "private" | "public";
}

const scheme = "pkcs11:";

/** Throws SyntaxError, which says what is wrong and never repeats a value. */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  if (!text.startsWith(scheme)) throw new SyntaxError("a PKCS#11 URI begins with pkcs11:");
  const [path = "", query] = text.slice(scheme.length).split("?");
  if (query !== undefined) throw new SyntaxError(queryProblem(query));
  const out: Record<string, string | Uint8Array> = {};
  for (const part of path === "" ? [] : path.split(";")) {
    const at = part.indexOf("=");
    const name = at < 0 ? part : part.slice(0, at);
    if (at < 0 || Object.hasOwn(out, name))
      throw new SyntaxError(`"${shown(name)}" stands there twice or has no value`);
    out[name] = valueFor(name, percentDecoded(name, part.slice(at + 1)));
  }
  return out; // every name and every value was checked by valueFor
}

/** The one way we write it: attributes in p11tool's order, everything but RFC 3986's unreserved characters in percent. */
export function formatPkcs11Uri(uri: Pkcs11Uri): string {
  const texts = (names: readonly (keyof Pkcs11Uri)[]): readonly string[] =>
    names.flatMap((name) => {
      const value = uri[name];
      return typeof value === "string" ? [`${name}=${percentEncoded(value)}`] : [];
    });
  const id = uri.id === undefined ? [] : [`id=${[...uri.id].map(inPercent).join("")}`];
  return scheme + [...texts(tokenAttributes), ...id, ...texts(objectAttributes)].join(";");
}

/** Whether a token is one that the URI may mean: every attribute given must be equal. */
export const namesToken = (uri: TokenAttributes, token: Required<TokenAttributes>): boolean =>
  tokenAttributes.every((name) => uri[name] === undefined || uri[name] === token[name]);

const isText = (name: string): boolean =>
  [...tokenAttributes, ...objectAttributes].some((known: string) => known === name);

function valueFor(name: string, bytes: Buffer): string | Uint8Array {
  if (name === "id") return new Uint8Array(bytes);
  if (!isText(name)) throw new SyntaxError(pathProblem(name));
  const value = utf8Text(name, bytes);
  if (name === "type" && value !== "private" && value !== "public")
    throw new SyntaxError("type is private or public: nothing else is looked for");
  return value;
}

function utf8Text(name: string, bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new SyntaxError(`${name} is not UTF-8`);
  }
}

/** RFC 7512, 2.3: pk11-pchar is unreserved, some reserved characters, or percent and two hexadecimal digits. */
function percentDecoded(name: string, value: string): Buffer {
  if (!/^(?:[A-Za-z0-9._~:[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*$/.test(value))
    throw new SyntaxError(`"${shown(name)}" holds a character that must be written in percent`);
  return Buffer.from(
    value.replaceAll(/%(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    "latin1",
  );
}

const percentEncoded = (text: string): string =>
  [...Buffer.from(text)]
    .map((byte) => (/[A-Za-z0-9._~-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : inPercent(byte)))
    .join("");

const inPercent = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;

function pathProblem(name: string): string {
  if (name.startsWith("slot-")) return `${shown(name)} changes when a token is plugged in again: name token and serial`;
  if (name.startsWith("library-")) return "the configuration names the module, not the URI";
  return `"${shown(name)}" is none of ${[...tokenAttributes, "id", ...objectAttributes].join(", ")}`;
}

function queryProblem(query: string): string {
  if (/(^|&)pin-/.test(query))
    return "a PIN, or where to find one, never stands in a URI: see `pin` in the configuration";
  return "the part behind ? is not used: the configuration names the module";
}

const shown = (name: string): string => name.slice(0, 40).replaceAll(/[^A-Za-z0-9-]/g, "?");
