// SPDX-License-Identifier: Apache-2.0

/// Says when the port becomes busy and when it is ready again.
///
/// A busy port that never becomes ready again suspends its senders for ever: an empty queue is
/// always ready, since ``Tuning`` keeps the low watermark below the high one.
public struct BusyControl: Equatable, Sendable {
  public enum Change: Equatable, Sendable {
    case none
    case becomeBusy
    case becomeReady
  }

  public private(set) var isBusy = false

  public init() {}

  /// What changes now that so many bytes wait in the driver queue, short messages by a quarter.
  public mutating func queued(_ bytes: Int, _ tuning: Tuning) -> Change {
    if isBusy {
      guard bytes <= tuning.lowWatermark else { return .none }
      isBusy = false
      return .becomeReady
    }
    guard bytes >= tuning.highWatermark else { return .none }
    isBusy = true
    return .becomeBusy
  }
}
