/* What the benchmarks' programs in C have in common. */
#ifndef STACKGLUE_SCRIPTS_BENCH_PROGRAM_H_
#define STACKGLUE_SCRIPTS_BENCH_PROGRAM_H_

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

/* Needs <sys/types.h> before it, and does not include it. */
#include <libdlm.h>

static dlm_lshandle_t lockspace;

static void fail(const char* what) {
  perror(what);
  exit(1);
}

/* Seconds. */
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Joins the lockspace, and says that the program is ready. */
static void join(const char* name) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  lockspace = dlm_create_lockspace(name, 0600);
  if (lockspace == NULL) fail("dlm_create_lockspace");
  printf("{\"ready\":true}\n");
}

static void leave(const char* name) {
  if (dlm_release_lockspace(name, lockspace, 1) != 0) fail("dlm_release_lockspace");
}

#endif /* STACKGLUE_SCRIPTS_BENCH_PROGRAM_H_ */
