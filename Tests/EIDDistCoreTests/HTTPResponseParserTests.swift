// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct HTTPResponseParserTests {
  private enum Outcome: Equatable {
    /// What came after the end of the response is not part of it.
    case response(status: Int?, body: String, unread: Int)
    case fault(HTTPFault)
  }

  /// What `response` is, when the connection is closed after it.
  private func parse(_ response: String, limit: Int = 1000) -> Outcome {
    var parser = HTTPResponseParser(bodyLimitBytes: limit)
    var body: [UInt8] = []
    var unread = 0
    do {
      for byte in response.utf8 {
        if parser.isComplete { unread += 1 }
        if let byte = try parser.take(byte) { body.append(byte) }
      }
      try parser.end()
    } catch {
      return .fault(error)
    }
    return .response(
      status: parser.status,
      body: String(decoding: body, as: UTF8.self),
      unread: unread
    )
  }

  private func body(_ response: String) -> String? {
    if case .response(200, let body, 0) = parse(response) { body } else { nil }
  }

  private let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

  // MARK: Framing

  @Test func contentLengthEndsTheBody() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    #expect(parse(response) == .response(status: 200, body: "hello", unread: 0))
    #expect(parse(response + "more") == .response(status: 200, body: "hello", unread: 4))
    #expect(body("HTTP/1.1 200 OK\r\ncontent-LENGTH:\t005 \r\n\r\nhello") == "hello")
    #expect(body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") == "")
  }

  @Test func sameContentLengthTwiceIsOne() {
    #expect(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi") == "hi")
  }

  @Test func closeEndsABodyWithoutLength() {
    #expect(body("HTTP/1.0 200 OK\r\n\r\nhello") == "hello")
    #expect(body("HTTP/1.1 200 OK\r\n\r\n") == "")
  }

  @Test(arguments: [
    "5\r\nhello\r\n0\r\n\r\n", "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", "5\nhello\n0\n\n",
    "5;ext=1;x=\"y\"\r\nhello\r\n0;z\r\n\r\n", "00005 \r\nhello\r\n000\r\n\r\n",
    "5\r\nhello\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", " 5\t;\r\nhello\r\n0\r\n\r\n",
  ])
  func chunksAreJoined(_ chunks: String) {
    #expect(body(chunked + chunks) == "hello")
  }

  @Test func chunkSizesAreHexadecimalInEitherCase() {
    let text = String(repeating: "x", count: 0xab)
    for size in ["ab", "AB", "aB", "00Ab"] {
      #expect(body(chunked + "\(size)\r\n\(text)\r\n0\r\n\r\n") == text)
    }
  }

  @Test(arguments: [
    "\r\n", "x\r\n", "-1\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", "5 5\r\nhello\r\n", ";a\r\n",
    "5\r\nhello6\r\n", "5\r\nhello\rx\r\n",
  ])
  func malformedChunksAreRefused(_ chunks: String) {
    guard case .fault(.malformed) = parse(chunked + chunks) else {
      Issue.record("accepted")
      return
    }
  }

  @Test func lengthsOverTheLimitAreRefusedWithoutOverflow() {
    for length in [
      "1001", "9223372036854775807", "9223372036854775808", String(repeating: "9", count: 99),
    ] {
      #expect(parse("HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n") == .fault(.tooLarge))
    }
    for size in ["3e9", "7fffffffffffffff", "8000000000000000", String(repeating: "f", count: 99)] {
      #expect(parse(chunked + size + "\r\n") == .fault(.tooLarge))
    }
  }

  @Test(arguments: [
    "Content-Length: 2\r\nContent-Length: 3", "Content-Length: 2\r\nTransfer-Encoding: chunked",
    "Content-Length: -1", "Content-Length: +1", "Content-Length: 2, 2", "Content-Length:",
    "Content-Length: 1 2", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Content-Length : 2", ": 2",
    "No colon", "A: b\r\n folded: 2",
  ])
  func headersThatCannotBeTrustedAreRefused(_ headers: String) {
    guard case .fault(.malformed) = parse("HTTP/1.1 200 OK\r\n\(headers)\r\n\r\nhi") else {
      Issue.record("accepted")
      return
    }
  }

  // MARK: Status

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200\r\n", "HTTP/1.1 200 \r\n", "HTTP/1.1 200 OK\n",
    "HTTP/1.9 200 All is  well, träumend\r\n",
  ])
  func statusLineMayHaveAnyReason(_ line: String) {
    #expect(body(line + "\r\n") == "")
  }

  @Test(arguments: [
    "HTTP/1.1  200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 099 x", "HTTP/1.1 600 x",
    "HTTP/1.1", "HTTP/1.1 ", "HTTP/1. 200", "HTTP/1.x 200 OK", "HTTP/1.1 -20 x", "HTTP/1.1\t200",
  ])
  func malformedStatusLineIsRefused(_ line: String) {
    #expect(parse(line + "\r\n\r\n") == .fault(.malformed("the status line")))
  }

  @Test func interimResponsesAreSkipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 9\r\n\r\n"
    #expect(body(interim + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") == "hi")
    #expect(parse(interim) == .fault(.cutShort))
  }

  @Test func someStatusesHaveNoBody() {
    for status in [101, 204, 304] {
      let response = "HTTP/1.1 \(status) x\r\nContent-Length: 5\r\n\r\n"
      #expect(parse(response) == .response(status: status, body: "", unread: 0))
    }
  }

  // MARK: What is not HTTP

  @Test(arguments: [
    "SSH-2.0-OpenSSH_9.2", "\r\nHTTP/1.1", "HTTP/2 200", "http/1.1", "\u{0}", "HTTX",
  ])
  func otherProtocolIsKnownAtItsFirstByte(_ text: String) {
    #expect(parse(text) == .fault(.notHTTP))
  }

  @Test func tlsIsKnownAtItsFirstByte() {
    #expect(parse("\u{15}\u{3}") == .fault(.tls))
    #expect(parse("\u{16}") == .fault(.tls))
    #expect(parse("H\u{15}") == .fault(.notHTTP))
  }

  @Test func endlessLinesAndHeadersAreRefused() {
    let line = String(repeating: "x", count: HTTPResponseParser.maxLineBytes + 1)
    #expect(parse("HTTP/1.1 200 \(line)") == .fault(.malformed("an endless line")))
    #expect(parse(chunked + "1;\(line)") == .fault(.malformed("an endless line")))
    let header = "Name: \(String(repeating: "x", count: 1000))\r\n"
    let headers = String(repeating: header, count: 65)
    #expect(parse("HTTP/1.1 200 OK\r\n\(headers)") == .fault(.malformed("endless headers")))
    #expect(parse(chunked + "0\r\n\(headers)") == .fault(.malformed("endless headers")))
    let interim = String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 2700)
    #expect(parse(interim) == .fault(.malformed("endless headers")))
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      + "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
  ])
  func everyBeginningOfAResponseIsCutShort(_ response: String) {
    #expect(body(response) == "hello")
    for count in 0..<response.utf8.count {
      #expect(parse(String(response.utf8.prefix(count))!) == .fault(.cutShort), "\(count)")
    }
  }
}
