// SPDX-License-Identifier: Apache-2.0
//
// A network link with a delay, or a bad one, for kernels without netem
// (sch_netem). Run it as root. It ends with its stdin, or by SIGTERM or SIGINT.
//
//     link RTT_MICROSECONDS ADDRESS_A ADDRESS_B
//
// makes a TUN device in each of two fresh namespaces, and carries the packets
// between them, each one RTT/2 after it was sent, in order. Wait for its line
// "ready PID_A PID_B", then start programs at either end:
//
//     nsenter --net=/proc/PID_A/ns/net COMMAND
//
//     link --tap NAME_A NAME_B
//
// makes two TAP devices in the namespace that it runs in, to be put into
// bridges, and carries the frames between them as well as it can, until a line
// on stdin says otherwise for those that come in by one of them, in netem's
// words:
//
//     NAME [loss P%] [duplicate P%] [corrupt P%] [reorder P%] [delay Nms]
//          [rate Nkbit]
//
// Nothing after NAME makes the way well again. reorder is the share of frames
// that do not wait for the delay, corrupt the share that has one bit turned
// over. Each line is answered by "NAME carried N lost N duplicated N corrupted
// N reordered N": what happened to the frames of that way so far.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <malloc.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  mtuBytes = 1500,
  txQueuePackets = 10000,
  // An offloaded segment (64 KiB) and its virtio_net_hdr, with some room.
  maxPacketBytes = 65536 + 64,
  // Packets per direction between two polls: 8 of 64 KiB take some 100 us to
  // copy, and no other packet should be late by much more than that.
  maxBatchPackets = 8,
  maxRTTMicroseconds = 60 * 1000 * 1000,
  maxLineBytes = 256,
  defaultQueueBytes = 256 << 20,
};

// One packet in a queue, its virtio_net_hdr included.
struct packet {
  struct packet *next;
  int64_t due;  // CLOCK_MONOTONIC nanoseconds
  size_t size;
  unsigned char bytes[];
};

// What is done to the packets of one way. Shares are of 1.
struct faults {
  double loss, duplicate, corrupt, reorder;
  int64_t delay;     // nanoseconds
  int64_t byteTime;  // nanoseconds that a byte takes; 0: no limit of the rate
};

// One way across the link, with the queue of packets under way.
struct direction {
  const char *name;  // of the device that it starts from
  int from, to;
  struct faults faults;
  struct packet *oldest, **end;  // `end`: where the next packet is linked
  size_t queuedBytes;
  int64_t free;  // when the last byte will have been sent, at a limited rate
  bool blocked;  // `to` said EAGAIN: wait for POLLOUT, not for the clock
  unsigned long delivered, dropped, lost, duplicated, corrupted, reordered;
};

static void fail(const char *what) {
  fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// --- the ends

static void bringUp(int sock, const char *name) {
  struct ifreq req = {.ifr_flags = 0};
  strcpy(req.ifr_name, name);
  if (ioctl(sock, SIOCGIFFLAGS, &req) < 0) fail("SIOCGIFFLAGS");
  req.ifr_flags |= IFF_UP;
  if (ioctl(sock, SIOCSIFFLAGS, &req) < 0) fail("SIOCSIFFLAGS");
}

// Moves this process to a new namespace, returns the TUN device `link0` there.
// The descriptor stays with that namespace when the process moves on.
static int openEnd(struct in_addr address, struct in_addr peer) {
  if (unshare(CLONE_NEWNET) < 0) fail("unshare");
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun < 0) fail("/dev/net/tun");
  struct ifreq req = {.ifr_name = "link0", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  if (ioctl(tun, TUNSETIFF, &req) < 0) fail("TUNSETIFF");
  // With these the kernel gives and takes TCP segments of up to 64 KiB without
  // checksums: up to 44 times fewer packets to carry than the MTU would make.
  unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(tun, TUNSETOFFLOAD, offloads) < 0) fail("TUNSETOFFLOAD");

  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sock < 0) fail("socket");
  req.ifr_mtu = mtuBytes;
  if (ioctl(sock, SIOCSIFMTU, &req) < 0) fail("SIOCSIFMTU");
  // Packets wait here while the link is not scheduled; beyond it they are lost.
  req.ifr_qlen = txQueuePackets;
  if (ioctl(sock, SIOCSIFTXQLEN, &req) < 0) fail("SIOCSIFTXQLEN");
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = address};
  memcpy(&req.ifr_addr, &in, sizeof in);
  if (ioctl(sock, SIOCSIFADDR, &req) < 0) fail("SIOCSIFADDR");
  in.sin_addr = peer;
  memcpy(&req.ifr_dstaddr, &in, sizeof in);
  if (ioctl(sock, SIOCSIFDSTADDR, &req) < 0) fail("SIOCSIFDSTADDR");
  bringUp(sock, "lo");
  bringUp(sock, "link0");
  close(sock);
  return tun;
}

// A TAP device in this namespace.
static int openTap(const char *name) {
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) fail("/dev/net/tun");
  // Without offloads: a frame is a packet as it would be on a wire, and has its
  // checksum, so that what is corrupted is found.
  struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strcpy(req.ifr_name, name);
  if (ioctl(tap, TUNSETIFF, &req) < 0) fail("TUNSETIFF");
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sock < 0) fail("socket");
  req.ifr_qlen = txQueuePackets;
  if (ioctl(sock, SIOCSIFTXQLEN, &req) < 0) fail("SIOCSIFTXQLEN");
  bringUp(sock, name);
  close(sock);
  return tap;
}

// Forks a process that does nothing but show this namespace in its /proc.
static pid_t forkHolder(void) {
  pid_t parent = getpid(), holder = fork();
  if (holder < 0) fail("fork");
  if (holder > 0) return holder;
  // It dies with its parent, even by kill -9. A parent that was dead before
  // this call shows as another getppid().
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail("PR_SET_PDEATHSIG");
  if (getppid() != parent) _exit(1);
  for (;;) pause();
}

// --- the queues

// True with this probability. (xorshift64, by Marsaglia.)
static bool happens(double probability) {
  static uint64_t x;
  if (probability <= 0) return false;
  while (x == 0)
    if (getrandom(&x, sizeof x, 0) != sizeof x) fail("getrandom");
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return (double)(x >> 11) < probability * (double)(UINT64_C(1) << 53);
}

// Puts a packet into the queue: at its end, or, when it is not to wait for
// those before it, at its head.
static void enqueue(struct direction *way, struct packet *packet) {
  const struct faults *faults = &way->faults;
  int64_t due = now();
  if (faults->byteTime) {
    if (way->free < due) way->free = due;
    way->free += (int64_t)packet->size * faults->byteTime;
    due = way->free;
  }
  way->queuedBytes += packet->size;
  if (happens(faults->reorder)) {
    way->reordered++;
    packet->due = due;
    packet->next = way->oldest;
    if (way->oldest == NULL) way->end = &packet->next;
    way->oldest = packet;
  } else {
    packet->due = due + faults->delay;
    packet->next = NULL;
    *way->end = packet;
    way->end = &packet->next;
  }
}

static struct packet *copied(const struct packet *packet) {
  struct packet *copy = malloc(sizeof *copy + packet->size);
  if (copy == NULL) fail("malloc");
  memcpy(copy, packet, sizeof *copy + packet->size);
  return copy;
}

static void takePackets(struct direction *way, size_t queueBytes) {
  // A packet is read where it stays: into room for the largest, which then
  // shrinks in place. Room that got none is kept for the next.
  static struct packet *room;
  for (int i = 0; i < maxBatchPackets; i++) {
    if (room == NULL) room = malloc(sizeof *room + maxPacketBytes);
    if (room == NULL) fail("malloc");
    ssize_t size = read(way->from, room->bytes, maxPacketBytes);
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) fail("read");
    if (way->queuedBytes + (size_t)size > queueBytes) {
      way->dropped++;
      continue;
    }
    if (happens(way->faults.loss)) {
      way->lost++;
      continue;
    }
    struct packet *packet = realloc(room, sizeof *room + (size_t)size);
    if (packet == NULL) fail("realloc");
    room = NULL;
    packet->size = (size_t)size;
    // The copy is a good one.
    if (happens(way->faults.duplicate)) {
      way->duplicated++;
      enqueue(way, copied(packet));
    }
    if (happens(way->faults.corrupt)) {
      way->corrupted++;
      packet->bytes[rand() % size] ^= (unsigned char)(1 << rand() % 8);
    }
    enqueue(way, packet);
  }
}

static void deliverDuePackets(struct direction *way) {
  for (int i = 0; i < maxBatchPackets && !way->blocked; i++) {
    struct packet *packet = way->oldest;
    if (packet == NULL || packet->due > now()) return;
    if (write(way->to, packet->bytes, packet->size) >= 0) {
      way->delivered++;
    } else if (errno == EAGAIN) {
      way->blocked = true;
      return;
    } else if (errno == EIO || errno == ENOMEM || errno == ENOBUFS || errno == EINVAL) {
      way->dropped++;  // far end down, out of memory, or averse to this packet
    } else {
      fail("write");
    }
    way->queuedBytes -= packet->size;
    way->oldest = packet->next;
    if (way->oldest == NULL) way->end = &way->oldest;
    free(packet);
  }
}

// --- the loop

// Sleeps until a descriptor is ready or a packet is due.
static void sleepUntilWork(struct pollfd *polls, nfds_t count, const struct direction *ways) {
  int64_t due = INT64_MAX;
  for (int i = 0; i < 2; i++) {
    const struct packet *packet = ways[i].oldest;
    if (packet != NULL && !ways[i].blocked && packet->due < due) due = packet->due;
  }
  int64_t left = due - now();
  if (left < 0) left = 0;
  struct timespec timeout = {left / 1000000000, left % 1000000000};
  if (ppoll(polls, count, due == INT64_MAX ? NULL : &timeout, NULL) < 0) fail("ppoll");
}

// The value after a word of netem, which has this unit.
static double value(const char *word, const char *text, const char *unit) {
  char *end;
  double value = text == NULL ? -1 : strtod(text, &end);
  if (text == NULL || end == text || strcmp(end, unit) != 0 || !(value >= 0 && value <= 1e9)) {
    fprintf(stderr, "link: %s wants a number with %s\n", word, unit);
    exit(2);
  }
  return value;
}

// Obeys one line: see the top of this file.
static void obey(struct direction ways[2], char *line) {
  struct faults faults = {0};
  char *name = strtok(line, " "), *word;
  if (name == NULL) return;
  while ((word = strtok(NULL, " ")) != NULL) {
    char *text = strtok(NULL, " ");
    if (strcmp(word, "loss") == 0) {
      faults.loss = value(word, text, "%") / 100;
    } else if (strcmp(word, "duplicate") == 0) {
      faults.duplicate = value(word, text, "%") / 100;
    } else if (strcmp(word, "corrupt") == 0) {
      faults.corrupt = value(word, text, "%") / 100;
    } else if (strcmp(word, "reorder") == 0) {
      faults.reorder = value(word, text, "%") / 100;
    } else if (strcmp(word, "delay") == 0) {
      faults.delay = (int64_t)(value(word, text, "ms") * 1e6);
    } else if (strcmp(word, "rate") == 0) {
      double kbit = value(word, text, "kbit");
      faults.byteTime = kbit > 0 ? (int64_t)(8e6 / kbit) : 0;
    } else {
      fprintf(stderr, "link: no fault is called %s\n", word);
      exit(2);
    }
  }
  for (int i = 0; i < 2; i++) {
    struct direction *way = &ways[i];
    if (way->name == NULL || strcmp(way->name, name) != 0) continue;
    way->faults = faults;
    way->free = 0;
    printf("%s carried %lu lost %lu duplicated %lu corrupted %lu reordered %lu\n", name,
           way->delivered, way->lost, way->duplicated, way->corrupted, way->reordered);
    if (fflush(stdout) != 0) fail("stdout");
    return;
  }
  fprintf(stderr, "link: no device is called %s\n", name);
  exit(2);
}

// Reads what is on stdin, and obeys each whole line. False at its end.
static bool readLines(struct direction ways[2]) {
  static char line[maxLineBytes];
  static size_t size;
  ssize_t got = read(STDIN_FILENO, line + size, sizeof line - 1 - size);
  if (got <= 0) return got < 0 && errno == EINTR;
  size += (size_t)got;
  line[size] = '\0';
  for (char *end; (end = strchr(line, '\n')) != NULL;) {
    *end = '\0';
    size -= (size_t)(end + 1 - line);
    obey(ways, line);
    memmove(line, end + 1, size + 1);
  }
  if (size == sizeof line - 1) size = 0;  // no line of ours is that long
  return true;
}

static void carry(struct direction ways[2], int signals, size_t queueBytes) {
  enum { input, signal, tun };
  struct pollfd polls[] = {{STDIN_FILENO, POLLIN, 0}, {signals, POLLIN, 0},
                           {ways[0].from, POLLIN, 0}, {ways[1].from, POLLIN, 0}};
  for (;;) {
    for (int i = 0; i < 2; i++)
      polls[tun + i].events = POLLIN | (ways[!i].blocked ? POLLOUT : 0);
    sleepUntilWork(polls, 4, ways);
    if (polls[signal].revents) return;
    if (polls[input].revents && !readLines(ways)) return;
    for (int i = 0; i < 2; i++) {
      if (polls[tun + i].revents & POLLOUT) ways[!i].blocked = false;
      if (polls[tun + i].revents & ~POLLOUT) takePackets(&ways[i], queueBytes);
    }
    for (int i = 0; i < 2; i++) deliverDuePackets(&ways[i]);
  }
}

static const char usage[] =
    "usage: link [--queue BYTES] RTT_MICROSECONDS ADDRESS_A ADDRESS_B\n"
    "       link [--queue BYTES] --tap NAME_A NAME_B\n";

static void refuse(void) {
  fputs(usage, stderr);
  exit(2);
}

static long number(const char *text, long min, long max) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || value < min || value > max) refuse();
  return value;
}

// The ends in namespaces of their own, with the delay between them.
static void openNamespaces(struct direction ways[2], pid_t holders[2], char **arguments) {
  int64_t delay = number(arguments[0], 0, maxRTTMicroseconds) * INT64_C(1000) / 2;
  struct in_addr addresses[2];
  for (int i = 0; i < 2; i++)
    if (inet_pton(AF_INET, arguments[1 + i], &addresses[i]) != 1) refuse();
  if (addresses[0].s_addr == addresses[1].s_addr) refuse();
  for (int i = 0; i < 2; i++) {
    ways[i].faults.delay = delay;
    ways[i].from = ways[!i].to = openEnd(addresses[i], addresses[!i]);
    holders[i] = forkHolder();
  }
  printf("ready %d %d\n", holders[0], holders[1]);
}

// The ends in this namespace.
static void openTaps(struct direction ways[2], char **names) {
  for (int i = 0; i < 2; i++) {
    if (strlen(names[i]) >= IFNAMSIZ) refuse();
    ways[i].name = names[i];
    ways[i].from = ways[!i].to = openTap(names[i]);
  }
  printf("ready\n");
}

int main(int argc, char **argv) {
  const struct option options[] = {
      {"help", 0, NULL, 'h'}, {"queue", 1, NULL, 'q'}, {"tap", 0, NULL, 't'}, {0}};
  bool taps = false;
  size_t queueBytes = defaultQueueBytes;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'h') return fputs(usage, stdout) < 0;
    if (option == 't') {
      taps = true;
    } else if (option == 'q') {
      queueBytes = (size_t)number(optarg, 1, LONG_MAX / 2);
    } else {
      refuse();
    }
  }
  if (argc - optind != (taps ? 2 : 3)) refuse();

  // Blocked in the holders too: a Ctrl-C reaches them, and they stay to the end.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  int signals = signalfd(-1, &ends, SFD_CLOEXEC);
  if (signals < 0) fail("signalfd");
  // The default timer slack, 50 us, would come on top of every delay.
  if (prctl(PR_SET_TIMERSLACK, 1) < 0) fail("PR_SET_TIMERSLACK");

  // Freed memory stays here, instead of going to the kernel with each lull.
  mallopt(M_TRIM_THRESHOLD, INT_MAX);

  struct direction ways[2] = {{.end = &ways[0].oldest}, {.end = &ways[1].oldest}};
  pid_t holders[2] = {0};
  if (taps) {
    openTaps(ways, argv + optind);
  } else {
    openNamespaces(ways, holders, argv + optind);
  }
  if (fflush(stdout) != 0) fail("stdout");

  carry(ways, signals, queueBytes);

  for (int i = 0; i < 2 && !taps; i++) {
    kill(holders[i], SIGKILL);
    waitpid(holders[i], NULL, 0);
  }
  fprintf(stderr, "packets %lu %lu dropped %lu\n", ways[0].delivered, ways[1].delivered,
          ways[0].dropped + ways[1].dropped);
}
