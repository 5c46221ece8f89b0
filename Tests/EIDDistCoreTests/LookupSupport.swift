// SPDX-License-Identifier: Apache-2.0

import Foundation

@testable import EIDDistCore

/// The host that the recorded containers ran on.
let recordedHost = IPAddress.v4(0xC000_0201)  // 192.0.2.1
let recordedHostV6 = IPAddress(text: "2001:db8::1".utf8)!

/// A recorded answer, as it came from the socket.
func recorded(_ name: String) throws -> [UInt8] {
  let directory = URL(filePath: #filePath).deletingLastPathComponent()
  return try Array(Data(contentsOf: directory.appending(path: "Recorded/\(name).http")))
}

/// All recorded answers, in the order of their names.
func allRecorded() throws -> [[UInt8]] {
  let directory = URL(filePath: #filePath).deletingLastPathComponent()
  return try FileManager.default.contentsOfDirectory(
    at: directory.appending(path: "Recorded"),
    includingPropertiesForKeys: nil
  )
  .filter { $0.pathExtension == "http" }
  .sorted { $0.path < $1.path }
  .map { try Array(Data(contentsOf: $0)) }
}

/// The ID that a recorded answer begins with.
func containerID(in answer: [UInt8]) -> String? {
  let text = String(decoding: answer, as: UTF8.self)
  guard let key = text.range(of: #"{"Id":""#) else { return nil }
  return String(text[key.upperBound...].prefix(64))
}

func lookup(
  _ container: String = "web",
  listenPort: UInt16 = 12345,
  at daemon: IPAddress = recordedHost,
  host: IPAddress? = nil,
  limit: Int = PublishedPortLookup.defaultResponseLimitBytes
) throws -> PublishedPortLookup {
  PublishedPortLookup(
    container: try ContainerReference(container.utf8),
    listenPort: listenPort,
    daemon: Endpoint(address: daemon, port: 4243),
    host: host,
    responseLimitBytes: limit
  )
}

extension PublishedPortLookup {
  /// A span is not allowed within a macro.
  mutating func receive(_ bytes: some Sequence<UInt8>) -> LookupStep<UInt16> {
    receive(Array(bytes).span)
  }

  /// What comes of `answer`, received in pieces between `cuts`, and then the end.
  func outcome(of answer: [UInt8], cuts: [Int] = []) -> Result<UInt16, LookupFailure> {
    var lookup = self
    var start = 0
    for end in cuts + [answer.count] {
      if case .done(let result) = lookup.receive(answer[start..<end].span) { return result }
      start = end
    }
    return lookup.connectionClosed()
  }

  func outcome(of answer: String, cuts: [Int] = []) -> Result<UInt16, LookupFailure> {
    outcome(of: Array(answer.utf8), cuts: cuts)
  }
}

/// An answer like Docker's, with nothing in it but what a lookup reads.
struct Inspect {
  static let id = String(repeating: "0123456789abcdef", count: 4)

  var id = Inspect.id
  var name = "/web"
  var state = #"{"Status":"running","Running":true,"Paused":false,"Restarting":false}"#
  var networkMode = "default"
  var ports = #"{"12345/tcp":[{"HostIp":"0.0.0.0","HostPort":"32768"}]}"#

  var json: String {
    #"{"Id":"\#(id)","Name":"\#(name)","State":\#(state),"#
      + #""HostConfig":{"NetworkMode":"\#(networkMode)"},"NetworkSettings":{"Ports":\#(ports)}}"#
  }

  /// The answer with a content length.
  var answer: String { Self.answer(json) }

  static func answer(_ body: String, status: String = "200 OK") -> String {
    "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  /// The answer in chunks of `size` bytes.
  func chunked(_ size: Int) -> String {
    var answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    var rest = json.utf8[...]
    while !rest.isEmpty {
      let chunk = rest.prefix(size)
      answer += "\(String(chunk.count, radix: 16))\r\n\(Substring(chunk))\r\n"
      rest = rest.dropFirst(size)
    }
    return answer + "0\r\n\r\n"
  }
}

extension String {
  var isOneLine: Bool { !contains { $0.isNewline } }
}
