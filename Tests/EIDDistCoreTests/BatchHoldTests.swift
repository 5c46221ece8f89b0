// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct BatchHoldTests {
  /// A connection whose batches are `hold`'s.
  private final class Connection {
    var hold = BatchHold()
    var sent: UInt64 = 0
    var received: UInt64 = 0
    var now: Int64 = 1_000_000

    /// A round after `more` messages. Answers whether the batch waits.
    func round(more: UInt64 = 0, bytes: Int = 100, after time: Int64 = 1) -> Bool {
      sent += more
      now += time
      let waits = hold.waits(sent: sent, received: received, bytes: bytes, now: now)
      if !waits { hold.batchEnded(sent: sent, received: received) }
      return waits
    }

    /// How many rounds a batch waits that grows in none of them.
    func rounds(_ messages: UInt64) -> Int {
      guard round(more: messages) else { return 0 }
      var rounds = 1
      while round() { rounds += 1 }
      return rounds
    }
  }

  @Test func loneMessageGoesAtOnce() {
    let connection = Connection()
    for _ in 0..<10 {
      #expect(connection.rounds(1) == 0)
      connection.received += 1
    }
  }

  @Test func onlyTheOneAnswerToOnePacketIsALoneAnswer() {
    let connection = Connection()
    var isLone: Bool {
      connection.hold.isLoneAnswer(sent: connection.sent, received: connection.received)
    }
    connection.sent = 1
    #expect(!isLone, "nothing came")
    connection.received = 1
    #expect(isLone)
    connection.received = 2
    #expect(!isLone, "another answer is due")
    connection.received = 1
    connection.sent = 2
    #expect(!isLone, "it is the second one")
    connection.hold.batchEnded(sent: connection.sent, received: connection.received)
    connection.sent += 1
    connection.received += 1
    #expect(!isLone, "the last batch had two")
    connection.hold.batchEnded(sent: connection.sent, received: connection.received)
    connection.sent += 1
    connection.received += 1
    #expect(isLone)
  }

  @Test func severalMessagesWaitTwoRoundsForMore() {
    let connection = Connection()
    #expect(connection.rounds(2) == BatchHold.roundsWithoutMore)
    // More is to be expected after them, but only once.
    #expect(connection.rounds(1) == BatchHold.roundsWithoutMore)
    #expect(connection.rounds(1) == 0)
  }

  @Test func severalPacketsThatCameAreToBeAnswered() {
    let connection = Connection()
    connection.received += 2
    #expect(connection.rounds(1) == BatchHold.roundsWithoutMore)
  }

  @Test func waitIsBounded() {
    let connection = Connection()
    #expect(connection.rounds(BatchHold.fullMessages) == 0)
    #expect(connection.rounds(BatchHold.fullMessages - 1) == BatchHold.roundsWithoutMore)
    var rounds = 1
    #expect(connection.round(more: 2))
    // With a message in every other round, as the VM brings them.
    while connection.round(more: UInt64(rounds % 2)) { rounds += 1 }
    #expect(connection.sent == 2 * BatchHold.fullMessages - 1 + BatchHold.fullMessages)
    #expect(!connection.round(more: 5, bytes: BatchHold.fullBytes))
    #expect(connection.round(more: 5, bytes: BatchHold.fullBytes - 1))
    #expect(!connection.round(more: 5, after: BatchHold.maxMicroseconds + 1))
  }

  @Test func nothingQueuedIsNotWaitedFor() {
    let connection = Connection()
    #expect(!connection.round(more: 5, bytes: 0))
  }

  @Test func busySchedulerIsNotWaitedForOverAndOver() {
    let connection = Connection()
    for _ in 0..<BatchHold.longWaits {
      #expect(connection.round(more: 2))
      #expect(!connection.round(more: 1, after: BatchHold.maxMicroseconds + 1))
    }
    for _ in 0..<BatchHold.batchesAtOnceAfterLongWaits { #expect(connection.rounds(2) == 0) }
    #expect(connection.rounds(2) > 0)
  }

  @Test func longWaitNowAndThenIsForgiven() {
    let connection = Connection()
    for _ in 0..<100 {
      #expect(connection.round(more: 2))
      #expect(!connection.round(more: 1, after: BatchHold.maxMicroseconds + 1))
      for _ in 0..<4 { #expect(connection.rounds(2) > 0) }
    }
  }
}
