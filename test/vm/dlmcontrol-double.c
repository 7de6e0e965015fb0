/*
 * Stands for libdlmcontrol.so.3 in departure.test.ts: what dlm_controld says of a node is the text
 * of /run/says-of-<node>, "fail_reason fail_monotime". Where that is a FIFO, it says nothing for
 * now.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

/* <libdlmcontrol.h> */
struct dlmc_node {
  int nodeid;
  uint32_t flags;
  uint32_t added_seq;
  uint32_t removed_seq;
  int fail_reason;
  uint64_t fail_walltime;
  uint64_t fail_monotime;
};

int dlmc_fs_connect(void) { return -ENOTCONN; }

int dlmc_node_info(char* lockspace, int nodeid, struct dlmc_node* node) {
  char path[64];
  unsigned long long time;
  int result = -ENOENT;
  (void)lockspace;
  snprintf(path, sizeof path, "/run/says-of-%d", nodeid);
  FILE* file = fopen(path, "r");
  if (file == NULL) return result;
  if (fscanf(file, "%d %llu", &node->fail_reason, &time) == 2) {
    node->fail_monotime = time;
    result = 0;
  }
  fclose(file);
  return result;
}
