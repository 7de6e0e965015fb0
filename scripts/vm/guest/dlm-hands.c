/*
 * dlm-hands.c: eyes and hands in the guest of a dlm_controld that runs on the host
 * (scripts/vm/membership-host.ts). It decides nothing.
 *
 * It holds /dev/dlm-monitor open, which is how the kernel knows that lockspaces are looked after
 * (closing it stops them all), and speaks lines:
 *
 *   out  ready                     from now on no event is missed
 *        event ACTION LOCKSPACE    the kernel's "online" or "offline" for a lockspace; it waits
 *        ok | ok TEXT | none | error TEXT    the answer to each line read, in order
 *   in   mkdir PATH                one that exists is fine
 *        rmdir PATH                one that is gone is fine
 *        write PATH TEXT
 *        address PATH A.B.C.D      an IPv4 address as the sockaddr_storage that configfs wants
 *        read PATH                 answers with the file's first line, or "none" without the file
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_file(const char* path, const void* data, size_t length) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return -1;
  ssize_t n = write(fd, data, length);
  int failure = errno;
  close(fd);
  errno = failure;
  return n == (ssize_t)length ? 0 : -1;
}

static int write_address(const char* path, const char* text) {
  struct sockaddr_storage storage = {0};
  struct sockaddr_in* address = (struct sockaddr_in*)&storage;
  address->sin_family = AF_INET;
  if (inet_pton(AF_INET, text, &address->sin_addr) != 1) {
    errno = EINVAL;
    return -1;
  }
  return write_file(path, &storage, sizeof storage); /* configfs takes it in one write only */
}

/* Reads the first line of a file; empty when there is nothing to read. */
static int read_line(const char* path, char* text, size_t size) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  ssize_t n = read(fd, text, size - 1);
  int failure = errno;
  text[n < 0 ? 0 : n] = '\0';
  text[strcspn(text, "\n")] = '\0';
  close(fd);
  errno = failure;
  return n < 0 ? -1 : 0;
}

static int change(const char* verb, const char* path, const char* value) {
  if (!strcmp(verb, "mkdir")) return mkdir(path, 0755) && errno != EEXIST ? -1 : 0;
  if (!strcmp(verb, "rmdir")) return rmdir(path) && errno != ENOENT ? -1 : 0;
  if (value && !strcmp(verb, "write")) return write_file(path, value, strlen(value));
  if (value && !strcmp(verb, "address")) return write_address(path, value);
  errno = EINVAL;
  return -1;
}

static void obey(char* line) {
  char *verb = strtok(line, " "), *path = strtok(NULL, " "), *value = strtok(NULL, "");
  char text[256];
  if (!verb || !path)
    puts("error no such action");
  else if (!strcmp(verb, "read") && !read_line(path, text, sizeof text))
    printf("ok %s\n", text);
  else if (!strcmp(verb, "read") && (errno == ENOENT || errno == ENODEV))
    puts("none"); /* ENODEV is what sysfs says of a file that is just being removed */
  else if (strcmp(verb, "read") && !change(verb, path, value))
    puts("ok");
  else
    printf("error %s\n", strerror(errno));
}

/* The value of NAME=value in an uevent: zero-terminated strings, the first of them a header. */
static const char* field(const char* event, size_t length, const char* name) {
  size_t name_length = strlen(name);
  for (const char* at = event; at < event + length; at += strlen(at) + 1)
    if (!strncmp(at, name, name_length) && at[name_length] == '=') return at + name_length + 1;
  return "";
}

static void report_event(int events) {
  char event[8192];
  ssize_t n = recv(events, event, sizeof event - 1, 0);
  if (n <= 0) {
    /* What was lost may be a lockspace that waits for us. */
    perror("dlm-hands: uevents");
    exit(1);
  }
  event[n] = '\0';
  const char* action = field(event, (size_t)n, "ACTION");
  if (strcmp(field(event, (size_t)n, "SUBSYSTEM"), "dlm")) return;
  if (strcmp(action, "online") && strcmp(action, "offline")) return;
  printf("event %s %s\n", action, field(event, (size_t)n, "LOCKSPACE"));
}

static int open_events(void) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
  int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  int size = 8 * 1024 * 1024; /* room for the events of a busy guest */
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  return fd < 0 || bind(fd, (struct sockaddr*)&address, sizeof address) ? -1 : fd;
}

int main(void) {
  static char input[64 * 1024];
  size_t held = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  int events = open_events();
  if (events < 0 || open("/dev/dlm-monitor", O_RDONLY | O_CLOEXEC) < 0) {
    perror("dlm-hands");
    return 1;
  }
  puts("ready");
  for (;;) {
    struct pollfd on[] = {{.fd = events, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (poll(on, 2, -1) < 0) continue;
    if (on[0].revents) report_event(events);
    if (!on[1].revents) continue;
    ssize_t n = read(0, input + held, sizeof input - held);
    if (n <= 0) return 0;
    held += (size_t)n;
    for (char* end; (end = memchr(input, '\n', held));) {
      size_t line_length = (size_t)(end - input) + 1;
      *end = '\0';
      obey(input);
      held -= line_length;
      memmove(input, input + line_length, held);
    }
  }
}
