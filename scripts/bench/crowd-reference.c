/*
 * A crowd of waiters that gives up, in C by libdlm's own calls alone. It joins the lockspace that
 * it is given and says {"ready":true}; then for each line on standard input it does one thing and
 * answers with a line of JSON. crowd-program.ts takes the same lines.
 *
 *   bar NAME            take EX, and keep it -> {"barred":true}
 *   keep NAME           take NL, and keep it -> {"kept":true}
 *   gather NAME COUNT   ask for EX so often, and wait until the master has all of these
 *                       -> {"waiting":COUNT}
 *   cancel, force       cancel all that waits, or unlock it by force, at once, and wait for the end
 *                       of each -> {"operations":COUNT,"seconds":S,"longest":S}: `longest` is the
 *                       longest time that the program did not look for events
 *
 * Threads: one.
 */
#include <poll.h>
#include <string.h>

#include "program.h"

/* A lock. Its address goes to the kernel and comes back with each completion. */
struct slot {
  struct dlm_lksb lksb;
  int expected; /* the status that its completion has to have */
};

static int in_flight; /* completions that are still to come */

/* The crowd. */
static struct slot* crowd;
static int crowd_size;

/* When the program has looked for events last, and the longest time from there to the next look. */
static double looked;
static double longest;

static void on_completion(void* arg) {
  struct slot* slot = arg;
  if (slot->lksb.sb_status != slot->expected) {
    fprintf(stderr, "status %d, not %d\n", slot->lksb.sb_status, slot->expected);
    exit(1);
  }
  in_flight--;
}

static void on_blocking(void* arg) { (void)arg; }

static void request(struct slot* slot, const char* name, unsigned int mode, unsigned int flags) {
  slot->expected = 0;
  if (dlm_ls_lock(lockspace, mode, &slot->lksb, flags, name, (unsigned int)strlen(name), 0,
                  on_completion, slot, on_blocking, NULL) != 0)
    fail("dlm_ls_lock");
}

static void unlock(struct slot* slot, unsigned int flags, int expected) {
  slot->expected = expected;
  if (dlm_ls_unlock(lockspace, slot->lksb.sb_lkid, flags, &slot->lksb, slot) != 0)
    fail("dlm_ls_unlock");
}

/* A look for events: what came before it has taken until now. */
static void look(void) {
  const double time = now();
  if (time - looked > longest) longest = time - looked;
}

/* Dispatches until all completions have come. */
static void wait_for_all(void) {
  while (in_flight > 0) {
    look();
    struct pollfd fd = {dlm_ls_get_fd(lockspace), POLLIN, 0};
    if (poll(&fd, 1, -1) < 0) fail("poll");
    looked = now();
    if (dlm_dispatch(fd.fd) != 0) fail("dlm_dispatch");
  }
  look();
}

static struct slot* make_slots(int count) {
  struct slot* slots = calloc((size_t)count, sizeof *slots);
  if (slots == NULL) fail("calloc");
  return slots;
}

/* One lock that is kept to the end. */
static void keep(const char* name, unsigned int mode) {
  in_flight = 1;
  request(make_slots(1), name, mode, 0);
  wait_for_all();
}

static void gather(const char* name, int count) {
  crowd = make_slots(count);
  crowd_size = count;
  for (int i = 0; i < count; i++) request(&crowd[i], name, LKM_EXMODE, 0);
  /* The master takes requests in their order, and grants this one whatever waits. */
  struct slot marker = {0};
  in_flight = 1;
  request(&marker, name, LKM_NLMODE, LKF_EXPEDITE);
  wait_for_all();
  in_flight = 1;
  unlock(&marker, 0, EUNLOCK);
  wait_for_all();
  printf("{\"waiting\":%d}\n", count);
}

static void give_up(int by_force) {
  const double start = now();
  looked = start;
  longest = 0;
  in_flight = crowd_size;
  for (int i = 0; i < crowd_size; i++) {
    unlock(&crowd[i], by_force ? LKF_FORCEUNLOCK : LKF_CANCEL, by_force ? EUNLOCK : ECANCEL);
  }
  wait_for_all();
  printf("{\"operations\":%d,\"seconds\":%f,\"longest\":%f}\n", crowd_size, now() - start, longest);
  free(crowd);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: crowd-reference LOCKSPACE\n");
    return 2;
  }
  join(argv[1]);

  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char name[32];
    int count;
    if (sscanf(line, "bar %31s", name) == 1) {
      keep(name, LKM_EXMODE);
      printf("{\"barred\":true}\n");
    } else if (sscanf(line, "keep %31s", name) == 1) {
      keep(name, LKM_NLMODE);
      printf("{\"kept\":true}\n");
    } else if (sscanf(line, "gather %31s %d", name, &count) == 2) {
      gather(name, count);
    } else if (strcmp(line, "cancel\n") == 0 || strcmp(line, "force\n") == 0) {
      give_up(line[0] == 'f');
    } else {
      fprintf(stderr, "not a command: %s", line);
      return 2;
    }
  }
  leave(argv[1]);
  return 0;
}
