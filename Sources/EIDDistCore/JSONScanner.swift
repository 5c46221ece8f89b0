// SPDX-License-Identifier: Apache-2.0

/// A JSON text, scanned a byte at a time (RFC 8259).
///
/// It keeps one string and one number at most, and of each no more than ``maxTextBytes``, so that a text
/// of any size is scanned in the same small space. Strings may hold invalid UTF-8: whoever
/// shows them repairs them. Numbers are checked, not evaluated.
struct JSONScanner {
  static let maxDepth = 64
  /// Longer than any text that is compared with, so that a cut text equals none of them.
  static let maxTextBytes = 1024

  private enum State {
    case value
    /// After `[`: a value or `]`.
    case firstElement
    /// After `{`: a key or `}`.
    case firstKey
    /// After a comma in an object.
    case key
    case colon
    case afterValue
    case string(isKey: Bool)
    case escape(isKey: Bool)
    case unicodeEscape(isKey: Bool, digits: Int, value: UInt16)
    case number(NumberPart)
    case literal(Literal, matched: Int)
  }

  /// What the last byte of a number belongs to.
  private enum NumberPart {
    case minus
    case zero
    case integer
    case point
    case fraction
    case exponent
    case exponentSign
    case exponentDigits
  }

  private enum Literal: String {
    case `true`, `false`, null

    var event: JSONEvent {
      switch self {
      case .true: .bool(true)
      case .false: .bool(false)
      case .null: .null
      }
    }
  }

  private enum Container {
    case object
    case array
  }

  private static let quote = UInt8(ascii: "\"")
  private static let backslash = UInt8(ascii: "\\")

  private var state = State.value
  private var open: [Container] = []
  private var highSurrogate: UInt16?
  /// The text of the last key or string, unescaped.
  private(set) var text: [UInt8] = []
  /// The digits of the last number, as far as they have come: all of them when the next
  /// event comes.
  private(set) var number: [UInt8] = []

  /// Whether the text's one value has ended (a number ends only with what follows it).
  var isComplete: Bool {
    if case .afterValue = state { open.isEmpty } else { false }
  }

  /// Takes the next byte; returns what has begun or ended with it.
  mutating func take(_ byte: UInt8) throws(JSONFault) -> JSONEvent? {
    switch state {
    case .string(let isKey):
      return try takeStringByte(byte, isKey: isKey)
    case .escape(let isKey):
      try takeEscape(byte, isKey: isKey)
    case .unicodeEscape(let isKey, let digits, let value):
      try takeUnicodeDigit(byte, isKey: isKey, digits: digits, value: value)
    case .literal(let literal, let matched):
      return try takeLiteralByte(byte, literal, matched: matched)
    case .number(let part):
      if let next = Self.numberPart(after: part, byte) {
        state = .number(next)
        if number.count < Self.maxTextBytes { number.append(byte) }
      } else {
        guard Self.mayEnd(part) else { throw .malformed }
        state = .afterValue
        return try takeToken(byte)
      }
    case .value, .firstElement, .firstKey, .key, .colon, .afterValue:
      return try takeToken(byte)
    }
    return nil
  }

  // MARK: Between strings, numbers and literals

  private mutating func takeToken(_ byte: UInt8) throws(JSONFault) -> JSONEvent? {
    switch byte {
    case ASCII.space, ASCII.tab, ASCII.lineFeed, ASCII.carriageReturn: return nil
    default: break
    }
    switch state {
    case .value:
      return try beginValue(byte)
    case .firstElement:
      return byte == UInt8(ascii: "]") ? try close(.array) : try beginValue(byte)
    case .firstKey where byte == UInt8(ascii: "}"):
      return try close(.object)
    case .firstKey, .key:
      guard byte == Self.quote else { throw .malformed }
      beginString(isKey: true)
    case .colon:
      guard byte == ASCII.colon else { throw .malformed }
      state = .value
    case .afterValue:
      switch (byte, open.last) {
      case (UInt8(ascii: ","), .object): state = .key
      case (UInt8(ascii: ","), .array): state = .value
      case (UInt8(ascii: "}"), .object): return try close(.object)
      case (UInt8(ascii: "]"), .array): return try close(.array)
      default: throw .malformed
      }
    case .string, .escape, .unicodeEscape, .number, .literal:
      throw .malformed
    }
    return nil
  }

  private mutating func beginValue(_ byte: UInt8) throws(JSONFault) -> JSONEvent? {
    switch byte {
    case UInt8(ascii: "{"):
      try push(.object)
      state = .firstKey
      return .beginObject
    case UInt8(ascii: "["):
      try push(.array)
      state = .firstElement
      return .beginArray
    case Self.quote: beginString(isKey: false)
    case UInt8(ascii: "t"): state = .literal(.true, matched: 1)
    case UInt8(ascii: "f"): state = .literal(.false, matched: 1)
    case UInt8(ascii: "n"): state = .literal(.null, matched: 1)
    case UInt8(ascii: "-"): return beginNumber(byte, .minus)
    case UInt8(ascii: "0"): return beginNumber(byte, .zero)
    case UInt8(ascii: "1")...UInt8(ascii: "9"): return beginNumber(byte, .integer)
    default:
      throw .malformed
    }
    return nil
  }

  private mutating func push(_ container: Container) throws(JSONFault) {
    guard open.count < Self.maxDepth else { throw .tooDeep }
    open.append(container)
  }

  private mutating func close(_ container: Container) throws(JSONFault) -> JSONEvent {
    guard open.popLast() == container else { throw .malformed }
    state = .afterValue
    return container == .object ? .endObject : .endArray
  }

  // MARK: Literals and numbers

  private mutating func takeLiteralByte(
    _ byte: UInt8,
    _ literal: Literal,
    matched: Int
  ) throws(JSONFault) -> JSONEvent? {
    let characters = literal.rawValue.utf8
    guard characters.dropFirst(matched).first == byte else { throw .malformed }
    guard matched &+ 1 == characters.count else {
      state = .literal(literal, matched: matched &+ 1)
      return nil
    }
    state = .afterValue
    return literal.event
  }

  private mutating func beginNumber(_ byte: UInt8, _ part: NumberPart) -> JSONEvent {
    number.removeAll(keepingCapacity: true)
    number.append(byte)
    state = .number(part)
    return .number
  }

  /// What `byte` belongs to; nil where it does not go on with the number.
  private static func numberPart(after part: NumberPart, _ byte: UInt8) -> NumberPart? {
    let isDigit = ASCII.isDigit(byte)
    let isExponent = ASCII.lowercased(byte) == UInt8(ascii: "e")
    switch part {
    case .minus:
      return isDigit ? (byte == UInt8(ascii: "0") ? .zero : .integer) : nil
    case .zero, .integer:
      if byte == ASCII.dot { return .point }
      if isExponent { return .exponent }
      if case .integer = part, isDigit { return .integer }
      return nil
    case .point:
      return isDigit ? .fraction : nil
    case .fraction:
      return isDigit ? .fraction : isExponent ? .exponent : nil
    case .exponent:
      if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { return .exponentSign }
      return isDigit ? .exponentDigits : nil
    case .exponentSign, .exponentDigits:
      return isDigit ? .exponentDigits : nil
    }
  }

  private static func mayEnd(_ part: NumberPart) -> Bool {
    switch part {
    case .zero, .integer, .fraction, .exponentDigits: true
    case .minus, .point, .exponent, .exponentSign: false
    }
  }

  // MARK: Strings

  private mutating func beginString(isKey: Bool) {
    text.removeAll(keepingCapacity: true)
    state = .string(isKey: isKey)
  }

  private mutating func takeStringByte(
    _ byte: UInt8,
    isKey: Bool
  ) throws(JSONFault) -> JSONEvent? {
    if byte == Self.backslash {
      state = .escape(isKey: isKey)
      return nil
    }
    endSurrogate()
    if byte == Self.quote {
      state = isKey ? .colon : .afterValue
      return isKey ? .key : .string
    }
    guard byte >= ASCII.space else { throw .malformed }
    append(CollectionOfOne(byte))
    return nil
  }

  private mutating func takeEscape(_ byte: UInt8, isKey: Bool) throws(JSONFault) {
    if byte == UInt8(ascii: "u") {
      state = .unicodeEscape(isKey: isKey, digits: 0, value: 0)
      return
    }
    let character: UInt8
    switch byte {
    case Self.quote, Self.backslash, UInt8(ascii: "/"): character = byte
    case UInt8(ascii: "b"): character = 0x08
    case UInt8(ascii: "f"): character = 0x0c
    case UInt8(ascii: "n"): character = ASCII.lineFeed
    case UInt8(ascii: "r"): character = ASCII.carriageReturn
    case UInt8(ascii: "t"): character = ASCII.tab
    default: throw .malformed
    }
    endSurrogate()
    append(CollectionOfOne(character))
    state = .string(isKey: isKey)
  }

  private mutating func takeUnicodeDigit(
    _ byte: UInt8,
    isKey: Bool,
    digits: Int,
    value: UInt16
  ) throws(JSONFault) {
    guard let digit = ASCII.hexValue(byte) else { throw .malformed }
    let value = value << 4 | UInt16(digit)
    guard digits == 3 else {
      state = .unicodeEscape(isKey: isKey, digits: digits &+ 1, value: value)
      return
    }
    takeCodeUnit(value)
    state = .string(isKey: isKey)
  }

  /// A UTF-16 code unit; a surrogate without its other half becomes U+FFFD, as in Go.
  private mutating func takeCodeUnit(_ unit: UInt16) {
    if let high = highSurrogate, UTF16.isTrailSurrogate(unit) {
      highSurrogate = nil
      append(String(decoding: [high, unit], as: UTF16.self).utf8)
      return
    }
    endSurrogate()
    if UTF16.isLeadSurrogate(unit) {
      highSurrogate = unit
    } else {
      append(String(decoding: CollectionOfOne(unit), as: UTF16.self).utf8)
    }
  }

  private mutating func endSurrogate() {
    guard highSurrogate != nil else { return }
    highSurrogate = nil
    append("\u{FFFD}".utf8)
  }

  private mutating func append(_ bytes: some Collection<UInt8>) {
    guard text.count &+ bytes.count <= Self.maxTextBytes else { return }
    text.append(contentsOf: bytes)
  }
}
