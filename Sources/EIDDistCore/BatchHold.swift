// SPDX-License-Identifier: Apache-2.0

/// Says whether a batch waits for what other processes are about to send.
///
/// A scheduler runs a port, then one process, then a port again (`erts_schedule`). So where
/// many processes send one message each, the batch has ended before the second one runs, and
/// each message costs a system call. A port that gives up its time slice and looks again in
/// its next round finds what they have sent meanwhile; where no other process is ready, that
/// round comes at once.
///
/// It waits only where more is to be expected: several messages of late, or several that came
/// in and will be answered. A lone message is not held up.
public struct BatchHold: Equatable, Sendable {
  /// Bytes at which a batch is worth its system call. A packet that long is no message that
  /// waits for one of many answers.
  public static let fullBytes = 16 * 1024
  /// Messages at which it is, too: with more, the other node would only wait for what it could
  /// work on meanwhile.
  static let fullMessages: UInt64 = 16
  /// A batch that has not grown in so many rounds goes out. It takes one for a process to send
  /// and the next for the VM to bring it.
  static let roundsWithoutMore = 2
  /// A round runs one process, which may keep the scheduler for a while: a batch does not wait
  /// on after that.
  static let maxMicroseconds: Int64 = 500
  /// So many long waits, or as many in excess of a fourth of all, show a scheduler with other
  /// work to do. (One alone may be the operating system's doing.)
  static let longWaits = 4
  /// Batches that go out at once then.
  static let batchesAtOnceAfterLongWaits = 256

  private var sentBefore: UInt64 = 0
  private var receivedBefore: UInt64 = 0
  private var lastBatch: UInt64 = 0
  private var rounds = 0
  private var roundsSinceMore = 0
  private var batch: UInt64 = 0
  private var began: Int64 = 0
  private var batchesAtOnce = 0
  /// Four for a long wait, less one for each other.
  private var longWaitScore = 0

  public init() {}

  /// Whether the one message that is queued answers the one that came since the last batch:
  /// that is a conversation, and goes out without waiting for the end of a batch.
  public func isLoneAnswer(sent: UInt64, received: UInt64) -> Bool {
    received &- receivedBefore == 1 && sent &- sentBefore == 1 && lastBatch <= 1
  }

  /// A round is over. Answers whether to wait for another.
  ///
  /// - Parameters:
  ///   - sent, received: packets since the connection began, of those received the small ones.
  ///   - bytes: in the driver queue.
  ///   - now: a clock that never goes back, in microseconds.
  public mutating func waits(sent: UInt64, received: UInt64, bytes: Int, now: Int64) -> Bool {
    let grown = sent &- sentBefore
    guard bytes > 0, bytes < Self.fullBytes, grown < Self.fullMessages else { return false }
    if rounds == 0 {
      guard max(grown, lastBatch, received &- receivedBefore) > 1 else { return false }
      if batchesAtOnce > 0 {
        batchesAtOnce &-= 1
        return false
      }
      began = now
      batch = 0
      roundsSinceMore = 0
    } else if now &- began > Self.maxMicroseconds {
      longWaitScore &+= 4
      if longWaitScore >= 4 &* Self.longWaits {
        longWaitScore = 0
        batchesAtOnce = Self.batchesAtOnceAfterLongWaits
      }
      return false
    }
    roundsSinceMore = grown == batch ? roundsSinceMore &+ 1 : 0
    batch = grown
    guard roundsSinceMore < Self.roundsWithoutMore else {
      longWaitScore = max(longWaitScore &- 1, 0)
      return false
    }
    rounds &+= 1
    return true
  }

  /// What was queued went to the socket, for whatever reason.
  public mutating func batchEnded(sent: UInt64, received: UInt64) {
    lastBatch = sent &- sentBefore
    sentBefore = sent
    receivedBefore = received
    rounds = 0
  }
}
