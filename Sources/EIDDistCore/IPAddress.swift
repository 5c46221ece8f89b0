// SPDX-License-Identifier: Apache-2.0

/// An IPv4 or IPv6 address.
public enum IPAddress: Equatable, Sendable {
  /// The four bytes, the first one highest.
  case v4(UInt32)
  /// The sixteen bytes, the first one highest.
  case v6(UInt128)

  /// The address in network byte order: 4 or 16 bytes; nil for any other count.
  public init?(networkBytes bytes: some Collection<UInt8>) {
    switch bytes.count {
    case 4: self = .v4(bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16: self = .v6(bytes.reduce(0) { $0 << 8 | UInt128($1) })
    default: return nil
    }
  }

  /// The 4 or 16 bytes of the address in network byte order.
  public var networkBytes: [UInt8] {
    switch self {
    case .v4(let value):
      (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
    case .v6(let value):
      (0..<16).map { UInt8(truncatingIfNeeded: value >> (120 - 8 * $0)) }
    }
  }

  public var isV6: Bool {
    switch self {
    case .v4: false
    case .v6: true
    }
  }

  /// 0.0.0.0 or `::`.
  public var isAny: Bool {
    switch self {
    case .v4(let value): value == 0
    case .v6(let value): value == 0
    }
  }

  /// 127.0.0.0/8 or `::1`, the former also when mapped into IPv6.
  public var isLoopback: Bool {
    switch unmapped {
    case .v4(let value): value >> 24 == 127
    case .v6(let value): value == 1
    }
  }

  /// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) as the IPv4 address that it is;
  /// any other address as it is.
  public var unmapped: IPAddress {
    guard case .v6(let value) = self, value >> 32 == 0xffff else { return self }
    return .v4(UInt32(truncatingIfNeeded: value))
  }
}

extension IPAddress {
  /// Longest: an IPv4-mapped address with all groups written out.
  private static let maxTextBytes = 45

  /// The address that `text` is: dotted-quad IPv4, or IPv6 (RFC 4291, section 2.2)
  /// without a zone; nil otherwise.
  public init?(text: some Sequence<UInt8>) {
    let text = Array(text.prefix(Self.maxTextBytes + 1))
    guard text.count <= Self.maxTextBytes else { return nil }
    if text.contains(ASCII.colon) {
      self.init(textV6: text)
    } else {
      self.init(textV4: text[...])
    }
  }

  private init?(textV4 text: ArraySlice<UInt8>) {
    let fields = text.split(separator: ASCII.dot, omittingEmptySubsequences: false)
    // A leading zero would make the number octal for some readers.
    let octets = fields.compactMap { field -> UInt8? in
      field.count > 1 && field.first == UInt8(ascii: "0") ? nil : ASCII.decimal(field)
    }
    guard fields.count == 4, octets.count == 4 else { return nil }
    self.init(networkBytes: octets)
  }

  private init?(textV6 text: [UInt8]) {
    var fields = text.split(separator: ASCII.colon, omittingEmptySubsequences: false)[...]
    // A double colon at an end leaves two empty fields there; in between, it leaves one.
    if fields.count > 2, fields.prefix(2).allSatisfy(\.isEmpty) {
      fields.removeFirst()
    } else if fields.first?.isEmpty ?? true {
      return nil
    }
    if fields.count > 1, fields.suffix(2).allSatisfy(\.isEmpty) {
      fields.removeLast()
    } else if fields.last?.isEmpty ?? true {
      return nil
    }

    var bytes: [UInt8] = []
    var gap: Int?
    for (index, field) in zip(fields.indices, fields) {
      if field.isEmpty {
        guard gap == nil else { return nil }
        gap = bytes.count
      } else if index == fields.indices.last, field.contains(ASCII.dot) {
        guard let tail = IPAddress(textV4: field) else { return nil }
        bytes += tail.networkBytes
      } else {
        let digits = field.compactMap(ASCII.hexValue)
        guard digits.count == field.count, digits.count <= 4 else { return nil }
        let group = digits.reduce(UInt16(0)) { $0 << 4 | UInt16($1) }
        bytes += [UInt8(group >> 8), UInt8(truncatingIfNeeded: group)]
      }
    }
    if let gap {
      guard bytes.count <= 14 else { return nil }
      bytes.insert(contentsOf: repeatElement(0, count: 16 - bytes.count), at: gap)
    }
    guard bytes.count == 16 else { return nil }
    self.init(networkBytes: bytes)
  }
}

/// Between Erlang and the driver: `<<Family:8, Address/binary>>` with family 4 (4 bytes of
/// address) or 6 (16 bytes).
extension IPAddress {
  init?(_ bytes: Span<UInt8>, _ cursor: inout ByteCursor) {
    guard let family = cursor.byte(bytes), family == 4 || family == 6,
      let raw = cursor.bytes(family == 6 ? 16 : 4, of: bytes)
    else { return nil }
    self.init(networkBytes: raw)
  }

  var encoded: [UInt8] {
    let raw = networkBytes
    return [raw.count == 16 ? 6 : 4] + raw
  }
}

extension IPAddress: CustomStringConvertible {
  /// The address as people write it: dotted quad, or RFC 5952.
  public var description: String {
    switch self {
    case .v4:
      return networkBytes.map { String($0) }.joined(separator: ".")
    case .v6(let value):
      if case .v4 = unmapped { return "::ffff:\(unmapped)" }
      let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> (112 - 16 * $0)) }
      guard let zeros = Self.longestRunOfZeros(groups) else { return Self.text(groups[...]) }
      return Self.text(groups[..<zeros.lowerBound]) + "::" + Self.text(groups[zeros.upperBound...])
    }
  }

  /// The first longest run of two or more zero groups.
  private static func longestRunOfZeros(_ groups: [UInt16]) -> Range<Int>? {
    var longest = 0..<1
    var start = 0
    for (index, group) in groups.enumerated() {
      if group != 0 {
        start = index + 1
      } else if index + 1 - start > longest.count {
        longest = start..<(index + 1)
      }
    }
    return longest.count > 1 ? longest : nil
  }

  private static func text(_ groups: ArraySlice<UInt16>) -> String {
    groups.map { String($0, radix: 16) }.joined(separator: ":")
  }
}
