// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct PublishedPortLookupTests {
  private func outcome(_ inspect: Inspect) throws -> Result<UInt16, LookupFailure> {
    try lookup().outcome(of: inspect.answer)
  }

  private func failure(_ result: Result<UInt16, LookupFailure>) -> LookupFailure? {
    if case .failure(let failure) = result { failure } else { nil }
  }

  /// The name of the failure when Docker says `json`.
  private func failureName(_ json: String) throws -> String? {
    failure(try lookup().outcome(of: Inspect.answer(json)))?.name
  }

  private func ports(_ ports: String, at daemon: IPAddress = recordedHost) throws -> Result<
    UInt16, LookupFailure
  > {
    try lookup(at: daemon).outcome(of: Inspect(ports: ports).answer)
  }

  // MARK: The request

  @Test func requestAsksForTheContainerOnAnUnversionedPath() throws {
    let request = String(decoding: try lookup("web-1").request, as: UTF8.self)
    #expect(
      request == "GET /containers/web-1/json HTTP/1.1\r\nHost: 192.0.2.1:4243\r\n"
        + "User-Agent: eid\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    )
    let overV6 = String(decoding: try lookup(at: recordedHostV6).request, as: UTF8.self)
    #expect(overV6.contains("\r\nHost: [2001:db8::1]:4243\r\n"))
  }

  // MARK: Framing

  @Test func resultIsTheSameAtAnyOneOrTwoCuts() throws {
    let ports = #"{"12345/tcp":[{"HostIp":"","HostPort":"32768"}]}"#
    let json =
      #"{"Id":"","Name":"/web","State":{"Running":true},"NetworkSettings":{"Ports":\#(ports)}}"#
    let size = String(json.utf8.count, radix: 16)
    let answer = Array("HTTP/1.1 200\nTransfer-Encoding:chunked\n\n\(size)\n\(json)\n0\n\n".utf8)
    var begun = try lookup()
    #expect(begun.outcome(of: answer) == .success(32768))
    for first in answer.indices {
      let rest = Array(answer[first...])
      for second in rest.indices where begun.outcome(of: rest, cuts: [second]) != .success(32768) {
        Issue.record("cuts at \(first) and \(first + second)")
        return
      }
      _ = begun.receive([answer[first]])
    }
  }

  @Test func resultIsTheSameForAnyChunkSizeAndForAnAnswerEndedByClose() throws {
    let inspect = Inspect()
    for size in 1...inspect.json.utf8.count {
      #expect(try lookup().outcome(of: inspect.chunked(size)) == .success(32768))
    }
    #expect(try lookup().outcome(of: "HTTP/1.0 200 OK\r\n\r\n\(inspect.json)") == .success(32768))
  }

  @Test func resultComesAtTheEndOfTheAnswerAndStays() throws {
    var lookup = try lookup()
    let answer = Array(Inspect().answer.utf8)
    #expect(lookup.receive(answer.dropLast()) == .more)
    #expect(lookup.receive([]) == .more)
    #expect(lookup.receive(answer.suffix(1)) == .done(.success(32768)))
    #expect(lookup.receive([1, 2, 3]) == .done(.success(32768)))
    #expect(lookup.connectionClosed() == .success(32768))
  }

  @Test func daemonThatClosesWithoutAWordIsCutShort() throws {
    var lookup = try lookup()
    let failure = LookupFailure.cutShort(lookup.target, afterBytes: 0)
    #expect(lookup.connectionClosed() == .failure(failure))
    #expect(lookup.connectionClosed() == .failure(failure))
    #expect(lookup.receive([1]) == .done(.failure(failure)))
  }

  @Test func jsonThatEndsBeforeTheAnswerDoesIsMalformed() throws {
    #expect(try failureName(String(Inspect().json.dropLast())) == "malformed_json")
    #expect(try failureName("") == "malformed_json")
    let ended = "HTTP/1.0 200 OK\r\n\r\n" + Inspect().json.dropLast()
    #expect(failure(try lookup().outcome(of: ended))?.name == "cut_short")
  }

  @Test func tlsAndOtherProtocolsAreNamed() throws {
    let lookup = try lookup()
    #expect(lookup.outcome(of: [0x15, 3, 1, 0, 2, 2, 70]) == .failure(.wantsTLS(lookup.target)))
    #expect(lookup.outcome(of: [0x16, 3, 3]) == .failure(.wantsTLS(lookup.target)))
    #expect(lookup.outcome(of: "220 ready\r\n") == .failure(.notHTTP(lookup.target)))
  }

  // MARK: Size

  @Test func answerOverTheLimitIsRefusedInAnyFraming() throws {
    let inspect = Inspect()
    let byClose = "HTTP/1.0 200 OK\r\n\r\n" + inspect.json
    for answer in [inspect.answer, inspect.chunked(50), byClose] {
      let size = answer.utf8.count
      #expect(try lookup(limit: size).outcome(of: answer) == .success(32768))
      let tight = try lookup(limit: size - 1)
      #expect(
        tight.outcome(of: answer) == .failure(.answerTooLarge(tight.target, limitBytes: size - 1))
      )
    }
    let none = try lookup(limit: -1)
    #expect(none.outcome(of: "H") == .failure(.answerTooLarge(none.target, limitBytes: 0)))
  }

  @Test func answerOfManyMegabytesIsReadWithoutBeingStored() throws {
    var lookup = try lookup()
    _ = lookup.receive(Array("HTTP/1.1 200 OK\r\n\r\n{\"Config\":{\"Labels\":{".utf8))
    let label = Array("\"12345/tcp\":\"\(String(repeating: "x", count: 4000))\",".utf8)
    for _ in 0..<500 { #expect(lookup.receive(label) == .more) }
    _ = lookup.receive(Array("\"a\":0}},".utf8))
    _ = lookup.receive(Array(Inspect().json.utf8.dropFirst()))
    #expect(lookup.connectionClosed() == .success(32768))
  }

  @Test func errorBodyIsReadOnlyAsFarAsNeeded() throws {
    var lookup = try lookup()
    let body = String(repeating: "\u{1F433}", count: 2000)
    let answer = Array("HTTP/1.1 500 x\r\nContent-Length: 99999\r\n\r\n\(body)".utf8)
    guard case .done(.failure(let failure)) = lookup.receive(answer) else {
      Issue.record("still reading")
      return
    }
    #expect(failure.name == "unexpected_status")
    #expect(failure.sentence.utf8.count < 1000)
  }

  // MARK: Statuses

  @Test(arguments: [
    ("401 Unauthorized", "", "forbidden"), ("403 Forbidden", #"{"message":"no"}"#, "forbidden"),
    ("301 Moved", "", "redirected"), ("302 Found", "", "redirected"), ("307 T", "", "redirected"),
    ("404 x", #"{"message":"No such container: web"}"#, "no_such_container"),
    // Some other web server's answer is no word about containers.
    ("404 x", "404 page not found\n", "unexpected_status"), ("404 x", "", "unexpected_status"),
    ("404 x", #"{"message":1}"#, "unexpected_status"),
    ("404 x", #"{"a":{"message":"x"}}"#, "unexpected_status"),
    ("400 x", #"{"message":"multiple IDs found with provided prefix: a"}"#, "ambiguous_container"),
    ("500 x", #"{"message":"Multiple IDs found with provided prefix: a"}"#, "ambiguous_container"),
    ("400 x", #"{"message":"bad"}"#, "unexpected_status"),
    ("500 x", #"{"message":"driver failed"}"#, "unexpected_status"),
    ("400 x", "Client sent an HTTP request to an HTTPS server.\n", "wants_tls"),
    ("400 x", "<p>The plain HTTP request was sent to HTTPS port</p>", "wants_tls"),
    ("400 x", #"{"message":"No such container: HTTPS"}"#, "unexpected_status"),
    ("204 x", "", "unexpected_status"), ("206 x", "{}", "unexpected_status"),
    ("101 x", "", "unexpected_status"), ("503 x", "busy", "unexpected_status"),
  ])
  func otherStatusIsItsOwnFailure(_ status: String, _ body: String, _ name: String) throws {
    let result = try lookup().outcome(of: Inspect.answer(body, status: status))
    #expect(failure(result)?.name == name)
  }

  @Test func daemonsMessageIsPassedOnWithoutItsControlCharacters() throws {
    let body =
      #"{"x":["message"],"message":"no\u001b[31m such\r\ncontainer\u0000 \u202e\ud83d\udc33"}"#
    let lookup = try lookup()
    #expect(
      lookup.outcome(of: Inspect.answer(body, status: "404 Not Found"))
        == .failure(.noSuchContainer(lookup.target, message: "no?[31m such??container? ?🐳"))
    )
  }

  // MARK: JSON

  @Test func onlyTheRightPathCounts() throws {
    let decoy = #"{"12345/tcp":[{"HostIp":"0.0.0.0","HostPort":"6666"}]}"#
    let inspect = Inspect()
    let fields = [
      #""Ports":\#(decoy)"#, #""Config":{"Ports":\#(decoy),"NetworkSettings":{"Ports":\#(decoy)}}"#,
      #""Args":[{"NetworkSettings":{"Ports":\#(decoy)}},\#(decoy),"\"Ports\":{"]"#,
      #""Mounts":[],"Id2":"x","id":1,"Labels":{"Id":"x","State":{"Running":false}}"#,
      #""networkSettings":{"Ports":\#(decoy)}"#, #""Running":false,"Dead":true"#,
    ]
    for field in fields {
      let before = "{\(field),\(inspect.json.dropFirst())"
      let after = "\(inspect.json.dropLast()),\(field)}"
      for json in [before, after] {
        #expect(try lookup().outcome(of: Inspect.answer(json)) == .success(32768), "\(json)")
      }
    }
  }

  @Test func keysAndValuesMayBeEscaped() throws {
    let json = Inspect().json.replacing("Ports", with: #"\u0050orts"#)
      .replacing("12345/tcp", with: #"12345\/tcp"#).replacing("32768", with: #"3276\u0038"#)
    #expect(try lookup().outcome(of: Inspect.answer(json)) == .success(32768))
  }

  @Test(arguments: [
    (#""Id":"#, #""Id":"x","Id":"#), (#""Name":"#, #""Name":"x","Name":"#),
    (#""State":"#, #""State":{},"State":"#), (#""Running":"#, #""Running":false,"Running":"#),
    (#""HostConfig":"#, #""HostConfig":{},"HostConfig":"#),
    (#""NetworkSettings":"#, #""NetworkSettings":{},"NetworkSettings":"#),
    (#""Ports":"#, #""Ports":null,"Ports":"#),
    (#""12345/tcp":"#, #""12345/tcp":null,"12345/tcp":"#),
    (#""HostPort":"#, #""HostPort":"1","HostPort":"#),
  ])
  func neededFieldThatIsThereTwiceIsRefused(_ once: String, _ twice: String) throws {
    let json = Inspect().json.replacing(once, with: twice)
    #expect(json != Inspect().json)
    #expect(try failureName(json) == "unexpected_json")
  }

  @Test func neededFieldOfAnotherTypeIsRefused() throws {
    let json = Inspect().json
    let values = ["1", "\"x\"", "true", "null", "{}", "[]"]
    let fields: [(field: String, value: String, fine: [String])] = [
      ("Id", "\"\(Inspect.id)\"", ["\"x\""]), ("Name", "\"/web\"", ["\"x\""]),
      ("State", Inspect().state, ["{}"]), ("Running", "true", ["true"]),
      ("Paused", "false", ["true"]), ("Status", "\"running\"", ["\"x\""]),
      ("HostConfig", #"{"NetworkMode":"default"}"#, ["{}"]),
      ("NetworkMode", "\"default\"", ["\"x\""]),
      ("NetworkSettings", #"{"Ports":\#(Inspect().ports)}"#, ["{}"]),
      ("Ports", Inspect().ports, ["{}", "null"]),
      ("12345/tcp", #"[{"HostIp":"0.0.0.0","HostPort":"32768"}]"#, ["[]", "null"]),
      ("HostIp", "\"0.0.0.0\"", ["\"x\""]), ("HostPort", "\"32768\"", ["\"x\""]),
    ]
    for (field, value, fine) in fields {
      for other in values where !fine.contains(other) {
        let changed = json.replacing("\"\(field)\":\(value)", with: "\"\(field)\":\(other)")
        #expect(changed != json)
        #expect(try failureName(changed) == "unexpected_json", "\(field): \(other)")
      }
    }
    for json in ["[]", "1", "\"x\"", "null", "true"] {
      #expect(try failureName(json) == "unexpected_json")
    }
    for element in ["1", "\"x\"", "null", "[]", "true"] {
      let result = try ports(#"{"12345/tcp":[\#(element)]}"#)
      #expect(failure(result)?.name == "unexpected_json")
    }
  }

  @Test func neededFieldThatIsMissingIsRefused() throws {
    for field in [
      "Id", "Name", "State", "Running", "NetworkSettings", "Ports", "HostIp", "HostPort",
    ] {
      let json = Inspect().json.replacing("\"\(field)\":", with: "\"X\(field)\":")
      #expect(try failureName(json) == "unexpected_json", "\(field)")
    }
    #expect(try failureName("{}") == "unexpected_json")
  }

  @Test func malformedOrTooDeepJSONIsRefused() throws {
    let target = try lookup().target
    #expect(
      try lookup().outcome(of: Inspect.answer(#"{"Id" 1}"#))
        == .failure(.malformedJSON(target, atByte: 6))
    )
    #expect(try failureName(Inspect().json + "x") == "malformed_json")
    let deep = "{\"a\":" + String(repeating: "[", count: 70)
    #expect(try lookup().outcome(of: Inspect.answer(deep)) == .failure(.tooDeepJSON(target)))
  }

  // MARK: The container

  @Test func onlyTheContainerThatWasAskedForIsAnswered() throws {
    let answer = Inspect().answer
    #expect(try lookup(Inspect.id).outcome(of: answer) == .success(32768))
    #expect(try lookup(String(Inspect.id.prefix(12))).outcome(of: answer) == .success(32768))
    // Eleven digits are a name to us, and the beginning of an ID to Docker.
    for other in [String(Inspect.id.prefix(11)), "fedcba987654", "WEB", "we", "web2"] {
      let lookup = try lookup(other)
      #expect(
        lookup.outcome(of: answer)
          == .failure(.wrongContainer(lookup.target, id: Inspect.id, name: "web"))
      )
    }
  }

  @Test(arguments: [
    (#"{"Status":"dead","Running":false,"Dead":true}"#, "dead"),
    (#"{"Status":"removing","Running":false}"#, "not_running"),
    (#"{"Status":"restarting","Running":true,"Restarting":true,"Paused":false}"#, "restarting"),
    (#"{"Running":true,"Paused":true}"#, "paused"), (#"{"Running":false}"#, "not_running"),
  ])
  func containerThatDoesNotRunIsNamedSo(_ state: String, _ name: String) throws {
    #expect(failure(try outcome(Inspect(state: state)))?.name == name)
    let onHost = Inspect(state: state, networkMode: "host", ports: "{}")
    #expect(failure(try outcome(onHost))?.name == name)
  }

  @Test func hostNetworkGivesTheListenPort() throws {
    #expect(try outcome(Inspect(networkMode: "host", ports: "{}")) == .success(12345))
    #expect(
      failure(try outcome(Inspect(networkMode: "hosts", ports: "{}")))?.name == "not_published"
    )
  }

  @Test func sharedNetworkNamesTheOtherContainer() throws {
    let target = try lookup().target
    #expect(
      try outcome(Inspect(networkMode: "container:abc", ports: "{}"))
        == .failure(.sharesNetwork(target, with: "abc"))
    )
  }

  // MARK: Bindings

  private func binding(_ hostIP: String, _ hostPort: String) -> String {
    #"{"HostIp":"\#(hostIP)","HostPort":"\#(hostPort)"}"#
  }

  @Test func orderOfBindingsDoesNotMatter() throws {
    let bindings = [
      binding("127.0.0.1", "1"), binding("::", "2"), binding("0.0.0.0", "3"),
      binding("192.0.2.1", "4"), binding("192.0.2.9", "5"), binding("garbage", "6"),
    ]
    for shift in bindings.indices {
      let turned = bindings[shift...] + bindings[..<shift]
      for list in [Array(turned), turned.reversed()] {
        let json = #"{"12345/tcp":[\#(list.joined(separator: ","))]}"#
        #expect(try ports(json) == .success(4))
        #expect(try ports(json, at: .v4(0xC000_0202)) == .success(3))
        #expect(try ports(json, at: recordedHostV6) == .success(2))
        #expect(try ports(json, at: .v4(0x7F00_0001)) == .success(1))
      }
    }
  }

  @Test func bindingIsThatOfTheHostWhereverTheDaemonIs() throws {
    let list = [binding("127.0.0.1", "1"), binding("192.0.2.1", "2"), binding("192.0.2.9", "3")]
    let answer = Inspect(ports: #"{"12345/tcp":[\#(list.joined(separator: ","))]}"#).answer
    for daemon: IPAddress in [.v4(0xC000_0209), .v4(0x7F00_0001), recordedHostV6] {
      let atHost = try lookup(at: daemon, host: .v4(0xC000_0201))
      #expect(atHost.target.daemon.address == daemon)
      #expect(atHost.outcome(of: answer) == .success(2))
      let elsewhere = try lookup(at: daemon, host: .v4(0xC000_0202))
      #expect(
        elsewhere.outcome(of: answer)
          == .failure(.boundElsewhere(elsewhere.target, address: "192.0.2.1"))
      )
    }
  }

  @Test func ofTwoEquallyGoodBindingsTheFirstCounts() throws {
    let list = [binding("", "1"), binding("0.0.0.0", "2")]
    #expect(try ports(#"{"12345/tcp":[\#(list.joined(separator: ","))]}"#) == .success(1))
  }

  @Test(arguments: ["", "0", "65536", "-1", "+1", "1 ", "x", "99999999999999999999", "1-2"])
  func publishedPortThatIsNoneIsRefused(_ port: String) throws {
    let result = try ports(#"{"12345/tcp":[\#(binding("0.0.0.0", port))]}"#)
    #expect(result == .failure(.invalidPublishedPort(try lookup().target, port: port)))
  }

  @Test func highestAndLowestPublishedPortAreFine() throws {
    for port: UInt16 in [1, 65535] {
      #expect(try ports(#"{"12345/tcp":[\#(binding("", "\(port)"))]}"#) == .success(port))
    }
  }

  @Test func bindingToTextThatIsNoAddressIsElsewhere() throws {
    let result = try ports(#"{"12345/tcp":[\#(binding(#"fe80::1%e\n"#, "1"))]}"#)
    #expect(result == .failure(.boundElsewhere(try lookup().target, address: "fe80::1%e?")))
  }

  @Test func listOfWhatIsPublishedInsteadIsShort() throws {
    let others = (1...100).map { #""\#($0)/tcp":[\#(binding("", "\($0)"))]"# }
    let odd =
      #""\u001b\u001b\u001b\u001b\u001b\u001b\u001b\u001b\u001b\u001b\u001b":[\#(binding("", ""))]"#
    let json = "{\(([odd] + others).joined(separator: ","))}"
    let result = try ports(json)
    #expect(
      result
        == .failure(
          .notPublished(
            try lookup().target,
            instead: ["??????????"] + (1...7).map { "\($0)/tcp" }
          )
        )
    )
  }
}
