/* A PKCS#11 module that hands everything to the real one, PKCS11_REAL, and misbehaves on command: while the file
 * PKCS11_WHEN is there, as its one line says.
 *
 *   hang       C_Sign never returns              crash      C_Sign ends the process
 *   garbage    C_Sign gives bytes of its own     short      C_Sign gives half a signature
 *   other ID   C_SignInit takes the key with that CKA_ID (hexadecimal)
 *   device N   C_SignInit fails with that code   sign N     C_Sign does
 *   once N     C_SignInit fails with that code, and the file goes away
 *   open N     C_OpenSession fails with that code
 *   stale N    likewise, and C_SignInit takes no key handle for valid
 *   login N    C_Login fails with that code
 *   closed     the next search or C_SignInit finds all sessions closed, and the login gone with them
 *   public     the next search or C_SignInit finds the user logged out
 *   lose N     the Nth C_SignInit from now on destroys its key and says that the device is gone
 *   babble     C_Login prints the PIN on stderr
 *   away       no slot has a token
 *   deaf       C_GetMechanismList names hashing mechanisms alone, and C_SignInit takes no others
 *
 * Each C_Login is a line in PKCS11_COUNT. Types as in PKCS#11 2.40 on Linux: no structure is packed. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef struct {
  ulong_t type;
  void *value;
  ulong_t length;
} attribute_t;
typedef struct {
  ulong_t type;
  void *parameter;
  ulong_t length;
} mechanism_t;
typedef ulong_t (*function_t)();
typedef struct {
  unsigned char version[2];
  function_t call[68];
} functions_t;

/* Places in CK_FUNCTION_LIST. */
enum { SLOTS = 4, MECHANISMS = 7, OPEN = 12, CLOSE_ALL = 14, INFO = 15, LOGIN = 18, LOGOUT = 19, DESTROY = 22, FIND_INIT = 26, FIND = 27, FIND_FINAL = 28, SIGN_INIT = 42, SIGN = 43 };

static functions_t *real, ours;
static char rest[256];

/* Whether the command is `word`; what follows it is in `rest` then. */
static int told(const char *word) {
  const char *when = getenv("PKCS11_WHEN");
  char line[256] = "";
  int file = when ? open(when, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  ssize_t length = read(file, line, sizeof line - 1);
  close(file);
  if (length <= 0) return 0;
  line[strcspn(line, "\n")] = 0;
  size_t size = strlen(word);
  if (strncmp(line, word, size) != 0 || (line[size] != 0 && line[size] != ' ')) return 0;
  strcpy(rest, line[size] ? line + size + 1 : "");
  return 1;
}

static ulong_t code(void) { return strtoul(rest, NULL, 0); }

static ulong_t slots(unsigned char present, ulong_t *list, ulong_t *count) {
  if (!told("away")) return real->call[SLOTS](present, list, count);
  *count = 0;
  return 0;
}

static int hashes(ulong_t type) { return type == 0x1044 || type == 0x1045 || type == 0x40 || type == 0x43; }
static int raw(ulong_t type) { return type == 0x1041 || type == 0x1 || type == 0xd; }

static ulong_t mechanisms(ulong_t slot, ulong_t *list, ulong_t *count) {
  ulong_t result = real->call[MECHANISMS](slot, list, count);
  if (result || !list || !told("deaf")) return result;
  for (ulong_t at = 0; at < *count; at++)
    if (raw(list[at])) list[at] = list[at] == 0x1041 ? 0x1044 : list[at] == 1 ? 0x40 : 0x43;
  return 0;
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session) {
  return told("open") || told("stale") ? code() : real->call[OPEN](slot, flags, application, notify, session);
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
  const char *count = getenv("PKCS11_COUNT");
  int file = count ? open(count, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (file >= 0) {
    if (write(file, "login\n", 6) < 0) return 5;
    close(file);
  }
  if (told("babble")) fprintf(stderr, "pPin %.*s\n", (int)length, pin);
  return told("login") ? code() : real->call[LOGIN](session, user, pin, length);
}

/* What somebody else in the process, or the token itself, may do between two calls. */
static void interfere(ulong_t session) {
  ulong_t info[4]; /* slot, state, flags, device error */
  int closed = told("closed");
  if (!closed && !told("public")) return;
  unlink(getenv("PKCS11_WHEN"));
  if (!closed) real->call[LOGOUT](session);
  else if (real->call[INFO](session, info) == 0) real->call[CLOSE_ALL](info[0]);
}

static ulong_t find_init(ulong_t session, attribute_t *wanted, ulong_t count) {
  interfere(session);
  return real->call[FIND_INIT](session, wanted, count);
}

/* The private key whose CKA_ID is in `rest`. */
static ulong_t other_key(ulong_t session) {
  unsigned char id[64];
  size_t length = strlen(rest) / 2;
  for (size_t at = 0; at < length; at++) sscanf(rest + 2 * at, "%2hhx", &id[at]);
  ulong_t private_key = 3, key = 0, found = 0;
  attribute_t wanted[] = {{0, &private_key, sizeof private_key}, {0x102, id, length}};
  real->call[FIND_INIT](session, wanted, (ulong_t)2);
  real->call[FIND](session, &key, (ulong_t)1, &found);
  real->call[FIND_FINAL](session);
  return key;
}

static ulong_t sign_init(ulong_t session, mechanism_t *mechanism, ulong_t key) {
  static ulong_t begun;
  interfere(session);
  if (told("lose") && ++begun >= code()) {
    real->call[DESTROY](session, key);
    return 0x32;
  }
  if (told("device")) return code();
  if (told("stale")) return 0x82;
  if (told("once")) {
    unlink(getenv("PKCS11_WHEN"));
    return code();
  }
  if (told("deaf") && hashes(mechanism->type) == 0) return 0x70;
  if (told("other")) key = other_key(session);
  return real->call[SIGN_INIT](session, mechanism, key);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t length, unsigned char *out, ulong_t *size) {
  if (told("hang"))
    for (;;) pause();
  if (told("crash")) abort();
  if (told("sign")) return code();
  ulong_t result = real->call[SIGN](session, data, length, out, size);
  if (result == 0 && told("garbage")) memset(out, 0x5a, *size);
  if (result == 0 && told("short")) *size /= 2;
  return result;
}

ulong_t C_GetFunctionList(functions_t **list) {
  void *module = dlopen(getenv("PKCS11_REAL"), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  function_t get = module ? (function_t)dlsym(module, "C_GetFunctionList") : NULL;
  if (!get || get(&real)) return 5;
  ours = *real;
  ours.call[SLOTS] = (function_t)slots;
  ours.call[MECHANISMS] = (function_t)mechanisms;
  ours.call[OPEN] = (function_t)open_session;
  ours.call[LOGIN] = (function_t)login;
  ours.call[FIND_INIT] = (function_t)find_init;
  ours.call[SIGN_INIT] = (function_t)sign_init;
  ours.call[SIGN] = (function_t)sign;
  *list = &ours;
  return 0;
}
