/* A disk that fails on command, for files whose path begins with FAULTY_FILES: while the file FAULTY_WHEN is there, the
 * calls that its one line names fail with the errno it names: "sync EIO", "write ENOSPC", "write EROFS". */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int concerns(int fd) {
  const char *files = getenv("FAULTY_FILES");
  char link[64], path[4096];
  if (!files) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strncmp(path, files, strlen(files)) == 0;
}

/* 0, or the errno that this kind of call fails with now. */
static int fault(int fd, const char *kind) {
  const char *when = getenv("FAULTY_WHEN");
  char text[64] = "";
  if (!when || !concerns(fd)) return 0;
  int file = open(when, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0 || strncmp(text, kind, strlen(kind)) != 0) return 0;
  if (strstr(text, "ENOSPC")) return ENOSPC;
  if (strstr(text, "EROFS")) return EROFS;
  return EIO;
}

#define FAIL_OR(kind, call)                                                                                            \
  int wrong = fault(fd, kind);                                                                                         \
  if (wrong) {                                                                                                         \
    errno = wrong;                                                                                                     \
    return -1;                                                                                                         \
  }                                                                                                                    \
  return call

int fsync(int fd) { FAIL_OR("sync", (int)syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { FAIL_OR("sync", (int)syscall(SYS_fdatasync, fd)); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  FAIL_OR("write", syscall(SYS_pwrite64, fd, bytes, count, offset));
}
int ftruncate64(int fd, off64_t length) { FAIL_OR("write", (int)syscall(SYS_ftruncate, fd, length)); }
