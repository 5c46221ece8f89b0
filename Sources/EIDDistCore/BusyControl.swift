// SPDX-License-Identifier: Apache-2.0

/// Says when the port becomes busy and when it is ready again.
///
/// A busy port that never becomes ready again suspends its senders for ever, so the low
/// watermark is kept below the high one, and an empty queue is always ready.
public struct BusyControl: Equatable, Sendable {
  public enum Change: Equatable, Sendable {
    case none
    case becomeBusy
    case becomeReady
  }

  /// Bytes; at or above it the port becomes busy. At least 1.
  public private(set) var highWatermark: Int
  /// Bytes; at or below it a busy port becomes ready. Below the high one.
  public private(set) var lowWatermark: Int
  public private(set) var isBusy = false

  public init(highWatermark: Int = 512 * 1024, lowWatermark: Int = 256 * 1024) {
    self.highWatermark = max(1, highWatermark)
    self.lowWatermark = max(0, min(lowWatermark, self.highWatermark - 1))
  }

  /// Sets the high watermark; the low one goes down with it where it must.
  public mutating func setHighWatermark(_ bytes: Int) {
    highWatermark = max(1, bytes)
    lowWatermark = min(lowWatermark, highWatermark - 1)
  }

  /// Sets the low watermark; it stays below the high one.
  public mutating func setLowWatermark(_ bytes: Int) {
    lowWatermark = max(0, min(bytes, highWatermark - 1))
  }

  /// What changes now that `bytes` wait in the driver queue.
  public mutating func queued(_ bytes: Int) -> Change {
    if isBusy {
      guard bytes <= lowWatermark else { return .none }
      isBusy = false
      return .becomeReady
    }
    guard bytes >= highWatermark else { return .none }
    isBusy = true
    return .becomeBusy
  }
}
