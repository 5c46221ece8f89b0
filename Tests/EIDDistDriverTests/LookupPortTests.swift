// SPDX-License-Identifier: Apache-2.0

import CErlDriverStandIns
import EIDDistCore
import Testing

extension DriverTests {
  @Suite struct LookupPortTests {
    private static let container = String(repeating: "0123456789abcdef", count: 4)
    private static let json =
      #"{"Id":"\#(container)","Name":"/web","State":{"Status":"running","Running":true},"#
      + #""HostConfig":{"NetworkMode":"default"},"NetworkSettings":{"Ports":"#
      + #"{"12345/tcp":[{"HostIp":"0.0.0.0","HostPort":"32768"}]}}}"#
    private static let answer = Array(
      "HTTP/1.1 200 OK\r\nContent-Length: \(json.utf8.count)\r\n\r\n\(json)".utf8
    )

    /// A daemon at a port of 127.0.0.1, where the host is as well; listen port 12345.
    private func question(_ daemon: UInt16) -> [UInt8] {
      loopback(daemon) + [4, 127, 0, 0, 1] + big(UInt16(12345))
    }

    /// Asks the daemon at a port of 127.0.0.1. Answers the port that asks.
    private func lookUp(at daemon: UInt16, _ name: String = container) -> Port {
      let port = Port("eid_drv lookup")!
      let request = big(UInt32(3)) + big(UInt32(2000)) + question(daemon)
      #expect(port.control(.lookup, request + Array(name.utf8)) == .ok)
      return port
    }

    /// A lookup whose request has come, and the daemon's side of it.
    private func asked() -> (Port, Peer) {
      let (listening, number) = Peer.listening()
      let port = lookUp(at: number)
      let peer = listening.accepted()
      let line = Array("GET /containers/\(Self.container)/json HTTP/1.1\r\n".utf8)
      #expect(peer.receive(line.count) == line)
      return (port, peer)
    }

    /// Expects that the next message is a failure of this name.
    private func expectFailure(
      _ name: String,
      of port: Port,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      let whole = port.reply(3, .ok([1, UInt8(name.utf8.count)] + Array(name.utf8)))
      let message = Machine.message(sourceLocation: sourceLocation)
      #expect(message.hasPrefix(whole.dropLast(3)), sourceLocation: sourceLocation)
    }

    private let published = Answer.ok([0] + big(UInt16(32768)))

    @Test func publishedPortIsAnswered() {
      let (port, peer) = asked()
      peer.send(Self.answer)
      #expect(Machine.message() == port.reply(3, published))
      #expect(port.timer == nil)
      // The connection is let go at once; the port is Erlang's to close.
      #expect(standin_descriptor(port.id) == -1)
      #expect(port.isOpen)
    }

    @Test func answerMayComeByteAfterByte() {
      let (port, peer) = asked()
      for byte in Self.answer {
        peer.send([byte])
        standin_poll(0)
      }
      #expect(Machine.message() == port.reply(3, published))
    }

    @Test func oneLookupIsMadeByOnePort() {
      let (port, peer) = asked()
      let second = big(UInt32(4)) + big(UInt32(2000)) + question(1) + [0x61]
      #expect(port.control(.lookup, second, by: Machine.bob) == .error("ealready"))
      peer.send(Self.answer)
      #expect(Machine.message() == port.reply(3, published))
      #expect(port.control(.lookup, second, by: Machine.bob) == .error("ealready"))
      #expect(Machine.messages(to: Machine.bob).isEmpty)
    }

    @Test func daemonThatIsNotThereIsTold() {
      let (listening, number) = Peer.listening()
      listening.close()
      expectFailure("connection_refused", of: lookUp(at: number))
    }

    /// Asks for a list at a port of 127.0.0.1. Answers the port that asks.
    private func list(at daemon: UInt16, label: String = "a=b") -> Port {
      let port = Port("eid_drv lookup")!
      let request = big(UInt32(3)) + big(UInt32(2000)) + question(daemon)
      #expect(port.control(.list, request + Array(label.utf8)) == .ok)
      return port
    }

    private func text(_ text: String) -> [UInt8] {
      big(UInt16(text.utf8.count)) + Array(text.utf8)
    }

    @Test func listIsAnsweredContainerAfterContainer() {
      let (listening, number) = Peer.listening()
      let port = list(at: number)
      let peer = listening.accepted()
      let line = Array("GET /containers/json?filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D ".utf8)
      #expect(peer.receive(line.count) == line)
      let body =
        #"[{"Id":"\#(Self.container)","Names":["/web"],"State":"running","Ports":["#
        + #"{"IP":"0.0.0.0","PrivatePort":12345,"PublicPort":32768,"Type":"tcp"}]},"#
        + #"{"Id":"\#(Self.container)","Names":["/bare"],"State":"paused","Ports":[]}]"#
      peer.send(Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8))
      let sentence =
        "cannot look up port 12345 of container 0123456789ab at Docker daemon"
        + " 127.0.0.1:\(number): the port is not published: docker run -p 12345"
      let web = text(Self.container) + text("web") + text("running") + [0] + big(UInt16(32768))
      let bare =
        text(Self.container) + text("bare") + text("paused") + [1] + text("not_published")
        + text(sentence)
      #expect(Machine.message() == port.reply(3, .ok([0] + web + bare)))
      #expect(port.timer == nil)
      #expect(standin_descriptor(port.id) == -1)
    }

    @Test func emptyListIsAnAnswer() {
      let (listening, number) = Peer.listening()
      let port = list(at: number)
      listening.accepted().send(Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]".utf8))
      #expect(Machine.message() == port.reply(3, .ok([0])))
    }

    @Test(arguments: ["", "=b", "a\r\nHost: x", "a\u{0}"])
    func labelThatIsNoneIsRefusedBeforeAsking(label: String) {
      let (_, number) = Peer.listening()
      let port = list(at: number, label: label)
      expectFailure("invalid_label", of: port)
      #expect(standin_descriptor(port.id) == -1)
      let events = loopback(number) + Array(label.utf8)
      #expect(Port("eid_drv lookup")!.control(.eventsRequest, events) == .error("einval"))
    }

    @Test func eventsRequestIsGivenToWhoeverSendsIt() {
      let port = Port("eid_drv lookup")!
      guard case .ok(let request) = port.control(.eventsRequest, loopback(4243) + [0x61])
      else { return #expect(Bool(false), "an error") }
      let text = String(decoding: request, as: UTF8.self)
      #expect(text.hasPrefix("GET /events?filters=%7B%22label%22%3A%5B%22a%22%5D%2C"))
      #expect(text.contains("\r\nHost: 127.0.0.1:4243\r\n"))
      #expect(text.hasSuffix("\r\n\r\n"))
    }

    @Test(arguments: ["", "a/b", "../x", "a b", "\r\n", "\u{0}"])
    func nameThatCannotBeAContainersIsRefusedBeforeAsking(name: String) {
      let (_, number) = Peer.listening()
      let port = lookUp(at: number, name)
      expectFailure("invalid_container", of: port)
      #expect(standin_descriptor(port.id) == -1)
    }

    @Test func daemonThatClosesIsTold() {
      let (port, peer) = asked()
      peer.send(Array(Self.answer.dropLast(10)))
      Machine.settle()
      peer.reset()
      expectFailure("connection_reset", of: port)
      let (second, another) = asked()
      another.send(Array(Self.answer.dropLast(10)))
      // Its unread request would make this a reset, were it closed in full.
      _ = another.receiveSome()
      another.close()
      expectFailure("cut_short", of: second)
    }

    @Test func deadlineTellsWhatWasWaitedFor() {
      let (silent, peer) = asked()
      #expect(silent.timer == 2000)
      silent.fireTimer()
      expectFailure("answer_timed_out", of: silent)
      let (stalled, another) = asked()
      another.send(Array(Self.answer.prefix(20)))
      Machine.settle()
      stalled.fireTimer()
      expectFailure("answer_stalled", of: stalled)
      let (_, number) = Peer.listening()
      let connecting = lookUp(at: number)
      connecting.fireTimer()
      expectFailure("connect_timed_out", of: connecting)
      #expect(peer.receiveToEnd().isEmpty == false)
    }

    @Test func closingThePortEndsTheLookup() {
      let (port, peer) = asked()
      port.close()
      #expect(port.stops == 1)
      _ = peer.receiveToEnd()
      #expect(Machine.messages().isEmpty)
    }

    /// A lookup over a connection of Erlang's, which has been told what to send.
    private func fed(_ name: String = container) -> (Port, Answer) {
      let port = Port("eid_drv lookup")!
      let command = question(1) + Array(name.utf8)
      return (port, port.control(.lookupOver, command))
    }

    /// The reply that is a failure of this name begins so.
    private func isFailure(_ name: String, _ answer: Answer) -> Bool {
      guard case .ok(let bytes) = answer else { return false }
      return bytes.starts(with: [1, UInt8(name.utf8.count)] + Array(name.utf8))
    }

    @Test func fedAnswerIsUnderstood() {
      for size in [1, 7, Self.answer.count] {
        let (port, told) = fed()
        guard case .ok(let bytes) = told else {
          Issue.record("\(told)")
          return
        }
        #expect(bytes.starts(with: [2] + Array("GET /containers/\(Self.container)/json".utf8)))
        #expect(standin_descriptor(port.id) == -1)
        var start = 0
        var answer = Answer.ok([])
        while start < Self.answer.count {
          #expect(answer == .ok([]))
          let end = min(start + size, Self.answer.count)
          answer = port.control(.feed, Array(Self.answer[start..<end]))
          start = end
        }
        #expect(answer == published)
        #expect(port.control(.feed, [1]) == .badarg)
        #expect(port.control(.feedEnd) == .badarg)
        #expect(Machine.messages().isEmpty)
        port.close()
      }
    }

    @Test func fedConnectionThatEndsIsTold() {
      for (reason, name) in [
        ("", "cut_short"), ("econnrefused", "connection_refused"), ("epipe", "connection_reset"),
        ("connect_timeout", "connect_timed_out"), ("answer_timeout", "answer_timed_out"),
        ("answer_stalled", "answer_stalled"), ("ehostunreach", "unreachable"),
        ("emfile", "system_error"), (String(repeating: "x", count: 5000), "system_error"),
      ] {
        let (port, _) = fed()
        #expect(port.control(.feed, Array("HTTP/1.1 2".utf8)) == .ok([]))
        #expect(isFailure(name, port.control(.feedEnd, Array(reason.utf8))))
        #expect(port.control(.feedEnd) == .badarg)
      }
    }

    @Test func nameThatIsNoneIsNotAskedForOverErlangsConnection() {
      let (port, told) = fed("a/b")
      #expect(isFailure("invalid_container", told))
      #expect(port.control(.feed, [1]) == .badarg)
    }

    @Test func feedingBelongsToLookupsOverErlangsConnection() {
      #expect(Port("eid_drv lookup")!.control(.feed, [1]) == .badarg)
      let (port, peer) = asked()
      #expect(port.control(.feed, Self.answer) == .badarg)
      #expect(port.control(.feedEnd) == .badarg)
      #expect(port.control(.lookupOver, question(1) + [97]) == .error("ealready"))
      peer.send(Self.answer)
      #expect(Machine.message() == port.reply(3, published))
    }

    @Test func otherRolesCommandsAreBadarg() {
      let port = Port("eid_drv lookup")!
      for opcode: ControlOpcode in [
        .opcodes, .send, .tick, .statistics, .traffic, .peerName, .socketName,
      ] {
        #expect(port.control(opcode) == .badarg)
      }
      port.output([1])
      #expect(port.isOpen)
    }
  }
}
