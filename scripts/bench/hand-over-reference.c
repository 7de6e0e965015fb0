/*
 * What hands a lock over in C, by libdlm's own calls alone, as cached locks do: keeps EX until its
 * blocking AST, converts to NL, and asks for EX again. It joins the lockspace that it is given and
 * says
 * {"ready":true}; then for each line on standard input it does one thing and answers with a line of
 * JSON. hand-over-program.ts takes the same lines.
 *
 *   take NAME       take NL on it, and keep it -> {"taken":true}
 *   turn SECONDS    hold it in EX as often as others let -> {"operations":N,"seconds":S}
 *
 * Threads: one.
 */
#include <math.h>
#include <poll.h>
#include <string.h>

#include "program.h"

static struct dlm_lksb lksb;
static char name[DLM_RESNAME_MAXLEN];

/* Set by callbacks, looked at by the loop. */
static int completed;
static int blocked;

static void on_completion(void* arg) {
  (void)arg;
  if (lksb.sb_status != 0) {
    fprintf(stderr, "%s: status %d\n", name, lksb.sb_status);
    exit(1);
  }
  completed = 1;
}

static void on_blocking(void* arg) {
  (void)arg;
  blocked = 1;
}

static void request(unsigned int mode, unsigned int flags) {
  completed = 0;
  if (dlm_ls_lock(lockspace, mode, &lksb, flags, name, (unsigned int)strlen(name), 0, on_completion,
                  NULL, on_blocking, NULL) != 0)
    fail("dlm_ls_lock");
}

/* Waits for results until then, and takes them. */
static void dispatch(double until) {
  const double left = isinf(until) ? -1 : fmax(0, ceil((until - now()) * 1000));
  struct pollfd fd = {dlm_ls_get_fd(lockspace), POLLIN, 0};
  if (poll(&fd, 1, (int)left) < 0) fail("poll");
  if ((fd.revents & POLLIN) != 0 && dlm_dispatch(fd.fd) != 0) fail("dlm_dispatch");
}

static void complete(void) {
  while (!completed) dispatch(HUGE_VAL);
}

static void take(const char* new_name) {
  snprintf(name, sizeof name, "%s", new_name);
  request(LKM_NLMODE, 0);
  complete();
  printf("{\"taken\":true}\n");
}

static void turn(double seconds) {
  long operations = 0;
  const double start = now();
  const double end = start + seconds;
  do {
    blocked = 0;
    request(LKM_EXMODE, LKF_CONVERT);
    complete();
    operations++;
    while (!blocked && now() < end) dispatch(end);
    request(LKM_NLMODE, LKF_CONVERT);
    complete();
  } while (now() < end);
  printf("{\"operations\":%ld,\"seconds\":%f}\n", operations, now() - start);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: hand-over-reference LOCKSPACE\n");
    return 2;
  }
  join(argv[1]);
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char word[sizeof name];
    double seconds;
    if (sscanf(line, "take %63s", word) == 1) {
      take(word);
    } else if (sscanf(line, "turn %lf", &seconds) == 1) {
      turn(seconds);
    } else {
      fprintf(stderr, "not a command: %s", line);
      return 2;
    }
  }
  leave(argv[1]);
  return 0;
}
