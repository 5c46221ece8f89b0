// SPDX-License-Identifier: Apache-2.0

/// A place in a run of bytes from which big-endian fields are taken.
///
/// Every read answers nil instead of leaving the bytes, so that no input can
/// reach a trap.
struct ByteCursor {
  private(set) var offset = 0

  /// How many bytes of `bytes` are left.
  func remaining(in bytes: Span<UInt8>) -> Int { bytes.count &- offset }

  mutating func byte(_ bytes: Span<UInt8>) -> UInt8? {
    guard offset < bytes.count else { return nil }
    defer { offset &+= 1 }
    return bytes[offset]
  }

  mutating func uint16(_ bytes: Span<UInt8>) -> UInt16? {
    integer(bytes)
  }

  mutating func uint32(_ bytes: Span<UInt8>) -> UInt32? {
    integer(bytes)
  }

  mutating func int32(_ bytes: Span<UInt8>) -> Int32? {
    uint32(bytes).map { Int32(bitPattern: $0) }
  }

  /// The next `count` bytes.
  mutating func bytes(_ count: Int, of bytes: Span<UInt8>) -> [UInt8]? {
    guard count >= 0, count <= remaining(in: bytes) else { return nil }
    var taken: [UInt8] = []
    taken.reserveCapacity(count)
    for index in offset..<(offset &+ count) { taken.append(bytes[index]) }
    offset &+= count
    return taken
  }

  /// All bytes that are left.
  mutating func rest(of bytes: Span<UInt8>) -> [UInt8] {
    self.bytes(remaining(in: bytes), of: bytes) ?? []
  }

  private mutating func integer<Value: FixedWidthInteger>(_ bytes: Span<UInt8>) -> Value? {
    let width = Value.bitWidth / 8
    guard width <= remaining(in: bytes) else { return nil }
    var value: Value = 0
    for index in offset..<(offset &+ width) { value = (value << 8) | Value(bytes[index]) }
    offset &+= width
    return value
  }
}
