// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Testing

extension DriverTests {
  @Suite struct ConnectTests {
    private func connect(_ port: Port, to endpoint: [UInt8], _ options: [UInt8] = []) -> Answer {
      port.control(.connect, big(UInt32(5)) + endpoint + options)
    }

    @Test func connectIsAnsweredWhenItIsMade() {
      let (listening, number) = Peer.listening()
      let port = Port.connection()
      #expect(connect(port, to: loopback(number)) == .ok)
      #expect(Machine.message() == port.reply(5, .ok))
      #expect(!port.watchesOutput)
      #expect(!port.watchesInput)
      let peer = listening.accepted()
      #expect(port.control(.peerName) == .ok(loopback(number)))
      #expect(port.control(.send, [1, 2]) == .ok)
      #expect(peer.receive(4) == short([1, 2]))
    }

    @Test func refusedConnectIsTold() {
      let (listening, number) = Peer.listening()
      listening.close()
      let port = Port.connection()
      #expect(connect(port, to: loopback(number)) == .ok)
      #expect(Machine.message() == port.reply(5, .error("econnrefused")))
      #expect(port.control(.send, [1]) == .error("econnrefused"))
      #expect(connect(port, to: loopback(number)) == .error("econnrefused"))
    }

    @Test func connectWithinAConnectIsRefusedAndDoesNotTakeTheAnswer() {
      let (_, number) = Peer.listening()
      let port = Port.connection()
      #expect(connect(port, to: loopback(number)) == .ok)
      let second = big(UInt32(6)) + loopback(number)
      #expect(port.control(.connect, second, by: Machine.bob) == .error("eisconn"))
      #expect(port.control(.receive, big(UInt32(7)), by: Machine.bob) == .error("enotconn"))
      #expect(Machine.message() == port.reply(5, .ok))
      #expect(Machine.messages(to: Machine.bob).isEmpty)
    }

    @Test func localAddressIsBoundTo() {
      let (listening, number) = Peer.listening()
      let port = Port.connection()
      let local = option(SocketOption.Code.localAddress, loopback(0, host: 77))
      #expect(connect(port, to: loopback(number), local) == .ok)
      #expect(Machine.message() == port.reply(5, .ok))
      #expect(port.control(.socketName) == .ok(loopback(port.localPort, host: 77)))
      _ = listening.accepted()
    }

    @Test func foreignLocalAddressIsTold() {
      let port = Port.connection()
      let local = option(SocketOption.Code.localAddress, [4, 192, 0, 2, 1, 0, 0])
      #expect(connect(port, to: loopback(1), local) == .ok)
      #expect(Machine.messages() == [port.reply(5, .error("eaddrnotavail"))])
    }

    @Test func nothingIsSentOrReceivedWithoutAConnection() {
      let port = Port.connection()
      #expect(port.control(.send, [1]) == .error("enotconn"))
      #expect(port.control(.receive, big(UInt32(1))) == .error("enotconn"))
      #expect(port.control(.enterDataMode) == .error("enotconn"))
      #expect(port.control(.startDelivery) == .error("enotconn"))
      #expect(port.control(.peerName) == .error("enotconn"))
      #expect(port.control(.socketName) == .error("enotconn"))
      #expect(port.control(.getOptions, [1]) == .error("enotconn"))
      #expect(port.control(.setOptions, option(.noDelay, 1)) == .error("enotconn"))
      #expect(port.control(.tick) == .ok)
      #expect(port.statistics == [0, 0, 0])
    }

    @Test func portThatConnectsCanBeClosed() {
      let (_, number) = Peer.listening()
      let port = Port.connection()
      #expect(connect(port, to: loopback(number)) == .ok)
      port.close()
      #expect(port.stops == 1)
      #expect(Machine.messages().isEmpty)
    }

    @Test(.enabled(if: Machine.hasIPv6)) func connectionsAreMadeOverIPv6() throws {
      let listener = Port.listener()
      #expect(listener.control(.listen, v6(1, 0) + big(Int32(5))) == .ok)
      let number = listener.localPort
      #expect(listener.control(.accept, big(UInt32(1))) == .ok)
      let port = Port.connection()
      #expect(connect(port, to: v6(1, number)) == .ok)
      var messages: [String] = []
      Machine.wait("they do not connect") {
        messages += Machine.messages()
        return messages.count == 2
      }
      #expect(messages.contains(port.reply(5, .ok)))
      let accepted = try #require(
        messages.lazy.compactMap { listener.acceptedPort(1, in: $0) }.first
      )
      #expect(port.control(.peerName) == .ok(v6(1, number)))
      #expect(accepted.control(.peerName) == .ok(v6(1, port.localPort)))
      // An option of the other family is left out, as inet does.
      #expect(accepted.control(.getOptions, [8, 11]) != .error("einval"))
    }
  }
}
