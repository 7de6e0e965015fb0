/*
 * What stack `user` is measured against: the same work in C, by libdlm's own calls alone. It joins
 * the lockspace that it is given and says {"ready":true}; then for each line on standard input it
 * does one thing and answers with a line of JSON. javascript.ts takes the same lines.
 *
 *   run lock PREFIX DEPTH SECONDS      lock in EX and unlock, DEPTH at a time, each on a resource
 *                                      of its own
 *   run convert PREFIX DEPTH SECONDS   convert NL to EX and back, DEPTH locks at a time
 *   do KIND PREFIX DEPTH OPERATIONS    the same so often, however long that takes
 *                                      -> {"operations":N,"seconds":S}
 *   hold PREFIX COUNT                  take NL on resources until COUNT are held, and keep them
 *                                      -> {"held":COUNT}
 *
 * Threads: one. dlm_dispatch() reads until nothing is left, so where the lockspace grants at once
 * and each callback asks again it does not return: the callbacks themselves look at the clock.
 */
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <string.h>

#include "program.h"

/* Operations between two looks at the clock; javascript.ts has the same. */
enum { OPERATIONS_PER_LOOK = 16 };

/* Locks that are asked for at once while many are taken to be held; javascript.ts has the same. */
enum { HOLD_DEPTH = 64 };

/* A lock. Its address goes to the kernel and comes back with each completion. */
struct slot {
  struct dlm_lksb lksb;
  char name[DLM_RESNAME_MAXLEN];
  unsigned int name_length;
  unsigned int mode; /* what was asked for last, unless that was the unlock */
  int unlocking;
  struct slot* next; /* completed, too, and not looked after yet */
  void (*completed)(struct slot*);
};

static int in_flight; /* slots that have not come to rest */

/* Whether the next request is made from inside the completion of the last one. dlm_dispatch() does
   not return while there are results, so with locks that are granted at once such a program never
   gets back to whatever else it has to do. */
static int asks_in_callback;
static struct slot* completed;

/* The measurement under way. */
static long operations;
static long enough;
static int stopping;
static double deadline;

/* The locks that are held. */
static int held;
static struct slot* next_to_hold;
static struct slot* end_to_hold;

static void on_completion(void* arg) {
  struct slot* slot = arg;
  const int expected = slot->unlocking ? EUNLOCK : 0;
  if (slot->lksb.sb_status != expected) {
    fprintf(stderr, "%s: status %d, not %d\n", slot->name, slot->lksb.sb_status, expected);
    exit(1);
  }
  if (asks_in_callback) {
    slot->completed(slot);
  } else {
    slot->next = completed;
    completed = slot;
  }
}

static void on_blocking(void* arg) { (void)arg; }

static void lock(struct slot* slot, unsigned int mode, unsigned int flags) {
  slot->mode = mode;
  slot->unlocking = 0;
  if (dlm_ls_lock(lockspace, mode, &slot->lksb, flags, slot->name, slot->name_length, 0,
                  on_completion, slot, on_blocking, NULL) != 0)
    fail("dlm_ls_lock");
}

static void unlock(struct slot* slot) {
  slot->unlocking = 1;
  if (dlm_ls_unlock(lockspace, slot->lksb.sb_lkid, 0, &slot->lksb, slot) != 0)
    fail("dlm_ls_unlock");
}

/* Dispatches until all slots rest. */
static void wait_for_all(void) {
  while (in_flight > 0) {
    struct pollfd fd = {dlm_ls_get_fd(lockspace), POLLIN, 0};
    if (poll(&fd, 1, -1) < 0) fail("poll");
    if (dlm_dispatch(fd.fd) != 0) fail("dlm_dispatch");
    for (struct slot* slot = completed; slot != NULL;) {
      struct slot* next = slot->next;
      completed = next;
      slot->completed(slot);
      slot = next;
    }
  }
}

static void rest(struct slot* slot) {
  (void)slot;
  in_flight--;
}

static void count_operation(void) {
  operations++;
  if (operations >= enough) stopping = 1;
  if (operations % OPERATIONS_PER_LOOK == 0 && now() >= deadline) stopping = 1;
}

static void continue_lock(struct slot* slot) {
  if (!slot->unlocking) {
    unlock(slot);
    return;
  }
  count_operation();
  if (stopping)
    rest(slot);
  else
    lock(slot, LKM_EXMODE, 0);
}

static void continue_convert(struct slot* slot) {
  count_operation();
  if (stopping)
    rest(slot);
  else
    lock(slot, slot->mode == LKM_NLMODE ? LKM_EXMODE : LKM_NLMODE, LKF_CONVERT);
}

/* `count` slots; their resources are numbered from `first`. */
static struct slot* make_slots(const char* prefix, int first, int count,
                               void (*completed)(struct slot*)) {
  struct slot* slots = calloc((size_t)count, sizeof *slots);
  if (slots == NULL) fail("calloc");
  for (int i = 0; i < count; i++) {
    const int length = snprintf(slots[i].name, sizeof slots[i].name, "%s%d", prefix, first + i);
    slots[i].name_length = (unsigned int)length;
    slots[i].completed = completed;
  }
  return slots;
}

/* Makes a request for each slot and waits until all have come to rest. */
static void for_all(struct slot* slots, int count, void (*request)(struct slot*)) {
  in_flight = count;
  for (int i = 0; i < count; i++) request(&slots[i]);
  wait_for_all();
}

static void request_null(struct slot* slot) { lock(slot, LKM_NLMODE, 0); }
static void request_lock(struct slot* slot) { lock(slot, LKM_EXMODE, 0); }
static void request_convert(struct slot* slot) { lock(slot, LKM_EXMODE, LKF_CONVERT); }

/* Until that many seconds have passed or that many operations are done. */
static void run(const char* kind, const char* prefix, int depth, double seconds, long most) {
  const int converts = strcmp(kind, "convert") == 0;
  struct slot* slots = make_slots(prefix, 0, depth, rest);
  if (converts) for_all(slots, depth, request_null);
  for (int i = 0; i < depth; i++) slots[i].completed = converts ? continue_convert : continue_lock;

  operations = 0;
  enough = most;
  stopping = 0;
  const double start = now();
  deadline = start + seconds;
  for_all(slots, depth, converts ? request_convert : request_lock);
  const double end = now();

  for (int i = 0; i < depth; i++) slots[i].completed = rest;
  if (converts) for_all(slots, depth, unlock);
  free(slots);
  printf("{\"operations\":%ld,\"seconds\":%f}\n", operations, end - start);
}

static void hold_next(void) {
  if (next_to_hold == end_to_hold) return;
  in_flight++;
  request_null(next_to_hold++);
}

static void continue_hold(struct slot* slot) {
  rest(slot);
  hold_next();
}

static void hold(const char* prefix, int count) {
  next_to_hold = make_slots(prefix, held, count - held, continue_hold);
  end_to_hold = next_to_hold + (count - held);
  for (int i = 0; i < HOLD_DEPTH; i++) hold_next();
  wait_for_all();
  held = count;
  printf("{\"held\":%d}\n", held);
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: reference LOCKSPACE [callback]\n");
    return 2;
  }
  asks_in_callback = argc == 3 && strcmp(argv[2], "callback") == 0;
  join(argv[1]);

  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char kind[16];
    char prefix[32];
    int count;
    double seconds;
    long most;
    if (sscanf(line, "run %15s %31s %d %lf", kind, prefix, &count, &seconds) == 4) {
      run(kind, prefix, count, seconds, LONG_MAX);
    } else if (sscanf(line, "do %15s %31s %d %ld", kind, prefix, &count, &most) == 4) {
      run(kind, prefix, count, HUGE_VAL, most);
    } else if (sscanf(line, "hold %31s %d", prefix, &count) == 2) {
      hold(prefix, count);
    } else {
      fprintf(stderr, "not a command: %s", line);
      return 2;
    }
  }
  leave(argv[1]);
  return 0;
}
