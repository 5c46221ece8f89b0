// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#define HAVE_SYS_UIO_H 1
#include "CErlDriverStandIns.h"

#include <ctype.h>
#include <erl_driver.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(bytes, count) ((void)(bytes), (void)(count))
#define ASAN_UNPOISON_MEMORY_REGION(bytes, count) ((void)(bytes), (void)(count))
#define __asan_region_is_poisoned(bytes, count) ((void)(bytes), (void)(count), (void *)0)
#endif

// ---- Records ------------------------------------------------------------

// Binaries stay in memory, unreadable, until the reset: so a second release
// is seen for what it is.
struct binary {
  struct binary *next;
  long references;
  ErlDrvBinary driver;
};

struct packet {
  uint8_t *copy;
  size_t count;
  struct binary *held;
  const char *bytes;
};

struct message {
  uint64_t to;
  char *text;
};

// As in the VM: closing ports live on until their queue is empty.
enum life { unused, open, closing, closed };

struct port {
  enum life life;
  ErlDrvEntry *entry;
  ErlDrvData data;
  uint64_t owner, caller;
  char *failure;
  int stops, close_on_packet;
  int64_t timer;
  bool busy, binary_replies;
  struct binary *queue[64];
  size_t queue_length;
  int descriptor, watched;
  struct packet *packets;
  size_t packet_count, packet_room;
};

enum { max_ports = 256, max_atoms = 64, max_dead = 16, max_stopping = 16 };

static struct {
  char violation[200];
  struct port ports[max_ports + 1];  // From 1.
  int port_count;
  struct binary *binaries;
  struct message *messages;
  size_t message_count, message_head;
  char *taken;
  char *atoms[max_atoms];
  uint64_t dead[max_dead];
  int dead_count;
  uint8_t *answer;
  bool locked, hold_packets, refuse_ports, defer_stop_select;
  struct { ErlDrvEntry *entry; int descriptor; } stopping[max_stopping];
  int stopping_count;
  int allocation_to_fail;
  struct { int count, failures, error; } calls[standin_calls];
  size_t received_bytes;
  bool cuts_send;
  size_t send_room;  // Of the next sendmsg, where it is cut.
  int yields;
  int64_t microseconds;
} vm;

static void violation(const char *format, ...) {
  if (vm.violation[0]) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(vm.violation, sizeof vm.violation, format, arguments);
  va_end(arguments);
}

// Without memory there is no test.
static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

const char *standin_violation(void) { return vm.violation[0] ? vm.violation : NULL; }
bool standin_driver_is_locked(void) { return vm.locked; }

static void free_binary(struct binary *binary) {
  ASAN_UNPOISON_MEMORY_REGION(binary->driver.orig_bytes, binary->driver.orig_size);
  free(binary);
}

void standin_reset(void) {
  for (int i = 1; i <= vm.port_count; i++) {
    struct port *port = &vm.ports[i];
    for (size_t p = 0; p < port->packet_count; p++) free(port->packets[p].copy);
    free(port->packets);
    free(port->failure);
  }
  while (vm.binaries) {
    struct binary *next = vm.binaries->next;
    free_binary(vm.binaries);
    vm.binaries = next;
  }
  for (size_t i = vm.message_head; i < vm.message_count; i++) free(vm.messages[i].text);
  for (int i = 0; i < max_atoms; i++) free(vm.atoms[i]);
  free(vm.messages);
  free(vm.taken);
  free(vm.answer);
  memset(&vm, 0, sizeof vm);
}

// ---- Binaries -----------------------------------------------------------

static struct binary *of(ErlDrvBinary *driver) {
  return (struct binary *)((char *)driver - offsetof(struct binary, driver));
}

static bool is_alive(ErlDrvBinary *driver, const char *use) {
  if (driver && of(driver)->references > 0) return true;
  violation("%s of a binary that is gone", use);
  return false;
}

ErlDrvBinary *driver_alloc_binary(ErlDrvSizeT size) {
  if (vm.allocation_to_fail > 0 && --vm.allocation_to_fail == 0) return NULL;
  struct binary *binary = must(malloc(sizeof *binary + (size_t)size));
  binary->next = vm.binaries;
  binary->references = 1;
  binary->driver.orig_size = (ErlDrvSInt)size;
  vm.binaries = binary;
  return &binary->driver;
}

ErlDrvSInt driver_binary_inc_refc(ErlDrvBinary *driver) {
  return is_alive(driver, "driver_binary_inc_refc") ? ++of(driver)->references : 0;
}

ErlDrvSInt driver_binary_get_refc(ErlDrvBinary *driver) {
  return is_alive(driver, "driver_binary_get_refc") ? of(driver)->references : 0;
}

void driver_free_binary(ErlDrvBinary *driver) {
  if (!is_alive(driver, "driver_free_binary")) return;
  if (--of(driver)->references > 0) return;
  memset(driver->orig_bytes, 0xDD, (size_t)driver->orig_size);
  ASAN_POISON_MEMORY_REGION(driver->orig_bytes, (size_t)driver->orig_size);
}

size_t standin_made_binaries(void) {
  size_t count = 0;
  for (struct binary *b = vm.binaries; b; b = b->next) count++;
  return count;
}

size_t standin_live_binaries(void) {
  size_t count = 0;
  for (struct binary *b = vm.binaries; b; b = b->next) count += b->references > 0;
  return count;
}

void *standin_binary_make(const void *bytes, size_t count) {
  ErlDrvBinary *driver = must(driver_alloc_binary(count));
  memcpy(driver->orig_bytes, bytes, count);
  return driver;
}

const void *standin_binary_bytes(void *binary) { return ((ErlDrvBinary *)binary)->orig_bytes; }
long standin_binary_references(void *binary) { return of(binary)->references; }
void standin_binary_release(void *binary) { driver_free_binary(binary); }
void standin_fail_allocation(int n) { vm.allocation_to_fail = n; }

// ---- The life of a port -------------------------------------------------

static struct port *numbered(int number) { return &vm.ports[number]; }
static int number_of(struct port *port) { return (int)(port - vm.ports); }
static ErlDrvPort handle(struct port *port) { return (ErlDrvPort)port; }

// The port behind a handle, if the driver may still use it.
static struct port *used(ErlDrvPort handle, const char *function) {
  struct port *port = (struct port *)handle;
  if (port && port->life != unused && port->life != closed) return port;
  violation("%s for a port that is gone", function);
  return NULL;
}

static struct port *make_port(ErlDrvEntry *entry, uint64_t owner) {
  if (vm.port_count == max_ports) abort();
  struct port *port = &vm.ports[++vm.port_count];
  *port = (struct port){
      .life = open, .entry = entry, .owner = owner, .timer = -1, .descriptor = -1};
  return port;
}

static void empty_queue(struct port *port) {
  for (size_t i = 0; i < port->queue_length; i++) driver_free_binary(&port->queue[i]->driver);
  port->queue_length = 0;
}

// io.c, terminate_port.
static void terminate(struct port *port) {
  if (port->stops > 0) {
    violation("stopped twice");
    return;
  }
  port->timer = -1;
  port->stops++;
  port->entry->stop(port->data);
  empty_queue(port);
  port->busy = false;
  if (port->descriptor >= 0) violation("stopped with its descriptor in use");
  port->life = closed;
}

// io.c, erts_deliver_port_exit.
static void deliver_exit(struct port *port) {
  if (port->life != open) return;
  port->busy = false;
  port->life = closing;
  if (port->queue_length > 0) port->entry->flush(port->data);
  if (port->life == closing && port->queue_length == 0) terminate(port);
}

// io.c, driver_failure_term.
static int fail(ErlDrvPort drv_port, const char *reason) {
  struct port *port = used(drv_port, "driver_failure");
  if (!port) return -1;
  if (port->life == closing) {
    terminate(port);
    return 0;
  }
  port->failure = must(strdup(reason));
  empty_queue(port);
  deliver_exit(port);
  return 0;
}

// erl_port_task.c: what follows each callback.
static void after_callback(struct port *port) {
  if (port->life == closing && port->queue_length == 0) terminate(port);
}

int driver_failure_atom(ErlDrvPort port, char *reason) { return fail(port, reason); }

int standin_open(void *entry, const char *command, uint64_t owner) {
  struct port *port = make_port(entry, owner);
  char *copy = must(strdup(command));
  port->data = port->entry->start(handle(port), copy);
  free(copy);
  if (port->data == ERL_DRV_ERROR_BADARG) {
    port->life = closed;
    return 0;
  }
  return number_of(port);
}

ErlDrvPort driver_create_port(ErlDrvPort creator, ErlDrvTermData owner, char *name,
                              ErlDrvData data) {
  ErlDrvPort none = (ErlDrvPort)-1;
  struct port *parent = used(creator, "driver_create_port");
  if (!parent || vm.refuse_ports) return none;
  for (int i = 0; i < vm.dead_count; i++)
    if (vm.dead[i] == owner) return none;
  if (strcmp(name, parent->entry->driver_name) != 0) violation("a port of another driver");
  struct port *port = make_port(parent->entry, owner);
  port->data = data;
  return handle(port);
}

void standin_refuse_ports(bool refuse) { vm.refuse_ports = refuse; }

long standin_control(int number, uint64_t caller, unsigned opcode, const uint8_t *bytes,
                     size_t count) {
  struct port *port = numbered(number);
  char small[64], *reply = small;
  free(vm.answer);
  vm.answer = NULL;
  if (port->life != open) return -1;
  port->caller = caller;
  ErlDrvSSizeT length =
      port->entry->control(port->data, opcode, (char *)bytes, count, &reply, sizeof small);
  if (length >= 0) {
    vm.answer = must(malloc((size_t)length + 1));
    ErlDrvBinary *binary = reply == small ? NULL : (ErlDrvBinary *)reply;
    memcpy(vm.answer, binary ? binary->orig_bytes : reply, (size_t)length);
    if (binary) driver_free_binary(binary);
  }
  after_callback(port);
  return (long)length;
}

const uint8_t *standin_answer(void) { return vm.answer; }

void standin_output(int number, const struct standin_part *parts, size_t count) {
  struct port *port = numbered(number);
  if (port->life != open) return;
  SysIOVec *iov = must(calloc(count + 1, sizeof *iov));
  ErlDrvBinary **binv = must(calloc(count + 1, sizeof *binv));
  ErlIOVec vector = {.vsize = (int)count + 1, .iov = iov, .binv = binv};
  for (size_t i = 0; i < count; i++) {
    iov[i + 1] = (SysIOVec){(void *)parts[i].bytes, parts[i].count};
    binv[i + 1] = parts[i].binary;
    vector.size += parts[i].count;
  }
  port->entry->outputv(port->data, &vector);
  free(iov);
  free(binv);
  after_callback(port);
}

void standin_close(int number) { deliver_exit(numbered(number)); }

void standin_ready_input(int number) {
  struct port *port = numbered(number);
  if (port->life != open && port->life != closing) return;
  port->entry->ready_input(port->data, (ErlDrvEvent)(long)port->descriptor);
  after_callback(port);
}

void standin_ready_output(int number) {
  struct port *port = numbered(number);
  if (port->life != open && port->life != closing) return;
  port->entry->ready_output(port->data, (ErlDrvEvent)(long)port->descriptor);
  after_callback(port);
}

bool standin_fire_timer(int number) {
  struct port *port = numbered(number);
  if (port->timer < 0 || !standin_is_open(number)) return false;
  port->timer = -1;
  port->entry->timeout(port->data);
  after_callback(port);
  return true;
}

int standin_poll(int milliseconds) {
  struct pollfd watched[max_ports];
  int numbers[max_ports];
  nfds_t count = 0;
  for (int i = 1; i <= vm.port_count; i++) {
    struct port *port = &vm.ports[i];
    if (port->descriptor < 0 || !port->watched) continue;
    short events = (short)(((port->watched & ERL_DRV_READ) ? POLLIN : 0) |
                           ((port->watched & ERL_DRV_WRITE) ? POLLOUT : 0));
    watched[count] = (struct pollfd){port->descriptor, events, 0};
    numbers[count++] = i;
  }
  int calls = 0;
  if (poll(watched, count, milliseconds) <= 0) return 0;
  for (nfds_t i = 0; i < count; i++) {
    struct port *port = numbered(numbers[i]);
    short ready = watched[i].revents;
    if (ready & (POLLERR | POLLHUP)) ready |= POLLIN | POLLOUT;
    // A callback before this one may have ended the port, or its watching.
    if ((ready & POLLIN) && (port->watched & ERL_DRV_READ)) {
      calls++;
      standin_ready_input(numbers[i]);
    }
    if ((ready & POLLOUT) && (port->watched & ERL_DRV_WRITE)) {
      calls++;
      standin_ready_output(numbers[i]);
    }
  }
  return calls;
}

bool standin_is_open(int port) {
  return numbered(port)->life == open || numbered(port)->life == closing;
}

long standin_unread_bytes(int port) {
  int count = -1;
  ioctl(numbered(port)->descriptor, FIONREAD, &count);
  return count;
}

const char *standin_failure(int port) { return numbered(port)->failure; }
int standin_stops(int port) { return numbered(port)->stops; }
uint64_t standin_owner(int port) { return numbered(port)->owner; }
int64_t standin_timer(int port) { return numbered(port)->timer; }
bool standin_is_busy(int port) { return numbered(port)->busy; }
bool standin_has_binary_replies(int port) { return numbered(port)->binary_replies; }
size_t standin_queue_bytes(int port) { return numbered(port)->queue_length; }
int standin_descriptor(int port) { return numbered(port)->descriptor; }
bool standin_watches_input(int port) { return numbered(port)->watched & ERL_DRV_READ; }
bool standin_watches_output(int port) { return numbered(port)->watched & ERL_DRV_WRITE; }
void standin_close_on_packet(int port, int n) { numbered(port)->close_on_packet = n; }

int standin_port_count(void) { return vm.port_count; }

size_t standin_live_ports(void) {
  size_t count = 0;
  for (int i = 1; i <= vm.port_count; i++) count += standin_is_open(i);
  return count;
}

// ---- What a driver asks of its port -------------------------------------

int driver_lock_driver(ErlDrvPort port) {
  if (used(port, "driver_lock_driver")) vm.locked = true;
  return 0;
}

void set_port_control_flags(ErlDrvPort drv_port, int flags) {
  struct port *port = used(drv_port, "set_port_control_flags");
  if (port) port->binary_replies = flags == PORT_CONTROL_FLAG_BINARY;
}

void set_busy_port(ErlDrvPort drv_port, int on) {
  struct port *port = used(drv_port, "set_busy_port");
  if (port) port->busy = on;
}

int driver_set_timer(ErlDrvPort drv_port, unsigned long milliseconds) {
  struct port *port = used(drv_port, "driver_set_timer");
  if (port) port->timer = (int64_t)milliseconds;
  return 0;
}

int driver_cancel_timer(ErlDrvPort drv_port) {
  struct port *port = used(drv_port, "driver_cancel_timer");
  if (port) port->timer = -1;
  return 0;
}

// The VM's rounds come with standin_fire_timer.
int erl_drv_consume_timeslice(ErlDrvPort drv_port, int percent) {
  if (!used(drv_port, "erl_drv_consume_timeslice")) return -1;
  vm.yields++;
  return percent >= 100;
}

int standin_yields(void) { return vm.yields; }

ErlDrvTime erl_drv_monotonic_time(ErlDrvTimeUnit unit) {
  if (unit != ERL_DRV_USEC) violation("a clock in another unit");
  return vm.microseconds;
}

void standin_pass_time(int64_t microseconds) { vm.microseconds += microseconds; }

int driver_enq_bin(ErlDrvPort drv_port, ErlDrvBinary *driver, ErlDrvSizeT offset,
                   ErlDrvSizeT length) {
  struct port *port = used(drv_port, "driver_enq_bin");
  if (!port || !is_alive(driver, "driver_enq_bin")) return -1;
  // The driver queues no more than its one byte.
  if (length != 1 || offset + length > (ErlDrvSizeT)driver->orig_size || port->queue_length == 64) {
    violation("driver_enq_bin of %zu bytes at %zu", (size_t)length, (size_t)offset);
    return -1;
  }
  driver_binary_inc_refc(driver);
  port->queue[port->queue_length++] = of(driver);
  return 0;
}

ErlDrvSizeT driver_deq(ErlDrvPort drv_port, ErlDrvSizeT count) {
  struct port *port = used(drv_port, "driver_deq");
  if (!port) return (ErlDrvSizeT)-1;
  if (count != port->queue_length) {
    violation("driver_deq of %zu bytes", (size_t)count);
    return (ErlDrvSizeT)-1;
  }
  empty_queue(port);
  return 0;
}

static void stop_select(ErlDrvEntry *entry, int descriptor) {
  if (!vm.defer_stop_select) {
    entry->stop_select((ErlDrvEvent)(long)descriptor, NULL);
    return;
  }
  if (vm.stopping_count == max_stopping) abort();
  vm.stopping[vm.stopping_count].entry = entry;
  vm.stopping[vm.stopping_count++].descriptor = descriptor;
}

void standin_defer_stop_select(bool defer) { vm.defer_stop_select = defer; }

void standin_run_stop_select(void) {
  for (int i = 0; i < vm.stopping_count; i++)
    vm.stopping[i].entry->stop_select((ErlDrvEvent)(long)vm.stopping[i].descriptor, NULL);
  vm.stopping_count = 0;
}

// erl_check_io.c, driver_select.
int driver_select(ErlDrvPort drv_port, ErlDrvEvent event, int mode, int on) {
  struct port *port = used(drv_port, "driver_select");
  int descriptor = (int)(long)event;
  if (!port) return -1;
  if (port->descriptor >= 0 && port->descriptor != descriptor) {
    violation("driver_select of descriptor %d beside %d", descriptor, port->descriptor);
    return -1;
  }
  if (on) {
    port->descriptor = descriptor;
    port->watched |= mode & (ERL_DRV_READ | ERL_DRV_WRITE);
    return 0;
  }
  port->watched &= ~mode;
  if (mode & ERL_DRV_USE) {
    if (port->descriptor < 0) violation("descriptor %d is given back twice", descriptor);
    port->descriptor = -1;
    port->watched = 0;
    stop_select(port->entry, descriptor);
  }
  return 0;
}

static int deliver(struct port *port, const char *bytes, size_t length, ErlDrvBinary *binary) {
  if (port->life == closing) return 0;
  if (port->packet_count == port->packet_room) {
    port->packet_room = port->packet_room ? 2 * port->packet_room : 16;
    port->packets = must(realloc(port->packets, port->packet_room * sizeof *port->packets));
  }
  struct packet *packet = &port->packets[port->packet_count++];
  *packet = (struct packet){.copy = must(malloc(length + 1)), .count = length};
  if (length) memcpy(packet->copy, bytes, length);
  if (vm.hold_packets && binary) {
    driver_binary_inc_refc(binary);
    packet->held = of(binary);
    packet->bytes = bytes;
  }
  if (port->close_on_packet > 0 && --port->close_on_packet == 0) {
    empty_queue(port);
    deliver_exit(port);
    return -1;
  }
  return 0;
}

// io.c, driver_output2 without a header.
int driver_output(ErlDrvPort drv_port, char *bytes, ErlDrvSizeT length) {
  struct port *port = used(drv_port, "driver_output");
  if (!port) return -1;
  return deliver(port, bytes, (size_t)length, NULL);
}

// io.c, driver_output_binary.
int driver_output_binary(ErlDrvPort drv_port, char *header, ErlDrvSizeT header_length,
                         ErlDrvBinary *driver, ErlDrvSizeT offset, ErlDrvSizeT length) {
  struct port *port = used(drv_port, "driver_output_binary");
  if (!port) return -1;
  if (!is_alive(driver, "driver_output_binary")) return -1;
  if (header || header_length || offset + length > (ErlDrvSizeT)driver->orig_size) {
    violation("a packet of %zu bytes at %zu", (size_t)length, (size_t)offset);
    return -1;
  }
  return deliver(port, driver->orig_bytes + offset, (size_t)length, driver);
}

size_t standin_packet_count(int port) { return numbered(port)->packet_count; }

const uint8_t *standin_packet(int port, size_t index, size_t *count) {
  struct packet *packet = &numbered(port)->packets[index];
  *count = packet->count;
  return packet->copy;
}

bool standin_held_packets_are_intact(void) {
  for (int i = 1; i <= vm.port_count; i++)
    for (size_t p = 0; p < vm.ports[i].packet_count; p++) {
      struct packet *packet = &vm.ports[i].packets[p];
      if (packet->held && memcmp(packet->bytes, packet->copy, packet->count) != 0) return false;
    }
  return true;
}

void standin_hold_packets(bool hold) {
  vm.hold_packets = hold;
  if (hold) return;
  for (int i = 1; i <= vm.port_count; i++)
    for (size_t p = 0; p < vm.ports[i].packet_count; p++) {
      struct packet *packet = &vm.ports[i].packets[p];
      if (packet->held) driver_free_binary(&packet->held->driver);
      packet->held = NULL;
    }
}

// ---- Processes and terms ------------------------------------------------

ErlDrvTermData driver_connected(ErlDrvPort drv_port) {
  struct port *port = used(drv_port, "driver_connected");
  return port ? port->owner : 0;
}

ErlDrvTermData driver_caller(ErlDrvPort drv_port) {
  struct port *port = used(drv_port, "driver_caller");
  return port ? port->caller : 0;
}

ErlDrvTermData driver_mk_port(ErlDrvPort drv_port) {
  struct port *port = used(drv_port, "driver_mk_port");
  return port ? (ErlDrvTermData)number_of(port) : 0;
}

ErlDrvTermData driver_mk_atom(char *name) {
  for (int i = 0; i < max_atoms; i++) {
    if (!vm.atoms[i]) vm.atoms[i] = must(strdup(name));
    if (strcmp(vm.atoms[i], name) == 0) return (ErlDrvTermData)i;
  }
  abort();
}

char *erl_errno_id(int error) {
  static char name[32];
  const char *symbol = strerrorname_np(error);
  if (!symbol) return "unknown";
  size_t i = 0;
  for (; symbol[i] && i + 1 < sizeof name; i++) name[i] = (char)tolower(symbol[i]);
  name[i] = 0;
  return name;
}

static char *text_of_bytes(const uint8_t *bytes, size_t count) {
  char *text = must(malloc(4 * count + 5));
  char *end = text + sprintf(text, "<<");
  for (size_t i = 0; i < count; i++) end += sprintf(end, i ? ",%u" : "%u", bytes[i]);
  strcpy(end, ">>");
  return text;
}

static char *text_of_tuple(char **elements, size_t count) {
  size_t room = 3;
  for (size_t i = 0; i < count; i++) room += strlen(elements[i]) + 1;
  char *text = must(malloc(room));
  char *end = text + sprintf(text, "{");
  for (size_t i = 0; i < count; i++) {
    end += sprintf(end, i ? ",%s" : "%s", elements[i]);
    free(elements[i]);
  }
  strcpy(end, "}");
  return text;
}

static char *text_of(const char *format, unsigned long value) {
  char *text = NULL;
  if (asprintf(&text, format, value) < 0) abort();
  return text;
}

int erl_drv_send_term(ErlDrvTermData port, ErlDrvTermData to, ErlDrvTermData *term, int length) {
  char *stack[16];
  size_t depth = 0;
  used(handle(numbered((int)port)), "erl_drv_send_term");
  for (int i = 0; i < length && depth < 16;) {
    ErlDrvTermData tag = term[i];
    ErlDrvTermData value = i + 1 < length ? term[i + 1] : 0;
    i += 2;
    if (tag == ERL_DRV_ATOM) {
      stack[depth++] = must(strdup(vm.atoms[value]));
    } else if (tag == ERL_DRV_PORT) {
      stack[depth++] = text_of("#Port<%lu>", value);
    } else if (tag == ERL_DRV_UINT) {
      stack[depth++] = text_of("%lu", value);
    } else if (tag == ERL_DRV_BUF2BINARY) {
      stack[depth++] = text_of_bytes((const uint8_t *)value, (size_t)term[i++]);
    } else if (tag == ERL_DRV_TUPLE && value <= depth) {
      depth -= value;
      stack[depth] = text_of_tuple(&stack[depth], value);
      depth++;
    } else {
      violation("a term with tag %lu", (unsigned long)tag);
      break;
    }
  }
  if (depth != 1) {
    violation("a term of %zu parts", depth);
    while (depth > 0) free(stack[--depth]);
    return -1;
  }
  vm.messages = must(realloc(vm.messages, (vm.message_count + 1) * sizeof *vm.messages));
  vm.messages[vm.message_count++] = (struct message){to, stack[0]};
  return 1;
}

const char *standin_take_message(uint64_t pid) {
  for (size_t i = vm.message_head; i < vm.message_count; i++) {
    if (vm.messages[i].to != pid) continue;
    free(vm.taken);
    vm.taken = vm.messages[i].text;
    memmove(&vm.messages[vm.message_head + 1], &vm.messages[vm.message_head],
            (i - vm.message_head) * sizeof *vm.messages);
    vm.message_head++;
    return vm.taken;
  }
  return NULL;
}

void standin_kill_process(uint64_t pid) {
  if (vm.dead_count == max_dead) abort();
  vm.dead[vm.dead_count++] = pid;
}

// ---- System calls -------------------------------------------------------

void standin_fail_call(enum standin_call call, int error, int times) {
  vm.calls[call].failures = times;
  vm.calls[call].error = error;
}

int standin_call_count(enum standin_call call) { return vm.calls[call].count; }
size_t standin_received_bytes(void) { return vm.received_bytes; }

static bool is_to_fail(enum standin_call call) {
  vm.calls[call].count++;
  if (vm.calls[call].failures == 0) return false;
  vm.calls[call].failures--;
  errno = vm.calls[call].error;
  return true;
}

int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags) {
  if (is_to_fail(standin_accept4)) return -1;
  return (int)syscall(SYS_accept4, listener, address, length, flags);
}

ssize_t recv(int descriptor, void *bytes, size_t count, int flags) {
  if (count == 0) violation("recv of 0 bytes");
  // The sanitizer's own recv, which this one replaces, would check the same.
  if (__asan_region_is_poisoned(bytes, count)) violation("recv beyond its buffer");
  if (is_to_fail(standin_recv)) return -1;
  ssize_t received = syscall(SYS_recvfrom, descriptor, bytes, count, flags, NULL, NULL);
  if (received > 0) vm.received_bytes += (size_t)received;
  return received;
}

void standin_cut_send(size_t count) {
  vm.cuts_send = true;
  vm.send_room = count;
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
  for (size_t i = 0; i < message->msg_iovlen; i++)
    if (__asan_region_is_poisoned(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len))
      violation("sendmsg beyond its buffer");
  if (!(flags & MSG_NOSIGNAL)) violation("sendmsg with SIGPIPE");
  if (is_to_fail(standin_sendmsg)) return -1;
  if (!vm.cuts_send) return syscall(SYS_sendmsg, descriptor, message, flags);
  vm.cuts_send = false;
  size_t left = vm.send_room;
  if (left == 0) {
    errno = EAGAIN;
    return -1;
  }
  struct iovec parts[64];
  struct msghdr cut = *message;
  cut.msg_iov = parts;
  cut.msg_iovlen = 0;
  for (size_t i = 0; i < message->msg_iovlen && left > 0; i++) {
    struct iovec part = message->msg_iov[i];
    if (part.iov_len > left) part.iov_len = left;
    left -= part.iov_len;
    parts[cut.msg_iovlen++] = part;
  }
  return syscall(SYS_sendmsg, descriptor, &cut, flags);
}

ssize_t send(int descriptor, const void *bytes, size_t count, int flags) {
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  return sendmsg(descriptor, &message, flags);
}
