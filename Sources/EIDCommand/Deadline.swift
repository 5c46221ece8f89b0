// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A moment on the clock that nobody sets.
struct Deadline {
  private let nanoseconds: Int64

  /// Now, in nanoseconds: clock_gettime(2).
  static func now() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  init(milliseconds: Int) {
    nanoseconds = Self.now() + Int64(milliseconds) * 1_000_000
  }

  /// Milliseconds that are left, rounded up; at least 0.
  var remainingMilliseconds: Int32 {
    Int32(clamping: max(0, (nanoseconds - Self.now() + 999_999) / 1_000_000))
  }
}
