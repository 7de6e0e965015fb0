/*
 * agent.c: runs commands in the guest for the host. It is the guest's process 1.
 *
 * One TCP connection is one command. Both directions carry messages: a 32-bit big-endian length,
 * then that many bytes, the first of which is the type.
 *
 *   host to guest   C command      run it with /bin/sh -c; the first message, sent once
 *                   T command      the same on a terminal: standard error joins standard output
 *                   I data         standard input
 *                   E              end of standard input
 *                   S number       signal for the command's process group (one byte)
 *                   W rows cols    size of the terminal (16 bits each, big-endian)
 *   guest to host   R              ready for the command; the first message
 *                   O data         standard output
 *                   E data         standard error
 *                   X status       the end (32 bits, big-endian): exit code, or 128 + signal
 *
 * The command ends when its own process ends: what that process left running in the background is
 * not waited for, though output already written is still sent. When the host closes the connection
 * the whole process group is killed.
 *
 * Each connection is served by a process of its own, so that a command stuck in the kernel (a
 * stopped lockspace holds processes in D state) holds up nothing else.
 *
 * Static, because it must run before and without any library of the guest.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGENT_PORT = 7000, MAX_MESSAGE = 1 << 20, CHUNK = 64 * 1024 };

struct session {
  int socket;
  pid_t child;
  int child_fd; /* pidfd: readable once the child has ended */
  int input;    /* child's standard input, -1 when closed */
  int output;   /* child's standard output (or its terminal), -1 at its end */
  int error;    /* child's standard error, -1 at its end or on a terminal */
  int terminal; /* whether input and output are one terminal */

  char* pending; /* standard input that the child has not taken yet */
  size_t pending_length;
  int input_ended; /* close input once nothing is pending */
};

static int write_all(int fd, const void* data, size_t length) {
  const char* at = data;
  while (length > 0) {
    ssize_t n = write(fd, at, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    at += n;
    length -= (size_t)n;
  }
  return 0;
}

static int read_all(int fd, void* data, size_t length) {
  char* at = data;
  while (length > 0) {
    ssize_t n = read(fd, at, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n;
    length -= (size_t)n;
  }
  return 0;
}

static int send_message(int fd, char type, const void* data, size_t length) {
  char header[5];
  uint32_t size = htonl((uint32_t)length + 1);
  memcpy(header, &size, 4);
  header[4] = type;
  return write_all(fd, header, sizeof header) || write_all(fd, data, length) ? -1 : 0;
}

/* Reads one message; returns its body with a zero byte behind it, or NULL when the host is gone. */
static char* receive_message(int fd, char* type, size_t* length) {
  uint32_t size;
  if (read_all(fd, &size, 4)) return NULL;
  size = ntohl(size);
  if (size < 1 || size > MAX_MESSAGE) return NULL;
  char* body = calloc(1, size);
  if (!body || read_all(fd, type, 1) || read_all(fd, body, size - 1)) {
    free(body);
    return NULL;
  }
  *length = size - 1;
  return body;
}

static void run_shell(const char* command) {
  signal(SIGPIPE, SIG_DFL);
  execl("/bin/sh", "sh", "-c", command, (char*)NULL);
  _exit(127);
}

static int start_on_pipes(struct session* s, const char* command) {
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) return -1;
  s->child = fork();
  if (s->child < 0) return -1;
  if (s->child == 0) {
    setpgid(0, 0);
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    run_shell(command);
  }
  setpgid(s->child, s->child); /* here too: a signal may arrive before the child has run */
  close(in[0]);
  close(out[1]);
  close(err[1]);
  s->input = in[1];
  s->output = out[0];
  s->error = err[0];
  return 0;
}

static int start_on_terminal(struct session* s, const char* command) {
  int master;
  s->child = forkpty(&master, NULL, NULL, NULL);
  if (s->child < 0) return -1;
  if (s->child == 0) run_shell(command);
  s->terminal = 1;
  s->input = s->output = master;
  s->error = -1;
  return 0;
}

static void close_input(struct session* s) {
  if (s->input >= 0 && !s->terminal) close(s->input);
  s->input = -1;
}

static void take_input(struct session* s, const char* data, size_t length) {
  char* grown = realloc(s->pending, s->pending_length + length);
  if (!grown && length > 0) _exit(1);
  memcpy(grown + s->pending_length, data, length);
  s->pending = grown;
  s->pending_length += length;
}

/* Gives the child as much of its input as it takes now. */
static void feed_child(struct session* s) {
  if (s->pending_length > 0) {
    ssize_t n = write(s->input, s->pending, s->pending_length);
    if (n < 0 && errno != EAGAIN && errno != EINTR) { /* the child closed it: drop the rest */
      s->pending_length = 0;
      close_input(s);
      return;
    }
    if (n > 0) {
      s->pending_length -= (size_t)n;
      memmove(s->pending, s->pending + n, s->pending_length);
    }
  }
  if (s->pending_length == 0 && s->input_ended) close_input(s);
}

static void resize(struct session* s, const unsigned char* body) {
  struct winsize size = {.ws_row = (unsigned short)(body[0] << 8 | body[1]),
                         .ws_col = (unsigned short)(body[2] << 8 | body[3])};
  ioctl(s->output, TIOCSWINSZ, &size);
}

/* Handles one message from the host; -1 when the host is gone. */
static int obey(struct session* s) {
  char type;
  size_t length;
  char* body = receive_message(s->socket, &type, &length);
  if (!body) return -1;
  if (type == 'I' && s->input >= 0) take_input(s, body, length);
  if (type == 'E') s->input_ended = 1;
  if (type == 'S' && length == 1) kill(-s->child, (unsigned char)body[0]);
  if (type == 'W' && length == 4 && s->terminal) resize(s, (unsigned char*)body);
  free(body);
  if (s->input >= 0) feed_child(s);
  return 0;
}

/* Passes on what can be read now; -1 when the host is gone. */
static int pass_output(struct session* s, int* fd, char type) {
  static char chunk[CHUNK];
  ssize_t n = read(*fd, chunk, sizeof chunk);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) { /* a terminal reports EIO when its last user has gone */
    if (!s->terminal) close(*fd);
    *fd = -1;
    return 0;
  }
  return send_message(s->socket, type, chunk, (size_t)n);
}

/*
 * After the child's end: passes on what it still has in its pipes. They hold less than this many
 * chunks; more would come from something in the background, which may write for ever.
 */
static int drain(struct session* s, int* fd, char type) {
  struct pollfd ready = {.fd = *fd, .events = POLLIN};
  for (int chunks = 0; chunks < 16 && *fd >= 0 && poll(&ready, 1, 0) > 0; chunks++)
    if (pass_output(s, fd, type)) return -1;
  return 0;
}

static void abandon(struct session* s) {
  kill(-s->child, SIGKILL);
  _exit(1);
}

static void finish(struct session* s) {
  int status;
  if (drain(s, &s->output, 'O') || drain(s, &s->error, 'E')) abandon(s);
  waitpid(s->child, &status, 0);
  uint32_t code =
      htonl((uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
  send_message(s->socket, 'X', &code, sizeof code);
  shutdown(s->socket, SHUT_WR);
  _exit(0);
}

static void serve(int socket) {
  struct session s = {.socket = socket, .input = -1, .output = -1, .error = -1};
  char type;
  size_t length;
  signal(SIGPIPE, SIG_IGN);
  if (send_message(socket, 'R', "", 0)) _exit(1);
  char* command = receive_message(socket, &type, &length);
  if (!command) _exit(1);
  if (type == 'T' ? start_on_terminal(&s, command) : start_on_pipes(&s, command)) _exit(1);
  free(command);
  s.child_fd = (int)syscall(SYS_pidfd_open, s.child, 0);
  fcntl(s.input, F_SETFL, O_NONBLOCK);

  for (;;) {
    /* While the child is slow to read, the host's messages wait; its hanging up is still seen. */
    short from_host = POLLRDHUP | (s.pending_length > 0 ? 0 : POLLIN);
    int feeding = s.input >= 0 && s.pending_length > 0;
    struct pollfd on[] = {
        {.fd = s.socket, .events = from_host}, {.fd = s.output, .events = POLLIN},
        {.fd = s.error, .events = POLLIN},     {.fd = feeding ? s.input : -1, .events = POLLOUT},
        {.fd = s.child_fd, .events = POLLIN},
    };
    if (poll(on, sizeof on / sizeof *on, -1) < 0) continue;
    if (on[1].revents && pass_output(&s, &s.output, 'O')) abandon(&s);
    if (on[2].revents && pass_output(&s, &s.error, 'E')) abandon(&s);
    if (on[3].revents) feed_child(&s);
    if (on[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) abandon(&s);
    if (on[0].revents & POLLIN && obey(&s)) abandon(&s);
    if (on[4].revents) finish(&s);
  }
}

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(AGENT_PORT)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 64)) {
    perror("agent");
    return 1;
  }
  signal(SIGCHLD, SIG_IGN); /* as process 1: orphans vanish by themselves */

  /* The host waits for this line: a connection made before it would be lost. */
  printf("STACKGLUE-GUEST-READY\n");
  fflush(stdout);

  for (;;) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) continue;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fork() == 0) {
      signal(SIGCHLD, SIG_DFL);
      close(listener);
      serve(connection);
    }
    close(connection);
  }
}
