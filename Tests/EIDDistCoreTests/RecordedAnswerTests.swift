// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

/// What each recorded answer gives.
@Suite struct RecordedAnswerTests {
  struct Row: Sendable, CustomTestStringConvertible {
    enum Expected {
      case port(UInt16)
      /// The failure's name, and words of its sentence.
      case fails(String, String)
    }

    let file: String
    /// The node name's left part; nil for the ID in the answer.
    var container: String?
    var daemon = recordedHost
    let expected: Expected

    var testDescription: String { "\(file) at \(daemon)" }
  }

  static let loopback = IPAddress.v4(0x7F00_0001)
  static let loopbackV6 = IPAddress.v6(1)
  static let mappedHost = IPAddress.v6(0xFFFF_C000_0201)

  static let rows: [Row] = [
    // An any-address binding, asked for in every way.
    Row(file: "published", expected: .port(32768)),
    Row(file: "published", daemon: recordedHostV6, expected: .port(32768)),
    Row(file: "published", daemon: mappedHost, expected: .port(32768)),
    Row(file: "published", daemon: loopback, expected: .port(32768)),
    Row(file: "published-by-name", container: "published", expected: .port(32768)),
    Row(file: "published-by-short-id", expected: .port(32768)),
    Row(file: "published-http-1.0", container: "published", expected: .port(32768)),
    Row(file: "published-fixed-port", expected: .port(23456)),
    Row(file: "many-ports", expected: .port(23011)),
    Row(file: "podman-published", expected: .port(24000)),
    Row(file: "podman-published", daemon: recordedHostV6, expected: .port(24000)),

    // Several bindings: the one for the address that we connect to.
    Row(file: "two-bindings", expected: .port(23002)),
    Row(file: "two-bindings", daemon: mappedHost, expected: .port(23002)),
    Row(file: "two-bindings", daemon: loopback, expected: .port(23001)),
    Row(
      file: "two-bindings",
      daemon: .v4(0xC000_0202),
      expected: .fails("bound_elsewhere", "on 192.0.2.1 only")
    ),
    Row(file: "two-any-bindings", expected: .port(23003)),
    Row(file: "two-any-bindings", daemon: recordedHostV6, expected: .port(23003)),
    Row(file: "two-any-bindings", daemon: loopback, expected: .port(23004)),
    Row(file: "podman-two-bindings", expected: .port(24002)),
    Row(file: "podman-two-bindings", daemon: loopback, expected: .port(24001)),
    Row(file: "one-address", expected: .port(23005)),
    Row(
      file: "one-address",
      daemon: loopback,
      expected: .fails("bound_elsewhere", "on 192.0.2.1 only")
    ),
    Row(file: "one-ipv6-address", daemon: recordedHostV6, expected: .port(23006)),
    Row(file: "one-ipv6-address", expected: .fails("bound_elsewhere", "on 2001:db8::1 only")),

    // Loopback only; one family only.
    Row(file: "loopback-only", expected: .fails("loopback_only", "loopback address only")),
    Row(file: "loopback-only", daemon: loopback, expected: .port(23007)),
    Row(file: "ipv6-loopback-only", expected: .fails("loopback_only", "docker run -p 12345")),
    Row(file: "ipv6-loopback-only", daemon: loopbackV6, expected: .port(23008)),
    Row(file: "ipv6-loopback-only", daemon: loopback, expected: .fails("bound_elsewhere", "::1")),
    Row(file: "podman-loopback-only", expected: .fails("loopback_only", "loopback")),
    Row(file: "ipv4-only", expected: .port(23009)),
    Row(file: "ipv4-only", daemon: recordedHostV6, expected: .fails("ipv4_only", "IPv4 only")),
    Row(file: "ipv6-only", expected: .fails("ipv6_only", "IPv6 only")),
    Row(file: "ipv6-only", daemon: recordedHostV6, expected: .port(23010)),

    // Not published.
    Row(file: "not-published", expected: .fails("not_published", "docker run -p 12345")),
    Row(file: "podman-not-published", expected: .fails("not_published", "docker run -p 12345")),
    Row(file: "only-exposed", expected: .fails("not_published", "not published:")),
    Row(file: "podman-only-exposed", expected: .fails("not_published", "not published:")),
    Row(file: "only-udp", expected: .fails("not_published", "only 12345/udp:")),
    Row(file: "another-port", expected: .fails("not_published", "only 53/udp, 8080/tcp:")),
    Row(file: "network-none", expected: .fails("not_published", "-p 12345")),
    Row(file: "decoys", expected: .fails("not_published", "only 8080/tcp:")),
    Row(file: "decoys-published", expected: .port(23012)),

    // Other networks.
    Row(file: "network-host", expected: .port(12345)),
    Row(file: "podman-network-host", expected: .port(12345)),
    Row(file: "network-of-container", expected: .fails("shares_network", "network of container")),
    Row(file: "podman-network-of-container", expected: .port(24000)),

    // Not running.
    Row(file: "created", expected: .fails("not_running", "(created)")),
    Row(file: "exited", expected: .fails("not_running", "(exited)")),
    Row(file: "after-crash", expected: .fails("not_running", "(exited)")),
    Row(file: "podman-exited", expected: .fails("not_running", "docker start")),
    Row(file: "paused", expected: .fails("paused", "docker unpause")),
    Row(file: "podman-paused", expected: .fails("paused", "docker unpause")),
    Row(file: "restarting", expected: .fails("restarting", "is restarting")),

    // Another container, or none.
    Row(
      file: "name-like-id",
      container: "0123456789ab",
      expected: .fails("wrong_container", "named 0123456789ab")
    ),
    Row(
      file: "published",
      container: "cafecafe",
      expected: .fails("wrong_container", "named published")
    ),
    Row(
      file: "no-such-id",
      container: "000000000000",
      expected: .fails("no_such_container", #""No such container: 000000000000""#)
    ),
    Row(
      file: "no-such-name",
      container: "nobody",
      expected: .fails("no_such_container", "No such container: nobody")
    ),
    Row(
      file: "podman-no-such-name",
      container: "nobody",
      expected: .fails("no_such_container", #"no container with name or ID "nobody" found"#)
    ),
    Row(
      file: "ambiguous-prefix",
      container: "0",
      expected: .fails("ambiguous_container", "Multiple IDs found")
    ),
    Row(
      file: "podman-ambiguous-prefix",
      container: "0",
      expected: .fails("ambiguous_container", "more than one result")
    ),

    // Not the API that was expected.
    Row(file: "empty-id", container: "x", expected: .fails("redirected", "status 301")),
    Row(file: "slashed-id", container: "x", expected: .fails("redirected", "not followed")),
    Row(file: "https-daemon", container: "x", expected: .fails("wants_tls", "wants TLS")),
    Row(
      file: "old-api-version",
      container: "x",
      expected: .fails("unexpected_status", #"status 400, "client version 1.1 is too old"#)
    ),
  ]

  private func lookup(_ row: Row, in answer: [UInt8]) throws -> PublishedPortLookup {
    let id = containerID(in: answer)
    // The answer to a short ID is the same as to a whole one.
    let shortID = row.file.contains("short") ? id.map { String($0.prefix(12)) } : id
    return try EIDDistCoreTests.lookup(#require(row.container ?? shortID), at: row.daemon)
  }

  @Test(arguments: rows)
  func recordedAnswerGivesItsResult(_ row: Row) throws {
    let answer = try recorded(row.file)
    switch (try lookup(row, in: answer).outcome(of: answer), row.expected) {
    case (.success(let port), .port(let expected)):
      #expect(port == expected)
    case (.failure(let failure), .fails(let name, let words)):
      #expect(failure.name == name)
      #expect(failure.sentence.contains(words), "\(failure.sentence)")
    case (let result, _):
      Issue.record("\(result)")
    }
  }

  @Test(arguments: rows)
  func resultDoesNotDependOnTheCutsOfTheNetwork(_ row: Row) throws {
    let answer = try recorded(row.file)
    let lookup = try lookup(row, in: answer)
    let result = lookup.outcome(of: answer)
    #expect(lookup.outcome(of: answer, cuts: Array(0...answer.count)) == result)
    for cut in stride(from: 0, through: answer.count, by: 997) {
      #expect(lookup.outcome(of: answer, cuts: [cut]) == result)
    }
  }

  @Test(arguments: rows)
  func everyBeginningOfAnAnswerIsCutShort(_ row: Row) throws {
    let answer = try recorded(row.file)
    var lookup = try lookup(row, in: answer)
    // These two have no length: it is the close that ends them.
    let isEndedByClose = ["https-daemon", "published-http-1.0"].contains(row.file)
    for (count, byte) in answer.enumerated() {
      var closed = lookup
      let result = closed.connectionClosed()
      if !isEndedByClose, result != .failure(.cutShort(lookup.target, afterBytes: count)) {
        Issue.record("after \(count) bytes: \(result)")
        return
      }
      if case .done = lookup.receive([byte]) { return }
    }
  }

  @Test func everyRecordingIsInATest() throws {
    #expect(try allRecorded().count == Set(Self.rows.map(\.file)).count)
  }

  @Test func nothingButThisContainersPortsIsTakenForThem() throws {
    let answer = try recorded("decoys")
    #expect(String(decoding: answer, as: UTF8.self).contains("12345/tcp"))
    let id = try #require(containerID(in: answer))
    let http = try EIDDistCoreTests.lookup(id, listenPort: 8080)
    #expect(http.outcome(of: answer) == .success(12346))
  }
}
