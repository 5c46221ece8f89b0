// SPDX-License-Identifier: Apache-2.0

/// A TCP endpoint: an address and a port.
///
/// Between Erlang and the driver it is `<<Family:8, Address/binary, Port:16>>` with
/// family 4 (4 bytes of address) or 6 (16 bytes).
public struct Endpoint: Equatable, Sendable {
  public var address: IPAddress
  public var port: UInt16

  public init(address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }

  init?(_ bytes: Span<UInt8>, _ cursor: inout ByteCursor) {
    guard let family = cursor.byte(bytes),
      let raw = cursor.bytes(family == 6 ? 16 : 4, of: bytes), family == 4 || family == 6,
      let address = IPAddress(networkBytes: raw), let port = cursor.uint16(bytes)
    else { return nil }
    self.init(address: address, port: port)
  }

  /// The wire form that ``init(_:_:)`` reads.
  public var encoded: [UInt8] {
    let raw = address.networkBytes
    return [raw.count == 16 ? 6 : 4] + raw + [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
  }
}
