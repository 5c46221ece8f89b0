// SPDX-License-Identifier: Apache-2.0

import CErlDriverStandIns
import EIDDistCore
import Glibc
import Testing

extension DriverTests {
  @Suite struct ClosingTests {
    @Test func portWithNothingQueuedStopsAtOnce() {
      let (port, peer) = Port.inDataMode()
      port.output([1])
      port.fireTimer()
      #expect(standin_queue_bytes(port.id) == 0)
      port.close()
      #expect(port.stops == 1)
      #expect(peer.receiveToEnd() == long([1]))
    }

    @Test func batchThatIsPendingGoesOutFirst() {
      let (port, peer) = Port.inDataMode()
      port.output([1, 2])
      port.output([3])
      // The byte that makes the VM call flush.
      #expect(standin_queue_bytes(port.id) == 1)
      port.close()
      #expect(peer.receiveToEnd() == long([1, 2]) + long([3]))
      #expect(port.stops == 0)
      peer.close()
      Machine.wait("it does not stop") { port.stops == 1 }
      #expect(port.failure == nil)
      #expect(Machine.messages().isEmpty)
    }

    @Test func bytesThatThePeerDoesNotTakeYetGoOutFirst() {
      let (port, peer) = Port.inDataMode()
      let expected = port.outputUntilBlocked()
      port.close()
      #expect(port.isOpen)
      #expect(port.stops == 0)
      #expect(port.timer == 5000)
      let isWhole = isSame(peer.receiveToEnd(), expected)
      #expect(isWhole)
      peer.close()
      Machine.wait("it does not stop") { port.stops == 1 }
      #expect(port.failure == nil)
    }

    /// What is left unread would make the kernel reset the connection, and drop the rest.
    @Test func bytesGoOutFirstToAPeerThatSends() {
      let (port, peer) = Port.inDataMode()
      let expected = port.outputUntilBlocked()
      // More than the driver may have read before, and more while it closes.
      peer.send([UInt8](repeating: 0, count: 100_000))
      port.close()
      var received: [UInt8] = []
      while received.count < expected.count, let some = peer.receiveSome() {
        received += some
        peer.send([0, 0, 0, 0])
        standin_poll(0)
      }
      let isWhole = isSame(received, expected)
      #expect(isWhole)
      #expect(peer.receiveToEnd().isEmpty)
      peer.close()
      Machine.wait("it does not stop") { port.stops == 1 }
      #expect(port.packets.isEmpty || port.packets.allSatisfy(\.isEmpty))
    }

    @Test func deadlineEndsTheWaitForThePeersEnd() {
      let (port, peer) = Port.inDataMode()
      port.output([1])
      port.close()
      #expect(peer.receiveToEnd() == long([1]))
      #expect(port.isOpen)
      port.fireTimer()
      #expect(port.stops == 1)
    }

    @Test func deadlineEndsTheWait() {
      let (port, _) = Port.inDataMode()
      _ = port.outputUntilBlocked()
      port.close()
      port.fireTimer()
      #expect(!port.isOpen)
      #expect(port.stops == 1)
      #expect(standin_live_binaries() == 0)
    }

    /// close(2) would, for as long as the option says.
    @Test func timeToLingerHoldsUpNobody() {
      let linger = option(SocketOption.Code.linger, big(Int32(1)) + big(Int32(3)))
      let (port, peer) = Port.inDataMode(linger)
      _ = port.outputUntilBlocked()
      port.close()
      let took = ContinuousClock().measure { port.fireTimer() }
      #expect(port.stops == 1)
      #expect(took < .seconds(2))
      // It is no reset either: the peer gets what the kernel had.
      #expect(!peer.receiveToEnd().isEmpty)
    }

    @Test func peerThatResetsEndsTheWait() {
      let (port, peer) = Port.inDataMode()
      _ = port.outputUntilBlocked()
      port.close()
      peer.reset()
      Machine.wait("it does not stop") { !port.isOpen }
      #expect(port.stops == 1)
      #expect(port.failure == nil)
      #expect(Machine.messages().isEmpty)
    }

    @Test func errorOfTheFlushItselfEndsThePort() {
      let (port, _) = Port.inDataMode()
      port.output([1])
      standin_fail_call(standin_sendmsg, EPIPE, 1)
      port.close()
      #expect(port.stops == 1)
      #expect(port.failure == nil)
    }

    @Test func handshakePacketsGoOutFirst() {
      let (port, peer) = Port.accepted()
      var expected: [UInt8] = []
      while !port.watchesOutput, expected.count < 64 << 20 {
        #expect(port.control(.send, pattern(50_000)) == .ok)
        expected += short(pattern(50_000))
      }
      #expect(port.control(.receive, big(UInt32(1))) == .ok)
      port.close()
      #expect(port.isOpen)
      let isWhole = isSame(peer.receiveToEnd(), expected)
      #expect(isWhole)
      peer.close()
      Machine.wait("it does not stop") { port.stops == 1 }
    }

    @Test func bytesOfAConnectionThatEndedAreDropped() {
      let (port, peer) = Port.accepted()
      while !port.watchesOutput { _ = port.control(.send, pattern(50_000)) }
      #expect(port.control(.receive, big(UInt32(1))) == .ok)
      peer.reset()
      #expect(Machine.message() == port.reply(1, .error("econnreset")))
      port.close()
      #expect(port.stops == 1)
    }

    @Test func failureDropsWhatIsQueued() {
      let (port, peer) = Port.inDataMode()
      _ = port.outputUntilBlocked()
      #expect(standin_queue_bytes(port.id) == 1)
      peer.reset()
      Machine.wait("it does not fail") { port.failure != nil }
      #expect(!port.isOpen)
      #expect(port.stops == 1)
    }

    @Test func closingInEachStateLeavesNothingBehind() {
      Port.listener().close()
      Port.listening().close()
      Port.connection().close()
      Port.accepted().0.close()
      let (port, peer) = Port.accepted()
      #expect(port.control(.receive, big(UInt32(1))) == .ok)
      peer.send([0, 5, 1])
      Machine.settle()
      port.close()
      Port.inDataMode().0.close()
      #expect(standin_live_ports() == 0)
    }
  }
}
