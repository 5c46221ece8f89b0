// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Standard output and standard error.
enum Output {
  private static let failure = Atomic<Int32>(0)

  /// The `errno` of the last write that failed; 0 where none has.
  static var failureNumber: Int32 { failure.load(ordering: .relaxed) }

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
        let number = errno
        // Who reads may have stopped to, and is not waited for when this one is to end.
        if number == EINTR, Subprocess.signal == 0 { continue }
        failure.store(number, ordering: .relaxed)
        return
      }
      rest = rest.dropFirst(written)
    }
  }
}
