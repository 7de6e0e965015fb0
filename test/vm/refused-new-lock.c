/*
 * Shows a fault of newer kernels (native/KERNELS.md): new locks that are refused, as any C program
 * asks for them. On Linux 7.2 the node that runs it panics within seconds, when another node is the
 * master.
 *
 *   refused-new-lock LOCKSPACE COUNT     the names are held-0 to held-63; prints "refused COUNT"
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Needs <sys/types.h> before it, and does not include it. */
#include <libdlm.h>

#define NAMES 64

static struct dlm_lksb blocks[NAMES];
static long refused;
static int due;

static void on_completion(void* arg) {
  struct dlm_lksb* lksb = arg;
  due--;
  if (lksb->sb_status == EAGAIN) refused++;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const long count = atol(argv[2]);
  dlm_lshandle_t lockspace = dlm_open_lockspace(argv[1]);
  if (lockspace == NULL) {
    perror("dlm_open_lockspace");
    return 1;
  }
  struct pollfd fd = {dlm_ls_get_fd(lockspace), POLLIN, 0};
  while (refused < count) {
    for (int i = 0; i < NAMES; i++) {
      char name[16];
      const int size = snprintf(name, sizeof name, "held-%d", i);
      if (dlm_ls_lock(lockspace, LKM_EXMODE, &blocks[i], LKF_NOQUEUE, name, (unsigned int)size, 0,
                      on_completion, &blocks[i], NULL, NULL) != 0) {
        perror("dlm_ls_lock");
        return 1;
      }
      due++;
    }
    while (due > 0) {
      if (poll(&fd, 1, -1) == 1) dlm_dispatch(fd.fd);
    }
  }
  printf("refused %ld\n", refused);
  return dlm_close_lockspace(lockspace) == 0 ? 0 : 1;
}
