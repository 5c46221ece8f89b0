// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Standard output and standard error.
enum Output {
  static func line(_ text: String) { write(STDOUT_FILENO, text + "\n") }

  static func text(_ text: String) { write(STDOUT_FILENO, text) }

  static func error(_ sentence: String) { write(STDERR_FILENO, "eid: \(sentence)\n") }

  /// write(2) of all; who has gone away needs no text.
  private static func write(_ descriptor: Int32, _ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let written = unsafe rest.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if written < 0 {
        if errno == EINTR { continue }
        return
      }
      rest = rest.dropFirst(written)
    }
  }
}
