// Runs in a node: opens, closes, writes and unlinks files of dlmfs as its standard input says, and
// tells after each fence what has become of them. ../README.md has the commands, the answers, and
// the reasons why a fence is one.
//
// The main thread does everything but open(2), which may wait in the kernel for as long as another
// node likes: each open has a thread of its own. It needs one processor that does not preempt the
// kernel: what the main thread then sees of other tasks is where they really are.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kBlock = 64, kUnfinished = -1, kStack = 64 * 1024, kOpenMax = 65536 };

struct handle {
  struct handle* next;
  long id;
  char path[160];
  int flags;
  pthread_t thread;
  volatile int tid;
  // kUnfinished, or the errno of the open: written by its thread, last of all it does.
  volatile int result;
  int fd;
  int told_result;
  int told_blocked;
  unsigned char told_block[kBlock];
};

static struct handle* handles;
static char folder[64];

static void die(const char* what) {
  fprintf(stderr, "dlmfs-agent: %s: %s\n", what, strerror(errno));
  exit(1);
}

static struct handle* find(long id) {
  for (struct handle* each = handles; each != NULL; each = each->next)
    if (each->id == id) return each;
  errno = ENOENT;
  die("no such handle");
  return NULL;
}

static void ignore(int number) { (void)number; }

static void* run_open(void* argument) {
  struct handle* handle = argument;
  handle->tid = (int)syscall(SYS_gettid);
  handle->fd = open(handle->path, handle->flags, 0600);
  handle->result = handle->fd < 0 ? errno : 0;
  return NULL;
}

static void begin_open(long id, const char* name, const char* mode) {
  struct handle* handle = calloc(1, sizeof *handle);
  pthread_attr_t attributes;
  if (handle == NULL) die("calloc");
  handle->id = id;
  snprintf(handle->path, sizeof handle->path, "%s/%s", folder, name);
  handle->flags = O_CREAT | O_CLOEXEC | (mode[0] == 'w' ? O_RDWR : O_RDONLY) |
                  (mode[1] == 't' ? O_NONBLOCK : 0);
  handle->result = kUnfinished;
  handle->fd = -1;
  handle->next = handles;
  handles = handle;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  errno = pthread_create(&handle->thread, &attributes, run_open, handle);
  if (errno != 0) die("pthread_create");
  pthread_attr_destroy(&attributes);
}

static void forget(struct handle* handle) {
  struct handle** link = &handles;
  while (*link != handle) link = &(*link)->next;
  *link = handle->next;
  pthread_join(handle->thread, NULL);
  free(handle);
}

// Reads a short file of /proc, /sys or debugfs; the result is its length, or -1.
static ssize_t slurp(const char* path, char* text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length;
  if (fd < 0) return -1;
  length = read(fd, text, size - 1);
  close(fd);
  if (length >= 0) text[length] = '\0';
  return length;
}

static int others_run(void) {
  static char text[16384];
  const char* found;
  if (slurp("/proc/stat", text, sizeof text) < 0) die("/proc/stat");
  found = strstr(text, "procs_running ");
  if (found == NULL) die("procs_running");
  return atoi(found + strlen("procs_running ")) > 1;
}

static int sends_messages(void) {
  char text[64];
  ssize_t length = slurp("/sys/kernel/debug/o2net/send_tracking", text, sizeof text);
  if (length < 0) die("send_tracking");
  return length > 0;
}

// Whether a thread of the kernel that has a part in locking is anywhere but in its place of rest.
static int kernel_works(void) {
  static signed char boring[65536];
  DIR* proc = opendir("/proc");
  int works = 0;
  struct dirent* entry;
  if (proc == NULL) die("/proc");
  while (!works && (entry = readdir(proc)) != NULL) {
    char path[64], text[512];
    const char *name, *end;
    int pid = atoi(entry->d_name);
    if (pid <= 0 || (pid < 65536 && boring[pid])) continue;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (slurp(path, text, sizeof text) < 0) continue;
    name = strchr(text, '(');
    end = strrchr(text, ')');
    if (name == NULL || end == NULL) continue;
    if (strncmp(name, "(kworker", 8) != 0 && strncmp(name, "(dlm-", 5) != 0 &&
        strncmp(name, "(dlm_", 5) != 0 && strncmp(name, "(user_dlm", 9) != 0) {
      if (pid < 65536) boring[pid] = 1;
      continue;
    }
    works = end[2] != 'I' && end[2] != 'S';
  }
  closedir(proc);
  return works;
}

// Whether an open is anywhere but in dlmfs's own waits, which end by a callback of the lock
// manager.
static int opens_work(void) {
  for (struct handle* each = handles; each != NULL; each = each->next) {
    char path[64], text[64];
    if (each->result != kUnfinished) continue;
    if (each->tid == 0) return 1;
    snprintf(path, sizeof path, "/proc/self/task/%d/wchan", each->tid);
    if (slurp(path, text, sizeof text) < 0) return 1;
    if (strcmp(text, "user_dlm_cluster_lock") != 0) return 1;
  }
  return 0;
}

// Messages sent and received: whatever reaches this node from another one is counted here.
static unsigned long long messages(void) {
  static char text[4096];
  unsigned long long sum = 0;
  char* line;
  if (slurp("/sys/kernel/debug/o2net/stats", text, sizeof text) < 0) die("stats");
  for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    unsigned long sent, received;
    if (sscanf(line, "%*d,%*u,%lu,%*d,%*d,%*d,%lu", &sent, &received) == 2) sum += sent + received;
  }
  return sum;
}

static void print_block(const unsigned char* block) {
  int length = kBlock;
  while (length > 0 && block[length - 1] == 0) length--;
  for (int at = 0; at < length; at++) printf("%02x", block[at]);
}

static void tell(struct handle* handle) {
  unsigned char block[kBlock] = {0};
  struct pollfd state = {.fd = handle->fd, .events = POLLIN};
  int blocked;
  if (handle->result == kUnfinished) return;
  if (!handle->told_result) printf("d %ld %d\n", handle->id, handle->result);
  if (handle->result != 0) {
    forget(handle);
    return;
  }
  if (poll(&state, 1, 0) < 0) die("poll");
  blocked = (state.revents & POLLIN) != 0;
  if (pread(handle->fd, block, kBlock, 0) != kBlock) die("pread");
  if (!handle->told_result || blocked != handle->told_blocked ||
      memcmp(block, handle->told_block, kBlock) != 0) {
    printf("s %ld %d ", handle->id, blocked);
    print_block(block);
    printf("\n");
  }
  handle->told_result = 1;
  handle->told_blocked = blocked;
  memcpy(handle->told_block, block, kBlock);
}

static void fence(void) {
  struct handle* next;
  // Cheap questions first; each answer is looked for again after a wait.
  while (others_run() || sends_messages() || opens_work() || kernel_works() || others_run())
    usleep(200);
  for (struct handle* each = handles; each != NULL; each = next) {
    next = each->next;
    tell(each);
  }
  printf("f %llu\n", messages());
  fflush(stdout);
}

static void write_block(struct handle* handle, const char* hex) {
  unsigned char block[kBlock];
  size_t length = strlen(hex) / 2;
  for (size_t at = 0; at < length && at < kBlock; at++) {
    unsigned int byte;
    sscanf(hex + 2 * at, "%2x", &byte);
    block[at] = (unsigned char)byte;
  }
  if (pwrite(handle->fd, block, length, 0) != (ssize_t)length) die("pwrite");
}

int main(int count, char** arguments) {
  static char line[512];
  struct sigaction action = {.sa_handler = ignore};
  struct rlimit limit = {.rlim_cur = kOpenMax, .rlim_max = kOpenMax};
  if (count != 2) return 2;
  snprintf(folder, sizeof folder, "%s", arguments[1]);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit");
  // Without SA_RESTART: an open that a signal meets ends with EINTR.
  sigaction(SIGUSR1, &action, NULL);
  while (fgets(line, sizeof line, stdin) != NULL) {
    char verb = line[0], name[64] = "", word[256] = "";
    long id = 0;
    if (verb == 'u') {
      char path[160];
      if (sscanf(line + 1, " %ld %63s", &id, name) != 2) return 2;
      snprintf(path, sizeof path, "%s/%s", folder, name);
      printf("u %ld %d\n", id, unlink(path) == 0 ? 0 : errno);
    } else if (verb == 'o') {
      if (sscanf(line + 1, " %ld %63s %2s", &id, name, word) != 3) return 2;
      begin_open(id, name, word);
    } else if (verb == 'c') {
      if (sscanf(line + 1, " %ld", &id) != 1) return 2;
      struct handle* handle = find(id);
      close(handle->fd);
      forget(handle);
    } else if (verb == 'w') {
      if (sscanf(line + 1, " %ld %255s", &id, word) != 2) return 2;
      write_block(find(id), word);
    } else if (verb == 'i') {
      if (sscanf(line + 1, " %ld", &id) != 1) return 2;
      pthread_kill(find(id)->thread, SIGUSR1);
    } else if (verb == 'f') {
      fence();
    } else {
      return 2;
    }
  }
  return 0;
}
