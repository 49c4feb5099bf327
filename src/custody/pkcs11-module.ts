// The module, called: find a token, log in, find, make and destroy keys, sign. The only code that loads pkcs11js, and it
// runs in a process of its own (pkcs11-host.ts), one call after the other.
//
// What a failed call leaves behind is not trusted: it gets a new session, and the key is looked for again. A session that
// is not logged in sees no private keys: nothing is answered from it, and the process says that its token is gone.

import { constants } from "node:os";

import pkcs11js from "pkcs11js";

import type { KeyAlgorithm } from "../model/key.ts";
import { buffer, fromHex, hex } from "../std/bytes.ts";
import { ailmentOf, codes } from "./pkcs11-codes.ts";
import { namesToken } from "./pkcs11-uri.ts";
import {
  type Claims,
  type Failure,
  type FoundKey,
  type FoundKeys,
  type Mechanism,
  type PublicPart,
  parseSignBody,
  signedBody,
  type ToGenerate,
  type TokenInfo,
  type ToOpen,
  type Wanted,
  type Which,
} from "./pkcs11-wire.ts";

const {
  CKA_ALWAYS_AUTHENTICATE,
  CKA_ALWAYS_SENSITIVE,
  CKA_CLASS,
  CKA_EC_PARAMS,
  CKA_EC_POINT,
  CKA_EXTRACTABLE,
  CKA_ID,
  CKA_KEY_TYPE,
  CKA_LABEL,
  CKA_LOCAL,
  CKA_MODIFIABLE,
  CKA_MODULUS,
  CKA_MODULUS_BITS,
  CKA_NEVER_EXTRACTABLE,
  CKA_PRIVATE,
  CKA_PUBLIC_EXPONENT,
  CKA_SENSITIVE,
  CKA_SIGN,
  CKA_TOKEN,
  CKA_VERIFY,
  CKA_WRAP_WITH_TRUSTED,
  CKF_OS_LOCKING_OK,
  CKF_RW_SESSION,
  CKF_SERIAL_SESSION,
  CKM_EC_KEY_PAIR_GEN,
  CKM_RSA_PKCS_KEY_PAIR_GEN,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
  CKU_CONTEXT_SPECIFIC,
  CKU_USER,
} = pkcs11js;

/** PKCS#11 3.0, which pkcs11js has no words for. */
const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;
const CKM_EDDSA = 0x1057;
const CKK_EC_EDWARDS = 0x40;
const CKF_HW_SLOT = 4;
/** States of a session whose user is logged in. */
const [CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS] = [1, 3];

/** For the longest signature, RSA-8192's. */
const room = Buffer.alloc(1024);

interface Key {
  readonly which: Which;
  handle: Buffer;
  readonly alwaysAuthenticate: boolean;
}

interface Opened {
  readonly slot: Buffer;
  /** Keeps the login: it ends with the last session. Nothing else is done with it. */
  readonly holder: Buffer;
  session: Buffer;
  readonly serial: string;
}

const module = new pkcs11js.PKCS11(); // one reference for the life of the process: its collection unloads the module
const keys: Key[] = [];
let opened: Opened | undefined;
let pin: string | undefined;
/** Whether the module's sessions say that somebody is logged in, once somebody is: only then can one be missed. */
let tellsOfLogin = false;

/** A failure in our own words. */
class Failed extends Error {
  readonly failure: Failure;
  constructor(failure: Failure, cause?: unknown) {
    super(failure.at, { cause });
    this.failure = failure;
  }
}

const failed = (at: string, nothingHappened = true): Failed => new Failed({ code: 0, at, nothingHappened });

export function failureOf(error: unknown): Failure {
  if (error instanceof Failed) return error.failure;
  const at = error instanceof Error ? error.message : String(error);
  return { code: codeOf(error) ?? 0, at: at.slice(0, 500), nothingHappened: false };
}

const codeOf = (error: unknown): number | undefined =>
  error instanceof pkcs11js.NativeError && "code" in error && typeof error.code === "number" ? error.code : undefined;

// open and login

export function open(wanted: ToOpen): TokenInfo {
  loadApart(wanted.module);
  module.load(wanted.module);
  module.C_Initialize(
    wanted.initialize === undefined
      ? { flags: CKF_OS_LOCKING_OK }
      : { flags: CKF_OS_LOCKING_OK, libraryParameters: wanted.initialize },
  );
  const found = module.C_GetSlotList(true).flatMap((slot) => {
    const info = tokenAt(slot);
    return info !== undefined && namesToken(defined(wanted.token), info) ? [{ slot, info }] : [];
  });
  const [one, second] = found;
  if (one === undefined) throw failed("no such token is there");
  if (second !== undefined) throw failed(`${String(found.length)} tokens fit: name the serial too`);
  const holder = session(one.slot);
  opened = { slot: one.slot, holder, session: session(one.slot), serial: one.info.serial };
  return one.info;
}

/**
 * node exports the symbols of its own OpenSSL, and a module that asks for OpenSSL would get those. Loaded first by us,
 * with RTLD_DEEPBIND, it looks into its own libraries before it looks into node; RTLD_NODELETE keeps it, so bound, when
 * node finds that it is no addon and lets go of it. pkcs11js then gets the copy that is there.
 */
function loadApart(path: string): void {
  const { RTLD_NOW, RTLD_DEEPBIND } = constants.dlopen;
  const RTLD_NODELETE = 0x1000; // bits/dlfcn.h of glibc; node has no name for it
  if (process.platform !== "linux" || typeof RTLD_DEEPBIND !== "number") return;
  try {
    process.dlopen({ exports: {} }, path, RTLD_NOW | RTLD_DEEPBIND | RTLD_NODELETE);
  } catch {
    // "Module did not self-register", as wanted; a module that cannot be loaded at all says so to pkcs11js in a moment
  }
}

function tokenAt(slot: Buffer): TokenInfo | undefined {
  try {
    const { label, serialNumber, manufacturerID, model, flags } = module.C_GetTokenInfo(slot);
    return {
      token: unpadded(label),
      serial: unpadded(serialNumber),
      manufacturer: unpadded(manufacturerID),
      model: unpadded(model),
      flags,
      hardware: (module.C_GetSlotInfo(slot).flags & CKF_HW_SLOT) !== 0,
      mechanisms: module.C_GetMechanismList(slot),
      rsaBits: rsaBits(slot),
    };
  } catch {
    return undefined; // a slot that cannot tell of its token is not the one
  }
}

/** Fields have a fixed width, filled with blanks; some modules fill with zero bytes. */
const unpadded = (text: string): string => text.replace(/[\0 ]+$/, "");

function rsaBits(slot: Buffer): number {
  try {
    return module.C_GetMechanismInfo(slot, CKM_RSA_PKCS_KEY_PAIR_GEN).maxKeySize;
  } catch {
    return 0;
  }
}

const defined = (wanted: Wanted): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(wanted).filter((entry): entry is [string, string] => typeof entry[1] === "string"));

/** Tokens that cannot be written to sign all the same. */
function session(slot: Buffer): Buffer {
  try {
    return module.C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION);
  } catch {
    return module.C_OpenSession(slot, CKF_SERIAL_SESSION);
  }
}

export function login(given: string): { readonly ok: true } {
  try {
    module.C_Login(inUse().holder, CKU_USER, given);
  } catch (error) {
    if (codeOf(error) !== codes.userAlreadyLoggedIn) throw error;
  }
  pin = given;
  try {
    tellsOfLogin ||= isLoggedIn();
  } catch {
    // a module that cannot tell is not asked again
  }
  return { ok: true };
}

function isLoggedIn(): boolean {
  const { state } = module.C_GetSessionInfo(inUse().session);
  return state === CKS_RO_USER_FUNCTIONS || state === CKS_RW_USER_FUNCTIONS;
}

/** The login ends with the last session, whoever closed it. Only a fresh process, with a new login, is of use then. */
function expectLogin(): void {
  if (tellsOfLogin && !isLoggedIn()) throw loginGone();
}

const loginGone = (cause?: unknown): Failed =>
  new Failed({ code: codes.deviceRemoved, at: "the login is gone", nothingHappened: true }, cause);

function inUse(): Opened {
  if (opened === undefined) throw failed("no token is open");
  return opened;
}

/** What a failed call leaves behind is not to be trusted: a new session, and every key is looked for again. */
function freshSession(): void {
  reopen();
  expectLogin();
}

function reopen(): void {
  const one = inUse();
  try {
    module.C_CloseSession(one.session);
  } catch {
    // it was gone already
  }
  one.session = session(one.slot);
}

function loginAgain(): void {
  if (pin === undefined) return;
  const { holder } = inUse();
  try {
    module.C_Logout(holder);
  } catch {
    // it was logged out already
  }
  try {
    login(pin); // the same PIN that was right before
  } catch (error) {
    if (ailmentOf(codeOf(error) ?? 0) === "pin") throw error;
    throw loginGone(error); // the session that kept it may be gone too
  }
}

// find

/** A module may go on as if nothing had happened when its token is gone, and find nothing: that is no answer. */
function expectToken(): void {
  const { slot, serial } = inUse();
  if (unpadded(module.C_GetTokenInfo(slot).serialNumber) !== serial)
    throw new Failed({ code: codes.deviceRemoved, at: "another token is there now", nothingHappened: true });
}

type Template = { readonly type: number; readonly value: number | boolean | Buffer | string }[];

function objects(kind: number, which: Which): readonly Buffer[] {
  const template: Template = [{ type: CKA_CLASS, value: kind }];
  if (which.id !== undefined) template.push({ type: CKA_ID, value: Buffer.from(fromHex(which.id)) });
  if (which.object !== undefined) template.push({ type: CKA_LABEL, value: which.object });
  const { session: at } = inUse();
  const out: Buffer[] = [];
  module.C_FindObjectsInit(at, template);
  for (let some = module.C_FindObjects(at, 64); some.length > 0; some = module.C_FindObjects(at, 64)) out.push(...some);
  module.C_FindObjectsFinal(at);
  return out;
}

function privateKeys(which: Which): readonly Buffer[] {
  const handles = objects(CKO_PRIVATE_KEY, which);
  if (handles.length === 0) expectToken();
  return handles;
}

/** Where the session turns out to be useless, the search is made once more in a new one. */
function search<T>(look: () => T): T {
  const seen = (): T => {
    const found = look();
    expectLogin(); // afterwards: what was found is an answer only if the login has lasted until now
    return found;
  };
  return within(true, () => {
    try {
      return seen();
    } catch (error) {
      if (ailmentOf(codeOf(error) ?? 0) !== "session") throw error;
      freshSession();
      return seen();
    }
  });
}

/** Failures of what runs tell, whatever they are, what it did. */
function within<T>(nothingHappened: boolean, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Failed({ ...failureOf(error), nothingHappened }, error);
  }
}

export const find = (which: Which): FoundKeys =>
  search(() => {
    const handles = privateKeys(which);
    const [handle] = handles;
    return { matches: handles.length, key: handles.length === 1 && handle ? told(handle) : null };
  });

function told(handle: Buffer): FoundKey {
  const id = attribute(handle, CKA_ID) ?? Buffer.of();
  const object = (attribute(handle, CKA_LABEL) ?? Buffer.of()).toString("utf8");
  const claims = claimsOf(handle);
  const which = { id: hex(id), object };
  const known = keys.findIndex((key) => key.which.id === which.id && key.which.object === which.object);
  const number = known < 0 ? keys.length : known;
  keys[number] = { which, handle, alwaysAuthenticate: claims.alwaysAuthenticate === true };
  return { number, ...which, public: publicPart(id, handle), claims };
}

/** Of the public key with the same CKA_ID; where there is none, what the private key itself shows. */
function publicPart(id: Buffer, privateKey: Buffer): PublicPart | null {
  const publics = id.length === 0 ? [] : objects(CKO_PUBLIC_KEY, { id: hex(id) });
  for (const handle of [...publics, privateKey]) {
    const [ecParams, ecPoint] = [attribute(handle, CKA_EC_PARAMS), attribute(handle, CKA_EC_POINT)];
    if (ecParams?.length && ecPoint?.length) return { ecParams: hex(ecParams), ecPoint: hex(ecPoint) };
    const [modulus, exponent] = [attribute(handle, CKA_MODULUS), attribute(handle, CKA_PUBLIC_EXPONENT)];
    if (modulus?.length && exponent?.length) return { modulus: hex(modulus), exponent: hex(exponent) };
  }
  return null;
}

/** One at a time: a call for several throws for all of them where one is not known. */
function attribute(handle: Buffer, type: number): Buffer | undefined {
  try {
    const value = module.C_GetAttributeValue(inUse().session, handle, [{ type }])[0]?.value;
    return value instanceof Buffer ? value : undefined;
  } catch {
    return undefined;
  }
}

function claimsOf(handle: Buffer): Claims {
  const says = (type: number): boolean | null => {
    const value = attribute(handle, type);
    return value?.length === 1 ? value[0] !== 0 : null;
  };
  return {
    sensitive: says(CKA_SENSITIVE),
    extractable: says(CKA_EXTRACTABLE),
    alwaysSensitive: says(CKA_ALWAYS_SENSITIVE),
    neverExtractable: says(CKA_NEVER_EXTRACTABLE),
    local: says(CKA_LOCAL),
    sign: says(CKA_SIGN),
    alwaysAuthenticate: says(CKA_ALWAYS_AUTHENTICATE),
    wrapWithTrusted: says(CKA_WRAP_WITH_TRUSTED),
    modifiable: says(CKA_MODIFIABLE),
  };
}

// generate and destroy

/**
 * PKCS#11 knows no "unless it is there". Of two who make the same pair at once each looks after it has made its own, and
 * whoever sees another one withdraws: at most one stays.
 */
export function generate(wanted: ToGenerate): { readonly collided: boolean } {
  if (search(() => privateKeys(wanted)).length > 0) return { collided: false };
  const common: Template = [
    { type: CKA_TOKEN, value: true },
    { type: CKA_LABEL, value: wanted.object },
    { type: CKA_ID, value: Buffer.from(fromHex(wanted.id)) },
  ];
  const { mechanism, parameters } = generation(wanted.algorithm);
  const pair = module.C_GenerateKeyPair(
    inUse().session,
    { mechanism },
    [...common, { type: CKA_VERIFY, value: true }, ...parameters],
    [
      ...common,
      { type: CKA_PRIVATE, value: true },
      { type: CKA_SENSITIVE, value: true },
      { type: CKA_EXTRACTABLE, value: false },
      { type: CKA_SIGN, value: true },
    ],
  );
  if (objects(CKO_PRIVATE_KEY, wanted).length <= 1) return { collided: false };
  for (const handle of [pair.privateKey, pair.publicKey]) module.C_DestroyObject(inUse().session, handle);
  return { collided: true };
}

function generation(algorithm: KeyAlgorithm): { readonly mechanism: number; readonly parameters: Template } {
  const curve = (oid: string): Template => [{ type: CKA_EC_PARAMS, value: Buffer.from(fromHex(oid)) }];
  const rsa = (bits: number): Template => [
    { type: CKA_MODULUS_BITS, value: bits },
    { type: CKA_PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
  ];
  switch (algorithm) {
    case "EC_P256":
      return { mechanism: CKM_EC_KEY_PAIR_GEN, parameters: curve("06082a8648ce3d030107") };
    case "EC_P384":
      return { mechanism: CKM_EC_KEY_PAIR_GEN, parameters: curve("06052b81040022") };
    case "ED25519":
      return {
        mechanism: CKM_EC_EDWARDS_KEY_PAIR_GEN,
        parameters: [...curve("06032b6570"), { type: CKA_KEY_TYPE, value: CKK_EC_EDWARDS }],
      };
    case "RSA_3072":
    case "RSA_3072_PSS":
      return { mechanism: CKM_RSA_PKCS_KEY_PAIR_GEN, parameters: rsa(3072) };
    case "RSA_4096":
    case "RSA_4096_PSS":
      return { mechanism: CKM_RSA_PKCS_KEY_PAIR_GEN, parameters: rsa(4096) };
  }
}

export function destroy(which: Which): { readonly ok: true } {
  for (const handle of search(() => privateKeys(which))) module.C_DestroyObject(inUse().session, handle);
  for (const handle of search(() => objects(CKO_PUBLIC_KEY, which))) module.C_DestroyObject(inUse().session, handle);
  return { ok: true };
}

// sign

export function sign(body: Uint8Array): Uint8Array {
  const { key: number, mechanism, items } = parseSignBody(body);
  const key = keys[number];
  if (key === undefined) throw failed("no such key was found in this process");
  const start = performance.now();
  const signatures = items.map((item, index) => signOne(key, mechanism, item, index === 0));
  return signedBody((performance.now() - start) * 1000, signatures);
}

/** Up to C_SignInit nothing is signed: what a new session or a new login heals there is tried once more. */
function signOne(key: Key, mechanism: Mechanism, item: Uint8Array, first: boolean): Uint8Array {
  within(first, () => {
    try {
      begin(key, mechanism);
    } catch (error) {
      heal(error, key);
      begin(key, mechanism);
    }
  });
  try {
    return Buffer.from(module.C_Sign(inUse().session, buffer(item), room));
  } catch (error) {
    if (ailmentOf(failureOf(error).code) !== "device") within(false, freshSession); // or the operation stays open
    throw error;
  }
}

function begin(key: Key, mechanism: Mechanism): void {
  module.C_SignInit(inUse().session, mechanismTable[mechanism], key.handle);
  if (key.alwaysAuthenticate && pin !== undefined) module.C_Login(inUse().session, CKU_CONTEXT_SPECIFIC, pin);
}

/** A new session, a new login where that was lost, and the key looked for again; throws what cannot be healed. */
function heal(error: unknown, key: Key): void {
  const code = codeOf(error) ?? 0;
  if (code === codes.userNotLoggedIn) {
    reopen();
    loginAgain();
  } else if (ailmentOf(code) === "session") reopen();
  else throw error;
  expectLogin();
  const [handle, second] = search(() => privateKeys(key.which));
  if (handle === undefined) throw failed("the key is not there any more");
  if (second !== undefined) throw failed("there is a second key of the same name now");
  key.handle = handle;
}

const pss = {
  type: pkcs11js.CK_PARAMS_RSA_PSS,
  hashAlg: pkcs11js.CKM_SHA256,
  mgf: pkcs11js.CKG_MGF1_SHA256,
  saltLen: 32,
};
const mechanismTable: Readonly<Record<Mechanism, pkcs11js.Mechanism>> = {
  ECDSA: { mechanism: pkcs11js.CKM_ECDSA },
  ECDSA_SHA256: { mechanism: pkcs11js.CKM_ECDSA_SHA256 },
  ECDSA_SHA384: { mechanism: pkcs11js.CKM_ECDSA_SHA384 },
  EDDSA: { mechanism: CKM_EDDSA },
  RSA_PKCS: { mechanism: pkcs11js.CKM_RSA_PKCS },
  SHA256_RSA_PKCS: { mechanism: pkcs11js.CKM_SHA256_RSA_PKCS },
  RSA_PSS_SHA256: { mechanism: pkcs11js.CKM_RSA_PKCS_PSS, parameter: pss },
  SHA256_RSA_PSS: { mechanism: pkcs11js.CKM_SHA256_RSA_PKCS_PSS, parameter: pss },
};
