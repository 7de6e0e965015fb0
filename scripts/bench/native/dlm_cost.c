/*
 * What fs/dlm's own work costs, for device_double.c to take as long: writes and reads a lockspace's
 * device as libdlm does, and measures each call and a getpid(2), which does nothing, just before.
 * Prints a line of JSON: by how many nanoseconds each call takes longer, and what getpid(2) takes.
 *
 *   dlm_cost DEVICE DEPTH
 *     -> {"lock":NS,"unlock":NS,"result":NS,"nothing":NS,"getpid":NS}
 *
 *   lock, unlock   write(2) of a request for EX on a resource of its own, or of its unlock
 *   result         read(2) of what came of it
 *   nothing        read(2) when there is no result
 *
 * DEVICE is that of a lockspace which is there, as /dev/misc/dlm_NAME. DEPTH locks are asked for
 * before their results are read. Times are the fifth of a hundred from below, of the call and of
 * the getpid(2) before it: what they take when nobody interrupts. By the time-stamp counter,
 * because in some worlds that this has to run in the clock is a system call itself.
 *
 * Threads: one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* Need <sys/types.h> before them, and do not include it. */
#include <linux/dlm.h>
#include <linux/dlm_device.h>
#include <linux/dlmconstants.h>

enum { SAMPLES = 20000, MAX_DEPTH = 1024 };
enum what { LOCK, UNLOCK, RESULT, NOTHING, WHATS };

static const char* const NAMES[WHATS] = {"lock", "unlock", "result", "nothing"};

/* In cycles. */
struct sample {
  long long bare; /* of the getpid(2) before */
  long long call;
};

static struct sample samples[WHATS][SAMPLES];
static int counts[WHATS];
static int device;

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static void note(enum what what, long long bare, long long call) {
  if (counts[what] < SAMPLES) samples[what][counts[what]++] = (struct sample){bare, call};
}

static long long cycles_now(void) { return (long long)__rdtsc(); }

static long long bare_call(void) {
  const long long start = cycles_now();
  syscall(SYS_getpid);
  return cycles_now() - start;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Cycles of the counter in a nanosecond, over a tenth of a second. */
static double cycles_per_ns(void) {
  const double start = now();
  const long long first = cycles_now();
  double end = start;
  while (end - start < 1e8) end = now();
  return (double)(cycles_now() - first) / (end - start);
}

static void request(enum what what, unsigned int lock_id, int number) {
  union {
    struct dlm_write_request request;
    char bytes[sizeof(struct dlm_write_request) + DLM_RESNAME_MAXLEN];
  } u;
  memset(&u, 0, sizeof u);
  struct dlm_lock_params* asked = &u.request.i.lock;
  u.request.version[0] = DLM_DEVICE_VERSION_MAJOR;
  u.request.cmd = what == LOCK ? DLM_USER_LOCK : DLM_USER_UNLOCK;
  u.request.is64bit = sizeof(void*) == 8;
  asked->mode = DLM_LOCK_EX;
  asked->lkid = lock_id;
  /* Handed back with the result and never called: nothing here dispatches. */
  asked->castaddr = &u;
  asked->bastaddr = &u;
  asked->lksb = (void*)&u;
  if (what == LOCK)
    asked->namelen = (unsigned char)snprintf(asked->name, DLM_RESNAME_MAXLEN, "cost-%d", number);
  const size_t size = sizeof u.request + asked->namelen;

  const long long bare = bare_call();
  const long long start = cycles_now();
  const ssize_t written = write(device, &u, size);
  note(what, bare, cycles_now() - start);
  if (written < 0) fail("write");
}

/* Reads once; whether there was a result, whose lock `lock_id` is then. */
static int look(unsigned int* lock_id) {
  struct dlm_lock_result result[2];
  const long long bare = bare_call();
  const long long start = cycles_now();
  const ssize_t size = read(device, result, sizeof result);
  const long long cycles = cycles_now() - start;
  if (size < 0 && errno != EAGAIN) fail("read");
  note(size < 0 ? NOTHING : RESULT, bare, cycles);
  if (size >= 0) *lock_id = result[0].lksb.sb_lkid;
  return size >= 0;
}

static unsigned int await_result(void) {
  unsigned int lock_id = 0;
  while (!look(&lock_id)) {
    struct pollfd fd = {device, POLLIN, 0};
    if (poll(&fd, 1, -1) < 0) fail("poll");
  }
  return lock_id;
}

static void turn(int depth) {
  unsigned int ids[MAX_DEPTH];
  for (int i = 0; i < depth; i++) request(LOCK, 0, i);
  for (int i = 0; i < depth; i++) ids[i] = await_result();
  for (int i = 0; i < depth; i++) request(UNLOCK, ids[i], i);
  for (int i = 0; i < depth; i++) await_result();
  unsigned int none;
  look(&none);
}

static int compare(const void* a, const void* b) {
  const long long x = *(const long long*)a;
  const long long y = *(const long long*)b;
  return (x > y) - (x < y);
}

/* The undisturbed time of what lies at `first` and in each sample after it. */
static double typical_ns(const long long* first, int count, double rate) {
  static long long sorted[SAMPLES];
  const int step = sizeof(struct sample) / sizeof(long long);
  for (int i = 0; i < count; i++) sorted[i] = first[i * step];
  qsort(sorted, (size_t)count, sizeof sorted[0], compare);
  return (double)sorted[count / 20] / rate;
}

int main(int argc, char** argv) {
  const int depth = argc == 3 ? atoi(argv[2]) : 0;
  if (depth < 1 || depth > MAX_DEPTH) {
    fprintf(stderr, "usage: dlm_cost DEVICE DEPTH\n");
    return 2;
  }
  device = open(argv[1], O_RDWR | O_NONBLOCK);
  if (device < 0) fail(argv[1]);

  while (counts[LOCK] < SAMPLES) turn(depth);
  const double rate = cycles_per_ns();
  printf("{");
  double bare = 0;
  for (enum what what = LOCK; what < WHATS; what++) {
    bare = typical_ns(&samples[what][0].bare, counts[what], rate);
    const double call = typical_ns(&samples[what][0].call, counts[what], rate);
    printf("\"%s\":%.0f,", NAMES[what], call - bare);
  }
  printf("\"getpid\":%.0f", bare);
  printf("}\n");
  return 0;
}
