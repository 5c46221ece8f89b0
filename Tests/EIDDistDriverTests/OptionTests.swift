// SPDX-License-Identifier: Apache-2.0

import CErlDriverStandIns
import EIDDistCore
import Glibc
import Testing

extension DriverTests {
  @Suite struct OptionTests {
    @Test func packetsAreCountedBothWays() {
      let (port, peer) = Port.inDataMode()
      peer.send(long([1]) + long([]) + long([2, 3]))
      Machine.wait("they do not come") { port.packetCount == 3 }
      port.output([1, 2, 3])
      port.output()
      #expect(port.statistics == [3, 2, 11])
      port.endBatch()
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
      #expect(
        port.control(.getOptions, [35]) == .ok(option(35, big(UInt32(Tuning().highWatermark))))
      )
    }

    /// TCP_NOTSENT_LOWAT, and SO_RCVBUF with its lock (SO_BUF_LOCK), by their numbers.
    @Test func tuningOfTheSocketFollowsTheOptions() {
      let (port, _) = Port.inDataMode()
      #expect(socketOption(port, 6, 25) == Int32(Tuning().unsentLimit))
      #expect(socketOption(port, 1, 72) == 2, "a peer on loopback is near")
      let fixed = socketOption(port, 1, 8)
      let smaller = option(39, big(UInt32(1000))) + option(40, big(UInt32(100_000)))
      #expect(port.control(.setOptions, smaller) == .ok)
      #expect(socketOption(port, 6, 25) == 1000)
      #expect(socketOption(port, 1, 8) < fixed)
      // None of both.
      let none = option(39, big(UInt32(0))) + option(40, big(UInt32(0)))
      #expect(port.control(.setOptions, none) == .ok)
      #expect(socketOption(port, 6, 25) == -1)
      #expect(socketOption(port, 1, 72) == 0)
      #expect(port.control(.getOptions, [39, 40]) == .ok(none))
    }

    @Test func socketIsNotTunedInTheHandshake() {
      let (port, _) = Port.accepted()
      #expect(socketOption(port, 1, 72) == 0)
      #expect(port.control(.setOptions, option(39, big(UInt32(7)))) == .ok)
      #expect(socketOption(port, 6, 25) != 7)
      #expect(port.control(.enterDataMode) == .ok)
      #expect(socketOption(port, 6, 25) == 7)
      #expect(socketOption(port, 1, 72) == 2)
    }

    private func socketOption(_ port: Port, _ level: Int32, _ name: Int32) -> Int32 {
      var value: Int32 = -99
      var length = socklen_t(MemoryLayout<Int32>.size)
      let status = getsockopt(standin_descriptor(port.id), level, name, &value, &length)
      #expect(status == 0)
      return value
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
