// SPDX-License-Identifier: Apache-2.0

/// A TCP endpoint: an address and a port.
///
/// Between Erlang and the driver it is the address and `<<Port:16>>`.
public struct Endpoint: Equatable, Sendable {
  public var address: IPAddress
  public var port: UInt16

  public init(address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }

  init?(_ bytes: Span<UInt8>, _ cursor: inout ByteCursor) {
    guard let address = IPAddress(bytes, &cursor), let port = cursor.uint16(bytes)
    else { return nil }
    self.init(address: address, port: port)
  }

  /// The wire form that ``init(_:_:)`` reads.
  public var encoded: [UInt8] {
    address.encoded + [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
  }
}
