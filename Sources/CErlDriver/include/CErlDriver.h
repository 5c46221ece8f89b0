// SPDX-License-Identifier: Apache-2.0
//
// erl_driver.h for Swift, and the few things that Swift cannot express.
//
// Everything that eid adds is prefixed eid_.

#ifndef C_ERL_DRIVER_H
#define C_ERL_DRIVER_H

// Makes SysIOVec the system's struct iovec, so that an ErlIOVec's vector goes
// to writev as it is. Must stand before erl_driver.h.
#define HAVE_SYS_UIO_H 1
#include <erl_driver.h>

#include <sys/socket.h>

// ERL_DRV_READ and its siblings are macros with casts, which the importer
// leaves out.
static const int eid_select_read = ERL_DRV_READ;
static const int eid_select_write = ERL_DRV_WRITE;
static const int eid_select_use = ERL_DRV_USE;

// The tags of erl_drv_send_term's term format are macros with casts as well.
static const ErlDrvTermData eid_term_atom = ERL_DRV_ATOM;
static const ErlDrvTermData eid_term_uint = ERL_DRV_UINT;
static const ErlDrvTermData eid_term_port = ERL_DRV_PORT;
static const ErlDrvTermData eid_term_bytes = ERL_DRV_BUF2BINARY;
static const ErlDrvTermData eid_term_tuple = ERL_DRV_TUPLE;

// What a driver's start callback answers for a command that it does not know.
static inline ErlDrvData _Nullable eid_bad_argument(void) {
  return ERL_DRV_ERROR_BADARG;
}

// erl_driver.h gives the bytes of a binary as a one-element array.
static inline char *_Nonnull eid_binary_bytes(ErlDrvBinary *_Nonnull binary) {
  return binary->orig_bytes;
}

// Glibc shows accept4 only under _GNU_SOURCE, which Swift's importer does not
// set. It is wanted because it gives a socket that is non-blocking and
// close-on-exec from birth.
int eid_accept4(int listener, struct sockaddr *_Nullable address,
                socklen_t *_Nullable length);

// Glibc's struct tcp_info ends before tcpi_min_rtt, and the kernel's own cannot
// be included beside it. In microseconds; -1 where it is not known.
long eid_shortest_round_trip(int socket);

// The kernel's smoothed round trip, in microseconds; -1 where it is not known.
long eid_smoothed_round_trip(int socket);

// SO_BUF_LOCK (Linux 5.15), which Glibc does not name yet: has the kernel size
// the receive buffer again after SO_RCVBUF. 0, or -1 with errno.
int eid_unlock_receive_buffer(int socket);

// The entry that the VM keeps for as long as the driver is loaded (which is
// forever, see driver_lock_driver). C gives it static storage.
ErlDrvEntry *_Nonnull eid_driver_entry(void);

#endif
