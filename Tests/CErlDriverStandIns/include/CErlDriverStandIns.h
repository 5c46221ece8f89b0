// SPDX-License-Identifier: Apache-2.0
//
// A small stand-in for the VM, so that the driver's glue is tested without one.
//
// It has every driver_* function that the driver calls and records what they
// are told; and it calls the driver's callbacks in the VM's manner: stop runs
// inside driver_failure_*, flush before stop while the driver queue holds
// bytes, stop_select when a descriptor is no longer in use.
//
// accept4, recv and sendmsg (send counts as one) are replaced too, by ones that
// count and can be made to fail. Not thread-safe: one test at a time.
//
// erl_driver.h is left out on purpose, so that Swift sees its types through
// CErlDriver only.

#ifndef C_ERL_DRIVER_STAND_INS_H
#define C_ERL_DRIVER_STAND_INS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- The machine --------------------------------------------------------

// Forgets all records and frees all memory. Ports must be closed before.
void standin_reset(void);

// What the driver did that the VM would not survive, or NULL.
const char *standin_violation(void);

// Binaries that somebody still refers to.
size_t standin_live_binaries(void);

// Binaries that the driver ever made.
size_t standin_made_binaries(void);

// Ports are numbered from 1; so many were made.
int standin_port_count(void);

// Ports that are not closed.
size_t standin_live_ports(void);

// Whether driver_lock_driver was called.
bool standin_driver_is_locked(void);

// ---- Ports --------------------------------------------------------------

// open_port({spawn_driver, Command}, _): the port's number, or 0 for badarg.
int standin_open(void *entry, const char *command, uint64_t owner);

// port_control/3: the answer's length, or -1 for badarg.
long standin_control(int port, uint64_t caller, unsigned opcode,
                     const uint8_t *bytes, size_t count);

// The last answer of standin_control, until the next.
const uint8_t *standin_answer(void);

// A part of a message: `count` bytes at `bytes`, within `binary` if there is
// one.
struct standin_part {
  const void *bytes;
  size_t count;
  void *binary;
};

// One message to the driver's outputv, with the empty first vector that the
// VM leaves for a header.
void standin_output(int port, const struct standin_part *parts, size_t count);

// port_close/1. The port stays while its driver queue holds bytes.
void standin_close(int port);

// Waits for the descriptors that ports watch and calls ready_input and
// ready_output once for each that is ready: how many calls there were.
int standin_poll(int milliseconds);

// Calls ready_input or ready_output of a port, ready or not.
void standin_ready_input(int port);
void standin_ready_output(int port);

// Calls timeout, if a timer is set.
bool standin_fire_timer(int port);

// How often ports gave up their time slice.
int standin_yields(void);

// The clock stands still but for this.
void standin_pass_time(int64_t microseconds);

// Has the VM close the port inside the delivery of the n-th packet from now,
// as it does for a packet that it cannot read. 0: never.
void standin_close_on_packet(int port, int n);

bool standin_is_open(int port);
// The reason of driver_failure_*, or NULL.
const char *standin_failure(int port);
int standin_stops(int port);
uint64_t standin_owner(int port);
// Milliseconds, or -1 where no timer is set.
int64_t standin_timer(int port);
bool standin_is_busy(int port);
bool standin_has_binary_replies(int port);
// Bytes in the VM's queue for the port.
size_t standin_queue_bytes(int port);
// The descriptor that a port uses, or -1; and whether the VM watches it.
int standin_descriptor(int port);
bool standin_watches_input(int port);
bool standin_watches_output(int port);
// Bytes that have come to the port's socket and are not read yet.
long standin_unread_bytes(int port);

// The packets that a port delivered, copied as they were then.
size_t standin_packet_count(int port);
const uint8_t *standin_packet(int port, size_t index, size_t *count);

// Keeps a reference for each packet, as the VM does until it is decoded.
void standin_hold_packets(bool hold);
// Whether the held packets still have the bytes that they were delivered with.
bool standin_held_packets_are_intact(void);

// ---- Processes ----------------------------------------------------------

// The oldest message to a process as text, such as {eid,#Port<2>,7,<<0>>};
// NULL where there is none. Valid until the next call.
const char *standin_take_message(uint64_t pid);

// No port can be made for the process any more.
void standin_kill_process(uint64_t pid);

// ---- Binaries -----------------------------------------------------------

// A binary of the VM with one reference.
void *standin_binary_make(const void *bytes, size_t count);
const void *standin_binary_bytes(void *binary);
long standin_binary_references(void *binary);
void standin_binary_release(void *binary);

// ---- What can go wrong --------------------------------------------------

// The n-th driver_alloc_binary from now fails. 0: none.
void standin_fail_allocation(int n);

// driver_create_port finds no room.
void standin_refuse_ports(bool refuse);

// Has stop_select wait for standin_run_stop_select, as it does when another
// scheduler polls the descriptor.
void standin_defer_stop_select(bool defer);
void standin_run_stop_select(void);

enum standin_call { standin_accept4, standin_recv, standin_sendmsg, standin_calls };

// The next `times` calls fail with `error`.
void standin_fail_call(enum standin_call call, int error, int times);
int standin_call_count(enum standin_call call);
// The next sendmsg finds room for so many bytes.
void standin_cut_send(size_t count);
// Bytes that recv gave.
size_t standin_received_bytes(void);

#endif
