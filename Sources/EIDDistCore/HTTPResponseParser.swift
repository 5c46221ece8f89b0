// SPDX-License-Identifier: Apache-2.0

/// One HTTP/1.x response to a GET, parsed a byte at a time (RFC 9112).
///
/// A byte at a time, because then it cannot matter how the network has cut the response.
/// Lines may end in LF alone, as RFC 9112 allows. Interim responses (1xx) are skipped.
struct HTTPResponseParser {
  static let maxLineBytes = 8 * 1024
  /// Of all status, header and trailer lines, those of interim responses included.
  static let maxHeadBytes = 64 * 1024

  private enum State {
    case statusLine
    case headers
    case body(remainingBytes: Int)
    case bodyUntilClose
    case chunkSize
    case chunk(remainingBytes: Int)
    case chunkEnd
    case trailers
    case complete
  }

  private static let protocolName = Array("HTTP/1.".utf8)

  /// The longest body, by its own announcement, that is worth reading.
  private let bodyLimitBytes: Int
  private var state = State.statusLine
  private var line: [UInt8] = []
  private var headBytes = 0
  private var lengthBytes: Int?
  private var isChunked = false
  /// Of the final response, once its status line is there.
  private(set) var status: Int?

  init(bodyLimitBytes: Int) {
    self.bodyLimitBytes = bodyLimitBytes
  }

  var isComplete: Bool {
    if case .complete = state { true } else { false }
  }

  /// Takes the next byte of the response; returns it where it is one of the body.
  mutating func take(_ byte: UInt8) throws(HTTPFault) -> UInt8? {
    switch state {
    case .statusLine:
      try checkProtocolName(byte)
      if try endsHeadLine(byte) { try takeStatusLine() }
    case .headers:
      if try endsHeadLine(byte) { try takeHeader() }
    case .body(let remaining):
      state = remaining > 1 ? .body(remainingBytes: remaining &- 1) : .complete
      return byte
    case .bodyUntilClose:
      return byte
    case .chunkSize:
      if try endsLine(byte) { try takeChunkSize() }
    case .chunk(let remaining):
      state = remaining > 1 ? .chunk(remainingBytes: remaining &- 1) : .chunkEnd
      return byte
    case .chunkEnd:
      if try endsLine(byte) {
        guard line.isEmpty else { throw .malformed("a chunk longer than its size") }
        state = .chunkSize
      }
    case .trailers:
      if try endsHeadLine(byte) {
        if line.isEmpty { state = .complete }
        line.removeAll(keepingCapacity: true)
      }
    case .complete:
      break
    }
    return nil
  }

  /// Takes the news that the peer has closed.
  mutating func end() throws(HTTPFault) {
    switch state {
    case .complete:
      break
    case .bodyUntilClose:
      state = .complete
    case .statusLine, .headers, .body, .chunkSize, .chunk, .chunkEnd, .trailers:
      throw .cutShort
    }
  }

  /// Finds out at the first byte that this is no HTTP: the rest of it may never come.
  private func checkProtocolName(_ byte: UInt8) throws(HTTPFault) {
    guard line.count < Self.protocolName.count, byte != Self.protocolName[line.count] else {
      return
    }
    // The content types of a TLS alert and of a TLS handshake record.
    throw line.isEmpty && (byte == 0x15 || byte == 0x16) ? .tls : .notHTTP
  }

  private mutating func endsHeadLine(_ byte: UInt8) throws(HTTPFault) -> Bool {
    headBytes &+= 1
    guard headBytes <= Self.maxHeadBytes else { throw .malformed("endless headers") }
    return try endsLine(byte)
  }

  /// Gathers a line; true at its end, when ``line`` is all of it without CR and LF.
  private mutating func endsLine(_ byte: UInt8) throws(HTTPFault) -> Bool {
    if byte == ASCII.lineFeed {
      if line.last == ASCII.carriageReturn { line.removeLast() }
      return true
    }
    guard line.count < Self.maxLineBytes else { throw .malformed("an endless line") }
    line.append(byte)
    return false
  }

  /// `HTTP/1.1 200 OK`, whose reason may be missing, with the space before it or without.
  private mutating func takeStatusLine() throws(HTTPFault) {
    defer { line.removeAll(keepingCapacity: true) }
    let rest = line.dropFirst(Self.protocolName.count)
    let digits = rest.dropFirst(2).prefix(3)
    let reason = rest.dropFirst(5)
    guard let version = rest.first, ASCII.isDigit(version),
      rest.dropFirst().first == ASCII.space,
      let status = ASCII.decimal(digits) as Int?, (100...599).contains(status),
      reason.first ?? ASCII.space == ASCII.space
    else { throw .malformed("the status line") }
    self.status = status
    state = .headers
  }

  private mutating func takeHeader() throws(HTTPFault) {
    defer { line.removeAll(keepingCapacity: true) }
    guard !line.isEmpty else { return try takeEndOfHead() }
    guard let colon = line.firstIndex(of: ASCII.colon), colon > 0,
      // Neither a space before the colon nor a continuation line, which are obsolete.
      line[..<colon].allSatisfy({ $0 > ASCII.space && $0 < 0x7f })
    else { throw .malformed("a header line") }
    let name = line[..<colon].map(ASCII.lowercased)
    let value = Self.trimmed(line[(colon &+ 1)...])
    if name.elementsEqual("content-length".utf8) {
      try takeLength(value)
    } else if name.elementsEqual("transfer-encoding".utf8) {
      guard value.map(ASCII.lowercased).elementsEqual("chunked".utf8), !isChunked else {
        throw .malformed("an unknown transfer encoding")
      }
      isChunked = true
    }
  }

  private mutating func takeLength(_ value: ArraySlice<UInt8>) throws(HTTPFault) {
    guard !value.isEmpty, value.allSatisfy(ASCII.isDigit) else {
      throw .malformed("the content length")
    }
    guard let length = ASCII.decimal(value) as Int?, length <= bodyLimitBytes else {
      throw .tooLarge
    }
    guard lengthBytes ?? length == length else { throw .malformed("two content lengths") }
    lengthBytes = length
  }

  private mutating func takeEndOfHead() throws(HTTPFault) {
    guard let status else { throw .malformed("the status line") }
    if isChunked, lengthBytes != nil {
      throw .malformed("both a content length and chunks")
    }
    // After 101 the connection speaks another protocol: no final response follows.
    if status < 200, status != 101 {
      self.status = nil
      (lengthBytes, isChunked) = (nil, false)
      state = .statusLine
    } else if status == 101 || status == 204 || status == 304 || lengthBytes == 0 {
      state = .complete
    } else if isChunked {
      state = .chunkSize
    } else if let lengthBytes {
      state = .body(remainingBytes: lengthBytes)
    } else {
      state = .bodyUntilClose
    }
  }

  /// Hexadecimal digits, then perhaps extensions, which mean nothing here.
  private mutating func takeChunkSize() throws(HTTPFault) {
    defer { line.removeAll(keepingCapacity: true) }
    let digits = Self.trimmed(line.prefix { $0 != UInt8(ascii: ";") })
    guard !digits.isEmpty else { throw .malformed("a chunk size") }
    var size = 0
    for digit in digits {
      guard let value = ASCII.hexValue(digit) else { throw .malformed("a chunk size") }
      // The limit, far below Int.max / 16, keeps this from overflowing.
      size = size &* 16 &+ Int(value)
      guard size <= bodyLimitBytes else { throw .tooLarge }
    }
    state = size > 0 ? .chunk(remainingBytes: size) : .trailers
  }

  private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var text = text
    while let first = text.first, isBlank(first) { text = text.dropFirst() }
    while let last = text.last, isBlank(last) { text = text.dropLast() }
    return text
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == ASCII.space || byte == ASCII.tab
  }
}
