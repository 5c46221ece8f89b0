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
      #expect(port.stops == 1)
      #expect(peer.receiveToEnd() == long([1, 2]) + long([3]))
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
      #expect(!port.watchesInput)
      let isWhole = isSame(peer.receiveToEnd(), expected)
      #expect(isWhole)
      #expect(port.stops == 1)
      #expect(port.failure == nil)
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
      #expect(port.stops == 1)
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

  @Suite struct OptionTests {
    @Test func packetsAreCountedBothWays() {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]) + long([]) + long([2, 3]))
      Machine.wait("they do not come") { port.packetCount == 3 }
      port.output([1, 2, 3])
      port.output()
      #expect(port.statistics == [3, 2, 11])
      port.fireTimer()
      #expect(port.statistics == [3, 2, 0])
    }

    @Test func optionsAreSetAndRead() {
      let (port, _) = Port.inDataMode()
      let noDelay = option(.noDelay, 1)
      let keepAlive = option(.keepAlive, 1)
      let linger = option(SocketOption.Code.linger, big(Int32(1)) + big(Int32(3)))
      #expect(port.control(.setOptions, noDelay + keepAlive + linger) == .ok)
      #expect(port.control(.getOptions, [3, 2, 32]) == .ok(noDelay + keepAlive + linger))
      // Linux keeps the seconds.
      let off =
        option(.noDelay, 0) + option(SocketOption.Code.linger, big(Int32(0)) + big(Int32(3)))
      #expect(port.control(.setOptions, off) == .ok)
      #expect(port.control(.getOptions, [3, 32]) == .ok(off))
    }

    @Test func rawOptionsAreSetAndRead() {
      let (port, _) = Port.inDataMode()
      // IPPROTO_TCP, TCP_NODELAY; the value is the machine's own.
      let name = big(Int32(6)) + big(Int32(1))
      #expect(port.control(.setOptions, option(34, name + [1, 0, 0, 0])) == .ok)
      #expect(
        port.control(.getOptions, [34] + name + big(UInt32(4))) == .ok(option(34, [1, 0, 0, 0]))
      )
      #expect(port.control(.getOptions, [34] + name + big(UInt32(1))) == .ok(option(34, [1])))
      let unknown = [34] + big(Int32(6)) + big(Int32(9999)) + big(UInt32(4))
      #expect(port.control(.getOptions, unknown) == .error("enoprotoopt"))
    }

    @Test func optionThatIsRefusedIsTold() {
      let (port, _) = Port.inDataMode()
      #expect(port.control(.setOptions, option(.timeToLive, 70_000)) == .error("einval"))
      #expect(port.control(.setOptions, option(33, Array("nosuch0".utf8))) != .ok)
      // And then the watermarks beside it are not set either.
      let both = option(35, big(UInt32(5))) + option(.timeToLive, 70_000)
      #expect(port.control(.setOptions, both) == .error("einval"))
      #expect(port.control(.getOptions, [35]) == .ok(option(35, big(UInt32(512 * 1024)))))
    }

    @Test func listenersHaveNoWatermarks() {
      #expect(Port.listening().control(.getOptions, [35, 36]) == .ok([]))
    }

    @Test func bothEndsAreNamed() {
      let (port, peer) = Port.inDataMode()
      guard case .ok(let name) = port.control(.peerName) else {
        Issue.record("no peername")
        return
      }
      #expect(name.prefix(5) == [4, 127, 0, 0, 1])
      #expect(port.control(.socketName) == .ok(loopback(port.localPort)))
      peer.reset()
      Machine.wait("it does not fail") { port.failure != nil }
    }

    @Test func otherRolesCommandsAreBadarg() {
      let port = Port.connection()
      #expect(port.control(.opcodes) == .badarg)
      #expect(port.control(.accept, big(UInt32(1))) == .badarg)
      #expect(port.control(.listen, loopback(0) + big(Int32(1))) == .badarg)
      let lookup = big(UInt32(1)) + loopback(1) + big(UInt32(1)) + [0, 1]
      #expect(port.control(.lookup, lookup) == .badarg)
    }
  }
}
