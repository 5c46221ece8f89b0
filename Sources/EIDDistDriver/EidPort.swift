// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// What every port of the driver has: the VM's callbacks, of which a role overrides its own.
///
/// The VM holds one reference from `start` to `stop`. All callbacks of a port run under its
/// port lock, so nothing here is concurrent.
class EidPort {
  /// The VM's side of this port. An accepted connection gets it after its making.
  var port: DriverPort
  /// Set by ``stop()``: the port is gone, and nothing of the VM may be called for it.
  private(set) var isStopped = false

  init(_ port: DriverPort) {
    self.port = port
  }

  /// Serves a `port_control/3` request.
  func control(_ command: ControlCommand) -> ControlReply {
    .badArgument
  }

  /// Takes one message for the peer, or one tick when it is empty.
  func outputv(_ vector: UnsafeMutablePointer<ErlIOVec>) {}

  func readyInput() {}
  func readyOutput() {}
  func timeout() {}

  /// The port is about to close with bytes in the driver queue.
  func flush() {}

  /// The port is closed: everything that it holds goes now.
  func stop() {
    isStopped = true
  }
}
