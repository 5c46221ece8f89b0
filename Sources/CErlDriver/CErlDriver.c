// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CErlDriver.h"

int eid_accept4(int listener, struct sockaddr *address, socklen_t *length) {
  return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

ErlDrvEntry *eid_driver_entry(void) {
  static ErlDrvEntry entry;
  return &entry;
}
