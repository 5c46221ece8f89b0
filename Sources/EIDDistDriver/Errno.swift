// SPDX-License-Identifier: Apache-2.0

/// A system call's error number.
struct Errno: Error, Equatable {
  let number: Int32

  init(_ number: Int32) { self.number = number }

  /// The atom's name that Erlang knows it by, such as `econnrefused`.
  var name: String { number == 0 ? "einval" : DriverPort.name(ofErrno: number) }

  /// The system's text for it.
  var text: String { SocketCalls.text(of: self) }
}
