// SPDX-License-Identifier: Apache-2.0

import CErlDriverStandIns
import Glibc
import Testing

@testable import EIDDistCore
@testable import EIDDistDriver

extension DriverTests {
  @Suite struct BatchTests {
    private var sends: Int32 { standin_call_count(standin_sendmsg) }

    @Test func batchGoesOutInOneSendAtItsEnd() {
      let (port, peer) = Port.inDataMode()
      let messages = [[1], [], [2, 3, 4], pattern(2000)] as [[UInt8]]
      let before = sends
      for message in messages {
        port.output(message)
        #expect(port.timer == 0)
      }
      #expect(sends == before)
      #expect(port.statistics == [0, 4, UInt64(messages.map { $0.count + 4 }.reduce(0, +))])
      port.endBatch()
      #expect(sends == before + 1)
      #expect(port.timer == nil)
      let expected = joined(messages.map(long))
      #expect(peer.receive(expected.count) == expected)
      #expect(port.statistics == [0, 4, 0])
    }

    @Test func trafficIsCounted() {
      let (port, peer) = Port.inDataMode()
      #expect(port.traffic.dropLast() == [0, 0, 0, 0, 0, 0, 0, 0])
      port.output([1, 2, 3])
      #expect(port.traffic.dropLast() == [0, 1, 0, 0, 7, 0, 0, 0])
      port.endBatch()
      #expect(port.traffic.dropLast() == [0, 1, 0, 7, 0, 0, 0, 0])
      peer.send(long([4]) + long([]))
      Machine.wait("they do not come") { port.packetCount == 2 }
      #expect(port.traffic.dropLast() == [2, 1, 9, 7, 0, 0, 0, 0])
    }

    @Test func messageOfManyPartsIsOnePacket() {
      let (port, peer) = Port.inDataMode()
      port.output([131, 68], [], [1, 2, 3], pattern(3000), [4])
      port.endBatch()
      let expected = long([131, 68, 1, 2, 3] + pattern(3000) + [4])
      #expect(peer.receive(expected.count) == expected)
    }

    @Test func emptyOutputIsATick() {
      let (port, peer) = Port.inDataMode()
      port.output()
      port.endBatch()
      #expect(peer.receive(4) == [0, 0, 0, 0])
      #expect(port.statistics == [0, 1, 0])
    }

    @Test func flushWithNothingQueuedSendsNothing() {
      let (port, _) = Port.inDataMode()
      port.output([1])
      port.endBatch()
      let before = sends
      // A timer that was under way when the batch went out for another reason.
      port.output(pattern(Tuning().stagingLimit))
      port.output([2])
      #expect(sends == before + 1)
      port.endBatch()
      #expect(sends == before + 2)
      #expect(!standin_fire_timer(port.id))
    }

    /// 32 messages of 2 KB with their headers fill a staging limit of 64 KB exactly.
    @Test(arguments: [
      (last: 2043, goesAtOnce: false), (last: 2044, goesAtOnce: true),
      (last: 2045, goesAtOnce: true),
    ])
    func batchThatIsFullGoesOutAtOnce(last: Int, goesAtOnce: Bool) {
      let (port, peer) = Port.inDataMode()
      #expect(port.control(.setOptions, option(38, big(UInt32(64 * 1024)))) == .ok)
      let before = sends
      var expected: [UInt8] = []
      for count in Array(repeating: 2044, count: 31) + [last] {
        #expect(sends == before)
        let message = pattern(count, expected.count)
        port.output(message)
        expected += long(message)
      }
      #expect(sends == before + (goesAtOnce ? 1 : 0))
      port.endBatch()
      #expect(sends == before + 1)
      let isWhole = isSame(peer.receive(expected.count), expected)
      #expect(isWhole)
    }

    /// Copied parts and a referred one: every place at which a socket can be full.
    @Test func batchGoesOnWhereASendWasCut() {
      let large = SendBuffer.maxCopiedBytes + 1
      let messages = [[1], pattern(5), [], pattern(large, 3), [2, 3]] as [[UInt8]]
      let expected = joined(messages.map(long))
      let cuts = Array(0...40) + Array(expected.count - 12..<expected.count)
      let (port, peer) = Port.inDataMode()
      for cut in cuts {
        for message in messages { port.output(message) }
        standin_cut_send(cut)
        port.endBatch()
        #expect(port.statistics[2] == UInt64(expected.count - cut), "cut at \(cut)")
        #expect(port.watchesOutput, "cut at \(cut)")
        // What comes while the rest waits goes behind it, and sends nothing itself.
        let before = sends
        port.output([9])
        #expect(port.timer == nil)
        #expect(sends == before)
        Machine.wait("the rest does not go out") { !port.watchesOutput }
        let received = peer.receive(expected.count + 5)
        #expect(received == expected + long([9]), "cut at \(cut)")
      }
    }

    /// A batch that makes the port busy goes out whole with its end, and the port is ready.
    @Test func busyInMidBatchLosesNothing() {
      let (port, peer) = Port.inDataMode()
      #expect(port.control(.setOptions, option(35, big(UInt32(50)))) == .ok)
      let messages = (0..<10).map { pattern(30, $0) }
      for message in messages { port.output(message) }
      standin_cut_send(50)
      port.endBatch()
      #expect(port.isBusy)
      for message in messages { port.output(message) }
      let expected = joined((messages + messages).map(long))
      Machine.wait("it stays busy") { !port.isBusy }
      #expect(peer.receive(expected.count) == expected)
    }

    @Test func closeWithACutBatchSendsTheRest() {
      let (port, peer) = Port.inDataMode()
      let messages = (0..<10).map { pattern(30, $0) }
      for message in messages { port.output(message) }
      standin_cut_send(17)
      port.close()
      #expect(port.isOpen)
      #expect(peer.receiveToEnd() == joined(messages.map(long)))
      peer.close()
      Machine.wait("it does not stop") { port.stops == 1 }
    }

    @Test func stagingBlockIsLetGoByTheTickOfAnIdlePort() {
      let (port, peer) = Port.inDataMode()
      var expected: [UInt8] = []
      for index in 0..<100 {
        let message = pattern(500, index)
        port.output(message)
        expected += long(message)
      }
      port.endBatch()
      #expect(peer.receive(expected.count) == expected)
      #expect(standin_live_binaries() == 1)
      #expect(port.control(.tick) == .ok)
      port.endBatch()
      #expect(peer.receive(4) == [0, 0, 0, 0])
      #expect(standin_live_binaries() == 0)
      port.output([1])
      port.endBatch()
      #expect(peer.receive(5) == long([1]))
    }

    @Test func outputOfManyBlocksKeepsItsOrder() {
      let (port, peer) = Port.inDataMode()
      var expected: [UInt8] = []
      for index in 0..<3000 {
        let message = pattern(index % 700, index)
        port.output(message)
        expected += long(message)
      }
      port.endBatch()
      let isWhole = isSame(peer.receive(expected.count), expected)
      #expect(isWhole)
    }

    @Test func interruptedSendIsTriedAgain() {
      let (port, peer) = Port.inDataMode()
      port.output([1])
      standin_fail_call(standin_sendmsg, EINTR, 3)
      port.endBatch()
      #expect(peer.receive(5) == long([1]))
    }
  }

  /// A batch that waits for what other processes are about to send.
  @Suite struct HoldTests {
    private var sends: Int32 { standin_call_count(standin_sendmsg) }

    @Test func loneMessageIsNotHeldUp() {
      let (port, peer) = Port.inDataMode()
      for index in 0..<5 {
        let before = sends
        port.output([1])
        // The first opens the conversation, the others are answers.
        if index == 0 { port.fireTimer() }
        #expect(sends == before + 1)
        #expect(port.timer == nil)
        #expect(peer.receive(5) == long([1]))
        // As a reply to it.
        peer.send(long([2]))
        let count = port.packetCount
        Machine.wait("no reply") { port.packetCount == count + 1 }
      }
      #expect(standin_yields() == 0)
    }

    @Test func answersToWhatCameTogetherGoOutTogether() {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]) + long([2]) + long([3]))
      Machine.wait("they do not come") { port.packetCount == 3 }
      let before = sends
      var expected: [UInt8] = []
      for index in 1...3 as ClosedRange<UInt8> {
        port.output([index])
        expected += long([index])
        port.fireTimer()
        #expect(port.timer == 0)
        #expect(standin_yields() == index)
      }
      #expect(sends == before)
      port.endBatch()
      #expect(sends == before + 1)
      #expect(peer.receive(expected.count) == expected)
    }

    @Test func waitEndsWithItsTime() {
      let (port, _) = Port.inDataMode()
      let before = sends
      port.output([1])
      port.output([2])
      port.fireTimer()
      #expect(sends == before)
      standin_pass_time(BatchHold.maxMicroseconds + 1)
      port.output([3])
      port.fireTimer()
      #expect(sends == before + 1)
      #expect(port.timer == nil)
    }

    @Test func batchThatWaitsGoesOutWithTheClose() {
      let (port, peer) = Port.inDataMode()
      port.output([1])
      port.output([2])
      port.fireTimer()
      #expect(port.timer == 0)
      port.close()
      #expect(peer.receiveToEnd() == long([1]) + long([2]))
      peer.close()
      Machine.wait("it does not stop") { port.stops == 1 }
    }
  }

  @Suite struct ReferenceTests {
    @Test func largeBinaryIsReferredToUntilItIsSent() {
      let (port, peer) = Port.inDataMode()
      let binary = Binary(pattern(SendBuffer.maxCopiedBytes + 1))
      port.output([(binary, 0..<SendBuffer.maxCopiedBytes + 1)])
      #expect(binary.references == 2)
      port.endBatch()
      #expect(binary.references == 1)
      binary.release()
      let expected = long(pattern(SendBuffer.maxCopiedBytes + 1))
      #expect(peer.receive(expected.count) == expected)
    }

    @Test func smallBinaryIsCopied() {
      let (port, peer) = Port.inDataMode()
      let binary = Binary(pattern(SendBuffer.maxCopiedBytes))
      port.output([(binary, 0..<SendBuffer.maxCopiedBytes)])
      #expect(binary.references == 1)
      binary.release()
      port.endBatch()
      let expected = long(pattern(SendBuffer.maxCopiedBytes))
      #expect(peer.receive(expected.count) == expected)
    }

    @Test func partsOfOneBinaryHoldAReferenceEach() {
      let (port, peer) = Port.inDataMode()
      let bytes = pattern(20_000)
      let binary = Binary(bytes)
      // The first two adjoin, so they are one piece; the third stands apart.
      port.output([(binary, 100..<5000), (binary, 5000..<9000), (binary, 12_000..<20_000)])
      #expect(binary.references == 3)
      binary.release()
      port.endBatch()
      let expected = long(Array(bytes[100..<9000] + bytes[12_000...]))
      #expect(peer.receive(expected.count) == expected)
    }

    @Test func morePiecesThanOneSendTakesKeepTheirOrder() {
      let (port, peer) = Port.inDataMode()
      var expected: [UInt8] = []
      for index in 0..<200 {
        let binary = Binary(pattern(3000, index))
        port.output([(binary, 0..<3000)])
        binary.release()
        expected += long(pattern(3000, index))
      }
      standin_fire_timer(port.id)
      let isWhole = isSame(peer.receive(expected.count), expected)
      #expect(isWhole)
    }

    @Test func queuedBinariesAreReleasedWhenThePortFails() {
      let (port, _) = Port.inDataMode()
      let binary = Binary(pattern(5000))
      port.output([(binary, 0..<5000)])
      standin_fail_call(standin_sendmsg, ECONNRESET, 1)
      port.endBatch()
      #expect(port.failure == "connection_closed")
      #expect(binary.references == 1)
      binary.release()
    }
  }

  @Suite struct TickTests {
    @Test func tickIsAnEmptyPacket() {
      let (port, peer) = Port.inDataMode()
      #expect(port.control(.tick) == .ok)
      port.endBatch()
      #expect(peer.receive(4) == [0, 0, 0, 0])
      #expect(port.statistics == [0, 1, 0])
    }

    @Test func tickNeedsNoStagingBlock() {
      let (port, peer) = Port.inDataMode()
      let before = standin_made_binaries()
      for _ in 1...5 {
        #expect(port.control(.tick) == .ok)
        #expect(peer.receive(4) == [0, 0, 0, 0])
      }
      #expect(standin_made_binaries() == before)
      #expect(port.timer == nil)
      #expect(port.statistics == [0, 5, 0])
      #expect(port.traffic[3] == 20)
    }

    @Test(arguments: 0...3) func tickThatIsCutGoesOn(cut: Int) {
      let (port, peer) = Port.inDataMode()
      standin_cut_send(cut)
      #expect(port.control(.tick) == .ok)
      #expect(port.statistics == [0, 1, UInt64(4 - cut)])
      port.output([5])
      port.endBatch()
      #expect(peer.receive(9) == long([]) + long([5]))
      #expect(port.statistics == [0, 2, 0])
    }

    /// Nothing else may come where the rest of the tick should: the peer sees the end.
    @Test func tickThatIsCutWithoutMemoryEndsTheConnection() {
      let (port, peer) = Port.inDataMode()
      standin_cut_send(2)
      standin_fail_allocation(1)
      #expect(port.control(.tick) == .ok)
      #expect(peer.receiveToEnd() == [0, 0])
      port.output([5])
      port.endBatch()
      #expect(!port.isOpen)
    }

    /// dist_util takes a tick that counts for one that the peer will see.
    @Test func tickWithoutRoomAndMemoryDoesNotCount() {
      let (port, peer) = Port.inDataMode()
      standin_cut_send(0)
      standin_fail_allocation(1)
      #expect(port.control(.tick) == .ok)
      #expect(port.statistics == [0, 0, 0])
      port.endBatch()
      #expect(port.control(.tick) == .ok)
      #expect(peer.receive(4) == [0, 0, 0, 0])
      #expect(port.statistics == [0, 1, 0])
    }

    @Test func tickIsSentBeforeDelivery() {
      let (port, peer) = Port.accepted()
      #expect(port.control(.enterDataMode) == .ok)
      #expect(port.control(.tick) == .ok)
      port.endBatch()
      #expect(peer.receive(4) == [0, 0, 0, 0])
    }

    @Test func tickIsLeftOutWhereBytesWait() {
      let (port, peer) = Port.inDataMode()
      port.output([1])
      #expect(port.control(.tick) == .ok)
      port.endBatch()
      #expect(peer.receive(5) == long([1]))
      #expect(port.statistics == [0, 1, 0])
      #expect(port.control(.tick) == .ok)
      #expect(peer.receive(4) == [0, 0, 0, 0])
      #expect(port.statistics == [0, 2, 0])
    }

    @Test func errorOfATickFailsThePortOutsideOfTheCommand() {
      let (port, _) = Port.inDataMode()
      standin_fail_call(standin_sendmsg, EPIPE, 2)
      #expect(port.control(.tick) == .ok)
      #expect(port.isOpen)
      port.endBatch()
      #expect(!port.isOpen)
      #expect(port.failure == "connection_closed")
    }

    @Test func tickIsLeftOutWhereThePeerDoesNotRead() {
      let (port, peer) = Port.inDataMode()
      let expected = port.outputUntilBlocked()
      let sent = port.statistics[1]
      #expect(port.control(.tick) == .ok)
      #expect(port.statistics[1] == sent)
      let isWhole = isSame(peer.receive(expected.count), expected)
      #expect(isWhole)
      Machine.settle()
      // And is sent again as soon as nothing waits.
      #expect(port.control(.tick) == .ok)
      port.endBatch()
      #expect(peer.receive(4) == [0, 0, 0, 0])
    }

    @Test func tickInTheHandshakeIsIgnored() {
      let (port, peer) = Port.accepted()
      #expect(port.control(.tick) == .ok)
      #expect(port.timer == nil)
      #expect(port.control(.send, [1]) == .ok)
      #expect(peer.receive(3) == short([1]))
    }
  }

  @Suite struct BusyTests {
    @Test func portIsBusyFromTheHighWatermarkToTheLowOne() {
      let (port, peer) = Port.inDataMode()
      let busy = Tuning()
      var expected: [UInt8] = []
      while !port.isBusy, expected.count < 64 << 20 {
        #expect(port.statistics[2] < busy.highWatermark)
        let message = pattern(60_000, expected.count)
        port.output(message)
        port.endBatch()
        expected += long(message)
      }
      #expect(port.statistics[2] >= busy.highWatermark)
      standin_pass_time(1000)
      #expect(port.traffic[5...7] == [1, 1, 1000])
      // Output still comes while busy.
      port.output([7])
      expected += long([7])
      var received: [UInt8] = []
      Machine.wait("not all comes") {
        received += peer.receiveSome(50_000) ?? []
        // (The headers count by a quarter.)
        let isNear = abs(Int(port.statistics[2]) - busy.lowWatermark) < 32
        let isBeyond = port.statistics[2] > busy.lowWatermark
        if port.isBusy != isBeyond, !isNear {
          Issue.record("busy \(port.isBusy) at \(port.statistics[2])")
        }
        return received.count >= expected.count
      }
      #expect(!port.isBusy)
      standin_pass_time(500)
      #expect(port.traffic[5...7] == [0, 1, 1000])
      let isWhole = isSame(received, expected)
      #expect(isWhole)
    }

    @Test func bytesOfShortMessagesCountByAQuarter() {
      let (port, _) = Port.inDataMode()
      // Until the kernel takes no more, after which all waits in the driver.
      _ = port.outputUntilBlocked(20_000)
      let long = Int(port.statistics[2])
      var messages = 0
      while !port.isBusy, messages < 1000 {
        port.output(pattern(1000))
        messages += 1
      }
      #expect(port.isBusy)
      #expect(abs(long + messages * 1004 / 4 - Tuning().highWatermark) < 1004)
    }

    @Test func watermarksAreSetAndRead() {
      let (port, peer) = Port.inDataMode()
      let defaults =
        option(35, big(UInt32(Tuning().highWatermark)))
        + option(36, big(UInt32(Tuning().lowWatermark)))
      #expect(port.control(.getOptions, [35, 36]) == .ok(defaults))
      let set = option(35, big(UInt32(100_000))) + option(36, big(UInt32(50_000)))
      #expect(port.control(.setOptions, set) == .ok)
      #expect(port.control(.getOptions, [35, 36]) == .ok(set))
      let expected = port.outputUntilBlocked(20_000)
      var queued = port.statistics[2]
      var more: [UInt8] = []
      while queued < 100_000 {
        #expect(!port.isBusy)
        port.output(pattern(10_000))
        more += long(pattern(10_000))
        queued = port.statistics[2]
      }
      #expect(port.isBusy)
      // A busy port is ready at once where a higher low watermark allows it.
      #expect(port.control(.setOptions, option(35, big(UInt32(1 << 30)))) == .ok)
      #expect(port.isBusy)
      #expect(port.control(.setOptions, option(36, big(UInt32(1 << 29)))) == .ok)
      #expect(!port.isBusy)
      #expect(port.control(.setOptions, set) == .ok)
      #expect(port.isBusy)
      let isWhole = isSame(peer.receive(expected.count + more.count), expected + more)
      #expect(isWhole)
      Machine.settle()
      #expect(!port.isBusy)
    }

    @Test func watermarksOfAConnectAreTaken() {
      let (listening, number) = Peer.listening()
      let port = Port.connection()
      let options = option(36, big(UInt32(10))) + option(35, big(UInt32(20)))
      #expect(port.control(.connect, big(UInt32(5)) + loopback(number) + options) == .ok)
      #expect(Machine.message() == port.reply(5, .ok))
      let answer = option(35, big(UInt32(20))) + option(36, big(UInt32(10)))
      #expect(port.control(.getOptions, [35, 36]) == .ok(answer))
      _ = listening.accepted()
    }

    @Test func watermarkOfOneByteLeavesAnEmptyQueueReady() {
      let (port, peer) = Port.inDataMode()
      #expect(port.control(.setOptions, option(35, big(UInt32(1)))) == .ok)
      for _ in 0..<3 {
        port.output([1])
        port.endBatch()
        #expect(peer.receive(5) == long([1]))
        #expect(!port.isBusy)
      }
    }

    @Test func failureWhileBusyMakesThePortReady() {
      let (port, peer) = Port.inDataMode()
      #expect(port.control(.setOptions, option(35, big(UInt32(1)))) == .ok)
      _ = port.outputUntilBlocked()
      #expect(port.isBusy)
      peer.reset()
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(!port.isBusy)
      #expect(port.stops == 1)
    }
  }
}
