// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What signals do for a while, and did before: sigaction(2).
struct SignalDispositions {
  private var before: [(signal: Int32, action: sigaction)] = []

  /// Sets what a signal does. One that is ignored stays so: whoever started this one wants
  /// it. A call that waits is interrupted by the handler, and not begun again.
  mutating func set(_ signal: Int32, _ handler: __sighandler_t) {
    var old = sigaction()
    guard unsafe sigaction(signal, nil, &old) == 0,
      unsafe !Self.isSame(old.__sigaction_handler.sa_handler, SIG_IGN)
    else { return }
    var new = sigaction()
    unsafe new.__sigaction_handler.sa_handler = handler
    unsafe sigaction(signal, &new, nil)
    before.append((signal, old))
  }

  /// Whether this one has set what the signal does.
  func isSet(_ signal: Int32) -> Bool {
    before.contains { $0.signal == signal }
  }

  mutating func restore() {
    for index in before.indices {
      unsafe sigaction(before[index].signal, &before[index].action, nil)
    }
    before = []
  }

  private static func isSame(_ one: __sighandler_t?, _ other: __sighandler_t?) -> Bool {
    unsafe unsafeBitCast(one, to: Int.self) == unsafeBitCast(other, to: Int.self)
  }
}
