// SPDX-License-Identifier: Apache-2.0

/// Says how large the kernel's receive buffer is to be.
///
/// What is in it comes before any message that is sent now. The kernel lets it grow to
/// megabytes where the node reads more slowly than the network brings, which is always so on
/// a fast one; so for a near peer it is fixed at what keeps such a network busy. A far peer
/// needs round trip times rate, which only the kernel's own sizing follows: there it is left
/// alone, and taken back when a peer is seen to have moved away.
public struct ReceiveWindow: Equatable, Sendable {
  public enum Change: Equatable, Sendable {
    case none
    /// Fix the buffer at so many bytes (SO_RCVBUF).
    case fix(bytes: Int)
    /// Let the kernel size it again (SO_BUF_LOCK).
    case release
  }

  /// The rate, in bytes a microsecond, that a fixed buffer must allow: 10 Gbit/s.
  static let nearBytesPerMicrosecond = 1250

  private var fixedBytes = 0

  public init() {}

  /// The shortest round trip so far was measured.
  ///
  /// - Parameters:
  ///   - roundTripMicroseconds: nil where it is not known.
  ///   - bytes: ``Tuning/nearReceiveBuffer``.
  public mutating func measured(roundTripMicroseconds: Int?, near bytes: Int) -> Change {
    let isNear =
      if let microseconds = roundTripMicroseconds, bytes > 0 {
        microseconds <= bytes / Self.nearBytesPerMicrosecond
      } else {
        false
      }
    let wanted = isNear ? bytes : 0
    guard wanted != fixedBytes else { return .none }
    fixedBytes = wanted
    return wanted > 0 ? .fix(bytes: wanted) : .release
  }
}
