// SPDX-License-Identifier: Apache-2.0

import CErlDriver

/// The VM's side of one port: the only code that calls `driver_*` and `erl_drv_*`.
///
/// Every method must be called from a callback of the same port, which holds the port lock.
@safe struct DriverPort {
  let handle: ErlDrvPort

  typealias Binary = UnsafeMutablePointer<ErlDrvBinary>
  typealias Pid = ErlDrvTermData

  // MARK: The port

  /// Makes control replies binaries instead of lists.
  func useBinaryReplies() {
    unsafe set_port_control_flags(handle, PORT_CONTROL_FLAG_BINARY)
  }

  /// The process whose request is being served.
  var caller: Pid { unsafe driver_caller(handle) }

  /// Makes a further port of this driver, owned by `owner` and linked to it.
  ///
  /// Answers nil when the owner is gone or the VM has no room for a port.
  func makePort(owner: Pid, data: ErlDrvData) -> DriverPort? {
    driverName.withUTF8Buffer { name in
      // The VM only reads the name, its prototype just does not say so.
      let cName = unsafe UnsafeMutableRawPointer(mutating: name.baseAddress!)
        .assumingMemoryBound(to: CChar.self)
      let made = unsafe driver_create_port(handle, owner, cName, data)
      guard let made = unsafe made, Int(bitPattern: made) != -1 else { return nil }
      return unsafe DriverPort(handle: made)
    }
  }

  /// Fails the port. `stop` runs inside: nothing of the port may be touched afterwards.
  func fail(reason: StaticString) {
    reason.withUTF8Buffer { text in
      let cText = unsafe UnsafeMutableRawPointer(mutating: text.baseAddress!)
        .assumingMemoryBound(to: CChar.self)
      _ = unsafe driver_failure_atom(handle, cText)
    }
  }

  // MARK: Events

  /// Begins or ends watching a descriptor; `mode` is made of `eid_select_*`.
  func select(_ descriptor: Int32, _ mode: Int32, on: Bool) {
    _ = unsafe driver_select(
      handle,
      ErlDrvEvent(bitPattern: Int(descriptor)),
      mode,
      on ? 1 : 0
    )
  }

  /// Calls `timeout` after so many milliseconds; 0 right after the present port task.
  func setTimer(milliseconds: UInt) {
    _ = unsafe driver_set_timer(handle, milliseconds)
  }

  /// Ends the port's time slice with the present callback: what is due for it runs in its
  /// scheduler's next round.
  func yield() {
    _ = unsafe erl_drv_consume_timeslice(handle, 100)
  }

  /// The VM's monotonic clock.
  var microseconds: Int64 { Int64(erl_drv_monotonic_time(ERL_DRV_USEC)) }

  func cancelTimer() {
    _ = unsafe driver_cancel_timer(handle)
  }

  func setBusy(_ busy: Bool) {
    unsafe set_busy_port(handle, busy ? 1 : 0)
  }

  // MARK: The VM's own queue, of which eid uses one byte

  /// Puts one byte of `binary` into the VM's queue, which makes the VM call `flush` before
  /// it stops the port.
  func holdOpen(with binary: Binary) {
    _ = unsafe driver_enq_bin(handle, binary, 0, 1)
  }

  /// Takes that byte out again.
  func letGo() {
    _ = unsafe driver_deq(handle, 1)
  }

  // MARK: To Erlang

  /// Hands one packet over by reference. Answers false when the port may be dead.
  func deliver(_ binary: Binary, offset: Int, length: Int) -> Bool {
    unsafe driver_output_binary(handle, nil, 0, binary, offset, length) >= 0
  }

  /// Hands a packet without bytes over, which needs no binary.
  func deliverTick() {
    _ = unsafe driver_output(handle, nil, 0)
  }

  /// Sends `{eid, Port, Request, Payload}`.
  func reply(to pid: Pid, request: UInt32, _ payload: [UInt8]) {
    unsafe payload.withUnsafeBufferPointer { bytes in
      unsafe send(
        to: pid,
        [
          eid_term_atom, atom("eid"), eid_term_port, driver_mk_port(handle),
          eid_term_uint, ErlDrvTermData(request),
          eid_term_bytes, ErlDrvTermData(UInt(bitPattern: bytes.baseAddress)),
          ErlDrvTermData(bytes.count), eid_term_tuple, 4,
        ]
      )
    }
  }

  /// Sends `{eid, Port, Request, AcceptedPort}`.
  func reply(to pid: Pid, request: UInt32, accepted: DriverPort) {
    unsafe send(
      to: pid,
      [
        eid_term_atom, atom("eid"), eid_term_port, driver_mk_port(handle),
        eid_term_uint, ErlDrvTermData(request),
        eid_term_port, driver_mk_port(accepted.handle), eid_term_tuple, 4,
      ]
    )
  }

  /// Sends `{tcp_closed, Port}` to the owner, as dist_util expects.
  func tellOwnerClosed() {
    unsafe send(
      to: driver_connected(handle),
      [
        eid_term_atom, atom("tcp_closed"), eid_term_port, driver_mk_port(handle),
        eid_term_tuple, 2,
      ]
    )
  }

  private func send(to pid: Pid, _ term: [ErlDrvTermData]) {
    var term = term
    unsafe term.withUnsafeMutableBufferPointer { spec in
      _ = unsafe erl_drv_send_term(
        driver_mk_port(handle),
        pid,
        spec.baseAddress,
        Int32(spec.count)
      )
    }
  }

  private func atom(_ name: StaticString) -> ErlDrvTermData {
    name.withUTF8Buffer { text in
      unsafe driver_mk_atom(
        UnsafeMutableRawPointer(mutating: text.baseAddress!)
          .assumingMemoryBound(to: CChar.self)
      )
    }
  }

  // MARK: Binaries

  /// A binary of `capacity` bytes with one reference, or nil without memory.
  static func allocate(_ capacity: Int) -> Binary? {
    unsafe driver_alloc_binary(capacity)
  }

  static func retain(_ binary: Binary) {
    _ = unsafe driver_binary_inc_refc(binary)
  }

  /// Gives up one reference.
  static func release(_ binary: Binary) {
    unsafe driver_free_binary(binary)
  }

  static func isShared(_ binary: Binary) -> Bool {
    unsafe driver_binary_get_refc(binary) > 1
  }

  static func bytes(_ binary: Binary) -> UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(eid_binary_bytes(binary))
  }

  // MARK: The driver

  /// Keeps the driver loaded for ever: the Swift runtime in it cannot be unloaded.
  func lockDriver() {
    unsafe driver_lock_driver(handle)
  }

  /// The atom's name of an errno, such as `econnrefused`.
  static func name(ofErrno errno: Int32) -> String {
    unsafe String(cString: erl_errno_id(errno))
  }
}

/// The name under which the VM knows the driver.
let driverName: StaticString = "eid_drv"
