/*
 * The device of a lockspace, played for one program: with this in LD_PRELOAD, libdlm, the addon and
 * the keeper run as they are on a host that has no DLM. Opening a lockspace's device makes a FIFO
 * in packet mode, open for reading and writing. A request that is written there takes as long as
 * fs/dlm's own work does, and then its result is written to the FIFO, so that read(2), poll(2) and
 * epoll(7) of results are the kernel's own. Each call of the program stays one system call.
 *
 * What it does not play: everything is granted at once, so there are no waiters, no blocking ASTs,
 * no cancels, no value blocks and no other nodes; a request that asks for more than a lock, a
 * conversion or an unlock ends in EINVAL. A FIFO holds 256 results that nobody has read, with pages
 * of 4 KiB: one more and its writer waits for a reader.
 *
 * Taken from the environment:
 *   DOUBLE_ROOT        a folder with what stands for /proc/misc, /sys/kernel/dlm and
 *                      /sys/kernel/config/dlm (world.ts makes it); FIFOs are made there, too
 *   DOUBLE_LOCK_NS     what the work of a lock or conversion takes, besides the FIFO's
 *   DOUBLE_UNLOCK_NS   the same for an unlock
 *
 * Threads: any. The locks are under a mutex, which nobody else wants in a program that makes its
 * calls from one thread.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* Need <sys/types.h> before them. */
#include <linux/dlm.h>
#include <linux/dlm_device.h>
#include <linux/dlmconstants.h>

enum { MAX_FD = 4096, MAX_LOCKS = 1 << 16, MAX_PATH = 512 };

/* The most that a FIFO may have without privileges. Each result takes a page of it. */
enum { FIFO_BYTES = 1 << 20 };

/* As in world.ts's /proc/misc; ten is the major number of all misc devices. */
enum { MISC_MAJOR = 10, CONTROL_MINOR = 249, LOCKSPACE_MINOR = 250 };

#define CONTROL "/dev/misc/dlm-control"
#define LOCKSPACE "/dev/misc/dlm_"
/* In the FIFOs' names, by which a descriptor that came from another process is known. */
#define MARK "/device-double-"

enum kind { UNKNOWN, OTHER, CONTROL_DEVICE, LOCKSPACE_DEVICE };

/* What each descriptor is, as far as that has been looked up. */
static _Atomic(signed char) kinds[MAX_FD];

/* What fs/dlm keeps of a lock for the one who asked. */
struct lock {
  void* ast;
  void* ast_argument;
  struct dlm_lksb* lksb;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct lock locks[MAX_LOCKS];
/* Ids that were in use and are free, the last one first: the kernel gives low ones again, too. */
static uint32_t free_ids[MAX_LOCKS];
static uint32_t free_count;
static uint32_t next_id = 1;

static const char* root;
static long lock_ns;
static long unlock_ns;

static void fail(const char* what) {
  perror(what);
  _exit(9);
}

static long number_of(const char* variable) {
  const char* text = getenv(variable);
  return text == NULL ? 0 : atol(text);
}

__attribute__((constructor)) static void start(void) {
  root = getenv("DOUBLE_ROOT");
  if (root == NULL) {
    fprintf(stderr, "device_double: DOUBLE_ROOT is not set\n");
    _exit(9);
  }
  lock_ns = number_of("DOUBLE_LOCK_NS");
  unlock_ns = number_of("DOUBLE_UNLOCK_NS");
}

/* The function that this one stands before. */
#define NEXT(name)               \
  static __typeof__(name)* next; \
  if (next == NULL) next = dlsym(RTLD_NEXT, #name)

static int starts_with(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- Paths ---- */

static enum kind device_at(const char* path) {
  if (strcmp(path, CONTROL) == 0) return CONTROL_DEVICE;
  return starts_with(path, LOCKSPACE) ? LOCKSPACE_DEVICE : OTHER;
}

/* The path of what stands for `path`, which is itself where nothing does. */
static const char* led(const char* path, char* buffer) {
  if (strcmp(path, "/proc/misc") != 0 && !starts_with(path, "/sys/kernel/dlm") &&
      !starts_with(path, "/sys/kernel/config/dlm"))
    return path;
  snprintf(buffer, MAX_PATH, "%s%s", root, path);
  return buffer;
}

static void describe(struct stat* info, enum kind kind) {
  memset(info, 0, sizeof *info);
  info->st_mode = S_IFCHR | 0600;
  info->st_rdev = makedev(MISC_MAJOR, kind == CONTROL_DEVICE ? CONTROL_MINOR : LOCKSPACE_MINOR);
}

/* ---- Descriptors ---- */

static int is_tracked(int fd) { return fd >= 0 && fd < MAX_FD; }

/* What `fd` is. One that another process has sent is told by the name of its FIFO. */
static enum kind kind_of(int fd) {
  if (!is_tracked(fd)) return OTHER;
  if (kinds[fd] != UNKNOWN) return kinds[fd];
  const int error = errno;
  char link[64];
  char target[MAX_PATH];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, target, sizeof target - 1);
  errno = error;
  target[size > 0 ? size : 0] = '\0';
  const char* mark = strstr(target, MARK);
  if (mark == NULL)
    kinds[fd] = OTHER;
  else
    kinds[fd] = mark[strlen(MARK)] == 'c' ? CONTROL_DEVICE : LOCKSPACE_DEVICE;
  return kinds[fd];
}

static int open_device(enum kind kind, int flags) {
  static atomic_int count;
  static __typeof__(open)* real_open;
  static __typeof__(unlink)* real_unlink;
  static __typeof__(write)* real_write;
  if (real_write == NULL) {
    real_open = dlsym(RTLD_NEXT, "open");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_write = dlsym(RTLD_NEXT, "write");
  }
  char path[MAX_PATH];
  snprintf(path, sizeof path, "%s" MARK "%s-%d-%d", root,
           kind == CONTROL_DEVICE ? "control" : "lockspace", getpid(), atomic_fetch_add(&count, 1));
  if (mkfifo(path, 0600) != 0) fail(path);
  const int fd = real_open(path, O_RDWR | (flags & (O_NONBLOCK | O_CLOEXEC)));
  if (fd < 0) fail(path);
  real_unlink(path);
  /* Packet mode, one result for each read; open(2) does not take it. */
  if (fcntl(fd, F_SETFL, (flags & O_NONBLOCK) | O_DIRECT) != 0) fail("O_DIRECT");
  if (kind == CONTROL_DEVICE) {
    const struct dlm_device_version version = {
        {DLM_DEVICE_VERSION_MAJOR, DLM_DEVICE_VERSION_MINOR, DLM_DEVICE_VERSION_PATCH}};
    if (real_write(fd, &version, sizeof version) != sizeof version) fail("write");
  } else if (fcntl(fd, F_SETPIPE_SZ, FIFO_BYTES) < 0) {
    fail("F_SETPIPE_SZ");
  }
  if (is_tracked(fd)) kinds[fd] = kind;
  return fd;
}

/* ---- Requests ---- */

static long long now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void work(long ns) {
  if (ns <= 0) return;
  const long long end = now_ns() + ns;
  while (now_ns() < end) {
  }
}

static int refuse(int error) {
  errno = error;
  return -1;
}

/* Notes what was asked and fills the result in. The id of the lock, or -1 with errno. */
static int take(const struct dlm_write_request* request, struct dlm_lock_result* result) {
  const struct dlm_lock_params* asked = &request->i.lock;
  const int is_unlock = request->cmd == DLM_USER_UNLOCK;
  if (is_unlock && (asked->flags & DLM_LKF_CANCEL) != 0) return refuse(EINVAL);
  uint32_t id = asked->lkid;
  if (!is_unlock && (asked->flags & DLM_LKF_CONVERT) == 0) {
    if (free_count == 0 && next_id == MAX_LOCKS) return refuse(ENOMEM);
    id = free_count > 0 ? free_ids[--free_count] : next_id++;
  }
  if (id == 0 || id >= next_id) return refuse(EINVAL);
  struct lock* lock = &locks[id];
  if (!is_unlock) lock->ast = asked->castaddr;
  if (!is_unlock || asked->castparam != NULL) lock->ast_argument = asked->castparam;
  lock->lksb = asked->lksb;
  if (is_unlock) free_ids[free_count++] = id;

  *result = (struct dlm_lock_result){
      .version = {DLM_DEVICE_VERSION_MAJOR, DLM_DEVICE_VERSION_MINOR, DLM_DEVICE_VERSION_PATCH},
      .length = sizeof *result,
      .user_astaddr = lock->ast,
      .user_astparam = lock->ast_argument,
      .user_lksb = lock->lksb,
      .lksb = {.sb_status = is_unlock ? -DLM_EUNLOCK : 0, .sb_lkid = id},
  };
  return (int)id;
}

/* ---- What the program calls ---- */

ssize_t write(int fd, const void* bytes, size_t size) {
  NEXT(write);
  const enum kind kind = kind_of(fd);
  if (kind == OTHER) return next(fd, bytes, size);
  const struct dlm_write_request* request = bytes;
  if (size < sizeof *request) return refuse(EINVAL);
  if (request->cmd == DLM_USER_CREATE_LOCKSPACE) return LOCKSPACE_MINOR;
  if (request->cmd == DLM_USER_REMOVE_LOCKSPACE) return 0;
  if (request->cmd != DLM_USER_LOCK && request->cmd != DLM_USER_UNLOCK) return refuse(EINVAL);

  const int is_lock = request->cmd == DLM_USER_LOCK;
  work(is_lock ? lock_ns : unlock_ns);
  struct dlm_lock_result result;
  pthread_mutex_lock(&mutex);
  const int id = take(request, &result);
  pthread_mutex_unlock(&mutex);
  if (id < 0) return -1;
  if (next(fd, &result, sizeof result) != sizeof result) return -1;
  return is_lock && (request->i.lock.flags & DLM_LKF_CONVERT) == 0 ? id : 0;
}

#define OPEN(name)                                      \
  int name(const char* path, int flags, ...) {          \
    NEXT(name);                                         \
    va_list rest;                                       \
    va_start(rest, flags);                              \
    const mode_t mode = va_arg(rest, mode_t);           \
    va_end(rest);                                       \
    const enum kind kind = device_at(path);             \
    if (kind != OTHER) return open_device(kind, flags); \
    char buffer[MAX_PATH];                              \
    return next(led(path, buffer), flags, mode);        \
  }
OPEN(open)
OPEN(open64)

#define STAT(name, type)                          \
  int name(const char* path, struct type* info) { \
    NEXT(name);                                   \
    const enum kind kind = device_at(path);       \
    if (kind != OTHER) {                          \
      describe((struct stat*)info, kind);         \
      return 0;                                   \
    }                                             \
    char buffer[MAX_PATH];                        \
    return next(led(path, buffer), info);         \
  }
STAT(stat, stat)
STAT(lstat, stat)
STAT(stat64, stat64)
STAT(lstat64, stat64)

int fstat(int fd, struct stat* info) {
  NEXT(fstat);
  const enum kind kind = kind_of(fd);
  if (kind == OTHER) return next(fd, info);
  describe(info, kind);
  return 0;
}

int fchmod(int fd, mode_t mode) {
  NEXT(fchmod);
  return kind_of(fd) == OTHER ? next(fd, mode) : 0;
}

int flock(int fd, int operation) {
  NEXT(flock);
  return kind_of(fd) == OTHER ? next(fd, operation) : 0;
}

int close(int fd) {
  NEXT(close);
  if (is_tracked(fd)) kinds[fd] = UNKNOWN;
  return next(fd);
}

int access(const char* path, int mode) {
  NEXT(access);
  char buffer[MAX_PATH];
  return device_at(path) == OTHER ? next(led(path, buffer), mode) : 0;
}

DIR* opendir(const char* path) {
  NEXT(opendir);
  char buffer[MAX_PATH];
  return next(led(path, buffer));
}

#define FOPEN(name)                                \
  FILE* name(const char* path, const char* mode) { \
    NEXT(name);                                    \
    char buffer[MAX_PATH];                         \
    return next(led(path, buffer), mode);          \
  }
FOPEN(fopen)
FOPEN(fopen64)

int inotify_add_watch(int fd, const char* path, uint32_t mask) {
  NEXT(inotify_add_watch);
  char buffer[MAX_PATH];
  return next(fd, led(path, buffer), mask);
}

/* The keeper is given next to nothing of the environment, but it is to have the double, too. */
int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const arguments[],
                char* const environment[]) {
  NEXT(posix_spawn);
  (void)environment;
  return next(pid, path, actions, attributes, arguments, environ);
}
