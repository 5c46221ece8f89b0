// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import CErlDriverStandIns
import EIDDistCore
import EIDDistDriver
import Glibc
import Testing

extension DriverTests {
  @Suite struct DriverEntryTests {
    @Test func entryFitsTheAbiOfOtp25To29() {
      let entry = driverInit().pointee
      #expect(String(cString: entry.driver_name) == "eid_drv")
      #expect(entry.major_version == 3)
      #expect(entry.minor_version <= 3)
      #expect(entry.driver_flags == ERL_DRV_FLAG_USE_PORT_LOCKING | ERL_DRV_FLAG_SOFT_BUSY)
    }

    @Test(arguments: ["eid_drv", "eid_drv ", "eid_drv other", "eid_drv listener x", ""])
    func unknownRoleIsBadarg(command: String) {
      #expect(Port(command) == nil)
    }

    @Test(arguments: ["listener", "connection", "lookup"])
    func portAnswersInBinariesAndKeepsTheDriverLoaded(role: String) throws {
      let port = try #require(Port("eid_drv \(role)"))
      #expect(standin_driver_is_locked())
      #expect(standin_has_binary_replies(port.id))
    }

    @Test func opcodesAreListedByNameAndNumber() {
      let table = ControlOpcode.allCases.map { "\($0.name)=\($0.rawValue)\n" }.joined()
      #expect(Port.listener().control(.opcodes) == .ok(Array(table.utf8)))
    }
  }

  @Suite struct ListenerPortTests {
    private func accept(_ listener: Port, _ request: UInt32, by pid: UInt64 = Machine.alice)
      -> Answer
    {
      listener.control(.accept, big(request), by: pid)
    }

    @Test func listensOnAFreePortAndSaysWhich() {
      let listener = Port.listening()
      #expect(listener.localPort > 0)
      #expect(listener.control(.socketName) == .ok(loopback(listener.localPort)))
    }

    @Test func portInUseIsTold() {
      let first = Port.listening()
      let second = Port.listener()
      let command = loopback(first.localPort) + big(Int32(5))
      #expect(second.control(.listen, command) == .error("eaddrinuse"))
    }

    @Test func foreignAddressIsTold() {
      let command: [UInt8] = [4, 192, 0, 2, 1, 0, 0] + big(Int32(5))
      #expect(Port.listener().control(.listen, command) == .error("eaddrnotavail"))
    }

    @Test func secondListenIsRefused() {
      let listener = Port.listening()
      #expect(listener.control(.listen, loopback(0) + big(Int32(5))) == .error("einval"))
    }

    @Test func nothingIsAcceptedBeforeListen() {
      #expect(accept(Port.listener(), 1) == .error("einval"))
    }

    @Test func nothingIsAcceptedAfterAListenThatFailed() {
      let listener = Port.listener()
      _ = listener.control(.listen, [4, 192, 0, 2, 1, 0, 0] + big(Int32(5)))
      #expect(accept(listener, 1) == .error("einval"))
    }

    @Test func waitingConnectionIsAcceptedAtOnce() throws {
      let listener = Port.listening()
      let peer = Peer.connected(to: listener.localPort)
      #expect(accept(listener, 7, by: Machine.bob) == .ok)
      let port = try #require(listener.acceptedPort(7, in: Machine.message(to: Machine.bob)))
      #expect(standin_owner(port.id) == Machine.bob)
      #expect(standin_has_binary_replies(port.id))
      #expect(port.control(.send, [1, 2]) == .ok)
      #expect(peer.receive(4) == short([1, 2]))
    }

    @Test func acceptWaitsForAConnection() throws {
      let listener = Port.listening()
      #expect(accept(listener, 7) == .ok)
      #expect(listener.watchesInput)
      #expect(Machine.messages().isEmpty)
      _ = Peer.connected(to: listener.localPort)
      _ = try #require(listener.acceptedPort(7, in: Machine.message()))
    }

    @Test func eachRequestTakesOneConnection() throws {
      let listener = Port.listening()
      for _ in 0..<3 { _ = Peer.connected(to: listener.localPort) }
      #expect(accept(listener, 1) == .ok)
      Machine.settle()
      #expect(Machine.messages().count == 1)
      // Two are still there, but nobody wants them: watching them would spin.
      #expect(!listener.watchesInput)
      #expect(accept(listener, 2) == .ok)
      #expect(accept(listener, 3) == .ok)
      #expect(Machine.messages().count == 2)
      #expect(accept(listener, 4) == .ok)
      Machine.settle()
      #expect(listener.watchesInput)
      _ = Peer.connected(to: listener.localPort)
      _ = try #require(listener.acceptedPort(4, in: Machine.message()))
      Machine.settle()
      _ = Peer.connected(to: listener.localPort)
      Machine.settle()
      #expect(!listener.watchesInput)
    }

    @Test func secondAcceptorIsRefusedAndGetsNothing() throws {
      let listener = Port.listening()
      #expect(accept(listener, 1, by: Machine.alice) == .ok)
      #expect(accept(listener, 2, by: Machine.bob) == .error("ealready"))
      _ = Peer.connected(to: listener.localPort)
      let port = try #require(listener.acceptedPort(1, in: Machine.message(to: Machine.alice)))
      #expect(standin_owner(port.id) == Machine.alice)
      #expect(Machine.messages(to: Machine.bob).isEmpty)
    }

    @Test func cancelledAcceptLeavesTheConnectionToTheNext() throws {
      let listener = Port.listening()
      #expect(accept(listener, 1) == .ok)
      #expect(listener.control(.cancel, big(UInt32(9))) == .ok)
      #expect(listener.control(.cancel, big(UInt32(1))) == .ok)
      _ = Peer.connected(to: listener.localPort)
      Machine.settle()
      #expect(Machine.messages().isEmpty)
      #expect(accept(listener, 2) == .ok)
      _ = try #require(listener.acceptedPort(2, in: Machine.message()))
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func listenerRestsWhereThereIsNoRoomAndRecovers(error: Int32) throws {
      let listener = Port.listening()
      #expect(accept(listener, 1) == .ok)
      standin_fail_call(standin_accept4, error, 2)
      _ = Peer.connected(to: listener.localPort)
      Machine.wait("it does not rest") { listener.timer == 100 }
      #expect(!listener.watchesInput)
      let calls = standin_call_count(standin_accept4)
      Machine.settle()
      #expect(standin_call_count(standin_accept4) == calls)
      listener.fireTimer()
      #expect(listener.timer == 100)
      #expect(accept(listener, 2) == .error("ealready"))
      listener.fireTimer()
      _ = try #require(listener.acceptedPort(1, in: Machine.message()))
      #expect(listener.timer == nil)
    }

    @Test func acceptThatRestsCanBeCancelled() throws {
      let listener = Port.listening()
      standin_fail_call(standin_accept4, EMFILE, 1)
      #expect(accept(listener, 1) == .ok)
      #expect(listener.control(.cancel, big(UInt32(1))) == .ok)
      listener.fireTimer()
      _ = Peer.connected(to: listener.localPort)
      #expect(accept(listener, 2) == .ok)
      _ = try #require(listener.acceptedPort(2, in: Machine.message()))
    }

    @Test(arguments: [ECONNABORTED, EPROTO, EINTR])
    func connectionThatCameToNothingIsPassedOver(error: Int32) throws {
      let listener = Port.listening()
      standin_fail_call(standin_accept4, error, 3)
      _ = Peer.connected(to: listener.localPort)
      #expect(accept(listener, 1) == .ok)
      _ = try #require(listener.acceptedPort(1, in: Machine.message()))
    }

    @Test func otherErrorIsAnswered() {
      let listener = Port.listening()
      standin_fail_call(standin_accept4, EINVAL, 1)
      #expect(accept(listener, 1) == .ok)
      #expect(Machine.messages() == [listener.reply(1, .error("einval"))])
      #expect(accept(listener, 2) == .ok)
    }

    @Test func connectionForAnAcceptorThatIsGoneIsClosed() {
      let listener = Port.listening()
      #expect(accept(listener, 1, by: Machine.bob) == .ok)
      standin_kill_process(Machine.bob)
      let peer = Peer.connected(to: listener.localPort)
      #expect(peer.receiveToEnd().isEmpty)
      #expect(Machine.messages(to: Machine.bob).isEmpty)
      #expect(listener.timer == 100)
    }

    @Test func connectionIsClosedWhereTheVMHasNoPort() throws {
      let listener = Port.listening()
      standin_refuse_ports(true)
      let first = Peer.connected(to: listener.localPort)
      #expect(accept(listener, 1) == .ok)
      #expect(first.receiveToEnd().isEmpty)
      standin_refuse_ports(false)
      _ = Peer.connected(to: listener.localPort)
      listener.fireTimer()
      _ = try #require(listener.acceptedPort(1, in: Machine.message()))
    }

    @Test func closingAListenerFreesItsPort() {
      let listener = Port.listening()
      let port = listener.localPort
      #expect(accept(listener, 1) == .ok)
      listener.close()
      #expect(listener.stops == 1)
      #expect(Port.listener().control(.listen, loopback(port) + big(Int32(5))) == .ok)
    }

    @Test func descriptorIsClosedInStopSelectOnly() {
      let before = Machine.socketCount
      standin_defer_stop_select(true)
      let (port, _) = Port.accepted()
      port.close()
      #expect(port.stops == 1)
      // The listener's, the connection's and the peer's.
      #expect(Machine.socketCount == before + 3)
      standin_run_stop_select()
      #expect(Machine.socketCount == before + 1)
    }

    @Test func optionsAreSetBeforeListen() {
      let listener = Port.listening(option(.reuseAddress, 1) + option(.noDelay, 1))
      let expected = option(.reuseAddress, 1) + option(.noDelay, 1)
      #expect(listener.control(.getOptions, [1, 3]) == .ok(expected))
      // Linux gives an accepted socket its listener's options.
      let (port, _) = Port.accepted(option(.noDelay, 1))
      #expect(port.control(.getOptions, [3]) == .ok(option(.noDelay, 1)))
    }

    @Test(.enabled(if: Machine.hasIPv6)) func oneListenerServesBothFamilies() throws {
      let listener = Port.listener()
      let command = v6(0, 0) + big(Int32(5)) + option(.ipv6Only, 0)
      #expect(listener.control(.listen, command) == .ok)
      let number = listener.localPort
      #expect(listener.control(.socketName) == .ok(v6(0, number)))
      _ = Peer.connected(to: number)
      #expect(accept(listener, 1) == .ok)
      let port = try #require(listener.acceptedPort(1, in: Machine.message()))
      // An IPv4 peer is shown with the address that it has.
      #expect(port.control(.socketName) == .ok(loopback(number)))
      guard case .ok(let name) = port.control(.peerName) else {
        Issue.record("no peername")
        return
      }
      #expect(name.dropLast(2) == [4, 127, 0, 0, 1])
    }

    @Test func otherRolesCommandsAreBadarg() {
      let listener = Port.listening()
      for opcode: ControlOpcode in [
        .send, .enterDataMode, .startDelivery, .tick, .statistics, .traffic, .peerName, .feed,
        .feedEnd,
      ] {
        #expect(listener.control(opcode) == .badarg)
      }
      #expect(listener.control(.receive, big(UInt32(1))) == .badarg)
      #expect(listener.control(.connect, big(UInt32(1)) + loopback(1)) == .badarg)
      #expect(
        listener.control(.lookup, big(UInt32(1)) + loopback(1) + big(UInt32(1)) + [0, 1]) == .badarg
      )
    }

    @Test func outputToAListenerIsIgnored() {
      let listener = Port.listening()
      listener.output([1, 2, 3])
      #expect(listener.isOpen)
    }
  }
}
