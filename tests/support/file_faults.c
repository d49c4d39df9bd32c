/* A preloaded library: the N-th file operation below a folder fails, or kills its process group.

Variables, read at the start and by file_faults_arm():
  FILE_FAULTS_ROOT   the folder; nothing is counted without it
  FILE_FAULTS_STATE  a file of sizeof(struct state) bytes: what all processes count together
  FILE_FAULTS_WHAT   changes (write, rename, ...) or reads (open to read, read, list a folder)
  FILE_FAULTS_AT     N, from 1; 0 only counts
  FILE_FAULTS_HOW    kill, or the number of an error
  FILE_FAULTS_LASTS  1: every later operation fails, too, as on a full disk; else that one alone

Operations on one file that follow one another and are of one kind count once. A write that is killed is half done. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct state {
  int64_t count;
  int64_t fired;
  uint64_t last;
  char where[512];
};

static struct state *state;
static char root[PATH_MAX];
static size_t root_length;
static int64_t at;
static int reads, error_number, lasts;

__attribute__((constructor)) void file_faults_arm(void) {
  const char *folder = getenv("FILE_FAULTS_ROOT"), *file = getenv("FILE_FAULTS_STATE");
  root_length = 0;
  if (!folder || !file) return;
  const char *what = getenv("FILE_FAULTS_WHAT"), *n = getenv("FILE_FAULTS_AT"), *how = getenv("FILE_FAULTS_HOW");
  const char *last = getenv("FILE_FAULTS_LASTS");
  reads = what && !strcmp(what, "reads");
  at = n ? atoll(n) : 0;
  error_number = how && strcmp(how, "kill") ? atoi(how) : 0;
  lasts = last && *last == '1';
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  int descriptor = real_open(file, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  void *mapped = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (mapped == MAP_FAILED) return;
  state = mapped;
  strncpy(root, folder, sizeof root - 1);
  root_length = strlen(root);
}

static int below(const char *path) {
  return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* 0 go on; 1 fails with errno; 2 kill */
static int hit(const char *kind, const char *path, int takes_space) {
  if (!below(path)) return 0;
  uint64_t hash = 14695981039346656037u;
  for (const char *c = kind; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
  for (const char *c = path; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
  if (__atomic_exchange_n(&state->last, hash, __ATOMIC_SEQ_CST) == hash && !(lasts && state->fired)) return 0;
  int64_t number = __atomic_add_fetch(&state->count, 1, __ATOMIC_SEQ_CST);
  if (!at || number < at || (number > at && (!lasts || !state->fired))) return 0;
  if (error_number == ENOSPC && !takes_space) {
    if (number == at) at++; /* a full disk refuses what takes space: the next such operation */
    return 0;
  }
  if (!state->fired) snprintf(state->where, sizeof state->where, "%s %s", kind, path);
  state->fired = 1;
  if (!error_number) return 2;
  errno = error_number;
  return 1;
}

static void absolute(int folder, const char *path, char *out) {
  if (path[0] == '/') {
    snprintf(out, PATH_MAX, "%s", path);
    return;
  }
  char link[64], base[PATH_MAX];
  if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t length = readlink(link, base, sizeof base - 1);
  base[length < 0 ? 0 : length] = 0;
  if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) out[PATH_MAX - 1] = 0;
}

static void named(int descriptor, char *out) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, out, PATH_MAX - 1);
  out[length < 0 ? 0 : length] = 0;
}

static void die(void) {
  kill(0, SIGKILL);
  for (;;) pause();
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define ON_PATH(kind, folder, path, space, failed) \
  if (root_length && !reads) { \
    char full[PATH_MAX]; \
    absolute(folder, path, full); \
    int what = hit(kind, full, space); \
    if (what == 2) die(); \
    if (what) return failed; \
  }

#define ON_FILE(kind, descriptor, wanted, space, half, failed) \
  if (root_length && reads == wanted) { \
    int saved = errno; \
    char full[PATH_MAX]; \
    named(descriptor, full); \
    errno = saved; \
    int what = hit(kind, full, space); \
    if (what == 2) { half; die(); } \
    if (what) return failed; \
  }

static int on_open(int folder, const char *path, int changes) {
  if (!root_length || reads == changes) return 0;
  char full[PATH_MAX];
  absolute(folder, path, full);
  int what = hit(changes ? "open to write" : "open to read", full, 1);
  if (what == 2) die();
  return what;
}

#define WRITES(flags) (((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)) != 0)

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, #name, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    if (on_open(AT_FDCWD, path, WRITES(flags))) return -1; \
    return real(path, flags, mode); \
  }
#define OPENAT(name) \
  int name(int folder, const char *path, int flags, ...) { \
    REAL(int, #name, int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    if (on_open(folder, path, WRITES(flags))) return -1; \
    return real(folder, path, flags, mode); \
  }
#define CREAT(name) \
  int name(const char *path, mode_t mode) { \
    REAL(int, #name, const char *, mode_t); \
    if (on_open(AT_FDCWD, path, 1)) return -1; \
    return real(path, mode); \
  }
#define FOPEN(name) \
  FILE *name(const char *path, const char *mode) { \
    REAL(FILE *, #name, const char *, const char *); \
    if (on_open(AT_FDCWD, path, mode[0] != 'r' || strchr(mode, '+') != NULL)) return NULL; \
    return real(path, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
CREAT(creat)
CREAT(creat64)
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int descriptor, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  ON_FILE("write", descriptor, 0, 1, real(descriptor, data, size / 2), -1)
  return real(descriptor, data, size);
}
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  ON_FILE("write", descriptor, 0, 1, real(descriptor, parts, count / 2), -1)
  return real(descriptor, parts, count);
}
#define PWRITE(name, offset_type) \
  ssize_t name(int descriptor, const void *data, size_t size, offset_type offset) { \
    REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
    ON_FILE("write", descriptor, 0, 1, real(descriptor, data, size / 2, offset), -1) \
    return real(descriptor, data, size, offset); \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
  REAL(ssize_t, "sendfile", int, int, off_t *, size_t);
  ON_FILE("write", to, 0, 1, real(to, from, offset, size / 2), -1)
  return real(to, from, offset, size);
}
#define FTRUNCATE(name, offset_type) \
  int name(int descriptor, offset_type size) { \
    REAL(int, #name, int, offset_type); \
    ON_FILE("truncate", descriptor, 0, 0, , -1) \
    return real(descriptor, size); \
  }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)
#define TRUNCATE(name, offset_type) \
  int name(const char *path, offset_type size) { \
    REAL(int, #name, const char *, offset_type); \
    ON_PATH("truncate", AT_FDCWD, path, 0, -1) \
    return real(path, size); \
  }
TRUNCATE(truncate, off_t)
TRUNCATE(truncate64, off64_t)
int fsync(int descriptor) {
  REAL(int, "fsync", int);
  ON_FILE("sync", descriptor, 0, 1, , -1)
  return real(descriptor);
}
int fdatasync(int descriptor) {
  REAL(int, "fdatasync", int);
  ON_FILE("sync", descriptor, 0, 1, , -1)
  return real(descriptor);
}
int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  ON_PATH("rename to", AT_FDCWD, to, 1, -1)
  return real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
  REAL(int, "renameat", int, const char *, int, const char *);
  ON_PATH("rename to", b, to, 1, -1)
  return real(a, from, b, to);
}
int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  ON_PATH("remove", AT_FDCWD, path, 0, -1)
  return real(path);
}
int unlinkat(int folder, const char *path, int flags) {
  REAL(int, "unlinkat", int, const char *, int);
  ON_PATH("remove", folder, path, 0, -1)
  return real(folder, path, flags);
}
int rmdir(const char *path) {
  REAL(int, "rmdir", const char *);
  ON_PATH("remove", AT_FDCWD, path, 0, -1)
  return real(path);
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  ON_PATH("make", AT_FDCWD, path, 1, -1)
  return real(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
  REAL(int, "mkdirat", int, const char *, mode_t);
  ON_PATH("make", folder, path, 1, -1)
  return real(folder, path, mode);
}

ssize_t read(int descriptor, void *data, size_t size) {
  REAL(ssize_t, "read", int, void *, size_t);
  ON_FILE("read", descriptor, 1, 0, , -1)
  return real(descriptor, data, size);
}
#define PREAD(name, offset_type) \
  ssize_t name(int descriptor, void *data, size_t size, offset_type offset) { \
    REAL(ssize_t, #name, int, void *, size_t, offset_type); \
    ON_FILE("read", descriptor, 1, 0, , -1) \
    return real(descriptor, data, size, offset); \
  }
PREAD(pread, off_t)
PREAD(pread64, off64_t)
DIR *opendir(const char *path) {
  REAL(DIR *, "opendir", const char *);
  if (on_open(AT_FDCWD, path, 0)) return NULL;
  return real(path);
}
