// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// A socket that the VM watches for a port.
///
/// From its making on only `stop_select` closes the descriptor; ``release()`` asks for that,
/// once.
struct PolledSocket {
  let descriptor: Int32
  private let port: DriverPort
  private(set) var watchesInput = false
  private(set) var watchesOutput = false
  private var isReleased = false

  init(_ socket: consuming Socket, port: DriverPort) {
    self.init(descriptor: socket.intoDescriptor(), port: port)
  }

  /// Takes over a descriptor that nobody else closes.
  init(descriptor: Int32, port: DriverPort) {
    self.descriptor = descriptor
    self.port = port
    port.select(descriptor, eid_select_use, on: true)
  }

  mutating func watchInput(_ on: Bool) {
    guard on != watchesInput, !isReleased else { return }
    watchesInput = on
    watch(eid_select_read, on)
  }

  mutating func watchOutput(_ on: Bool) {
    guard on != watchesOutput, !isReleased else { return }
    watchesOutput = on
    watch(eid_select_write, on)
  }

  /// Asking for USE along with each event, as inet_drv does, keeps the descriptor in the VM's
  /// poll set while neither is watched.
  private func watch(_ event: Int32, _ on: Bool) {
    port.select(descriptor, on ? event | eid_select_use : event, on: on)
  }

  /// Ends all watching and has the descriptor closed.
  mutating func release() {
    guard !isReleased else { return }
    isReleased = true
    watchesInput = false
    watchesOutput = false
    port.select(descriptor, eid_select_read | eid_select_write | eid_select_use, on: false)
  }
}
