// SPDX-License-Identifier: Apache-2.0

import CErlDriverStandIns
import EIDDistCore
import Glibc
import Testing

@testable import EIDDistDriver

extension DriverTests {
  @Suite struct ReceivingTests {
    @Test func packetsComeOnlyAfterStartDelivery() {
      let (port, peer) = Port.accepted()
      #expect(port.control(.enterDataMode) == .ok)
      peer.send(long([1, 2]) + long([]) + long([3]))
      Machine.settle()
      standin_ready_input(port.id)
      #expect(standin_received_bytes() == 0)
      #expect(port.control(.startDelivery) == .ok)
      Machine.wait("they do not come") { port.packetCount == 3 }
      #expect(port.packets == [[1, 2], [], [3]])
      #expect(port.statistics == [3, 0, 0])
    }

    @Test func bytesBehindTheLastHandshakePacketAreDelivered() {
      let (port, peer) = Port.accepted()
      peer.send(short([8]) + long([9, 9]))
      #expect(port.control(.receive, big(UInt32(1))) == .ok)
      #expect(Machine.message() == port.reply(1, .ok([8])))
      #expect(port.control(.enterDataMode) == .ok)
      #expect(port.control(.startDelivery) == .ok)
      Machine.wait("it does not come") { port.packetCount == 1 }
      #expect(port.packets == [[9, 9]])
    }

    @Test func packetMayComeByteAfterByte() {
      let (port, peer) = Port.inDataMode()
      for byte in long([1, 2, 3]) + long([]) {
        peer.send([byte])
        Machine.settle()
      }
      #expect(port.packets == [[1, 2, 3], []])
    }

    @Test func tickOfAnIdlePeerLeavesNoChunk() {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]))
      Machine.wait("it does not come") { port.packetCount == 1 }
      #expect(standin_live_binaries() == 1)
      peer.send(long([]))
      Machine.wait("the tick does not come") { port.packetCount == 2 }
      #expect(standin_live_binaries() == 0)
      peer.send(long([2]))
      Machine.wait("it does not come") { port.packetCount == 3 }
      #expect(port.packets == [[1], [], [2]])
    }

    @Test func tickOfAnIdlePeerNeedsNoChunk() {
      let (port, peer) = Port.inDataMode()
      let before = standin_made_binaries()
      for count in 1...5 {
        peer.send(long([]))
        Machine.wait("the tick does not come") { port.packetCount == count }
      }
      #expect(standin_made_binaries() == before)
      #expect(port.statistics == [5, 0, 0])
      #expect(port.traffic[2] == 20)
    }

    /// What may come in one read after a tick has let go of the chunk, cut at each byte.
    @Test func packetsAfterATickComeWhole() {
      let packets = [[], [], [7], pattern(1000), []] as [[UInt8]]
      let bytes = joined(packets.map(long))
      for cut in Array(0...20) + Array(bytes.count - 6...bytes.count) {
        let (port, peer) = Port.inDataMode()
        peer.send(long([]))
        Machine.wait("the tick does not come") { port.packetCount == 1 }
        peer.send(Array(bytes[..<cut]))
        Machine.settle()
        peer.send(Array(bytes[cut...]))
        Machine.wait("they do not come, cut at \(cut)") { port.packetCount == 6 }
        #expect(port.packets == [[]] + packets, "cut at \(cut)")
      }
    }

    @Test func firstReadWithoutMemoryFailsThePort() {
      let (port, peer) = Port.inDataMode()
      standin_fail_allocation(1)
      peer.send(long([1]))
      Machine.wait("it does not fail") { !port.isOpen }
      #expect(port.packets.isEmpty)
    }

    /// The VM keeps what it has not decoded yet, so no byte of it may change.
    @Test(arguments: [false, true], 0..<3 as Range<UInt64>)
    func packetsOfAllSizesComeWholeAndInOrder(held: Bool, seed: UInt64) {
      var random = Seeded(seed)
      standin_hold_packets(held)
      let (port, peer) = Port.inDataMode()
      let lengths = [0, 1, 3, 4, 64, 1000, 4092, 4093, 70_000, 262_140, 300_000]
      let sent = (0..<60).map { pattern(lengths.randomElement(using: &random)!, $0) }
      let stream = joined(sent.map(long))
      var at = 0
      while at < stream.count {
        let end = min(at + [7, 3000, 200_000].randomElement(using: &random)!, stream.count)
        peer.send(Array(stream[at..<end]))
        standin_poll(0)
        at = end
      }
      Machine.wait("not all comes") { port.packetCount == sent.count }
      let isWhole = isSame(joined(port.packets), joined(sent))
      #expect(isWhole)
      #expect(standin_held_packets_are_intact())
      #expect(port.statistics[0] == 60)
    }

    @Test func packetOfManyStepsComesWhole() {
      let (port, peer) = Port.inDataMode()
      let packet = pattern(20 << 20)
      peer.send(long(packet) + long([1]))
      Machine.wait("it does not come") { port.packetCount == 2 }
      let isWhole = isSame(joined(port.packets), packet + [1])
      #expect(isWhole)
    }

    @Test func oneInputEventReadsNoMoreThanItsBudget() {
      let (port, peer) = Port.inDataMode()
      // Small reads first, so that the chunk has grown.
      for _ in 0..<20 { peer.send(long(pattern(100_000))) }
      Machine.wait("not all comes") { port.packetCount == 20 }
      var sent = 0
      while standin_unread_bytes(port.id) < 1 << 20, sent < 64 << 20 {
        let bytes = long(pattern(60_000))
        guard write(peer.descriptor, bytes, bytes.count) == bytes.count else { break }
        sent += bytes.count
      }
      let waiting = standin_unread_bytes(port.id)
      guard waiting > 3 * ConnectionPort.inputBudgetBytes else { return }
      standin_ready_input(port.id)
      let read = waiting - standin_unread_bytes(port.id)
      #expect(read > 0)
      #expect(read < ConnectionPort.inputBudgetBytes + ReceiveBuffer.defaultMaxChunkBytes)
    }

    @Test func readThatEmptiedTheSocketIsNotRepeated() {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]))
      let before = standin_call_count(standin_recv)
      Machine.wait("it does not come") { port.packetCount == 1 }
      #expect(standin_call_count(standin_recv) == before + 1)
    }

    @Test(arguments: [0x8000_0000, 0xffff_ffff] as [UInt32])
    func packetThatIsTooLongFailsThePort(length: UInt32) {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]) + big(length))
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(port.packets == [[1]])
      #expect(port.failure == "packet_too_long")
      #expect(Machine.messages() == [port.closedNotice])
      #expect(port.stops == 1)
    }

    @Test func peerThatClosesFailsThePortAfterItsPackets() {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]) + [0, 0])
      peer.close()
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(port.packets == [[1]])
      #expect(port.failure == "connection_closed")
      #expect(Machine.messages() == [port.closedNotice])
      #expect(port.stops == 1)
    }

    @Test func peerThatResetsFailsThePort() {
      let (port, peer) = Port.inDataMode()
      peer.reset()
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(port.failure == "connection_closed")
      #expect(Machine.messages() == [port.closedNotice])
    }

    @Test func ownerIsTheOneThatIsTold() throws {
      let listener = Port.listening()
      let peer = Peer.connected(to: listener.localPort)
      #expect(listener.control(.accept, big(UInt32(1)), by: Machine.bob) == .ok)
      let message = Machine.message(to: Machine.bob)
      let port = try #require(listener.acceptedPort(1, in: message))
      #expect(port.control(.enterDataMode) == .ok)
      #expect(port.control(.startDelivery) == .ok)
      peer.close()
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(Machine.messages(to: Machine.bob) == [port.closedNotice])
      #expect(Machine.messages(to: Machine.alice).isEmpty)
    }

    @Test func peerThatClosesBeforeDeliveryIsToldAtItsStart() {
      let (port, peer) = Port.accepted()
      #expect(port.control(.enterDataMode) == .ok)
      peer.close()
      Machine.settle()
      #expect(port.failure == nil)
      #expect(port.control(.startDelivery) == .ok)
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(port.failure == "connection_closed")
    }

    @Test func nothingIsDeliveredOnceTheVMHasClosedThePort() {
      let (port, peer) = Port.inDataMode()
      standin_close_on_packet(port.id, 2)
      port.output([5])
      peer.send(long([1]) + long([2]) + long([3]))
      Machine.wait("it is not closed") { !port.isOpen }
      #expect(port.packets == [[1], [2]])
      #expect(port.stops == 1)
      #expect(port.failure == nil)
      #expect(Machine.messages().isEmpty)
    }

    @Test func interruptedReadIsTriedAgain() {
      let (port, peer) = Port.inDataMode()
      standin_fail_call(standin_recv, EINTR, 3)
      peer.send(long([1]))
      Machine.wait("it does not come") { port.packetCount == 1 }
    }

    @Test func readableForNothingIsNoEnd() {
      let (port, peer) = Port.inDataMode()
      standin_ready_input(port.id)
      standin_ready_output(port.id)
      peer.send(long([1]))
      Machine.wait("it does not come") { port.packetCount == 1 }
    }

    @Test func noMemoryToReceiveFailsThePort() {
      let (port, peer) = Port.inDataMode()
      standin_fail_allocation(1)
      peer.send(long([1]))
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(port.failure == "enomem")
    }

    @Test func noMemoryForALargePacketFailsThePort() {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]))
      Machine.wait("it does not come") { port.packetCount == 1 }
      standin_fail_allocation(1)
      peer.send(big(UInt32(1 << 30)) + [1])
      Machine.settle()
      peer.send([2])
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(port.failure == "enomem")
    }

    @Test func noMemoryToSendFailsThePort() {
      let (port, _) = Port.inDataMode()
      standin_fail_allocation(1)
      port.output([1])
      #expect(port.failure == "enomem")
      #expect(Machine.messages() == [port.closedNotice])
      #expect(port.stops == 1)
    }

    @Test(arguments: [EPIPE, ECONNRESET, ETIMEDOUT]) func errorOfASendFailsThePort(error: Int32) {
      let (port, _) = Port.inDataMode()
      port.output([1])
      standin_fail_call(standin_sendmsg, error, 1)
      port.fireTimer()
      #expect(port.failure == "connection_closed")
      #expect(Machine.messages() == [port.closedNotice])
      #expect(port.stops == 1)
    }

    @Test func errorOfASendWithinAnOutputFailsThePort() {
      let (port, _) = Port.inDataMode()
      standin_fail_call(standin_sendmsg, EPIPE, 1)
      port.output(pattern(Tuning().stagingLimit))
      #expect(port.failure == "connection_closed")
      #expect(port.stops == 1)
      port.output([1])
    }
  }
}
