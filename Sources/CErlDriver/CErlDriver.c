// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CErlDriver.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>

int eid_accept4(int listener, struct sockaddr *address, socklen_t *length) {
  return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

ErlDrvEntry *eid_driver_entry(void) {
  static ErlDrvEntry entry;
  return &entry;
}

long eid_shortest_round_trip(int socket) {
  // Up to and with tcpi_min_rtt, as in linux/tcp.h since Linux 4.6; that
  // header never changes what it once had.
  enum { MIN_RTT_OFFSET = 148 };
  unsigned char info[MIN_RTT_OFFSET + sizeof(uint32_t)];
  socklen_t length = sizeof(info);
  uint32_t microseconds;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, info, &length) != 0 ||
      length < sizeof(info))
    return -1;
  memcpy(&microseconds, info + MIN_RTT_OFFSET, sizeof(microseconds));
  // ~0 before the first measurement.
  return microseconds == UINT32_MAX ? -1 : (long)microseconds;
}

long eid_smoothed_round_trip(int socket) {
  struct tcp_info info;
  socklen_t length = sizeof(info);
  memset(&info, 0, sizeof(info));
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
      info.tcpi_rtt == 0)
    return -1;
  return (long)info.tcpi_rtt;
}

int eid_unlock_receive_buffer(int socket) {
  enum { BUF_LOCK = 72, RCVBUF_LOCKED = 2 };
  int locks = 0;
  socklen_t length = sizeof(locks);
  if (getsockopt(socket, SOL_SOCKET, BUF_LOCK, &locks, &length) != 0)
    return -1;
  locks &= ~RCVBUF_LOCKED;
  return setsockopt(socket, SOL_SOCKET, BUF_LOCK, &locks, sizeof(locks));
}
