/*
 * A peer that speaks to the DLM as any C program does, by libdlm alone: for each line on standard
 * input it does one thing and prints one line.
 *
 *   create LOCKSPACE          join the lockspace
 *   lock RESOURCE MODE        new lock with VALBLK        -> granted STATUS BLOCK
 *   convert MODE [BLOCK]      conversion with VALBLK      -> granted STATUS BLOCK
 *   unlock                                                -> unlocked STATUS
 *   wait-bast                 wait for a blocking AST     -> bast
 *
 * A block is text without spaces, "-" when it is empty.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Needs <sys/types.h> before it, and does not include it. */
#include <libdlm.h>

static dlm_lshandle_t lockspace;
static struct dlm_lksb lksb;
static char block[DLM_LVB_LEN];
static int completed;
static int blocked;

static void on_completion(void* arg) {
  (void)arg;
  completed = 1;
}

static void on_blocking(void* arg) {
  (void)arg;
  blocked = 1;
}

/* Dispatches until the flag is set; ASTs only run inside dlm_dispatch. */
static void wait_for(int* flag) {
  while (!*flag) {
    struct pollfd fd = {dlm_ls_get_fd(lockspace), POLLIN, 0};
    if (poll(&fd, 1, -1) == 1) dlm_dispatch(fd.fd);
  }
  *flag = 0;
}

static int check(const char* call, int result) {
  if (result == 0) return 1;
  printf("error %s %s\n", call, strerror(errno));
  return 0;
}

static void request(int mode, unsigned int flags, const char* resource) {
  lksb.sb_lvbptr = block;
  if (!check("dlm_ls_lock", dlm_ls_lock(lockspace, (unsigned int)mode, &lksb, flags | LKF_VALBLK,
                                        resource, (unsigned int)strlen(resource), 0, on_completion,
                                        NULL, on_blocking, NULL)))
    return;
  wait_for(&completed);
  printf("granted %d %.*s\n", lksb.sb_status, DLM_LVB_LEN, block[0] != '\0' ? block : "-");
}

int main(void) {
  char line[256];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin) != NULL) {
    const char* word[3] = {"", "", ""};
    int words = 0;
    for (char* next = strtok(line, " \n"); next != NULL && words < 3; next = strtok(NULL, " \n"))
      word[words++] = next;
    if (strcmp(word[0], "create") == 0) {
      lockspace = dlm_create_lockspace(word[1], 0600);
      if (check("dlm_create_lockspace", lockspace == NULL)) printf("created\n");
    } else if (strcmp(word[0], "lock") == 0) {
      request(atoi(word[2]), 0, word[1]);
    } else if (strcmp(word[0], "convert") == 0) {
      memset(block, 0, sizeof block);
      strncpy(block, word[2], sizeof block - 1);
      request(atoi(word[1]), LKF_CONVERT, "");
    } else if (strcmp(word[0], "unlock") == 0) {
      if (check("dlm_ls_unlock", dlm_ls_unlock(lockspace, lksb.sb_lkid, 0, &lksb, NULL))) {
        wait_for(&completed);
        printf("unlocked %d\n", lksb.sb_status);
      }
    } else if (strcmp(word[0], "wait-bast") == 0) {
      wait_for(&blocked);
      printf("bast\n");
    }
  }
  return 0;
}
