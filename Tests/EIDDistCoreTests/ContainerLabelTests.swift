// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import EIDDistCore

@Suite struct ContainerLabelTests {
  private let daemon = Endpoint(address: recordedHost, port: 4243)

  @Test(arguments: [
    "a", "a=b", "a=b=c", "com.docker.compose.service=shop", "ключ=значение", #"a"b\c"#,
    "a b&c#d?e%0d", String(repeating: "a", count: ContainerLabel.maxBytes),
  ])
  func labelIsOneTextOfTheJSONInThePath(text: String) throws {
    let label = try ContainerLabel(text.utf8)
    let list = try filters(of: label.listPath, after: "/containers/json?filters=")
    #expect(list == ["label": [text]])
    let request = String(decoding: label.eventsRequest(to: daemon), as: UTF8.self)
    let line = try #require(request.split(separator: "\r\n").first)
    #expect(line.hasPrefix("GET /events?") && line.hasSuffix(" HTTP/1.1"))
    let path = String(line.dropFirst(4).dropLast(9))
    let events = try filters(of: path, after: "/events?filters=")
    #expect(
      events == [
        "label": [text], "type": ["container"],
        "event": ["start", "die", "pause", "unpause", "rename"],
      ]
    )
  }

  /// The JSON behind `start`, as a decoder that is not ours reads it.
  private func filters(of path: String, after start: String) throws -> [String: [String]] {
    let encoded = path.dropFirst(start.count)
    #expect(path.hasPrefix(start))
    #expect(
      encoded.utf8.allSatisfy {
        ASCII.isLetter($0) || ASCII.isDigit($0) || "%-._~".utf8.contains($0)
      }
    )
    let json = try #require(encoded.removingPercentEncoding)
    return try JSONDecoder().decode([String: [String]].self, from: Data(json.utf8))
  }

  @Test(arguments: [
    "", "=", "=b", "a\r\n", "a\u{0}b", "a\u{85}", "\u{7f}",
    String(repeating: "a", count: ContainerLabel.maxBytes + 1),
  ])
  func textThatIsNoLabelIsRefused(text: String) {
    #expect(throws: LookupFailure.self) { try ContainerLabel(text.utf8) }
  }

  @Test(arguments: [[0xff], [0x61, 0xc3], [0xed, 0xa0, 0x80]] as [[UInt8]])
  func bytesThatAreNotUTF8AreRefused(bytes: [UInt8]) {
    #expect(throws: LookupFailure.self) { try ContainerLabel(bytes) }
  }

  @Test func refusalIsOneLine() {
    let failure = #expect(throws: LookupFailure.self) { try ContainerLabel("a\r\nb".utf8) }
    #expect(failure?.sentence.isOneLine == true)
  }

  @Test func listIsOfContainersWithTheLabel() throws {
    let query = ContainerListingQuery(
      label: try ContainerLabel("a=b".utf8),
      listenPort: 12345,
      daemon: Endpoint(address: recordedHost, port: 4243)
    )
    let request = String(decoding: query.request, as: UTF8.self)
    #expect(
      request.hasPrefix(
        "GET /containers/json?filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D HTTP/1.1\r\n"
      )
    )
  }
}
