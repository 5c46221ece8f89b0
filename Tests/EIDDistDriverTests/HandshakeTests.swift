// SPDX-License-Identifier: Apache-2.0

import CErlDriverStandIns
import EIDDistCore
import Glibc
import Testing

extension DriverTests {
  @Suite struct HandshakeTests {
    private func receive(_ port: Port, _ request: UInt32 = 9, by pid: UInt64 = Machine.alice)
      -> Answer
    {
      port.control(.receive, big(request), by: pid)
    }

    @Test(arguments: [0, 1, 2, 255, 256, 1100, 4096]) func packetsGoBothWays(length: Int) {
      let (port, peer) = Port.accepted()
      let packet = pattern(length)
      #expect(port.control(.send, packet) == .ok)
      #expect(peer.receive(length + 2) == short(packet))
      peer.send(short(packet))
      #expect(receive(port) == .ok)
      #expect(Machine.message() == port.reply(9, .ok(packet)))
      #expect(port.statistics == [1, 1, 0])
    }

    @Test func packetMayComeByteAfterByte() {
      let (port, peer) = Port.accepted()
      #expect(receive(port) == .ok)
      for byte in short([7, 8, 9]) {
        #expect(Machine.messages().isEmpty)
        peer.send([byte])
        Machine.settle()
      }
      #expect(Machine.message() == port.reply(9, .ok([7, 8, 9])))
    }

    @Test func nothingIsReadBeyondThePacketThatIsAskedFor() {
      let (port, peer) = Port.accepted()
      peer.send(short([1, 2, 3]) + short([4]) + [0xee])
      #expect(receive(port, 1) == .ok)
      #expect(Machine.message() == port.reply(1, .ok([1, 2, 3])))
      Machine.settle()
      #expect(standin_unread_bytes(port.id) == 4)
      #expect(!port.watchesInput)
      #expect(receive(port, 2) == .ok)
      #expect(Machine.message() == port.reply(2, .ok([4])))
      #expect(standin_unread_bytes(port.id) == 1)
    }

    /// A socket that failed is writable for ever, and no one may ask for long.
    @Test func failedSendIsNotTriedAgainAndAgain() {
      let (port, peer) = Port.accepted()
      for _ in 0..<1000 where !port.watchesOutput {
        #expect(port.control(.send, pattern(60_000)) == .ok)
      }
      #expect(port.watchesOutput)
      peer.reset()
      Machine.wait("it goes on") { !port.watchesOutput }
      #expect(port.isOpen)
      guard case .error = receive(port) else {
        Issue.record("it is not told")
        return
      }
    }

    @Test func nothingIsReadBeforeItIsAskedFor() {
      let (port, peer) = Port.accepted()
      peer.send(short([1]))
      Machine.settle()
      standin_ready_input(port.id)
      #expect(standin_received_bytes() == 0)
      #expect(!port.watchesInput)
    }

    @Test func secondReaderIsRefusedAndGetsNothing() {
      let (port, peer) = Port.accepted()
      #expect(receive(port, 1, by: Machine.alice) == .ok)
      #expect(receive(port, 2, by: Machine.bob) == .error("ealready"))
      peer.send(short([5]))
      #expect(Machine.message(to: Machine.alice) == port.reply(1, .ok([5])))
      #expect(Machine.messages(to: Machine.bob).isEmpty)
    }

    @Test func cancelledReadLeavesWhatHasComeToTheNext() {
      let (port, peer) = Port.accepted()
      #expect(receive(port, 1) == .ok)
      peer.send([0, 2, 8])
      Machine.settle()
      #expect(port.control(.cancel, big(UInt32(1))) == .ok)
      peer.send([9])
      Machine.settle()
      #expect(Machine.messages().isEmpty)
      #expect(port.control(.enterDataMode) == .error("ealready"))
      #expect(receive(port, 2, by: Machine.bob) == .ok)
      #expect(Machine.message(to: Machine.bob) == port.reply(2, .ok([8, 9])))
    }

    @Test(arguments: [4097, 0x4745, 0xffff]) func packetThatIsTooLongEndsTheHandshake(length: Int) {
      let (port, peer) = Port.accepted()
      #expect(receive(port, 1) == .ok)
      peer.send(big(UInt16(length)) + [1, 2, 3])
      #expect(Machine.message() == port.reply(1, .error("handshake_packet_too_long")))
      #expect(receive(port, 2) == .error("handshake_packet_too_long"))
      #expect(port.control(.send, [1]) == .error("handshake_packet_too_long"))
      #expect(port.isOpen)
    }

    @Test func peerThatClosesIsTold() {
      let (port, peer) = Port.accepted()
      #expect(receive(port, 1) == .ok)
      peer.close()
      #expect(Machine.message() == port.reply(1, .error("closed")))
      #expect(receive(port, 2) == .error("closed"))
      #expect(port.control(.enterDataMode) == .error("closed"))
      Machine.settle()
      #expect(!port.watchesInput)
      #expect(port.isOpen)
    }

    @Test func peerThatResetsIsTold() {
      let (port, peer) = Port.accepted()
      #expect(receive(port, 1) == .ok)
      peer.reset()
      #expect(Machine.message() == port.reply(1, .error("econnreset")))
    }

    @Test func interruptedReadIsTriedAgain() {
      let (port, peer) = Port.accepted()
      peer.send(short([1]))
      standin_fail_call(standin_recv, EINTR, 3)
      #expect(receive(port, 1) == .ok)
      #expect(Machine.messages() == [port.reply(1, .ok([1]))])
    }

    @Test func longestPacketThatAHeaderCanNameIsSent() {
      let (port, peer) = Port.accepted()
      let longest = pattern(0xffff)
      #expect(port.control(.send, longest) == .ok)
      #expect(port.control(.send, longest + [1]) == .error("emsgsize"))
      let isWhole = isSame(peer.receive(0xffff + 2), short(longest))
      #expect(isWhole)
      #expect(port.statistics == [0, 1, 0])
    }

    @Test func errorOfASendIsAnswered() {
      let (port, _) = Port.accepted()
      standin_fail_call(standin_sendmsg, EPIPE, 1)
      #expect(port.control(.send, [1, 2, 3]) == .error("epipe"))
      #expect(port.control(.send, [4]) == .error("epipe"))
      #expect(port.isOpen)
      port.close()
      #expect(port.stops == 1)
    }

    @Test func errorOfASendAnswersWhoWaitsForAPacket() {
      let (port, _) = Port.accepted()
      #expect(receive(port, 1, by: Machine.bob) == .ok)
      standin_fail_call(standin_sendmsg, ECONNRESET, 1)
      #expect(port.control(.send, [1, 2, 3]) == .error("econnreset"))
      #expect(Machine.messages(to: Machine.bob) == [port.reply(1, .error("econnreset"))])
    }

    @Test func noMemoryForAPacketIsTold() {
      let (port, _) = Port.accepted()
      standin_fail_allocation(1)
      #expect(port.control(.send, [1]) == .error("enomem"))
    }

    @Test func packetsThatThePeerDoesNotTakeWaitInOrder() {
      let (port, peer) = Port.accepted()
      var expected: [UInt8] = []
      while !port.watchesOutput, expected.count < 64 << 20 {
        let packet = pattern(50_000, expected.count)
        #expect(port.control(.send, packet) == .ok)
        expected += short(packet)
      }
      for length in 0..<10 {
        #expect(port.control(.send, pattern(length)) == .ok)
        expected += short(pattern(length))
      }
      #expect(port.statistics[2] > 0)
      #expect(port.control(.enterDataMode) == .ok)
      port.output([1, 2, 3])
      expected += long([1, 2, 3])
      let isWhole = isSame(peer.receive(expected.count), expected)
      #expect(isWhole)
      Machine.settle()
      #expect(!port.watchesOutput)
      #expect(port.statistics[2] == 0)
    }

    @Test func dataModeWaitsForTheHandshakesEnd() {
      let (port, peer) = Port.accepted()
      #expect(port.control(.startDelivery) == .error("enotconn"))
      #expect(receive(port, 1) == .ok)
      #expect(port.control(.enterDataMode) == .error("ealready"))
      peer.send(short([]))
      #expect(Machine.message() == port.reply(1, .ok([])))
      #expect(port.control(.enterDataMode) == .ok)
      #expect(port.control(.enterDataMode) == .ok)
      #expect(port.control(.send, [1]) == .error("enotconn"))
      #expect(receive(port, 2) == .error("enotconn"))
      #expect(port.control(.startDelivery) == .ok)
      #expect(port.control(.startDelivery) == .error("enotconn"))
    }

    @Test func outputBeforeDataModeFailsThePort() {
      let (port, peer) = Port.accepted()
      port.output([1, 2, 3])
      #expect(port.failure == "badarg")
      #expect(port.stops == 1)
      #expect(Machine.messages() == [port.closedNotice])
      #expect(peer.receiveToEnd().isEmpty)
    }

    @Test func outputWithoutAConnectionFailsThePort() {
      let port = Port.connection()
      port.output([1, 2, 3])
      #expect(port.failure == "badarg")
    }
  }
}
