// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct LookupFailureTests {
  /// One of each.
  private func all(_ target: LookupTarget) -> [LookupFailure] {
    let text = "text"
    return [
      .invalidContainer(text), .upperCaseContainerID(text), .invalidLabel(text),
      .connectionRefused(target), .unreachable(target, reason: text), .connectTimedOut(target),
      .answerTimedOut(target), .answerStalled(target), .connectionReset(target),
      .systemError(target, reason: text), .notHTTP(target), .malformedHTTP(target, what: text),
      .wantsTLS(target), .cutShort(target, afterBytes: 7),
      .answerTooLarge(target, limitBytes: 7), .malformedJSON(target, atByte: 7),
      .tooDeepJSON(target), .unexpectedJSON(target, field: text),
      .tooManyContainers(target, limit: 7),
      .redirected(target, status: 301), .forbidden(target, status: 403, message: text),
      .noSuchContainer(target, message: text), .ambiguousContainer(target, message: text),
      .unexpectedStatus(target, status: 500, message: text),
      .wrongContainer(target, id: text, name: text), .notRunning(target, status: text),
      .restarting(target), .paused(target), .dead(target), .sharesNetwork(target, with: text),
      .notPublished(target, instead: [text]), .loopbackOnly(target), .ipv4Only(target),
      .ipv6Only(target), .boundElsewhere(target, address: text),
      .invalidPublishedPort(target, port: text),
    ]
  }

  @Test func everyFailureHasANameThatIsAnAtomOfItsOwn() throws {
    let names = all(try lookup().target).map(\.name)
    #expect(Set(names).count == names.count)
    for name in names {
      #expect(name.wholeMatch(of: /[a-z][a-z0-9_]*/) != nil)
    }
  }

  @Test func everySentenceIsOneLineThatNamesWhatWasLookedUpAndWhere() throws {
    let target = try lookup("web-1", at: recordedHostV6).target
    for failure in all(target).dropFirst(3) {
      let sentence = failure.sentence
      #expect(sentence.contains("port 12345 of container web-1"))
      #expect(sentence.contains("Docker daemon [2001:db8::1]:4243"))
      #expect(sentence.isOneLine)
    }
    #expect(Set(all(target).map(\.sentence)).count == all(target).count)
  }

  @Test func sentenceNamesCauseAndCure() throws {
    let target = try lookup().target
    #expect(
      LookupFailure.notPublished(target, instead: ["8080/tcp"]).sentence
        == "cannot look up port 12345 of container web at Docker daemon 192.0.2.1:4243:"
        + " the port is not published, only 8080/tcp: docker run -p 12345"
    )
    #expect(
      LookupFailure.connectionRefused(target).sentence
        == "cannot look up port 12345 of container web at Docker daemon 192.0.2.1:4243:"
        + " the connection was refused, so no Docker daemon listens there: start dockerd with"
        + " -H tcp://0.0.0.0:4243, or set docker_daemon_port to its port"
    )
  }

  @Test func foreignTextNeverBreaksTheLine() throws {
    let target = try lookup().target
    for failure: LookupFailure in [
      .unreachable(target, reason: "a\nb\u{2028}c"), .systemError(target, reason: "a\r\n\tb\u{85}"),
      .invalidContainer(String(sanitizing: "a\nb".utf8)),
    ] {
      #expect(failure.sentence.isOneLine)
    }
  }

  @Test func foreignTextIsCappedAndRepaired() {
    let whole = String(repeating: "x", count: String.maxForeignTextBytes)
    #expect(String(sanitizing: whole.utf8) == whole)
    #expect(String(sanitizing: "\(whole)x".utf8) == whole + "...")
    #expect(String(sanitizing: [0x61, 0xff, 0xc3]) == "a\u{FFFD}\u{FFFD}")
    #expect(String(sanitizing: "é\u{7f}\u{9b}\u{200b}\u{feff}\u{e000}€".utf8) == "é?????€")
  }
}
