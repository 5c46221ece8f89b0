// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct ContainerListingTests {
  private static let web = String(repeating: "0123456789abcdef", count: 4)
  private static let shop = String(repeating: "fedcba9876543210", count: 4)

  /// One container as Docker lists it.
  private static func container(
    _ id: String = web,
    names: String = #"["/web"]"#,
    state: String = #""running""#,
    networkMode: String = "default",
    ports: String = #"[{"IP":"0.0.0.0","PrivatePort":12345,"PublicPort":32768,"Type":"tcp"}]"#
  ) -> String {
    #"{"Id":"\#(id)","Names":\#(names),"Image":"erlang","Created":1700000000,"Ports":\#(ports),"#
      + #""Labels":{"Ports":"[]","Id":"x"},"State":\#(state),"Status":"Up 2 seconds","#
      + #""HostConfig":{"NetworkMode":"\#(networkMode)"},"#
      + #""NetworkSettings":{"Networks":{"bridge":{"IPAMConfig":null,"Id":7}}},"#
      + #""Mounts":[{"Names":1.5e3}]}"#
  }

  private func query(
    at daemon: IPAddress = recordedHost,
    host: IPAddress? = nil
  ) -> ContainerListingQuery {
    ContainerListingQuery(
      listenPort: 12345,
      daemon: Endpoint(address: daemon, port: 4243),
      host: host
    )
  }

  /// What comes of `answer`, received in pieces between `cuts`, and then the end.
  private func outcome(
    of answer: [UInt8],
    cuts: [Int] = [],
    at daemon: IPAddress = recordedHost,
    host: IPAddress? = nil
  ) -> Result<[ListedContainer], LookupFailure> {
    var query = query(at: daemon, host: host)
    var start = 0
    for end in cuts + [answer.count] {
      if case .done(let result) = query.receive(answer[start..<end].span) { return result }
      start = end
    }
    return query.connectionClosed()
  }

  private func outcome(
    _ json: String,
    at daemon: IPAddress = recordedHost,
    host: IPAddress? = nil
  ) -> Result<[ListedContainer], LookupFailure> {
    outcome(of: Array(Inspect.answer(json).utf8), at: daemon, host: host)
  }

  private func listed(_ json: String) throws -> [ListedContainer] { try outcome(json).get() }

  private func failure(_ json: String) -> LookupFailure? {
    if case .failure(let failure) = outcome(json) { failure } else { nil }
  }

  @Test func requestAsksForTheListOnAnUnversionedPath() {
    #expect(
      String(decoding: query().request, as: UTF8.self)
        == "GET /containers/json HTTP/1.1\r\nHost: 192.0.2.1:4243\r\n"
        + "User-Agent: eid\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    )
  }

  @Test func containerIsListedWithNameStateAndPublishedPort() throws {
    let containers = try listed("[\(Self.container())]")
    #expect(
      containers == [
        ListedContainer(
          id: Self.web,
          name: "web",
          state: "running",
          publishedPort: .success(32768)
        )
      ]
    )
    #expect(containers.first?.shortID == "0123456789ab")
  }

  @Test func emptyListHasNone() throws {
    #expect(try listed("[]").isEmpty)
    #expect(try listed(" [ ] \n").isEmpty)
  }

  @Test func listIsTheSameAtEveryCut() throws {
    let second = Self.container(Self.shop, names: #"["/a/web","/shop"]"#, ports: "[]")
    let json = "[\(Self.container()),\(second)]"
    let answer = Array(
      "HTTP/1.1 200\nTransfer-Encoding:chunked\n\n\(String(json.utf8.count, radix: 16))\n\(json)\n0\n\n"
        .utf8
    )
    let whole = outcome(of: answer)
    #expect(try whole.get().map(\.name) == ["web", "shop"])
    for cut in answer.indices where outcome(of: answer, cuts: [cut]) != whole {
      Issue.record("a cut at \(cut)")
    }
    let each = Array(answer.indices.dropFirst())
    #expect(outcome(of: answer, cuts: each) == whole)
  }

  @Test func numberThatEndsTheObjectCounts() throws {
    let ports = #"[{"Type":"tcp","IP":"0.0.0.0","PublicPort":32768,"PrivatePort":12345}]"#
    #expect(try listed("[\(Self.container(ports: ports))]")[0].publishedPort == .success(32768))
  }

  @Test func bindingIsChosenAsTheLookupDoes() throws {
    let ports =
      #"[{"IP":"127.0.0.1","PrivatePort":12345,"PublicPort":1,"Type":"tcp"},"#
      + #"{"IP":"192.0.2.1","PrivatePort":12345,"PublicPort":2,"Type":"tcp"},"#
      + #"{"IP":"::","PrivatePort":12345,"PublicPort":3,"Type":"tcp"}]"#
    let json = "[\(Self.container(ports: ports))]"
    #expect(try listed(json)[0].publishedPort == .success(2))
    #expect(try outcome(json, at: recordedHostV6).get()[0].publishedPort == .success(3))
    let host = IPAddress.v4(0xC000_0201)
    #expect(
      try outcome(json, at: recordedHostV6, host: host).get()[0].publishedPort == .success(2)
    )
  }

  @Test func whatIsNotReachedSaysWhy() throws {
    func name(_ container: String) throws -> String? {
      if case .failure(let failure) = try listed("[\(container)]")[0].publishedPort {
        #expect(failure.sentence.contains("of container 0123456789ab"))
        return failure.name
      }
      return nil
    }
    #expect(try name(Self.container(ports: "[]")) == "not_published")
    #expect(try name(Self.container(ports: "null")) == "not_published")
    let loopback = #"[{"IP":"127.0.0.1","PrivatePort":12345,"PublicPort":1,"Type":"tcp"}]"#
    #expect(try name(Self.container(ports: loopback)) == "loopback_only")
    #expect(try name(Self.container(networkMode: "container:abc", ports: "[]")) == "shares_network")
    #expect(try name(Self.container(networkMode: "host", ports: "[]")) == nil)
  }

  @Test func otherPortsAreNamedAndExposedOnesAreNot() throws {
    let ports =
      #"[{"PrivatePort":12345,"Type":"tcp"},{"IP":"::","PrivatePort":80,"PublicPort":5,"Type":"tcp"},"#
      + #"{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":5,"Type":"tcp"},"#
      + #"{"IP":"0.0.0.0","PrivatePort":12345,"PublicPort":6,"Type":"udp"}]"#
    guard
      case .failure(.notPublished(_, let instead)) =
        try listed("[\(Self.container(ports: ports))]")[0].publishedPort
    else {
      Issue.record("it is published")
      return
    }
    #expect(instead == ["80/tcp", "12345/udp"])
  }

  @Test(arguments: [
    "{}", "7", "null", #"["x"]"#, "[7]", "[[]]", "[null]", "[{}]",
    #"[{"Id":7}]"#, #"[{"Id":"abc","State":"running"}]"#, #"[{"Names":{}}]"#,
    #"[{"Names":[7]}]"#, #"[{"Ports":{}}]"#, #"[{"Ports":[7]}]"#, #"[{"Ports":[{"IP":7}]}]"#,
    #"[{"Ports":[{"PublicPort":"7"}]}]"#, #"[{"HostConfig":[]}]"#,
    #"[{"HostConfig":{"NetworkMode":7}}]"#, #"[{"State":{"Running":true}}]"#,
  ])
  func whatIsNotDockersListIsRefused(_ json: String) {
    #expect(failure(json)?.name == "unexpected_json")
  }

  @Test(arguments: [
    (#"{"Id":"#, #"{"Id":"x","Id":"#), (#","State":"#, #","State":"created","State":"#),
    (#"},"State":"#, #"},"Names":["/x"],"State":"#),
    (#"},"State":"#, #"},"Ports":[],"State":"#),
    (#","HostConfig":"#, #","HostConfig":{},"HostConfig":"#),
    (#""NetworkMode":"#, #""NetworkMode":"host","NetworkMode":"#),
    (#""PrivatePort":"#, #""PrivatePort":1,"PrivatePort":"#),
    (#""PublicPort":"#, #""PublicPort":1,"PublicPort":"#),
    (#""Type":"#, #""Type":"udp","Type":"#), (#""IP":"#, #""IP":"","IP":"#),
  ])
  func neededFieldThatIsThereTwiceIsRefused(_ once: String, _ twice: String) throws {
    let json = Self.container().replacing(once, with: twice)
    #expect(json != Self.container())
    #expect(failure("[\(json)]")?.name == "unexpected_json")
    #expect(try listed("[\(Self.container()),\(Self.container(Self.shop))]").count == 2)
  }

  @Test func portThatIsNoneIsRefusedWhereItIsUsed() throws {
    for number in ["0", "70000", "-1", "1.5", "1e3", "99999999999999999999999"] {
      let ports = #"[{"IP":"","PrivatePort":12345,"PublicPort":\#(number),"Type":"tcp"}]"#
      guard
        case .failure(let failure) =
          try listed("[\(Self.container(ports: ports))]")[0].publishedPort
      else {
        Issue.record("\(number) is a port")
        return
      }
      #expect(failure.name == "invalid_published_port")
    }
  }

  @Test func listHasALimit() {
    let one = #"{"Id":"\#(Self.web)","State":""}"#
    let json =
      "["
      + Array(repeating: one, count: ContainerListing.maxContainers + 1)
      .joined(separator: ",") + "]"
    #expect(failure(json)?.name == "too_many_containers")
  }

  @Test func errorsAreThoseOfTheLookupWithoutAContainer() {
    let target = query().target
    let forbidden = Inspect.answer(#"{"message":"no"}"#, status: "403 Forbidden")
    #expect(
      outcome(of: Array(forbidden.utf8))
        == .failure(.forbidden(target, status: 403, message: "no"))
    )
    #expect(
      LookupFailure.forbidden(target, status: 403, message: "no").sentence
        == "cannot list the containers at Docker daemon 192.0.2.1:4243: the daemon, or a proxy"
        + " before it, forbids it (status 403, \"no\"): allow GET /containers/json"
    )
    let notFound = Inspect.answer(#"{"message":"page not found"}"#, status: "404 Not Found")
    #expect(
      outcome(of: Array(notFound.utf8))
        == .failure(.unexpectedStatus(target, status: 404, message: "page not found"))
    )
    #expect(outcome(of: []) == .failure(.cutShort(target, afterBytes: 0)))
  }
}
